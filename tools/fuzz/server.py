"""Runs the command line over one file after the other, each time in a fork of this process.

Python, numpy and the interpreter are loaded once; a fork takes a millisecond or two, so thousands of files an hour are
many. Each run has limits of memory and time of its own, and nothing that it breaks survives it.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes of memory beyond which a run is a fault."""

    seconds: float
    memory: int


USUAL, STRICT = Limits(120.0, 1 << 30), Limits(20.0, 300 << 20)
"""Without those in which it waits for a core: on a machine whose cores others keep busy, nothing hangs for that."""
_LONGEST = 3600.0
"""All in all."""
_LOOK_SECONDS = 1.0
_NO_NUMBER = re.compile(r"\b(NaN|nan|Infinity|inf)\b")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
"""A text in JSON: what a model says of itself may hold any word."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        kind: "answered", "one line", or a fault: "signal", "hang", "traceback", "memory", "no number", "silent".
        detail: the last line it said, or what signal ended it.
        megabytes: its largest size in memory.
    """

    kind: str
    detail: str
    seconds: float
    megabytes: int

    @property
    def is_fault(self) -> bool:
        return self.kind not in ("answered", "one line")


def run(arguments: Sequence[str], cwd: Path, *, apart: bool = False, limits: Limits = USUAL) -> Outcome:
    """Run `poets-edge ARGUMENTS` in a fork, in a folder of its own.

    Args:
        apart: in a fresh Python, for what loads TensorFlow: its threads do not survive a fork.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
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
    return _judge(status, texts[0], texts[1], seconds, usage.ru_maxrss // 1024, limits)


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
    """The status of a child, which is ended when its time is over; -SIGXCPU says so."""
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
        os.killpg(child, signal.SIGKILL)  # what it may have left behind
    return os.waitstatus_to_exitcode(status), usage


def _starved(session: int) -> dict[str, float]:
    """Seconds for which each process of a session has been ready to run and got no core, by its number."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found[process.name] = int((process / "schedstat").read_text().split()[1]) / 1e9
    return found


def _judge(status: int, out: str, err: str, seconds: float, megabytes: int, limits: Limits) -> Outcome:
    lines = [line for line in err.splitlines() if line.strip()]
    last = lines[-1][:200] if lines else ""
    if status == -signal.SIGXCPU:
        kind, last = "hang", f"more than {limits.seconds:.0f} s; {last}"
    elif status < 0:
        kind, last = "signal", signal.Signals(-status).name
    elif "Traceback (most recent call last)" in err or status == 70:
        kind = "traceback"
    elif megabytes > limits.memory >> 20:
        kind = "memory"
    elif status == 0:
        kind = "no number" if _NO_NUMBER.search(_TEXT.sub("", out)) else "answered"
    else:
        kind = "one line" if last.startswith("Error: ") else "silent"
    return Outcome(kind, last, round(seconds, 3), megabytes)
