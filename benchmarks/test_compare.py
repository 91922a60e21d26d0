"""Benchmark of `compare`: how often it reports a difference where there is none, and detects a slowdown of 5 %.

    python -m pytest benchmarks/test_compare.py --benchmark-only -s

Each model is measured in several separate runs of `benchmark` with default options, with a pause before each run. The
runs of every ordered pair are compared twice: as measured, where any reported difference is false, and with the times
of the second run increased by 5 %. This is done with and without the correction by the time of a reference kernel.
$POETS_EDGE_RUNS and $POETS_EDGE_PAUSE set the number of runs and the seconds between them.

`results/compare_runs.json` contains the times, and `results/compare.md` the table that
`python -m benchmarks.test_compare` makes from them.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from benchmarks.tables import RESULTS, load, publish
from poets_edge.bench.measurement import measure_variants
from poets_edge.bench.ratios import TimeRatio
from poets_edge.bench.rounds import RoundLog, TimingConfig, variants_of
from poets_edge.bench.run_variation import RELATIVE_VARIATION, compare_runs, kernel_ratio, relative_times
from poets_edge.bench.timing import Timing
from tests.conftest import Trained

_SLOWDOWN = 1.05
_RUNS = int(os.environ.get("POETS_EDGE_RUNS", "6"))
_PAUSE_SECONDS = float(os.environ.get("POETS_EDGE_PAUSE", "60"))

Run: TypeAlias = Mapping[str, Sequence[float]]
"""Times in ms of each process in a run, by name.

The names are `fastest` and `median` for inferences, and `kernel` and `kernel_median` for the fastest and median call of
the reference kernel. `kernel` is empty in runs before version 0.3.
"""
Runs: TypeAlias = Mapping[str, Sequence[Run]]
"""Runs of a benchmark, as a list for each model name."""


@pytest.mark.benchmark(group="compare")
@pytest.mark.timeout(7200)
def test_separate_runs(benchmark: Any, trained: Trained) -> None:
    variants = variants_of([trained.model(quantization) for quantization in ("float32", "int8")], [1])
    config = TimingConfig()
    logs = [RoundLog() for _ in range(_RUNS)]

    def measure() -> None:
        for log in logs:
            time.sleep(_PAUSE_SECONDS)
            measure_variants(variants, config, log=log)

    benchmark.pedantic(measure, rounds=1, iterations=1)
    kept = {
        variant.model.name: [recorded(list(log.timings("", variant, config.rounds).values())) for log in logs]
        for variant in variants
    }
    (RESULTS / "compare_runs.json").write_text(json.dumps(kept) + "\n")
    report(kept)
    different, slower, faster = (sum(column) for column in zip(*map(rates, kept.values()), strict=True))
    pairs = len(kept) * _RUNS * (_RUNS - 1)
    assert different <= 0.05 * pairs, f"{different} of {pairs} pairs of runs of one file were called different"
    assert slower >= 0.95 * pairs, f"a slowdown of 5 % was found in {slower} of {pairs} pairs"
    assert not faster, f"a slowdown of 5 % was called faster in {faster} of {pairs} pairs"


def recorded(timings: Sequence[Timing]) -> Run:
    """Return the times of a run in the form that is saved in `results/compare_runs.json`."""
    kernels = [timing.kernel_ms or (float("nan"),) for timing in timings]
    columns = {
        "fastest": [min(timing.samples_ms) for timing in timings],
        "median": [statistics.median(timing.samples_ms) for timing in timings],
        "kernel": list(map(min, kernels)),
        "kernel_median": list(map(statistics.median, kernels)),
    }
    return {name: [round(value, 5) for value in values] for name, values in columns.items()}


def compared(run: Run, reference: Run, slowdown: float = 1.0, *, with_kernel: bool = True) -> TimeRatio:
    """Compare two benchmark runs as `poets-edge compare` does, with the times of `run` multiplied by `slowdown`."""
    if not with_kernel or kernel_ratio(run["kernel_median"], reference["kernel_median"]) is None:
        return compare_runs([slowdown * value for value in run["fastest"]], reference["fastest"])
    slowed = [slowdown * value for value in run["median"]]
    return compare_runs(
        relative_times(slowed, run["kernel_median"]),
        relative_times(reference["median"], reference["kernel_median"]),
        RELATIVE_VARIATION,
    )


def rates(runs: Sequence[Run], *, with_kernel: bool = True) -> tuple[int, int, int]:
    """Count the ordered pairs of runs by the verdict of `compare`.

    Returns:
        The number of pairs between which `compare` reports a difference; and, with the times of the second run
        increased by 5 %, the numbers of pairs for which it reports `slower` and `faster`.
    """
    pairs = list(itertools.permutations(runs, 2))
    slowed = [compared(other, one, _SLOWDOWN, with_kernel=with_kernel).verdict for one, other in pairs]
    different = sum(not compared(other, one, with_kernel=with_kernel).could_be_equal for one, other in pairs)
    return different, slowed.count("slower"), slowed.count("faster")


def report(kept: Runs) -> None:
    """Write the table of comparison results to `results/compare.md`."""
    heading = "model,relative to,runs,runs differ by (sd),ordered pairs,called different,5 % slower found,called faster"
    rows = [heading.split(",")]
    for name, runs in kept.items():
        for with_kernel in (False, True) if all(run["kernel"] for run in runs) else (False,):
            times = [
                relative_times(run["median"], run["kernel_median"]) if with_kernel else run["fastest"] for run in runs
            ]
            centers = np.log([np.median(run) for run in times])
            counts = map(str, rates(runs, with_kernel=with_kernel))
            pairs = len(runs) * (len(runs) - 1)
            to = "the kernel" if with_kernel else "nothing"
            rows.append([name, to, str(len(runs)), f"{100 * centers.std(ddof=1):.2f} %", str(pairs), *counts])
    publish(
        "compare",
        "What `compare` tells about separate runs",
        "python -m pytest benchmarks/test_compare.py --benchmark-only -s",
        rows,
        [
            f"Each run is one measurement of `benchmark` with its default options, {_PAUSE_SECONDS:g} s after the last"
            " one; `compare_runs.json` has the times of each process. Every ordered pair of runs of one file is"
            " compared, also with every inference of the second run 5 % longer: relative to the reference kernel, as"
            " `compare` does, and without it, as it does with files that lack it.",
            f"Load average at the end: {load():.1f}.",
        ],
    )


def replay(path: Path = RESULTS / "compare_runs.json") -> None:
    """Repeat the comparisons with the times recorded in a file: `python -m benchmarks.test_compare`."""
    report(json.loads(path.read_text()))


if __name__ == "__main__":
    replay()
