"""`poets-edge export`: write `.tflite` files, and print their size, accuracy and agreement with float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from poets_edge.cli.command import CODELAB, argument, option, subcommand
from poets_edge.cli.export_results import RESULT_HEADING, print_converted, print_frigate, result_cells
from poets_edge.cli.export_targets import TARGETS, export_target, target_rows
from poets_edge.cli.model_options import input_options
from poets_edge.cli.options import FILE, NUMBER, PHOTOS, PHOTOS_SECTION, quiet_option, result_options
from poets_edge.cli.photo_options import percentage_options
from poets_edge.cli.terminal import Terminal, output_json, table
from poets_edge.core.paths import GRAPH
from poets_edge.errors import UsageError
from poets_edge.exporting.export import export
from poets_edge.exporting.frigate import export_for_frigate
from poets_edge.exporting.microcontroller.boards import BOARDS
from poets_edge.exporting.microcontroller.microcontroller import Firmware
from poets_edge.exporting.npu.npu import NpuExport
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.other_formats import FORMATS, Format, export_format
from poets_edge.exporting.results import AccuracyDropError, ExportResult
from poets_edge.photos.split import SplitConfig
from poets_edge.quantize.convert import CPU_QUANTIZATIONS, QUANTIZATIONS, Quantization
from poets_edge.quantize.write_full_int8 import INPUT_TYPES, InputType

_DEFAULT = ExportOptions()
_TFLITE = "tflite"
_FILES = "Files"
PURPOSES = ("frigate",)
"""Values of the option `--for`: names of programs that require their own layout of model files."""
_TARGET = "Microcontroller or NPU"


class _Quantization(click.Choice):  # type: ignore[type-arg]  # generic since click 8.2 only
    """Parameter type for a quantization; also accepts `none`, the name of float32 in version 0.1."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.endswith(".pb"):
            self.fail(f"{value} would be its value. Name the graph first: export {value} --quantize int8", param, ctx)
        return super().convert("float32" if value == "none" else value, param, ctx)


