"""Learning curve: accuracy as a function of the number of photos, extrapolated to more photos.

Heads are fitted to increasing fractions of the cached bottlenecks and evaluated on held-out folds, or on the user's own
test set. The x value of a point is the number of photos that its heads were fitted to: with five folds, four fifths of
the photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.auditing.extrapolation import EXPONENT, FACTORS, Floats, Forecast, Measured, extrapolate, fit_removable
from poets_edge.device.metrics import independent_count
from poets_edge.photos.folds import NO_FOLD
from poets_edge.training.cross_validation import FoldAssignment
from poets_edge.training.fold_heads import MAX_EVALUATED, fold_heads
from poets_edge.training.head import HeadOptions, Indices, LabeledVectors

_FRACTIONS = (0.25, 0.4, 0.6, 0.8)
"""Fractions of the photos for which the accuracy is measured, in addition to the accuracy for all photos. Smaller
fractions would hardly improve the extrapolation."""
_REPEATS = 2
_MANY = 700
"""Minimum number of photos at which one random sample per fraction suffices; with fewer photos, _REPEATS samples are
used."""
_HUNDRED = 100


@dataclass(frozen=True)
class CurvePoint:
    """Measured point of a learning curve.

    Attributes:
        photos: mean number of photos that the heads were fitted to.
        accuracy: accuracy on held-out photos, 0 to 1; lowered if necessary, so that it does not exceed the accuracy
            measured with more photos.
    """

    photos: int
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        """Return the measured point as a JSON-compatible dictionary."""
        return {"photos": self.photos, "accuracy": self.accuracy}


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Measured learning curve and its extrapolation.

    Attributes:
        points: measured accuracies; for the last point, each head is fitted to all photos outside its fold, or to a
            sample if there are more than MAX_EVALUATED photos.
        forecasts: expected accuracies with 1.5 to 4 times as many photos.
        removable: fraction of the errors that an unlimited number of photos would remove, 0 to 1.
        next_hundred: for each class, a pair of its name and the increase in balanced accuracy from 100 more photos of
            only that class, largest increase first, assuming that `removable` applies to each class.
    """

    points: tuple[CurvePoint, ...]
    forecasts: tuple[Forecast, ...]
    removable: float
    next_hundred: tuple[tuple[str, float], ...]

    @property
    def doubled(self) -> Forecast:
        """Forecast for twice the current number of photos."""
        return self.forecasts[FACTORS.index(2.0)]

    def to_json(self) -> dict[str, Any]:
        """Return the learning curve as a JSON-compatible dictionary."""
        return {
            "points": [point.to_json() for point in self.points],
            "predictions": [forecast.to_json() for forecast in self.forecasts],
            "removable_share_of_errors": self.removable,
            "next_hundred": [{"class": label, "balanced_accuracy_gain": gain} for label, gain in self.next_hundred],
        }


def learning_curve(
    data: LabeledVectors,
    fold: Indices,
    labels: Sequence[str],
    correct: Floats,
    options: HeadOptions,
    *,
    rows: Indices | None = None,
    groups: Indices | None = None,
    seed: int = 0,
) -> LearningCurve:
    """Measure the learning curve and extrapolate it.

    Args:
        data: bottlenecks and classes of all photos.
        fold: number of the fold that contains each photo, [photos]; NO_FOLD for photos that are not evaluated.
        labels: class names.
        correct: fraction of correct out-of-fold predictions for each evaluated photo, float64 [evaluated].
        options: options for fitting the heads.
        rows: row numbers of the photos that may be used for fitting heads; by default all. A head is never fitted to
            photos of its own fold.
        groups: group number of each photo, [photos]; by default the photos are independent of each other.
        seed: seed for all random choices.
    """
    rng = np.random.default_rng([seed, 14])
    rows = np.arange(len(fold)) if rows is None else rows
    evaluated = fold != NO_FOLD
    measured = measure(data, fold, len(labels), correct, options, rows, rng)
    independent = float(evaluated.sum()) if groups is None else independent_count(correct, groups[evaluated])
    removable, spread = fit_removable(measured)
    accuracies = np.minimum.accumulate(measured.correct.mean(axis=0)[::-1])[::-1]
    return LearningCurve(
        points=tuple(
            # A mean over folds may be less than half a photo.
            CurvePoint(max(1, round(size)), float(value))
            for size, value in zip(measured.sizes, accuracies, strict=True)
        ),
        forecasts=extrapolate(measured, removable, spread, _photos(fold), independent, rng),
        removable=removable,
        next_hundred=_class_gains(data.classes, data.classes[evaluated], correct, labels, removable),
    )


