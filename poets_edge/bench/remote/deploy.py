"""`deploy`: a model on a device, labelling what the camera sees from the moment the device has started.

Comes in: a model, a host, options of `watch`. Goes out: a service there, and its first labels. What
docs/raspberry-pi.md explains step by step, done over one connection and without root; `remove` undoes all of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.bench.remote.connection import Connection, Ended, check_host
from poets_edge.bench.remote.installation import Installation, install, with_way_out
from poets_edge.bench.remote.systemd_unit import NAME, unit_text
from poets_edge.core.json_checks import check, parse_json
from poets_edge.device.classifier import Classifier
from poets_edge.errors import RecordError, RemoteError
from poets_edge.progress import Reporter, Silent

_UNIT = f"{NAME}.service"
_FIRST_LABELS_SECONDS = 30.0
_ENOUGH_LINES = 3
_NOTE = "deployed.json"


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """Options of `deploy`.

    Attributes:
        model: a `.tflite` file.
        on: the device, as ssh takes it.
        labels: labels file, in place of the model's own.
        watch: more arguments for `poets-edge watch` there, such as ("--on-label", "daisy", "--run", "aplay bell.wav").
        remote_dir: folder for all of it; by default `poets-edge` under the user's data folder there.
    """

    model: Path
    on: str
    labels: Path | None = None
    watch: tuple[str, ...] = ()
    remote_dir: str = ""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A service that runs.

    Attributes:
        model: where the model lies there.
        unit: the file of the service there.
        lines: what it has said first.
    """

    host: str
    model: str
    unit: str
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "service": NAME,
            "model": self.model,
            "unit": self.unit,
            "lines": list(self.lines),
        }


def deploy(options: DeployOptions, reporter: Reporter | None = None) -> Deployed:
    """Install the program, copy the model, and start the service, or start it again with what is new.

    The model takes the old one's place at once, so a `watch` that is reading it never sees a half of it.

    Raises:
        ModelError: the model or its labels cannot be used; the device is not touched then.
        RemoteError: the device cannot be reached or set up, or the service does not start; the message says why.
    """
    reporter = reporter or Silent()
    check_host(options.on)
    Classifier(options.model, labels=options.labels)
    with Connection(options.on) as connection:
        device = install(connection, folder=options.remote_dir, kind="data", reporter=reporter)
        systemd = _Systemd(device)
        systemd.check()
        model = str(device.folder / "model" / options.model.name)
        command = [device.python, "-m", "poets_edge", "watch", model, *options.watch]
        try:
            before = _note(device)
            connection.send_file(model, options.model.read_bytes())
            if options.labels is not None:
                labels = str(device.folder / "model" / "labels.txt")
                connection.send_file(labels, options.labels.read_bytes())
                command += ["--labels", labels]
            text = unit_text(command, device.environment, host=options.on)
            connection.send_file(systemd.unit, text.encode())
            lingered = systemd.linger(reporter) or before.get("lingered", False)
            note = json.dumps({"model": model, "unit": systemd.unit, "lingered": lingered})
            connection.send_file(str(device.folder / _NOTE), note.encode())
            if before.get("model") not in (None, model):
                connection.ask("remove", paths=[before["model"]])
        except RemoteError as error:
            raise with_way_out(error) from None
        systemd.run("daemon-reload")
        systemd.run("enable", _UNIT)
        systemd.run("restart", _UNIT)
        reporter.note(f"{options.on}: {NAME} is started")
        return Deployed(host=options.on, model=model, unit=systemd.unit, lines=tuple(systemd.first_lines(reporter)))


def remove(host: str, *, remote_dir: str = "", reporter: Reporter | None = None) -> bool:
    """Undo `deploy`: stop the service, and remove it, the model and the program.

    Returns:
        Whether anything was there.

    Raises:
        RemoteError: the device cannot be reached, or a file cannot be removed.
    """
    reporter = reporter or Silent()
    with Connection(check_host(host)) as connection:
        facts = connection.ask("facts", folder=remote_dir, kind="data", packages=[])
        device = Installation.bare(connection, facts)
        note = _note(device)
        if not note:
            return False
        systemd = _Systemd(device)
        systemd.run("disable", "--now", _UNIT, must=False)
        connection.ask("remove", paths=[note["unit"]])
        systemd.run("daemon-reload", must=False)
        systemd.run("reset-failed", _UNIT, must=False)
        if note["lingered"]:
            systemd.loginctl("disable-linger")
        parts = ("model", "program", "packages", _NOTE)
        paths = [str(device.folder / part) for part in parts]
        connection.ask("remove", paths=paths, empty=[str(device.folder)])
    reporter.note(f"{host}: {NAME} is stopped and removed")
    return True


