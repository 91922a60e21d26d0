"""`poets-edge label`: what is on a photo."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from poets_edge.cli.terminal import FILE, json_option, option, print_json
from poets_edge.edge.classifier import Label, best
from poets_edge.errors import DatasetError, PhotoError, UsageError

_UNKNOWN = "unknown"


@click.command("label")
@option("--graph", "model", type=FILE, required=True, help="A .tflite file, or a .pb where TensorFlow is installed.")
@click.argument("images", nargs=-1, type=FILE)
@option(
    "--image", "more_images", type=FILE, multiple=True, help="A photo, as the codelab spells it.", show_default=False
)
@option("--labels", type=FILE, help="Labels file, one label a line, in place of the model's own.")
@option("--top", type=click.IntRange(min=1), default=5, help="How many labels to print.")
@option("--threshold", type=click.FloatRange(0, 1), default=0.0, help="Below this score the answer is 'unknown'.")
@option("--threads", type=int, default=1, help="CPU threads for one inference.")
@json_option
def command(
    model: Path,
    images: tuple[Path, ...],
    more_images: tuple[Path, ...],
    labels: Path | None,
    top: int,
    threshold: float,
    threads: int,
    as_json: bool,
) -> None:
    """Print the labels of photos with their scores, best first.

    IMAGES are photos, folders of photos, or - for a photo on standard input.

    \b
    Example:
      poets-edge label --graph retrained_graph.tflite photo.jpg
      daisy (score = 0.99071)
      roses (score = 0.00595)
    """
    from poets_edge.edge.models import open_scorer

    sources = list(_sources((*more_images, *images)))
    if not sources:
        raise UsageError("no photo given. Name one, or a folder of them, or - for standard input.")
    scorer = open_scorer(model, labels, threads)
    answers = []
    failures = 0
    for name, source in sources:
        try:
            scores = scorer.scores(source)
        except PhotoError as error:
            click.echo(f"Error: {error}", err=True)
            failures += 1
            continue
        found = [label for label in best(scorer.labels, scores, top) if label.score >= threshold]
        if as_json:
            answers.append({"photo": name, "labels": [{"label": x.name, "score": x.score} for x in found]})
        else:
            _print(name if len(sources) > 1 else None, found)
    if as_json:
        print_json(answers)
    if failures:
        sys.exit(1)


def _sources(images: Sequence[Path]) -> Iterator[tuple[str, Path | bytes]]:
    """(name, file or bytes) of each photo."""
    for image in images:
        if str(image) == "-":
            yield "-", sys.stdin.buffer.read()
        elif image.is_dir():
            from poets_edge.photos.folder import photo_files

            found = photo_files(image, recursive=True)
            if not found:
                raise DatasetError(f"{image}: no photos in this folder.")
            yield from ((str(path), path) for path in found)
        else:
            yield str(image), image


def _print(name: str | None, found: Sequence[Label]) -> None:
    if name is not None:
        click.echo(f"{name}:")
    indent = "" if name is None else "  "
    for label in found:
        click.echo(f"{indent}{label.name} (score = {label.score:.5f})")
    if not found:
        click.echo(f"{indent}{_UNKNOWN}")
