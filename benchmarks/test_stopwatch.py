"""Comparison of `benchmark` with LiteRT's benchmark tool, and of repeated runs of `benchmark` with each other."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tables import load, publish
from poets_edge.bench.benchmark import BenchmarkOptions, BenchmarkResult
from poets_edge.bench.benchmark import benchmark as measure_on_this_device
from poets_edge.bench.measurement import measure_variants
from poets_edge.bench.rounds import RoundLog, TimingConfig, Variant, variants_of
from tests.conftest import QUANTIZATIONS, Trained

_TIMES = 5


@pytest.mark.benchmark(group="stopwatch")
@pytest.mark.timeout(1800)
def test_against_litert_benchmark(benchmark: Any, trained: Trained, tmp_path: Path) -> None:
    program = shutil.which("litert-benchmark", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("no litert-benchmark: it comes with ai-edge-litert 2.3 and later")
    variants = variants_of([trained.model(quantization) for quantization in QUANTIZATIONS], [1])
    ours: dict[Variant, list[float]] = {variant: [] for variant in variants}
    theirs: dict[Variant, list[float]] = {variant: [] for variant in variants}

    def measure() -> None:
        # Alternating, so that load affects both equally.
        for _ in range(_TIMES):
            for variant in variants:
                log = RoundLog()
                measure_variants([variant], TimingConfig(seconds=0.4, runs=50, rounds=2), log=log)
                timings = log.timings("", variant, 2).values()
                samples = [sample for timing in timings for sample in timing.samples_ms]
                ours[variant].append(statistics.median(samples))
                theirs[variant].append(_litert(program, variant, tmp_path / "result.json"))

    benchmark.pedantic(measure, rounds=1, iterations=1)
    rows = [["model", "ratio", "poets-edge, ms", "litert-benchmark, ms", "our medians, ms", "its medians, ms"]]
    for variant in variants:
        mine, other = min(ours[variant]), min(theirs[variant])
        rows.append(
            [variant.model.stem, f"**{mine / other:.2f}**", f"{mine:.3f}", f"{other:.3f}",
             _texts(ours[variant]), _texts(theirs[variant])]
        )  # fmt: skip
    publish(
        "stopwatch",
        "Median latency against LiteRT's own benchmark",
        "python -m pytest benchmarks/test_stopwatch.py --benchmark-only -s -k litert",
        rows,
        [
            f"One thread. Each program ran {_TIMES} times, in turns; compared are the medians of the quietest, since"
            f" other programs can only add to a time. Load average at the end: {load():.1f}."
        ],
    )


@pytest.mark.benchmark(group="stopwatch")
@pytest.mark.timeout(1800)
def test_benchmark_agrees_with_a_second_run(benchmark: Any, trained: Trained) -> None:
    variants = variants_of([trained.model(quantization) for quantization in QUANTIZATIONS], [1])
    results: dict[Variant, list[BenchmarkResult]] = {variant: [] for variant in variants}

    def measure() -> None:
        for _ in range(_TIMES):
            for variant in variants:
                results[variant].append(measure_on_this_device(BenchmarkOptions(models=(variant.model,), threads=(1,))))

    benchmark.pedantic(measure, rounds=1, iterations=1)
    rows = [["model", "largest over smallest", "medians, ms (! it warned)"]]
    for variant in variants:
        medians = [result.measurements[0].latency.median for result in results[variant]]
        warned = [bool(result.warnings) for result in results[variant]]
        apart = max(medians) / min(medians)
        marks = [f"{median:.2f}{' !' if loud else ''}" for median, loud in zip(medians, warned, strict=True)]
        rows.append([variant.model.stem, f"**{apart:.2f}**", ", ".join(marks)])
        assert apart <= 1.05 or any(warned), f"{variant.model.stem}: medians of {medians} ms, and not a word"
    publish(
        "repeated",
        "The same model, benchmarked five times",
        "python -m pytest benchmarks/test_stopwatch.py --benchmark-only -s -k itself",
        rows,
        [
            f"`poets-edge benchmark MODEL --threads 1`, {_TIMES} times each, in turns. Medians more than 5 % apart are"
            f" the machine's doing, and the program must say so. Load average at the end: {load():.1f}."
        ],
    )


def _texts(medians: list[float]) -> str:
    return ", ".join(f"{median:.2f}" for median in medians)


def _litert(program: str, variant: Variant, result: Path) -> float:
    arguments = ["--model", str(variant.model), "--num_threads", str(variant.threads), "--result_json", str(result)]
    subprocess.run([program, *arguments, "--warmup_runs", "50", "--num_runs", "200"], check=True, capture_output=True)
    found = json.loads(result.read_text())
    return float(next(value for key, value in _flat(found) if "median" in key))


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(inner, key)]
    return [(name, value)]
