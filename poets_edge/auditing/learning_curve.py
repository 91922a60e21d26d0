"""Learning curve: accuracy as a function of the number of photos, extrapolated to more photos with an interval.

Heads are fitted to increasing fractions of the cached bottlenecks and evaluated on held-out folds. Their error has an
irreducible part (wrong labels, two flowers in one photo, features that the backbone cannot distinguish) and a part
inversely proportional to the square root of the number of photos, like the excess risk of penalized regression. On the
1,000 flowers, errors of 21.1, 17.7, 15.5, 14.2 and 13.7 % for 100, 200, 400, 800 and 900 photos follow 9.9 % + 112 % /
sqrt(photos) to within 0.4 points; a pure power law through the first three is off by 1.5 points.

The interval (90 %) covers two unknowns: the choice of photos, by resampling them (bootstrap), and the rate at which
errors fall beyond the last point, by a range of exponents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.photos.folds import NO_FOLD
from poets_edge.training.cross_validation import FoldAssignment
from poets_edge.training.fold_heads import MAX_EVALUATED, fold_heads
from poets_edge.training.head import HeadOptions, Indices, LabelledVectors

Floats = npt.NDArray[np.float64]

_FRACTIONS = (0.25, 0.4, 0.6, 0.8)
"""Fractions of the photos at which the accuracy is measured, in addition to all photos. Smaller fractions would hardly
improve the extrapolation."""
_REPEATS = 2
_MANY = 700
"""Minimum number of photos for which one sample per fraction suffices."""
_FACTORS = (1.5, 2.0, 3.0, 4.0)
_RESAMPLES = 400
_QUANTILES = (0.05, 0.95)

_EXPONENT, _EXPONENT_RANGE = 0.5, (0.3, 0.8)
_REMOVABLE, _REMOVABLE_SPREAD = 0.35, 0.25
"""Mean and standard deviation of the prior of the removable fraction of errors."""
_HUNDRED = 100


@dataclass(frozen=True)
class CurvePoint:
    """Measured point of a learning curve.

    Attributes:
        photos: size of the sample to whose folds the heads are fitted.
        accuracy: cross-validated accuracy, 0 to 1.
    """

    photos: int
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers."""
        return {"photos": self.photos, "accuracy": self.accuracy}


@dataclass(frozen=True)
class Forecast:
    """Expected accuracy with a larger number of similar photos.

    Attributes:
        photos: total number of photos.
        accuracy: expected accuracy, 0 to 1.
        interval: 90 % interval of the accuracy, 0 to 1.
    """

    photos: int
    accuracy: float
    interval: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers."""
        return {"photos": self.photos, "accuracy": self.accuracy, "interval90": list(self.interval)}


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Measured learning curve and its extrapolation.

    Attributes:
        points: measured accuracies; the last point uses all photos, or MAX_EVALUATED if there are more.
        forecasts: expected accuracies with 1.5 to 4 times as many photos.
        removable: fraction of the errors that unlimited photos would remove, 0 to 1.
        next_hundred: (class, increase of the balanced accuracy with 100 more photos of the class), largest increase
            first, assuming that `removable` applies to each class.
    """

    points: tuple[CurvePoint, ...]
    forecasts: tuple[Forecast, ...]
    removable: float
    next_hundred: tuple[tuple[str, float], ...]

    @property
    def doubled(self) -> Forecast:
        """Forecast for twice as many photos."""
        return self.forecasts[_FACTORS.index(2.0)]

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers."""
        return {
            "points": [point.to_json() for point in self.points],
            "predictions": [forecast.to_json() for forecast in self.forecasts],
            "removable_share_of_errors": self.removable,
            "next_hundred": [{"class": label, "balanced_accuracy_gain": gain} for label, gain in self.next_hundred],
        }


def learning_curve(
    data: LabelledVectors,
    fold: Indices,
    labels: Sequence[str],
    correct: Floats,
    options: HeadOptions,
    seed: int = 0,
) -> LearningCurve:
    """Measure the learning curve and extrapolate it.

    Args:
        data: bottlenecks and classes of all photos.
        fold: fold of each photo, [photos]; NO_FOLD for photos that are not evaluated.
        labels: class names.
        correct: fraction of correct out-of-fold predictions of each evaluated photo, float64 [evaluated].
        options: options of the heads.
        seed: seed of all random choices.
    """
    rng = np.random.default_rng([seed, 14])
    evaluated = fold != NO_FOLD
    count, learned = len(fold), min(len(fold), MAX_EVALUATED)
    sizes, answers = [], []
    for fraction in _FRACTIONS:
        measured = [
            _correct_with_fraction(fraction * learned / count, data, fold, len(labels), options, rng)
            for _ in range(_REPEATS if count < _MANY else 1)
        ]
        usable = [one for one in measured if one is not None]
        if usable:
            sizes.append(fraction * learned)
            answers.append(np.mean(usable, axis=0))
    sizes.append(float(learned))
    answers.append(correct)
    points = tuple(CurvePoint(round(size), float(answer.mean())) for size, answer in zip(sizes, answers, strict=True))
    matrix = np.stack(answers, axis=1)
    _, removable = _fit(matrix.mean(axis=0)[None, :], np.array(sizes), len(matrix), np.full(1, _EXPONENT))
    return LearningCurve(
        points=points,
        forecasts=_extrapolate(matrix, np.array(sizes), count, rng),
        removable=float(removable[0]),
        next_hundred=_class_gains(data.classes, data.classes[evaluated], correct, labels, float(removable[0])),
    )


def _correct_with_fraction(
    fraction: float,
    data: LabelledVectors,
    fold: Indices,
    class_count: int,
    options: HeadOptions,
    rng: np.random.Generator,
) -> Floats | None:
    """Evaluate out-of-fold heads that are fitted to a random fraction of the photos.

    Returns:
        1 for each correctly predicted photo and 0 for the others, float64 [evaluated]; None if a fold has no photo in
        the fraction.
    """
    chosen = _stratified_sample(data.classes, fraction, rng)
    present = np.unique(fold[chosen])
    if not set(np.unique(fold)) <= set(present):
        return None
    [heads] = fold_heads(data, [fold], class_count, options, chosen)
    answers = FoldAssignment(fold, tuple(heads)).scores(data.vectors).argmax(axis=1)
    return np.asarray(answers == data.classes[fold != NO_FOLD], np.float64)


def _stratified_sample(classes: Indices, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return ascending row numbers of a random fraction of each class, at least two photos per class."""
    chosen = []
    for number in np.unique(classes):
        rows = np.flatnonzero(classes == number)
        exact = fraction * len(rows)
        size = int(exact) + int(rng.random() < exact % 1)
        chosen.append(rng.permutation(rows)[: max(2, size)])
    return np.sort(np.concatenate(chosen))


