"""`poets-edge export`: `.tflite` files with their size, accuracy and agreement."""

from __future__ import annotations

from typing import Any, cast

import click

from poets_edge.cli.terminal import FILE, Terminal, json_option, option, print_json, quiet_option, table
from poets_edge.exporting.export import ExportedFile, ExportOptions, export
from poets_edge.graphs.convert import QUANTIZATIONS, Quantization
from poets_edge.photos.split import Percentages

_DEFAULT = ExportOptions()
JUDGED = ("MB", "test accuracy", "95 % interval", "agrees with float32")


class _Quantization(click.Choice[str]):
    """Also takes `none`, which is what version 0.1 called float32."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert("float32" if value == "none" else value, param, ctx)


@click.command("export")
@option("--graph", type=FILE, default=_DEFAULT.graph, help="The trained graph: train's, or the original codelab's.")
@option("--labels", type=FILE, help="Its labels file.", show_default="the one beside the graph")
@option("--output_dir", type=FILE, help="Where the files go.", show_default="beside the graph")
@option(
    "--quantize",
    type=_Quantization(QUANTIZATIONS),
    is_flag=False,
    flag_value="int8",
    multiple=True,
    help="Quantization to write; without a value int8. Give it several times for several files.",
    show_default=False,
)
@option("--all", "every", is_flag=True, help="Write all four.", show_default=False)
@option(
    "--float-io",
    is_flag=True,
    help="Keep float32 input and output in the int8 file; inside, the input is rounded to 8 bits.",
    show_default=False,
)
@option("--image_dir", type=FILE, help="Where the photos lie now, or photos for a graph of the codelab.")
@option(
    "--testing_percentage", type=int, default=Percentages().testing, help="For --image_dir of a graph without record."
)
@option("--validation_percentage", type=int, default=Percentages().validation, help="The same.")
@option(
    "--calibration_photos", type=int, default=_DEFAULT.calibration_count, help="Training photos that set int8's ranges."
)
@option("--max-accuracy-drop", type=float, help="Fail, and write nothing, if a file loses more points than this.")
@json_option
@quiet_option
def command(
    quantize: tuple[str, ...],
    every: bool,
    testing_percentage: int,
    validation_percentage: int,
    calibration_photos: int,
    as_json: bool,
    quiet: bool,
    **paths_and_switches: Any,
) -> None:
    """Turn the trained graph into TensorFlow Lite files.

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
        quantizations=quantizations,
        percentages=Percentages(testing_percentage, validation_percentage),
        calibration_count=calibration_photos,
        **paths_and_switches,
    )
    result = export(options, Terminal(quiet))
    if as_json:
        print_json({"labels": list(result.labels), "files": [file.as_dict() for file in result.files]})
        return
    tested = result.files[0].evaluation
    click.echo(
        table(
            [["quantization", "file", *JUDGED]] + [[f.quantization, str(f.path), *judged(f)] for f in result.files],
            left=2,
        )
    )
    click.echo(f"Judged on {tested.count} test photos." if tested else "Not judged: no test photos.")


def judged(file: ExportedFile) -> list[str]:
    """The cells of a file under the headings `JUDGED`."""
    size = f"{file.size / 1e6:.2f}"
    if file.evaluation is None or not file.evaluation.count or file.agreement is None:
        return [size, "-", "-", "-"]
    low, high = file.evaluation.interval
    return [
        size,
        f"{100 * file.evaluation.accuracy:.1f} %",
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{100 * file.agreement:.1f} %",
    ]
