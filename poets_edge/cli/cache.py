"""`poets-edge cache`: what training has kept, and removing it."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.options import FILE, option, result_options, subcommand
from poets_edge.cli.terminal import give, table
from poets_edge.core.paths import BOTTLENECKS


@subcommand("cache")
@option("--bottleneck_dir", type=FILE, default=BOTTLENECKS, help="The folder, as train's.")
@option("--remove", "names", multiple=True, metavar="NAME", help="Remove this one; give it several times for several.")
@result_options
def command(bottleneck_dir: Path, names: tuple[str, ...], as_json: bool, output: Path | None) -> None:
    """Show the bottlenecks and activations that train has kept, or remove some.

    They make the next run on the same photos fast, and nothing is lost with them but that. Activations of the
    layers below the last blocks, which train --fine_tune keeps, are the large ones.

    \b
    Example:
      poets-edge cache
      poets-edge cache --remove mobilenet_0.50_224-0123456789abcdef-last3
    """
    from poets_edge.train.cache_folder import caches, remove_caches

    found = remove_caches(bottleneck_dir, names) if names else caches(bottleneck_dir)
    facts = [{"name": each.name, "kind": each.kind, "rows": each.rows, "bytes": each.size} for each in found]
    if give({"folder": str(bottleneck_dir), "removed" if names else "caches": facts}, as_json=as_json, output=output):
        return
    if not found:
        click.echo(f"nothing in {bottleneck_dir}")
        return
    rows = [
        [each.name, each.kind, "damaged" if each.rows is None else str(each.rows), f"{each.size / 1e6:.1f}"]
        for each in found
    ]
    click.echo(table([["name", "kind", "rows", "MB"], *rows], left=2))
    total = sum(each.size for each in found) / 1e6
    click.echo(f"{'removed' if names else 'in all'} {total:.1f} MB{' from' if names else ' in'} {bottleneck_dir}")
