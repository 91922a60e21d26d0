"""Client that sends one request to the measuring program on a device and receives progress, warnings and results."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from poets_edge import errors
from poets_edge.bench.remote.installation import Installation
from poets_edge.bench.remote.messages import (
    Advance,
    Begin,
    End,
    FactsRequest,
    Failure,
    Machine,
    Message,
    Note,
    Request,
    Result,
    Wait,
    Warn,
    read_message,
)
from poets_edge.errors import PoetsEdgeError, RecordError, RemoteError
from poets_edge.progress import Reporter

_MODULE = "poets_edge.bench.remote.measure"
_SPARE_MESSAGES = 10_000
"""Maximum number of messages, such as notes and warnings, that a device may send in addition to results."""
_MESSAGES_PER_RESULT = 10
_MOST_BARS = 8
"""Maximum number of nested progress bars."""


def device_facts(installation: Installation, reporter: Reporter) -> dict[str, Any]:
    """Return a description of the device (see `machine_facts`). Raises RemoteError if the request fails."""
    follower = Follower(installation, reporter)
    follower.run(FactsRequest())
    return follower.machine


class Follower:
    """Client that sends one request to a device, and shows the progress and warnings that the device reports.

    Attributes:
        machine: description of the device (see `machine_facts`); empty until the device has sent it.
    """

    def __init__(self, installation: Installation, reporter: Reporter, *, results: int = 0) -> None:
        """Create a client.

        Args:
            results: number of requested results. The maximum number of messages from the device depends on it.
        """
        self.machine: dict[str, Any] = {}
        self._installation = installation
        self._reporter = reporter
        self._bars: list[_Bar] = []
        self._last: Failure | Result | None = None
        self._messages_left = _SPARE_MESSAGES + _MESSAGES_PER_RESULT * results

    def run(self, request: Request, *, measuring: float = 0.0) -> tuple[str, ...]:
        """Send a request to the device, process its messages, and return descriptions of disturbances.

        Args:
            measuring: measuring time in seconds; the device need not send a message during this time.

        Raises:
            RemoteError: the connection was lost, or the device sent a result that was not requested.
            PoetsEdgeError: the error that the device reported.
        """
        host = self._installation.host
        text = json.dumps(request.to_json())
        pause = self._installation.connection.limits.measuring + measuring
        try:
            ended = self._installation.run(_MODULE, text=text, line=self._read, pause=pause)
        finally:
            while self._bars:
                self._bars.pop().close()
        if isinstance(self._last, Failure):
            kind: Any = getattr(errors, self._last.name, None)
            if not (isinstance(kind, type) and issubclass(kind, PoetsEdgeError)):
                kind = PoetsEdgeError
            raise kind(f"{host}: {self._last.error}")
        if self._last is None or not self.machine:
            raise RemoteError(f"{host}: the measurement ended early there ({ended.last_words}).")
        return self._last.warnings

    def on_machine(self) -> None:
        """Process the description of the device; called when it has been received and stored in `machine`."""

    def on_result(self, message: Message) -> None:
        """Process a message with a timed round, scores, or the latencies in a period of sustained load.

        Raises RecordError if the message was not requested.
        """
        raise RecordError(f"{type(message).__name__} was not requested")

    def _read(self, line: str) -> None:
        try:
            self._take(read_message(line))
        except RecordError as error:
            raise self._installation.connection.invalid_answer(str(error)) from None

    def _take(self, message: Message) -> None:
        if self._last is not None:
            raise RecordError("a message after the last")
        self._messages_left -= 1
        if self._messages_left < 0:
            raise RecordError("too many messages")
        if isinstance(message, Begin):
            if len(self._bars) == _MOST_BARS:
                raise RecordError(f"more than {_MOST_BARS} nested progress bars")
            what = f"{self._installation.host}: {message.what}"
            self._bars.append(_Bar(self._reporter.progress(what, message.total, message.unit), message.total))
        elif isinstance(message, Advance):
            if not self._bars:
                raise RecordError("progress of nothing")
            self._bars[-1].advance(message.amount)
        elif isinstance(message, End):
            if self._bars:
                self._bars.pop().close()
        elif isinstance(message, Note):
            self._reporter.note(f"{self._installation.host}: {message.text}")
        elif isinstance(message, Warn):
            self._reporter.warn(f"{self._installation.host}: {message.text}")
        elif isinstance(message, Wait):
            pass  # its arrival is what counts
        elif isinstance(message, Machine):
            if self.machine:
                raise RecordError("the machine, a second time")
            self.machine = message.to_json()
            self.on_machine()
        elif isinstance(message, (Failure, Result)):
            self._last = message
        else:
            self.on_result(message)


class _Bar:
    """A progress bar that cannot move beyond its end."""

    def __init__(self, bar: AbstractContextManager[Callable[[int], object]], total: int) -> None:
        self._stack = ExitStack()
        self._advance = self._stack.enter_context(bar)
        self._left = total

    def advance(self, amount: int) -> None:
        """Advance the progress bar by `amount`. Raises RecordError if this moves it beyond its end."""
        if amount > self._left:
            raise RecordError("progress beyond the end")
        self._left -= amount
        self._advance(amount)

    def close(self) -> None:
        """Remove the progress bar."""
        self._stack.close()
