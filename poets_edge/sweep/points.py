"""Results of `grid` for one architecture at one quantization each (grid points), and their Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.bench.ratios import compare_times
from poets_edge.bench.samples import Distribution
from poets_edge.core.wording import percent
from poets_edge.device.metrics import independent_count, wilson_interval
from poets_edge.device.paired import Paired, compare_paired
from poets_edge.device.unknown import Refused
from poets_edge.exporting.microcontroller.boards import BOARDS
from poets_edge.exporting.microcontroller.fitting import MicroCost
from poets_edge.nets.architecture import Architecture
from poets_edge.quantize.convert import Quantization

_IMAGENET_CLASSES = 1001
_MAX_RATIO_OF_EQUALS = 1.25
"""Maximum ratio of two latencies that are considered equal. The ratio between adjacent network sizes is about 1.4."""


@dataclass(frozen=True, kw_only=True)
class GridPoint:
    """Accuracy and latency of one architecture at one quantization.

    Attributes:
        quantization: "float32" or "int8".
        model: exported `.tflite` file.
        size: file size, bytes.
        classes: number of classes.
        correct: number of correct predictions for each photo; the photos are in the same order for all grid points.
        repeats: number of predictions per photo; more than 1 after repeated cross-validation.
        groups: group number of each photo; the confidence interval and comparisons take into account that photos in a
            group are not independent. None if all photos are independent.
        agreement: fraction of predictions equal to those of the float32 model; None if not known.
        latency: distribution of the latency of one inference, milliseconds.
        photos_per_second: end-to-end throughput, from photo file to scores; None if it was not measured.
        process_medians: median latency in each process that measured the model, milliseconds; latencies measured in one
            process are not independent.
        cross_validated: number of correct out-of-fold predictions for each training and validation photo, used to
            choose between points that the user's own test set cannot tell apart. Empty if the user provides no test
            set.
        cross_validated_repeats: number of out-of-fold predictions per photo.
        cross_validated_groups: group number of each photo in `cross_validated`; None if all are independent.
        unknown: number of test photos that are classified as unknown, and total number of test photos; None if not
            evaluated.
        strangers: number of photos outside all classes that are classified as unknown, and total number of photos
            outside all classes; None if not evaluated.
        cost: memory that the full-int8 model needs on a microcontroller; None for float32, or if it was not measured.
    """

    architecture: Architecture
    quantization: Quantization
    model: Path
    size: int
    classes: int
    correct: tuple[int, ...]
    repeats: int
    groups: tuple[int, ...] | None = None
    agreement: float | None
    latency: Distribution
    photos_per_second: float | None
    process_medians: tuple[float, ...]
    cross_validated: tuple[int, ...] = ()
    cross_validated_repeats: int = 1
    cross_validated_groups: tuple[int, ...] | None = None
    unknown: Refused | None = None
    strangers: Refused | None = None
    cost: MicroCost | None = None

    @property
    def name(self) -> str:
        """Architecture and quantization of the model as text, for example `mobilenet_0.50_160 int8`."""
        return f"{self.architecture.name} {self.quantization}"

    @property
    def photos(self) -> int:
        """Number of evaluated photos."""
        return len(self.correct)

    @cached_property
    def accuracy(self) -> float:
        """Top-1 accuracy on photos that were not used for training, 0 to 1."""
        return sum(self.correct) / (self.photos * self.repeats)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson score interval of the accuracy, 0 to 1; it is wider if photos are grouped."""
        count = float(self.photos)
        if self.groups is not None:
            count = independent_count(np.array(self.correct) / self.repeats, np.array(self.groups))
        return wilson_interval(self.accuracy * count, count)

    def compare(self, other: GridPoint) -> Paired:
        """Return the paired comparison of this model's predictions with those of a reference model, `other`."""
        groups = None if self.groups is None else np.array(self.groups)
        return compare_paired(np.array(self.correct), np.array(other.correct), self.repeats, groups)

    def compare_cross_validated(self, other: GridPoint) -> Paired:
        """Return the paired comparison of the out-of-fold predictions of this model with those of `other`."""
        return compare_paired(
            np.array(self.cross_validated, np.int64),
            np.array(other.cross_validated, np.int64),
            self.cross_validated_repeats,
            None if self.cross_validated_groups is None else np.array(self.cross_validated_groups),
        )

    def is_as_fast_as(self, other: GridPoint) -> bool:
        """Return whether the latencies of two models differ by at most 25 %, and the difference is not significant.

        If the latencies were measured in a single process, or in only a few processes whose times vary widely, no
        difference is statistically significant, and only the ratio of the latencies is decisive.
        """
        ratio = compare_times(self.process_medians, other.process_medians)
        return ratio.could_be_equal and 1 / _MAX_RATIO_OF_EQUALS <= ratio.ratio <= _MAX_RATIO_OF_EQUALS

    @property
    def mmacs(self) -> float:
        """Number of multiply-accumulates per inference of the ImageNet model, in millions.

        The retrained model has up to 1 % fewer.
        """
        return self.architecture.mmacs

    @property
    def mparams(self) -> float:
        """Number of parameters, in millions, of the model with its retrained last layer."""
        inputs = self.architecture.bottleneck_size + 1
        return self.architecture.mparams - inputs * (_IMAGENET_CLASSES - self.classes) / 1e6

    @property
    def published_top1(self) -> float | None:
        """Published ImageNet top-1 accuracy of the architecture at this quantization, percent.

        It is None if no accuracy was published.
        """
        published = self.architecture.published
        if published is None:
            return None
        return published.top1 if self.quantization == "float32" else published.quantized_top1

    @property
    def published_ms(self) -> float | None:
        """Published latency at this quantization on a Pixel 3 with 4 threads, milliseconds.

        It is None if no latency was published.
        """
        published = self.architecture.published
        if published is None:
            return None
        return published.pixel3_ms if self.quantization == "float32" else published.quantized_pixel3_ms

    def to_json(self) -> dict[str, Any]:
        """Return the model and its measurements as a JSON-compatible dictionary."""
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
            "judgments": self.repeats,
            "right": list(self.correct),
            "cross_validated_right": list(self.cross_validated),
            "agreement_with_float": self.agreement,
            "unknown": self.unknown.to_json() if self.unknown else None,
            "strangers": self.strangers.to_json() if self.strangers else None,
            "published_imagenet_top1": self.published_top1,
            "published_pixel3_ms": self.published_ms,
            **(_cost_json(self.cost) if self.cost else {}),
        }


