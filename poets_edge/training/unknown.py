"""Detection of photos unlike the training photos, calibrated so that a stated share of known photos is refused.

The distance of `poets_edge.training.mahalanobis` is computed for each training photo by a model of the photos in other
folds. Its limit is the quantile of these out-of-fold distances above which the stated share lies, so that new photos of
the classes are refused about as often. A fine-tuned backbone has learned from all training photos, which are therefore
nearer than new ones in every fold; their distances are scaled to those of the validation photos.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.errors import DatasetError
from poets_edge.nets.detector import Detector
from poets_edge.tflite.distance import LIMIT
from poets_edge.training.data import TrainingData
from poets_edge.training.mahalanobis import (
    Array,
    Moments,
    fit_distance,
    fourth_moment,
    unit_vectors,
)
from poets_edge.training.vectors import Vectors, take

MIN_PHOTOS = 20
"""Minimum number of training photos for a detector."""

_MAX_PHOTOS = 5000
"""Maximum number of training photos that a detector is fitted to; more do not change it noticeably."""
_FOLDS = 10
_NEIGHBOURS = np.linspace(-0.04, 0.04, 17)
"""Differences between the quantile of interest and those that are averaged with it."""
_HIGHEST_QUANTILE = 0.995

Folds = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class UnknownDetection:
    """A fitted detector and what it refuses.

    Attributes:
        detector: weights for the graph.
        rate: share of known photos that was to be refused, 0 to 1.
        distances: out-of-fold distances of training photos, float32 [photos]; above 1, a photo is refused.
        rows: row numbers of these photos, int64 [photos].
        test: distances of the test photos, float32 [test photos].
    """

    detector: Detector = field(repr=False)
    rate: float
    distances: npt.NDArray[np.float32] = field(repr=False)
    rows: npt.NDArray[np.int64] = field(repr=False)
    test: npt.NDArray[np.float32] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the shares of refused photos as JSON-compatible values."""
        return {
            "rate": self.rate,
            "photos": len(self.distances),
            "refused": refused(self.distances),
            "test_photos": len(self.test),
            "test_refused": refused(self.test),
        }


def refused(distances: npt.NDArray[np.float32]) -> float | None:
    """Return the share of distances above the limit, 0 to 1; None if there are none."""
    return float((distances > LIMIT).mean()) if len(distances) else None


def detect_unknown(data: TrainingData, rate: float, seed: int, tuned: Vectors | None = None) -> UnknownDetection:
    """Fit a detector to the training photos, and calibrate it to refuse a share of known photos.

    Args:
        data: photos with bottlenecks from the frozen backbone.
        rate: share of known photos to refuse, 0 to 1.
        seed: seed of the assignment to folds.
        tuned: bottlenecks of all photos from a backbone that has learned from the training photos, float32 [photos,
            bottleneck_size]; None if the backbone is frozen.

    Raises:
        DatasetError: there are fewer than MIN_PHOTOS training photos, or they are copies of each other.
    """
    rows = _sample(data, data.rows("training"), seed)
    _, known, groups = data.sample(rows)
    vectors = data.vectors if tuned is None else tuned
    units = unit_vectors(np.asarray(take(vectors, rows)[:]))
    fold = _folds(np.arange(len(rows)) if groups is None else groups.numbers, seed)
    if len(rows) < MIN_PHOTOS or not fold.any():
        raise DatasetError(
            f"{len(rows)} training photos are too few to tell photos that belong to no class; {MIN_PHOTOS} or more that"
            " are not copies of each other are needed."
        )
    moments = Moments.of(units, known.classes, len(data.labels))
    fourth = fourth_moment(units, known.classes, moments)
    model = fit_distance(moments, fourth)
    distances, judged = np.empty(len(rows)), np.zeros(len(rows), np.bool_)
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        own = Moments.of(units[held_out], known.classes[held_out], len(data.labels))
        others = moments.without(own)
        distances[held_out] = fit_distance(others, fourth, model).distances(units[held_out])
        judged[held_out] = others.counts[known.classes[held_out]] > 0.5
    distances = distances[judged]
    if tuned is not None and len(validation := data.rows("validation")):
        new = model.distances(unit_vectors(np.asarray(take(tuned, validation)[:])))
        distances = distances * max(1.0, float(np.median(new) / np.median(distances)))
    limit = upper_quantile(distances, 1 - rate)
    detector = model.detector(limit)
    return UnknownDetection(
        detector=detector,
        rate=rate,
        distances=np.asarray(distances / limit, np.float32),
        rows=rows[judged],
        test=detector.distances(np.asarray(take(vectors, data.rows("test"))[:])),
    )


def upper_quantile(distances: Array, quantile: float) -> float:
    """Return an upper quantile of distances, smoothed over neighbouring quantiles.

    Each neighbour is moved to the quantile in question as if logarithms of distances were normally distributed. The
    mean of these values varies less from sample to sample than the quantile itself.
    """
    logarithms = np.log(np.maximum(distances, 1e-3 * max(float(np.median(distances)), 1e-12)))
    normal, spread = NormalDist(), float(logarithms.std(ddof=1))
    neighbours = np.unique(np.clip(quantile + _NEIGHBOURS, 1 - _HIGHEST_QUANTILE, _HIGHEST_QUANTILE))
    steps = normal.inv_cdf(quantile) - np.array([normal.inv_cdf(one) for one in neighbours.tolist()])
    return float(np.exp((np.quantile(logarithms, neighbours) + steps * spread).mean()))


def _sample(data: TrainingData, rows: Folds, seed: int) -> Folds:
    """Return some rows, or, if there are too many, about equally many of each class, ascending."""
    if len(rows) <= _MAX_PHOTOS:
        return rows
    rng, classes = np.random.default_rng([seed, 7]), data.photos.photos.classes[rows]
    shuffled = rng.permutation(len(rows))
    order = shuffled[np.argsort(classes[shuffled], kind="stable")]
    counts = np.bincount(classes, minlength=len(data.labels))
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(np.sort(rows[order[np.argsort(place, kind="stable")[:_MAX_PHOTOS]]]), np.int64)


def _folds(groups: Folds, seed: int) -> Folds:
    """Return the fold of each photo, int64 [photos]; photos of one group have one fold."""
    numbers = np.unique(groups, return_inverse=True)[1].reshape(-1)
    count = int(numbers.max()) + 1 if len(numbers) else 0
    of_group = np.random.default_rng([seed, 6]).permutation(count) % _FOLDS
    return np.asarray(of_group[numbers], np.int64)
