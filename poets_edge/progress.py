"""Reporters: how long work tells its progress, wherever that is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol


class Reporter(Protocol):
    """Receiver of the messages and the progress of a library call."""

    def note(self, text: str) -> None:
        """Take a piece of information: a line or a table."""

    def status(self, text: str) -> None:
        """Take the current activity, a line that replaces the previous status."""

    def warn(self, text: str) -> None:
        """Take a warning, one line."""

    def progress(self, what: str, total: int, unit: str = "photo") -> AbstractContextManager[Callable[[int], object]]:
        """Begin long work on `total` items.

        Returns:
            A context manager whose value is a function: call it with the number of items done since its last call.
        """


class Silent:
    """Reporter that discards everything, the default of library calls."""

    def note(self, text: str) -> None:
        pass

    def status(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, what: str, total: int, unit: str = "photo") -> AbstractContextManager[Callable[[int], object]]:
        return nullcontext(lambda amount: None)


class Progress:
    """A reporter for programs and notebooks: tqdm bars for long work, warnings and notes as lines between them.

    Args:
        quiet: print warnings only.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def note(self, text: str) -> None:
        """Print a line."""
        if not self._quiet:
            self._print(text)

    def status(self, text: str) -> None:
        """Print the current activity as a line."""
        self.note(text)

    def warn(self, text: str) -> None:
        """Print a warning, even if quiet."""
        self._print(f"warning: {text}")

    @contextmanager
    def progress(self, what: str, total: int, unit: str = "photo") -> Iterator[Callable[[int], object]]:
        """Show a bar; the function it gives takes the number of items done since its last call."""
        from tqdm.auto import tqdm

        with tqdm(total=total, desc=what, unit=unit, unit_scale=unit == "B", disable=self._quiet or not total) as bar:
            yield bar.update

    def _print(self, text: str) -> None:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
