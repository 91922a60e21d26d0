"""Metrics of a classifier: accuracy with its confidence interval, cross entropy, recall per class, confusion matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_Z95 = 1.959963984540054
"""Quantile of the standard normal distribution for two-sided 95 % intervals."""

_MIN_PROBABILITY = 1e-7
"""Lower bound for scores in the cross entropy, which a score of 0 would make infinite."""


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of a classifier on photos whose classes are known.

    Attributes:
        labels: class names, in the order of the rows and columns of `confusion`.
        confusion: confusion matrix, int64 [classes, classes]; row = true class, column = predicted class.
        cross_entropy: mean of -ln(score of the true class), in nats.
        independent: effective sample size if the photos form groups: the number of independent photos whose accuracy
            would be equally uncertain; None if all photos are independent.
    """

    labels: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    cross_entropy: float
    independent: float | None = None

    @property
    def count(self) -> int:
        """Number of evaluated photos."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Number of correctly classified photos."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0 to 1; nan if there are no photos."""
        return self.correct / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson confidence interval for the accuracy, (low, high); (nan, nan) if there are no photos."""
        if self.independent is None or not self.count:
            return wilson_interval(self.correct, self.count)
        return wilson_interval(self.accuracy * self.independent, self.independent)

    def recall(self, label: str) -> float:
        """Return the fraction of a class's photos that were classified correctly; nan if the class has no photos."""
        index = self.labels.index(label)
        total = int(self.confusion[index].sum())
        return int(self.confusion[index, index]) / total if total else math.nan

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as JSON-compatible values; metrics that are undefined without photos are None."""
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
"""Minimum ratio of groups to photos at which all photos are regarded as independent, despite a few related pairs."""


_ROUNDING = 1e-20
"""Threshold below which the variance of an accuracy is regarded as 0, because it may be due to rounding errors."""


def independent_count(correct: npt.NDArray[Any], groups: npt.NDArray[np.int64]) -> float:
    """Return the effective sample size of photos that form groups, such as bursts.

    This is the number of independent photos whose accuracy would be equally uncertain. Photos of one group are often
    all correct or all wrong, so the variance of the accuracy is computed with a ratio estimator over groups (Cochran,
    Sampling Techniques, 1977, section 3.12). If there are few groups, the result is reduced according to Student's t
    distribution. It is at most the number of photos, and equal to it if there are almost as many groups as photos.

    Args:
        correct: fraction of correct predictions for each photo, 0 to 1, [photos].
        groups: group number of each photo, [photos].
    """
    _, number = np.unique(groups, return_inverse=True)
    number = number.reshape(-1)
    photos, count = len(correct), int(number.max(initial=-1)) + 1
    if count >= _ALMOST_ALL * photos:
        return float(photos)
    if count == 1:
        return 1.0
    values = correct.astype(np.float64)
    accuracy = float(values.mean())
    sums = np.bincount(number, weights=values - accuracy)
    variance = count / (count - 1) * float((sums**2).sum()) / photos**2
    if variance < _ROUNDING:
        return float(count)
    # Degrees of freedom after Satterthwaite: few groups may hold most of the variance.
    degrees = min(count - 1, int((sums**2).sum() ** 2 / (sums**4).sum()))
    independent = accuracy * (1 - accuracy) / variance * (_Z95 / _student95(degrees)) ** 2
    return float(min(photos, max(1.0, independent)))


def _student95(degrees: int) -> float:
    """Return the quantile of Student's t distribution for two-sided 95 % intervals, for 1 or more degrees of freedom.

    The result is at most 0.8 % too low, because the series of Abramowitz and Stegun (26.7.5) is truncated after its
    third term.
    """
    if degrees < 3:
        return (12.706, 4.303)[degrees - 1]
    z = _Z95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / float(degrees) ** 3


def wilson_interval(correct: float, count: float) -> tuple[float, float]:
    """Return the 95 % Wilson score interval (1927) for a proportion, (low, high), without continuity correction.

    Unlike the interval p ± 1.96 sqrt(p (1 - p) / n), it lies within 0 to 1, and does not shrink to one point for p = 1.
    It is (nan, nan) if `count` is 0.
    """
    if count == 0:
        return math.nan, math.nan
    p = correct / count
    center = (p + _Z95**2 / (2 * count)) / (1 + _Z95**2 / count)
    half = _Z95 / (1 + _Z95**2 / count) * math.sqrt(p * (1 - p) / count + _Z95**2 / (4 * count**2))
    return max(0.0, center - half), min(1.0, center + half)


def evaluate_scores(
    labels: tuple[str, ...], scores: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]
) -> Evaluation:
    """Compute the metrics of a classifier from its scores and the true classes.

    Args:
        scores: float32 [photos, classes]; each row adds up to about 1.
        truth: true classes, int64 [photos], as indices into `labels`.
    """
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    if len(truth) == 0:
        return Evaluation(labels, confusion, math.nan)
    np.add.at(confusion, (truth, scores.argmax(axis=1)), 1)
    of_truth = np.maximum(scores[np.arange(len(truth)), truth], _MIN_PROBABILITY)
    return Evaluation(labels, confusion, float(-np.log(of_truth.astype(np.float64)).mean()))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
