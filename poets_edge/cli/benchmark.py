"""`poets-edge benchmark`: measure how fast models are on this device, or on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import click

from poets_edge.bench.benchmark import BenchmarkOptions, BenchmarkResult, benchmark, results_json
from poets_edge.bench.machine import machine_name
from poets_edge.bench.measurement import Measurement
from poets_edge.bench.remote.benchmark import benchmark_on
from poets_edge.bench.remote.sustained import sustain_on
from poets_edge.bench.rounds import TimingConfig
from poets_edge.bench.sustained import Sustained, SustainedOptions, SustainedResult, parse_duration, sustain
from poets_edge.bench.sustained_chart import check_chart, clock_text, draw_sustained
from poets_edge.cli.command import argument, option, subcommand
from poets_edge.cli.model_options import delegate_option, input_options, labels_option
from poets_edge.cli.options import (
    FILE,
    NUMBER,
    PHOTOS_SECTION,
    TIMING_SECTION,
    on_option,
    quiet_option,
    remote_dir_option,
    result_options,
    thread_list,
)
from poets_edge.cli.photo_options import split_option
from poets_edge.cli.terminal import Terminal, output_json, table
from poets_edge.core.files import check_writable
from poets_edge.core.wording import interval_text, percent
from poets_edge.device.evaluate import EvaluatedSplit
from poets_edge.device.unknown import UnknownEvaluation
from poets_edge.errors import PoetsEdgeError, UsageError

_DEFAULT = TimingConfig()
_STDOUT = Path("-")
_LOAD = "Sustained load"


@subcommand(
    "benchmark",
    """
    poets-edge benchmark retrained_graph.tflite retrained_graph_int8.tflite --threads 1,4 --output desktop.json
    poets-edge benchmark retrained_graph_int8.tflite --on pi@raspberrypi.local --image-dir flower_photos
    poets-edge benchmark retrained_graph_int8.tflite --sustained 10m --rate 15 --chart heat.svg
    """,
)
@argument("models", "MODEL...", {"MODEL": "A .tflite file."}, nargs=-1, type=FILE, required=True)
@option(
    "--threads",
    default="",
    metavar="N,...",
    section=TIMING_SECTION,
    help="CPU threads for one inference, such as 1,2,4.",
    show_default="1,2,4, as far as there are cores",
)
@option(
    "--min-seconds",
    "seconds",
    type=NUMBER,
    default=_DEFAULT.seconds,
    section=TIMING_SECTION,
    help="Minimum seconds of timed inference for each variant.",
)
@option(
    "--min-runs",
    "runs",
    type=int,
    default=_DEFAULT.runs,
    section=TIMING_SECTION,
    help="Minimum number of timed inferences for each variant.",
)
@option(
    "--rounds",
    type=int,
    section=TIMING_SECTION,
    help="Number of fresh processes for each variant.",
    show_default=f"{_DEFAULT.rounds}, or {_DEFAULT.enough} after a minute",
)
@option("--operators", is_flag=True, hidden=True, help="Removed.")
@option(
    "--image-dir",
    type=FILE,
    metavar="FOLDER",
    section=PHOTOS_SECTION,
    help="Labeled photos: also measure accuracy, and the decoding of real photos.",
)
@split_option("Photos to score.", show_default="as evaluate")
@labels_option
@input_options
@delegate_option
@option(
    "--sustained",
    metavar="TIME",
    section=_LOAD,
    help="Keep each model under load for TIME, such as 10m, and report when it slows down.",
)
@option("--rate", type=NUMBER, section=_LOAD, help="Inferences per second, as of a camera.", show_default="full load")
@option("--chart", type=FILE, metavar="FILE", section=_LOAD, help="Draw latency over time to this SVG file.")
@on_option(
    "hosts",
    multiple=True,
    help="Measure on this device, over ssh, as pi@raspberrypi.local; repeat it for several.",
)
@remote_dir_option
@result_options
@quiet_option
def command(
    models: tuple[Path, ...],
    threads: str,
    image_dir: Path | None,
    split: str | None,
    labels: Path | None,
    input_range: str | None,
    delegate: str | None,
    seconds: float,
    runs: int,
    rounds: int | None,
    operators: bool,
    sustained: str | None,
    rate: float | None,
    chart: Path | None,
    hosts: tuple[str, ...],
    remote_dir: str,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Measure how fast models are on this device, or on others (--on).

    Latency is the time of one inference, without decoding. Each model is measured with each number of threads, in fresh
    processes in random order, after a warm-up. Photos per second are measured from file to scores, one photo at a time.

    --on installs poets_edge in a folder of its own on each device and measures there. With --image-dir the scores of
    the device are compared with those of this machine.
    """
    if operators:
        raise UsageError(
            "--operators was removed: LiteRT's Python package does not time single operators. Run LiteRT's"
            " benchmark_model with --enable_op_profiling=true on the device."
        )
    if as_json:
        models, output, as_json = _as_version_0_1(models, output)
    if output is not None:
        check_writable(output)  # checked before the measurement, which takes minutes
    if delegate is not None and (hosts or sustained is not None):
        raise UsageError("--delegate measures on this device: leave out --on and --sustained.")
    if sustained is not None:
        if image_dir:
            raise UsageError("--sustained does not measure accuracy: leave out --image-dir.")
        if len(hosts) > 1:
            raise UsageError("--sustained loads one device at a time: give --on once.")
        load = _sustained_options(models, sustained, thread_list(threads), rate, chart)
        measure = partial(sustain_on, host=hosts[0], folder=remote_dir) if hosts else sustain
        _print_sustained(measure(load, reporter=Terminal(quiet)), chart, as_json=as_json, output=output)
        return
    if rate is not None or chart is not None:
        raise UsageError("--rate and --chart belong to --sustained TIME.")
    options = BenchmarkOptions(
        models=models,
        threads=thread_list(threads),
        timing=_timing_config(seconds, runs, rounds),
        image_dir=image_dir,
        split=cast("EvaluatedSplit | None", split),
        labels=labels,
        input_range=input_range,
        delegate=delegate,
    )
    failures: Sequence[PoetsEdgeError] = ()
    if hosts:
        results, failures = benchmark_on(options, hosts, folder=remote_dir, reporter=Terminal(quiet))
    else:
        results = [benchmark(options, Terminal(quiet))]
    if results and not output_json(results_json(results), as_json=as_json, output=output):
        _print(results)
    for failure in failures[:-1]:
        click.echo(f"Error: {failure}", err=True)
    if failures:
        raise failures[-1]


