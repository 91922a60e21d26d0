"""`poets-edge android`: a model into the Android app."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.terminal import FILE, json_option, option, print_json
from poets_edge.exporting.android import DEFAULT_APP, install_model


@click.command("android")
@click.argument("model", type=FILE)
@option("--app", type=FILE, default=DEFAULT_APP, help="The app's folder in poets_edge's sources.")
@json_option
def command(model: Path, app: Path, as_json: bool) -> None:
    """Put MODEL, a .tflite file, into the Android app, in place of the one that is there.

    A model that the app could not run is refused. Build the app afterwards: in Android Studio, or with
    android_demo/build.py.

    \b
    Example:
      poets-edge android tf_files/retrained_graph_int8.tflite
    """
    installed = install_model(model, app)
    if as_json:
        print_json({"path": str(installed.path), "size": installed.size, "labels": list(installed.labels)})
        return
    height, width = installed.input.shape[1:3]
    click.echo(
        f"{installed.path}  {installed.size / 1e6:.2f} MB, {width} x {height} {installed.input.dtype},"
        f" {len(installed.labels)} labels"
    )
