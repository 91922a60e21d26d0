"""The command `deploy`, which installs a model on a device as a service that labels camera frames.

`deploy` carries out the steps in docs/raspberry-pi.md over one connection and without root; `remove` undoes them.
"""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from poets_edge.bench.remote.answers import Done, Ended, Facts, Items, Left, Links, Service, UnitPath
from poets_edge.bench.remote.connection import Connection, check_host
from poets_edge.bench.remote.installation import (
    Installation,
    install,
    item,
    note_older_files,
    open_folder,
    send,
    warn_remaining_files,
    with_remedy,
)
from poets_edge.bench.remote.session import send_models
from poets_edge.bench.remote.systemd_unit import NAME, unit_name, unit_text
from poets_edge.core.arguments import check_fields
from poets_edge.device.classifier import Classifier
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.errors import RemoteError
from poets_edge.progress import Reporter, Silent

_FIRST_LABELS_SECONDS = 30.0
_ENOUGH_LINES = 3
_LABELS = "labels.txt"
_LOGIN, _CA = "mqtt-login.txt", "mqtt-ca.pem"


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """Options of `deploy`.

    Attributes:
        model: path of a `.tflite` file.
        on: SSH destination of the device.
        labels: file with labels for a model that contains none, or with translated labels; see `Classifier`.
        input_range: input values of the pixels 0 and 255, such as "-1:1", for models that do not specify them.
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
        systemd = _Systemd(device, undo_command(options.on, options.remote_dir))
        systemd.check()
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
        unit = systemd.set_up(command, needed, reporter, collect=collect)
        reporter.note(f"{options.on}: {systemd.name} is started")
        return Deployed(
            host=options.on,
            service=systemd.name,
            model=model,
            unit=unit,
            undo=systemd.undo,
            lines=tuple(systemd.first_lines(reporter)),
        )


def _send_mqtt(device: Installation, mqtt: MqttOptions, reporter: Reporter) -> tuple[list[str], list[str]]:
    """Copy the MQTT login and certificates. Return arguments for `watch`, and the folders with the copies, if any."""
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
    """Undo `deploy`: stop the service, and remove it, the model and the program.

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
        systemd = _Systemd(Installation.bare(connection, facts), undo_command(host, remote_dir))
        note = connection.ask("service", Service).note
        if note:
            systemd.take_down(lingered=note.lingered is True)
        warn_remaining_files(host, connection.ask("remove", Left, seconds=connection.limits.work).left, reporter)
    reporter.note(f"{host}: {systemd.name} is stopped and removed" if note else f"{host}: the program is removed")
    return True


def _collect_folder(watch: Sequence[str], home: str) -> str | None:
    """Return the folder that `--collect` names in `watch` arguments, as an absolute path; None without `--collect`."""
    for word, following in zip_longest(watch, watch[1:], fillvalue=""):
        flag, equals, value = word.partition("=")
        if flag == "--collect":
            return str(PurePosixPath(home, value if equals else following))  # systemd starts the service in `home`
    return None


def _item_of(device: Installation, path: str) -> str:
    return "/".join(path.removeprefix(f"{device.folder}/").split("/")[:2])


