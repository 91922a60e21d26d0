"""Write lines to stdout without blocking if the process at the other end of the pipe is slow."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable

import click

from poets_edge.device.watch.prefetch import TICK_SECONDS


class Lines:
    """Writer of lines to stdout. While it waits because the pipe is full, a stop request ends the waiting.

    Args:
        live: whether the lines describe a live source. If so, only the newest line is kept while the pipe is full;
            otherwise `put` waits until the line can be written.
        stopped: function that returns whether a stop was requested, which ends the waiting.
    """

    def __init__(self, *, live: bool, stopped: Callable[[], bool]) -> None:
        self._live = live
        self._stopped = stopped
        self._waiting = b""
        try:
            sys.stdout.flush()
            # select supports only sockets on Windows, so a write blocks there while the pipe is full.
            self._descriptor = -1 if sys.platform == "win32" else sys.stdout.fileno()
        except (io.UnsupportedOperation, ValueError):  # not a real file, so it cannot be full
            self._descriptor = -1

    def put(self, line: str) -> None:
        """Write a line, or store it while the pipe is full. Raises BrokenPipeError if the reader closed the pipe."""
        if self._descriptor < 0:
            click.echo(line)
            return
        self._waiting = f"{line}\n".encode(errors="replace")
        self.flush()
        while self._waiting and not self._live and not self._stopped():
            self.flush(TICK_SECONDS)

    def flush(self, seconds: float = 0.0) -> None:
        """Write the stored line, if there is one, as soon as the pipe has room; give up after `seconds`."""
        # A pipe that select reports as writable has room for at least 4 KiB; a line is far shorter.
        if self._waiting and select.select([], [self._descriptor], [], seconds)[1]:
            data, self._waiting = self._waiting, b""
            while data:
                data = data[os.write(self._descriptor, data) :]
