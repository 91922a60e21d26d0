"""`poets-edge export`: `.tflite` files with their size, accuracy and agreement."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from poets_edge.cli.options import FILE, option, quiet_option, result_options, subcommand
from poets_edge.cli.terminal import Terminal, give, table
from poets_edge.core.wording import interval_text, percent
from poets_edge.export.export import ExportOptions, export
from poets_edge.export.results import AccuracyDropError, ExportedFile, ExportResult
from poets_edge.photos.split import Percentages
from poets_edge.quantize.convert import QUANTIZATIONS, Quantization

_DEFAULT = ExportOptions()
JUDGED = ("MB", "test accuracy", "95 % interval", "agrees with float32")


class _Quantization(click.Choice[str]):
    """Also takes `none`, which is what version 0.1 called float32."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.endswith(".pb"):
            self.fail(f"{value} would be its value. Name the graph first: export {value} --quantize int8", param, ctx)
        return super().convert("float32" if value == "none" else value, param, ctx)


@subcommand("export")
@click.argument("argument", metavar="[GRAPH]", type=FILE, required=False)
@option("--graph", type=FILE, help="The graph, as the codelab names it.", show_default=False)
@option("--labels", type=FILE, help="Its labels file.", show_default="the one beside the graph")
@option("--output-dir", type=FILE, help="Where the files go.", show_default="beside the graph")
@option(
    "--quantize",
    type=_Quantization(QUANTIZATIONS),
    is_flag=False,
    flag_value="int8",
    multiple=True,
    help="Quantization to write; int8 without a value. Repeat it for several files.",
    show_default=False,
)
@option("--all", "every", is_flag=True, help="Write all four.", show_default=False)
@option(
    "--float-io",
    is_flag=True,
    help="Keep float32 input and output in the int8 file; inside, the input is rounded to 8 bits.",
    show_default=False,
)
@option("--image_dir", type=FILE, help="Where the photos are now; or the photos for a graph of the codelab.")
@option(
    "--testing_percentage",
    "testing",
    type=int,
    default=Percentages().testing,
    help="Share of test photos in --image_dir, for a graph without a record.",
)
@option(
    "--validation_percentage",
    "validation",
    type=int,
    default=Percentages().validation,
    help="Share of validation photos, likewise.",
)
@option(
    "--calibration-photos",
    "calibration_count",
    type=int,
    default=_DEFAULT.calibration_count,
    help="Training photos from which int8's ranges are taken.",
)
@option("--max-accuracy-drop", type=float, help="Fail, and write nothing, if a file loses more points than this.")
@result_options
@quiet_option
def command(
    argument: Path | None,
    graph: Path | None,
    labels: Path | None,
    output_dir: Path | None,
    quantize: tuple[str, ...],
    every: bool,
    float_io: bool,
    image_dir: Path | None,
    testing: int,
    validation: int,
    calibration_count: int,
    max_accuracy_drop: float | None,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Turn the trained graph into TensorFlow Lite files.

    GRAPH is what train wrote, by default tf_files/retrained_graph.pb, or a graph of the original codelab.

    Quantizations: float32 (none), float16 (half the size), dynamic (8-bit weights, a quarter of the size), int8 (8-bit
    weights and, but for both ends, arithmetic: a quarter of the size and the fastest on phones and Pis). Each file
    carries its labels and normalization, and is run over the test photos before it is written.

    \b
    Example:
      poets-edge export --quantize            one int8 file
      poets-edge export --all                 all four
    """
    quantizations = QUANTIZATIONS if every else cast("tuple[Quantization, ...]", tuple(dict.fromkeys(quantize)))
    options = ExportOptions(
        graph=graph or argument or _DEFAULT.graph,
        labels=labels,
        output_dir=output_dir,
        quantizations=quantizations,
        float_io=float_io,
        image_dir=image_dir,
        percentages=Percentages(testing=testing, validation=validation),
        calibration_count=calibration_count,
        max_accuracy_drop=max_accuracy_drop,
    )
    try:
        result = export(options, Terminal(quiet))
    except AccuracyDropError as error:
        _print(error.result, as_json=as_json, output=None)  # what the others did is worth knowing too
        raise
    _print(result, as_json=as_json, output=output)


def _print(result: ExportResult, *, as_json: bool, output: Path | None) -> None:
    if give(result.to_json(), as_json=as_json, output=output):
        return
    tested = result.files[0].evaluation
    click.echo(
        table(
            [["quantization", "file", *JUDGED]] + [[f.quantization, str(f.path), *judged(f)] for f in result.files],
            left=2,
        )
    )
    click.echo(f"Judged on {tested.count} test photos." if tested else "Not judged: no test photos.")
    for file in result.files:
        if file.beside_float and file.beside_float.photos:
            click.echo(f"{file.quantization} beside float32: {file.beside_float}.")
    click.echo(f"Next: poets-edge label {result.files[-1].path} PHOTO")
    click.echo("To find the network that suits your device: poets-edge grid FOLDER")


def judged(file: ExportedFile) -> list[str]:
    """The cells of a file under the headings `JUDGED`."""
    size = f"{file.size / 1e6:.2f}"
    if file.evaluation is None or not file.evaluation.count or file.agreement is None:
        return [size, "-", "-", "-"]
    return [
        size,
        percent(file.evaluation.accuracy),
        interval_text(file.evaluation.interval),
        percent(file.agreement),
    ]
