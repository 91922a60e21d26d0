"""Tests of helper processes that end when their parent ends, or if it ended before they started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from poets_edge.core.orphans import helper_environment

CODE = """
import os
from poets_edge.core.orphans import end_with_parent
end_with_parent()
print(os.environ.get("POETS_EDGE_PARENT", "not inherited"))
"""


@pytest.mark.skipif(os.name == "nt", reason="the parent is another process there")
@pytest.mark.parametrize("alive", [True, False])
def test_helper_ends_at_once_if_the_process_that_started_it_has_ended(alive: bool) -> None:
    """A helper of an ended process is adopted by another process, as is shown here by the id of another parent."""
    environment = helper_environment()
    assert environment["POETS_EDGE_PARENT"] == str(os.getpid())
    if not alive:
        environment["POETS_EDGE_PARENT"] = str(os.getppid())
    ended = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == ((0, "not inherited\n") if alive else (1, "")), ended.stderr
