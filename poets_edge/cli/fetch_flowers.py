"""`poets-edge fetch-flowers`: the codelab's photos."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.options import FILE, quiet_option, result_options, subcommand
from poets_edge.cli.terminal import Terminal, give_photos


@subcommand("fetch-flowers")
@click.argument("folder", metavar="DIR", type=FILE)
@result_options
@quiet_option
def command(folder: Path, as_json: bool, output: Path | None, quiet: bool) -> None:
    """Download the codelab's 3,670 flower photos (229 MB) into DIR.

    An interrupted download is resumed, and checked before it is unpacked. DIR appears complete or not at all.

    \b
    Example:
      poets-edge fetch-flowers flower_photos
    """
    from poets_edge.photos.fetch import fetch_flowers

    give_photos(fetch_flowers(folder, reporter=Terminal(quiet)), as_json=as_json, output=output)
