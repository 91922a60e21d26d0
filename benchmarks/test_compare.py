"""Benchmark of `compare`: rates of false differences, and of detected slowdowns of 5 %, between separate runs.

Each model is measured in several separate runs, with a pause before each, as `benchmark` measures it by default. Every
ordered pair of runs is compared, as it is and with every sample of the second run 5 % longer. $POETS_EDGE_RUNS and
$POETS_EDGE_PAUSE set the number of runs and the seconds between them.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.tables import RESULTS, load, publish
from poets_edge.bench.measurement import measure_variants
from poets_edge.bench.rounds import RoundLog, TimingConfig, variants_of
from poets_edge.bench.run_variation import compare_runs
from tests.conftest import Trained

_SLOWDOWN = 1.05
_RUNS = int(os.environ.get("POETS_EDGE_RUNS", "6"))
_PAUSE_SECONDS = float(os.environ.get("POETS_EDGE_PAUSE", "60"))

Runs = Mapping[str, Sequence[Sequence[float]]]
"""Runs of each model. A run lists the fastest inference time of each process, in order of measurement."""


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
        variant.model.name: [
            [round(min(timing.samples_ms), 5) for timing in log.timings("", variant, config.rounds).values()]
            for log in logs
        ]
        for variant in variants
    }
    (RESULTS / "compare_runs.json").write_text(json.dumps(kept) + "\n")
    report(kept)
    different, slower, faster = (sum(column) for column in zip(*map(rates, kept.values()), strict=True))
    pairs = len(kept) * _RUNS * (_RUNS - 1)
    assert different <= 0.05 * pairs, f"{different} of {pairs} pairs of runs of one file were called different"
    assert slower >= 0.95 * pairs, f"a slowdown of 5 % was found in {slower} of {pairs} pairs"
    assert not faster, f"a slowdown of 5 % was called faster in {faster} of {pairs} pairs"


def rates(runs: Sequence[Sequence[float]]) -> tuple[int, int, int]:
    """Return three counts, of ordered pairs: runs called different, slowdowns detected, and slowdowns called faster."""
    pairs = list(itertools.permutations(runs, 2))
    slowed = [compare_runs([_SLOWDOWN * value for value in other], one).verdict for one, other in pairs]
    different = sum(not compare_runs(other, one).could_be_equal for one, other in pairs)
    return different, slowed.count("slower"), slowed.count("faster")


def report(kept: Runs) -> None:
    """Write the table of comparison results to `results/compare.md`."""
    rows = [
        [
            "model",
            "runs",
            "runs differ by (sd)",
            "ordered pairs",
            "called different",
            "5 % slower found",
            "called faster",
        ]
    ]
    for name, runs in kept.items():
        centers = np.log([np.median(run) for run in runs])
        counts = map(str, rates(runs))
        pairs = len(runs) * (len(runs) - 1)
        rows.append([name, str(len(runs)), f"{100 * centers.std(ddof=1):.1f} %", str(pairs), *counts])
    publish(
        "compare",
        "What `compare` tells about separate runs",
        "python -m pytest benchmarks/test_compare.py --benchmark-only -s",
        rows,
        [
            f"Each run is one measurement of `benchmark` with its default options, {_PAUSE_SECONDS:g} s after the last"
            " one; `compare_runs.json` has the fastest inference of each process. Every ordered pair of runs of one"
            " file is compared, also with every time of the second run 5 % longer.",
            f"Load average at the end: {load():.1f}.",
        ],
    )


def replay(path: Path = RESULTS / "compare_runs.json") -> None:
    """Repeat the comparisons with the times recorded in a file: `python -m benchmarks.test_compare`."""
    report(json.loads(path.read_text()))


if __name__ == "__main__":
    replay()
