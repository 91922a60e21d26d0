"""Console output of `poets-edge grid`."""

from __future__ import annotations

import click

from poets_edge.bench.machine import machine_name
from poets_edge.cli.terminal import table
from poets_edge.core.wording import interval_text, percent
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.points import GridPoint, published_texts, unknown_texts
from poets_edge.sweep.results import GridResult


def print_result(result: GridResult, options: GridOptions) -> None:
    """Print a table of the measured models, notes on its columns, the recommended model, and the next command."""
    heading = ["architecture", "quantization", "front", "MMACs", "Mparams", "MB", "median ms", "p90 ms", "photos/s",
               "accuracy", "95 % interval", "vs. best", "unknown", *(["strangers"] if options.strangers else []),
               "ImageNet", "Pixel 3 ms"]  # fmt: skip
    if result.budget.board:
        heading.append(f"fits {result.budget.board.name}")
    click.echo(table([heading, *(_row(point, result, options) for point in result.points)], left=3))
    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    click.echo(
        f"\n* on the front: no other point is both faster and more accurate. Times with {threads}.\n"
        f"Accuracy on {result.photos_text}.\n"
        'vs. best: on the same photos; "could be equal" means that the difference is not statistically significant.\n'
        f"unknown: test photos that the model calls unknown{', and strangers' if options.strangers else ''}.\n"
        "ImageNet: published top-1. Pixel 3: published, 4 threads.\n"
    )
    if result.machine.get("host") or options.latency:
        click.echo(f"Times of {machine_name(result.machine)}.\n")
    measured = [
        *(["the estimated times"] if result.machine.get("estimated") else []),
        *(["the memory"] if result.budget.board else []),
    ]
    if measured:
        click.echo(f"Of the full-int8 model: {' and '.join(measured)}. Of the int8 model: all other figures.\n")
    if result.choice.point:
        click.echo(f"Ship {result.choice.reason}")
        if options.ship:
            click.echo(f"Its files are in {options.output_dir / 'ship'}.")
        if options.target or result.budget.board:
            graph = options.train_options(result.choice.point.architecture).output_graph
            target = (
                options.target or f"microcontroller --board {result.budget.board.name if result.budget.board else ''}"
            )
            gray = " --gray" if result.budget.board and result.choice.point.architecture.gray else ""
            click.echo(f"Next: poets-edge export {graph} --target {target}{gray}")
    click.echo(f"Report: {options.output_dir / 'report.html'}")


def _row(point: GridPoint, result: GridResult, options: GridOptions) -> list[str]:
    return [
        point.architecture.name,
        point.quantization,
        "*" if point in result.front else "",
        f"{point.mmacs:g}",
        f"{point.mparams:.2f}",
        f"{point.size / 1e6:.2f}",
        f"{point.latency.median:.3f}",
        f"{point.latency.p90:.3f}",
        "-" if point.photos_per_second is None else f"{point.photos_per_second:.0f}",
        percent(point.accuracy),
        interval_text(point.interval),
        result.comparison_text(point),
        *unknown_texts(point)[: 2 if options.strangers else 1],
        *published_texts(point),
        *([_fits(point, result)] if result.budget.board else []),
    ]


def _fits(point: GridPoint, result: GridResult) -> str:
    fits = "yes" if result.budget.fits_board(point) else "no"
    return f"{fits}, {point.cost.arena / 1024:.0f} KB" if point.cost else fits
