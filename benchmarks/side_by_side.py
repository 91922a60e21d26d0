"""Time several programs in alternation, so that other load on the machine affects all of them equally."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Contest:
    """Median times of poets_edge and of another program, in seconds."""

    ours: float
    other: float

    @property
    def ratio(self) -> float:
        """Ratio of the other program's time to poets_edge's; above 1, poets_edge is faster."""
        return self.other / self.ours


def side_by_side(
    benchmark: Any, ours: Callable[[], object], others: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, Contest]:
    """Time poets_edge in alternation with other programs.

    Args:
        benchmark: fixture of pytest-benchmark, which times `ours`.
        ours: function that runs poets_edge.
        others: functions that run the other programs, by name; each is called once before each round of `ours`.
        rounds: number of rounds.

    Returns:
        The median times of poets_edge and of each other program, by the name of the other program.
    """
    seconds: dict[str, list[float]] = {name: [] for name in others}

    def time_others() -> None:
        for name, run in others.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)

    benchmark.pedantic(ours, setup=time_others, rounds=rounds, warmup_rounds=1)
    ours_median = benchmark.stats.stats.median
    # The first sample was the warm-up's.
    contests = {name: Contest(ours_median, statistics.median(samples[1:])) for name, samples in seconds.items()}
    for name, contest in contests.items():
        benchmark.extra_info[f"{name}, seconds"] = contest.other
        benchmark.extra_info[f"ratio to {name}"] = contest.ratio
    return contests


_ROOT = Path(__file__).resolve().parent.parent

# The peak memory of a child starts at its parent's memory, so the parent must be small.
_LAUNCHER = """
import resource, subprocess, sys, time
start = time.perf_counter()
ended = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(ended.returncode)
"""


@dataclass(frozen=True)
class Usage:
    """Resources that a process has used.

    Attributes:
        seconds: wall time.
        cpu_seconds: processor time of all threads, which other load on the machine affects less than wall time.
        memory: peak resident memory, in MiB.
    """

    seconds: float
    cpu_seconds: float
    memory: float


def run_python(*arguments: str | Path, cwd: Path | None = None) -> None:
    """Run a Python process that can import poets_edge from this checkout."""
    subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=_environment(), stdout=subprocess.DEVNULL, check=True
    )


def peak_memory(arguments: Sequence[str | Path], cwd: Path | None = None) -> float:
    """Run a Python process with the given arguments, and return its peak resident memory in MiB."""
    return measure(arguments, cwd).memory


def measure(arguments: Sequence[str | Path], cwd: Path | None = None) -> Usage:
    """Run a Python process that can import poets_edge from this checkout; return the resources that it has used."""
    command = [sys.executable, "-S", "-c", _LAUNCHER, sys.executable, *map(str, arguments)]
    ended = subprocess.run(command, cwd=cwd, env=_environment(), capture_output=True, text=True, check=True)
    seconds, cpu_seconds, kilobytes = ended.stdout.split()
    return Usage(float(seconds), float(cpu_seconds), int(kilobytes) / 1024)


def _environment() -> dict[str, str]:
    """Return environment variables for a Python process that imports this checkout and caches its bytecode."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment
