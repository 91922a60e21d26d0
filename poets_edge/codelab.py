"""Entry point of the scripts that `poets-edge codelab` writes.

The scripts in users' folders import this module by name, so it must not be renamed.
"""

from __future__ import annotations

import sys

from poets_edge.cli import main

_COMMANDS = {"retrain": ["train"], "label_image": ["label"]}


def run_script(name: str) -> None:
    """Run the codelab script `name` with the command-line arguments of this process, and exit with its status."""
    # Scripts without an equivalent command also run through the command line, which prints errors in one line.
    sys.argv[1:] = [*_COMMANDS.get(name, ["codelab", "--run", name, "--"]), *sys.argv[1:]]
    main()
