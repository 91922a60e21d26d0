"""Tests that `benchmark` applies its options to the models and the photos, with stand-ins for both."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench import benchmark
from poets_edge.bench.accuracy import EvaluatedPhotos
from poets_edge.bench.benchmark import (
    BenchmarkOptions,
    BenchmarkResult,
    check_models,
    evaluate_models,
    result_warnings,
)
from poets_edge.bench.rounds import Variant
from poets_edge.bench.samples import describe
from poets_edge.progress import Silent

A, B = Path("a.tflite"), Path("b.tflite")
OPTIONS = BenchmarkOptions(
    models=(A, B, A), image_dir=Path("photos"), split="validation", labels=Path("l.txt"), input_range="0:1",
    delegate="libx.so",
)  # fmt: skip


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, dict[str, Any]]]:
    """Models that were opened, each with the options for opening it."""
    found: list[tuple[Path, dict[str, Any]]] = []

    def classifier(model: Path, **given: Any) -> str:
        found.append((model, given))
        return f"open {model}"

    monkeypatch.setattr(benchmark, "Classifier", classifier)
    return found


def test_benchmark_opens_all_models_with_its_options_and_evaluates_them_together(
    opened: list[tuple[Path, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def evaluate(*given: Any, **named: Any) -> list[str]:
        calls.append((given, named))
        return ["result a", "result b"]

    monkeypatch.setattr(benchmark, "evaluate_together", evaluate)
    reporter = Silent()
    found: Any = evaluate_models(OPTIONS, reporter)
    assert found == {A: "result a", B: "result b"}
    given = {"labels": Path("l.txt"), "input_range": "0:1", "delegate": "libx.so"}
    assert opened == [(A, given), (B, given)]
    scorers = ["open a.tflite", "open b.tflite"]
    assert calls == [((scorers, Path("photos")), {"split": "validation", "reporter": reporter})]


def test_models_are_checked_before_the_measurement(opened: list[tuple[Path, dict[str, Any]]]) -> None:
    check_models(OPTIONS)
    given = {"labels": Path("l.txt"), "delegate": "libx.so", "unlabeled": True}
    assert opened == [(A, given), (B, given), (A, given)]


def test_benchmark_measures_with_its_options_on_the_first_20_evaluated_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [f"photo {number}" for number in range(25)]
    calls: list[Any] = []

    def measure(variants: Any, timing: Any, stage_photos: Any, reporter: object, *, log: object) -> list[str]:
        calls.append((variants, timing, stage_photos))
        return ["disturbed"]

    monkeypatch.setattr(benchmark, "check_models", lambda options: None)
    monkeypatch.setattr(benchmark, "machine_facts", lambda: {"cores": 2, "emulated": True})
    evaluated = {A: SimpleNamespace(predictions=SimpleNamespace(photos=photos))}
    monkeypatch.setattr(benchmark, "evaluate_models", lambda options, reporter: evaluated)
    monkeypatch.setattr(benchmark, "variants_of", lambda *given: [SimpleNamespace(model=A, given=given)])
    monkeypatch.setattr(benchmark, "measure_variants", measure)
    monkeypatch.setattr(benchmark, "measurements_of", lambda *given: ())
    monkeypatch.setattr(benchmark, "accuracy_of", lambda predictions, evaluations: {A: (predictions, evaluations)})
    monkeypatch.setattr(EvaluatedPhotos, "of", lambda *given: given)
    found: Any = benchmark.benchmark(BenchmarkOptions(models=(A,), image_dir=Path("photos"), delegate="libx.so"))
    [([variant], timing, timed_photos)] = calls
    assert variant.given == ((A,), (1, 2), "libx.so") and timing == OPTIONS.timing
    assert timed_photos == photos[:20]
    assert found.photos == (Path("photos"), list(evaluated.values())) and found.accuracy[A][1] is evaluated
    assert found.warnings == ("this is an emulator: its times do not apply to any device.", "disturbed")


def test_benchmark_result_latency_uses_the_first_model_at_its_fastest_thread_count() -> None:
    def measured(model: Path, threads: int, *samples: float) -> Any:
        return SimpleNamespace(variant=Variant(model, threads, ""), latency=describe(samples))

    measurements = (measured(A, 1, 1.0, 9.0, 9.0), measured(A, 2, 5.0, 6.0, 7.0), measured(B, 1, 0.5, 0.5, 0.5))
    result = BenchmarkResult(machine={}, measurements=measurements)
    assert (result.latency.minimum, result.latency.median) == (5.0, 6.0)


def test_rows_of_a_benchmark_result_contain_latency_size_and_accuracy() -> None:
    def measured(model: Path, threads: int, slowest: float) -> Any:
        variant = Variant(model, threads, "")
        latency = describe([1.0] * 5 + [2.0, 3.0, 4.0, 5.0, 6.0, slowest])
        return SimpleNamespace(variant=variant, latency=latency, model=SimpleNamespace(name=f"<{model}>", size=7))

    accuracy: Any = {A: SimpleNamespace(evaluation=SimpleNamespace(accuracy=0.25))}
    result = BenchmarkResult(machine={}, measurements=(measured(A, 1, 9.0), measured(B, 2, 8.0)), accuracy=accuracy)
    latency = {"median_ms": 2.0, "p90_ms": 6.0}
    assert result.rows() == [
        {"model": "<a.tflite>", "threads": 1, **latency, "size": 7, "accuracy": 0.25},
        {"model": "<b.tflite>", "threads": 2, **latency, "size": 7, "accuracy": None},
    ]


def test_benchmark_warns_about_thread_counts_only_if_they_exceed_the_number_of_cores() -> None:
    def measured(threads: int) -> Any:
        return SimpleNamespace(variant=Variant(A, threads, ""), warnings=lambda: [f"own {threads}"])

    machine = {"cores": 2, "emulated": False}
    assert result_warnings(machine, [measured(1), measured(2), measured(3), measured(3)], ["disturbed"]) == [
        "3 threads on 2 cores: they take turns, which is slower than 2.",
        "disturbed", "own 1", "own 2", "own 3", "own 3",
    ]  # fmt: skip
