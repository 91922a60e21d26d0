"""`poets-edge draw-photos`: flower photos where there is no network."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.options import FILE, option, quiet_option, result_options, subcommand
from poets_edge.cli.terminal import Terminal, give_photos
from poets_edge.demo.draw import PER_CLASS, draw_photos


@subcommand("draw-photos")
@click.argument("folder", metavar="DIR", type=FILE)
@option("--per-class", type=int, default=PER_CLASS, help="Photos of each of the five flowers.")
@option("--seed", type=int, default=0, help="The same seed draws the same photos.")
@result_options
@quiet_option
def command(folder: Path, per_class: int, seed: int, as_json: bool, output: Path | None, quiet: bool) -> None:
    """Draw flower photos into DIR, to try everything without a network.

    \b
    Example:
      poets-edge draw-photos drawn_photos
    """
    found = draw_photos(folder, per_class=per_class, seed=seed, reporter=Terminal(quiet))
    give_photos(found, as_json=as_json, output=output)
