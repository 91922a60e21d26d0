"""Reliability of calibrated scores, and the effect of score thresholds on predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.device.temperature import ReliabilityBin, reliability, threshold_for
from poets_edge.training.temperature_scaling import HeadCalibration

_TABLE = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Effect of a score threshold below which predictions are rejected.

    Attributes:
        threshold: minimum score of accepted predictions, 0 to 1.
        answered: fraction of accepted predictions.
        correct_kept: fraction of correct predictions that are accepted; NaN if no prediction is correct.
        mistakes_refused: fraction of wrong predictions that are rejected; NaN if no prediction is wrong.
        accuracy: fraction of accepted predictions that are correct; NaN if none is accepted.
    """

    threshold: float
    answered: float
    correct_kept: float
    mistakes_refused: float
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        """Return the effect of the threshold as a JSON-compatible dictionary, with None for undefined fractions."""
        values = {
            "threshold": self.threshold,
            "answered": self.answered,
            "right_kept": self.correct_kept,
            "wrong_refused": self.mistakes_refused,
            "accuracy": self.accuracy,
        }
        return {name: None if math.isnan(value) else value for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class ScoreCalibration:
    """Calibration of scores, and a suggested threshold.

    Attributes:
        temperature: divisor of the logits; 1 if temperature scaling was not applied.
        before, after: expected calibration error before and after temperature scaling, 0 to 1.
        bins: calibrated predictions grouped by score.
        thresholds: effects of ten thresholds, from 0 to 0.99, on the calibrated scores.
        suggested: lowest threshold that reaches the target accuracy; if none does, the one with the highest accuracy.
        target: required accuracy of accepted predictions, 0 to 1.
    """

    temperature: float
    before: float
    after: float
    bins: tuple[ReliabilityBin, ...]
    thresholds: tuple[Threshold, ...]
    suggested: Threshold
    target: float

    @property
    def is_reached(self) -> bool:
        """Whether the suggested threshold reaches the target accuracy."""
        return self.suggested.accuracy >= self.target

    @property
    def is_needed(self) -> bool:
        """Whether a threshold above 0 is needed because the accuracy of all predictions is below the target."""
        return self.suggested.threshold > 0

    def to_json(self) -> dict[str, Any]:
        """Return the calibration and the suggested threshold as a JSON-compatible dictionary."""
        return {
            "calibration": {
                "temperature": self.temperature,
                "expected_calibration_error": {"before": self.before, "after": self.after},
                "bins": [{"photos": one.count, "score": one.score, "accuracy": one.accuracy} for one in self.bins],
            },
            "threshold": {
                "suggested": self.suggested.threshold,
                "needed": self.is_needed,
                "target": self.target,
                "reached": self.is_reached,
                "table": [threshold.to_json() for threshold in self.thresholds],
            },
        }


def threshold_effects(
    calibration: HeadCalibration, scores: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], target: float
) -> ScoreCalibration:
    """Compute the effects of score thresholds, and suggest the lowest threshold that reaches a target accuracy.

    Args:
        calibration: result of temperature scaling, copied to the returned object.
        scores: calibrated scores of photos that the head was not fitted to, [photos, classes]; at least one photo.
        truth: class index of each photo, [photos].
        target: required accuracy of accepted predictions, 0 to 1.
    """
    correct = scores.argmax(axis=1) == truth
    best = scores.max(axis=1)
    return ScoreCalibration(
        temperature=calibration.temperature,
        before=calibration.before,
        after=calibration.after,
        bins=tuple(reliability(scores, truth)),
        thresholds=tuple(_effect(float(value), best, correct) for value in _TABLE),
        suggested=_effect(threshold_for(scores, truth, target), best, correct),
        target=target,
    )


def _effect(threshold: float, scores: npt.NDArray[np.float32], correct: npt.NDArray[np.bool_]) -> Threshold:
    given = scores >= threshold
    return Threshold(
        threshold=threshold,
        answered=float(given.mean()),
        correct_kept=float(given[correct].mean()) if correct.any() else math.nan,
        mistakes_refused=float((~given)[~correct].mean()) if not correct.all() else math.nan,
        accuracy=float(correct[given].mean()) if given.any() else math.nan,
    )
