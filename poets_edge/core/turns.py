"""In a parallel map, process items that need a lot of memory one at a time.

A function that is about to allocate a lot of memory for an item calls `take_turn`, which waits until no other thread is
processing such an item. The turn of a thread ends when the thread has finished the item, rather than when the function
returns, because the results of the function remain in memory until then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Turn:
    """Permission for a thread to use a lot of memory; at most one thread of a parallel map has it at any time.

    Args:
        lock: lock that all threads of the map share; the thread that has the permission holds it.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock, self._is_taken = lock, False

    def take(self) -> None:
        """Wait until no other thread has the permission to use a lot of memory, and acquire it.

        Do nothing if this thread already has the permission.
        """
        if not self._is_taken:
            self._lock.acquire()
            self._is_taken = True

    def end(self) -> None:
        """Release the permission to use a lot of memory; do nothing if this thread does not have it."""
        if self._is_taken:
            self._is_taken = False
            self._lock.release()


class _Current(threading.local):
    turn: _Turn | None = None


_current = _Current()


@contextmanager
def one_at_a_time(lock: threading.Lock) -> Iterator[None]:
    """Context manager for processing one item in a parallel map, whose threads share `lock`.

    Inside it, `take_turn` acquires the lock, so that only one thread at a time uses a lot of memory; on exit, the lock
    is released.
    """
    outer, _current.turn = _current.turn, _Turn(lock)
    try:
        yield
    finally:
        end_turn()
        _current.turn = outer


def take_turn() -> None:
    """Wait until no other thread of a parallel map has the permission to use a lot of memory, and acquire it.

    This thread keeps the permission until its current item is finished. Outside of a parallel map, the function does
    nothing.
    """
    if _current.turn is not None:
        _current.turn.take()


def end_turn() -> None:
    """Release the permission to use a lot of memory; do nothing if this thread has not called `take_turn`."""
    if _current.turn is not None:
        _current.turn.end()
