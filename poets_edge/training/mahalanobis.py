"""Distance of photos from the training photos, computed from bottlenecks scaled to unit length.

For a photo with the bottleneck u of unit length, the distance is

    min over classes c of (u - mean_c)' W^-1 (u - mean_c)  -  0.8 (u - mean)' T^-1 (u - mean)

W is the covariance within the classes, and T is the covariance of all photos together. The first term is the squared
Mahalanobis distance to the nearest class (Lee et al., "A simple unified framework for detecting out-of-distribution
samples and adversarial attacks", 2018), computed from unit vectors (Mueller and Hein, "Mahalanobis++", 2025). The
second term reduces the weight of directions in which all training photos vary (Ren et al., "A simple fix to Mahalanobis
distance for improving near-OOD detection", 2021).

A few hundred photos cannot determine a covariance of hundreds of features. W is therefore shrunk towards a multiple of
the identity (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004), and is
used only in the directions of its largest variances and in the directions between the class means. The remaining
directions share one variance, and both terms together have a smaller weight there, which depends on the number of
photos. The distance is therefore a quadratic function of a few projections, which `poets_edge.nets.detector` adds to a
graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.nets.detector import EPSILON, Detector

Array = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]

DIRECTIONS = 24
"""Number of directions of largest variance for which a separate variance is estimated."""
_MEAN_DIRECTIONS = 32
"""Maximum number of directions that are added for the differences between class means."""
_DISCOUNT = 0.8
"""Weight with which the squared distance to the mean of all photos is subtracted from the squared distance to the
nearest class mean. Values from 0.8 to 1 lead to about equal results."""
_REST, _LEAST_REST, _MOST_REST = 16.0, 0.08, 0.2
"""Parameters for the weight of the squared distance in the directions that share one variance. The weight is _REST
divided by the number of photos, but at least _LEAST_REST and at most _MOST_REST. With a smaller weight, more unknown
photos that resemble the classes are rejected. If there are few training photos, however, fewer dissimilar photos are
then rejected, because the directions with separate variances are less certain."""
_EXTRA, _ITERATIONS = 16, 8
"""Parameters of the subspace iteration: number of additional directions, and number of steps."""
SMALLEST = 1e-9
"""Lower bound for the product of the number of features and the variance in any direction. Differences between class
means that are shorter than the square root of this value are ignored."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Counts, sums and products of unit vectors, from which means and covariances are computed.

    Attributes:
        counts: number of photos of each class, float64 [classes].
        sums: sum of the unit vectors of each class, float64 [classes, features].
        products: sum of the outer products of all unit vectors, float64 [features, features].
    """

    counts: Array
    sums: Array
    products: Array

    @classmethod
    def of(cls, units: Array, classes: Classes, class_count: int) -> Moments:
        """Compute the counts, sums and products of unit vectors, float64 [photos, features], with the given classes."""
        truth = np.eye(class_count)[classes]
        return cls(truth.sum(axis=0), truth.T @ units, units.T @ units)

    @property
    def means(self) -> Array:
        """Mean unit vector of each class, float64 [classes, features]; zeros for a class without photos."""
        return np.asarray(self.sums / np.maximum(self.counts, 1)[:, None])


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear function of unit vectors, u @ weights + bias, with weights float64 [features]."""

    weights: Array
    bias: float

    def __call__(self, units: Array) -> Array:
        """Return the value of the function for each unit vector, float64 [photos]."""
        return np.asarray(units @ self.weights + self.bias)

    def scaled(self, factor: float, offset: float) -> LinearModel:
        """Return the linear function u -> factor * self(u) + offset."""
        return LinearModel(self.weights * factor, self.bias * factor + offset)


