"""Set up, start and remove the service of a deployed model, with the user's systemd instance on the device."""

from __future__ import annotations

import time
from collections.abc import Sequence

from poets_edge.bench.remote.answers import Done, Ended, Links, Service, UnitPath
from poets_edge.bench.remote.installation import Installation, with_remedy
from poets_edge.bench.remote.systemd_unit import NAME, unit_name, unit_text
from poets_edge.errors import RemoteError
from poets_edge.progress import Reporter

_FIRST_LABELS_SECONDS = 30.0
_ENOUGH_LINES = 3


class SystemdService:
    """Service that runs a deployed model, managed by the user's systemd instance on the device.

    This requires neither root nor a password.

    Attributes:
        name: name of the service.
        undo: shell command that removes the service, for messages and for a comment in the unit file.
    """

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
        """Stop the service, remove it from systemd and, if `lingered` is true, disable lingering.

        Args:
            lingered: whether `deploy` enabled lingering. It stays enabled if the user has another deployment.
        """
        connection = self._device.connection
        self.run("disable", "--now", f"{self.name}.service", check=False)
        connection.ask("unlink", Done, folder=self._links, unit=self.name)
        self.run("daemon-reload", check=False)
        self.run("reset-failed", f"{self.name}.service", check=False)
        if lingered:
            others = self._found().others
            if others:
                connection.ask("hand_over_linger", Done, folder=others[0])
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
