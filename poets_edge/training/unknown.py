"""Detect unknown photos, which are unlike the training photos.

The detector is calibrated so that it rejects a stated fraction of known photos.

For each training photo, a model of the photos in the other folds computes the distance defined in
`poets_edge.training.mahalanobis`. The limit is the quantile of these out-of-fold distances above which the stated
fraction lies, so new photos of the classes are rejected at about this rate. A fine-tuned backbone has learned from
all training photos, so even their out-of-fold distances are smaller than the distances of new photos; they are scaled
up if their median is smaller than that of the validation photos. The bottlenecks of such a backbone do not suffice,
because fine-tuning discards information that does not help to distinguish the classes. Therefore, a second distance,
computed from the averaged output of an inner layer (a layer in the middle of the backbone), is added.

If there are background photos, a photo is also rejected if a logistic regression predicts that it belongs to the
background. Both limits are then set so that together they reject the stated fraction of known photos, and about as many
background photos as possible.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.wording import percent
from poets_edge.errors import DatasetError
from poets_edge.nets.detector import Detector
from poets_edge.tflite.distance import LIMIT
from poets_edge.training.background_model import fit_background
from poets_edge.training.data import TrainingData
from poets_edge.training.mahalanobis import Array, unit_vectors
from poets_edge.training.summed_distance import SummedDistance
from poets_edge.training.vectors import Matrix, Vectors, take

MIN_PHOTOS = 20
"""Minimum number of training photos for fitting a detector."""

_MAX_PHOTOS = 5000
"""Maximum number of training photos to which a detector is fitted; more photos do not change it noticeably."""
_FOLDS, _FEWER_FOLDS, _MANY_FEATURES = 40, 20, 1000
"""Number of folds, and the smaller number for _MANY_FEATURES features or more, because each fit then takes longer. With
only ten folds, each model would lack a tenth of the photos; the out-of-fold distances, and thus the limit, would be so
large that too few known photos would be rejected."""
_BACKGROUND_FOLDS = 10
"""Number of folds for the logistic regression that recognizes background photos."""
_NEIGHBORS = np.linspace(-0.04, 0.04, 17)
"""Differences between a requested quantile and the neighboring quantiles that are averaged to estimate it."""
_HIGHEST_QUANTILE = 0.995

_WEIGHTS = ((1.0, 0.4), (1.0, 1.0), (0.6, 1.0))
"""Pairs of weights for the distances and for the background logits. The first pair is best if background photos show
arbitrary things, the last if they show things that resemble the classes."""
_TOLERANCE = 0.03
"""Maximum difference between the fractions of background photos rejected with the best pair of weights and with the
chosen pair, the first one in _WEIGHTS within this limit. Earlier pairs rely more on the distances, and therefore reject
more photos that resemble neither the classes nor the background."""

Folds = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class UnknownDetection:
    """A fitted detector of unknown photos, and distances that it computes; a photo with a distance above 1 is rejected.

    Attributes:
        detector: weights of the detector, which are stored in the graph.
        rate: requested fraction of known photos to reject, 0 to 1.
        distances: out-of-fold distances of training photos, float32 [photos].
        rows: row numbers of the photos in `distances`, int64 [photos].
        test: distances of the test photos, float32 [test photos].
        background: distances of the background photos, float32 [photos], with out-of-fold values of the logistic
            regression; empty if there are none.
        strangers: distances of arbitrary photos that belong to no class, from which the detector has not learned,
            float32 [photos]; empty if there are none.
    """

    detector: Detector = field(repr=False)
    rate: float
    distances: npt.NDArray[np.float32] = field(repr=False)
    rows: npt.NDArray[np.int64] = field(repr=False)
    test: npt.NDArray[np.float32] = field(repr=False)
    background: npt.NDArray[np.float32] = field(repr=False)
    strangers: npt.NDArray[np.float32] = field(repr=False)

    def __str__(self) -> str:
        shares = [f"{percent(refused(self.distances))} of {len(self.distances)} held-out training photos"]
        if len(self.test):
            shares.append(f"{percent(refused(self.test))} of {len(self.test)} test photos")
        if len(self.background):
            shares.append(f"{percent(refused(self.background))} of {len(self.background)} photos of the background")
        if len(self.strangers):
            shares.append(f"{percent(refused(self.strangers))} of {len(self.strangers)} strangers")
        return f"{', '.join(shares)} (asked for: {100 * self.rate:g} % of known photos)"

    def to_json(self) -> dict[str, Any]:
        """Return the requested rate and, for each set of photos, its size and the fraction rejected, as JSON values."""
        strangers = {"strangers": len(self.strangers), "strangers_refused": refused(self.strangers)}
        return {
            "rate": self.rate,
            "photos": len(self.distances),
            "refused": refused(self.distances),
            "test_photos": len(self.test),
            "test_refused": refused(self.test),
            "background_photos": len(self.background),
            "background_refused": refused(self.background),
            **(strangers if len(self.strangers) else {}),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class InnerOutputs:
    """Outputs of an inner layer (a layer in the middle of a fine-tuned backbone), averaged over all positions.

    Attributes:
        layer: name of the layer.
        photos: outputs for all photos of the classes, float32 [photos, channels].
        background, strangers: outputs for photos that belong to no class, from which the detector learns (background)
            or which only test it (strangers), float32 [photos, channels]; None if there are none.
    """

    layer: str
    photos: Matrix
    background: Matrix | None = None
    strangers: Matrix | None = None


@dataclass(frozen=True)
class _JointLimit:
    """Limits for two properties of a photo: its distance, and its logit for the class "background".

    A photo is unknown if max(distance / limit, factor * logit + offset) > 1.
    """

    limit: float
    factor: float
    offset: float

    def relative(self, distances: Array, logits: Array) -> Array:
        """Return max(distance / limit, factor * logit + offset) for each photo, float64 [photos]."""
        return np.asarray(np.maximum(distances / self.limit, logits * self.factor + self.offset))


def refused(distances: npt.NDArray[np.float32]) -> float | None:
    """Return the fraction of photos that are rejected; None if there are no photos.

    Args:
        distances: distances divided by the limit, float32 [photos]; photos with a value above 1 are rejected.
    """
    return float((distances > LIMIT).mean()) if len(distances) else None


def detect_unknown(
    data: TrainingData,
    rate: float,
    seed: int,
    *,
    background: Vectors | None = None,
    strangers: Vectors | None = None,
    tuned: Vectors | None = None,
    inner: InnerOutputs | None = None,
) -> UnknownDetection:
    """Fit a detector of unknown photos (photos that belong to no class) to the training photos, and calibrate it.

    It is calibrated so that it rejects about the fraction `rate` of new photos that belong to a class.

    Args:
        data: photos of the classes, with bottlenecks from the frozen backbone.
        rate: fraction of photos of the classes that may be rejected by mistake, 0 to 1.
        seed: random seed for the assignment of photos to folds.
        background: bottlenecks of photos such as the empty scene, from which the detector learns what to reject,
            float32 [photos, bottleneck_size], from the same backbone as the bottlenecks of the training photos; None if
            there are none.
        strangers: bottlenecks of arbitrary photos that belong to no class, for testing the detector, float32 [photos,
            bottleneck_size]; None if there are none. Their distances are part of the result, but nothing is learned
            from them.
        tuned: bottlenecks of all photos of the classes from a fine-tuned backbone, float32 [photos, bottleneck_size];
            None if the backbone is frozen.
        inner: outputs of a layer in the middle of the fine-tuned backbone, averaged over all positions; None to use
            only bottlenecks.

    Raises:
        DatasetError: there are fewer than MIN_PHOTOS training photos, or they are all in one group.
    """
    rows = _sample(data, data.rows("training"), seed)
    _, known, groups = data.sample(rows)
    vectors = data.vectors if tuned is None else tuned
    averages = None if inner is None else inner.photos
    units = _units(vectors, averages, rows)
    count = _FOLDS if units[0].shape[1] < _MANY_FEATURES else _FEWER_FOLDS
    fold = _folds(np.arange(len(rows)) if groups is None else groups.numbers, count, seed)
    if len(rows) < MIN_PHOTOS or not fold.any():
        raise DatasetError(
            f"{len(rows)} training photos are too few to tell photos that belong to no class; {MIN_PHOTOS} or more that"
            " are not copies of each other are needed."
        )
    model = SummedDistance.fit(units, known.classes, len(data.labels), inner.layer if inner else None)
    distances, judged = model.out_of_fold(units, known.classes, fold)
    validation = data.rows("validation")
    unseen = _units(vectors, averages, validation) if tuned is not None and len(validation) else None
    if unseen is not None:
        distances *= max(1.0, float(np.median(model.distances(unseen)) / np.median(distances[judged])))
    if background is None:
        limit, linear, of_background = upper_quantile(distances[judged], 1 - rate), None, np.zeros(0)
        relative = distances / limit
    else:
        outside = _units(background, inner.background if inner else None)
        fitted = fit_background(units[0], fold % _BACKGROUND_FOLDS, outside[0], seed)
        shift = 0.0 if unseen is None else float(np.median(fitted.model(unseen[0])) - np.median(fitted.known))
        logits, of_others = fitted.known + max(shift, 0.0), (model.distances(outside), fitted.background)
        joint = _joint_limit(distances[judged], logits[judged], rate, of_others)
        limit, linear = joint.limit, fitted.model.scaled(joint.factor, joint.offset)
        relative, of_background = joint.relative(distances, logits), joint.relative(*of_others)
    detector, test = model.detector(limit, linear), data.rows("test")
    return UnknownDetection(
        detector=detector,
        rate=rate,
        distances=np.asarray(relative[judged], np.float32),
        rows=rows[judged],
        test=detector.distances(np.asarray(take(vectors, test)[:]), None if averages is None else averages[test]),
        background=np.asarray(of_background, np.float32),
        strangers=np.zeros(0, np.float32)
        if strangers is None
        else detector.distances(np.asarray(strangers[:]), inner.strangers if inner else None),
    )


def _units(vectors: Vectors, averages: Matrix | None, rows: Folds | None = None) -> list[Array]:
    """Return the vectors of photos scaled to unit length: a list with one array for each vector per photo.

    Args:
        vectors: bottlenecks, float32 [all photos, bottleneck_size].
        averages: outputs of a layer in the middle of the backbone, averaged over height and width, float32 [all photos,
            channels]; None to use only bottlenecks.
        rows: row numbers of the photos; None for all photos.
    """
    if rows is not None:
        vectors, averages = take(vectors, rows), None if averages is None else averages[rows]
    return [unit_vectors(np.asarray(one[:])) for one in (vectors, averages) if one is not None]


def upper_quantile(distances: Array, quantile: float) -> float:
    """Return an upper quantile of distances, smoothed over neighboring quantiles.

    Each neighboring quantile is shifted to the requested one under the assumption that the logarithms of distances are
    normally distributed. The mean of the shifted values varies less from sample to sample than the quantile itself.
    """
    logarithms = np.log(np.maximum(distances, 1e-3 * max(float(np.median(distances)), 1e-12)))
    normal, spread = NormalDist(), float(logarithms.std(ddof=1))
    neighbors = np.unique(np.clip(quantile + _NEIGHBORS, 1 - _HIGHEST_QUANTILE, _HIGHEST_QUANTILE))
    steps = normal.inv_cdf(quantile) - np.array([normal.inv_cdf(one) for one in neighbors.tolist()])
    return float(np.exp((np.quantile(logarithms, neighbors) + steps * spread).mean()))


def _joint_limit(distances: Array, logits: Array, rate: float, background: tuple[Array, Array]) -> _JointLimit:
    """Return the limits for distances and logits that together reject a fraction of known photos.

    Each pair of weights in _WEIGHTS leads to one pair of limits. The first pair of limits that rejects nearly as many
    background photos as the best pair is returned (see _TOLERANCE).

    Args:
        distances: out-of-fold distances of known photos, float64 [photos].
        logits: out-of-fold logits of known photos for the class "background", float64 [photos].
        rate: fraction of known photos to be rejected, 0 to 1.
        background: distances and out-of-fold logits of background photos, both float64 [background photos].
    """
    limits = [_weighted_limit(distances, logits, rate, weights) for weights in _WEIGHTS]
    shares = [float((limit.relative(*background) > LIMIT).mean()) for limit in limits]
    return next(limit for limit, share in zip(limits, shares, strict=True) if share >= max(shares) - _TOLERANCE)


def _weighted_limit(distances: Array, logits: Array, rate: float, weights: tuple[float, float]) -> _JointLimit:
    """Return the limits that together reject the fraction `rate` of known photos, for a given pair of weights.

    Distances and logits are each scaled linearly so that the median becomes 0 and an upper quantile becomes 1. The
    fraction of known photos above the upper quantile is `rate` times the weight. The same limit then applies to the
    scaled distances and the scaled logits.

    Args:
        distances, logits: see `_joint_limit`.
        weights: weight for the distances, and weight for the logits.
    """
    middle, center = float(np.median(distances)), float(np.median(logits))
    reach = max(upper_quantile(distances, 1 - rate * weights[0]) - middle, 1e-9)
    spread = max(float(np.quantile(logits, 1 - rate * weights[1])) - center, 1e-9)
    worse = np.maximum((distances - middle) / reach, (logits - center) / spread)
    bound = max(float(np.quantile(worse, 1 - rate)), 1.0)
    limit = middle + bound * reach
    factor = reach / limit / spread
    return _JointLimit(limit, factor, 1 - reach / limit * bound - factor * center)


def _sample(data: TrainingData, rows: Folds, seed: int) -> Folds:
    """Return row numbers of photos for fitting: the given ones or, if there are too many, a random selection of them.

    At most _MAX_PHOTOS are selected, equally many of each class if possible. The result is sorted.
    """
    if len(rows) <= _MAX_PHOTOS:
        return rows
    rng, classes = np.random.default_rng([seed, 7]), data.photos.photos.classes[rows]
    shuffled = rng.permutation(len(rows))
    order = shuffled[np.argsort(classes[shuffled], kind="stable")]
    counts = np.bincount(classes, minlength=len(data.labels))
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(np.sort(rows[order[np.argsort(place, kind="stable")[:_MAX_PHOTOS]]]), np.int64)


def _folds(groups: Folds, folds: int, seed: int) -> Folds:
    """Return the fold of each photo, int64 [photos]; all photos of a group are in the same fold."""
    numbers = np.unique(groups, return_inverse=True)[1].reshape(-1)
    count = int(numbers.max()) + 1 if len(numbers) else 0
    of_group = np.random.default_rng([seed, 6]).permutation(count) % folds
    return np.asarray(of_group[numbers], np.int64)
