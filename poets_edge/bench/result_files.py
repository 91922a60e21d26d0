"""Read the result files that `benchmark --output`, the Android app and the web page write."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.bench.accuracy import EvaluatedPhotos
from poets_edge.bench.benchmark import DEVICES_FORMAT, FORMAT
from poets_edge.bench.timing import POSITIVE, Timing
from poets_edge.core.files import read_bytes
from poets_edge.core.json_checks import COUNT, SHARE, Optional, check, parse_json
from poets_edge.errors import RecordError

_MACHINE = {
    "interpreter": str,
    "interpreter_version": str,
    "board": Optional(str),
    "cpu": Optional(str),
    "architecture": Optional(str),
    "cores": Optional(int),
    "host": Optional(str),
}
_RESULT = {
    "name": str,
    "threads": int,
    "latency_ms": {"median": POSITIVE},
    "rounds_differ": float,
    "size": COUNT,
    "sha256": Optional(str),
    "architecture": Optional(str),
    "quantization": Optional(str),
    "accuracy": Optional({"accuracy": Optional(SHARE), "learned": Optional(COUNT)}),
    "rounds": Optional([{"samples_ms": Optional([POSITIVE]), "kernel_ms": Optional([POSITIVE])}]),
}
_PHOTOS = {"image_dir": str, "set": str, "photos": [str]}
_DEVICE = {
    "format": str,
    "warnings": [str],
    "machine": _MACHINE,
    "results": [_RESULT],
    "host": Optional(str),
    "evaluated": Optional(_PHOTOS),
}


@dataclass(frozen=True, kw_only=True)
class VariantResult:
    """Results of one variant (model and number of threads) in a result file.

    Attributes:
        name: name of the model.
        threads: number of CPU threads.
        size: file size of the model in bytes.
        sha256, architecture, quantization: description of the model; "" for a value that the result file lacks.
        median: median inference time in milliseconds.
        fastest: time of the fastest inference in each process, in milliseconds; only `median` if the result file has
            no samples.
        medians: median time of an inference in each process, in milliseconds; empty if the result file has no samples.
        kernel: median time of a call of the reference kernel in each process, in milliseconds; empty unless it was
            timed in all processes.
        accuracy: accuracy, 0 to 1; None if it was not measured.
        timings: timings of the rounds; empty if the result file lacks any of their fields.
        learned: number of evaluated photos that the model has learned from; None if the result file lacks it.
    """

    name: str
    threads: int
    size: int
    sha256: str
    architecture: str
    quantization: str
    median: float
    fastest: tuple[float, ...]
    medians: tuple[float, ...]
    kernel: tuple[float, ...]
    accuracy: float | None
    timings: tuple[Timing, ...]
    learned: int | None = None

    @classmethod
    def from_json(cls, value: Any) -> VariantResult:
        """Return the results from an element of the list `results` in a file. Raises RecordError if it is invalid."""
        found = check(value, _RESULT)
        median, samples = found["latency_ms"]["median"], _rounds(found, "samples_ms")
        quantization = found.get("quantization") or ""
        return cls(
            name=found["name"],
            threads=found["threads"],
            size=found["size"],
            sha256=found.get("sha256") or "",
            architecture=found.get("architecture") or "",
            quantization="float32" if quantization == "none" else quantization,  # version 0.1
            median=median,
            fastest=tuple(map(min, samples)) or (median,),
            medians=tuple(map(statistics.median, samples)),
            kernel=tuple(map(statistics.median, _rounds(found, "kernel_ms"))),
            accuracy=(found.get("accuracy") or {}).get("accuracy"),
            timings=_timings(found.get("rounds") or ()),
            learned=(found.get("accuracy") or {}).get("learned"),
        )


@dataclass(frozen=True, kw_only=True)
class DeviceResults:
    """Results of one device in a result file.

    Attributes:
        machine: description of the device; see `machine_facts`.
        host: SSH destination of the device; "" if the file lacks it.
        warnings: warnings about the measurement.
        results: one result per model and number of threads.
        photos: photos on which the accuracy was measured; None if the file does not name them.
    """

    machine: dict[str, Any]
    host: str
    warnings: tuple[str, ...]
    results: tuple[VariantResult, ...]
    photos: EvaluatedPhotos | None = None

    @classmethod
    def from_json(cls, value: Any) -> DeviceResults:
        """Return the results of one device from JSON values. Raises RecordError if they are invalid."""
        found = check(value, _DEVICE)
        if found["format"] != FORMAT:
            raise RecordError(f"format is not {FORMAT}")
        return cls(
            machine=found["machine"],
            host=found.get("host") or "",
            warnings=tuple(found["warnings"]),
            results=tuple(map(VariantResult.from_json, found["results"])),
            photos=EvaluatedPhotos.from_json(found["evaluated"]) if found.get("evaluated") else None,
        )


def read_benchmark(file: Path) -> list[DeviceResults]:
    """Return the results of each device in a result file. Raises RecordError if the file is missing or invalid."""
    try:
        value = parse_json(read_bytes(file))
        several = isinstance(value, dict) and value.get("format") == DEVICES_FORMAT
        devices = value.get("devices") if several else [value]
        if not isinstance(devices, list) or not devices:
            raise RecordError("devices is missing")
        read = list(map(DeviceResults.from_json, devices))
        if several and not all(device.host for device in read):
            raise RecordError("host is missing")
    except OSError as error:
        raise RecordError(f"{file}: {error.strerror or error}.") from None
    except RecordError as error:
        raise RecordError(f"{file}: not written by poets-edge benchmark --output ({error}).") from None
    return read


def _rounds(result: Any, name: str) -> list[list[float]]:
    """Return the times stored under the key `name`, as one list for each round; [] if any round has no times."""
    samples = [entry.get(name) for entry in result.get("rounds") or ()]
    return samples if all(samples) else []


def _timings(rounds: Any) -> tuple[Timing, ...]:
    """Return the timings from the JSON values of all rounds; an empty tuple if any round is incomplete."""
    try:
        return tuple(map(Timing.from_json, rounds))
    except RecordError:
        return ()
