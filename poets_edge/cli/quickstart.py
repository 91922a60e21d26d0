"""`poets-edge quickstart`: every step once, then what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from poets_edge.cli.terminal import FILE, Terminal, json_option, option, print_json, quiet_option, table

if TYPE_CHECKING:
    from poets_edge.quickstart import QuickstartResult


@click.command("quickstart")
@option("--output_dir", type=FILE, default=Path("quickstart"), help="Where photos and models go.")
@json_option
@quiet_option
def command(output_dir: Path, as_json: bool, quiet: bool) -> None:
    """Draw photos, retrain the embedded backbone on them, export four forms, label a photo: no network needed.

    \b
    Example:
      poets-edge quickstart
    """
    from poets_edge.cli.export import JUDGED, judged
    from poets_edge.edge.metadata import form_name
    from poets_edge.quickstart import quickstart

    result = quickstart(output_dir, Terminal(quiet))
    if as_json:
        print_json(_as_dict(result))
        return
    heading = ["form", *JUDGED, "ms on one core"]
    rows = [[form_name(f.file.quantization), *judged(f.file), f"{f.latency_ms:.2f}"] for f in result.forms]
    click.echo(table([heading, *rows]))
    tested = result.forms[0].file.evaluation
    click.echo(f"Judged on {tested.count if tested else 0} drawn photos. Drawn photos are a toy: yours will differ.\n")
    click.echo(f"{result.photo.path} is, says the int8 file:")
    for label in result.labels:
        click.echo(f"  {label.name} (score = {label.score:.5f})")
    click.echo(_next_steps(result))


def _next_steps(result: QuickstartResult) -> str:
    int8 = result.forms[-1].file.path
    return f"""
Next:
  your own photos   one folder a class, then
                    poets-edge train --image_dir FOLDER --architecture mobilenet_0.25_128 --weights embedded
  real weights      Google's, of sixteen sizes, fetched once: more accurate
                    poets-edge train --image_dir FOLDER
  your Pi           pip install poets-edge there, copy {int8.name}, then
                    poets-edge label --graph {int8.name} photo.jpg"""


def _as_dict(result: QuickstartResult) -> dict[str, Any]:
    return {
        "photos": str(result.photos.path),
        "forms": [{**form.file.as_dict(), "latency_ms": form.latency_ms} for form in result.forms],
        "photo": str(result.photo.path),
        "labels": [{"label": label.name, "score": label.score} for label in result.labels],
    }
