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
        independent: number of independent photos whose accuracy is as uncertain, if photos belong together in groups;
            None for `count`.
    """

    labels: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    cross_entropy: float
    independent: float | None = None

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
        if self.independent is None or not self.count:
            return wilson_interval(self.correct, self.count)
        return wilson_interval(self.accuracy * self.independent, self.independent)

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


_ALMOST_ALL = 0.9
"""Minimum ratio of groups to photos for which photos count as independent: a few pairs do not widen an interval."""


def independent_count(correct: npt.NDArray[Any], groups: npt.NDArray[np.int64]) -> float:
    """Return the number of independent photos whose accuracy is as uncertain as that of photos in groups.

    Photos of one group are often all correct or all wrong, so groups are what is counted: the variance of the accuracy
    is that of a ratio estimator over groups (Cochran, Sampling Techniques, 1977, section 3.12), and few groups widen
    the interval as Student's distribution does. The result is at most the number of photos, and equal to it with few
    photos in groups.

    Args:
        correct: number or fraction of correct predictions of each photo, [photos].
        groups: number of each photo's group, [photos].
    """
    _, number = np.unique(groups, return_inverse=True)
    number = number.reshape(-1)
    photos, count = len(correct), int(number.max(initial=-1)) + 1
    if count >= _ALMOST_ALL * photos:
        return float(photos)
    values = correct.astype(np.float64)
    accuracy = float(values.mean())
    sums = np.bincount(number, weights=values - accuracy)
    variance = count / max(1, count - 1) * float((sums**2).sum()) / photos**2
    if variance == 0:
        return float(count)
    # Degrees of freedom after Satterthwaite: few groups may hold most of the variance.
    degrees = min(count - 1, int((sums**2).sum() ** 2 / (sums**4).sum()))
    independent = accuracy * (1 - accuracy) / variance * (_Z95 / _student95(degrees)) ** 2
    return float(min(photos, max(1.0, independent)))


def _student95(degrees: int) -> float:
    """Return the quantile of Student's distribution for two-sided 95 % intervals (Abramowitz and Stegun, 26.7.5)."""
    if degrees < 3:
        return (12.706, 12.706, 4.303)[max(0, degrees)]
    z = _Z95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / float(degrees) ** 3


def wilson_interval(correct: float, count: float) -> tuple[float, float]:
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
