"""Reporters, which receive progress updates and messages from library calls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol


class Reporter(Protocol):
    """Protocol for an object that receives messages and progress updates from a library call."""

    def note(self, text: str) -> None:
        """Receive an informational message: a line or a table."""

    def status(self, text: str) -> None:
        """Receive a one-line description of the current activity, which replaces the previous one."""

    def warn(self, text: str) -> None:
        """Receive a one-line warning."""

    def progress(self, what: str, total: int, unit: str = "photo") -> AbstractContextManager[Callable[[int], object]]:
        """Start reporting the progress of an operation on `total` items.

        Args:
            what: name of the operation.
            total: number of items; 0 if it is unknown.
            unit: noun for one item in the singular; "B" for bytes.

        Returns:
            A context manager that yields a function; call it with the number of items finished since the previous
            call.
        """


class Silent:
    """Reporter that discards all messages; the default for library calls."""

    def note(self, text: str) -> None:
        pass

    def status(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, what: str, total: int, unit: str = "photo") -> AbstractContextManager[Callable[[int], object]]:
        return nullcontext(lambda amount: None)


class Progress:
    """Reporter for programs and notebooks: tqdm bars for long operations, and notes and warnings as lines on stderr.

    Args:
        quiet: whether to print warnings only.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def note(self, text: str) -> None:
        """Print an informational message to stderr, unless `quiet` is set."""
        if not self._quiet:
            self._print(text)

    def status(self, text: str) -> None:
        """Print the current activity as a line to stderr, unless `quiet` is set."""
        self.note(text)

    def warn(self, text: str) -> None:
        """Print a warning to stderr, even if `quiet` is set."""
        self._print(f"warning: {text}")

    @contextmanager
    def progress(self, what: str, total: int, unit: str = "photo") -> Iterator[Callable[[int], object]]:
        """Context manager that shows a progress bar and yields a function that advances it by a number of items."""
        from tqdm.auto import tqdm

        with tqdm(total=total, desc=what, unit=unit, unit_scale=unit == "B", disable=self._quiet or not total) as bar:
            yield bar.update

    def _print(self, text: str) -> None:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
