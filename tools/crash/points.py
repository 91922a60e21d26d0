"""Points at which the crash tests kill a command: every file rename and database commit in any of its processes.

Files change only at renames, at commits of SQLite and, for some commands, at removals. A kill between two of these
points is therefore equivalent to a kill at one of them. With the environment variables that `environment` returns, a
command and its helper processes count the points, and are killed at a chosen one; `kills.py` iterates over all points.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
_POINT = "POETS_EDGE_CRASH_POINT"
_ARCHIVE = "POETS_EDGE_CRASH_ARCHIVE"
_DEVICE = ROOT / "tools/crash/startup/device"
"""Folder of programs that replace ssh and, on the simulated device, systemd."""
SSH_VARIABLE = "POETS_EDGE_SSH"
When = Literal["before", "after"]


@dataclass(frozen=True)
class Point:
    """File rename, database commit or file removal at which a command is killed.

    Attributes:
        counter: file in which all processes of the command count the points that they pass.
        number: number of the point, starting with 1; 0 to count the points without killing the command.
        when: whether to kill the command "before" or "after" the operation.
        removals: whether removals of files are points, too.
    """

    counter: Path
    number: int = 0
    when: When = "before"
    removals: bool = False

    def passed(self) -> int:
        """Return the number of file renames, database commits and file removals that have been counted."""
        return int(self.counter.read_bytes() or b"0")


def environment(cwd: Path, point: Point | None = None, archive: str = "") -> dict[str, str]:
    """Return the environment variables for a command, including those that `install` reads.

    Args:
        cwd: folder in which the command runs.
        point: point at which the command is killed; None to run it without counting points.
        archive: address, size in bytes and SHA-256 of the archive that `fetch-flowers` downloads, or "" for its
            default, the archive of flower photos.
    """
    variables = {
        # The stand-in device finds this interpreter, which has the packages that `_make_device` leaves out.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "tools/crash/startup"), str(ROOT))),
        "XDG_CACHE_HOME": str(cwd / "cache"),
        _ARCHIVE: archive,
        SSH_VARIABLE: shlex.quote(str(_DEVICE / "ssh")),
        "POETS_EDGE_CRASH_DEVICE": str(cwd / "pi"),
    }
    if point:
        point.counter.write_bytes(b"0")
        variables[_POINT] = f"{point.number}:{point.when}:{int(point.removals)}:{point.counter}"
    return {**os.environ, **variables}


class _Points:
    """Counter of a command's file renames and database commits, which kills the command's processes at a chosen one."""

    def __init__(self, counter: str, number: int, when: str) -> None:
        self._counter = os.open(counter, os.O_RDWR | os.O_CLOEXEC)
        self._number, self._when = number, when

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def passing(*arguments: Any, **options: Any) -> Any:
            mine = self._next() == self._number
            if mine and self._when == "before":
                os.killpg(0, signal.SIGKILL)
            try:
                return work(*arguments, **options)
            finally:
                if mine:
                    os.killpg(0, signal.SIGKILL)

        return passing

    def _next(self) -> int:
        fcntl.lockf(self._counter, fcntl.LOCK_EX)
        try:
            number = int(os.pread(self._counter, 20, 0)) + 1
            os.pwrite(self._counter, str(number).encode(), 0)
        finally:
            fcntl.lockf(self._counter, fcntl.LOCK_UN)
        return number


def install() -> None:
    """Make this process count its renames and database commits, and kill itself at a chosen one.

    The environment variables that `environment` returns specify the counter and the point. They can also replace the
    archive that `fetch-flowers` downloads.
    """
    if said := os.environ.get(_POINT):
        number, when, removals, counter = said.split(":", 3)
        points = _Points(counter, int(number), when)
        os.replace = points.around(os.replace)
        os.rename = points.around(os.rename)
        if removals == "1":
            os.unlink = points.around(os.unlink)
            os.remove = points.around(os.remove)
            os.rmdir = points.around(os.rmdir)

        class Connection(sqlite3.Connection):
            commit = points.around(sqlite3.Connection.commit)

        sqlite3.connect = partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]
    if said := os.environ.get(_ARCHIVE):
        from poets_edge.photos import fetch

        url, size, sha256 = said.split()
        options = fetch.fetch_flowers.__kwdefaults__
        assert options is not None
        options["archive"] = fetch.Archive(url, int(size), sha256)
