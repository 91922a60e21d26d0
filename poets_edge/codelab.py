"""Entry point of the scripts that `poets-edge codelab` writes.

The scripts lie in folders of users and import this module by name, so the module stays where it is.
"""

from __future__ import annotations

import sys

from poets_edge.cli import main

_COMMANDS = {"retrain": ["train"], "label_image": ["label"]}


def run_script(name: str) -> None:
    """Run the codelab script `name` with the arguments of this process, and exit with its status."""
    # Scripts without a command of their own go through the command line too, so that errors are one line.
    sys.argv[1:] = [*_COMMANDS.get(name, ["codelab", "--run", name, "--"]), *sys.argv[1:]]
    main()
