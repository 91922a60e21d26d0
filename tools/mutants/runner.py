"""Running of tests on mutants, each in a fork of a pytest process that has already imported the tests."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import coverage
import pytest

from tools.mutants.mutate import Mutant
from tools.mutants.swap import Swap

ROOT = Path(__file__).resolve().parents[2]
_MEMORY = 4 << 30
"""Memory in bytes that a mutant may allocate in addition to the memory that is in use after test collection."""
NOTICED = ("killed", "timeout")
"""Outcomes of mutants that a test has detected."""


@dataclass(frozen=True)
class Baseline:
    """Results of running the tests of a module before it is mutated.

    Attributes:
        seconds: processor time of each test that passed, by node ID (pytest's name of the test).
        tests_by_line: node IDs of the tests that executed a line, by line number.
    """

    seconds: dict[str, float]
    tests_by_line: dict[int, list[str]]

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the node IDs of the tests that execute the lines of a mutant, fastest first."""
        if mutant.on_import:
            reached = set(self.seconds)
        else:
            first, last = mutant.lines
            reached = {test for line in range(first, last + 1) for test in self.tests_by_line.get(line, ())}
        return sorted(reached & set(self.seconds), key=lambda test: self.seconds[test])


@dataclass
class ForkingRunner:
    """A pytest plugin that replaces the normal test run: it runs the tests against each mutant, in a forked process.

    Attributes:
        module: dotted name of the mutated module.
        mutants: mutants to run.
        report: function that is called with each mutant, its outcome ("killed", "survived", "timeout" or "not
            reached") and the test that killed it, if any.
        stop_at: value of `time.monotonic()` after which no mutant is started.
        jobs: number of concurrent processes.
        slow: whether to always run the tests marked slow; otherwise, they are run only if all tests are marked slow.
    """

    module: str
    mutants: Sequence[Mutant]
    report: Callable[[Mutant, str, str], None]
    stop_at: float
    jobs: int = 1
    slow: bool = False
    problems: list[str] = field(default_factory=list)

    def pytest_configure(self) -> None:
        """Make the library Hypothesis generate the same examples in every run, without time limits or shrinking."""
        from hypothesis import HealthCheck, Phase, settings  # pytest must import it first

        settings.register_profile(
            "mutants",
            derandomize=True,
            database=None,
            deadline=None,
            max_examples=25,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("collection failed")
        module = importlib.import_module(self.module)
        fast = [item for item in session.items if not item.get_closest_marker("slow")]
        chosen = session.items if self.slow else fast or session.items
        items = {item.nodeid: item for item in chosen}
        baseline, failed = _in_child(lambda: _baseline(module.__file__, chosen), seconds=1200) or (None, ["all"])
        self.problems += failed
        if baseline is None:
            return True
        swap = Swap(module)
        running: dict[int, tuple[Mutant, Path, float]] = {}
        for mutant in self.mutants:
            tests = baseline.tests(mutant)
            if not tests:
                self.report(mutant, "not reached", "")
                continue
            while len(running) >= self.jobs:
                self._collect(running)
            if time.monotonic() > self.stop_at:
                break
            limit = 10 + 5 * sum(baseline.seconds[test] for test in tests)
            scratch = Path(tempfile.mkdtemp(prefix="mutant-"))
            work = partial(_run, swap, mutant, [items[test] for test in tests], scratch)
            process = _fork(work, scratch, limit)
            running[process] = mutant, scratch, time.monotonic() + 30 + 3 * limit
        while running:
            self._collect(running)
        return True

    def _collect(self, running: dict[int, tuple[Mutant, Path, float]]) -> None:
        """Wait until one of the processes has ended or exceeded its time limit, and report the outcome of its mutant.

        Args:
            running: mutant, scratch folder and time limit of each process, by process ID; the ended process is removed.
        """
        while True:
            for process, (mutant, scratch, deadline) in list(running.items()):
                ended, status = os.waitpid(process, os.WNOHANG)
                if not ended and time.monotonic() < deadline:
                    continue
                _end_group(process)
                if not ended:
                    os.waitpid(process, 0)
                killer = (scratch / "killer").read_text() if (scratch / "killer").exists() else ""
                shutil.rmtree(scratch, ignore_errors=True)
                del running[process]
                code = os.waitstatus_to_exitcode(status) if ended else -signal.SIGXCPU
                outcome = {0: "survived", 1: "killed"}.get(code, "timeout" if code == -signal.SIGXCPU else "killed")
                self.report(mutant, outcome, killer)
                return
            time.sleep(0.005)


def _end_group(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _fork(work: Callable[[], int], scratch: Path, seconds: float) -> int:
    """Run a function in a forked process group with limits on processor time and memory; return the process ID.

    Args:
        work: function that returns the exit status of the process.
        scratch: folder for temporary files.
        seconds: limit on processor time.
    """
    process = os.fork()
    if process:
        return process
    status = 70
    try:
        os.setpgid(0, 0)
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(scratch)
        tempfile.tempdir = str(scratch)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
        status = work()
    finally:
        os._exit(status)


def _in_child(work: Callable[[], Any], seconds: float) -> Any:
    """Run a function in a forked process; return its result, or None if the process fails.

    Args:
        work: function whose result can be pickled.
        seconds: limit on processor time.
    """
    scratch = Path(tempfile.mkdtemp(prefix="mutant-"))

    def run() -> int:
        (scratch / "result").write_bytes(pickle.dumps(work()))
        return 0

    process = _fork(run, scratch, seconds)
    os.waitpid(process, 0)
    _end_group(process)
    result = scratch / "result"
    value = pickle.loads(result.read_bytes()) if result.exists() else None
    shutil.rmtree(scratch, ignore_errors=True)
    return value


class _Outcome:
    """A pytest plugin that records whether a test, its setup or its teardown fails."""

    failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed


def _passes(item: pytest.Item) -> bool:
    outcome = _Outcome()
    item.config.pluginmanager.register(outcome)
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)  # with filters of warnings and timeouts
    item.config.pluginmanager.unregister(outcome)
    return not outcome.failed


def _baseline(path: str | None, items: Sequence[pytest.Item]) -> tuple[Baseline, list[str]]:
    """Run tests before their module is mutated; return a `Baseline`, and the node IDs of the tests that fail.

    Args:
        path: path of the module, whose executed lines are recorded.
        items: the tests.
    """
    seconds, failed = {}, []
    measured = coverage.Coverage(data_file=None, config_file=False, include=[str(path)])
    measured.set_option("run:disable_warnings", ["no-data-collected"])  # if no test runs the module
    measured.start()
    for item in items:
        measured.switch_context(item.nodeid)
        started = time.process_time()
        if _passes(item):
            seconds[item.nodeid] = time.process_time() - started
        else:
            failed.append(item.nodeid)
    measured.stop()
    contexts = measured.get_data().contexts_by_lineno(str(path))
    return Baseline(seconds, contexts), failed


def _run(swap: Swap, mutant: Mutant, items: Sequence[pytest.Item], scratch: Path) -> int:
    """Run tests on a mutant in this process; return 1 after the first failure, and 0 if all tests pass.

    Args:
        swap: the module, which is replaced by the mutant.
        mutant: the mutant.
        items: the tests.
        scratch: folder in which the file `killer` is written, with the name of the test that fails.
    """
    try:
        swap.apply(mutant.source, on_import=mutant.on_import)
    except Exception as error:  # a module that cannot be imported is noticed by every test
        (scratch / "killer").write_text(f"import: {error!r}")
        return 1
    for item in items:
        if not _passes(item):
            (scratch / "killer").write_text(item.nodeid)
            return 1
    return 0


def run_mutants(runner: ForkingRunner, tests: Sequence[str]) -> list[str]:
    """Run the tests in the given files on mutants; return descriptions of problems that prevented a run.

    Args:
        runner: plugin that runs the mutants and reports their outcomes.
        tests: paths of the test files.
    """
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    with contextlib.redirect_stdout(io.StringIO()):
        status = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests], plugins=[runner])
    if status not in (0, 5):
        runner.problems.append(f"pytest ended with {status}")
    return runner.problems
