"""`poets-edge android`: a model into the Android app."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.options import FILE, option, result_options, subcommand
from poets_edge.cli.terminal import give
from poets_edge.export.android import DEFAULT_APP, install_model


@subcommand("android")
@click.argument("model", type=FILE)
@option("--app", type=FILE, default=DEFAULT_APP, help="The app's folder in a checkout of poets_edge.")
@result_options
def command(model: Path, app: Path, as_json: bool, output: Path | None) -> None:
    """Put MODEL, a .tflite file, into the Android app, in place of the one that is there.

    The app is in android_demo of poets_edge's sources, which an installed package does not hold: run this in a
    checkout. A model that the app could not run is refused. Build the app afterwards: in Android Studio, or with
    python android_demo/build.py.

    \b
    Example:
      poets-edge android tf_files/retrained_graph_int8.tflite
    """
    installed = install_model(model, app)
    facts = {"path": str(installed.path), "size": installed.size, "labels": list(installed.labels)}
    if give(facts, as_json=as_json, output=output):
        return
    height, width = installed.input.shape[1:3]
    click.echo(
        f"{installed.path}  {installed.size / 1e6:.2f} MB, {width} x {height} {installed.input.dtype},"
        f" {len(installed.labels)} labels"
    )
    click.echo(f"Build the app: python {app / 'build.py'}, or open {app} in Android Studio.")
