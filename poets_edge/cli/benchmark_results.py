"""Console output of `poets-edge benchmark`: latencies, accuracies, and latency under sustained load."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from poets_edge.bench.benchmark import BenchmarkResult
from poets_edge.bench.machine import machine_name
from poets_edge.bench.measurement import Measurement
from poets_edge.bench.sustained import Sustained, SustainedOptions, SustainedResult
from poets_edge.bench.sustained_chart import clock_text
from poets_edge.cli.terminal import table
from poets_edge.core.wording import interval_text, percent
from poets_edge.device.unknown import UnknownEvaluation


def print_sustained(result: SustainedResult) -> None:
    """Print a table with the latency of each model under sustained load."""
    heading = ["model", "runs", "first ms", "last ms", "slowed down", "hottest", "limited by", "frames missed"]
    click.echo(table([heading, *(_sustained_row(model, result.options) for model in result.models)]))


def _sustained_row(model: Sustained, options: SustainedOptions) -> list[str]:
    slow, hottest = model.slowdown, model.hottest
    return [
        model.name,
        str(sum(window.runs for window in model.windows)),
        f"{model.medians[0]:.3f}",
        f"{model.medians[-1]:.3f}",
        f"by {100 * (slow.ratio - 1):.0f} % after {clock_text(slow.after)}" if slow else "no",
        "-" if hottest is None else f"{hottest:.0f} °C",
        ", ".join(model.limits) or "-",
        str(model.late) if options.rate else "-",
    ]


def print_results(results: Sequence[BenchmarkResult]) -> None:
    """Print tables that contain the results from all devices, grouped by model and number of threads."""
    for result in results:
        machine, host = result.machine, f"{result.host}: " if result.host else ""
        click.echo(f"{host}{machine_name(machine)}, {machine['interpreter']} {machine['interpreter_version']}")
    heading = ["threads", "MB", "load", "first", "median", "p90", "p99", "spread", "XNNPACK", "peak MB"]
    click.echo("\n" + _table("model", heading, results, _row))
    click.echo(
        "\n" + _table("ms, medians", ["threads", "decode", "resize", "inference", "photos/s"], results, _end_to_end)
    )
    if any(result.accuracy for result in results):
        heading = ["accuracy", "95 % interval", "N", "cross entropy", "agrees with float32"]
        unknown = any(one.unknown for result in results for one in result.accuracy.values())
        heading += ["unknown", "accuracy of others"] if unknown else []
        heading += ["as here"] if any(result.host for result in results) else []
        several = len(results) > 1
        of_devices = [_accuracy(result, several, unknown) for result in results]
        rows = [row for rows in zip(*of_devices, strict=True) for row in rows]
        photos = next(result.photos for result in results if result.photos)
        click.echo(f"\naccuracy on {photos}:")
        click.echo(table([["model", *(["device"] if several else []), *heading], *rows], left=1 + several))
        for model, accuracy in results[0].accuracy.items():
            for line in accuracy.overlap_lines:
                click.echo(f"{results[0].names[model]}: {line}")


def _table(
    first: str, heading: list[str], results: Sequence[BenchmarkResult], row: Callable[[Measurement], list[str]]
) -> str:
    several = len(results) > 1
    measured = [
        (number, result.host, measurement)
        for result in results
        for number, measurement in enumerate(result.measurements)
    ]
    if several:  # devices may have been measured with different numbers of threads
        order = list(dict.fromkeys(item.variant for _, _, item in sorted(measured, key=lambda entry: entry[0])))
        measured.sort(key=lambda entry: order.index(entry[2].variant))
    rows = [[item.model.name, *([host] if several else []), *row(item)] for _, host, item in measured]
    return table([[first, *(["device"] if several else []), *heading], *rows], left=1 + several)


def _row(measured: Measurement) -> list[str]:
    latency = measured.latency
    return [
        str(measured.variant.threads),
        f"{measured.model.size / 1e6:.2f}",
        f"{measured.load:.1f} ms",
        f"{measured.first:.1f} ms",
        f"{latency.median:.3f} ms",
        f"{latency.p90:.3f}",
        f"{latency.p99:.3f}",
        percent(latency.spread),
        "yes" if measured.accelerated else "no",
        "-" if measured.peak_memory is None else f"{measured.peak_memory:.0f}",
    ]


def _end_to_end(measured: Measurement) -> list[str]:
    stages = measured.stages
    return [
        str(measured.variant.threads),
        *(f"{stages[name]:.2f}" if name in stages else "-" for name in ("decode", "resize", "inference")),
        "-" if measured.photos_per_second is None else f"{measured.photos_per_second:.0f}",
    ]


def _accuracy(result: BenchmarkResult, several: bool, unknown: bool) -> list[list[str]]:
    rows = []
    for model, accuracy in result.accuracy.items():
        rows.append(
            [
                result.names[model],
                *([result.host] if several else []),
                percent(accuracy.evaluation.accuracy),
                interval_text(accuracy.evaluation.interval),
                str(accuracy.evaluation.count),
                f"{accuracy.evaluation.cross_entropy:.4f}",
                percent(accuracy.agreement),
                *(_unknown(accuracy.unknown) if unknown else []),
                *([percent(accuracy.check.agreement)] if accuracy.check else []),
            ]
        )
    return rows


def _unknown(found: UnknownEvaluation | None) -> list[str]:
    """Return two table cells: the fraction of photos labeled unknown, and the accuracy on the remaining photos."""
    if found is None:
        return ["-", "-"]
    return [percent(found.known.share), percent(found.answered.accuracy if found.answered.count else None)]
