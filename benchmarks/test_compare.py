"""Benchmark of `compare`: rates of false differences, and of detected slowdowns of 5 %.

Many processes measure one model, as `benchmark` lets them by default. A comparison is simulated by drawing two runs of
as many processes as `benchmark` takes from these recorded samples, and making every sample of the second 5 % longer.
$POETS_EDGE_PROCESSES sets the number of recorded processes.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.tables import RESULTS, load, publish
from poets_edge.bench.measurement import measure_variants
from poets_edge.bench.ratios import compare_times
from poets_edge.bench.rounds import RoundLog, TimingConfig, variants_of
from tests.conftest import Trained

_COMPARISONS = 200
_SLOWDOWN = 1.05
_RECORDED = int(os.environ.get("POETS_EDGE_PROCESSES", "100"))


@pytest.mark.benchmark(group="compare")
@pytest.mark.timeout(3600)
def test_simulated_comparisons(benchmark: Any, trained: Trained) -> None:
    variants = variants_of([trained.model(quantization) for quantization in ("float32", "int8")], [1])
    default = TimingConfig()
    # Default duration of each process, with the number of processes.
    config = TimingConfig(seconds=default.seconds / default.rounds * _RECORDED, runs=default.runs, rounds=_RECORDED)
    log = RoundLog()
    benchmark.pedantic(lambda: measure_variants(variants, config, log=log), rounds=1, iterations=1)
    kept: dict[str, list[float]] = {}
    for variant in variants:
        timings = log.timings("", variant, config.rounds).values()
        fastest = [min(timing.samples_ms) for timing in timings]
        kept[variant.model.name] = [round(time, 5) for time in fastest]
        same, slower = simulate(np.array(fastest), default.rounds)
        medians = np.log([statistics.median(timing.samples_ms) for timing in timings])
        print(f"{variant.model.name}: medians of processes differ by {100 * medians.std(ddof=1):.1f} % (sd)")
        assert slower >= 0.95, f"{variant.model.name}: a slowdown of 5 % was found in {100 * slower:.1f} %"
        assert same <= 0.05, f"{variant.model.name}: the same model was called different in {100 * same:.1f} %"
    (RESULTS / "compare_processes.json").write_text(json.dumps(kept) + "\n")
    report(kept)


def report(kept: Mapping[str, Sequence[float]]) -> None:
    """Simulate comparisons with recorded and log-normal times; write the result."""
    rounds = TimingConfig().rounds
    rng = np.random.default_rng(1)
    drawn = {
        f"simulated, log-normal, {100 * sd:g} %": np.exp(sd * rng.standard_normal(200))
        for sd in (0.02, 0.03, 0.04, 0.05)
    }
    rows = [["processes of", "recorded", "fastest runs differ by (sd)", "same called different", "5 % slower found"]]
    for name, times in [*((name, np.array(values)) for name, values in kept.items()), *drawn.items()]:
        same, slower = simulate(times, rounds)
        rows.append(
            [name, str(len(times)), f"{100 * np.log(times).std(ddof=1):.1f} %", f"**{100 * same:.1f} %**",
             f"**{100 * slower:.1f} %**"]
        )  # fmt: skip
    publish(
        "compare",
        f"What `compare` tells: {_COMPARISONS} simulated comparisons",
        "python -m pytest benchmarks/test_compare.py --benchmark-only -s",
        rows,
        [
            f"Each comparison draws two runs of {rounds} processes, the default of `benchmark`, without replacement"
            " from the recorded ones (`compare_processes.json` has the fastest inference of each). Found: the verdict"
            " is `slower`. How small a slowdown can be found depends on how much processes differ, and so on the"
            " machine and on what else it does; where it is too small, `compare` says `cannot tell`.",
            f"Load average at the end: {load():.1f}.",
        ],
    )


def simulate(times: np.ndarray[Any, Any], rounds: int) -> tuple[float, float]:
    """Return the rates of false differences and of detected slowdowns of 5 %."""
    rng = np.random.default_rng(0)
    different = slower = 0
    for _ in range(_COMPARISONS):
        drawn = rng.permutation(times)[: 2 * rounds]
        one, other = list(drawn[:rounds]), drawn[rounds:]
        different += not compare_times(list(other), one).could_be_equal
        slower += compare_times(list(other * _SLOWDOWN), one).verdict == "slower"
    return different / _COMPARISONS, slower / _COMPARISONS


def replay(path: Path = RESULTS / "compare_processes.json") -> None:
    """Repeat the simulation with recorded times: `python -m benchmarks.test_compare`."""
    report(json.loads(path.read_text()))


if __name__ == "__main__":
    replay()