def measure(
    data: LabeledVectors, fold: Indices, class_count: int, correct: Floats, options: HeadOptions, rows: Indices,
    rng: np.random.Generator,
) -> Measured:  # fmt: skip
    """Fit heads to increasing fractions of the photos, and return how often they predict each photo correctly.

    The arguments are those of `learning_curve`.
    """
    share = min(1.0, MAX_EVALUATED / len(rows))
    learned = share * _mean_learned(fold[rows], int(fold.max()) + 1)
    sizes, answers = [], []
    for fraction in _FRACTIONS:
        found = [
            _correct_with_fraction(fraction * share, data, fold, class_count, options, rows, rng)
            for _ in range(_REPEATS if len(fold) < _MANY else 1)
        ]
        usable = [one for one in found if one is not None]
        if usable:
            sizes.append(fraction * learned)
            answers.append(np.mean(usable, axis=0))
    return Measured(np.array([*sizes, learned]), np.stack([*answers, correct], axis=1))


def _mean_learned(fold: Indices, count: int) -> float:
    """Return the number of photos outside a fold, averaged over `count` folds."""
    return float(np.mean([(fold != number).sum() for number in range(count)]))


def _photos(fold: Indices) -> int:
    """Return the number of photos that forecasts start from: all photos except those in the user's own test set."""
    return len(fold) if fold.max() > 0 else int((fold == NO_FOLD).sum())


def _correct_with_fraction(
    fraction: float, data: LabeledVectors, fold: Indices, class_count: int, options: HeadOptions, rows: Indices,
    rng: np.random.Generator,
) -> Floats | None:  # fmt: skip
    """Return which photos are predicted correctly by out-of-fold heads fitted to a random fraction of the photos.

    Returns:
        1 for each correctly predicted photo and 0 for each incorrectly predicted one, float64 [evaluated]; None if a
        fold has no photo in the random fraction.
    """
    chosen = rows[_stratified_sample(data.classes[rows], fraction, rng)]
    if fold.max() == 0:  # a test set: its photos only stand for its fold
        chosen = np.union1d(chosen[fold[chosen] != 0], np.flatnonzero(fold == 0))
    if not set(np.unique(fold)) - {NO_FOLD} <= set(np.unique(fold[chosen])):
        return None
    [heads] = fold_heads(data, [fold], class_count, options, chosen)
    answers = FoldAssignment(fold, tuple(heads)).scores(data.vectors).argmax(axis=1)
    return np.asarray(answers == data.classes[fold != NO_FOLD], np.float64)


def _stratified_sample(classes: Indices, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the row numbers of a random sample, ascending: a fraction of each class, at least two photos per class."""
    chosen = []
    for number in np.unique(classes):
        rows = np.flatnonzero(classes == number)
        exact = fraction * len(rows)
        size = int(exact) + int(rng.random() < exact % 1)
        chosen.append(rng.permutation(rows)[: max(2, size)])
    return np.sort(np.concatenate(chosen))


def _class_gains(
    classes: Indices, evaluated: Indices, correct: Floats, labels: Sequence[str], removable: float
) -> tuple[tuple[str, float], ...]:
    """Return, for each class, the increase in balanced accuracy to expect from 100 more photos of only this class.

    The result consists of pairs (name of the class, increase), largest increase first.

    Args:
        classes: class index of every photo, [photos].
        evaluated: class index of each evaluated photo, [evaluated].
        correct: fraction of correct predictions for each evaluated photo, [evaluated].
        removable: fraction of the errors that an unlimited number of photos would remove, 0 to 1.
    """
    gains = []
    for number, label in enumerate(labels):
        rows = evaluated == number
        # Half an error is added, because a class without errors among few photos is not perfect.
        error = (float((1 - correct[rows]).sum()) + 0.5) / (float(rows.sum()) + 1)
        photos = float((classes == number).sum())
        gains.append((label, error * removable * (1 - (photos / (photos + _HUNDRED)) ** EXPONENT) / len(labels)))
    return tuple(sorted(gains, key=lambda item: -item[1]))
