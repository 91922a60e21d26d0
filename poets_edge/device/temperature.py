"""Temperature scaling of scores, and the expected calibration error of scores.

Scores are calibrated if, for example, nine of ten predictions with a score of 0.9 are correct. Temperature scaling
divides the logits of a softmax by one number, the temperature. Guo, Pleiss, Sun and Weinberger ("On Calibration of
Modern Neural Networks", 2017) found it to be as good as more complex methods. The order of the classes is unchanged.
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
"""Number of bins of the expected calibration error, as in Guo et al. (2017)."""

_MIN_SCORE = 1e-30
_MIN_PROBABILITY = 1e-7
"""Lower bound for scores in the cross entropy, which a score of 0 would make infinite."""
_MAX_LOGARITHM = math.log(5.0)
_PRIOR_WIDTH = 0.5
"""Standard deviation of the prior for ln(temperature), which keeps the temperature near 1 if there are few photos."""
_MAX_FITTED = 80_000
"""Maximum number of photos to which a temperature is fitted, to limit memory use; larger sets are sampled evenly."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class ReliabilityBin:
    """A bin of predictions with similar scores.

    Attributes:
        count: number of predictions.
        score: mean score, 0 to 1.
        accuracy: fraction of correct predictions, 0 to 1.
    """

    count: int
    score: float
    accuracy: float


def reliability(scores: Scores, truth: Truth, bins: int = BINS) -> list[ReliabilityBin]:
    """Group predictions by their highest score into bins of equal width, and return the bins that are not empty.

    Args:
        scores: float32 [photos, classes].
        truth: true classes, int64 [photos].
    """
    best = scores.max(axis=1).astype(np.float64)
    correct = scores.argmax(axis=1) == truth
    bin_of = np.minimum((best * bins).astype(int), bins - 1)
    return [
        ReliabilityBin(int(inside.sum()), float(best[inside].mean()), float(correct[inside].mean()))
        for inside in (bin_of == index for index in range(bins))
        if inside.any()
    ]


def expected_calibration_error(scores: Scores, truth: Truth, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean of abs(mean score - accuracy) over the bins.

    Each bin is weighted by its number of predictions. The error is between 0 and 1, and nan if there are no photos.
    Even for calibrated scores, its expected value is above 0: at an accuracy of 87 %, about 0.03 for 1,000 photos and
    0.02 for 3,000.
    """
    found = reliability(scores, truth, bins)
    total = sum(part.count for part in found)
    return sum(part.count * abs(part.score - part.accuracy) for part in found) / total if total else math.nan


def cross_entropy(scores: Scores, truth: Truth) -> float:
    """Return the mean over the photos of -ln(score of the true class), in nats; NaN if there are no photos."""
    return float(cross_entropies(scores, truth).mean()) if len(truth) else math.nan


def cross_entropies(scores: Scores, truth: Truth) -> npt.NDArray[np.float64]:
    """Return -ln(score of the true class) for each photo, in nats, float64 [photos]."""
    of_truth = np.maximum(scores[np.arange(len(truth)), truth].astype(np.float64), _MIN_PROBABILITY)
    return np.asarray(-np.log(of_truth))


def with_temperature(scores: Scores, temperature: float) -> Scores:
    """Return the scores after their logits are divided by a temperature, float32 [photos, classes]."""
    logits = np.log(np.maximum(scores.astype(np.float64), _MIN_SCORE)) / temperature
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


def best_temperature(scores: Scores, truth: Truth) -> float:
    """Return the temperature from 0.2 to 5 that minimizes the cross entropy of the scores; 1 if there are no photos.

    A prior keeps the temperature near 1 if there are few photos. If there are more than 80,000 photos, an evenly spaced
    subset of them is used.

    Args:
        scores: float32 [photos, classes], of photos that the model was not trained on.
        truth: true classes, int64 [photos].
    """
    step = max(1, math.ceil(len(truth) / _MAX_FITTED))
    scores, truth = scores[::step], truth[::step]
    logits = np.log(np.maximum(scores.astype(np.float64), _MIN_SCORE))

    def loss(logarithm: float) -> float:
        scaled = logits * math.exp(-logarithm)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        entropy = float((log_sum - scaled[np.arange(len(truth)), truth]).sum())
        return entropy + (logarithm / _PRIOR_WIDTH) ** 2 / 2

    return math.exp(_minimum(loss, -_MAX_LOGARITHM, _MAX_LOGARITHM)) if len(truth) else 1.0


def temperature_spread(scores: Scores, truth: Truth, temperature: float, groups: Truth | None = None) -> float:
    """Return the standard error of the logarithm of the best temperature.

    It is computed as for a maximum-likelihood estimate with clusters (White, "Maximum likelihood estimation of
    misspecified models", 1982), so that photos of one group do not count as independent.

    Args:
        temperature: result of `best_temperature` for these scores.
        groups: group number of each photo, int64 [photos]; by default, photos are independent.
    """
    logits = np.log(np.maximum(scores.astype(np.float64), _MIN_SCORE)) / temperature
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    means = (shares * logits).sum(axis=1)
    slopes = logits[np.arange(len(truth)), truth] - means
    if groups is not None:
        slopes = np.bincount(np.unique(groups, return_inverse=True)[1].reshape(-1), weights=slopes)
    curvature = float(((shares * logits**2).sum(axis=1) - means**2).sum()) + _PRIOR_WIDTH**-2
    return math.sqrt(float((slopes**2).sum())) / curvature


def threshold_for(scores: Scores, truth: Truth, target: float) -> float:
    """Return the lowest threshold, a multiple of 0.01, at which the accepted predictions reach a target accuracy.

    If no threshold reaches it, return the threshold with the highest accuracy, or 0 if there are no photos.

    Args:
        scores: calibrated scores, float32 [photos, classes], of photos that the model was not trained on.
        truth: true classes, int64 [photos].
        target: required accuracy of the predictions whose score is not below the threshold, 0 to 1.
    """
    best, correct = scores.max(axis=1, initial=0), scores.argmax(axis=1) == truth
    accuracies = [float(correct[best >= number / 100].mean()) if (best >= number / 100).any() else -1.0
                  for number in range(100)]  # fmt: skip
    reaching = [number for number, accuracy in enumerate(accuracies) if accuracy >= target]
    return (reaching[0] if reaching else accuracies.index(max(accuracies))) / 100


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the argument that minimizes a unimodal function on an interval, found by golden-section search."""
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
