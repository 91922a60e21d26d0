"""Queue of lines that a thread reads from a pipe. The length of a line and the size of the queue are limited."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO

_BLOCK = 1 << 16


class Inbox:
    """Queue for passing lines from the thread that reads a pipe to the thread that processes the lines."""

    def __init__(self, *, most_bytes: int) -> None:
        """Create an empty queue. `put` waits while the queue contains at least `most_bytes` bytes."""
        self._most_bytes = most_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, line: bytes) -> None:
        """Add a line; wait while the queue is full."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._lines or self._bytes < self._most_bytes)
            if not self._closed:
                self._lines.append(line)
                self._bytes += len(line)
                self._changed.notify_all()

    def get(self, seconds: float) -> bytes | None:
        """Return the next line; None if none arrives within `seconds` seconds, or if the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._lines, timeout=seconds)
            if not self._lines:
                return None
            line = self._lines.popleft()
            self._bytes -= len(line)
            self._changed.notify_all()
            return line

    @property
    def ended(self) -> bool:
        """Whether the queue is closed and all lines have been read."""
        with self._changed:
            return self._closed and not self._lines

    def close(self) -> None:
        """Close the queue: no lines can be added, but those in the queue can still be read."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class LineReader:
    """Reader of lines from a pipe.

    Attributes:
        heard: time at which bytes were last received, in seconds of the monotonic clock.
    """

    def __init__(self, stream: IO[bytes], *, longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self.heard = time.monotonic()

    def read_all(self, take: Callable[[bytes], object]) -> bool:
        """Read lines until the end of the pipe, and call `take` with each line, without its line break.

        Returns:
            True if all lines were within the length limit; False if reading stopped at a longer line.
        """
        rest: list[bytes] = []
        length = 0
        while block := self._stream.read1(_BLOCK):  # type: ignore[attr-defined]
            self.heard = time.monotonic()
            *lines, last = block.split(b"\n")
            for line in lines:
                take(b"".join((*rest, line)))
                rest, length = [], 0
            rest.append(last)
            length += len(last)
            if length > self._longest:
                return False
        return True
