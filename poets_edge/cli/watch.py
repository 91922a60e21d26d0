"""`poets-edge watch`: label the frames of a camera, a video or a folder as they arrive."""

from __future__ import annotations

from pathlib import Path

from poets_edge.cli.command import OUTPUT, argument, option, subcommand
from poets_edge.cli.lines import Lines
from poets_edge.cli.model_options import accept_all_option, input_options, labels_option
from poets_edge.cli.options import FILE, Number, quiet_option
from poets_edge.cli.stop_signals import StopSignals
from poets_edge.cli.terminal import Terminal
from poets_edge.cli.watch_output import Printer, summary_text
from poets_edge.device.watch.collect import CollectOptions
from poets_edge.device.watch.frames import FrameSource
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.device.watch.prediction import LabelingOptions
from poets_edge.device.watch.trigger import Command
from poets_edge.device.watch.watch import TriggerOptions, WatchOptions, run_watch
from poets_edge.errors import UsageError

_DEFAULT = WatchOptions(model=Path("model.tflite"))
_FRAMES, _ANSWER, _TRIGGER, _COLLECT, _MQTT = "Frames", "Answer", "Trigger", "Collecting", "MQTT, Home Assistant"


@subcommand(
    "watch",
    """
    poets-edge watch retrained_graph_int8.tflite
    poets-edge watch retrained_graph_int8.tflite --on-label daisy --run "aplay bell.wav"
    poets-edge watch retrained_graph_int8.tflite --collect unsure --below 0.6
    poets-edge watch retrained_graph_int8.tflite --mqtt mqtt://homeassistant.local --mqtt-login login.txt
    rpicam-vid -t 0 --codec mjpeg -o - | poets-edge watch retrained_graph_int8.tflite --source - --json
    """,
)
@argument("model", "MODEL", {"MODEL": "A .tflite file."}, type=FILE)
@option(
    "--camera",
    metavar="N|DEVICE",
    section=_FRAMES,
    help="Number of a camera, or path of a video device.",
    show_default="0, without --source",
)
@option(
    "--source",
    type=FILE,
    metavar="FILE|DIR|-",
    section=_FRAMES,
    help="A video, a folder of frames, or MJPEG on standard input.",
)
@option("--keep-all", is_flag=True, section=_FRAMES, help="Label every frame of a camera or pipe, even if late.")
@option(
    "--smooth",
    type=int,
    section=_ANSWER,
    help="Number of frames over which scores are averaged.",
    show_default=f"{LabelingOptions.smooth}; 1 for a folder",
)
@option(
    "--threshold",
    type=Number(0, 1),
    default=_DEFAULT.threshold,
    section=_ANSWER,
    help="Score below which the label is 'unknown'.",
)
@accept_all_option
@labels_option
@input_options
@option(
    "--threads", type=int, section="Model", help="CPU threads for one inference.", show_default="the fastest number"
)
@option(
    "--on-label",
    "on_labels",
    multiple=True,
    metavar="LABEL",
    section=_TRIGGER,
    help="Label that starts the command of the next --run.",
)
@option(
    "--run",
    "commands",
    multiple=True,
    metavar="COMMAND",
    section=_TRIGGER,
    help="Command of the preceding --on-label.",
)
@option("--hold", type=int, default=5, section=_TRIGGER, help="Consecutive frames of a label that start its command.")
@option(
    "--run-limit",
    type=Number(least=0),
    default=60.0,
    metavar="SECONDS",
    section=_TRIGGER,
    help="Time limit of a command; 0 for none.",
)
@option("--shell", is_flag=True, section=_TRIGGER, help="Run commands through /bin/sh.")
@option(
    "--collect",
    type=FILE,
    metavar="DIR",
    section=_COLLECT,
    help="Save frames of low score in DIR/<best label>/, to correct and train on, and unknown ones in DIR/unknown/;"
    " never the same scene twice in a row.",
)
@option(
    "--below",
    type=Number(),
    section=_COLLECT,
    help="Score below which a frame is saved.",
    show_default=f"{CollectOptions.below:g}",
)
@option(
    "--collect-most",
    "most",
    type=int,
    section=_COLLECT,
    help="Maximum number of frames in DIR.",
    show_default=f"{CollectOptions.most}",
)
@option(
    "--mqtt",
    metavar="ADDRESS",
    section=_MQTT,
    help="Publish label, score and snapshot to a broker: mqtt://host[:port], or mqtts:// for TLS.",
)
@option(
    "--mqtt-name",
    metavar="NAME",
    section=_MQTT,
    help="Name of this camera in topics and in Home Assistant.",
    show_default="the host name",
)
@option("--mqtt-login", type=FILE, metavar="FILE", section=_MQTT, help="File with one line, user:password.")
@option(
    "--mqtt-ca",
    type=FILE,
    metavar="FILE",
    section=_MQTT,
    help="Certificates (PEM) that sign the broker's.",
    show_default="the system's",
)
@option("--every-frame", is_flag=True, section=OUTPUT, help="Print a line for every frame, not only for changes.")
@option("--json", "as_json", is_flag=True, section=OUTPUT, help="Print JSON, one line for each prediction.")
@quiet_option
def command(
    model: Path,
    camera: str | None,
    source: Path | None,
    labels: Path | None,
    input_range: str | None,
    smooth: int | None,
    threshold: float,
    accept_all: bool,
    every_frame: bool,
    keep_all: bool,
    on_labels: tuple[str, ...],
    commands: tuple[str, ...],
    hold: int,
    run_limit: float,
    shell: bool,
    threads: int | None,
    collect: Path | None,
    below: float | None,
    most: int | None,
    mqtt: str | None,
    mqtt_name: str | None,
    mqtt_login: Path | None,
    mqtt_ca: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Label what a camera sees, or the frames of a video or folder, until it ends or Ctrl-C is pressed.

    Frames of a camera or pipe that arrive during an inference are dropped, so that labels are not delayed; all frames
    of files are labeled. If a camera is unplugged, the command waits until it is plugged in again.
    """
    if len(on_labels) != len(commands):
        raise UsageError("each --on-label needs its --run, and each --run its --on-label.")
    options = WatchOptions(
        model=model,
        source=source,
        camera=camera,
        labels=labels,
        input_range=input_range,
        smooth=smooth,
        threshold=threshold,
        accept_all=accept_all,
        keep_all=keep_all,
        threads=threads,
        triggers=tuple(
            TriggerOptions(label=label, command=Command(text, shell, run_limit), hold=hold)
            for label, text in zip(on_labels, commands, strict=True)
        ),
        collect=_collect(collect, below, most),
        mqtt=mqtt_options(mqtt, mqtt_name, mqtt_login, mqtt_ca),
    )
    terminal = Terminal(quiet)
    with StopSignals() as stop:

        def display(source: FrameSource) -> Printer:
            return Printer(Lines(live=source.live, stopped=stop), every_frame=every_frame, as_json=as_json)

        summary = run_watch(options, display=display, reporter=terminal, stopped=stop)
    terminal.note(summary_text(summary))


def _collect(folder: Path | None, below: float | None, most: int | None) -> CollectOptions | None:
    if folder is None:
        if below is not None or most is not None:
            raise UsageError("--below and --collect-most need --collect DIR.")
        return None
    return CollectOptions(
        folder=folder,
        below=CollectOptions.below if below is None else below,
        most=CollectOptions.most if most is None else most,
    )


def mqtt_options(broker: str | None, name: str | None, login: Path | None, ca: Path | None) -> MqttOptions | None:
    """Return the MQTT options; None if there are none. Raises UsageError if one is given without `--mqtt`."""
    if broker is None:
        if (name, login, ca) != (None, None, None):
            raise UsageError("--mqtt-name, --mqtt-login and --mqtt-ca need --mqtt mqtt://HOST.")
        return None
    return MqttOptions(broker=broker, name=name, login=login, ca=ca)
