"""Would more photos help? Accuracy over the number of photos, extrapolated to more of them, with an interval.

Heads are fitted to growing shares of the cached bottlenecks and judged on the photos of the fold they never saw. The
error of such a head is what no number of photos removes (wrong labels, two flowers in one picture, what the backbone
cannot see), and a part that falls with the root of the number of photos, as the excess risk of penalized regression
does.
On the 1,000 flowers, errors of 21.1, 17.7, 15.5, 14.2 and 13.7 % for 100, 200, 400, 800 and 900 photos follow
9.9 % + 112 % / sqrt(photos) to within 0.4 points, where a pure power law through the first three is off by 1.5.

The interval (90 %) holds two things that nobody can know from one folder: which photos happen to lie in it, by drawing
the photos anew many times (bootstrap), and how fast errors fall beyond the last point, by a spread of the exponent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.photos.folds import NOT_JUDGED
from poets_edge.train.cross_validation import MOST_JUDGED, Division, fold_heads
from poets_edge.train.head import HeadOptions, Indices, LabelledVectors

Right = npt.NDArray[np.float64]

_SHARES = (0.25, 0.4, 0.6, 0.8)
"""Beside the whole. Fewer photos than a quarter say little of what more than all would do."""
_REPEATS = 2
_MANY = 700
"""Photos from which on one drawing of each share is enough."""
_FACTORS = (1.5, 2.0, 3.0, 4.0)
_DRAWINGS = 400
_QUANTILES = (0.05, 0.95)

_EXPONENT, _EXPONENTS = 0.5, (0.3, 0.8)
# Share of the errors that more photos would remove, before anything is measured.
_REMOVABLE, _REMOVABLE_SPREAD = 0.35, 0.25
_HUNDRED = 100


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy that a folder of so many photos gives, judged by cross-validation, 0 to 1."""

    photos: int
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        return {"photos": self.photos, "accuracy": self.accuracy}


@dataclass(frozen=True)
class Prediction:
    """The accuracy expected of more photos like those in the folder; `interval` is one of 90 %."""

    photos: int
    accuracy: float
    interval: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        return {"photos": self.photos, "accuracy": self.accuracy, "interval90": list(self.interval)}


@dataclass(frozen=True)
class LearningCurve:
    """The curve.

    Attributes:
        points: measured; the last is all photos, or the `MOST_JUDGED` that teach where there are more.
        predictions: beyond, for 1.5 to 4 times as many.
        removable: share of the errors that any number of photos could remove, 0 to 1.
        next_hundred: (class, gain in balanced accuracy from a hundred more photos of it), the largest gain first. It
            supposes that this share is the same for each class.
    """

    points: tuple[CurvePoint, ...]
    predictions: tuple[Prediction, ...]
    removable: float
    next_hundred: tuple[tuple[str, float], ...]

    @property
    def doubled(self) -> Prediction:
        """The accuracy expected of twice as many photos."""
        return self.predictions[_FACTORS.index(2.0)]


def learning_curve(
    data: LabelledVectors,
    fold: Indices,
    labels: Sequence[str],
    right: Right,
    options: HeadOptions,
    seed: int = 0,
) -> LearningCurve:
    """Measure it and carry it on.

    Args:
        data: all photos.
        fold: of each, int64 [photos]; NOT_JUDGED where it has none.
        right: how often the heads fitted to all other folds answer each judged photo right, 0 to 1, float64 [judged].
    """
    rng = np.random.default_rng([seed, 14])
    judged = fold != NOT_JUDGED
    count, taught = len(fold), min(len(fold), MOST_JUDGED)
    sizes, answers = [], []
    for share in _SHARES:
        measured = [
            _right_with(share * taught / count, data, fold, len(labels), options, rng)
            for _ in range(_REPEATS if count < _MANY else 1)
        ]
        usable = [one for one in measured if one is not None]
        if usable:
            sizes.append(share * taught)
            answers.append(np.mean(usable, axis=0))
    sizes.append(float(taught))
    answers.append(right)
    points = tuple(CurvePoint(round(size), float(answer.mean())) for size, answer in zip(sizes, answers, strict=True))
    matrix = np.stack(answers, axis=1)
    _, removable = _fit(matrix.mean(axis=0)[None, :], np.array(sizes), len(matrix), np.full(1, _EXPONENT))
    predictions = _carry_on(matrix, np.array(sizes), count, rng)
    gains = _gains(data.classes, data.classes[judged], right, labels, float(removable[0]))
    return LearningCurve(points, predictions, float(removable[0]), gains)


