"""Test that missing requirements skip a test on a developer's machine, and fail it on CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

_TESTS = """
import pytest
from tests.needs import missing, need_module

def test_missing(): missing("no such thing")
def test_module(): need_module("no_such_module")
def test_skip(): pytest.skip("a bare skip")
def test_importorskip(): pytest.importorskip("no_such_module")
@pytest.mark.skip(reason="a bare mark")
def test_mark(): pass
@pytest.mark.skipif(True, reason="a bare condition")
def test_condition(): pass
@pytest.mark.skipif(True, reason="root can read everything")
def test_allowed(): pass
@pytest.mark.xfail
def test_expected_failure(): assert False
"""


@pytest.mark.parametrize(
    ("ci", "counts"), [("", "7 skipped, 1 xfailed"), ("true", "4 failed, 1 skipped, 1 xfailed, 2 errors")]
)
def test_tests_skipped_for_missing_requirements_fail_on_ci(ci: str, counts: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_TESTS)
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            tmp_path / "test_it.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert counts in ended.stdout
