"""Do scores mean what they say? The expected calibration error, and the temperature that makes it small.

A score of 0.9 is calibrated if nine of ten such answers are right. Dividing a softmax's logits by one number, the
temperature, is what Guo, Pleiss, Sun and Weinberger ("On Calibration of Modern Neural Networks", 2017) found to do as
well as anything that has more to fit; it never changes which class comes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Truth = npt.NDArray[np.int64]

BINS = 15
"""As in the paper."""

_SMALLEST = 1e-30
_WIDEST = math.log(5.0)
_PRIOR_WIDTH = 0.5
"""Of the logarithm of the temperature: a few photos cannot move it far from 1."""
_MOST_FITTED = 80_000
"""Photos that a temperature is found on, at most: one number needs no more, and memory stays what it is."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of about the same score: how many, their mean score, and the share that is right."""

    count: int
    score: float
    accuracy: float


def reliability(scores: Scores, truth: Truth, bins: int = BINS) -> list[ReliabilityBin]:
    """The answers by their score, in bins of equal width; empty ones are left out.

    Args:
        scores: [photos, classes].
        truth: [photos].
    """
    best = scores.max(axis=1).astype(np.float64)
    right = scores.argmax(axis=1) == truth
    places = np.minimum((best * bins).astype(int), bins - 1)
    return [
        ReliabilityBin(int(chosen.sum()), float(best[chosen].mean()), float(right[chosen].mean()))
        for chosen in (places == place for place in range(bins))
        if chosen.any()
    ]


def expected_calibration_error(scores: Scores, truth: Truth, bins: int = BINS) -> float:
    """Mean distance between score and share of right answers, over bins, weighted by their answers; 0 to 1.

    nan where there are no photos. Even calibrated scores do not reach 0 on few photos: chance alone leaves about 0.03
    on 1,000 of them at an accuracy of 87 %, and 0.02 on 3,000.
    """
    found = reliability(scores, truth, bins)
    total = sum(part.count for part in found)
    return sum(part.count * abs(part.score - part.accuracy) for part in found) / total if total else math.nan


def with_temperature(scores: Scores, temperature: float) -> Scores:
    """The scores that the same logits, divided by `temperature`, would have given."""
    logits = np.log(np.maximum(scores.astype(np.float64), _SMALLEST)) / temperature
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


def best_temperature(scores: Scores, truth: Truth) -> float:
    """The temperature of the smallest cross entropy, between 0.2 and 5; 1 where there are no photos.

    Of more than 80,000 photos, some that lie evenly among them decide.

    Args:
        scores: of photos the model has not learned from, [photos, classes].
        truth: [photos].
    """
    step = max(1, math.ceil(len(truth) / _MOST_FITTED))
    scores, truth = scores[::step], truth[::step]
    logits = np.log(np.maximum(scores.astype(np.float64), _SMALLEST))

    def loss(logarithm: float) -> float:
        scaled = logits * math.exp(-logarithm)
        top = scaled.max(axis=1)
        all_of_it = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        entropy = float((all_of_it - scaled[np.arange(len(truth)), truth]).sum())
        return entropy + (logarithm / _PRIOR_WIDTH) ** 2 / 2

    return math.exp(_minimum(loss, -_WIDEST, _WIDEST)) if len(truth) else 1.0


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Golden-section search in an interval where the function has one minimum."""
    inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_inner, at_outer = function(inner), function(outer)
    while high - low > 1e-4:
        if at_inner < at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - _GOLDEN * (high - low)
            at_inner = function(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + _GOLDEN * (high - low)
            at_outer = function(outer)
    return (low + high) / 2
