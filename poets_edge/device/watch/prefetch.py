"""Running an iterator in a thread of its own, so that its work and its reader's overlap.

A file's items wait for the reader. Of a live source's only the newest is kept: a slow reader loses frames and
is never late.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

TICK_SECONDS = 0.2
"""How long a reader waits for the next item before it is given None, to look after other things."""

_DEPTH = 2
"""Items that may wait. More would only make each one older when it is read."""


class Prefetch(Iterator["Item | None"], Generic[Item]):
    """Iterates over `items` in a thread; None means that nothing has come for a moment.

    What `items` raises is raised here, after the items before it. Items that are None are taken to say just that
    nothing has come: a source that may have to wait long gives them, so that `close` is never kept waiting.
    """

    def __init__(self, items: Iterator[Item | None], *, newest_only: bool, gives_up_after: float | None = None) -> None:
        """Start the thread.

        Args:
            newest_only: an item that nobody has taken makes room for the next, and is counted in `dropped`.
            gives_up_after: seconds that `close` waits for `items`, where they may never come back; None for no limit.
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
        """End the thread, once it is done with its item, and close what it iterates over."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(self._gives_up_after)

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # whatever it is, it is the reader's to deal with
            self._error = error
        finally:
            close = getattr(self._items, "close", lambda: None)  # a generator's, or a Prefetch's
            close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: Item | None) -> bool:
        """Hand over an item. False when nobody wants any more."""
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
