"""Console output of `poets-edge train`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from poets_edge.cli.terminal import accuracy_text, table
from poets_edge.core.paths import GRAPH
from poets_edge.core.wording import percent

if TYPE_CHECKING:
    from poets_edge.training.results import TrainResult


def print_result(result: TrainResult, *, misclassified: bool) -> None:
    """Print the accuracy and the recall per class of a training run, its output files, and the next command to run.

    Args:
        misclassified: whether to list the misclassified test photos.
    """
    if result.fine_tuned:
        click.echo(result.fine_tuned.verdict)
    click.echo(_recall(result))
    click.echo(f"validation accuracy {accuracy_text(result.validation)}")
    click.echo(f"test accuracy {accuracy_text(result.test)}")
    if result.cross_validated:
        where = " within training and validation photos" if result.has_own_test else ""
        click.echo(f"cross-validated accuracy{where} {accuracy_text(result.cross_validated)}")
    if result.unknown:
        click.echo(f"unknown {result.unknown}")
    if misclassified:
        for mistake in result.misclassified:
            click.echo(f"  {mistake.photo.name}  answered {mistake.answer} (score = {mistake.score:.5f})")
    click.echo(
        f"graph   {result.graph}\nlabels  {result.labels_file}\nrecord  {result.record}\nreport  {result.report}"
    )
    named = "" if result.graph == GRAPH else f" {result.graph}"
    click.echo(f"next    poets-edge export{named} --quantize int8")


def _recall(result: TrainResult) -> str:
    """Return a table with each class's number of photos, its recall on the test set, and its cross-validated recall."""
    evaluations = {"test recall": result.test}
    if result.cross_validated:
        evaluations["cross-validated recall"] = result.cross_validated.scored.evaluation(result.labels)
    rows = [
        [
            label,
            str(sum(result.table[label].values())),
            *(percent(evaluation.recall(label)) for evaluation in evaluations.values()),
        ]
        for label in result.labels
    ]
    return table([["class", "photos", *evaluations], *rows])
