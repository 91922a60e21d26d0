"""`poets-edge benchmark`: measure how fast models are on this device, or on others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import click

from poets_edge.bench.benchmark import BenchmarkOptions, benchmark, results_json
from poets_edge.bench.remote.benchmark import benchmark_on
from poets_edge.bench.remote.sustained import sustain_on
from poets_edge.bench.rounds import TimingConfig
from poets_edge.bench.sustained import SustainedOptions, parse_duration, sustain
from poets_edge.bench.sustained_chart import check_chart, draw_sustained
from poets_edge.cli.benchmark_results import print_results, print_sustained
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
from poets_edge.cli.terminal import Terminal, output_json
from poets_edge.core.files import check_writable
from poets_edge.device.evaluate import EvaluatedSplit
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
        loaded = measure(load, reporter=Terminal(quiet))
        if chart is not None:
            draw_sustained(loaded, chart)
        if not output_json(loaded.to_json(), as_json=as_json, output=output):
            print_sustained(loaded)
            if chart is not None:
                click.echo(f"Chart: {chart}")
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
        print_results(results)
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
