"""Comparison of `benchmark` with `benchmark --on`, which connects to a real sshd on the same machine."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tables import load, publish
from poets_edge.bench.benchmark import BenchmarkOptions
from poets_edge.bench.benchmark import benchmark as measure_here
from poets_edge.bench.remote.benchmark import benchmark_on
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.installation import install
from poets_edge.bench.rounds import TimingConfig
from tests.bench.remote.sshd import ssh_configured, ssh_server
from tests.conftest import Trained

_TIMES = 5
_MODELS = ("float32", "int8")


@pytest.mark.benchmark(group="remote")
@pytest.mark.timeout(1800)
def test_benchmark_on_agrees_with_benchmark(
    benchmark: Any, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    models = tuple(trained.model(name) for name in _MODELS)
    options = BenchmarkOptions(models=models, threads=(1,), timing=TimingConfig(seconds=0.5, runs=50, rounds=2))
    here: dict[Path, list[float]] = {model: [] for model in models}
    there: dict[Path, list[float]] = {model: [] for model in models}
    with ssh_server(tmp_path / "pi", "pi") as server, ssh_configured(tmp_path, server):
        began = time.monotonic()
        _ready()
        first = time.monotonic() - began
        began = time.monotonic()
        _ready()
        second = time.monotonic() - began

        def measure() -> None:
            for _ in range(_TIMES):  # alternating, so that load affects both equally
                for measured in measure_here(options).measurements:
                    here[measured.variant.model].append(measured.latency.median)
                [found], _ = benchmark_on(options, ["pi"])
                for measured in found.measurements:
                    there[measured.variant.model].append(measured.latency.median)

        benchmark.pedantic(measure, rounds=1, iterations=1)
    rows = [["model", "ratio", "directly, ms", "--on, ms", "medians directly, ms", "medians with --on, ms"]]
    for model in models:
        mine, other = min(here[model]), min(there[model])
        rows.append(
            [
                model.stem,
                f"**{other / mine:.3f}**",
                f"{mine:.3f}",
                f"{other:.3f}",
                _texts(here[model]),
                _texts(there[model]),
            ]
        )
    publish(
        "remote",
        "`benchmark --on` against the same benchmark run directly",
        "python -m pytest benchmarks/test_remote.py --benchmark-only -s",
        rows,
        [
            f"One thread, a real sshd on the loopback address. Each ran {_TIMES} times, in turns; compared are the"
            " medians of the quietest, since other programs can only add to a time. Ready to measure after"
            f" {first:.1f} s on a device with nothing on it, {second:.1f} s on one where it is installed."
            f" Load average at the end: {load():.1f}."
        ],
    )
    assert second < 5
    assert all(0.95 < min(there[model]) / min(here[model]) < 1.05 for model in models)


def _ready() -> None:
    with Connection("pi") as connection:
        install(connection)


def _texts(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"
