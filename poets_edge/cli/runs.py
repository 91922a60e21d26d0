"""`poets-edge runs`: list training runs, and compare two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from poets_edge.cli.command import argument, option, subcommand
from poets_edge.cli.options import FILE, result_options
from poets_edge.cli.terminal import output_json, table
from poets_edge.core.paths import RUNS
from poets_edge.errors import UsageError
from poets_edge.training.runs import Run, differences, list_runs

_MOST_SHOWN = 3
"""Maximum number of differences from the previous run that are shown for each run."""


@subcommand(
    "runs",
    """
    poets-edge runs
    poets-edge runs 3 5
    tensorboard --logdir tf_files/runs
    """,
)
@argument("numbers", "[NUMBER NUMBER]", {"NUMBER": "Number of a run in the list."}, nargs=-1, type=int)
@option("--runs-dir", type=FILE, metavar="DIR", default=RUNS, help="Folder of the runs, as for train.")
@result_options
def command(numbers: tuple[int, ...], runs_dir: Path, as_json: bool, output: Path | None) -> None:
    """List the training runs, or compare two of them."""
    runs = list_runs(runs_dir)
    if numbers and len(numbers) != 2:
        raise UsageError("name two runs by their numbers, as in: poets-edge runs 1 2")
    for number in numbers:
        if not 1 <= number <= len(runs):
            raise UsageError(f"there is no run {number}; {runs_dir} holds {len(runs)}.")
    chosen = [runs[number - 1] for number in numbers] or list(runs)
    if output_json([run.to_json() for run in chosen], as_json=as_json, output=output):
        return
    if not chosen:
        click.echo(f"No runs in {runs_dir} yet. Next: poets-edge train flower_photos")
    elif numbers:
        click.echo(_side_by_side(chosen, numbers))
    else:
        click.echo(_listed(chosen))
        click.echo(f"Curves: tensorboard --logdir {runs_dir}")


def _listed(runs: list[Run]) -> str:
    rows = []
    for number, run in enumerate(runs, 1):
        before = runs[number - 2] if number > 1 else run
        changed = [f"{name} {_text(row[1])}" for name, row in differences([before, run]).items()]
        more = f", {len(changed) - _MOST_SHOWN} more" if len(changed) > _MOST_SHOWN else ""
        rows.append(
            [
                str(number),
                run.date[:16].replace("T", " "),
                run.options["architecture"],
                ", ".join(changed[:_MOST_SHOWN]) + more,
                str(sum(run.photos.values())),
                *(_accuracy(run, name) for name in ("validation", "test", "cross_validation")),
            ]
        )
    heading = ["run", "date", "architecture", "differs from the previous run", "photos", "validation", "test"]
    return table([[*heading, "cross-validated"], *rows], left=4)


def _side_by_side(runs: list[Run], numbers: tuple[int, ...]) -> str:
    rows = [["date", *(run.date[:16].replace("T", " ") for run in runs)]]
    rows += [[name, *map(_text, row)] for name, row in differences(runs).items()]
    for name in ("validation", "test", "cross_validation"):
        rows.append([f"{name.replace('_', '-')} accuracy", *(_accuracy(run, name) for run in runs)])
    for label in sorted({label for run in runs for label in run.recall}):
        recalls = [run.recall.get(label) for run in runs]
        rows.append([f"test recall, {label}", *("-" if recall is None else f"{recall:.1%}" for recall in recalls)])
    return table([["", *(f"run {number}" for number in numbers)], *rows])


def _accuracy(run: Run, name: str) -> str:
    found = run.accuracies.get(name)
    if found is None or found["accuracy"] is None:
        return "-"
    return f"{found['accuracy']:.1%} of {found['photos']}"


def _text(value: Any) -> str:
    return "-" if value is None else str(value)