@dataclass(frozen=True, eq=False)
class DistanceModel:
    """Means and covariances that determine the distance of a photo from the training photos.

    Attributes:
        mean: mean of all unit vectors, [features].
        basis: orthonormal directions, [features, directions].
        means: class means minus `mean`, as coordinates in the basis, [classes, directions].
        within, total: inverses of the covariance within the classes (W) and of the covariance of all photos (T), both
            in the basis, [directions, directions].
        leading: orthonormal directions of the largest variances, in descending order, [features, leading directions];
            the first DIRECTIONS of them are part of the basis.
        rest: variance in each direction outside of the basis.
        rest_weight: weight of the squared distance outside of the basis.
        shrinkage: weight of the identity in the shrinkage estimate of W, 0 to 1.
    """

    mean: Array
    basis: Array
    means: Array
    within: Array
    total: Array
    leading: Array
    rest: float
    rest_weight: float
    shrinkage: float

    def distances(self, units: Array) -> Array:
        """Return the distance for each unit vector, float64 [photos]; distances can be negative."""
        to_classes, common = self.terms(units)
        return np.asarray(to_classes.min(axis=1) + common)

    def terms(self, units: Array) -> tuple[Array, Array]:
        """Return the class terms of each photo, float64 [photos, classes], and its shared term, float64 [photos].

        The distance of a photo is the minimum of its class terms plus its shared term. A class term is the squared
        Mahalanobis distance to the class mean, in the directions of the basis. The shared term is the weighted squared
        distance outside of the basis, minus 0.8 times the squared Mahalanobis distance to the mean of all photos.
        """
        centered = units - self.mean
        inside = centered @ self.basis
        outside = (centered * centered).sum(axis=1) - (inside * inside).sum(axis=1)
        factor = np.linalg.cholesky(self.within)
        to_classes = (((inside[:, None] - self.means) @ factor) ** 2).sum(axis=2)
        everything = ((inside @ self.total) * inside).sum(axis=1)
        return to_classes, np.asarray(self.rest_weight * outside / self.rest - _DISCOUNT * everything)

    def detector(self, limit: float, background: LinearModel | None = None) -> Detector:
        """Return the detector that computes max(0, distance / limit, background); values above 1 mean "unknown".

        Args:
            limit: distance above which a photo is unknown.
            background: linear function of unit vectors that is above 1 for photos like the background photos; None if
                there are no background photos.
        """
        # In the basis the distance is z'Az + linear terms, and |u - mean|^2 = 1 + |mean|^2 - 2 u'mean; the eigenvectors
        # of A turn z'Az into a sum of squares.
        common = self.rest_weight / self.rest
        curvature = self.within - _DISCOUNT * self.total - common * np.eye(len(self.within))
        quadratic, axes = np.linalg.eigh(curvature)
        directions = len(quadratic)
        extra = [-2 * common * self.mean, *([background.weights] if background else [])]
        # Columns of unit length, so that half precision is as exact for them as for the others.
        sizes = [max(float(np.linalg.norm(column)), SMALLEST) for column in extra]
        projection = np.column_stack([self.basis @ axes, *(one / size for one, size in zip(extra, sizes, strict=True))])
        others = np.zeros(len(extra))
        linear = np.zeros((projection.shape[1], len(self.means)))
        linear[:directions] = -2 * axes.T @ self.within @ self.means.T
        linear[directions] = sizes[0]
        squares = ((self.means @ self.within) * self.means).sum(axis=1)
        biases = squares + common * (1 + float(self.mean @ self.mean))
        to_background = np.zeros(projection.shape[1])
        if background:
            to_background[-1] = sizes[-1]
        return Detector(
            projection=np.asarray(projection, np.float32),
            offsets=np.asarray(np.append(-(self.mean @ self.basis @ axes), others), np.float32),
            quadratic=np.asarray(np.append(quadratic, others) / limit, np.float32),
            linear=np.asarray(-linear / limit, np.float32),
            biases=np.asarray(-biases / limit, np.float32),
            background=np.asarray(to_background, np.float32),
            background_bias=np.array([background.bias if background else 0], np.float32),
        )


def unit_vectors(bottlenecks: npt.NDArray[np.float32]) -> Array:
    """Scale bottlenecks to unit length, as in `Detector.distances`; return float64 [photos, bottleneck_size]."""
    wide = bottlenecks.astype(np.float64)
    return np.asarray(wide / np.sqrt((wide * wide).sum(axis=1, keepdims=True) + EPSILON))


def fourth_moment(units: Array, classes: Classes, moments: Moments) -> float:
    """Return the mean fourth power of the Euclidean distances between unit vectors and their class means."""
    residuals = units - moments.means[classes]
    return float(((residuals * residuals).sum(axis=1) ** 2).mean())


