"""Connection to the agent on a device, through the system's `ssh`.

One ssh process transmits all requests, files and progress messages, so that the user logs in only once. (ControlMaster
would have the same effect, but ssh for Windows does not support it.) The settings in ~/.ssh/config, such as ports and
ProxyJump, apply. When the ssh process ends, `agent.py` ends the programs that it started on the device.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import tarfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from poets_edge.bench.remote.agent import BEAT, MARKER, SILENCE, Message
from poets_edge.bench.remote.agent_program import NO_PYTHON, START, agent_program
from poets_edge.bench.remote.answers import LONGEST_LINE, Done, Ended, Refusal, parse_line
from poets_edge.bench.remote.inbox import Inbox, LineReader
from poets_edge.bench.remote.limits import LIMITS, Limits
from poets_edge.core.json_checks import check
from poets_edge.core.json_objects import from_json
from poets_edge.errors import RecordError, RemoteError, UsageError

SSH_VARIABLE = "POETS_EDGE_SSH"
"""Environment variable for the ssh command, such as `ssh -F FILE`; it corresponds to GIT_SSH_COMMAND in git."""

_OPTIONS = {
    "ConnectTimeout": "15",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "RemoteCommand": "none",
    "ClearAllForwardings": "yes",
}
"""Options for ssh that detect lost connections and override interactive settings in ~/.ssh/config."""


_HEARTBEAT = 10.0
_LONGEST_HOST = 300
_CHUNK = 1 << 16
_END_SECONDS = 5.0
_MOST_NOISE = 4 << 20
"""Maximum number of bytes that a login shell may print before the agent starts."""
_LONGEST_LINE_OF_ERRORS = 1 << 16
_MOST_LINES = 10_000
_SHOWN_CHARACTERS = 300

Advance = Callable[[int], object]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Line:
    """Message that contains a line of output from a program on the device."""

    line: str


def check_host(host: str) -> str:
    """Return the host if it is a valid SSH destination without a password; otherwise raise UsageError."""
    user, _, name = host.removeprefix("ssh://").rpartition("@")
    shown = (name if ":" in user else host)[:_LONGEST_HOST]
    if ":" in user:
        raise UsageError(f"host {shown!r}: without the password, for which ssh asks, or which a key replaces.")
    odd = any(character.isspace() or not character.isprintable() for character in host)
    if not host or host.startswith("-") or odd or len(host) > _LONGEST_HOST:
        raise UsageError(f"host {shown!r}: expected an SSH destination, such as pi@raspberrypi.local.")
    return host


def ssh_command() -> list[str]:
    """Return the command in POETS_EDGE_SSH, or `ssh`, split into words. Raises UsageError if a quote is not closed."""
    text = os.environ.get(SSH_VARIABLE) or "ssh"
    try:
        return shlex.split(text, posix=os.name != "nt")
    except ValueError as error:
        raise UsageError(f"the environment variable {SSH_VARIABLE}={text}: {error}.") from None


class Connection:
    """Connection to a device with a single login. It is not thread-safe. Close it, or use it as a context manager."""

    def __init__(self, host: str, *, silence: float = SILENCE, limits: Limits | None = None) -> None:
        """Log in and start the agent.

        Args:
            silence: time in seconds after which the agent exits if it receives no message from this machine.
            limits: time limits for the connection; by default LIMITS.

        Raises:
            RemoteError: the device cannot be reached, rejects the login, or has no Python.
        """
        self.host = check_host(host)
        self._silence = silence
        self._limits = limits or LIMITS
        self._inbox = Inbox(most_bytes=LONGEST_LINE)
        self._problem = ""
        self._writing: float | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._lock = threading.Lock()
        self._number = 0
        self._ready = threading.Event()
        self._closing = threading.Event()
        command = [*ssh_command(), "-T"]
        command += [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
        try:
            self._ssh = subprocess.Popen(
                [*command, "--", self.host, START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise RemoteError(
                f"ssh cannot be started here ({error.strerror}). Install OpenSSH's client; on Windows it is an optional"
                " feature of the system."
            ) from None
        assert self._ssh.stdout is not None
        self._reader = LineReader(self._ssh.stdout, longest=LONGEST_LINE)
        self._readers = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._collect)]
        for reader in self._readers:
            reader.start()
        try:
            source = agent_program()
            self._write(f"{len(source)}\n".encode() + source)
            self._await_agent()
            self._post({"do": "ping", "silence": silence})
        except BaseException:
            self.close()
            raise
        for work in (self._beat, self._guard):
            threading.Thread(target=work, daemon=True).start()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the ssh process is still running."""
        return self._ssh.poll() is None

    def close(self) -> None:
        """Log out. The agent then kills the programs that it has started, and exits."""
        self._closing.set()
        self._inbox.close()
        closer = threading.Thread(target=self._close_input, daemon=True)  # the thread may be blocked by a full pipe
        closer.start()
        closer.join(1.0)
        try:
            self._ssh.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._ssh.kill()
            self._ssh.wait()
        for reader, stream in zip(self._readers, (self._ssh.stdout, self._ssh.stderr), strict=True):
            reader.join(_END_SECONDS)
            if stream is not None and not reader.is_alive():
                stream.close()

    def ask(self, do: str, answer: type[Answer], /, *, seconds: float | None = None, **request: Any) -> Answer:
        """Send a request and return its answer.

        Args:
            do: name of the request.
            answer: dataclass of the answer.
            seconds: time limit in seconds; by default `Limits.answer`.
            request: further values in the request.

        Raises:
            RemoteError: the connection is lost, the device reports an error (`RemoteError.reason`), or its answer is
                invalid or late.
        """
        return self._answer(self._post({"do": do, **request}), answer, seconds or self._limits.answer)

    @property
    def limits(self) -> Limits:
        """Time limits for the connection, in seconds."""
        return self._limits

    def run(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        text: str = "",
        line: Callable[[str], object] | None = None,
        pause: float | None = None,
    ) -> tuple[Ended, list[str]]:
        """Run a program on the device until it ends.

        Args:
            env: additional environment variables.
            text: text for the standard input of the program.
            line: function that is called with each line that the program writes to standard output.
            pause: longest time without a line of output, in seconds; by default `Limits.program`.

        Returns:
            The exit status, and the lines of standard output; the list of lines is empty if `line` is given.

        Raises:
            RemoteError: the connection is lost, or the program is missing, exceeds the time limit, or prints too much.
        """
        lines: list[str] = []

        def collect(one: str) -> None:
            if len(lines) >= _MOST_LINES or len(one) > _LONGEST_LINE_OF_ERRORS:
                raise self.refusal("it prints too much")
            lines.append(one)

        number = self._post({"do": "run", "command": list(command), "env": dict(env or {}), "input": text})
        return self._answer(number, Ended, pause or self._limits.program, line or collect), lines

    def send_item(
        self, item: str, members: Mapping[str, Path], *, wheels: bool = False, advance: Advance = lambda amount: None
    ) -> None:
        """Copy local files to the device as a new folder, which is created atomically.

        Args:
            item: path of the new folder, `<kind>/<key>`, relative to the program's folder.
            members: local files, keyed by their paths in the new folder.
            wheels: whether the files are wheels, which the device must unpack.
            advance: function that is called repeatedly with the number of bytes sent since the previous call.

        Raises:
            RemoteError: the connection is lost, or the new folder cannot be written.
        """

        def write(pipe: _Chunks) -> None:
            with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK) as archive:  # type: ignore[call-overload]
                for name, path in members.items():
                    entry = tarfile.TarInfo(name)
                    entry.size = path.stat().st_size
                    with path.open("rb") as file:
                        archive.addfile(entry, _Counted(file, advance))

        with self._lock:  # no heartbeat in between
            number = self._post({"do": "receive", "item": item, "wheels": wheels}, locked=True)
            write(_Chunks(self._write))
            self._write(b"0\n")
        self._answer(number, Done, self._limits.work)

    def _post(self, request: Message, *, locked: bool = False) -> int:
        with contextlib.nullcontext() if locked else self._lock:
            self._number += request["do"] != "ping"
            number = {} if request["do"] == "ping" else {"id": self._number}
            self._write(json.dumps({**request, **number}).encode() + b"\n")
            return self._number

    def _write(self, data: bytes) -> None:
        assert self._ssh.stdin is not None
        for start in range(0, len(data), _CHUNK):
            self._writing = time.monotonic()
            try:
                self._ssh.stdin.write(data[start : start + _CHUNK])
                self._ssh.stdin.flush()
            except (OSError, ValueError):
                raise self._cut() from None
            finally:
                self._writing = None

    def _answer(
        self, number: int, kind: type[Answer], seconds: float, line: Callable[[str], object] | None = None
    ) -> Answer:
        end = time.monotonic() + seconds
        while True:
            message = self._take(end, seconds)
            try:
                if message.get("id") != number:
                    if check(message, {"id": int})["id"] > number:
                        raise RecordError("an answer to nothing")
                    # else the answer to a request that has timed out
                elif "line" in message and line is not None:
                    line(from_json(_Line, message).line)
                    end = time.monotonic() + seconds
                elif "error" in message:
                    refusal = from_json(Refusal, message)
                    where = f"{refusal.path}: " if refusal.path else ""
                    reason = refusal.error.rstrip(".")
                    raise RemoteError(f"{self.host}: {_shown(where + reason)}.", reason=reason)
                else:
                    return from_json(kind, message)
            except RecordError as error:
                raise self.refusal(str(error)) from None

    def _take(self, end: float, seconds: float) -> dict[str, Any]:
        """Return the next message from the agent. Raises RemoteError if it is not a JSON object or arrives too late."""
        while True:  # with a short time limit, because on Windows Ctrl-C does not end a wait without one
            if time.monotonic() > end:  # also where it sends something else without end
                self._give_up(f"has not answered for {seconds:.0f} s")
                raise self._cut()
            data = self._inbox.get(0.5)
            if data is not None:
                try:
                    value = parse_line(data)
                except RecordError as error:
                    raise self.refusal(str(error)) from None
                if not isinstance(value, dict):
                    raise self.refusal("no JSON object")
                return value
            if self._inbox.ended:
                raise self._cut()

    def refusal(self, detail: str) -> RemoteError:
        """End the connection after an invalid message from the device, and return an error that contains `detail`."""
        self._give_up("")
        return RemoteError(f"{self.host}: its answer is not valid ({_shown(detail)}).")

    def _give_up(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._ssh.kill()
        self._inbox.close()

    def _await_agent(self) -> None:
        end = time.monotonic() + self._limits.login
        while not self._ready.wait(0.1):
            if self._ssh.poll() is not None and not self._ready.wait(0.5):
                raise self._cut()
            if time.monotonic() > end:
                raise RemoteError(
                    f"{self.host}: logged in, but the shell there has not answered for {self._limits.login:.0f} s."
                    f" Try: ssh {self.host} echo hello"
                )

    def _listen(self) -> None:
        """Read answers from the agent; skip the output of the login shell before the marker line."""
        noise = 0

        def take(line: bytes) -> None:
            nonlocal noise
            if self._ready.is_set():
                if line + b"\n" != BEAT:
                    self._inbox.put(line)
                return
            noise += len(line) + 1
            if line.strip() == MARKER.encode():
                self._ready.set()
            elif noise > _MOST_NOISE:
                self._give_up("its login shell prints without end")

        if not self._reader.read_all(take):
            self._give_up(f"sends a line of more than {LONGEST_LINE >> 20} MB")
        self._inbox.close()

    def _collect(self) -> None:
        stream: IO[bytes] = self._ssh.stderr  # type: ignore[assignment]
        while line := stream.readline(_LONGEST_LINE_OF_ERRORS):
            self._said.append(line.decode(errors="replace").strip())

    def _close_input(self) -> None:
        assert self._ssh.stdin is not None
        with contextlib.suppress(OSError):
            self._ssh.stdin.close()

    def _beat(self) -> None:
        while not self._closing.wait(min(_HEARTBEAT, self._silence / 4)):
            with contextlib.suppress(RemoteError):
                self._post({"do": "ping"})

    def _guard(self) -> None:
        """End the connection if the device is silent, or stops receiving data, for longer than the time limit."""
        while not self._closing.wait(0.5):
            now, writing = time.monotonic(), self._writing
            if now - self._reader.heard > self._limits.silence:
                self._give_up(f"has been silent for {self._limits.silence:.0f} s")
            elif writing is not None and now - writing > self._limits.taking:
                self._give_up(f"has not accepted data for {self._limits.taking:.0f} s")

    def _cut(self) -> RemoteError:
        """Return an error that explains in one line why the connection was lost."""
        try:
            status: int | None = self._ssh.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        time.sleep(0.05)  # wait for the end of its standard error
        words = [line for line in self._said if line and not line.startswith(("Warning: Permanently added", "debug"))]
        last = _shown(words[-1].rstrip(".")) if words else ""
        if status == NO_PYTHON:
            return RemoteError(
                f"{self.host}: no Python 3.10 to 3.13 there ({last}). Raspberry Pi OS has one since 2023; elsewhere:"
                " sudo apt install python3"
            )
        if self._problem:
            return RemoteError(f"{self.host}: the device {self._problem}; the connection was ended.")
        if self._ready.is_set():
            return RemoteError(f"{self.host}: the connection was lost{f' ({last})' if last else ''}.")
        if status == 255:
            return RemoteError(f"{self.host}: ssh cannot log in ({last or 'no reason given'}). Try: ssh {self.host}")
        return RemoteError(
            f"{self.host}: its shell cannot start a program ({last or f'status {status}'}). Required is a Linux system"
            " with /bin/sh and Python 3.10 to 3.13."
        )


class _Chunks:
    """Writable file that sends its content over the connection in chunks, each preceded by a line with its size."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def write(self, data: bytes) -> int:
        if data:
            self._write(f"{len(data)}\n".encode() + data)
        return len(data)


class _Counted:
    """Readable file that calls `advance` with the number of bytes that each read returns."""

    def __init__(self, file: IO[bytes], advance: Advance) -> None:
        self._file = file
        self._advance = advance

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._advance(len(data))
        return data


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
