"""Run several poets_edge commands in one process, because on an emulator, startup takes longer than most commands.

    python several_commands.py COMMANDS RESULTS

COMMANDS is a JSON file of argument lists; RESULTS becomes a JSON file of [exit status, stdout, stderr] lists.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

from poets_edge.cli import main


def run(arguments: list[str]) -> tuple[int, str, str]:
    """Run one command and return its exit status and output."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    sys.argv = ["poets-edge", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return status, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    commands = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps([run(command) for command in commands]))