class _Systemd:
    """Client for the user's systemd instance on the device, which requires neither root nor a password."""

    def __init__(self, device: Installation, undo: str) -> None:
        self._device = device
        facts = device.facts
        self.name = unit_name(facts.folder, usual=facts.usual)
        self.undo = undo
        self._links = f"{facts.config or facts.home + '/.config'}/systemd/user"
        # With PAM, a login through ssh has an instance.
        self._environment = {"XDG_RUNTIME_DIR": facts.runtime or f"/run/user/{facts.uid}", "LC_ALL": "C.UTF-8"}

    def check(self) -> None:
        """Raise RemoteError if no systemd instance runs for the user on the device."""
        try:
            ended = self._call("systemctl", "--user", "daemon-reload")[0]
        except RemoteError as error:
            raise RemoteError(
                f"{self._device.host}: no systemd there ({error.reason}), which starts the service. Start"
                " `poets-edge watch` as that system starts programs; see docs/raspberry-pi.md."
            ) from None
        if ended.status:
            raise RemoteError(
                f"{self._device.host}: its systemd cannot be asked ({ended.last_words}). Log in as the user that owns"
                " the camera, not with su, and install dbus-user-session or libpam-systemd there."
            )

    def set_up(self, command: Sequence[str], needed: Sequence[str], reporter: Reporter, *, collect: str | None) -> str:
        """Write the unit file, enable lingering, and start or restart the service.

        Args:
            command: program and arguments of the service.
            needed: items (`<kind>/<key>`) that the service requires; they are kept as long as the service exists.
            collect: folder in which the service saves frames; None if the service saves no frames.

        Returns:
            Path of the unit file in the program's folder; a link in systemd's folder points to it.

        Raises:
            RemoteError: the unit cannot be written or started.
        """
        connection = self._device.connection
        for word in (*command, *self._device.environment.values()):
            if any("\ud800" <= character <= "\udfff" for character in word):
                raise RemoteError(f"{connection.host}: {word!r}: systemd takes only text that is UTF-8. Rename it.")
        found = self._found()
        if found.foreign:
            raise RemoteError(
                f"{connection.host}: {found.path} is there already; an older version of this program or somebody"
                f" else put it there. Stop it with `systemctl --user disable --now {self.name}`, move the file away,"
                " and run again."
            )
        before = connection.ask("service", Service).note
        text = unit_text(command, self._device.environment, name=self.name, undo=self.undo)
        lingered = before is not None and before.lingered is True
        note = {"unit": self.name, "items": list(needed), "lingered": lingered, "collect": collect}
        try:
            unit = connection.ask("set_service", UnitPath, note=note, text=text).path
            if self.linger(reporter):
                connection.ask("set_service", UnitPath, note={**note, "lingered": True}, text="")
        except RemoteError as error:
            raise with_remedy(error) from None
        self.run("daemon-reload")
        self.run("enable", unit)
        self.run("restart", f"{self.name}.service")
        return unit

    def take_down(self, *, lingered: bool) -> None:
        """Stop the service, remove it from systemd, and disable lingering if `deploy` enabled it.

        Args:
            lingered: whether `deploy` enabled lingering. It stays enabled if another deployment needs it.
        """
        connection = self._device.connection
        self.run("disable", "--now", f"{self.name}.service", check=False)
        connection.ask("unlink", Done, folder=self._links, unit=self.name)
        self.run("daemon-reload", check=False)
        self.run("reset-failed", f"{self.name}.service", check=False)
        if lingered:
            others = self._found().others
            if others:
                connection.ask("give_linger", Done, folder=others[0])
            else:
                self.loginctl("disable-linger")

    def _found(self) -> Links:
        return self._device.connection.ask("links", Links, folder=self._links, unit=self.name, prefix=NAME)

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run `systemctl --user` and return its output. Raises RemoteError if the command fails and `check` is true."""
        ended, lines = self._call("systemctl", "--user", *arguments)
        if check and ended.status:
            command = f"systemctl --user {' '.join(arguments)}"
            raise RemoteError(f"{self._device.host}: {command} failed there ({ended.last_words.rstrip('.')}).")
        return "\n".join(lines).strip()

    def loginctl(self, *arguments: str) -> str | None:
        """Run `loginctl` for the user and return its output; None if the command fails."""
        try:
            ended, lines = self._call("loginctl", *arguments, self._device.facts.user)
        except RemoteError:
            return None
        return "\n".join(lines).strip() if ended.status == 0 else None

    def linger(self, reporter: Reporter) -> bool:
        """Enable lingering, so that the user's systemd runs without a login. Return whether this call enabled it."""
        if self.loginctl("show-user", "--property=Linger", "--value") == "yes":
            return False
        if self.loginctl("enable-linger") is not None:
            return True
        user = self._device.facts.user
        reporter.warn(
            f"{self._device.host}: the service runs only while {user} is logged in. Run on it:"
            f" sudo loginctl enable-linger {user}"
        )
        return False

    def first_lines(self, reporter: Reporter) -> list[str]:
        """Wait for the first lines of the service's output and return them. Raises RemoteError if the service fails."""
        end = time.monotonic() + _FIRST_LABELS_SECONDS
        lines: list[str] = []
        with reporter.progress(f"{self._device.host}: first labels", _ENOUGH_LINES, "line") as advance:
            while time.monotonic() < end:
                time.sleep(0.5)
                shown = dict(
                    line.partition("=")[::2]
                    for line in self.run(
                        "show", "--property=ExecMainPID,ActiveState,SubState,NRestarts", f"{self.name}.service"
                    ).splitlines()
                )
                seen = self._journal(f"_PID={shown['ExecMainPID']}") if shown.get("ExecMainPID", "0") != "0" else []
                advance(max(0, min(len(seen), _ENOUGH_LINES) - len(lines)))
                lines = max(lines, seen[-20:], key=len)
                if shown.get("ActiveState") == "failed" or shown.get("SubState") in ("auto-restart", "failed"):
                    raise self._ended()
                if len(lines) >= _ENOUGH_LINES or shown.get("SubState") in ("exited", "dead"):
                    break
        return lines

    def _ended(self) -> RemoteError:
        host = self._device.host
        last = (self._journal(f"SYSLOG_IDENTIFIER={self.name}") or ["no reason given"])[-1].removeprefix("Error: ")
        return RemoteError(
            f"{host}: the service ends as soon as it is started ({last.rstrip('.')}). It is tried again every 10 s;"
            f" stop it with: {self.undo}"
        )

    def _journal(self, match: str) -> list[str]:
        command = ["journalctl", "--output=cat", "--no-pager", "--quiet", "--lines=20", match]
        return self._call(*command)[1]

    def _call(self, *command: str) -> tuple[Ended, list[str]]:
        return self._device.connection.run(command, env=self._environment)


def watch_arguments(given: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """Return arguments for `watch` from (flag, value) pairs; True adds the flag alone, and a tuple repeats the flag."""
    words: list[str] = []
    for flag, value in given:
        if value is True:
            words.append(flag)
        elif value not in (None, False, ()):
            for one in value if isinstance(value, tuple) else (value,):
                words += [flag, str(one)]
    return tuple(words)
