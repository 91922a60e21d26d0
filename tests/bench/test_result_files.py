"""Tests of the times that are read from result files of `benchmark`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.benchmark import DEVICES_FORMAT, FORMAT
from poets_edge.bench.result_files import VariantResult, read_benchmark
from poets_edge.errors import RecordError


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


def test_variant_result_has_kernel_times_only_if_every_process_measured_them() -> None:
    read = VariantResult.from_json(result({"samples_ms": [4.0], "kernel_ms": [0.5]}, {"samples_ms": [3.0]}))
    assert (read.medians, read.kernel) == ((4.0, 3.0), ())
    assert (VariantResult.from_json(result()).fastest, VariantResult.from_json(result()).medians) == ((5.0,), ())


MACHINE = {
    "board": None, "cpu": "x", "architecture": "aarch64", "cores": 4, "governor": None, "max_frequency_mhz": 1000.0,
    "memory_mb": 1000, "system": "s", "python": "3", "interpreter": "litert", "interpreter_version": "2",
    "emulated": False,
}  # fmt: skip


def device(host: str | None = None, *results: Any) -> dict[str, Any]:
    named = {} if host is None else {"host": host}
    return {"format": FORMAT, "warnings": ["hot"], "machine": MACHINE, "results": list(results), **named}


def test_variant_result_from_json_has_defaults_for_missing_fields() -> None:
    read = VariantResult.from_json(result())
    assert (read.sha256, read.architecture, read.quantization, read.accuracy, read.timings) == ("", "", "", None, ())
    known = {"sha256": "ab", "architecture": "net", "quantization": "none", "accuracy": {"accuracy": 0.5}}
    read = VariantResult.from_json({**result(), **known})
    assert (read.sha256, read.architecture, read.quantization, read.accuracy) == ("ab", "net", "float32", 0.5)
    assert VariantResult.from_json({**result(), "quantization": "int8"}).quantization == "int8"


def test_result_files_of_one_device_and_of_several_devices_are_read(tmp_path: Path) -> None:
    file = tmp_path / "r.json"

    def read(value: Any) -> list[tuple[str, tuple[str, ...], int]]:
        file.write_text(json.dumps(value))
        return [(found.host, found.warnings, len(found.results)) for found in read_benchmark(file)]

    assert read(device(None, result())) == [("", ("hot",), 1)]
    several = {"format": DEVICES_FORMAT, "devices": [device("p"), device("q", result(), result())]}
    assert read(several) == [("p", ("hot",), 0), ("q", ("hot",), 2)]
    for invalid, problem in (
        ({**several, "devices": [device("p"), device()]}, "host is missing"),
        ({**several, "devices": []}, "devices is missing"),
        ({**several, "devices": 3}, "devices is missing"),
        ({**device(), "format": "other"}, "format is not"),
        ([], "not written by poets-edge benchmark --output"),
    ):
        with pytest.raises(RecordError, match=problem):
            read(invalid)
    with pytest.raises(RecordError, match=r"none\.json: No such file"):
        read_benchmark(tmp_path / "none.json")
