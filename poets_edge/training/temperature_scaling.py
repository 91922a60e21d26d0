"""Calibrate a trained head by temperature scaling: nine of ten predictions with a score of 0.9 are then correct.

Logits are divided by a temperature, by dividing the head's weights and biases. This works with all quantizations, and
the model needs no additional operator. Predicted classes do not change.

The temperature must be fitted on photos that the head has not learned from. The validation set alone is too small, so
out-of-fold predictions of the training photos are used too (see `poets_edge.training.cross_validation`). The heads of
the folds are fitted by a different solver and have slightly smaller logits than a head from `train_head`; the ratio of
the logits is measured, without labels, on photos that none of these heads has learned from. If there are more than
`MAX_EVALUATED` photos, a random sample of that size is used.

The temperature is moved towards 1 by one standard error (by two if it makes scores more confident), since a small
number of photos, or of groups of similar photos, determines it only roughly. It is applied only if it improves the
cross entropy of photos that were not used to fit it: photos in other folds, and photos in the user's own validation and
test sets. If there are no such sets and many photos look alike, scores are never made more confident: similar photos
may be in different folds, so the out-of-fold predictions are too accurate. The labels of test photos are used only in
the check on the user's own test set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from poets_edge.device.temperature import (
    best_temperature,
    cross_entropy,
    expected_calibration_error,
    temperature_spread,
    threshold_for,
    with_temperature,
)
from poets_edge.errors import DatasetError
from poets_edge.photos.folds import NO_FOLD, assign_folds
from poets_edge.photos.split_names import SPLIT_NAMES, SplitName
from poets_edge.training.cross_validation import FoldAssignment, sample_rows
from poets_edge.training.data import TrainingData
from poets_edge.training.fold_heads import fold_heads
from poets_edge.training.head import Head, HeadOptions, Indices, Matrix
from poets_edge.training.vectors import Vectors, take

TARGET = 0.95
"""Accuracy that predictions with scores above a model's suggested threshold should have."""
_ERRORS_OF_CAUTION, _ERRORS_OF_CONFIDENCE = 1.0, 2.0
"""Numbers of standard errors by which a temperature is moved towards 1: the first for temperatures above 1, the second
for temperatures below 1. On the data sets in `benchmarks/results/truth.md`, temperature scaling then increases the
cross entropy of new photos by at most 0.007; without this adjustment, the increase would be up to 0.025."""
_NUDGE = 1.001
_MAX_NUDGES = 8


