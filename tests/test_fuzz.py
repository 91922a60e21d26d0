"""A short run of the fuzzer; `make fuzz` runs it for longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux and its pidfd_open")


def test_commands_accept_hostile_files_or_reject_them_with_a_message(tmp_path: Path) -> None:
    tries = "models=20,photos=20,records=20,weights=3,caches=1,servers=15,archives=15,exclude=10,devices=8"
    ended = subprocess.run(
        [sys.executable, "-m", "tools.fuzz", "--tries", tries, "--seed", "2026", "--keep", tmp_path / "faults"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("| ") > 5, "no table"
