"""`poets-edge fetch-flowers`: download the flower photos of the codelab "TensorFlow for Poets"."""

from __future__ import annotations

from pathlib import Path

from poets_edge.cli.command import argument, subcommand
from poets_edge.cli.options import FILE, quiet_option, result_options
from poets_edge.cli.terminal import Terminal, print_photo_counts


@subcommand("fetch-flowers", "poets-edge fetch-flowers flower_photos")
@argument("folder", "DIR", {"DIR": "Folder to write."}, type=FILE)
@result_options
@quiet_option
def command(folder: Path, as_json: bool, output: Path | None, quiet: bool) -> None:
    """Download the codelab's 3,670 flower photos (229 MB).

    The archive is checked before it is unpacked. An interrupted download is resumed. DIR is created complete or not at
    all.
    """
    from poets_edge.photos.fetch import fetch_flowers

    print_photo_counts(fetch_flowers(folder, reporter=Terminal(quiet)), as_json=as_json, output=output)
