"""Ctrl-C is Ctrl-C, whatever other code makes of it.

A package that is interrupted while it loads turns that into an ImportError, which reads as "not installed"; others
swallow it. So it is noted when the signal comes, and said again when the work has ended in an error of another kind.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class _Note:
    """A handler of SIGINT that remembers it."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def heeded_interrupts(*, swallowed: bool = False) -> Iterator[None]:
    """Let the work inside end with KeyboardInterrupt where SIGINT came meanwhile and it ends in another error.

    Nothing happens outside the main thread, or where somebody else handles the signal.

    Args:
        swallowed: also where it ends in none.
    """
    before, note = signal.getsignal(signal.SIGINT), _Note()
    theirs = before is not signal.default_int_handler and not isinstance(before, _Note)
    try:
        if not theirs:
            signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread
        theirs = True
    try:
        yield
    except BaseException as error:
        if note.came and not isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise KeyboardInterrupt from error
        raise
    finally:
        if not theirs:
            signal.signal(signal.SIGINT, before)
    if note.came and swallowed:
        raise KeyboardInterrupt