def fit_distance(moments: Moments, fourth: float) -> DistanceModel:
    """Fit a distance model (means and covariances) to photos, given sums over these photos.

    Args:
        moments: counts, sums and products of the photos' unit vectors; at least one photo.
        fourth: mean fourth power of the distances to the class means, from `fourth_moment`; determines the shrinkage.
    """
    present = moments.counts > 0
    counts, features = moments.counts[present], moments.products.shape[0]
    photos, means = float(counts.sum()), moments.means[present]
    freedom = max(photos - len(counts), 1.0)

    def multiply(directions: Array) -> Array:
        """Return the product of the within-class covariance and the given directions."""
        return np.asarray((moments.products @ directions - (means.T * counts) @ (means @ directions)) / freedom)

    squares = float(np.trace(moments.products)) - float((counts * (means * means).sum(axis=1)).sum())
    variance = max(squares / freedom / features, SMALLEST / features)
    covariance = (moments.products - (means.T * counts) @ means) / freedom
    return distance_model(
        counts=counts,
        means=means,
        mean=moments.sums.sum(axis=0) / photos,
        leading=_leading_directions(multiply, features),
        covariance=lambda basis: basis.T @ multiply(basis),
        variance=variance,
        shrinkage=_ledoit_wolf(covariance, variance, photos, fourth),
        rest_weight=min(max(_REST / photos, _LEAST_REST), _MOST_REST),
    )


def distance_model(
    *,
    counts: Array,
    means: Array,
    mean: Array,
    leading: Array,
    covariance: Callable[[Array], Array],
    variance: float,
    shrinkage: float,
    rest_weight: float,
) -> DistanceModel:
    """Choose the basis of a distance model, compute the covariances in it, and return the model.

    Args:
        counts: number of photos of each class, all above 0, float64 [classes].
        means: mean unit vector of each class, float64 [classes, features].
        mean: mean of all unit vectors, float64 [features].
        leading: orthonormal directions of the largest variances, in descending order, float64 [features, directions].
        covariance: function that returns the covariance within the classes in a basis, without shrinkage, float64
            [directions, directions].
        variance: mean of the variances within the classes in all directions.
        shrinkage, rest_weight: see `DistanceModel`.
    """
    features = len(mean)
    largest, between = leading[:, : min(DIRECTIONS, features - 1)], means - mean
    basis = np.hstack([largest, _between(between, largest)])
    directions = basis.shape[1]
    within = (1 - shrinkage) * covariance(basis) + shrinkage * variance * np.eye(directions)
    within += np.eye(directions) * SMALLEST / features
    rest = (variance * features - float(np.trace(within))) / max(features - directions, 1)
    inside = between @ basis
    total = within + (inside.T * (counts / float(counts.sum()))) @ inside
    return DistanceModel(
        mean=mean,
        basis=basis,
        means=inside,
        within=np.asarray(np.linalg.inv(within), np.float64),
        total=np.linalg.inv(total),
        leading=leading,
        rest=max(rest, SMALLEST / features),
        rest_weight=rest_weight,
        shrinkage=shrinkage,
    )


def _ledoit_wolf(covariance: Array, variance: float, photos: float, fourth: float) -> float:
    """Return the weight of the identity in the Ledoit-Wolf estimate of a covariance, 0 to 1."""
    features, squares = len(covariance), float((covariance * covariance).sum())
    spread = squares / features - variance**2
    error = max(0.0, (fourth - squares) / photos / features)
    return min(1.0, error / spread) if spread > 0 else 1.0


def _leading_directions(multiply: Callable[[Array], Array], features: int) -> Array:
    """Return orthonormal directions with the largest variances, in descending order, by subspace iteration.

    Args:
        multiply: function that returns the product of the covariance and given directions, [features, directions].

    Returns:
        An array [features, directions], with _EXTRA more directions than the basis needs if there are enough features.
        The last ones are less exact.
    """
    width = min(min(DIRECTIONS, features - 1) + _EXTRA, features)
    directions = np.random.default_rng(0).standard_normal((features, width))
    for _ in range(_ITERATIONS):
        directions = np.linalg.qr(multiply(directions))[0]
    axes = np.linalg.eigh(directions.T @ multiply(directions))[1]
    return np.asarray(directions @ axes[:, ::-1])


def _between(between: Array, largest: Array) -> Array:
    """Return orthonormal directions that span the differences between class means, apart from those in `largest`.

    Args:
        between: class means minus the mean of all photos, float64 [classes, features].
        largest: orthonormal directions that are already in the basis, float64 [features, directions].

    Returns:
        At most 32 directions, orthogonal to those in `largest`, float64 [features, directions].
    """
    outside = between - between @ largest @ largest.T
    _, lengths, axes = np.linalg.svd(outside, full_matrices=False)
    count = min(int((lengths > np.sqrt(SMALLEST)).sum()), len(between) - 1, _MEAN_DIRECTIONS)
    return np.asarray(axes[:count].T)
