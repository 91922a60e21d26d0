"""`poets-edge draw-photos`: generate synthetic flower photos, without network access."""

from __future__ import annotations

from pathlib import Path

from poets_edge.cli.command import argument, option, subcommand
from poets_edge.cli.options import FILE, quiet_option, result_options
from poets_edge.cli.terminal import Terminal, print_photo_counts
from poets_edge.demo.draw import PER_CLASS, draw_photos


@subcommand("draw-photos", "poets-edge draw-photos drawn_photos")
@argument("folder", "DIR", {"DIR": "Folder to write."}, type=FILE)
@option("--per-class", type=int, default=PER_CLASS, help="Number of photos of each of the five flowers.")
@option("--seed", type=int, default=0, help="Random seed.")
@result_options
@quiet_option
def command(folder: Path, per_class: int, seed: int, as_json: bool, output: Path | None, quiet: bool) -> None:
    """Draw photos of five kinds of flowers, for machines without a network."""
    found = draw_photos(folder, per_class=per_class, seed=seed, reporter=Terminal(quiet))
    print_photo_counts(found, as_json=as_json, output=output)
