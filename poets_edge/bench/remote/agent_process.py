"""The ssh process that connects this machine to the agent on a device, through its standard input and output."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections import deque
from typing import IO, Any

from poets_edge.bench.remote.agent_program import agent_program
from poets_edge.bench.remote.answers import LONGEST_LINE, parse_line
from poets_edge.bench.remote.inbox import Inbox, LineReader
from poets_edge.bench.remote.limits import Limits
from poets_edge.bench.remote.on_device.agent import BEAT, MARKER
from poets_edge.bench.remote.on_device.chunks import CHUNK
from poets_edge.bench.remote.ssh import ended_error, start_ssh
from poets_edge.errors import RecordError, RemoteError

_LONGEST_LINE_OF_ERRORS = 1 << 16
_END_SECONDS = 5.0
_MOST_NOISE = 4 << 20
"""Maximum number of bytes that a login shell may print before the agent starts."""
_SHOWN_CHARACTERS = 300


class AgentProcess:
    """Agent that runs on a device over ssh.

    Two threads read the standard output and standard error of ssh; a third one ends the connection if the device
    exceeds a time limit.

    Attributes:
        closing: event that is set when `close` is called.
    """

    def __init__(self, host: str, limits: Limits) -> None:
        """Log in and start the agent.

        Raises:
            RemoteError: the device cannot be reached, rejects the login, or has no Python.
        """
        self.closing = threading.Event()
        self._host = host
        self._limits = limits
        self._inbox = Inbox(most_bytes=LONGEST_LINE)
        self._problem = ""
        self._writing: float | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._ready = threading.Event()
        self._ssh = start_ssh(host)
        assert self._ssh.stdout is not None
        self._reader = LineReader(self._ssh.stdout, longest=LONGEST_LINE)
        self._readers = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._collect)]
        for reader in self._readers:
            reader.start()
        try:
            source = agent_program()
            self.write(f"{len(source)}\n".encode() + source)
            self._await_agent()
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._guard, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the ssh process is still running."""
        return self._ssh.poll() is None

    @property
    def pid(self) -> int:
        """Process ID of the local ssh process."""
        return self._ssh.pid

    def close(self) -> None:
        """Log out of the device. The agent there then kills the programs that it has started, and exits."""
        self.closing.set()
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

    def write(self, data: bytes) -> None:
        """Send bytes to the agent on the device. Raises RemoteError if the connection is lost."""
        assert self._ssh.stdin is not None
        for start in range(0, len(data), CHUNK):
            self._writing = time.monotonic()
            try:
                self._ssh.stdin.write(data[start : start + CHUNK])
                self._ssh.stdin.flush()
            except (OSError, ValueError):
                raise self._ended() from None
            finally:
                self._writing = None

    def read_message(self, end: float, seconds: float) -> dict[str, Any]:
        """Return the next message from the agent on the device.

        Args:
            end: time on the monotonic clock, in seconds, at which to stop waiting.
            seconds: time limit that the error message states, in seconds.

        Raises:
            RemoteError: the connection is lost, or the message is not a JSON object or arrives too late.
        """
        while True:  # with a short time limit, because on Windows Ctrl-C does not end a wait without one
            if time.monotonic() > end:  # also where it sends something else without end
                self._give_up(f"has not answered for {seconds:.0f} s")
                raise self._ended()
            data = self._inbox.get(0.5)
            if data is not None:
                try:
                    value = parse_line(data)
                except RecordError as error:
                    raise self.invalid_answer(str(error)) from None
                if not isinstance(value, dict):
                    raise self.invalid_answer("no JSON object")
                return value
            if self._inbox.ended:
                raise self._ended()

    def invalid_answer(self, detail: str) -> RemoteError:
        """End the connection after an invalid message from the device, and return an error that contains `detail`."""
        self._give_up("")
        return RemoteError(f"{self._host}: its answer is not valid ({shown(detail)}).")

    def _give_up(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._ssh.kill()
        self._inbox.close()

    def _await_agent(self) -> None:
        end = time.monotonic() + self._limits.login
        while not self._ready.wait(0.1):
            if self._ssh.poll() is not None and not self._ready.wait(0.5):
                raise self._ended()
            if time.monotonic() > end:
                raise RemoteError(
                    f"{self._host}: logged in, but the shell there has not answered for {self._limits.login:.0f} s."
                    f" Try: ssh {self._host} echo hello"
                )

    def _listen(self) -> None:
        """Read answers from the agent; skip the text that the login shell prints before the agent starts."""
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

    def _guard(self) -> None:
        """End the connection if the device is silent, or stops receiving data, for longer than the time limit."""
        while not self.closing.wait(0.5):
            now, writing = time.monotonic(), self._writing
            if now - self._reader.heard > self._limits.silence:
                self._give_up(f"has been silent for {self._limits.silence:.0f} s")
            elif writing is not None and now - writing > self._limits.taking:
                self._give_up(f"has not accepted data for {self._limits.taking:.0f} s")

    def _ended(self) -> RemoteError:
        """Return an error that explains in one line why the connection was lost."""
        try:
            status: int | None = self._ssh.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        time.sleep(0.05)  # wait for the end of its standard error
        words = [line for line in self._said if line and not line.startswith(("Warning: Permanently added", "debug"))]
        last = shown(words[-1].rstrip(".")) if words else ""
        return ended_error(self._host, status, last, logged_in=self._ready.is_set(), problem=self._problem)


def shown(text: str) -> str:
    """Return text from a device, truncated to 300 characters, for use in an error message."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
