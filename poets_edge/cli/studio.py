"""`poets-edge studio`: collect photos, train and export in a browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from poets_edge.cli.command import argument, option, subcommand
from poets_edge.cli.options import FILE, result_options
from poets_edge.cli.terminal import Terminal, output_json
from poets_edge.studio.server import StudioOptions, studio

_PORT = 8765
_PHOTOS = Path("photos")
_DEMO = Path("studio_demo")


@subcommand(
    "studio",
    """
    poets-edge studio flower_photos
    poets-edge studio --demo
    """,
)
@argument(
    "folder",
    "[FOLDER]",
    {"FOLDER": f"A folder with one folder of photos for each class; {_PHOTOS} by default. A new one is created."},
    type=FILE,
    required=False,
)
@option("--port", type=click.IntRange(0, 65535), default=_PORT, help="Port to serve on; 0 takes any free one.")
@option("--demo", is_flag=True, help=f"Draw photos to begin with, into {_DEMO} by default.")
@option("--lan", is_flag=True, help="Serve to the local network, over HTTPS, so that a phone can take photos.")
@option("--no-open", is_flag=True, help="Do not open a browser.")
@result_options
def command(
    folder: Path | None,
    port: int,
    demo: bool,
    lan: bool,
    no_open: bool,
    as_json: bool,
    output: Path | None,
) -> None:
    """Collect, check and sort photos, train and try models, in a browser.

    Everything stays on this computer. The project is the folder itself, so that the other commands work on it, too.
    Only browsers with the token in the printed address are answered.
    """
    options = StudioOptions(folder=folder or (_DEMO if demo else _PHOTOS), port=port, demo=demo, lan=lan)
    with studio(options, Terminal()) as server:
        if not output_json({"url": server.url}, as_json=as_json, output=output):
            click.echo(server.url)
        click.echo("Open this address in a browser. Stop: Ctrl-C", err=True)
        if not no_open:
            webbrowser.open(server.url)
        server.serve()
