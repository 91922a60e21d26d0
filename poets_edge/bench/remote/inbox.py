"""Lines that another program writes, read by a thread with limits on the length of one and on the bytes that wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO

_BLOCK = 1 << 16


class Inbox:
    """A queue of lines between the thread that reads a pipe and the one that uses them."""

    def __init__(self, *, most_bytes: int) -> None:
        """Args: most_bytes: the reading thread waits while so much lies here unused."""
        self._most_bytes = most_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, line: bytes) -> None:
        """Add a line, as soon as there is room for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._lines or self._bytes < self._most_bytes)
            if not self._closed:
                self._lines.append(line)
                self._bytes += len(line)
                self._changed.notify_all()

    def get(self, seconds: float) -> bytes | None:
        """Return the next line; None if none comes within so many seconds, or none will come any more."""
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
        """Whether no line is left, and none will come any more."""
        with self._changed:
            return self._closed and not self._lines

    def close(self) -> None:
        """Refuse further lines. Queued lines can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class LineReader:
    """Reads lines of a pipe.

    Attributes:
        heard: when the last bytes came, seconds of the monotonic clock.
    """

    def __init__(self, stream: IO[bytes], *, longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self.heard = time.monotonic()

    def read_all(self, take: Callable[[bytes], object]) -> bool:
        """Call `take` with each line, to the end of the pipe.

        Returns:
            Whether all lines were short enough; else the pipe is not read any further.
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
