"""`poets-edge grid`: which MobileNet to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from poets_edge.architectures import MOBILENETS, architecture
from poets_edge.benchmarking.measurement import Settings
from poets_edge.cli.terminal import FILE, Terminal, json_option, option, print_json, quiet_option, table
from poets_edge.errors import UsageError
from poets_edge.photos.split import Percentages
from poets_edge.sweep.grid import grid
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.points import Point, parse_budget
from poets_edge.sweep.results import GridResult
from poets_edge.training.head import HeadOptions

_DEFAULT = GridOptions(Path("photos"))


@click.command("grid")
@option("--image_dir", type=FILE, required=True, help="Folder with one folder of photos for each class.")
@option(
    "--architecture",
    "names",
    multiple=True,
    help="One of them; give it several times for several.",
    show_default="all 16 MobileNets",
)
@option("--output_dir", type=FILE, default=_DEFAULT.output_dir, help="Where models, table, chart and report go.")
@option("--max-latency", help="Longest median time of an inference, as 20ms.")
@option("--max-size", help="Largest file, as 1MB.")
@option("--min-accuracy", help="Least accuracy on the test photos, as 0.9 or 90%.")
@option("--ship", is_flag=True, help="Copy the chosen model and its labels to <output_dir>/ship.", show_default=False)
@option("--threads", type=int, default=_DEFAULT.threads, help="CPU threads of an inference whose time is taken.")
@option("--min-seconds", type=float, default=_DEFAULT.settings.seconds, help="Seconds of timed inference a model.")
@option("--min-runs", type=int, default=_DEFAULT.settings.runs, help="Timed inferences a model, at least.")
@option("--rounds", type=int, default=_DEFAULT.settings.rounds, help="Fresh processes a model.")
@option("--bottleneck_dir", type=FILE, default=_DEFAULT.bottleneck_dir, help="Where bottlenecks are kept, as train's.")
@option("--model_dir", type=FILE, default=_DEFAULT.model_dir, help="Where weights files are looked for first.")
@option("--how_many_training_steps", type=int, default=_DEFAULT.head.steps, help="Batches to train each head on.")
@option("--learning_rate", type=float, default=_DEFAULT.head.learning_rate, help="Step size of gradient descent.")
@option("--testing_percentage", type=int, default=_DEFAULT.percentages.testing, help="Share of the test photos.")
@option("--validation_percentage", type=int, default=_DEFAULT.percentages.validation, help="Share that watches.")
@option("--calibration_photos", type=int, default=_DEFAULT.calibration_count, help="Photos that set int8's ranges.")
@option("--recursive", is_flag=True, help="Also take photos from folders inside a class folder.", show_default=False)
@option("--seed", type=int, default=_DEFAULT.head.seed, help="Same seed, same models.")
@json_option
@quiet_option
def command(
    image_dir: Path,
    names: tuple[str, ...],
    max_latency: str | None,
    max_size: str | None,
    min_accuracy: str | None,
    min_seconds: float,
    min_runs: int,
    rounds: int,
    how_many_training_steps: int,
    learning_rate: float,
    testing_percentage: int,
    validation_percentage: int,
    calibration_photos: int,
    seed: int,
    as_json: bool,
    quiet: bool,
    **more: Any,
) -> None:
    """Retrain, export and measure every MobileNet on your photos and this device, and say which one to ship.

    Writes a table, a chart (PNG and SVG) and a report (HTML) into --output_dir. A run that was stopped goes on where
    it was. Run it on the device itself, or copy the models there and use benchmark: times of one machine say little
    about another.

    \b
    Example:
      poets-edge grid --image_dir flower_photos --max-latency 20ms --max-size 1MB --ship
    """
    options = GridOptions(
        image_dir,
        tuple(dict.fromkeys(architecture(architecture(name).backbone) for name in names)) or MOBILENETS,
        percentages=Percentages(testing_percentage, validation_percentage),
        head=HeadOptions(how_many_training_steps, learning_rate, seed=seed),
        settings=Settings(min_seconds, min_runs, rounds),
        budget=parse_budget(max_latency, max_size, min_accuracy),
        calibration_count=calibration_photos,
        **more,
    )
    result = grid(options, Terminal(quiet))
    if as_json:
        print_json(result.as_dict())
    else:
        _print(result, options)
    if result.choice.point is None:
        raise UsageError(result.choice.reason)


def _print(result: GridResult, options: GridOptions) -> None:
    heading = ["architecture", "quantization", "", "MMACs", "Mparams", "MB", "median", "p90", "photos/s", "accuracy",
               "95 % interval", "ImageNet", "Pixel 3"]  # fmt: skip
    click.echo(table([heading, *(_row(point, result) for point in result.points)], left=3))
    click.echo(
        f"\n* on the front: no other point is both faster and more accurate. Accuracy on {result.points[0].photos} test"
        f" photos;\ntimes in ms with {result.threads} thread{'s' if result.threads > 1 else ''}."
        " ImageNet: published top-1. Pixel 3: published ms, 4 threads.\n"
    )
    if result.choice.point:
        click.echo(f"Ship {result.choice.reason}")
        if options.ship:
            click.echo(f"Its files are in {options.output_dir / 'ship'}.")
    click.echo(f"Report: {options.output_dir / 'report.html'}")


def _row(point: Point, result: GridResult) -> list[str]:
    low, high = point.interval
    return [
        point.architecture.name,
        point.quantization,
        "*" if point in result.front else "",
        f"{point.mmacs:g}",
        f"{point.mparams:.2f}",
        f"{point.size / 1e6:.2f}",
        f"{point.latency.median:.3f}",
        f"{point.latency.p90:.3f}",
        f"{point.photos_per_second:.0f}",
        f"{100 * point.accuracy:.1f} %",
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{point.published_top1:.1f} %",
        f"{point.published_ms:g}",
    ]
