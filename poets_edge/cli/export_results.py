"""Console output of `poets-edge export` for `.tflite` files, files for Frigate, and files in other formats."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.terminal import output_json, table
from poets_edge.core.wording import interval_text, percent
from poets_edge.exporting.frigate import THRESHOLD, FrigateExport
from poets_edge.exporting.other_formats import ConvertedModel
from poets_edge.exporting.results import ExportedFile

RESULT_HEADING = ("MB", "test accuracy", "95 % interval", "agrees with float32")


def result_cells(file: ExportedFile) -> list[str]:
    """Return a table row for an exported file, with one cell for each column heading in `RESULT_HEADING`."""
    size = f"{file.size / 1e6:.2f}"
    if file.evaluation is None or not file.evaluation.count or file.agreement is None:
        return [size, "-", "-", "-"]
    return [
        size,
        percent(file.evaluation.accuracy),
        interval_text(file.evaluation.interval),
        percent(file.agreement),
    ]


def print_frigate(result: FrigateExport, *, as_json: bool, output: Path | None) -> None:
    """Print the files for Frigate, and how many test photos get a label at Frigate's default threshold."""
    if output_json(result.to_json(), as_json=as_json, output=output):
        return
    file = result.model
    click.echo(table([["file", *RESULT_HEADING], [str(file.path), *result_cells(file)]], left=1))
    click.echo(f"{result.labelmap}: {', '.join(result.labels)}")
    if result.assigned is not None:
        click.echo(
            f"At Frigate's threshold of {THRESHOLD:g}: {percent(result.assigned)} of the test photos get a label,"
            f" {percent(result.assigned_correct)} of these the correct one."
        )
    click.echo("Next: copy both files to /config/model_cache/NAME of Frigate, and add NAME to its configuration;")
    click.echo("      see docs/frigate.md")


def print_converted(result: ConvertedModel, *, as_json: bool, output: Path | None) -> None:
    """Print a summary of a converted file and, if it could be run, its comparison with the float32 `.tflite`."""
    if output_json(result.to_json(), as_json=as_json, output=output):
        return
    click.echo(f"{result.path}  {result.size / 1e6:.2f} MB, {len(result.labels)} labels")
    if result.compared:
        click.echo(
            f"Compared with the float32 .tflite on {result.compared} pictures: scores differ by at most"
            f" {result.largest_difference:.1g}."
        )
    else:
        click.echo("Not run: Core ML models run on macOS and iOS only. Try it on a photo there.")
    click.echo("Next: see docs/other-formats.md for how to use it")
