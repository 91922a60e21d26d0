"""`poets-edge evaluate`: accuracy, recall of each class, confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import click

from poets_edge.api.models import evaluate
from poets_edge.cli.options import (
    PHOTOS,
    graph_option,
    image_dir_option,
    labels_option,
    models_and_rest,
    one_folder,
    option,
    quiet_option,
    recursive_option,
    result_options,
    subcommand,
)
from poets_edge.cli.terminal import Terminal, accuracy_text, give, table
from poets_edge.core.files import distinct_names
from poets_edge.core.wording import percent
from poets_edge.device.evaluate import Chosen, EvaluateResult, compare_results
from poets_edge.device.metrics import Evaluation
from poets_edge.device.paired import Paired
from poets_edge.photos.split import SET_NAMES, Percentages


@subcommand("evaluate")
@click.argument("arguments", metavar="[MODEL]...", nargs=-1, type=PHOTOS)
@graph_option
@image_dir_option
@option(
    "--set",
    "chosen",
    type=click.Choice([*SET_NAMES, "all"]),
    help="Photos to score, divided as train divides them.",
    show_default="test for the folder it was trained on, all for another",
)
@labels_option
@option(
    "--testing_percentage",
    "testing",
    type=int,
    help="Percent of the photos in the test set.",
    show_default="as trained, else 10",
)
@option(
    "--validation_percentage",
    "validation",
    type=int,
    help="Percent of the photos in the validation set.",
    show_default="as trained, else 10",
)
@recursive_option
@result_options
@quiet_option
def command(
    arguments: tuple[Path, ...],
    graph: Path | None,
    image_dir: Path | None,
    chosen: str | None,
    labels: Path | None,
    testing: int | None,
    validation: int | None,
    recursive: bool,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Measure a model's accuracy on photos whose class is known.

    MODEL is a .tflite file, or a .pb where TensorFlow is installed; by default the graph that train writes. Several are
    compared with the first, photo by photo: whether one is better, or whether that could be chance. Of the
    folder it was trained on only the test set is scored, because on its training photos any model shines; of any
    other folder every photo.

    \b
    Example:
      poets-edge evaluate retrained_graph_int8.tflite --image_dir flower_photos
      poets-edge evaluate retrained_graph.tflite retrained_graph_int8.tflite --image_dir flower_photos
    """
    models, folders = models_and_rest(arguments, graph)
    percentages = None
    if testing is not None or validation is not None:
        default = Percentages()
        percentages = Percentages(
            testing=default.testing if testing is None else testing,
            validation=default.validation if validation is None else validation,
        )
    folder, terminal = one_folder(folders, image_dir), Terminal(quiet)
    results: list[EvaluateResult] = []
    for model in models:
        results.append(
            evaluate(
                model,
                folder,
                # All of the same set, so that they answer the same photos.
                chosen=results[0].chosen if results else cast("Chosen | None", chosen),
                labels=labels,
                percentages=percentages,
                recursive=recursive,
                reporter=terminal,
            )
        )
    paired = [compare_results(result, results[0]) for result in results[1:]]
    facts = [_facts(result) for result in results]
    if len(results) == 1:
        if not give(facts[0], as_json=as_json, output=output):
            _print(results[0])
        return
    beside: list[dict[str, Any]] = [{}, *({"beside_first": one.to_json()} for one in paired)]
    named = [{"model": str(model), **fact, **more} for model, fact, more in zip(models, facts, beside, strict=True)]
    if not give({"models": named}, as_json=as_json, output=output):
        _print_several(distinct_names(models), results, paired)


def _facts(result: EvaluateResult) -> dict[str, Any]:
    return {
        "set": result.chosen,
        "left_out": result.left_out,
        "labels": list(result.labels),
        **result.evaluation.to_json(),
        "unreadable": list(result.scored.unreadable),
        "misclassified": [mistake.to_json() for mistake in result.scored.misclassified(result.labels)],
    }


def _print(result: EvaluateResult) -> None:
    click.echo(f"{_what(result)}: {accuracy_text(result.evaluation)}")
    click.echo(f"cross entropy: {result.evaluation.cross_entropy:.4f}\n")
    click.echo(_matrix(result.evaluation))


def _print_several(names: Sequence[str], results: Sequence[EvaluateResult], paired: Sequence[Paired]) -> None:
    click.echo(f"{_what(results[0])}:\n")
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
    for name, one in zip(names[1:], paired, strict=True):
        click.echo(f"{name} beside {names[0]}, on {one.photos} photos: {one}.")


def _what(result: EvaluateResult) -> str:
    if result.chosen == "all":
        return "accuracy on all photos"
    others = f" ({result.left_out} photos of the other sets left out; --set all takes them too)"
    return f"accuracy on the {result.chosen} set{others if result.left_out else ''}"


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
