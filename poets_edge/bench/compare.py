"""The command `compare`, which compares the result files of `benchmark --output` in a table with latency ratios."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.bench.accuracy import EvaluatedPhotos
from poets_edge.bench.machine import machine_name
from poets_edge.bench.ratios import TimeRatio
from poets_edge.bench.result_files import DeviceResults, VariantResult, read_benchmark
from poets_edge.bench.run_variation import RELATIVE_VARIATION, compare_runs, kernel_ratio, relative_times
from poets_edge.core.files import distinct_names
from poets_edge.errors import UsageError

_HARDWARE = ("board", "cpu", "architecture", "cores", "governor", "max_frequency_mhz", "memory_mb", "python")
"""Keys of a machine's description whose values are the same in every run on that machine."""


@dataclass(frozen=True)
class Cell:
    """Results of one variant (model and number of threads) on one device.

    Attributes:
        median: median latency in milliseconds.
        ratio: latency relative to the first device, with a confidence interval; None if the first device has no
            results for the variant.
        kernel: running time of a fixed computation (see `poets_edge.bench.reference_kernel`) relative to the first
            device; `ratio` has been divided by it. None if the computation was not timed, if the machines differ in
            hardware, or if its running times differ by more than a factor of 1.6.
        size: file size of the model in bytes.
        accuracy: accuracy, 0 to 1; None if it was not measured.
        learned: number of evaluated photos that the model was trained or validated on; None if it is not known.
    """

    median: float
    ratio: TimeRatio | None
    kernel: float | None
    size: int
    accuracy: float | None
    learned: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "median": self.median,
            "ratio": self.ratio.to_json() if self.ratio else None,
            "kernel": self.kernel,
            "size": self.size,
            "accuracy": self.accuracy,
            "learned": self.learned,
        }


@dataclass(frozen=True)
class Row:
    """Results of one variant (model and number of threads) on all devices.

    Attributes:
        model: name of the model.
        threads: number of CPU threads.
        cells: results on each device; None for a device without results for the variant.
    """

    model: str
    threads: int
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Comparison of the results from several devices or files.

    Attributes:
        names: name of each result: the file name, or the host if the file contains several devices.
        machines: descriptions of the measured machines, in the order of `names`.
        warnings: warnings about the measurements of all results, in the order of `names`.
        rows: one row per variant (model and number of threads).
        photos: photos on which the accuracies of each result were measured, in the order of `names`; None for a result
            that does not name them.
    """

    names: tuple[str, ...]
    machines: tuple[str, ...]
    warnings: tuple[tuple[str, ...], ...]
    rows: tuple[Row, ...]
    photos: tuple[EvaluatedPhotos | None, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "files": [
                {
                    "name": name,
                    "machine": machine,
                    "warnings": list(warnings),
                    "photos": str(photos) if photos else None,
                }
                for name, machine, warnings, photos in zip(
                    self.names, self.machines, self.warnings, self.photos, strict=True
                )
            ],
            "rows": [
                {
                    "model": row.model,
                    "threads": row.threads,
                    "cells": [None if cell is None else cell.to_json() for cell in row.cells],
                }
                for row in self.rows
            ],
        }


def compare(files: Sequence[Path]) -> Comparison:
    """Compare the results in files that `benchmark --output` wrote. The first result is the reference.

    Raises:
        UsageError: the files contain the results of fewer than two devices.
        RecordError: a file was not written by `benchmark --output`.
    """
    titles = [name.removesuffix(".json") for name in distinct_names(files)]
    named = [
        (device.host if len(devices) > 1 else title, device)
        for title, devices in zip(titles, map(read_benchmark, files), strict=True)
        for device in devices
    ]
    read = [device for _, device in named]
    if len(read) < 2:
        raise UsageError(
            "compare needs two files or more, each written by: poets-edge benchmark MODEL... --output FILE"
        )
    keyed = [_by_variant(device) for device in read]
    variants = list(dict.fromkeys(variant for results in keyed for variant in results))
    return Comparison(
        tuple(title for title, _ in named),
        tuple(
            f"{machine_name(device.machine)}, {device.machine['interpreter']} {device.machine['interpreter_version']}"
            for device in read
        ),
        tuple(device.warnings for device in read),
        tuple(
            Row(
                *variant,
                tuple(
                    _cell(results.get(variant), keyed[0].get(variant), is_same_machine=_are_equal(device, read[0]))
                    for device, results in zip(read, keyed, strict=True)
                ),
            )
            for variant in variants
        ),
        tuple(device.photos for device in read),
    )


def _by_variant(device: DeviceResults) -> dict[tuple[str, int], VariantResult]:
    """Return the results from a device as a dictionary, keyed by model name and number of threads.

    The name of a model consists of its architecture and quantization if the results contain them; otherwise it is the
    file name. If two models have the same name, the file name or a number is appended to the second name.
    """
    found: dict[tuple[str, int], VariantResult] = {}
    for result in device.results:
        known = result.architecture and result.quantization
        name = f"{result.architecture} {result.quantization}" if known else result.name
        if (name, result.threads) in found:
            name = f"{name} ({result.name})"
        again = (f"{name} #{number}" for number in itertools.count(2))
        while (name, result.threads) in found:
            name = next(again)
        found[name, result.threads] = result
    return found


def _are_equal(device: DeviceResults, other: DeviceResults) -> bool:
    """Return whether two results are from the same machine or from machines with identical hardware."""
    facts = [[one.host, *map(one.machine.get, _HARDWARE)] for one in (device, other)]
    return facts[0] == facts[1]


def _cell(result: VariantResult | None, first: VariantResult | None, *, is_same_machine: bool) -> Cell | None:
    if result is None:
        return None
    ratio = kernel = None
    if first is not None:
        kernel = kernel_ratio(result.kernel, first.kernel) if is_same_machine else None
        if kernel is None:
            ratio = compare_runs(result.fastest, first.fastest)
        else:
            times, reference = (relative_times(one.medians, one.kernel) for one in (result, first))
            ratio = compare_runs(times, reference, RELATIVE_VARIATION)
    return Cell(result.median, ratio, kernel, result.size, result.accuracy, result.learned)
