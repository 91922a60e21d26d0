"""Benchmark of quantization: all 16 MobileNets in float16, dynamic and int8, compared with float32."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tables import STAND_INS, accuracy, load, publish
from benchmarks.training import train_graph
from poets_edge.bench.measurement import measure_variants
from poets_edge.bench.rounds import RoundLog, TimingConfig, variants_of
from poets_edge.exporting.export import export
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import ExportedFile
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.mobilenet_v1 import MOBILENETS
from poets_edge.quantize.convert import QUANTIZATIONS

_TEST_PERCENTAGE = 50
"""Percentage of photos used for testing, large enough to detect differences of one percentage point."""

_COMMAND = "python -m pytest benchmarks/test_quantization.py --benchmark-only -s"

Files = dict[str, ExportedFile]


@pytest.fixture(scope="module")
def files(flowers: Path, keras_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Architecture, Files]:
    """Train and export all sixteen MobileNets; return the exported files by architecture."""
    work = tmp_path_factory.mktemp("quantization")
    return {architecture: _train_and_export(architecture, flowers, work) for architecture in MOBILENETS}


@pytest.mark.timeout(7200)
@pytest.mark.benchmark(group="quantization")
def test_accuracy_and_size(benchmark: Any, files: dict[Architecture, Files]) -> None:
    benchmark.pedantic(_publish_accuracy, args=(files,), rounds=1, iterations=1)


@pytest.mark.timeout(3600)
@pytest.mark.benchmark(group="quantization")
def test_time(benchmark: Any, files: dict[Architecture, Files]) -> None:
    models = [file.path for quantizations in files.values() for file in quantizations.values()]
    _publish_times(files, benchmark.pedantic(_latencies, args=(models,), rounds=1, iterations=1))


def _train_and_export(architecture: Architecture, flowers: Path, work: Path) -> Files:
    graph = train_graph(architecture, flowers, work, testing=_TEST_PERCENTAGE)
    exported = export(ExportOptions(graph=graph, labels=graph.with_name("labels.txt"), quantizations=QUANTIZATIONS))
    return {file.quantization: file for file in exported.files}


def _latencies(models: list[Path]) -> dict[Path, float]:
    variants, config, log = variants_of(models, [1]), TimingConfig(seconds=0.6, runs=30, rounds=3), RoundLog()
    measure_variants(variants, config, log=log)
    return {
        variant.model: min(
            statistics.median(timing.samples_ms) for timing in log.timings("", variant, config.rounds).values()
        )
        for variant in variants
    }


def _publish_accuracy(files: dict[Architecture, Files]) -> None:
    quantizations = QUANTIZATIONS[1:]
    rows = [
        [
            "",
            "float32, %",
            *(f"{name}, points" for name in quantizations),
            *(f"{name} agrees, %" for name in quantizations),
            "float32, MB",
            *(f"{name}, size" for name in quantizations),
        ]
    ]
    gains: dict[str, list[float]] = {name: [] for name in quantizations}
    for architecture, of in files.items():
        hidden = architecture.name in STAND_INS
        evaluations = {name: file.evaluation for name, file in of.items() if file.evaluation}
        accuracies = {name: evaluation.accuracy for name, evaluation in evaluations.items()}
        gained = {name: 100 * (accuracies[name] - accuracies["float32"]) for name in quantizations}
        if not hidden:
            for name in quantizations:
                gains[name].append(gained[name])
        rows.append(
            [architecture.name, accuracy(architecture.name, accuracies["float32"])]
            + ["-" if hidden else f"{gained[name]:+.1f}" for name in quantizations]
            + [accuracy(architecture.name, of[name].agreement or 0) for name in quantizations]
            + [f"{of['float32'].size / 1e6:.2f}"]
            + [f"{of[name].size / of['float32'].size:.2f}" for name in quantizations]
        )
    count = len(gains["int8"])
    means = [f"**{statistics.mean(gains[name]):+.2f}**" for name in quantizations]
    rows.append([f"**mean of {count}**", "", *means, *[""] * (2 * len(quantizations) + 1)])
    first = next(iter(files.values()))["float32"].evaluation
    photos = first.count if first else 0
    publish(
        "quantization_accuracy",
        "Accuracy and size of quantized models",
        f"{_COMMAND} -k accuracy",
        rows,
        [
            f"{photos} test photos of five kinds of flowers; trained on {90 - _TEST_PERCENTAGE} % of 1,000 photos,"
            " 4,000 steps, calibrated with 100. Points: accuracy less that of float32 on the same photos. Agrees: share"
            " of photos with the label of float32. Size: share of float32's. A dash: the weights of these sizes are"
            " stand-ins (those of 1.0_224), whose accuracies say nothing; the mean is without them.",
        ],
    )


def _publish_times(files: dict[Architecture, Files], times: dict[Path, float]) -> None:
    quantizations = QUANTIZATIONS[1:]
    rows = [["", "float32, ms", *(f"{name}, share of its time" for name in quantizations)]]
    for architecture, of in files.items():
        base = times[of["float32"].path]
        shares = [f"{times[of[name].path] / base:.2f}" for name in quantizations]
        rows.append([architecture.name, f"{base:.2f}", *shares])
    publish(
        "quantization_cost",
        "Time of quantized models, as shares of float32's",
        f"{_COMMAND} -k time",
        rows,
        [
            "Latency of one inference, one thread: the median of the quietest of three processes, since other programs"
            f" can only add to a time. Load average at the end: {load():.1f}."
        ],
    )