def _cost_json(cost: MicroCost) -> dict[str, Any]:
    """Return the memory that a model needs on a microcontroller, and the boards it fits, as JSON-compatible values."""
    return {
        "arena": cost.arena,
        "full_int8_size": cost.size,
        "boards": fitting_boards(cost),
        "gray_arena": cost.gray_arena,
        "gray_boards": fitting_boards(cost, gray=True),
    }


def fitting_boards(cost: MicroCost, *, gray: bool = False) -> list[str]:
    """Return the names of the boards with enough memory and flash for a model.

    Args:
        gray: whether the input of the model is grayscale.
    """
    return [board.name for board in BOARDS if cost.fits(board, gray=gray)]


def published_texts(point: GridPoint) -> tuple[str, str]:
    """Format the published top-1 accuracy and latency of a model for a table; dashes for unpublished values."""
    top1, latency = point.published_top1, point.published_ms
    return percent(None if top1 is None else top1 / 100), "-" if latency is None else f"{latency:g}"


def unknown_texts(point: GridPoint) -> tuple[str, str]:
    """Format the percentages of photos that a model classifies as unknown, for a table.

    The first string is the percentage of the test photos, the second that of the photos that belong to no class. If a
    percentage was not measured, the string is a dash.
    """
    unknown, strangers = (percent(one.share if one else None) for one in (point.unknown, point.strangers))
    return unknown, strangers


def pareto_front(points: Sequence[GridPoint]) -> list[GridPoint]:
    """Return the models, fastest first, for which no other model is both at least as accurate and at least as fast."""
    front: list[GridPoint] = []
    for point in sorted(points, key=lambda point: (point.latency.median, -point.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front
