"""Out-of-fold scores -> the temperature that calibrates them, and what each threshold keeps and refuses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.device.temperature import (
    ReliabilityBin,
    best_temperature,
    expected_calibration_error,
    reliability,
    with_temperature,
)

_SHOWN = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_FINE = np.arange(0, 100) / 100


@dataclass(frozen=True)
class Threshold:
    """The effect of `--threshold`.

    Attributes:
        threshold: scores below it are answered "unknown".
        answered: share of photos that get an answer.
        right_kept: share of the right answers that are given.
        wrong_refused: share of the wrong answers that are not given; nan where there are none.
        accuracy: share of the given answers that are right; nan where none is given.
    """

    threshold: float
    answered: float
    right_kept: float
    wrong_refused: float
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        """For JSON; what cannot be told is null."""
        return {name: None if np.isnan(value) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Calibration:
    """How far scores can be trusted.

    Attributes:
        temperature: what the logits are to be divided by.
        before, after: expected calibration error, 0 to 1. Each photo's score "after" comes from a temperature that was
            found on the other folds, so that the figure holds for photos nobody has seen.
        bins: answers by score, after.
        thresholds: a table over the whole range, after.
        suggested: the lowest threshold whose answers are right as often as wanted, or the one that comes nearest.
        target: share of right answers that was wanted.
    """

    temperature: float
    before: float
    after: float
    bins: tuple[ReliabilityBin, ...]
    thresholds: tuple[Threshold, ...]
    suggested: Threshold
    target: float

    @property
    def reached(self) -> bool:
        """Whether the suggested threshold reaches what was wanted."""
        return self.suggested.accuracy >= self.target


def calibrate(
    scores: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], fold: npt.NDArray[np.int64], target: float
) -> Calibration:
    """Calibrate.

    Args:
        scores: out of fold, [photos, classes]; at least one photo.
        truth, fold: of each photo, [photos].
        target: share of given answers that are to be right.
    """
    after = np.empty_like(scores)
    for number in np.unique(fold):
        rows = fold == number
        after[rows] = with_temperature(scores[rows], best_temperature(scores[~rows], truth[~rows]))
    right = after.argmax(axis=1) == truth
    best = after.max(axis=1)
    return Calibration(
        best_temperature(scores, truth),
        expected_calibration_error(scores, truth),
        expected_calibration_error(after, truth),
        tuple(reliability(after, truth)),
        tuple(_at(float(value), best, right) for value in _SHOWN),
        _suggest([_at(float(value), best, right) for value in _FINE], target),
        target,
    )


def _at(threshold: float, best: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> Threshold:
    given = best >= threshold
    return Threshold(
        threshold,
        float(given.mean()),
        float(given[right].mean()) if right.any() else float("nan"),
        float((~given)[~right].mean()) if not right.all() else float("nan"),
        float(right[given].mean()) if given.any() else float("nan"),
    )


def _suggest(fine: list[Threshold], target: float) -> Threshold:
    enough = [one for one in fine if one.accuracy >= target]
    return enough[0] if enough else max(fine, key=lambda one: (np.nan_to_num(one.accuracy), -one.threshold))