@dataclass(frozen=True)
class HeadCalibration:
    """Result of temperature scaling.

    Attributes:
        temperature: divisor of the logits: `fitted`, moved towards 1 by one standard error (two if it makes scores more
            confident); 1 if temperature scaling was not applied.
        fitted: temperature with the smallest cross entropy on the photos that were used for fitting.
        before, after: expected calibration error, 0 to 1, before and after scaling, on the photos that were used for
            fitting; for `after`, each photo's temperature is fitted on other photos.
        scores: out-of-fold scores of these photos, float32 [photos, classes]. If temperature scaling was applied, each
            photo's scores are scaled with a temperature that was fitted on other photos.
        truth: class number of each photo, int64 [photos].
    """

    temperature: float
    fitted: float
    before: float
    after: float
    scores: Matrix = field(repr=False, compare=False)
    truth: Indices = field(repr=False, compare=False)

    @property
    def photos(self) -> int:
        """Number of photos that were used for fitting."""
        return len(self.truth)

    @property
    def threshold(self) -> float:
        """Suggested score threshold: the lowest at which 95 % of the accepted predictions are correct (TARGET).

        It is 0 if no predictions need to be rejected; see `threshold_for` if no threshold suffices.
        """
        return threshold_for(self.scores, self.truth, TARGET)

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON-compatible dictionary of numbers."""
        return {
            "temperature": self.temperature,
            "fitted": self.fitted,
            "before": self.before,
            "after": self.after,
            "photos": self.photos,
            "threshold": self.threshold,
        }


@dataclass(frozen=True)
class HeldOutPredictions:
    """Out-of-fold predictions of training and validation photos.

    Attributes:
        scores: probabilities, float32 [photos, classes].
        truth: class number of each photo, int64 [photos].
        fold: number of the fold that contains each photo, int64 [photos].
        solved: head fitted to all training photos by the solver that fits the heads of the folds, to measure how their
            logits differ in scale from those of the trained head.
        groups: group number of each photo, int64 [photos]; None if photos are independent.
    """

    scores: Matrix
    truth: Indices
    fold: Indices
    solved: Head
    groups: Indices | None = None


def predict_held_out(data: TrainingData, options: HeadOptions) -> HeldOutPredictions | None:
    """Compute out-of-fold predictions, on which `calibrate_head` fits a temperature; None if folds are not possible.

    Args:
        data: photos with their vectors and splits.
        options: options of the head to be calibrated.
    """
    rows = sample_rows(data.rows("training", "validation"), options.seed)
    photos, known, groups = data.sample(rows)
    try:
        [folds] = assign_folds(photos, groups=groups.numbers if groups else None)
    except DatasetError:
        return None
    fold = folds.assignment
    # A different assignment: the heads learn from the training photos; the validation photos are the only fold.
    trained = np.where(data.sets[rows] == SPLIT_NAMES.index("training"), NO_FOLD, 0).astype(np.int64)
    heads, solved = fold_heads(known, [fold, trained], len(data.labels), options)
    evaluated = fold != NO_FOLD
    scores = FoldAssignment(fold, tuple(heads)).scores(known.vectors)
    # Without validation photos, a head of four fifths of the photos is used instead of one of all.
    numbers = groups.numbers[evaluated] if groups else None
    return HeldOutPredictions(scores, known.classes[evaluated], fold[evaluated], (solved or heads)[0], numbers)


def calibrate_head(
    head: Head, data: TrainingData, held_out: HeldOutPredictions | None, *, backbone_has_learned: bool = False
) -> tuple[Head, HeadCalibration | None]:
    """Divide the logits of a head by a temperature that is fitted on held-out photos, if this improves the scores.

    Args:
        head: trained head.
        data: photos with their vectors and splits.
        held_out: result of `predict_held_out`.
        backbone_has_learned: whether the backbone was trained on the training photos too; if so, only validation photos
            are used.

    Returns:
        A head with scaled logits, and the result of the calibration. If scaling does not improve the scores, the given
        head is returned, and the temperature in the result is 1. Without usable photos, the given head and None are
        returned.
    """
    if backbone_has_learned:
        validation = data.plain("validation")
        scores, truth = head.scores(validation.vectors), validation.classes
        groups = data.groups_of(data.rows("validation"))
        fold: Indices = np.arange(len(truth)) % 2
        if groups is not None:
            fold = np.unique(groups, return_inverse=True)[1].reshape(-1) % 2
    elif held_out is not None:
        scores = with_temperature(held_out.scores, 1 / _stretch(head, held_out.solved, data))
        truth, fold, groups = held_out.truth, held_out.fold, held_out.groups
    else:
        return head, None
    if not len(truth):
        return head, None
    fitted = best_temperature(scores, truth)
    temperature = _shrink(fitted, scores, truth, groups)
    crossed = scores.copy()
    for number in sorted(set(fold.tolist())):
        rows = fold == number
        others = best_temperature(scores[~rows], truth[~rows])
        others = _shrink(others, scores[~rows], truth[~rows], None if groups is None else groups[~rows])
        crossed[rows] = with_temperature(scores[rows], others)
    before = expected_calibration_error(scores, truth)
    if cross_entropy(crossed, truth) >= cross_entropy(scores, truth) or not _is_safe(head, data, temperature):
        return head, HeadCalibration(1.0, fitted, before, before, scores, truth)
    rows = data.rows("validation", "test") if backbone_has_learned else np.arange(len(data.photos))
    calibrated, used = _divided(head, temperature, take(data.vectors, rows))
    return calibrated, HeadCalibration(used, fitted, before, expected_calibration_error(crossed, truth), crossed, truth)


def _shrink(temperature: float, scores: Matrix, truth: Indices, groups: Indices | None) -> float:
    """Return a fitted temperature moved towards 1 by one standard error, or by two if it makes scores more confident.

    Overconfident scores increase the cross entropy more than underconfident ones.
    """
    if not len(truth):
        return 1.0
    logarithm = math.log(temperature)
    errors = _ERRORS_OF_CONFIDENCE if logarithm < 0 else _ERRORS_OF_CAUTION
    reach = abs(logarithm) - errors * temperature_spread(scores, truth, temperature, groups)
    return math.exp(math.copysign(max(0.0, reach), logarithm))


def _is_safe(head: Head, data: TrainingData, temperature: float) -> bool:
    """Return whether a temperature does not increase the cross entropy on the user's own validation and test sets.

    Without such sets, the temperature is considered safe unless it makes scores more confident (is below 1) and photos
    depend on each other, for example because many look alike.
    """
    own: list[SplitName] = [name for name in SPLIT_NAMES[1:] if data.photos.photos.has_folder(name)]
    for name in own:
        held_out = data.plain(name)
        scores = head.scores(held_out.vectors)
        if cross_entropy(with_temperature(scores, temperature), held_out.classes) > cross_entropy(
            scores, held_out.classes
        ):
            return False
    return bool(own) or temperature >= 1 or data.groups is None or not data.groups.are_dependent


def _stretch(head: Head, solved: Head, data: TrainingData) -> float:
    """Return how much larger the logits of a trained head are than those of a head from `fold_heads`, as a ratio.

    The ratio is determined by least squares, on photos that neither head has learned from, if there are any. Scores of
    heads from `fold_heads` must be scaled by it before a temperature for the trained head is fitted on them.

    Args:
        head: trained head.
        solved: head fitted to the same photos by `fold_heads`.
    """
    unseen = np.flatnonzero(data.sets != SPLIT_NAMES.index("training"))
    vectors = take(data.vectors, unseen if len(unseen) else np.arange(len(data.photos)))
    mine, other = (_centered(one.logits(vectors)) for one in (head, solved))
    return max(float((mine * other).sum() / max(float((other * other).sum()), 1e-9)), 1e-3)


def _centered(logits: Matrix) -> Matrix:
    return np.asarray(logits - logits.mean(axis=1, keepdims=True), np.float32)


def _divided(head: Head, temperature: float, vectors: Vectors) -> tuple[Head, float]:
    """Return a head with its logits divided by a temperature, and the divisor.

    The divisor is the temperature, increased slightly if rounding would otherwise change a prediction. If that fails,
    the unchanged head and 1 are returned.
    """
    before = head.logits(vectors).argmax(axis=1)
    for _ in range(_MAX_NUDGES):
        divided = Head(head.weights / np.float32(temperature), head.biases / np.float32(temperature))
        # Rounding can change a prediction if two scores differ only in the last digit.
        if (divided.logits(vectors).argmax(axis=1) == before).all():
            return divided, temperature
        temperature *= _NUDGE
    return head, 1.0
