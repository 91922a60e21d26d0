"""`poets-edge compare`: compare benchmark results."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import click

from poets_edge.bench.compare import Cell, Comparison, compare
from poets_edge.bench.ratios import CONFIDENCE, NO_DIFFERENCE
from poets_edge.cli.command import argument, subcommand
from poets_edge.cli.options import FILE, result_options
from poets_edge.cli.terminal import output_json, table
from poets_edge.core.wording import percent

_MEANINGS = {
    "no difference": f"{100 * NO_DIFFERENCE:g} % at most, either way.",
    "cannot tell": "the times of single processes differ too much. More --rounds on a quiet machine tell.",
}


@subcommand("compare", "poets-edge compare desktop.json pi4.json")
@argument("files", "FILE...", {"FILE": "Result of benchmark --output."}, nargs=-1, type=FILE, required=True)
@result_options
def command(files: tuple[Path, ...], as_json: bool, output: Path | None) -> None:
    """Compare benchmarks of several devices or versions with the first benchmark.

    A ratio of 2.00x means twice the time. Each ratio is given with a verdict and a confidence interval, which is
    computed from the variation between processes and between runs. If two runs are from the same machine, their times
    are first divided by the time of a reference kernel, which every process also measures. Models that poets-edge
    exported are matched by architecture and quantization, others by file name.
    """
    comparison = compare(files)
    if not output_json(comparison.to_json(), as_json=as_json, output=output):
        _print(comparison)


def _print(comparison: Comparison) -> None:
    for name, machine, warnings in zip(comparison.names, comparison.machines, comparison.warnings, strict=True):
        click.echo(f"{name}: {machine}")
        for warning in warnings:
            click.echo(f"  warning when it was measured: {warning}")
    first, *others = comparison.names
    heading = [
        "median ms",
        "threads",
        first,
        *(title for name in others for title in (name, "ratio", f"{CONFIDENCE} % interval", "")),
    ]
    rows = [
        [row.model, str(row.threads), _median(row.cells[0])]
        + [text for cell in row.cells[1:] for text in (_median(cell), *_ratio(cell))]
        for row in comparison.rows
    ]
    click.echo("\n" + table([heading, *rows]))
    if corrected := _corrections(comparison):
        click.echo(f"\nratios are relative to a reference kernel, which took {corrected}")
    if any(cell is not None and cell.accuracy is not None for row in comparison.rows for cell in row.cells):
        heading = ["accuracy", "threads", *comparison.names]
        click.echo(
            "\n"
            + table([heading, *([row.model, str(row.threads), *map(_accuracy, row.cells)] for row in comparison.rows)])
        )
        click.echo("\n".join(_evaluated(comparison)))
    verdicts = {cell.ratio.verdict for row in comparison.rows for cell in row.cells[1:] if cell and cell.ratio}
    for verdict, meaning in _MEANINGS.items():
        if verdict in verdicts:
            click.echo(f"\n{verdict}: {meaning}")


def _corrections(comparison: Comparison) -> str:
    """Return a phrase about the speed of the reference kernel in each benchmark, relative to the first benchmark.

    An example is "0.976x the time in b". The phrase is empty if no ratio was corrected for the kernel's time.
    """
    phrases = []
    for number, name in list(enumerate(comparison.names))[1:]:
        cells = [row.cells[number] for row in comparison.rows]
        if kernels := [cell.kernel for cell in cells if cell and cell.kernel]:
            phrases.append(f"{statistics.median(kernels):.3f}x the time in {name}")
    return ", ".join(phrases)


def _evaluated(comparison: Comparison) -> list[str]:
    """Return lines that state which photos each accuracy is based on, and how many a model has learned from."""
    named = [(name, photos) for name, photos in zip(comparison.names, comparison.photos, strict=True) if photos]
    lines = [f"{name}: accuracy on {photos}" for name, photos in named]
    if len({frozenset(photos.names) for _, photos in named}) > 1:
        lines.append("The accuracies are of different photos.")
    for row in comparison.rows:
        for name, cell in zip(comparison.names, row.cells, strict=True):
            if cell and cell.accuracy is not None and cell.learned is None:
                lines.append(f"{name}: which of these photos {row.model} has learned from is not known")
            elif cell and cell.learned:
                lines.append(f"{name}: {row.model} has learned from {cell.learned} of these photos")
    return lines


def _median(cell: Cell | None) -> str:
    return "-" if cell is None else f"{cell.median:.3f}"


def _ratio(cell: Cell | None) -> tuple[str, str, str]:
    if cell is None or cell.ratio is None:
        return "-", "-", ""
    known = math.isfinite(cell.ratio.high)
    interval = f"{cell.ratio.low:.2f} to {cell.ratio.high:.2f}" if known else "not known"
    return f"{cell.ratio.ratio:.2f}x", interval, cell.ratio.verdict


def _accuracy(cell: Cell | None) -> str:
    return percent(cell.accuracy if cell else None)
