"""Running of tests on mutants in a copy of the checkout.

`ForkingRunner` is faster, but commands and servers that a test starts in other processes do not run its mutants.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.mutants.mutate import Mutant
from tools.mutants.runner import ROOT

_OUTCOMES = {0: "survived", 1: "killed"}
"""Outcome of a mutant by the exit status of pytest; any other status means that a module cannot be imported."""


@contextlib.contextmanager
def copied_checkout() -> Iterator[Path]:
    """Context manager that yields the path of a copy of all files in the checkout that Git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, Path(folder) / name)
        yield Path(folder)


def run_in_copy(
    copy: Path, module: str, mutants: Sequence[Mutant], tests: Sequence[str], report: Callable[[Mutant, str, str], None]
) -> list[str]:
    """Write each mutant to a copy of the checkout and run tests there until the first failure.

    Args:
        copy: path of the copy, whose module is restored at the end.
        module: path of the mutated module in `poets_edge`.
        tests: arguments of pytest.
        report: function that is called with each mutant, its outcome ("killed", "survived" or "timeout") and the test
            that killed it, if any.

    Returns:
        The tests that fail without a mutant; if there are any, no mutant is run.
    """
    if not mutants:
        return []
    path = copy / "poets_edge" / module
    original, started = path.read_text(encoding="utf-8"), time.monotonic()
    status, failed = _run(copy, tests, None)
    if status:
        return [failed or f"pytest ended with {status}"]
    limit = 60 + 3 * (time.monotonic() - started)
    try:
        for mutant in mutants:
            path.write_text(mutant.source, encoding="utf-8")
            status, failed = _run(copy, tests, limit)
            report(mutant, "timeout" if status is None else _OUTCOMES.get(status, "killed"), failed)
    finally:
        path.write_text(original, encoding="utf-8")
    return []


def _run(copy: Path, tests: Sequence[str], seconds: float | None) -> tuple[int | None, str]:
    """Run tests until the first failure; return pytest's exit status and the failed test ("" if there is none).

    If the tests take longer than `seconds`, they are stopped, and the status is None.
    """
    shared = Path(os.environ.get("POETS_EDGE_SHARED", ROOT.parent / "shared")).resolve()
    # A mutant may have the size and the time of the module before it, so a cached module could be that one.
    environment = {"PYTHONPATH": str(copy), "POETS_EDGE_SHARED": str(shared), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", *tests]
    try:
        ended = subprocess.run(
            command, cwd=copy, env={**os.environ, **environment}, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return None, ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.MULTILINE)
    return ended.returncode, found[1] if found else ""
