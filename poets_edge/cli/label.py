"""`poets-edge label`: label photos."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from poets_edge.api.models import open_scorer
from poets_edge.cli.codelab_options import check_codelab_options, codelab_options
from poets_edge.cli.command import CODELAB, argument, option, subcommand
from poets_edge.cli.model_options import (
    accept_all_option,
    delegate_option,
    graph_option,
    input_range_option,
    labels_option,
    merged_range,
    models_and_rest,
)
from poets_edge.cli.options import FILE, Number, result_options
from poets_edge.cli.streams import escaped
from poets_edge.cli.terminal import Terminal, output_json
from poets_edge.device.classifier import Classifier
from poets_edge.device.scorer import Label, best
from poets_edge.device.staleness import stale_line
from poets_edge.errors import DatasetError, PhotoError, UsageError

_UNKNOWN = "unknown"
_UNLIKE = f"{_UNKNOWN} (unlike the training photos)"


@subcommand(
    "label",
    """
    poets-edge label retrained_graph_int8.tflite photo.jpg
    poets-edge label retrained_graph_int8.tflite photos --top 1 --json
    """,
)
@argument(
    "arguments",
    "[MODEL] PHOTO...",
    {
        "MODEL": "A .tflite file, or a .pb: one that train wrote needs the [train] extra, any other TensorFlow."
        " By default tf_files/retrained_graph.pb.",
        "PHOTO": "A photo, a folder of photos, or - for a photo on standard input.",
    },
    nargs=-1,
    type=FILE,
)
@option("--top", type=click.IntRange(min=1), default=5, section="Answer", help="Number of labels to print.")
@option(
    "--threshold",
    type=Number(0, 1),
    default=0.0,
    section="Answer",
    help="Score below which the label is 'unknown'.",
)
@accept_all_option
@labels_option
@input_range_option
@option("--threads", type=int, default=1, section="Model", help="CPU threads for one inference.")
@delegate_option
@graph_option
@option("--image", "images", type=FILE, metavar="FILE", multiple=True, section=CODELAB, help="A photo.")
@codelab_options
@result_options
def command(
    arguments: tuple[Path, ...],
    graph: Path | None,
    images: tuple[Path, ...],
    labels: Path | None,
    input_range: str | None,
    top: int,
    threshold: float,
    accept_all: bool,
    threads: int,
    delegate: str | None,
    as_json: bool,
    output: Path | None,
    **codelab: Any,
) -> None:
    """Print the labels of photos with their scores, best first."""
    models, photos = models_and_rest(arguments, graph)
    if len(models) > 1:
        raise UsageError(f"one model labels photos, not {len(models)}: {', '.join(map(str, models))}.")
    sources = list(_sources((*images, *photos)))
    if not sources:
        raise UsageError("no photo given. Name one, or a folder of them, or - for standard input.")
    wanted = merged_range(input_range, codelab["input_mean"], codelab["input_std"])
    scorer = open_scorer(models[0], labels, threads, input_range=wanted, delegate=delegate)
    check_codelab_options(scorer, {**codelab, **({"input_mean": None, "input_std": None} if wanted else {})})
    for remark in scorer.remarks:
        Terminal().note(remark)
    if isinstance(scorer, Classifier):
        scorer.check_threshold(threshold)
        if line := stale_line(scorer):
            Terminal().warn(line)
    answers = []
    failures = 0
    for name, source in sources:
        try:
            answer = scorer.predict(source)
        except PhotoError as error:
            click.echo(escaped(f"Error: {error}", line=True), err=True)
            failures += 1
            continue
        unknown = answer.unknown and not accept_all
        found = [label for label in best(scorer.labels, answer.scores, top) if label.score >= threshold]
        if as_json or output is not None:
            answers.append(
                {
                    "photo": name,
                    "unknown": unknown,
                    "distance": answer.distance,
                    "labels": [{"label": x.name, "score": x.score} for x in found],
                }
            )
        if not as_json:
            _print(name if len(sources) > 1 else None, found, unknown=unknown)
    output_json(answers, as_json=as_json, output=output)
    if failures:
        sys.exit(1)


def _sources(images: Sequence[Path]) -> Iterator[tuple[str, Path | bytes]]:
    """Yield the name of each photo, and its path or, for a photo from standard input, its content."""
    for image in images:
        if str(image) == "-":
            yield "-", sys.stdin.buffer.read()
        elif image.is_dir():
            from poets_edge.photos.folder import photo_files
            from poets_edge.photos.tree import other_files_text

            found, others = photo_files(image, recursive=True)
            if not found:
                but = f", but {other_files_text(others)}" if others else ""
                raise DatasetError(f"{image}: no photos in this folder{but}.")
            if others:
                Terminal().warn(f"{image}: left out {other_files_text(others)}.")
            yield from ((str(path), path) for path in found)
        else:
            yield str(image), image


def _print(name: str | None, found: Sequence[Label], *, unknown: bool) -> None:
    if name is not None:
        click.echo(f"{name}:")
    indent = "" if name is None else "  "
    if unknown:
        click.echo(f"{indent}{_UNLIKE}")
        for label in found[:1]:
            click.secho(f"{indent}nearest: {label.name} (score = {label.score:.5f})", dim=True)
        return
    for label in found:
        click.echo(f"{indent}{label.name} (score = {label.score:.5f})")
    if not found:
        click.echo(f"{indent}{_UNKNOWN}")
