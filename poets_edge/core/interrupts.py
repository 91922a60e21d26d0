"""Preserve KeyboardInterrupt around code that would suppress it.

If the import of a package is interrupted, it may raise ImportError instead, which would be reported as "not installed";
other code catches KeyboardInterrupt and continues. SIGINT is therefore recorded, and KeyboardInterrupt is raised at the
end of the block.
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
    """Context manager that raises KeyboardInterrupt if SIGINT arrived in its block and the block raised an error.

    It has no effect outside the main thread, or if a handler other than Python's default one is installed for SIGINT.

    Args:
        swallowed: whether to raise KeyboardInterrupt even if the block ends without an error.
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
