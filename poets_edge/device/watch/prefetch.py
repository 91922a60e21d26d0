"""Run an iterator in a separate thread, concurrently with the code that consumes its items.

Items from a file wait for the consumer. Of the items from a live source, only the newest is kept, so that a slow
consumer skips items instead of falling behind.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

TICK_SECONDS = 0.2
"""Maximum wait for an item, in seconds, after which the consumer receives None and can do other work."""

_DEPTH = 2
"""Maximum number of items that wait for the consumer; a longer queue would only delay the items."""


class Prefetch(Iterator["Item | None"], Generic[Item]):
    """Iterator over the items of another iterator, which runs in a thread; yields None if no item arrives within 0.2 s.

    An exception in the wrapped iterator is raised after all items that precede it. The wrapped iterator may yield None
    for "no item". It must do so regularly if it can wait for a long time, so that `close` returns soon.

    Attributes:
        dropped: number of items that were skipped.
    """

    def __init__(self, items: Iterator[Item | None], *, newest_only: bool, gives_up_after: float | None = None) -> None:
        """Start the thread that runs the wrapped iterator.

        Args:
            newest_only: whether to drop a waiting item when the next item arrives.
            gives_up_after: maximum time, in seconds, that `close` waits for the thread; None for no limit.
        """
        self.dropped = 0
        self._gives_up_after = gives_up_after
        self._items = items
        self._newest_only = newest_only
        self._ready: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __next__(self) -> Item | None:
        with self._changed:
            if not self._ready and not self._ended:
                self._changed.wait(TICK_SECONDS)
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            if not self._ended:
                return None
            if self._error is not None:
                raise self._error
            raise StopIteration

    def close(self) -> None:
        """End the thread after its current item, and wait for it. The thread closes the wrapped iterator."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(self._gives_up_after)

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # raised in the reader's thread
            self._error = error
        finally:
            close = getattr(self._items, "close", lambda: None)  # of a generator or a Prefetch
            close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: Item | None) -> bool:
        """Queue an item for the consumer; return False if `close` has been called, and True otherwise."""
        with self._changed:
            if item is not None:
                while self._newest_only and self._ready:
                    self._ready.popleft()
                    self.dropped += 1
                while len(self._ready) >= _DEPTH and not self._closed:
                    self._changed.wait()
                self._ready.append(item)
                self._changed.notify_all()
            return not self._closed
