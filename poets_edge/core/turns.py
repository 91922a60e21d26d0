"""Turns: items of a parallel map that need much memory are processed one at a time.

A function that is about to allocate much memory calls `take_turn`. The turn ends with the item, not with the function,
since the results of the function are in memory for longer than its call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Turn:
    """The turn of one thread of a parallel map.

    Args:
        lock: lock that all threads of the map share.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock, self._is_taken = lock, False

    def take(self) -> None:
        """Wait until no other thread has the turn; return at once if this one has it."""
        if not self._is_taken:
            self._lock.acquire()
            self._is_taken = True

    def end(self) -> None:
        """Give the turn to a thread that waits for it."""
        if self._is_taken:
            self._is_taken = False
            self._lock.release()


class _Current(threading.local):
    turn: _Turn | None = None


_current = _Current()


@contextmanager
def one_at_a_time(lock: threading.Lock) -> Iterator[None]:
    """Context manager in which `take_turn` waits for the other threads that share a lock, and keeps the turn."""
    outer, _current.turn = _current.turn, _Turn(lock)
    try:
        yield
    finally:
        end_turn()
        _current.turn = outer


def take_turn() -> None:
    """Wait until no other thread of the current parallel map has the turn, and keep it until the item is finished.

    Outside a parallel map, return at once.
    """
    if _current.turn is not None:
        _current.turn.take()


def end_turn() -> None:
    """Give the turn of this thread, if it has it, to a thread that waits for it."""
    if _current.turn is not None:
        _current.turn.end()
