"""Metrics of a classifier: accuracy with its interval, cross entropy, recall of each class, confusion matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_Z95 = 1.959963984540054
"""Quantile of the normal distribution for two-sided 95 % intervals."""

_MIN_PROBABILITY = 1e-7
"""Lower limit of scores in the cross entropy, which a score of 0 (from a quantized model) would make infinite."""


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of a classifier on photos of known class.

    Attributes:
        labels: class names, in the order of the rows and columns of `confusion`.
        confusion: confusion matrix, int64 [classes, classes]; row = true class, column = predicted class.
        cross_entropy: mean of -ln(score of the true class), in nats.
    """

    labels: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    cross_entropy: float

    @property
    def count(self) -> int:
        """Number of photos."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Number of correctly classified photos."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0 to 1; nan without photos."""
        return self.correct / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy."""
        return wilson_interval(self.correct, self.count)

    def recall(self, label: str) -> float:
        """Return the fraction of a class's photos that were classified correctly; nan without photos."""
        index = self.labels.index(label)
        total = int(self.confusion[index].sum())
        return int(self.confusion[index, index]) / total if total else math.nan

    def to_json(self) -> dict[str, Any]:
        """Return the metrics for JSON; values that are undefined without photos are null."""
        low, high = self.interval
        return {
            "photos": self.count,
            "correct": self.correct,
            "accuracy": _or_none(self.accuracy),
            "interval95": [_or_none(low), _or_none(high)],
            "cross_entropy": _or_none(self.cross_entropy),
            "recall": {label: _or_none(self.recall(label)) for label in self.labels},
            "confusion": self.confusion.tolist(),
        }


def wilson_interval(correct: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion: Wilson's score interval (1927) without continuity correction.

    Unlike p ± 1.96 s, it lies within 0 to 1 and is not empty at 100 %.
    """
    if count == 0:
        return math.nan, math.nan
    p = correct / count
    centre = (p + _Z95**2 / (2 * count)) / (1 + _Z95**2 / count)
    half = _Z95 / (1 + _Z95**2 / count) * math.sqrt(p * (1 - p) / count + _Z95**2 / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def evaluate_scores(
    labels: tuple[str, ...], scores: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]
) -> Evaluation:
    """Compute the metrics of a classifier from its scores and the true classes.

    Args:
        scores: float32 [photos, classes]; each row adds up to about 1.
        truth: int64 [photos], indices into `labels`.
    """
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    if len(truth) == 0:
        return Evaluation(labels, confusion, math.nan)
    np.add.at(confusion, (truth, scores.argmax(axis=1)), 1)
    of_truth = np.maximum(scores[np.arange(len(truth)), truth], _MIN_PROBABILITY)
    return Evaluation(labels, confusion, float(-np.log(of_truth.astype(np.float64)).mean()))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
