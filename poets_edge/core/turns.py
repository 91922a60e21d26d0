"""Limit a parallel map to one item at a time among the items that need much memory.

A function that is about to allocate much memory calls `take_turn`. The turn ends when the processing of the item ends
rather than when the function returns, because the results of the function are still in memory then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Turn:
    """Lock of one thread in a parallel map, held while the thread processes an item that needs much memory.

    Args:
        lock: lock that all threads of the map share.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock, self._is_taken = lock, False

    def take(self) -> None:
        """Wait until no other thread has the turn, and take it; return immediately if this thread already has it."""
        if not self._is_taken:
            self._lock.acquire()
            self._is_taken = True

    def end(self) -> None:
        """Release the turn if this thread has it."""
        if self._is_taken:
            self._is_taken = False
            self._lock.release()


class _Current(threading.local):
    turn: _Turn | None = None


_current = _Current()


@contextmanager
def one_at_a_time(lock: threading.Lock) -> Iterator[None]:
    """Context manager for processing one item: `take_turn` acquires the lock, and leaving the context releases it."""
    outer, _current.turn = _current.turn, _Turn(lock)
    try:
        yield
    finally:
        end_turn()
        _current.turn = outer


def take_turn() -> None:
    """Wait until no other thread of the current parallel map has the turn, and take it until the item is finished.

    Outside of a parallel map, return immediately.
    """
    if _current.turn is not None:
        _current.turn.take()


def end_turn() -> None:
    """Release the turn of this thread in the current parallel map, if it has it."""
    if _current.turn is not None:
        _current.turn.end()