def _sustained_options(
    models: tuple[Path, ...], duration: str, threads: tuple[int, ...], rate: float | None, chart: Path | None
) -> SustainedOptions:
    """Return the options of the sustained-load benchmark. Raises UsageError if they are invalid."""
    if len(threads) > 1:
        raise UsageError("--sustained takes one number of --threads.")
    if chart is not None:
        check_chart(chart)
        check_writable(chart)
    return SustainedOptions(
        models=models, seconds=parse_duration(duration), threads=threads[0] if threads else 1, rate=rate
    )


def _print_sustained(result: SustainedResult, chart: Path | None, *, as_json: bool, output: Path | None) -> None:
    if chart is not None:
        draw_sustained(result, chart)
    if output_json(result.to_json(), as_json=as_json, output=output):
        return
    heading = ["model", "runs", "first ms", "last ms", "slowed down", "hottest", "limited by", "frames missed"]
    click.echo(table([heading, *(_sustained_row(model, result.options) for model in result.models)]))
    if chart is not None:
        click.echo(f"Chart: {chart}")


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


def _timing_config(seconds: float, runs: int, rounds: int | None) -> TimingConfig:
    if rounds is None:
        return TimingConfig(seconds=seconds, runs=runs)
    return TimingConfig(seconds=seconds, runs=runs, rounds=rounds, enough=rounds)


def _as_version_0_1(models: tuple[Path, ...], output: Path | None) -> tuple[tuple[Path, ...], Path | None, bool]:
    """Interpret `--json FILE` and `--json -` as version 0.1 did, although `--json` is a flag now.

    The parser regards FILE or `-` as another model, so it is removed from the models here.

    Returns:
        The models, the file to write (None for no file), and whether to print the JSON.
    """
    files = [path for path in models if path.suffix == ".json" or path == _STDOUT]
    if not files:
        return models, output, True
    if len(files) > 1 or output is not None:
        raise UsageError(f"one file for the result is enough, not {len(files) + (output is not None)}.")
    models = tuple(path for path in models if path not in files)
    return (models, None, True) if files == [_STDOUT] else (models, files[0], False)


def _print(results: Sequence[BenchmarkResult]) -> None:
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
    return [
        str(measured.variant.threads),
        *(f"{milliseconds:.2f}" for milliseconds in measured.stages.values()),
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
