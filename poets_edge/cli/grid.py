"""`poets-edge grid`: retrain and measure all networks, and recommend one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from poets_edge.bench.rounds import TimingConfig
from poets_edge.cli.command import OUTPUT, option, subcommand
from poets_edge.cli.grid_results import print_result
from poets_edge.cli.options import (
    DEVICE_SECTION,
    FILE,
    NETWORK_SECTION,
    NUMBER,
    PHOTOS_SECTION,
    TIMING_SECTION,
    TRAINING_SECTION,
    bottleneck_dir_option,
    cluster_options,
    model_dir_option,
    on_option,
    open_option,
    quiet_option,
    remote_dir_option,
    result_options,
)
from poets_edge.cli.photo_options import (
    exclude_option,
    folder_argument,
    group_by_option,
    image_dir_option,
    one_folder,
    percentage_options,
    recursive_option,
    rehash_option,
    zip_encoding_option,
)
from poets_edge.cli.terminal import Terminal, open_page, output_json
from poets_edge.errors import BudgetError
from poets_edge.exporting.microcontroller.boards import BOARDS, board_with_memory
from poets_edge.exporting.npu.vela import ACCELERATORS
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import architecture, families
from poets_edge.nets.mobilenet_v1 import SMALL_MOBILENETS
from poets_edge.nets.weights import default_grid
from poets_edge.photos.split import SplitConfig
from poets_edge.sweep.budget import parse_budget
from poets_edge.sweep.grid import grid
from poets_edge.sweep.options import GridOptions
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.head import HeadOptions

_DEFAULT = GridOptions(image_dir=Path("photos"))
_CHOICE = "Choice"


@subcommand("grid", "poets-edge grid flower_photos --max-latency 20ms --max-size 1MB --ship --on pi@raspberrypi.local")
@folder_argument
@image_dir_option
@exclude_option
@option(
    "--strangers",
    type=FILE,
    metavar="DIR",
    section=PHOTOS_SECTION,
    help="Photos that belong to no class: tell how many are unknown to each model.",
)
@recursive_option
@zip_encoding_option
@rehash_option
@group_by_option
@percentage_options(_DEFAULT.percentages)
@option(
    "--architecture",
    "architectures",
    multiple=True,
    metavar="NAME",
    section=NETWORK_SECTION,
    help="Architecture to include; repeat it for several.",
    show_default="16 MobileNets V1; with poets-edge[efficientnet] installed, also 4 EfficientNet-Lites",
)
@option(
    "--fine-tune",
    type=int,
    default=0,
    show_default=False,
    section=NETWORK_SECTION,
    help="Also train the last N blocks of each, as train does; takes up to 2 GB of disk an architecture.",
)
@option("--fine-tune-epochs", type=int, section=NETWORK_SECTION, help="Epochs of fine-tuning.", show_default="60 or 30")
@bottleneck_dir_option
@model_dir_option
@cluster_options
@option(
    "--steps",
    type=int,
    default=_DEFAULT.head.steps,
    old=("--how-many-training-steps",),
    section=TRAINING_SECTION,
    help="Number of batches for each head.",
)
@option(
    "--learning-rate", type=NUMBER, default=_DEFAULT.head.learning_rate, section=TRAINING_SECTION, help="Step size."
)
@option(
    "--folds",
    type=int,
    default=_DEFAULT.folds,
    section=TRAINING_SECTION,
    help="Number of cross-validation folds; 0 uses the test set.",
)
@option(
    "--calibration-photos",
    "calibration_count",
    type=int,
    default=_DEFAULT.calibration_count,
    section=TRAINING_SECTION,
    help="Number of training photos that calibrate int8.",
)
@option("--seed", type=int, default=_DEFAULT.head.seed, section=TRAINING_SECTION, help="Random seed.")
@option("--max-latency", metavar="TIME", section=_CHOICE, help="Maximum median latency, such as 20ms.")
@option("--max-size", metavar="SIZE", section=_CHOICE, help="Maximum file size, such as 1MB.")
@option("--min-accuracy", metavar="X", section=_CHOICE, help="Minimum accuracy, such as 0.9 or 90%.")
@option("--ship", is_flag=True, section=_CHOICE, help="Copy the chosen model and its labels to OUTPUT_DIR/ship.")
@on_option(default="", show_default=False)
@remote_dir_option
@option(
    "--latency",
    type=FILE,
    multiple=True,
    metavar="FILE",
    section=DEVICE_SECTION,
    help="Read the times from a file that benchmark wrote on a device, or the app on a phone; repeat it for several.",
)
@option(
    "--target",
    type=click.Choice(ACCELERATORS),
    metavar="NPU",
    section=DEVICE_SECTION,
    help="Use the times that Arm's compiler estimates for an NPU, such as ethos-u55-128.",
)
@option(
    "--board",
    type=click.Choice([one.name for one in BOARDS]),
    section=DEVICE_SECTION,
    help="Choose from the models that fit this microcontroller board.",
)
@option(
    "--memory", metavar="SIZE", section=DEVICE_SECTION, help="With --board: memory for a model's tensors, as 320KB."
)
@option("--threads", type=int, default=_DEFAULT.threads, section=TIMING_SECTION, help="CPU threads for one inference.")
@option(
    "--min-seconds",
    "seconds",
    type=NUMBER,
    default=_DEFAULT.timing.seconds,
    section=TIMING_SECTION,
    help="Minimum seconds of timed inference for each model.",
)
@option(
    "--min-runs",
    "runs",
    type=int,
    default=_DEFAULT.timing.runs,
    section=TIMING_SECTION,
    help="Minimum number of timed inferences for each model.",
)
@option(
    "--rounds",
    type=int,
    default=_DEFAULT.timing.rounds,
    section=TIMING_SECTION,
    help="Number of fresh processes for each model.",
)
@option(
    "--output-dir",
    type=FILE,
    metavar="DIR",
    default=_DEFAULT.output_dir,
    section=OUTPUT,
    help="Folder for models, table, chart and report.",
)
@open_option("report")
@result_options
@quiet_option
def command(
    folders: tuple[Path, ...],
    image_dir: Path | None,
    architectures: tuple[str, ...],
    output_dir: Path,
    max_latency: str | None,
    max_size: str | None,
    min_accuracy: str | None,
    ship: bool,
    opened: bool,
    folds: int,
    threads: int,
    seconds: float,
    runs: int,
    rounds: int,
    bottleneck_dir: Path,
    model_dir: Path,
    steps: int,
    learning_rate: float,
    testing: int,
    validation: int,
    calibration_count: int,
    fine_tune: int,
    fine_tune_epochs: int | None,
    recursive: bool,
    zip_encoding: str | None,
    rehash: bool,
    exclude: Path | None,
    strangers: Path | None,
    group_by: str,
    cluster: str,
    insecure_cluster: bool,
    seed: int,
    on: str,
    remote_dir: str,
    latency: tuple[Path, ...],
    target: str | None,
    board: str | None,
    memory: str | None,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Retrain, export and measure every network on your photos and this device, and recommend one.

    Writes a table, a chart (PNG and SVG) and a report (HTML). The same command resumes a run that was stopped. Latency
    differs between machines: measure it on the device that will run the model, with --on or --latency.
    """
    chosen_board = board_with_memory(board, memory)
    options = GridOptions(
        image_dir=one_folder(folders, image_dir, zip_encoding),
        architectures=tuple(dict.fromkeys(architecture(architecture(name).backbone) for name in architectures))
        or (*default_grid(model_dir), *(_small_architectures() if chosen_board else ())),
        output_dir=output_dir,
        bottleneck_dir=bottleneck_dir,
        model_dir=model_dir,
        percentages=SplitConfig(testing=testing, validation=validation),
        head=HeadOptions(steps=steps, learning_rate=learning_rate, seed=seed),
        calibration_count=calibration_count,
        fine_tuning=FineTuning(blocks=fine_tune, epochs=fine_tune_epochs),
        recursive=recursive,
        rehash=rehash,
        exclude=exclude,
        strangers=strangers,
        group_by=group_by,
        cluster=cluster,
        insecure_cluster=insecure_cluster,
        folds=folds,
        threads=threads,
        timing=TimingConfig(seconds=seconds, runs=runs, rounds=rounds),
        budget=replace(parse_budget(max_latency, max_size, min_accuracy), board=chosen_board),
        ship=ship,
        on=on,
        remote_dir=remote_dir,
        latency=latency,
        target=target or "",
    )
    terminal = Terminal(quiet)
    if not architectures:
        _note_absent(options, terminal)
    result = grid(options, terminal)
    if opened:
        open_page(options.output_dir / "report.html")
    if not output_json(result.to_json(), as_json=as_json, output=output):
        print_result(result, options)
    if result.choice.point is None:
        raise BudgetError(result.choice.reason)


def _small_architectures() -> tuple[Architecture, ...]:
    """Return the architectures for microcontrollers, each with RGB input and with gray input."""
    return tuple(variant for small in SMALL_MOBILENETS for variant in (small, small.in_gray()))


def _note_absent(options: GridOptions, terminal: Terminal) -> None:
    """Print which architectures are excluded from the default grid because their weights are not installed."""
    absent = [entry for family in families() for entry in family.grid if entry not in options.architectures]
    if absent:
        names = ", ".join(entry.name for entry in absent)
        terminal.note(f"not compared, for their weights are not installed: {names}. {absent[0].weights.install}")
