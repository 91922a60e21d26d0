"""`poets-edge quickstart`: run each step once on synthetic photos, and suggest what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from poets_edge.cli.command import option, subcommand
from poets_edge.cli.options import FILE, quiet_option, result_options
from poets_edge.cli.terminal import Terminal, output_json, table

if TYPE_CHECKING:
    from poets_edge.demo.quickstart import QuickstartResult


@subcommand("quickstart", "poets-edge quickstart")
@option("--output-dir", type=FILE, metavar="DIR", default=Path("quickstart"), help="Folder for photos and models.")
@result_options
@quiet_option
def command(output_dir: Path, as_json: bool, output: Path | None, quiet: bool) -> None:
    """Run every step on drawn photos, without a network: train, export in all quantizations, label a photo."""
    from poets_edge.cli.export_results import RESULT_HEADING, result_cells
    from poets_edge.demo.quickstart import quickstart

    result = quickstart(output_dir, Terminal(quiet))
    if output_json(_as_dict(result), as_json=as_json, output=output):
        return
    heading = ["quantization", *RESULT_HEADING, "ms on one core"]
    rows = [[f.file.quantization, *result_cells(f.file), f"{f.latency_ms:.2f}"] for f in result.files]
    click.echo(table([heading, *rows]))
    tested = result.files[0].file.evaluation
    click.echo(f"Evaluated on {tested.count if tested else 0} drawn photos. Real photos give other results.\n")
    click.echo(f"{result.photo.path} according to the int8 file:")
    for label in result.labels:
        click.echo(f"  {label.name} (score = {label.score:.5f})")
    click.echo(_next_steps(result))


def _next_steps(result: QuickstartResult) -> str:
    int8 = result.files[-1].file.path
    return f"""
Next:
  your own photos   one folder for each class, then
                    poets-edge train flower_photos --architecture mobilenet_0.25_128 --weights embedded
  real weights      Google's, in sixteen sizes, downloaded once: more accurate
                    poets-edge train flower_photos
  your Pi           install poets_edge there (docs/raspberry-pi.md), copy {int8.name}, then
                    poets-edge label {int8.name} photo.jpg
  in a browser      all of it, from the first photo to the model on a device
                    poets-edge studio --demo"""


def _as_dict(result: QuickstartResult) -> dict[str, Any]:
    return {
        "photos": str(result.photos.path),
        "files": [{**timed.file.to_json(), "latency_ms": timed.latency_ms} for timed in result.files],
        "photo": str(result.photo.path),
        "labels": [{"label": label.name, "score": label.score} for label in result.labels],
    }
