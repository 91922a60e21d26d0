"""`poets-edge deploy`: install a model on a device, as a service that labels what its camera sees."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from poets_edge.bench.remote.deploy import DeployOptions, deploy, remove, watch_arguments
from poets_edge.bench.remote.fetch_frames import fetch_frames
from poets_edge.cli.command import Command, argument, option, subcommand
from poets_edge.cli.model_options import input_options, labels_option
from poets_edge.cli.options import DEVICE_SECTION, FILE, on_option, quiet_option, remote_dir_option, result_options
from poets_edge.cli.terminal import Terminal, output_json
from poets_edge.cli.watch import command as watch_command
from poets_edge.cli.watch import mqtt_options
from poets_edge.core.wording import counted
from poets_edge.device.classifier import Classifier
from poets_edge.errors import UsageError

_OURS = frozenset({"model", "labels", "input_range", "input_mean", "input_std", "as_json", "quiet"})
_WATCH = [parameter for parameter in watch_command.params if parameter.name not in _OURS]
"""Options of `poets-edge watch` that can be passed on to the service."""
_MQTT = ("mqtt", "mqtt_name", "mqtt_login", "mqtt_ca")


class _Deploy(Command):
    """The command `deploy`, which accepts options of `watch` both before and after a `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, which may separate the options of `watch` from those of `deploy` by `--`.

        An option of `deploy` after `--` is an error.
        """
        if "--" in args:
            before, after = args[: args.index("--")], args[args.index("--") + 1 :]
            if after and after[0].startswith("--"):
                watch = {name for parameter in _WATCH for name in (*parameter.opts, *parameter.secondary_opts)}
                own = {name for parameter in self.params for name in parameter.opts} - watch
                for argument in after:
                    if argument.partition("=")[0] in own:
                        ctx.fail(f"{argument}: an option of deploy, not of watch. Give it before --.")
                args = [*before, *after]
        return super().parse_args(ctx, args)


@subcommand(
    "deploy",
    """
    poets-edge deploy retrained_graph_int8.tflite --on pi@raspberrypi.local --on-label daisy --run "aplay bell.wav"
    poets-edge deploy retrained_graph_int8.tflite --on pi@raspberrypi.local --mqtt mqtt://homeassistant.local
    poets-edge deploy --on pi@raspberrypi.local --fetch unsure
    poets-edge deploy --on pi@raspberrypi.local --remove
    """,
    _Deploy,
)
@argument("model", "[MODEL]", {"MODEL": "A .tflite file."}, type=FILE, required=False)
@on_option(required=True, help="The device, over ssh, as pi@raspberrypi.local.")
@option("--remove", "undo", is_flag=True, section=DEVICE_SECTION, help="Stop the service, and remove it.")
@option(
    "--fetch",
    type=FILE,
    metavar="DIR",
    section=DEVICE_SECTION,
    help="Copy the frames that the service has saved (--collect) into DIR, to sort and to train on.",
)
@remote_dir_option
@labels_option
@input_options
@result_options
@quiet_option
@click.pass_context
def command(
    context: click.Context,
    /,
    model: Path | None,
    on: str,
    labels: Path | None,
    input_range: str | None,
    undo: bool,
    fetch: Path | None,
    remote_dir: str,
    as_json: bool,
    output: Path | None,
    quiet: bool,
    **watch: Any,
) -> None:
    """Install a model on a device, as a service that labels what its camera sees whenever the device is on.

    Installs poets_edge in a folder of its own (poets-edge in --remote-dir), copies the model, starts the service and
    shows its first labels. Root access is not needed. To replace the service, run the command again with another model
    or other options. Options of watch, for the service, can be given after --.
    """
    terminal = Terminal(quiet)
    if (model is not None) + undo + (fetch is not None) > 1:
        raise UsageError("MODEL, --remove and --fetch are three tasks; give one.")
    if undo:
        if not remove(on, remote_dir=remote_dir, reporter=terminal):
            terminal.note(f"{on}: nothing is deployed there")
        return
    if fetch is not None:
        _fetch(on, fetch, watch["collect"], remote_dir, terminal, as_json=as_json, output=output)
        return
    if model is None:
        raise UsageError("no model named. Name the .tflite file to deploy.")
    if len(watch["on_labels"]) != len(watch["commands"]):
        raise UsageError("each --on-label needs its --run, and each --run its --on-label.")
    known = Classifier(model, labels=labels, input_range=input_range).labels
    for label in watch["on_labels"]:
        if label not in known:
            raise UsageError(f"--on-label {label}: the model knows {', '.join(known)}.")
    given = [
        (parameter.opts[0], watch[str(parameter.name)])
        for parameter in _WATCH
        if parameter.name not in _MQTT
        and context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT
    ]
    options = DeployOptions(
        model=model,
        on=on,
        labels=labels,
        input_range=input_range,
        watch=watch_arguments(given),
        mqtt=mqtt_options(*(watch[name] for name in _MQTT)),
        remote_dir=remote_dir,
    )
    deployed = deploy(options, terminal)
    if output_json(deployed.to_json(), as_json=as_json, output=output):
        return
    click.echo("\n".join(deployed.lines) or "Started; no output yet.")
    click.echo(f"\nMore of it: ssh {shlex.quote(on)} journalctl -t {deployed.service} -f")
    click.echo(f"Undo it:    {deployed.undo}")


def _fetch(
    on: str,
    folder: Path,
    source: Path | None,
    remote_dir: str,
    terminal: Terminal,
    *,
    as_json: bool,
    output: Path | None,
) -> None:
    where = "" if source is None else source.as_posix()
    fetched = fetch_frames(on, folder, source=where, remote_dir=remote_dir, reporter=terminal)
    if output_json(fetched.to_json(), as_json=as_json, output=output):
        return
    counts = ", ".join(f"{label} {count}" for label, count in fetched.per_label.items())
    known = f"; {fetched.known} were fetched before" if fetched.known else ""
    click.echo(f"{counted(len(fetched.files), 'new frame')} in {folder}{f' ({counts})' if counts else ''}{known}")
    if fetched.files:
        click.echo("Next: move each frame to the folder of what it shows, add them to your photos, and train again.")


command.params[-1:-1] = _WATCH
