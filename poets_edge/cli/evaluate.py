"""`poets-edge evaluate`: measure the accuracy, the recall of each class and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click

from poets_edge.api.models import open_scorer
from poets_edge.cli.command import argument, option, subcommand
from poets_edge.cli.model_options import graph_option, input_options, labels_option, models_and_rest
from poets_edge.cli.options import FILE, PHOTOS, PHOTOS_SECTION, quiet_option, result_options
from poets_edge.cli.photo_options import (
    group_by_option,
    image_dir_option,
    one_folder,
    percentage_options,
    recursive_option,
    split_option,
    zip_encoding_option,
)
from poets_edge.cli.terminal import Terminal, accuracy_text, output_json, table
from poets_edge.core.files import distinct_names
from poets_edge.core.wording import percent
from poets_edge.device.compare_models import common_split, compare_results, evaluate_together
from poets_edge.device.evaluate import EvaluatedSplit, EvaluateResult
from poets_edge.device.metrics import Evaluation
from poets_edge.device.overlap import overlap_lines
from poets_edge.device.paired import Paired
from poets_edge.photos.address import as_photo_path
from poets_edge.photos.split import SplitConfig


@subcommand(
    "evaluate",
    """
    poets-edge evaluate retrained_graph_int8.tflite flower_photos
    poets-edge evaluate retrained_graph.tflite retrained_graph_int8.tflite flower_photos
    """,
)
@argument(
    "arguments",
    "[MODEL]... FOLDER",
    {
        "MODEL": "A .tflite file, or a .pb: one that train wrote needs the [train] extra, any other TensorFlow."
        " By default tf_files/retrained_graph.pb. Several models are compared with the first.",
        "FOLDER": "One folder of photos for each class, named after it; or an archive or address of them.",
    },
    nargs=-1,
    type=PHOTOS,
)
@split_option("Photos to score.", show_default="photos the model has not learned from")
@percentage_options(None, show_default="as trained, else 10")
@option(
    "--strangers",
    type=FILE,
    metavar="DIR",
    section=PHOTOS_SECTION,
    help="Photos that belong to no class: report how many are unknown.",
)
@recursive_option
@group_by_option
@zip_encoding_option
@labels_option
@input_options
@graph_option
@image_dir_option
@result_options
@quiet_option
def command(
    arguments: tuple[Path, ...],
    graph: Path | None,
    image_dir: Path | None,
    split: str | None,
    labels: Path | None,
    input_range: str | None,
    testing: int | None,
    validation: int | None,
    strangers: Path | None,
    recursive: bool,
    group_by: str,
    zip_encoding: str | None,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Measure the accuracy of models on photos whose class is known.

    Photos that a model has learned from are recognized by their contents, even if they were renamed, and are not
    scored unless --split requests them. Several models are scored on the photos that none of them has learned from, and
    are compared photo by photo, with a test of whether the difference is statistically significant.
    """
    models, folders = models_and_rest(arguments, graph)
    percentages = None
    if testing is not None or validation is not None:
        default = SplitConfig()
        percentages = SplitConfig(
            testing=default.testing if testing is None else testing,
            validation=default.validation if validation is None else validation,
        )
    results = evaluate_together(
        [open_scorer(model, labels, input_range=input_range) for model in models],
        as_photo_path(one_folder(folders, image_dir, zip_encoding)),
        split=cast("EvaluatedSplit | None", split),
        percentages=percentages,
        recursive=recursive,
        group_by=group_by,
        strangers=strangers,
        reporter=Terminal(quiet),
    )
    paired = [compare_results(result, results[0]) for result in results[1:]]
    facts = [result.to_json() for result in results]
    if len(results) == 1:
        if not output_json(facts[0], as_json=as_json, output=output):
            _print(results[0])
        return
    beside: list[dict[str, Any]] = [{}, *({"beside_first": one.to_json()} for one in paired)]
    named = [{"model": str(model), **fact, **more} for model, fact, more in zip(models, facts, beside, strict=True)]
    if not output_json({"models": named}, as_json=as_json, output=output):
        _print_several(distinct_names(models), results, paired)


def _print(result: EvaluateResult) -> None:
    click.echo(f"{_heading(result)}: {accuracy_text(result.evaluation)}")
    for line in overlap_lines(result.overlap, result.learned, result.unseen):
        click.echo(line)
    for line in result.unknown.lines() if result.unknown else ():
        click.echo(line)
    click.echo(f"cross entropy: {result.evaluation.cross_entropy:.4f}\n")
    click.echo(_matrix(result.evaluation))


def _print_several(names: Sequence[str], results: Sequence[EvaluateResult], paired: Sequence[Paired]) -> None:
    split = common_split(results)
    which = "photos that no model is known to have learned from" if split == "unseen" else f"the {split} set"
    same = len({_heading(result) for result in results}) == 1
    click.echo(f"{_heading(results[0]) if same else f'accuracy on {which}'}:\n")
    rows = []
    for name, result in zip(names, results, strict=True):
        low, high = result.evaluation.interval
        rows.append(
            [
                name,
                f"{100 * result.evaluation.accuracy:.1f} %",
                f"{100 * low:.1f} to {100 * high:.1f}",
                str(result.evaluation.count),
                f"{result.evaluation.cross_entropy:.4f}",
            ]
        )
    click.echo(table([["model", "accuracy", "95 % interval", "N", "cross entropy"], *rows]) + "\n")
    for name, result in zip(names, results, strict=True):
        for line in overlap_lines(result.overlap, result.learned, result.unseen):
            click.echo(f"{name}: {line}")
    for name, result in zip(names, results, strict=True):
        for line in result.unknown.lines() if result.unknown else ():
            click.echo(f"{name}: {line}")
    for name, one in zip(names[1:], paired, strict=True):
        click.echo(f"{name} compared with {names[0]}, on {one.photos} photos: {one}.")


def _heading(result: EvaluateResult) -> str:
    """Return a heading that states which photos were evaluated and how many were skipped."""
    if result.split == "all":
        return "accuracy on all photos"
    which = "photos that the model has not learned from" if result.split == "unseen" else f"the {result.split} set"
    others = f" ({result.excluded} photos of other splits skipped; --split all includes them)"
    return f"accuracy on {which}{others if result.excluded else ''}"


def _matrix(evaluation: Evaluation) -> str:
    heading = ["class \\ answer", *evaluation.labels, "photos", "recall"]
    rows = [
        [
            label,
            *(str(n) for n in row),
            str(int(row.sum())),
            percent(evaluation.recall(label)),
        ]
        for label, row in zip(evaluation.labels, evaluation.confusion, strict=True)
    ]
    return table([heading, *rows])
