"""`poets-edge android`: put a model into the Android app."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.command import argument, option, subcommand
from poets_edge.cli.model_options import input_options, labels_option
from poets_edge.cli.options import FILE, result_options
from poets_edge.cli.terminal import output_json
from poets_edge.exporting.android import DEFAULT_APP, install_model


@subcommand("android", "poets-edge android tf_files/retrained_graph_int8.tflite")
@argument("model", "MODEL", {"MODEL": "A .tflite file."}, type=FILE)
@option("--app", type=FILE, metavar="DIR", default=DEFAULT_APP, help="Folder of the app in a checkout of poets_edge.")
@labels_option
@input_options
@result_options
def command(
    model: Path, app: Path, labels: Path | None, input_range: str | None, as_json: bool, output: Path | None
) -> None:
    """Put a model into the Android app, replacing the app's model.

    The app is in the folder android_demo of poets_edge's sources, which an installed package does not contain: run this
    in a checkout. Models that the app cannot run are refused. Build the app afterwards, in Android Studio or with
    android_demo/build.py.
    """
    installed = install_model(model, app, labels=labels, input_range=input_range)
    facts = {"path": str(installed.path), "size": installed.size, "labels": list(installed.labels)}
    if output_json(facts, as_json=as_json, output=output):
        return
    height, width = installed.input.shape[1:3]
    click.echo(
        f"{installed.path}  {installed.size / 1e6:.2f} MB, {width} x {height} {installed.input.dtype},"
        f" {len(installed.labels)} labels"
    )
    click.echo(f"Build the app: python {app / 'build.py'}, or open {app} in Android Studio.")
