"""What an agent leaves on a device when it is killed, or the device loses its power."""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import pytest

from poets_edge.bench.remote.agent import Agent

pytestmark = pytest.mark.skipif(os.name == "nt", reason="agents run on Unix")


def test_the_next_agent_removes_what_a_killed_one_had_begun(tmp_path: Path) -> None:
    before = time.time() - 86_400
    (tmp_path / ".incoming-folder/in").mkdir(parents=True)
    (tmp_path / ".incoming-file").write_bytes(b"half of a model")
    for path in tmp_path.iterdir():
        os.utime(path, (before, before))
    (tmp_path / ".incoming-of-another").touch()
    command = [sys.executable, "-c", "open('{}/done', 'w')"]
    Agent(io.BytesIO(), io.StringIO()).do_folder({"folder": str(tmp_path / "new"), "command": command})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".incoming-of-another", "new"]
