"""Tests of the times that are read from result files of `benchmark`."""

from __future__ import annotations

from typing import Any

from poets_edge.bench.result_files import VariantResult


def result(*rounds: dict[str, list[float]]) -> Any:
    """Return an element of the list `results` in a result file, with the times that each process measured."""
    return {
        "name": "a.tflite", "threads": 1, "latency_ms": {"median": 5.0}, "rounds_differ": 0.0, "size": 1,
        "rounds": list(rounds),
    }  # fmt: skip


def test_variant_result_has_the_fastest_and_median_times_of_each_process() -> None:
    read = VariantResult.from_json(
        result(
            {"samples_ms": [4.0, 2.0, 9.0], "kernel_ms": [0.5, 0.4, 0.9]},
            {"samples_ms": [3.0, 8.0], "kernel_ms": [0.7]},
        )
    )
    assert (read.fastest, read.medians, read.kernel) == ((2.0, 3.0), (4.0, 5.5), (0.5, 0.7))


def test_variant_result_has_kernel_times_only_if_all_processes_timed_the_reference_kernel() -> None:
    read = VariantResult.from_json(result({"samples_ms": [4.0], "kernel_ms": [0.5]}, {"samples_ms": [3.0]}))
    assert (read.medians, read.kernel) == ((4.0, 3.0), ())
    assert (VariantResult.from_json(result()).fastest, VariantResult.from_json(result()).medians) == ((5.0,), ())
