"""Connection to the agent on a device, through the system's `ssh`.

One ssh process transmits all requests, files and progress messages, so that the user logs in only once. (ControlMaster
would have the same effect, but ssh for Windows does not support it.) The settings in ~/.ssh/config, such as ports and
ProxyJump, apply. When the ssh process ends, `agent.py` ends the programs that it started on the device.
"""

from __future__ import annotations

import contextlib
import json
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from poets_edge.bench.remote.agent_process import AgentProcess, shown
from poets_edge.bench.remote.answers import Done, Ended, Refusal
from poets_edge.bench.remote.limits import LIMITS, Limits
from poets_edge.bench.remote.on_device.agent import SILENCE, Message
from poets_edge.bench.remote.on_device.chunks import CHUNK, ChunkWriter
from poets_edge.bench.remote.ssh import check_host
from poets_edge.core.json_checks import check
from poets_edge.core.json_objects import from_json
from poets_edge.errors import RecordError, RemoteError

_HEARTBEAT = 10.0
_MOST_LINES = 10_000
_LONGEST_OUTPUT_LINE = 1 << 16

Advance = Callable[[int], object]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Line:
    """Message that contains a line of output from a program on the device."""

    line: str


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
        self._lock = threading.Lock()
        self._number = 0
        self._agent = AgentProcess(self.host, self._limits)
        try:
            self._post({"do": "ping", "silence": silence})
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._beat, daemon=True).start()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the ssh process is still running."""
        return self._agent.alive

    @property
    def limits(self) -> Limits:
        """Time limits for the connection, in seconds."""
        return self._limits

    def close(self) -> None:
        """Log out of the device. The agent there then kills the programs that it has started, and exits."""
        self._agent.close()

    def ask(self, do: str, answer: type[Answer], /, *, seconds: float | None = None, **request: Any) -> Answer:
        """Send a request and return the answer.

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
            if len(lines) >= _MOST_LINES or len(one) > _LONGEST_OUTPUT_LINE:
                raise self.invalid_answer("it prints too much")
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
        with self._lock:  # no heartbeat in between
            number = self._post({"do": "receive", "item": item, "wheels": wheels}, locked=True)
            chunks = ChunkWriter(self._agent.write)
            with tarfile.open(fileobj=chunks, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK) as archive:  # type: ignore[call-overload]
                for name, path in members.items():
                    entry = tarfile.TarInfo(name)
                    entry.size = path.stat().st_size
                    with path.open("rb") as file:
                        archive.addfile(entry, _Counted(file, advance))
            chunks.end()
        self._answer(number, Done, self._limits.work)

    def invalid_answer(self, detail: str) -> RemoteError:
        """End the connection after an invalid answer from the device, and return an error that contains `detail`."""
        return self._agent.invalid_answer(detail)

    def _post(self, request: Message, *, locked: bool = False) -> int:
        with contextlib.nullcontext() if locked else self._lock:
            self._number += request["do"] != "ping"
            number = {} if request["do"] == "ping" else {"id": self._number}
            self._agent.write(json.dumps({**request, **number}).encode() + b"\n")
            return self._number

    def _answer(
        self, number: int, kind: type[Answer], seconds: float, line: Callable[[str], object] | None = None
    ) -> Answer:
        end = time.monotonic() + seconds
        while True:
            message = self._agent.read_message(end, seconds)
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
                    raise RemoteError(f"{self.host}: {shown(where + reason)}.", reason=reason)
                else:
                    return from_json(kind, message)
            except RecordError as error:
                raise self.invalid_answer(str(error)) from None

    def _beat(self) -> None:
        while not self._agent.closing.wait(min(_HEARTBEAT, self._silence / 4)):
            with contextlib.suppress(RemoteError):
                self._post({"do": "ping"})


class _Counted:
    """Readable file that reports progress: it calls `advance` with the number of bytes returned by each read."""

    def __init__(self, file: IO[bytes], advance: Advance) -> None:
        self._file = file
        self._advance = advance

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._advance(len(data))
        return data
