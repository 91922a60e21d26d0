"""`poets-edge codelab`: make a folder in which the commands from the codelab "TensorFlow for Poets" work."""

from __future__ import annotations

from pathlib import Path

import click

from poets_edge.cli.command import argument, option, subcommand
from poets_edge.cli.options import result_options
from poets_edge.cli.terminal import Terminal, output_json
from poets_edge.demo.codelab import write_codelab
from poets_edge.errors import UsageError


@subcommand(
    "codelab",
    """
    poets-edge codelab tensorflow-for-poets
    cd tensorflow-for-poets
    poets-edge fetch-flowers tf_files/flower_photos
    python -m scripts.retrain --image_dir=tf_files/flower_photos --architecture=mobilenet_0.50_224
    python -m scripts.label_image --graph=tf_files/retrained_graph.pb --image=photo.jpg
    """,
)
@argument("arguments", "DIR", {"DIR": "Folder to write."}, nargs=-1)
@option("--run", "script", hidden=True, help="For the scripts: run the script of this name.")
@result_options
def command(arguments: tuple[str, ...], script: str | None, as_json: bool, output: Path | None) -> None:
    """Create a folder in which the command lines of "TensorFlow for Poets" run unchanged.

    It contains scripts/ (retrain, label_image, evaluate, count_ops, graph_pb2tb), which run poets-edge, and tf_files/,
    the codelab's folder for photos and models.
    """
    if script is not None:
        from poets_edge.cli.codelab_scripts import run_lines

        with Terminal() as terminal:
            lines = run_lines(script, arguments, terminal)
        for line in lines:
            click.echo(line)
        return
    if len(arguments) != 1:
        raise UsageError("name one folder, as in: poets-edge codelab tensorflow-for-poets")
    folder = Path(arguments[0])
    scripts = write_codelab(folder)
    if output_json({"folder": str(folder), "scripts": [str(path) for path in scripts]}, as_json=as_json, output=output):
        return
    click.echo(f"{folder} has scripts/ and tf_files/. Next:")
    click.echo(f"  cd {folder}")
    click.echo("  poets-edge fetch-flowers tf_files/flower_photos")
    click.echo("  python -m scripts.retrain --image_dir=tf_files/flower_photos")