@subcommand(
    "export",
    """
    poets-edge export --quantize    # one int8 file
    poets-edge export --all         # all four for CPUs
    poets-edge export --for frigate model_cache/flowers
    poets-edge export --format onnx
    poets-edge export --target microcontroller --board esp32s3
    """,
)
@argument(
    "argument",
    "[GRAPH]",
    {"GRAPH": f"Graph of train, by default {GRAPH}; or a graph of the codelab, a Keras model or a SavedModel."},
    type=FILE,
    required=False,
)
@option(
    "--quantize",
    type=_Quantization(QUANTIZATIONS),
    metavar="NAME",
    is_flag=False,
    flag_value="int8",
    multiple=True,
    section=_FILES,
    help="float32, float16, dynamic, int8 or full-int8; without NAME int8. Repeat it for several files.",
    show_default="float32; int8 for a _quantized architecture",
)
@option("--all", "every", is_flag=True, section=_FILES, help="Write all but full-int8.")
@option(
    "--for",
    "purpose",
    type=(click.Choice(PURPOSES), FILE),
    metavar="PROGRAM DIR",
    section=_FILES,
    help="Write the files that another program reads into DIR; PROGRAM is frigate.",
)
@option(
    "--format",
    type=click.Choice((_TFLITE, *FORMATS)),
    default=_TFLITE,
    section=_FILES,
    help="Write a Core ML package or an ONNX file instead (needs [coreml] or [onnx]).",
)
@option(
    "--float-io",
    is_flag=True,
    section=_FILES,
    help="Keep float32 input and output in the int8 file; the input is rounded to 8 bits inside.",
)
@option(
    "--input-type",
    type=click.Choice(INPUT_TYPES),
    default=_DEFAULT.input_type,
    section=_FILES,
    help="Input and output of the full-int8 file: uint8 for pixels as they are, int8 for pixels minus 128.",
)
@option(
    "--unknown-label",
    metavar="NAME",
    default="",
    show_default=False,
    section=_FILES,
    help="Name of one more label, for photos unlike the training photos, for programs that show only labels.",
)
@option(
    "--gray", is_flag=True, section=_FILES, help="Use gray input in the full-int8 file: less memory, lower accuracy."
)
@option(
    "--max-accuracy-drop",
    type=NUMBER,
    metavar="POINTS",
    section=_FILES,
    help="Fail, and write nothing, if a quantized file loses more accuracy than this.",
)
@option(
    "--output-dir", type=FILE, metavar="DIR", section=_FILES, help="Folder for the files.", show_default="the graph's"
)
@option(
    "--target",
    type=click.Choice(TARGETS),
    metavar="NAME",
    section=_TARGET,
    help="microcontroller: write firmware, after running the model in TensorFlow Lite Micro. ethos-u55-128 and others:"
    " compile for Arm's NPU. edge-tpu: check for Google's.",
)
@option(
    "--board",
    "board_name",
    type=click.Choice([one.name for one in BOARDS]),
    section=_TARGET,
    help="Board of the firmware.",
)
@option(
    "--memory",
    metavar="SIZE",
    section=_TARGET,
    help="Memory that the model's tensors may take, such as 320KB.",
    show_default="depends on the board",
)
@option(
    "--image-dir",
    type=PHOTOS,
    metavar="FOLDER",
    section=PHOTOS_SECTION,
    help="Current folder of the photos, if they were moved; or the photos for a graph of the codelab.",
)
@option(
    "--calibration-photos",
    "calibration_count",
    type=int,
    default=_DEFAULT.calibration_count,
    section=PHOTOS_SECTION,
    help="Number of training photos that calibrate int8 and full-int8.",
)
@percentage_options(SplitConfig())
@input_options
@option(
    "--input-size",
    type=int,
    metavar="PIXELS",
    section="Model",
    advanced=True,
    help="Height and width of the input, for a Keras model or SavedModel that accepts pictures of any size.",
)
@option("--graph", type=FILE, metavar="FILE", section=CODELAB, help="GRAPH, as the codelab names it.")
@option(
    "--labels",
    type=FILE,
    metavar="FILE",
    section=CODELAB,
    help="Labels of a graph that has none, one a line; or new names for some, old=new.",
    show_default="next to the graph",
)
@result_options
@quiet_option
def command(
    argument: Path | None,
    graph: Path | None,
    labels: Path | None,
    output_dir: Path | None,
    quantize: tuple[str, ...],
    target: str | None,
    board_name: str | None,
    memory: str | None,
    every: bool,
    purpose: tuple[str, Path] | None,
    format: str,
    float_io: bool,
    unknown_label: str,
    input_type: str,
    gray: bool,
    image_dir: Path | None,
    testing: int,
    validation: int,
    calibration_count: int,
    input_range: str | None,
    input_size: int | None,
    max_accuracy_drop: float | None,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Convert the trained graph to TensorFlow Lite files.

    float16 halves the size of float32; dynamic (8-bit weights) and int8 (8-bit weights and arithmetic) quarter it. int8
    is the fastest on phones and Pis. full-int8 is int8 without any float arithmetic, for microcontrollers and NPUs.
    Each file contains the labels and the normalization, and is evaluated on the test photos before it is written.
    """
    if gray and target:
        quantize = ("full-int8",)
    quantizations = CPU_QUANTIZATIONS if every else cast("tuple[Quantization, ...]", tuple(dict.fromkeys(quantize)))
    options = ExportOptions(
        graph=_graph(argument, graph),
        labels=labels,
        output_dir=output_dir,
        quantizations=quantizations,
        float_io=float_io,
        unknown_label=unknown_label,
        input_type=cast("InputType", input_type),
        gray=gray,
        image_dir=image_dir,
        percentages=SplitConfig(testing=testing, validation=validation),
        calibration_count=calibration_count,
        input_range=input_range,
        input_size=input_size,
        max_accuracy_drop=max_accuracy_drop,
    )
    if sum((purpose is not None, format != _TFLITE, bool(target or board_name or memory))) > 1:
        raise UsageError("--for, --format and --target write different files: give one of them.")
    if purpose is not None:
        if quantizations or output_dir or float_io or input_type != _DEFAULT.input_type:
            raise UsageError("--for chooses the kind and the place of its files: give no option about them.")
        print_frigate(export_for_frigate(options, purpose[1], Terminal(quiet)), as_json=as_json, output=output)
        return
    if target or board_name or memory:
        _print_target(
            export_target(options, target, board_name, memory, Terminal(quiet)), as_json=as_json, output=output
        )
        return
    if format != _TFLITE:
        if quantizations or float_io or input_type != _DEFAULT.input_type or max_accuracy_drop is not None:
            raise UsageError("--format writes float32: give no option about kinds of .tflite files.")
        print_converted(export_format(options, cast("Format", format), Terminal(quiet)), as_json=as_json, output=output)
        return
    try:
        result = export(options, Terminal(quiet))
    except AccuracyDropError as error:
        _print(error.result, as_json=as_json, output=None)  # the results of the other files are still useful
        raise
    _print(result, as_json=as_json, output=output)


def _graph(argument: Path | None, graph: Path | None) -> Path:
    """Return the graph named on the command line, or the one that `train` wrote.

    Raises:
        UsageError: two graphs are named; or none is named, and `train` has not written one here.
    """
    if argument is not None and graph is not None:
        raise UsageError(f"one graph is exported, not 2: {argument}, {graph}.")
    named = graph or argument
    if named is None and not GRAPH.is_file():
        raise UsageError(
            f"no graph named, and train has not written {GRAPH} here. Run poets-edge train flower_photos, or name the"
            " graph: poets-edge export GRAPH"
        )
    return named or GRAPH


def _print(result: ExportResult, *, as_json: bool, output: Path | None) -> None:
    if output_json(result.to_json(), as_json=as_json, output=output):
        return
    tested = result.files[0].evaluation
    heading = ["quantization", "file", *RESULT_HEADING]
    rows = [[file.quantization, str(file.path), *result_cells(file)] for file in result.files]
    click.echo(table([heading, *rows], left=2))
    click.echo(f"Evaluated on {tested.count} test photos." if tested else "Not evaluated: no test photos.")
    for file in result.files:
        if file.compared_with_float32 and file.compared_with_float32.photos:
            click.echo(f"{file.quantization} compared with float32: {file.compared_with_float32}.")
    click.echo(f"Next: poets-edge label {result.files[-1].path} PHOTO")
    click.echo("To find the network that suits your device: poets-edge grid flower_photos")


def _print_target(result: Firmware | NpuExport, *, as_json: bool, output: Path | None) -> None:
    if not output_json(result.to_json(), as_json=as_json, output=output):
        rows, step = target_rows(result)
        click.echo(table(rows, left=2))
        click.echo(f"Next: {step}")
