"""Benchmark of quantization: all 16 MobileNets in float16, dynamic and int8, in comparison with float32."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tables import STAND_INS, accuracy, load, publish
from poets_edge.bench.measurement import measure_variants
from poets_edge.bench.rounds import RoundLog, TimingConfig, variants_of
from poets_edge.exporting.export import ExportOptions, export
from poets_edge.exporting.results import ExportedFile
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.mobilenet_v1 import MOBILENETS
from poets_edge.photos.split import SplitConfig
from poets_edge.quantize.convert import QUANTIZATIONS
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import train

_TEST_PERCENTAGE = 50
"""Half of the photos are test photos, so that a difference of one point can be detected."""

Files = dict[str, ExportedFile]


@pytest.mark.timeout(3600)
@pytest.mark.benchmark(group="quantization")
def test_all_sixteen(benchmark: Any, flowers: Path, keras_home: Path, tmp_path: Path) -> None:
    files: dict[Architecture, Files] = {}

    def all_of_them() -> None:
        for architecture in MOBILENETS:
            files[architecture] = _train_and_export(architecture, flowers, tmp_path)

    benchmark.pedantic(all_of_them, rounds=1, iterations=1)
    times = _latencies([file.path for quantizations in files.values() for file in quantizations.values()])
    _publish_accuracy(files)
    _publish_costs(files, times)


def _train_and_export(architecture: Architecture, flowers: Path, work: Path) -> Files:
    graph = work / architecture.name / "graph.pb"
    train(
        TrainOptions(
            image_dir=flowers,
            architecture=architecture,
            output_graph=graph,
            output_labels=graph.with_name("labels.txt"),
            bottleneck_dir=work / "bottlenecks",
            summaries_dir=work / "summaries",
            percentages=SplitConfig(testing=_TEST_PERCENTAGE, validation=10),
        )
    )
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
        ]
    ]
    losses: dict[str, list[float]] = {name: [] for name in quantizations}
    for architecture, of in files.items():
        known = {name: file.evaluation.accuracy for name, file in of.items() if file.evaluation}
        for name in quantizations:
            losses[name].append(100 * (known["float32"] - known[name]))
        hidden = architecture.name in STAND_INS
        rows.append(
            [architecture.name, accuracy(architecture.name, known["float32"])]
            + ["-" if hidden else f"{-losses[name][-1]:+.1f}" for name in quantizations]
            + [f"{100 * (of[name].agreement or 0):.1f}" for name in quantizations]
        )
    rows.append(
        [
            "**mean of 16**",
            "",
            *(f"**{-statistics.mean(losses[name]):+.2f}**" for name in quantizations),
            "",
            "",
            "",
        ]
    )
    first = next(iter(files.values()))["float32"].evaluation
    photos = first.count if first else 0
    publish(
        "quantization_accuracy",
        "Accuracy lost to quantization",
        rows,
        [
            f"{photos} test photos of five kinds of flowers; trained on {90 - _TEST_PERCENTAGE} % of 1,000 photos,"
            " 4,000 steps, calibrated with 100. Points: percent of accuracy gained (+) or lost (-) against float32 on"
            " the same photos. Agrees: share of photos answered as float32 answers them. A dash: the weights of these"
            " sizes are stand-ins, so their accuracies say nothing and are not shown; the mean has what they lose.",
        ],
    )


def _publish_costs(files: dict[Architecture, Files], times: dict[Path, float]) -> None:
    quantizations = QUANTIZATIONS[1:]
    rows = [
        [
            "",
            *(f"{name}, time" for name in quantizations),
            *(f"{name}, size" for name in quantizations),
            "float32, ms",
            "float32, MB",
        ]
    ]
    for architecture, of in files.items():
        base = of["float32"]
        rows.append(
            [architecture.name]
            + [f"{times[of[name].path] / times[base.path]:.2f}" for name in quantizations]
            + [f"{of[name].size / base.size:.2f}" for name in quantizations]
            + [f"{times[base.path]:.2f}", f"{base.size / 1e6:.2f}"]
        )
    publish(
        "quantization_cost",
        "Time and size won by quantization, as shares of float32's",
        rows,
        [
            "Latency of one inference, one thread: the median of the quietest of three processes, since other programs"
            f" can only add to a time. Load average at the end: {load():.1f}."
        ],
    )
