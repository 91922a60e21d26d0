"""Tests that the test suite can be collected without TensorFlow, and skips the tests that require it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

_PYTEST_WITHOUT_IT = """
import sys
sys.modules.update(dict.fromkeys(("tensorflow", "keras")))  # importing them fails, and they are not found
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""
_SOME = ("tests/nets/test_layers.py", "tests/quantize/test_gptq.py", "-k", "keras_order or tensorflow")
"""Arguments of pytest that select some quick tests that require TensorFlow."""


def without_tensorflow(*arguments: str, ci: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PYTEST_WITHOUT_IT, "-p", "no:cacheprovider", "-p", "no:cov", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=environment)


def test_all_test_files_are_collected_without_tensorflow() -> None:
    ended = without_tensorflow("--collect-only", "-q", "tests")
    assert ended.returncode == 0, ended.stdout[-2000:]
    found = {line.partition("::")[0] for line in ended.stdout.splitlines() if "::" in line}
    assert found >= {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/exporting").glob("test_*.py")}


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_tensorflow_tests_are_skipped_locally_and_fail_on_ci(ci: str, status: int) -> None:
    ended = without_tensorflow("-rs", *_SOME, ci=ci)
    assert ended.returncode == status, ended.stdout[-2000:]
    assert "TensorFlow is not installed" in ended.stdout and "passed" not in ended.stdout
    assert ("failed" if ci else "skipped") in ended.stdout.splitlines()[-1]
