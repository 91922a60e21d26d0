"""`poets-edge cache`: list or remove the data that training has cached."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.command import option, subcommand
from poets_edge.cli.options import FILE, result_options
from poets_edge.cli.terminal import output_json, table
from poets_edge.core.paths import BOTTLENECKS


@subcommand(
    "cache",
    """
    poets-edge cache
    poets-edge cache --remove mobilenet_0.50_224-0123456789abcdef-last3
    """,
)
@option("--bottleneck-dir", type=FILE, metavar="DIR", default=BOTTLENECKS, help="Cache folder, as for train.")
@option("--remove", "names", multiple=True, metavar="NAME", help="Remove the cache NAME; repeat it for several.")
@result_options
def command(bottleneck_dir: Path, names: tuple[str, ...], as_json: bool, output: Path | None) -> None:
    """List the bottlenecks and activations that train has cached, or remove some.

    Cached values make the next run on the same photos fast; removed values are computed again when they are needed. The
    activations that train --fine-tune caches take the most space.
    """
    from poets_edge.training.cache_folder import caches, remove_caches

    found = remove_caches(bottleneck_dir, names) if names else caches(bottleneck_dir)
    facts = [{"name": each.name, "kind": each.kind, "rows": each.rows, "bytes": each.size} for each in found]
    if output_json(
        {"folder": str(bottleneck_dir), "removed" if names else "caches": facts}, as_json=as_json, output=output
    ):
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
