"""`compare`: results of `benchmark --output` side by side, with ratios: several devices, or several versions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.bench.benchmark import DEVICES_FORMAT, FORMAT
from poets_edge.bench.machine import machine_name
from poets_edge.bench.ratios import TimeRatio, compare_times
from poets_edge.core.files import distinct_names, read_bytes
from poets_edge.core.json_checks import benchmark_results, parse_json
from poets_edge.errors import RecordError, UsageError


@dataclass(frozen=True)
class Cell:
    """One variant in one file.

    Attributes:
        median: milliseconds.
        ratio: its time over that in the first file, with an interval; None where that has not measured it.
        accuracy: 0 to 1, or None.
    """

    median: float
    ratio: TimeRatio | None
    size: int
    accuracy: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "median": self.median,
            "ratio": self.ratio.to_json() if self.ratio else None,
            "size": self.size,
            "accuracy": self.accuracy,
        }


@dataclass(frozen=True)
class Row:
    """One variant; a cell for each file, None where the file has not measured it."""

    model: str
    threads: int
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Files by name, with their machines and warnings, and the variants that any of them has measured."""

    names: tuple[str, ...]
    machines: tuple[str, ...]
    warnings: tuple[tuple[str, ...], ...]
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "files": [
                {"name": name, "machine": machine, "warnings": list(warnings)}
                for name, machine, warnings in zip(self.names, self.machines, self.warnings, strict=True)
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
    """Put results side by side; the first is what the others are compared with.

    Raises:
        UsageError: fewer than two files.
        RecordError: a file is not what `benchmark --output` writes.
    """
    titles = [name.removesuffix(".json") for name in distinct_names(files)]
    named = [
        (found["host"] if len(devices) > 1 else title, found)
        for title, devices in zip(titles, map(read_benchmark, files), strict=True)
        for found in devices
    ]
    read = [found for _, found in named]
    if len(read) < 2:
        raise UsageError(
            "compare needs two files or more, each written by: poets-edge benchmark MODEL... --output FILE"
        )
    keyed = [_by_variant(results) for results in read]
    variants = list(dict.fromkeys(variant for results in keyed for variant in results))
    return Comparison(
        tuple(title for title, _ in named),
        tuple(
            f"{machine_name(results['machine'])}, {results['machine']['interpreter']}"
            f" {results['machine']['interpreter_version']}"
            for results in read
        ),
        tuple(tuple(results["warnings"]) for results in read),
        tuple(
            Row(*variant, tuple(_cell(results.get(variant), keyed[0].get(variant)) for results in keyed))
            for variant in variants
        ),
    )


def read_benchmark(file: Path) -> list[dict[str, Any]]:
    """Read what `benchmark` wrote about one device or several. Raises ModelError."""
    try:
        results = parse_json(read_bytes(file))
        several = isinstance(results, dict) and results.get("format") == DEVICES_FORMAT
        devices = results.get("devices") if several else [results]
        if not isinstance(devices, list) or not devices:
            raise RecordError("devices is missing")
        read = [benchmark_results(device) for device in devices]
        if any(device["format"] != FORMAT for device in read) or (several and not all(map(_has_host, read))):
            raise RecordError(f"format is not {FORMAT}, or host is missing")
    except OSError as error:
        raise RecordError(f"{file}: {error.strerror or error}.") from None
    except RecordError as error:
        raise RecordError(f"{file}: not written by poets-edge benchmark --output ({error}).") from None
    return read


def _has_host(device: dict[str, Any]) -> bool:
    return isinstance(device.get("host"), str)


def _by_variant(results: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    """(model, threads) -> entry. Files that say what they are are matched by that, others by their names."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for entry in results["results"]:
        # Version 0.1 wrote "none" for float32.
        quantization = "float32" if entry.get("quantization") == "none" else entry.get("quantization")
        known = entry.get("architecture") and quantization
        name = f"{entry['architecture']} {quantization}" if known else entry["name"]
        if (name, entry["threads"]) in found:
            name = f"{name} ({entry['name']})"
        again = (f"{name} #{number}" for number in itertools.count(2))
        while (name, entry["threads"]) in found:
            name = next(again)
        found[name, entry["threads"]] = entry
    return found


def _cell(entry: dict[str, Any] | None, first: dict[str, Any] | None) -> Cell | None:
    if entry is None:
        return None
    ratio = compare_times(_fastest(entry), _fastest(first)) if first else None
    accuracy = (entry.get("accuracy") or {}).get("accuracy")
    return Cell(entry["latency_ms"]["median"], ratio, entry["size"], accuracy)


def _fastest(entry: dict[str, Any]) -> list[float]:
    """The fastest inference of each process that measured a variant; without raw samples all there is, as if of one."""
    try:
        times = [min(process["samples_ms"]) for process in entry["rounds"]]
    except (KeyError, TypeError, ValueError):
        times = []
    return times or [entry["latency_ms"]["median"]]
