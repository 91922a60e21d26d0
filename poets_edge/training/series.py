"""Find series: photos of one person, object or place with consecutive names or times.

If photos are independent, their order by name, such as `IMG_0041` to `IMG_0052`, or by time is irrelevant. A classifier
is then equally accurate on a photo whether the photos before and after it, or equally many random photos of its class,
were left out of the training. If leaving out the photos before and after it makes the classifier less accurate, photos
that follow each other belong together, and cross-validation with random folds overestimates the accuracy on new people,
objects or places. The comparison needs no similarity threshold, so it even finds series whose photos are hardly more
similar to each other than to other photos (`benchmarks/results/truth.md`).

The classifier is a ridge regression on the principal components. Its predictions without some of the photos follow
from a single fit: if H is the hat matrix and r the residuals of the photos in a set S, the residuals of a fit without
them are (I - H_SS)^-1 r_S (Cook and Weisberg, "Residuals and Influence in Regression", 1982).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.photos.table import Rows
from poets_edge.training.projection import spans
from poets_edge.training.vectors import Vectors

_WINDOWS = (2, 4, 8, 16)
"""Numbers of photos before and after a photo that are held out with it."""
_MAX_HELD_OUT = 0.4
"""Maximum fraction of a class that is held out at once."""
_CONTROLS = 3
"""Number of random sets of photos with which each set of neighbors (photos before and after a photo) is compared."""
_MIN_LOSS, _MIN_DEVIATIONS = 0.07, 5.0
"""Photos form a series if holding out each photo's neighbors reduces the accuracy by at least _MIN_LOSS, and the mean
margin by at least _MIN_DEVIATIONS standard errors. Photos of flowers from the web and pictures of steel surfaces form
weak series: the margin falls by up to 9.6 standard errors, but where it falls by more than 5, the loss of accuracy is
less than 0.07."""
_PENALTY = 0.02
"""Ridge penalty, relative to the mean sum of squares of a principal component."""
_SAMPLE = 512
_PHOTOS_AT_ONCE = 128
_NUMBER = re.compile(r"([0-9]+)")

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SeriesLoss:
    """Accuracies that show that photos with consecutive names or times belong together.

    Attributes:
        accuracy: accuracy on photos if each is held out together with random photos of its class, 0 to 1.
        held_out: accuracy if each is held out together with the photos before and after it by name or time, 0 to 1.
    """

    accuracy: float
    held_out: float


@dataclass(frozen=True)
class _Ridge:
    """Fitted ridge regression.

    Attributes:
        solved: inputs (projections and a column of ones) times the inverse of the penalized sum of products of inputs,
            [photos, inputs].
        weighted: inputs times the photo's weight, [photos, inputs]; the hat matrix is `solved @ weighted.T`.
        targets: 1 in the column of the photo's class, otherwise 0, [photos, classes].
        residuals: targets minus predictions, [photos, classes].
    """

    solved: Values
    weighted: Values
    targets: Values
    residuals: Values

    def margins(self, sets: Rows) -> Values:
        """Return the margin of the first photo of each set for a classifier that was trained without the set, [sets].

        The margin is the score of the photo's class minus the highest other score; it is positive if the photo is
        classified correctly.

        Args:
            sets: row numbers, int64 [sets, photos in a set].
        """
        found = np.zeros(len(sets))
        for part in spans(0, len(sets), _PHOTOS_AT_ONCE):
            rows = sets[part]
            hat = self.solved[rows] @ self.weighted[rows].transpose(0, 2, 1)
            residuals = np.linalg.solve(np.eye(rows.shape[1]) - hat, self.residuals[rows])[:, 0]
            truth = self.targets[rows[:, 0]]
            scores = truth - residuals
            others = np.where(truth > 0, -np.inf, scores).max(axis=1)
            found[part] = scores[truth > 0] - others
        return found


def find_series(
    projections: Vectors, classes: Rows, names: Sequence[str], times: Values | None = None
) -> SeriesLoss | None:
    """Return the largest significant loss of accuracy from holding out neighboring photos; None if none is significant.

    Neighbors are adjacent in the order of names or times. A significant loss shows that photos form series.

    Args:
        projections: unit vectors, float32 [photos, components].
        classes: class number of each photo, int64 [photos].
        names: path of each photo; numbers in it are compared by value.
        times: time at which each photo was taken, [photos]; not used if the time of a photo is nan.
    """
    if len(np.unique(classes)) < 2:
        return None
    orders = [_by_name(names)]
    if times is not None and np.isfinite(times).all():
        orders.append(np.argsort(times, kind="stable"))
    ridge, step = _fit(projections, classes), -(-len(classes) // _SAMPLE)
    losses = []
    for order, window in itertools.product(orders, _WINDOWS):
        of_class = [order[classes[order] == number] for number in np.unique(classes)]
        losses.append(_loss(ridge, [rows for rows in of_class if 2 * window < _MAX_HELD_OUT * len(rows)], window, step))
    return max((loss for loss in losses if loss), key=lambda loss: loss.accuracy - loss.held_out, default=None)


def _loss(ridge: _Ridge, orders: Sequence[Rows], window: int, step: int) -> SeriesLoss | None:
    """Return the accuracies on photos that are held out with random photos, and with the photos before and after them.

    None is returned unless the second accuracy is significantly lower than the first, and by a minimum amount.

    Args:
        orders: row numbers of each class, in the order of names or times.
        window: number of photos on each side of the tested photo that are held out with it.
        step: every `step`-th photo of a class is tested.
    """
    if not orders:
        return None
    rng, tested = np.random.default_rng(3), [order[::step] for order in orders]

    def margins(orders: Sequence[Rows]) -> Values:
        sets = [_windows(order, rows, window) for order, rows in zip(orders, tested, strict=True)]
        return ridge.margins(np.concatenate(sets))

    near = margins(orders)
    controls = np.stack([margins([rng.permutation(order) for order in orders]) for _ in range(_CONTROLS)])
    # float32, as in the cache of groups
    loss = SeriesLoss(float(np.float32((controls > 0).mean())), float(np.float32((near > 0).mean())))
    gains = controls.mean(axis=0) - near
    is_significant = gains.sum() >= _MIN_DEVIATIONS * np.sqrt((gains**2).sum())
    return loss if is_significant and loss.accuracy - loss.held_out >= _MIN_LOSS else None


def _fit(projections: Vectors, classes: Rows) -> _Ridge:
    """Return a ridge regression that is fitted to all photos, with equal weight for each class."""
    vectors = np.asarray(projections[:], np.float64)
    inputs = np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1)
    targets = np.eye(int(classes.max(initial=0)) + 1)[classes]
    weighted = inputs / np.bincount(classes, minlength=1)[classes][:, None]
    products = inputs.T @ weighted
    products += _PENALTY * np.trace(products) / len(products) * np.eye(len(products))
    solved = inputs @ np.linalg.inv(products)
    return _Ridge(solved, weighted, targets, targets - solved @ (weighted.T @ targets))


def _by_name(names: Sequence[str]) -> Rows:
    """Return the row numbers of the photos, sorted by name; numbers in names are compared by value."""
    return np.array(sorted(range(len(names)), key=lambda row: _natural(names[row])), np.int64)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key for a name that compares numbers in names by value: 2 comes before 10."""
    parts = _NUMBER.split(name)
    return [(len(part.lstrip("0")), part.lstrip("0")) if place % 2 else (0, part) for place, part in enumerate(parts)]


def _windows(order: Rows, tested: Rows, window: int) -> Rows:
    """Return the row numbers of each tested photo and the photos around it, int64 [tested, 2 window + 1].

    The tested photo is in the first column.

    Args:
        order: row numbers of the photos in a class, by name, by time or in random order.
        tested: row numbers of the tested photos of the class.
        window: number of photos to take before and after a photo; if one side has fewer, more are taken from the other.
    """
    sorter = np.argsort(order)
    places = sorter[np.searchsorted(order, tested, sorter=sorter)]
    starts = np.clip(places - window, 0, len(order) - 2 * window - 1)
    around = starts[:, None] + np.arange(2 * window + 1)
    others = around[around != places[:, None]].reshape(len(places), 2 * window)
    return np.concatenate([tested[:, None], order[others]], axis=1)
