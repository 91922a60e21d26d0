"""Python processes of our own: one question and one answer, or many of both.

A process starts with `python -m MODULE`, whatever the caller's own main module is. Questions and answers are lines of
JSON. An error of ours that a process meets travels back and is raised here as what it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import poets_edge
from poets_edge import errors
from poets_edge.core.orphans import end_with_parent, helper_environment
from poets_edge.core.parallel import cores, run_parallel
from poets_edge.errors import ModelError, PoetsEdgeError

_PATIENCE = 600.0
"""Seconds, beyond what the work itself may take, after which a process is given up."""

_MOST_HELPERS = 4
"""Processes at once. Where they fine-tune, each has TensorFlow in it and takes up to 1 GB."""

Answer = dict[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")


def run_module(module: str, arguments: Sequence[str], subject: str, seconds: float = 0) -> Answer:
    """Run a module of this package in a fresh Python and read its answer.

    Args:
        subject: what it works on, for error messages.
        seconds: what the work takes at least.

    Raises:
        ModelError: it died, or gave no answer in time.
        PoetsEdgeError: what it raised itself.
    """
    patience = _PATIENCE + 10 * seconds
    try:
        process = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            capture_output=True,
            text=True,
            env=_environment(),
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{subject}: no answer after {patience:.0f} seconds.") from None
    last_line = (process.stdout.splitlines() or [""])[-1]
    return _read(last_line, process.returncode, process.stderr, subject)


class Helper:
    """A process that answers many questions; for one thread. It ends when its standard input does."""

    def __init__(self, module: str) -> None:
        self._stderr: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            # There is one helper a core. A linear algebra library that spreads its small matrices over all cores
            # again makes its threads wait for each other, at three times the cost.
            env={**_environment(), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def ask(self, question: Answer, subject: str) -> Answer:
        """Put one question. Raises ModelError where the process died, and what it raised itself."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        status = 0 if line else self._process.wait()
        self._stderr.seek(0)
        return _read(line, status, self._stderr.read() if not line else "", subject)

    def close(self) -> None:
        """End the process, also in the middle of its work."""
        self._process.kill()
        self._process.communicate()
        self._stderr.close()


class Helpers:
    """Helpers of one module that share many questions between them; they start when there are some."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._helpers: list[Helper] = []

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self._helpers:
            helper.close()

    def start(self, most: int) -> None:
        """Start as many as `most` questions need: they load their libraries while the caller does something else."""
        while len(self._helpers) < min(most, cores(), _MOST_HELPERS):
            self._helpers.append(Helper(self._module))

    def share(self, items: Sequence[Item], work: Callable[[Item, Helper], Result]) -> Iterator[tuple[Item, Result]]:
        """Yield (item, work(item, helper)) in the order of `items`.

        Raises:
            whatever `work` raises; what is under way is finished first.
        """
        self.start(len(items))
        yield from run_parallel(items, partial(next, iter(self._helpers)), work, workers=len(self._helpers))


def answer(work: Callable[[], Answer]) -> None:
    """In the process: print what `work` gives, or why it could not, as one line."""
    try:
        result = work()
    except PoetsEdgeError as error:
        result = {"error": str(error), "kind": type(error).__name__}
    print(json.dumps(result, allow_nan=False), flush=True)


def answer_all(work: Callable[[Answer], Answer]) -> None:
    """In the process: answer one question after the other, until there are no more.

    Native libraries that print on standard output must not get between the answers: it is theirs no longer.
    """
    end_with_parent()
    sys.stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answer(partial(work, json.loads(line)))


def _read(line: str, status: int, stderr: str, subject: str) -> Answer:
    try:
        result: Answer = json.loads(line)
    except ValueError:
        last = (stderr.strip().splitlines() or ["no message"])[-1]
        how = f"killed by signal {-status}" if status < 0 else f"status {status}"
        raise ModelError(f"{subject}: the process that works on it ended early ({how}: {last[:200]}).") from None
    if "error" in result:
        kind = getattr(errors, result["kind"], PoetsEdgeError)
        raise kind(result["error"])
    return result


def _environment() -> dict[str, str]:
    """This one, in which this package is found also where it is not installed."""
    root = str(Path(poets_edge.__file__).parents[1])
    return {
        **helper_environment(),
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])),
    }
