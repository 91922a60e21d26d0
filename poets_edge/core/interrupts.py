"""KeyboardInterrupt that other code cannot hide.

A package that is interrupted while it loads may raise ImportError, which reads as "not installed", and other code
swallows the exception. The signal is recorded when it arrives, and KeyboardInterrupt is raised again at the end.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class _Note:
    """A SIGINT handler that records the signal."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def preserved_interrupts(*, swallowed: bool = False) -> Iterator[None]:
    """Context manager that raises KeyboardInterrupt instead of any other error if SIGINT arrived in the block.

    It does nothing outside the main thread, or if another handler of SIGINT is installed.

    Args:
        swallowed: raise KeyboardInterrupt even if the block ends without an error.
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
