"""`poets-edge benchmark`: how fast models are on this device."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from poets_edge.benchmarking.benchmark import BenchmarkOptions, BenchmarkResult, benchmark
from poets_edge.benchmarking.measurement import Measurement, Settings
from poets_edge.cli.options import FILE, labels_option, option, quiet_option, result_options, subcommand, thread_list
from poets_edge.cli.terminal import Terminal, give, table
from poets_edge.edge.evaluate import Chosen
from poets_edge.errors import UsageError
from poets_edge.files import check_writable
from poets_edge.photos.split import SET_NAMES

_DEFAULT = Settings()
_STDOUT = Path("-")


@subcommand("benchmark")
@click.argument("models", metavar="MODEL...", nargs=-1, type=FILE, required=True)
@option("--threads", default="", help="CPU threads of an inference, as 1,2,4.", show_default="1,2,4, as cores allow")
@option("--image_dir", type=FILE, help="Labelled photos: also measure accuracy, and decode real photos.")
@option(
    "--set",
    "chosen",
    type=click.Choice([*SET_NAMES, "all"]),
    default="test",
    help="Photos of --image_dir to score, divided as train divides them.",
)
@labels_option
@option(
    "--min-seconds",
    "seconds",
    type=float,
    default=_DEFAULT.seconds,
    help="Seconds of timed inference a variant, at least.",
)
@option("--min-runs", "runs", type=int, default=_DEFAULT.runs, help="Timed inferences a variant, at least.")
@option("--rounds", type=int, default=_DEFAULT.rounds, help="Fresh processes a variant.")
@option("--operators", is_flag=True, help="Also show where the time goes inside each model.", show_default=False)
@result_options
@quiet_option
def command(
    models: tuple[Path, ...],
    threads: str,
    image_dir: Path | None,
    chosen: str,
    labels: Path | None,
    seconds: float,
    runs: int,
    rounds: int,
    operators: bool,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Measure how fast models are on this device.

    Latency is the time of one inference with the picture already in place. Each model runs at each number of threads
    in fresh processes, in random order, after a warm-up. Photos a second are from file to scores, one at a time.

    \b
    Example:
      poets-edge benchmark retrained_graph.tflite retrained_graph_int8.tflite --threads 1,4 --output pi4.json
      poets-edge compare desktop.json pi4.json
    """
    if as_json:
        models, output, as_json = _as_version_0_1(models, output)
    options = BenchmarkOptions(
        models=models,
        threads=thread_list(threads),
        settings=Settings(seconds=seconds, runs=runs, rounds=rounds),
        image_dir=image_dir,
        chosen=cast(Chosen, chosen),
        labels=labels,
        operators=operators,
    )
    if output is not None:
        check_writable(output)  # before minutes of measuring, not after
    result = benchmark(options, Terminal(quiet))
    if not give(result.as_dict(), as_json=as_json, output=output):
        _print(result)


def _as_version_0_1(models: tuple[Path, ...], output: Path | None) -> tuple[tuple[Path, ...], Path | None, bool]:
    """Understand `--json FILE`, which wrote the file, and `--json -`: what is no model is where the JSON goes.

    Returns:
        The models, the file to write, and whether to print the JSON.
    """
    files = [path for path in models if path.suffix == ".json" or path == _STDOUT]
    if not files:
        return models, output, True
    if len(files) > 1 or output is not None:
        raise UsageError(f"one file for the result is enough, not {len(files) + (output is not None)}.")
    models = tuple(path for path in models if path not in files)
    return (models, None, True) if files == [_STDOUT] else (models, files[0], False)


def _print(result: BenchmarkResult) -> None:
    machine = result.machine
    click.echo(
        f"{machine['board'] or machine['cpu'] or machine['architecture']}, {machine['cores']} cores,"
        f" {machine['interpreter']} {machine['interpreter_version']}\n"
    )
    heading = ["model", "threads", "MB", "load", "first", "median", "p90", "p99", "spread", "XNNPACK", "peak MB"]
    click.echo(table([heading, *(_row(measurement) for measurement in result.measurements)]))
    heading = ["ms, medians", "threads", "decode", "resize", "inference", "photos/s"]
    click.echo("\n" + table([heading, *(_end_to_end(measurement) for measurement in result.measurements)]))
    if result.judged:
        click.echo(
            "\n"
            + table(
                [
                    ["model", "accuracy", "95 % interval", "N", "cross entropy", "agrees with float32"],
                    *_accuracy(result),
                ]
            )
        )
    for model, profile in result.operators.items():
        click.echo(f"\n{result.names[model]}: {profile['wall_us'] / 1e3:.3f} ms\n{_operators(profile)}")


def _row(measured: Measurement) -> list[str]:
    latency = measured.latency
    return [
        measured.model.name,
        str(measured.variant.threads),
        f"{measured.model.size / 1e6:.2f}",
        f"{measured.load:.1f} ms",
        f"{measured.first:.1f} ms",
        f"{latency.median:.3f} ms",
        f"{latency.p90:.3f}",
        f"{latency.p99:.3f}",
        f"{100 * latency.spread:.1f} %",
        "yes" if measured.accelerated else "no",
        "-" if measured.peak_memory is None else f"{measured.peak_memory:.0f}",
    ]


def _end_to_end(measured: Measurement) -> list[str]:
    return [
        measured.model.name,
        str(measured.variant.threads),
        *(f"{milliseconds:.2f}" for milliseconds in measured.stages.values()),
        f"{measured.photos_per_second:.0f}",
    ]


def _accuracy(result: BenchmarkResult) -> list[list[str]]:
    rows = []
    for model, judged in result.judged.items():
        low, high = judged.evaluation.interval
        rows.append(
            [
                result.names[model],
                f"{100 * judged.evaluation.accuracy:.1f} %",
                f"{100 * low:.1f} to {100 * high:.1f}",
                str(judged.evaluation.count),
                f"{judged.evaluation.cross_entropy:.4f}",
                "-" if judged.agreement is None else f"{100 * judged.agreement:.1f} %",
            ]
        )
    return rows


def _operators(profile: dict[str, Any]) -> str:
    """Operators of a kind together, the most expensive first."""
    total = sum(entry["us"] for entry in profile["operators"])
    kinds: dict[str, list[float]] = {}
    for entry in profile["operators"]:
        kinds.setdefault(entry["name"], []).append(entry["us"])
    rows = [
        [name, str(len(times)), f"{sum(times) / 1e3:.3f}", f"{100 * sum(times) / total:.1f} %"]
        for name, times in sorted(kinds.items(), key=lambda item: -sum(item[1]))
    ]
    return table([["operator", "times", "ms", "share"], *rows])