def _note(device: Installation) -> dict[str, Any]:
    """The files that an earlier `deploy` has left there; none where there was none."""
    lines: list[str] = []
    ended = device.connection.run(["cat", str(device.folder / _NOTE)], line=lines.append)
    if ended.status != 0:
        return {}
    try:
        found: dict[str, Any] = check(parse_json("\n".join(lines)), {"model": str, "unit": str, "lingered": bool})
        return found
    except RecordError as error:
        place = f"{device.folder}/{_NOTE}"
        raise RemoteError(f"{device.connection.host}: {place}: {error}. Delete it there, and run again.") from None


class _Systemd:
    """The user's own systemd on the device. It needs no root, and no password."""

    def __init__(self, device: Installation) -> None:
        self._device = device
        facts = device.facts
        config = facts["config"] or f"{facts['home']}/.config"
        self.unit = f"{config}/systemd/user/{_UNIT}"
        # A login through ssh has it where PAM gives it one.
        self._environment = {"XDG_RUNTIME_DIR": facts["runtime"] or f"/run/user/{facts['uid']}", "LC_ALL": "C.UTF-8"}

    def check(self) -> None:
        """Raises RemoteError: there is no such systemd."""
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

    def run(self, *arguments: str, must: bool = True) -> str:
        """`systemctl --user`. Raises RemoteError where it fails and must not."""
        ended, lines = self._call("systemctl", "--user", *arguments)
        if must and ended.status:
            command = f"systemctl --user {' '.join(arguments)}"
            raise RemoteError(f"{self._device.host}: {command} failed there ({ended.last_words.rstrip('.')}).")
        return "\n".join(lines).strip()

    def loginctl(self, *arguments: str) -> str | None:
        """Its output; None where it fails."""
        try:
            ended, lines = self._call("loginctl", *arguments, self._device.facts["user"])
        except RemoteError:
            return None
        return "\n".join(lines).strip() if ended.status == 0 else None

    def linger(self, reporter: Reporter) -> bool:
        """Have the user's systemd run without a login, from the start of the device on. True: it did not before."""
        if self.loginctl("show-user", "--property=Linger", "--value") == "yes":
            return False
        if self.loginctl("enable-linger") is not None:
            return True
        user = self._device.facts["user"]
        reporter.warn(
            f"{self._device.host}: the service runs only while {user} is logged in. Run on it:"
            f" sudo loginctl enable-linger {user}"
        )
        return False

    def first_lines(self, reporter: Reporter) -> list[str]:
        """The service's first words. Raises RemoteError where it ends instead."""
        end = time.monotonic() + _FIRST_LABELS_SECONDS
        lines: list[str] = []
        with reporter.progress(f"{self._device.host}: first labels", _ENOUGH_LINES, "line") as advance:
            while time.monotonic() < end:
                time.sleep(0.5)
                shown = dict(
                    line.partition("=")[::2]
                    for line in self.run(
                        "show", "--property=ExecMainPID,ActiveState,SubState,NRestarts", _UNIT
                    ).splitlines()
                )
                seen = self._journal(f"_PID={shown['ExecMainPID']}") if shown.get("ExecMainPID", "0") != "0" else []
                advance(max(0, min(len(seen), _ENOUGH_LINES) - len(lines)))
                lines = max(lines, seen[-20:], key=len)
                if shown["ActiveState"] == "failed" or shown["SubState"] in ("auto-restart", "failed"):
                    raise self._ended()
                if len(lines) >= _ENOUGH_LINES or shown["SubState"] in ("exited", "dead"):
                    break
        return lines

    def _ended(self) -> RemoteError:
        host = self._device.host
        last = (self._journal(f"SYSLOG_IDENTIFIER={NAME}") or ["no reason given"])[-1].removeprefix("Error: ")
        return RemoteError(
            f"{host}: the service ends as soon as it is started ({last.rstrip('.')}). It is tried again every 10 s;"
            f" stop it with: poets-edge deploy --on {host} --remove"
        )

    def _journal(self, match: str) -> list[str]:
        command = ["journalctl", "--output=cat", "--no-pager", "--quiet", "--lines=20", match]
        return self._call(*command)[1]

    def _call(self, *command: str) -> tuple[Ended, list[str]]:
        lines: list[str] = []
        ended = self._device.connection.run(command, env=self._environment, line=lines.append)
        return ended, lines


def watch_arguments(given: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """Options of `watch` by their flags as a command line again: True is a flag alone, a tuple several times."""
    words: list[str] = []
    for flag, value in given:
        if value is True:
            words.append(flag)
        elif value not in (None, False, ()):
            for one in value if isinstance(value, tuple) else (value,):
                words += [flag, str(one)]
    return tuple(words)
