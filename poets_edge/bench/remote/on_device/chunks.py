"""Byte streams that follow a request to the agent, sent as a sequence of chunks.

Each chunk follows a line with its size in bytes; size 0 ends the stream. This module also runs on the device, with the
standard library only; see `agent.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

CHUNK = 1 << 16
"""Default size of a read, and maximum size of a write to the connection, in bytes."""


class ChunkReader:
    """Readable file with the content of a stream of chunks."""

    def __init__(self, source: IO[bytes], heard: Callable[[], None]) -> None:
        """Create a stream that reads chunks from `source`, and calls `heard` whenever data arrive."""
        self._source = source
        self._heard = heard
        self._left = 0
        self._ended = False

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to `size` bytes, or b"" at the end. Raises EOFError if the connection is lost before the end."""
        if not self._left and not self._ended:
            line = self._source.readline()
            if not line:
                raise EOFError
            self._left = int(line)
            self._ended = self._left == 0
        if self._ended:
            return b""
        data = self._source.read(min(size, self._left))
        if not data:
            raise EOFError
        self._heard()
        self._left -= len(data)
        return data

    def drain(self) -> None:
        """Discard the remaining bytes, so that the next request can be read."""
        while self.read():
            pass


class ChunkWriter:
    """Writable file that sends each write as a chunk."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        """Create a stream that writes chunks with the function `write`."""
        self._write = write

    def write(self, data: bytes) -> int:
        if data:
            self._write(f"{len(data)}\n".encode() + data)
        return len(data)

    def end(self) -> None:
        """Mark the end of the stream."""
        self._write(b"0\n")
