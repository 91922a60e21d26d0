"""Start and supervise commands that are triggered by labels."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from poets_edge.core.arguments import check_fields
from poets_edge.errors import UsageError
from poets_edge.progress import Reporter

_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.02
_STDERR = 2
_SETPRIV = shutil.which("setpriv")
_END_WITH_PARENT = [_SETPRIV, "--pdeathsig", "TERM", "--"] if _SETPRIV else []
"""Arguments to insert before a command so that the system terminates it when this program ends, even if this program is
killed by SIGKILL; empty if `setpriv` (util-linux) is not installed."""


@dataclass(frozen=True)
class Command:
    """A command line with its time limit.

    Attributes:
        text: the command line.
        shell: whether /bin/sh, or cmd.exe on Windows, runs the text. Otherwise the text is split into a program and its
            arguments, without expansion.
        limit: time limit, seconds, after which the command is ended; 0 for no limit.
    """

    text: str
    shell: bool = False
    limit: float = 60.0

    def __post_init__(self) -> None:
        check_fields(self)

    def arguments(self) -> list[str]:
        """Return the program and its arguments. Raises UsageError if a quote is unclosed or the program is missing."""
        if self.shell:
            return (
                [os.environ.get("COMSPEC", "cmd.exe"), "/c", self.text]
                if os.name == "nt"
                else ["/bin/sh", "-c", self.text]
            )
        try:
            arguments = shlex.split(self.text)
        except ValueError as error:
            raise UsageError(f"the command {self.text!r}: {error}.") from None
        if not arguments or shutil.which(arguments[0]) is None:
            raise UsageError(f"the command {self.text!r}: no such program. (For a shell's own commands add `shell`.)")
        return arguments


class Trigger:
    """Command that is started whenever `hold` consecutive frames have the label `label`.

    The environment variables POETS_EDGE_LABEL and POETS_EDGE_SCORE contain the label and its score. The output of the
    command goes to stderr, separate from the results. The command is not started again while it is running.
    """

    def __init__(self, label: str, command: Command, hold: int, reporter: Reporter) -> None:
        """Create a trigger. Raises UsageError if `hold` is below 1 or the command cannot be run."""
        if hold < 1:
            raise UsageError(f"`hold` must be 1 or more, not {hold}.")
        self.label = label
        self._command = command
        self._arguments = command.arguments()
        self._hold = hold
        self._reporter = reporter
        self._held = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._ending = False

    def observe(self, label: str, score: float) -> None:
        """Process the label of a frame; start the command after `hold` consecutive frames with the trigger's label."""
        self._held = self._held + 1 if label == self.label else 0
        if self._held == self._hold:
            self._start(score)

    def poll(self) -> None:
        """Report a failed command, and end a command that exceeds its time limit. Call this often; it does not wait."""
        if self._process is None:
            return
        status = self._process.poll()
        spent = time.monotonic() - self._started
        if status is not None:
            ended_by_us = self._ending
            self._forget()
            if status and not ended_by_us:
                how = f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"
                self._reporter.warn(f"the command {self._command.text!r} {how}")
        elif self._ending and spent > self._command.limit + _GRACE_SECONDS:
            self._stop(force=True)
        elif self._command.limit and spent > self._command.limit and not self._ending:
            self._reporter.warn(
                f"the command {self._command.text!r} is still running after {self._command.limit:g} s; stopping it"
            )
            self._ending = True
            self._stop()

    def close(self, stopped: Callable[[], bool]) -> None:
        """Wait until the command ends or reaches its time limit; end it within 2 s once `stopped` returns True."""
        try:
            self.poll()
            while self._process is not None and not stopped():
                time.sleep(_POLL_SECONDS)
                self.poll()
            if self._process is not None:
                self._reporter.warn(f"the command {self._command.text!r} is still running; stopping it")
                self._stop()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GRACE_SECONDS)
        finally:  # even if the terminal is closed, so that the warning fails
            self._forget()

    def _start(self, score: float) -> None:
        self.poll()
        if self._process is not None:
            self._reporter.warn(f"the command {self._command.text!r} is still running; not started again")
            return
        facts = {"POETS_EDGE_LABEL": self.label, "POETS_EDGE_SCORE": f"{score:.5f}"}
        try:
            # In a separate session, it does not receive the terminal's Ctrl-C, and can be ended with its children.
            self._process = subprocess.Popen(
                _END_WITH_PARENT + self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                env={**os.environ, **facts},
                start_new_session=True,
            )
        except OSError as error:
            self._reporter.warn(f"the command {self._command.text!r}: {error.strerror or error}")
        self._started = time.monotonic()

    def _forget(self) -> None:
        if self._ending or (self._process is not None and self._process.returncode is None):
            self._stop(force=True)  # including its children
        self._process = None
        self._ending = False

    def _stop(self, *, force: bool = False) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":  # no process groups: children continue to run
                self._process.kill() if force else self._process.terminate()
            else:
                os.killpg(self._process.pid, signal.SIGKILL if force else signal.SIGTERM)
