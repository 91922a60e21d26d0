"""`poets-edge annotate`: add labels and normalization to a model that another program wrote."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.command import OUTPUT, argument, option, subcommand
from poets_edge.cli.model_options import input_options, labels_option
from poets_edge.cli.options import FILE
from poets_edge.cli.terminal import output_json
from poets_edge.exporting.annotate import annotate


@subcommand(
    "annotate",
    """
    poets-edge annotate model.tflite --labels labels.txt
    poets-edge annotate model.tflite --labels labels.txt --input-range 0:1 --output flowers.tflite
    """,
)
@argument("model", "MODEL", {"MODEL": "A .tflite file of another program."}, type=FILE)
@labels_option
@input_options
@option(
    "--output",
    type=FILE,
    metavar="FILE",
    section=OUTPUT,
    help="Model to write; if FILE ends in .json, write the result there, as JSON.",
    show_default="x_annotated.tflite for x.tflite",
)
@option("--json", "as_json", is_flag=True, section=OUTPUT, help="Print the result as JSON.")
def command(model: Path, labels: Path | None, input_range: str | None, output: Path | None, as_json: bool) -> None:
    """Write labels and normalization into a model of another program, as standard metadata.

    Afterwards, all commands, and other programs such as MediaPipe, can read the model without options. A softmax is
    added to models that end without one, and int8 inputs and outputs are converted to uint8. The scores of the
    annotated copy are compared with those of the original.
    """
    record = output if output is not None and output.suffix == ".json" else None
    written = annotate(model, labels=labels, input_range=input_range, output=None if record else output)
    if output_json(written.to_json(), as_json=as_json, output=record):
        return
    click.echo(f"{written.path}  {written.size / 1e6:.2f} MB, {len(written.labels)} labels")
    click.echo(f"pixels: {written.input_range}")
    if written.changes:
        click.echo(f"added: {', '.join(written.changes)}")
    click.echo(f"Try it: poets-edge label {written.path} PHOTO")
