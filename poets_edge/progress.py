"""How a long step tells what it is doing, without knowing whether a terminal listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Reporter(Protocol):
    """Receives what a library call has to say; the command line shows it on stderr."""

    def note(self, text: str) -> None:
        """Something worth knowing: a table, a line."""

    def status(self, text: str) -> None:
        """Show the current activity, in one line that replaces the previous status."""

    def warn(self, text: str) -> None:
        """Something that may not be what the user meant. One line."""

    def progress(self, what: str, total: int, unit: str = "photo") -> AbstractContextManager[Callable[[int], object]]:
        """Long work begins; call the function it gives with the number of things done since."""


class Silent:
    """Says nothing: the default of every library call."""

    def note(self, text: str) -> None:
        pass

    def status(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, what: str, total: int, unit: str = "photo") -> AbstractContextManager[Callable[[int], object]]:
        return nullcontext(lambda amount: None)
