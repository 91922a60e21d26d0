"""The points of a grid: what is known of each, which are worth having, and what a point may cost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.bench.ratios import compare_times
from poets_edge.bench.samples import Distribution
from poets_edge.device.metrics import wilson_interval
from poets_edge.device.paired import Paired, compare_paired
from poets_edge.errors import UsageError
from poets_edge.nets.architectures import Architecture

_IMAGENET_CLASSES = 1001
_NEAR = 1.25
"""Ratio of times; between neighbours of the grid it is about 1.4."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One architecture at one quantization.

    Attributes:
        quantization: "float32" or "int8".
        model: the exported file.
        size: its bytes.
        classes: labels it tells apart.
        right: how often each photo was answered right, in the same order of photos for all points of a grid.
        judgments: of each photo; several where it was cross-validated.
        agreement: share of the answers that are the float file's too.
        latency: milliseconds of one inference on this device.
        photos_per_second: from file to scores; None where the device has not timed that.
        process_medians: milliseconds, the median of each process that timed it; runs within one are not independent.
    """

    architecture: Architecture
    quantization: str
    model: Path
    size: int
    classes: int
    right: tuple[int, ...]
    judgments: int
    agreement: float
    latency: Distribution
    photos_per_second: float | None
    process_medians: tuple[float, ...]

    @property
    def name(self) -> str:
        return f"{self.architecture.name} {self.quantization}"

    @property
    def photos(self) -> int:
        """How many judged it."""
        return len(self.right)

    @cached_property
    def accuracy(self) -> float:
        """On photos it has not learned from, 0 to 1."""
        return sum(self.right) / (self.photos * self.judgments)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy."""
        return wilson_interval(self.accuracy * self.photos, self.photos)

    def beside(self, other: Point) -> Paired:
        """This point's answers beside another's, on the same photos."""
        return compare_paired(np.array(self.right), np.array(other.right), self.judgments)

    def as_fast_as(self, other: Point) -> bool:
        """Whether the measurement cannot tell their times apart, and they lie near each other.

        One process, or a few that were disturbed, cannot tell anything apart; then what they say still counts.
        """
        ratio = compare_times(self.process_medians, other.process_medians)
        return ratio.could_be_equal and 1 / _NEAR <= ratio.ratio <= _NEAR

    @property
    def mmacs(self) -> float:
        """Million multiply-accumulates, as published; the new last layer has fewer, by less than 1 %."""
        return self.architecture.published.mmacs

    @property
    def mparams(self) -> float:
        """Million parameters, with the new last layer in place of ImageNet's."""
        inputs = self.architecture.bottleneck_size + 1
        return self.architecture.published.mparams - inputs * (_IMAGENET_CLASSES - self.classes) / 1e6

    @property
    def published_top1(self) -> float:
        """ImageNet accuracy at this quantization, percent."""
        published = self.architecture.published
        return published.top1 if self.quantization == "float32" else published.quantized_top1

    @property
    def published_ms(self) -> float:
        """Latency at this quantization on a Pixel 3 with 4 threads, milliseconds."""
        published = self.architecture.published
        return published.pixel3_ms if self.quantization == "float32" else published.quantized_pixel3_ms

    def to_json(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture.name,
            "quantization": self.quantization,
            "model": str(self.model),
            "mmacs": self.mmacs,
            "mparams": self.mparams,
            "size": self.size,
            "latency_ms": self.latency.to_json(),
            "photos_per_second": self.photos_per_second,
            "accuracy": self.accuracy,
            "interval95": list(self.interval),
            "photos": self.photos,
            "judgments": self.judgments,
            "right": list(self.right),
            "agreement_with_float": self.agreement,
            "published_imagenet_top1": self.published_top1,
            "published_pixel3_ms": self.published_ms,
        }


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in accuracy and latency at once, the fastest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.latency.median, -point.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


@dataclass(frozen=True)
class Budget:
    """The most a point may cost and the least it must reach; None for no limit.

    Attributes:
        latency: milliseconds, of the median.
        size: bytes.
        accuracy: 0 to 1.
    """

    latency: float | None = None
    size: float | None = None
    accuracy: float | None = None

    def excess(self, point: Point) -> dict[str, float]:
        """For each limit that a point breaks, by what share of the limit."""
        found = {}
        if self.latency is not None and point.latency.median > self.latency:
            found["latency"] = point.latency.median / self.latency - 1
        if self.size is not None and point.size > self.size:
            found["size"] = point.size / self.size - 1
        if self.accuracy is not None and point.accuracy < self.accuracy:
            found["accuracy"] = 1 - point.accuracy / self.accuracy
        return found

    def __str__(self) -> str:
        parts = []
        if self.latency is not None:
            parts.append(f"at most {self.latency:g} ms")
        if self.size is not None:
            parts.append(f"at most {self.size / 1e6:g} MB")
        if self.accuracy is not None:
            parts.append(f"at least {100 * self.accuracy:g} % accuracy")
        return ", ".join(parts) or "no limits"


_LATENCY_UNITS = {"": 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
_SIZE_UNITS = {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1024.0, "mib": 1024.0**2}
_SMALLEST_PLAIN_SIZE = 10_000
"""Bytes. A smaller number without a unit is meant as megabytes, or kilobytes: no model is that small."""
_SHARE_UNITS = {"": 1.0, "%": 0.01}


def parse_budget(latency: str | None, size: str | None, accuracy: str | None) -> Budget:
    """`20ms`, `1MB` and `0.9` or `90%` as a budget. Raises UsageError."""
    share = _quantity("min_accuracy", accuracy, _SHARE_UNITS, "0.9 or 90%")
    if share is not None and share > 1:
        raise UsageError(f"`min_accuracy` {accuracy}: more than 100 %. Write 0.9 or 90%.")
    if size is not None and size.strip().isdecimal() and int(size) < _SMALLEST_PLAIN_SIZE:
        raise UsageError(f"`max_size` {size}: that is {size} bytes. Write {size}MB or {size}kB.")
    return Budget(
        _quantity("max_latency", latency, _LATENCY_UNITS, "20ms"),
        _quantity("max_size", size, _SIZE_UNITS, "1MB"),
        share,
    )


def _quantity(name: str, text: str | None, units: dict[str, float], example: str) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-zµ%]*)", text.strip().lower())
    if not match or match[2] not in units or float(match[1]) <= 0:
        raise UsageError(f"`{name}` {text}: not understood. Write {example}.")
    return float(match[1]) * units[match[2]]
