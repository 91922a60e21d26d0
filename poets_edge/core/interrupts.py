"""Preservation of KeyboardInterrupt in code that suppresses it.

A package that is interrupted during its import may raise ImportError, which would be reported as "not installed", and
other code suppresses the exception. The signal is therefore recorded, and KeyboardInterrupt is raised at the end.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class _Recorder:
    """SIGINT handler that records the signal and raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.arrived = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.arrived = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def preserved_interrupts(*, swallowed: bool = False) -> Iterator[None]:
    """Context manager that raises KeyboardInterrupt if SIGINT arrived inside, even if the block raises another error.

    It has no effect outside the main thread, or if another handler of SIGINT is installed.

    Args:
        swallowed: raise it also if the block ends without an error.
    """
    before, recorder = signal.getsignal(signal.SIGINT), _Recorder()
    foreign = before is not signal.default_int_handler and not isinstance(before, _Recorder)
    try:
        if not foreign:
            signal.signal(signal.SIGINT, recorder)
    except ValueError:  # not the main thread
        foreign = True
    try:
        yield
    except BaseException as error:
        if recorder.arrived and not isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise KeyboardInterrupt from error
        raise
    finally:
        if not foreign:
            signal.signal(signal.SIGINT, before)
    if recorder.arrived and swallowed:
        raise KeyboardInterrupt
