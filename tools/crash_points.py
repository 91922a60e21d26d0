"""Killed at every rename and at every commit: `python -m tools.crash_points NUMBER WHEN COMMAND...` is one such run.

A rename is where a file gets its name, a commit is where SQLite keeps rows: between two of them nothing can be lost
that is not lost there. NUMBER says which of them, WHEN is `before` or `after` it; with NUMBER 0 nothing is killed, and
the last line on stderr says how many there were. `tools.crash` goes through all of them.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

_TOLD = "crash points: "


class _Points:
    """Counts renames and commits, and kills the process at one."""

    def __init__(self, number: int, when: str) -> None:
        self.passed = 0
        self._number, self._when = number, when

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def passing(*arguments: Any, **options: Any) -> Any:
            self.passed += 1
            mine = self.passed == self._number
            if mine and self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = work(*arguments, **options)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return passing


def main() -> None:
    """Run a command of poets-edge, and kill it where that was asked for."""
    points = _Points(int(sys.argv[1]), sys.argv[2])
    os.replace = points.around(os.replace)
    os.rename = points.around(os.rename)

    class Connection(sqlite3.Connection):
        commit = points.around(sqlite3.Connection.commit)

    connect = sqlite3.connect
    sqlite3.connect = partial(connect, factory=Connection)  # type: ignore[assignment]
    from poets_edge.cli import main as run

    sys.argv = ["poets-edge", *sys.argv[3:]]
    try:
        run()
    finally:
        print(f"{_TOLD}{points.passed}", file=sys.stderr)


def count(stderr: str) -> int:
    """How many points an undisturbed run has passed."""
    [line] = [line for line in stderr.splitlines() if line.startswith(_TOLD)]
    return int(line.removeprefix(_TOLD))


if __name__ == "__main__":
    main()
