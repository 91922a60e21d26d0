"""Handle signals that ask a command to end: after the first, it finishes its current work; a second ends it at once."""

from __future__ import annotations

import signal
from types import FrameType

_ENDING = (
    "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGPOLL",
    "SIGPWR", "SIGXCPU",
)  # fmt: skip
"""Signals that by default kill the command but not the programs that it has started."""


class StopSignals:
    """Context manager that handles signals such as SIGINT and SIGTERM.

    Calling the object returns whether a signal has been received. A second signal raises KeyboardInterrupt. Signals
    that were ignored before, such as SIGHUP under `nohup`, stay ignored.
    """

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        return self._asked

    def __enter__(self) -> StopSignals:
        numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
        self._before = {
            number: signal.signal(number, self._ask)
            for number in numbers
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        self._asked = True
