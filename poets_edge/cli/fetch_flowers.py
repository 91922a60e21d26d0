"""`poets-edge fetch-flowers`: the codelab's photos."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.terminal import FILE, Terminal, json_option, print_photos, quiet_option


@click.command("fetch-flowers")
@click.argument("folder", metavar="DIR", type=FILE)
@json_option
@quiet_option
def command(folder: Path, as_json: bool, quiet: bool) -> None:
    """Download the codelab's 3,670 flower photos (229 MB) into DIR.

    The download goes on where it broke off, is checked before it is unpacked, and DIR is there whole or not at all.

    \b
    Example:
      poets-edge fetch-flowers flower_photos
    """
    from poets_edge.photos.fetch import fetch_flowers

    print_photos(fetch_flowers(folder, reporter=Terminal(quiet)), as_json)
