"""Running of `poets-edge` command lines in forks of this process.

Python, numpy and the TensorFlow Lite interpreter are loaded only once, and a fork takes only a millisecond or two, so
thousands of files can be tried per hour. Each run has its own limits on memory and time, and cannot affect later runs.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Limits:
    """Limits on the time (in seconds) and the memory (in bytes) of a run; exceeding either is a fault."""

    seconds: float
    memory: int


USUAL, STRICT = Limits(120.0, 1_000_000_000), Limits(20.0, 300_000_000)
"""Limits for most files, and for files that must be processed fast. Time spent waiting for a core does not count."""
_LONGEST = 3600.0
"""Maximum duration of a run in seconds, including time spent waiting for a core."""
_LOOK_SECONDS = 1.0
_NO_NUMBER = re.compile(r"\b(NaN|nan|Infinity|inf)\b")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
"""Pattern of a JSON string, which may contain words such as NaN and is therefore ignored."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of running a command on a hostile file.

    Attributes:
        kind: "answered", "one line" (an error message) or a fault: "signal", "hang", "traceback", "memory", "no number"
            (NaN or infinity), "silent" (a failure without a message) or "touched" (a change to a file that is not an
            argument of the command).
        detail: last line on stderr, or the signal that ended the run.
        seconds: duration of the run.
        megabytes: peak memory in MB, without memory that generated files have occupied in the parent process.
    """

    kind: str
    detail: str
    seconds: float
    megabytes: int

    @property
    def is_fault(self) -> bool:
        return self.kind not in ("answered", "one line")


def run(arguments: Sequence[str], cwd: Path, *, apart: bool = False, limits: Limits = USUAL) -> Outcome:
    """Run `poets-edge ARGUMENTS` in a fork of this process, and return the outcome.

    Args:
        arguments: arguments of the command.
        cwd: folder in which the command runs.
        apart: whether to start a new Python process instead of forking this one. A fork lacks the threads that
            TensorFlow has started, and inherits the memory of this process.
        limits: limits on time and memory.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        inherited = 0 if apart else _resident() - _resident_at_first_run()
        before = time.monotonic()
        child = os.fork()
        if child == 0:
            _be_child(arguments, cwd, out.fileno(), err.fileno(), apart)
        status, usage = _wait(child, before, limits)
        seconds = time.monotonic() - before
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(1 << 20).decode(errors="replace"))
    return _judge(status, texts[0], texts[1], seconds, max(0, usage.ru_maxrss * 1024 - inherited), limits)


def _resident() -> int:
    """Return the resident memory of this process in bytes. A fork inherits it, and counts it in its peak memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@cache
def _resident_at_first_run() -> int:
    """Return the resident memory of this process, in bytes, at the first call of this function.

    Memory that this process allocates later, to generate files, is not attributed to the tested program.
    """
    return _resident()


def _be_child(arguments: Sequence[str], cwd: Path, out: int, err: int, apart: bool) -> None:
    status = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(cwd)
        if apart:
            os.environ["PYTHONPATH"] = str(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "poets_edge", *arguments])
        sys.argv = ["poets-edge", *arguments]
        from poets_edge.cli import main

        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _wait(child: int, start: float, limits: Limits) -> tuple[int, resource.struct_rusage]:
    """Wait for a child process to end; return its exit status and resource usage.

    If the child exceeds the time limit, it is killed, and the status is -SIGXCPU.

    Args:
        child: process ID.
        start: value of `time.monotonic()` when the child was started.
        limits: limits on time (without the time that the child waits for a core) and memory.
    """
    descriptor = os.pidfd_open(child)
    starved: dict[str, float] = {}
    try:
        while not select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
            starved |= _starved(child)
            if time.monotonic() - start > min(limits.seconds + sum(starved.values()), _LONGEST):
                os.killpg(child, signal.SIGKILL)
                _, _, usage = os.wait4(child, 0)
                return -signal.SIGXCPU, usage
    finally:
        os.close(descriptor)
    _, status, usage = os.wait4(child, 0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # remaining processes
    return os.waitstatus_to_exitcode(status), usage


def _starved(session: int) -> dict[str, float]:
    """Return how long each process in a session has waited for a processor core, in seconds, by process ID.

    For a process with several threads, this is the time of the thread that has waited longest.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                waits = [int(file.read_text().split()[1]) for file in process.glob("task/[0-9]*/schedstat")]
                found[process.name] = max(waits) / 1e9
    return found


def _judge(status: int, out: str, err: str, seconds: float, memory: int, limits: Limits) -> Outcome:
    lines = [line for line in err.splitlines() if line.strip()]
    last = lines[-1][:200] if lines else ""
    if status == -signal.SIGXCPU:
        kind, last = "hang", f"more than {limits.seconds:.0f} s; {last}"
    elif status < 0:
        kind, last = "signal", signal.Signals(-status).name
    elif "Traceback (most recent call last)" in err or status == 70:
        kind = "traceback"
    elif memory > limits.memory:
        kind = "memory"
    elif status == 0:
        kind = "no number" if _NO_NUMBER.search(_TEXT.sub("", out)) else "answered"
    else:
        kind = "one line" if last.startswith("Error: ") else "silent"
    return Outcome(kind, last, round(seconds, 3), memory // 1_000_000)
