"""`poets-edge draw-photos`: flower photos where there is no network."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.terminal import FILE, Terminal, json_option, option, print_photos, quiet_option
from poets_edge.photos.draw import PER_CLASS, draw_photos


@click.command("draw-photos")
@click.argument("folder", metavar="DIR", type=FILE)
@option("--per_class", type=int, default=PER_CLASS, help="Photos of each of the five flowers.")
@option("--seed", type=int, default=0, help="Same seed, same photos.")
@json_option
@quiet_option
def command(folder: Path, per_class: int, seed: int, as_json: bool, quiet: bool) -> None:
    """Draw flower photos into DIR, to try everything without a network.

    \b
    Example:
      poets-edge draw-photos drawn_photos
    """
    print_photos(draw_photos(folder, per_class=per_class, seed=seed, reporter=Terminal(quiet)), as_json)
