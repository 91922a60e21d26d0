"""Reporter that sends the progress of a job to the server."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from poets_edge.training.messages import parse_step_line

_EVERY_SECONDS = 0.1
_SECONDS_BEFORE_ESTIMATE = 1.0
_MOST_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """Progress of a running job.

    Attributes:
        text: current activity, one line.
        fraction: completed fraction of the activity, 0 to 1; None if unknown.
        seconds_left: estimated time until the activity ends, in seconds; None if unknown.
        curve: a tuple (step, training accuracy, validation accuracy or None) for each evaluation during training.
    """

    text: str
    fraction: float | None = None
    seconds_left: float | None = None
    curve: tuple[tuple[int, float, float | None], ...] = ()


class JobReporter:
    """Reporter that sends a `JobProgress` to the server when an activity starts, and then at most ten times a second.

    Attributes:
        warnings: warnings of the job, one line each.
    """

    def __init__(self, send: Callable[[object], None], *, steps: int = 0) -> None:
        """Create a reporter.

        Args:
            send: function that sends a `JobProgress` to the server.
            steps: total number of training steps; 0 if the job does not train.
        """
        self._send = send
        self._steps = steps
        self._curve: list[tuple[int, float, float | None]] = []
        self._lock = threading.Lock()
        self._sent = 0.0
        self._started = 0.0
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        """Ignore an informational message, because it is meant for a terminal."""

    def status(self, text: str) -> None:
        """Send the current activity; if `text` reports a training step, also add its accuracies to the curve."""
        step = parse_step_line(text)
        if step is None or not self._steps:
            self._report(text, None, at_once=True)
            return
        if not self._curve:
            self._started = time.monotonic()
        self._curve.append(step)
        self._report("training", min(1.0, (step[0] + 1) / self._steps))

    def warn(self, text: str) -> None:
        """Record a warning, which becomes part of the result of the job."""
        self.warnings.append(text)

    @contextlib.contextmanager
    def progress(self, what: str, total: int, unit: str = "photo") -> Iterator[Callable[[int], object]]:
        """Context manager that sends the progress of an activity, such as the decoding of photos.

        It yields a function that adds its argument to the number of finished units.

        Args:
            what: description of the activity.
            total: total number of units; 0 if unknown.
            unit: not used.
        """
        done = 0
        self._started = time.monotonic()
        self._report(what, 0.0 if total else None, at_once=True)

        def advance(amount: int) -> None:
            nonlocal done
            with self._lock:
                done += amount
            self._report(what, done / total if total else None)

        yield advance

    def _report(self, text: str, fraction: float | None, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if now - self._sent < _EVERY_SECONDS and not at_once and fraction != 1:
            return
        self._sent = now
        left = None
        if fraction and now - self._started > _SECONDS_BEFORE_ESTIMATE:
            left = (now - self._started) * (1 - fraction) / fraction
        line = re.sub(r"\s+", " ", text)
        self._send(JobProgress(text=line, fraction=fraction, seconds_left=left, curve=_thinned(self._curve)))


def _thinned(
    curve: list[tuple[int, float, float | None]],
) -> tuple[tuple[int, float, float | None], ...]:
    """Return at most 200 evenly spaced points of a training curve, including the last one."""
    every = max(1, -(-len(curve) // _MOST_POINTS))
    return tuple(curve[-1::-every][::-1])
