"""The command `deploy`, which installs a model on a device as a service that labels camera frames.

`deploy` carries out the steps in docs/raspberry-pi.md over one connection and without root; `remove` undoes them.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from poets_edge.bench.remote.answers import Facts, Items, Left, Service
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.device_rounds import send_models
from poets_edge.bench.remote.installation import (
    Installation,
    install,
    item,
    note_older_files,
    open_folder,
    send,
    warn_remaining_files,
)
from poets_edge.bench.remote.ssh import check_host
from poets_edge.bench.remote.systemd_service import SystemdService
from poets_edge.core.arguments import check_fields
from poets_edge.device.classifier import Classifier
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.progress import Reporter, Silent

_LABELS = "labels.txt"
_LOGIN, _CA = "mqtt-login.txt", "mqtt-ca.pem"


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """Options of `deploy`.

    Attributes:
        model: path of a `.tflite` file.
        on: SSH destination of the device.
        labels: file with labels for a model that has none, or with translated labels; None to use the labels in the
            model.
        input_range: model inputs for the pixel values 0 and 255, such as "-1:1"; used if the model does not specify
            them.
        watch: additional arguments of `poets-edge watch`, such as ("--on-label", "daisy", "--run", "aplay bell.wav").
        mqtt: options for publishing predictions to an MQTT broker; None to publish nothing. The login and the
            certificates are copied to the device, where no other user can read them.
        remote_dir: parent of the program's folder `poets-edge`; by default the user's data folder on the device.
    """

    model: Path
    on: str
    labels: Path | None = None
    input_range: str | None = None
    watch: tuple[str, ...] = ()
    mqtt: MqttOptions | None = None
    remote_dir: str = ""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """Service that `deploy` has started on a device.

    Attributes:
        host: SSH destination of the device.
        service: name of the service, which also identifies its lines in the systemd journal.
        model: path of the model on the device.
        unit: path of the unit file on the device.
        undo: shell command that runs `remove` for this service.
        lines: first lines of the output of the service.
    """

    host: str
    service: str
    model: str
    unit: str
    undo: str
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "service": self.service,
            "model": self.model,
            "unit": self.unit,
            "undo": self.undo,
            "lines": list(self.lines),
        }


def undo_command(host: str, remote_dir: str = "") -> str:
    """Return a shell command that undoes `deploy` on a host."""
    where = ["--remote-dir", remote_dir] if remote_dir else []
    return shlex.join(["poets-edge", "deploy", "--on", host, *where, "--remove"])


def deploy(options: DeployOptions, reporter: Reporter | None = None) -> Deployed:
    """Install the program on a device, copy the model to it, and start or restart the service.

    Raises:
        ModelError: the model or its labels cannot be used; the device is not changed.
        UsageError: the login for the MQTT broker cannot be read; the device is not changed.
        RemoteError: the device cannot be reached or set up, or the service does not start.
    """
    reporter = reporter or Silent()
    check_host(options.on)
    Classifier(options.model, labels=options.labels, input_range=options.input_range)
    if options.mqtt:
        options.mqtt.read_login()
    with Connection(options.on) as connection:
        extra = "mqtt" if options.mqtt else ""
        device = install(connection, folder=options.remote_dir, kind="data", extra=extra, reporter=reporter)
        service = SystemdService(device, undo_command(options.on, options.remote_dir))
        service.check()
        [model] = send_models(device, [options.model], reporter)
        command = [device.python, "-m", "poets_edge", "watch", model, *options.watch]
        needed = [*device.items, _item_of(device, model)]
        if options.labels is not None:
            labels = item("labels", options.labels.read_bytes())
            if not connection.ask("have", Items, items=[labels]).items:
                send(connection, labels, {_LABELS: options.labels}, reporter, "copying labels")
            command += ["--labels", str(device.folder / labels / _LABELS)]
            needed.append(labels)
        if options.input_range is not None:
            command += [f"--input-range={options.input_range}"]
        if options.mqtt is not None:
            arguments, files = _send_mqtt(device, options.mqtt, reporter)
            command += arguments
            needed += files
        collect = _collect_folder(options.watch, device.facts.home)
        unit = service.set_up(command, needed, reporter, collect=collect)
        reporter.note(f"{options.on}: {service.name} is started")
        return Deployed(
            host=options.on,
            service=service.name,
            model=model,
            unit=unit,
            undo=service.undo,
            lines=tuple(service.first_lines(reporter)),
        )


def _send_mqtt(device: Installation, mqtt: MqttOptions, reporter: Reporter) -> tuple[list[str], list[str]]:
    """Copy the MQTT login and certificates, if there are any, to the device.

    Returns:
        The MQTT arguments for `watch`, and the folders on the device that contain the copies.
    """
    arguments = ["--mqtt", mqtt.broker]
    arguments += ["--mqtt-name", mqtt.name] if mqtt.name is not None else []
    files = {name: path for name, path in ((_LOGIN, mqtt.login), (_CA, mqtt.ca)) if path is not None}
    if not files:
        return arguments, []
    item = f"secrets/{secrets.token_hex(8)}"  # not a digest, from which a password could be guessed
    send(device.connection, item, files, reporter, "copying the login")
    for flag, name in (("--mqtt-login", _LOGIN), ("--mqtt-ca", _CA)):
        arguments += [flag, str(device.folder / item / name)] if name in files else []
    return arguments, [item]


def remove(host: str, *, remote_dir: str = "", reporter: Reporter | None = None) -> bool:
    """Undo `deploy`: stop the service, and remove the service, the model and the program.

    Only files that the program has created are removed; a warning lists any other files in its folder.

    Returns:
        Whether a deployment was found.

    Raises:
        RemoteError: the device cannot be reached, a file cannot be removed, or another session uses the folder.
    """
    reporter = reporter or Silent()
    with Connection(check_host(host)) as connection:
        facts = connection.ask("facts", Facts, folder=remote_dir, kind="data", packages=[])
        if facts.state != "ours":
            note_older_files(host, facts, reporter)
            return False
        open_folder(connection, facts, default=False, reporter=reporter, alone=True)
        service = SystemdService(Installation.without_program(connection, facts), undo_command(host, remote_dir))
        note = connection.ask("service", Service).note
        if note:
            service.take_down(lingered=note.lingered is True)
        warn_remaining_files(host, connection.ask("remove", Left, seconds=connection.limits.work).left, reporter)
    reporter.note(f"{host}: {service.name} is stopped and removed" if note else f"{host}: the program is removed")
    return True


def _collect_folder(watch: Sequence[str], home: str) -> str | None:
    """Return the absolute path of the folder that the argument `--collect` specifies; None if it is not given.

    Args:
        watch: arguments of the command `watch`.
        home: home folder on the device, against which a relative path is resolved.
    """
    for word, following in zip_longest(watch, watch[1:], fillvalue=""):
        flag, equals, value = word.partition("=")
        if flag == "--collect":
            return str(PurePosixPath(home, value if equals else following))  # systemd starts the service in `home`
    return None


def _item_of(device: Installation, path: str) -> str:
    return "/".join(path.removeprefix(f"{device.folder}/").split("/")[:2])


def watch_arguments(given: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """Convert (flag, value) pairs to arguments for `watch`.

    If the value is True, the flag is added without a value; if it is a tuple, the flag is repeated for each
    element. Flags with the value None, False or () are left out.
    """
    words: list[str] = []
    for flag, value in given:
        if value is True:
            words.append(flag)
        elif value is not None and value is not False and value != ():  # 0 is a value, such as of --run-limit
            for one in value if isinstance(value, tuple) else (value,):
                words += [flag, str(one)]
    return tuple(words)
