"""`poets-edge evaluate`: accuracy, recall of each class, confusion matrix."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from poets_edge.cli.terminal import (
    FILE,
    Terminal,
    accuracy_text,
    json_option,
    option,
    print_json,
    quiet_option,
    table,
)
from poets_edge.edge.evaluate import Chosen, evaluate
from poets_edge.edge.metrics import Evaluation
from poets_edge.photos.split import SET_NAMES, Percentages


@click.command("evaluate")
@option("--graph", "model", type=FILE, required=True, help="A .tflite file, or a .pb where TensorFlow is installed.")
@option("--image_dir", type=FILE, required=True, help="Folder with one folder of photos for each class.")
@option(
    "--set",
    "chosen",
    type=click.Choice([*SET_NAMES, "all"]),
    default="test",
    help="Photos to score, divided as train divides them.",
)
@option("--labels", type=FILE, help="Labels file, one label a line, in place of the model's own.")
@option("--testing_percentage", type=int, help="Share of the test set.", show_default="as trained, else 10")
@option("--validation_percentage", type=int, help="Share of the validation set.", show_default="as trained, else 10")
@option("--recursive", is_flag=True, help="Also take photos from folders inside a class folder.")
@json_option
@quiet_option
def command(
    model: Path,
    image_dir: Path,
    chosen: str,
    labels: Path | None,
    testing_percentage: int | None,
    validation_percentage: int | None,
    recursive: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure a model's accuracy on photos whose class is known.

    The test set is the default because the model has not learned from it; on its training photos any model shines.

    \b
    Example:
      poets-edge evaluate --graph retrained_graph_int8.tflite --image_dir flower_photos
    """
    percentages = None
    if testing_percentage is not None or validation_percentage is not None:
        default = Percentages()
        percentages = Percentages(
            default.testing if testing_percentage is None else testing_percentage,
            default.validation if validation_percentage is None else validation_percentage,
        )
    result = evaluate(
        model,
        image_dir,
        chosen=cast(Chosen, chosen),
        labels=labels,
        percentages=percentages,
        recursive=recursive,
        reporter=Terminal(quiet),
    )
    wrong = result.scored.misclassified(result.labels)
    if as_json:
        print_json(
            {
                "set": chosen,
                "labels": list(result.labels),
                **result.evaluation.as_dict(),
                "unreadable": list(result.scored.unreadable),
                "misclassified": [{"photo": p.name, "answer": answer, "score": score} for p, answer, score in wrong],
            }
        )
        return
    click.echo(f"accuracy on {chosen}: {accuracy_text(result.evaluation)}")
    click.echo(f"cross entropy: {result.evaluation.cross_entropy:.4f}\n")
    click.echo(_matrix(result.evaluation))


def _matrix(evaluation: Evaluation) -> str:
    heading = ["class \\ answer", *evaluation.labels, "photos", "recall"]
    rows = [
        [
            label,
            *(str(n) for n in row),
            str(int(row.sum())),
            f"{100 * evaluation.recall(label):.1f} %" if row.sum() else "-",
        ]
        for label, row in zip(evaluation.labels, evaluation.confusion, strict=True)
    ]
    return table([heading, *rows])