def _right_with(
    share: float, data: LabelledVectors, fold: Indices, class_count: int, options: HeadOptions, rng: np.random.Generator
) -> Right | None:
    """Whether each judged photo is answered right when that share of the others teaches; None if that is too few."""
    chosen = _stratified(data.classes, share, rng)
    present = np.unique(fold[chosen])
    if not set(np.unique(fold)) <= set(present):
        return None
    [heads] = fold_heads(data, [fold], class_count, options, chosen)
    answers = Division(fold, tuple(heads)).scores(data.vectors).argmax(axis=1)
    return np.asarray(answers == data.classes[fold != NOT_JUDGED], np.float64)


def _stratified(classes: Indices, share: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows of that share of each class, and of two photos at least, ascending."""
    chosen = []
    for number in np.unique(classes):
        rows = np.flatnonzero(classes == number)
        exact = share * len(rows)
        wanted = int(exact) + int(rng.random() < exact % 1)
        chosen.append(rng.permutation(rows)[: max(2, wanted)])
    return np.sort(np.concatenate(chosen))


def _fit(accuracies: Right, sizes: Right, count: int, exponents: Right) -> tuple[Right, Right]:
    """Error with all photos, and the share of it that more could remove, float64 [rows] each.

    For each row of accuracies, the least-squares fit of error(n) = A (1 + r ((n / all) ** -exponent - 1)), weighted by
    what chance does to each point, with a prior on r.
    """
    errors = np.maximum(1 - accuracies, 0.5 / count)
    weights = count / (errors * np.maximum(1 - errors, 0.05))
    steps = (sizes / sizes[-1])[None, :] ** -exponents[:, None] - 1
    usual = errors[:, -1]
    prior = 1 / (usual * _REMOVABLE_SPREAD) ** 2
    s0, s1, s2 = weights.sum(axis=1), (weights * steps).sum(axis=1), (weights * steps**2).sum(axis=1) + prior
    y0, y1 = (weights * errors).sum(axis=1), (weights * steps * errors).sum(axis=1) + prior * usual * _REMOVABLE
    determinant = s0 * s2 - s1 * s1
    slope = (s0 * y1 - s1 * y0) / determinant
    level = np.maximum((s2 * y0 - s1 * y1) / determinant, 1e-6)
    return level, np.clip(slope / level, 0.0, 1.0)


def _carry_on(answers: Right, sizes: Right, photos: int, rng: np.random.Generator) -> tuple[Prediction, ...]:
    count = len(answers)
    shares_drawn = (rng.multinomial(count, np.full(count, 1 / count)) / count for _ in range(_DRAWINGS))
    drawn = np.stack([share @ answers for share in shares_drawn])
    exponents = rng.uniform(*_EXPONENTS, _DRAWINGS)
    levels, shares = _fit(drawn, sizes, count, exponents)
    [level], [share] = _fit(answers.mean(axis=0)[None, :], sizes, count, np.full(1, _EXPONENT))
    found = []
    for factor in _FACTORS:
        growth = factor * photos / sizes[-1]
        accuracy = 1 - level * (1 + share * (growth**-_EXPONENT - 1))
        spread = 1 - levels * (1 + shares * (growth**-exponents - 1))
        low, high = (float(value) for value in np.quantile(np.clip(spread, 0, 1), _QUANTILES))
        found.append(Prediction(round(factor * photos), accuracy, (min(low, accuracy), max(high, accuracy))))
    return tuple(found)


def _gains(
    classes: Indices, judged: Indices, right: Right, labels: Sequence[str], removable: float
) -> tuple[tuple[str, float], ...]:
    gains = []
    for number, label in enumerate(labels):
        rows = judged == number
        # Half a wrong photo more than there is: ten right ones of ten do not make a class perfect.
        error = (float((1 - right[rows]).sum()) + 0.5) / (float(rows.sum()) + 1)
        photos = float((classes == number).sum())
        gains.append((label, error * removable * (1 - (photos / (photos + _HUNDRED)) ** _EXPONENT) / len(labels)))
    return tuple(sorted(gains, key=lambda item: -item[1]))