def _fit(accuracies: Floats, sizes: Floats, count: int, exponents: Floats) -> tuple[Floats, Floats]:
    """Fit a learning curve to each row of accuracies.

    The fit is the least-squares fit of error(n) = A (1 + r ((n / N) ** -exponent - 1)), with N the largest size,
    weighted by the binomial variance of each point, with a normal prior on r.

    Args:
        accuracies: accuracy at each size, [rows, sizes].
        sizes: numbers of photos, [sizes].
        count: number of evaluated photos.
        exponents: exponent of each row's curve, [rows].

    Returns:
        The error A with N photos and the removable fraction r, [rows] each.
    """
    errors = np.maximum(1 - accuracies, 0.5 / count)
    weights = count / (errors * np.maximum(1 - errors, 0.05))
    steps = (sizes / sizes[-1])[None, :] ** -exponents[:, None] - 1
    last = errors[:, -1]
    prior = 1 / (last * _REMOVABLE_SPREAD) ** 2
    s0, s1, s2 = weights.sum(axis=1), (weights * steps).sum(axis=1), (weights * steps**2).sum(axis=1) + prior
    y0, y1 = (weights * errors).sum(axis=1), (weights * steps * errors).sum(axis=1) + prior * last * _REMOVABLE
    determinant = s0 * s2 - s1 * s1
    slope = (s0 * y1 - s1 * y0) / determinant
    level = np.maximum((s2 * y0 - s1 * y1) / determinant, 1e-6)
    return level, np.clip(slope / level, 0.0, 1.0)


def _extrapolate(answers: Floats, sizes: Floats, photos: int, rng: np.random.Generator) -> tuple[Forecast, ...]:
    """Return the forecasts for larger numbers of photos.

    Args:
        answers: fraction of correct predictions, [evaluated, sizes].
        sizes: numbers of photos, [sizes].
        photos: total number of photos.
        rng: random generator for the interval.
    """
    count = len(answers)
    sample_weights = (rng.multinomial(count, np.full(count, 1 / count)) / count for _ in range(_RESAMPLES))
    resampled = np.stack([weights @ answers for weights in sample_weights])
    exponents = rng.uniform(*_EXPONENT_RANGE, _RESAMPLES)
    levels, fractions = _fit(resampled, sizes, count, exponents)
    [level], [fraction] = _fit(answers.mean(axis=0)[None, :], sizes, count, np.full(1, _EXPONENT))
    forecasts = []
    for factor in _FACTORS:
        growth = factor * photos / sizes[-1]
        accuracy = 1 - level * (1 + fraction * (growth**-_EXPONENT - 1))
        spread = 1 - levels * (1 + fractions * (growth**-exponents - 1))
        low, high = (float(value) for value in np.quantile(np.clip(spread, 0, 1), _QUANTILES))
        forecasts.append(Forecast(round(factor * photos), accuracy, (min(low, accuracy), max(high, accuracy))))
    return tuple(forecasts)


def _class_gains(
    classes: Indices, evaluated: Indices, correct: Floats, labels: Sequence[str], removable: float
) -> tuple[tuple[str, float], ...]:
    """Return each class with the increase of the balanced accuracy by 100 more photos, largest increase first.

    Args:
        classes: class of every photo, [photos].
        evaluated: class of each evaluated photo, [evaluated].
        correct: fraction of correct predictions of each evaluated photo, [evaluated].
    """
    gains = []
    for number, label in enumerate(labels):
        rows = evaluated == number
        # Half an error is added, because a class without errors among few photos is not perfect.
        error = (float((1 - correct[rows]).sum()) + 0.5) / (float(rows.sum()) + 1)
        photos = float((classes == number).sum())
        gains.append((label, error * removable * (1 - (photos / (photos + _HUNDRED)) ** _EXPONENT) / len(labels)))
    return tuple(sorted(gains, key=lambda item: -item[1]))
