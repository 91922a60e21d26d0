"""Lines on stdout for a reader that may be slow, or have stopped reading."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable

import click

from poets_edge.device.watch.prefetch import TICK_SECONDS


class Lines:
    """Writes lines without ever hanging in a full pipe.

    Of a live source's lines those that find the pipe full give way to the newest: it follows as soon as there is
    room. Other sources wait for the reader, until the program is told to stop.
    """

    def __init__(self, *, live: bool, stopped: Callable[[], bool]) -> None:
        self._live = live
        self._stopped = stopped
        self._waiting = b""
        try:
            sys.stdout.flush()
            # On Windows select knows sockets only, so a full pipe is waited for there.
            self._descriptor = -1 if sys.platform == "win32" else sys.stdout.fileno()
        except (io.UnsupportedOperation, ValueError):  # not a real file: it cannot be full
            self._descriptor = -1

    def put(self, line: str) -> None:
        """Write a line, or keep it for later. Raises BrokenPipeError: the reader has gone."""
        if self._descriptor < 0:
            click.echo(line)
            return
        self._waiting = f"{line}\n".encode(errors="replace")
        self.flush()
        while self._waiting and not self._live and not self._stopped():
            self.flush(TICK_SECONDS)

    def flush(self, seconds: float = 0.0) -> None:
        """Write what waits, if there is room for it within so many seconds."""
        # A pipe that select calls writable has room for 4 KiB at least; a line is far shorter.
        if self._waiting and select.select([], [self._descriptor], [], seconds)[1]:
            data, self._waiting = self._waiting, b""
            while data:
                data = data[os.write(self._descriptor, data) :]
