"""Distance of each training photo to the photos in the other folds (cross-validation of the unknown-photo detector).

The distance is defined in `poets_edge.training.mahalanobis`. For each fold, a model (class means and covariances) of
the photos outside the fold is derived from the model of all photos, which takes less time than fitting it from scratch:

- Its within-class scatter matrix, the sum of (u - mean_c)(u - mean_c)' over the photos u of all classes c, is that of
  all photos minus a few outer products.
- Its leading directions, in which the variance is largest, result from those of all photos by one step of subspace
  iteration.

The distances of most photos differ from exact ones by less than 1 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.training.mahalanobis import SMALLEST, Array, Classes, DistanceModel, Moments, distance_model

_EPSILON = float(np.finfo(np.float64).eps)
"""Lower bound for the squared lengths of vectors, relative to the longest one; smaller values are rounding errors."""


def out_of_fold_terms(
    units: Array, classes: Classes, fold: npt.NDArray[np.int64], moments: Moments, model: DistanceModel
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Compute each photo's class terms and shared term with a distance model of the photos in the other folds.

    The distance of a photo is the minimum of its class terms plus its shared term (see `DistanceModel.terms`).

    Args:
        units: unit vectors of the photos, float64 [photos, features].
        classes: class number of each photo.
        fold: number of the fold that contains each photo, from 0.
        moments: counts, sums and products of the unit vectors of all photos.
        model: distance model of all photos.

    Returns:
        A term for each class, float64 [photos, classes], infinite if the other folds have no photo of the class; the
        term that all classes share, float64 [photos]; and whether the other folds have photos of the photo's own class,
        bool [photos].
    """
    everything = _AllPhotos.of(units, classes, moments, model)
    to_classes = np.full((len(units), len(moments.counts)), np.inf)
    common, judged = np.empty(len(units)), np.zeros(len(units), np.bool_)
    for number in range(int(fold.max()) + 1):
        rows = np.flatnonzero(fold == number)
        others, counts = everything.without(rows)
        to_classes[np.ix_(rows, np.flatnonzero(counts > 0))], common[rows] = others.terms(units[rows])
        judged[rows] = counts[classes[rows]] > 0
    return to_classes, common, judged


@dataclass(frozen=True, kw_only=True, eq=False)
class _AllPhotos:
    """Statistics of all photos, from which distance models without some of the photos are computed.

    Attributes:
        counts: number of photos of each class, float64 [classes].
        means: mean unit vector of each class, float64 [classes, features].
        units: unit vectors of the photos, float64 [photos, features].
        classes: class number of each photo, int64 [photos].
        scatter: sum of the outer products of the differences between unit vectors and their class means, float64
            [features, features].
        step: product of `scatter` and `model.leading`, float64 [features, leading directions].
        model: distance model of all photos.
    """

    counts: Array
    means: Array
    units: Array
    classes: Classes
    scatter: Array
    step: Array
    model: DistanceModel

    @classmethod
    def of(cls, units: Array, classes: Classes, moments: Moments, model: DistanceModel) -> _AllPhotos:
        counts, means = moments.counts, moments.means
        scatter = moments.products - (means.T * counts) @ means
        return cls(
            counts=counts,
            means=means,
            units=units,
            classes=classes,
            scatter=scatter,
            step=scatter @ model.leading,
            model=model,
        )

    def without(self, rows: npt.NDArray[np.int64]) -> tuple[DistanceModel, Array]:
        """Return a distance model without the photos in `rows`, and the numbers of remaining photos, float64 [classes].

        `shrinkage` and `rest_weight` are copied from the model of all photos, so that the distances of both models are
        comparable.
        """
        classes = self.classes[rows]
        truth, residuals = np.eye(len(self.counts))[classes], self.units[rows] - self.means[classes]
        counts = self.counts - truth.sum(axis=0)
        present = counts > 0
        remaining = counts[present]
        shifts = (truth.T @ residuals)[present] / remaining[:, None]
        # The scatter matrix without these photos is the one of all photos minus removed' @ removed.
        removed = np.vstack([residuals, np.sqrt(remaining)[:, None] * shifts])
        features, freedom = removed.shape[1], max(float(remaining.sum()) - len(remaining), 1.0)
        squares = float(np.trace(self.scatter) - (removed * removed).sum())
        variance = max(squares / freedom, SMALLEST) / features
        means, shrinkage = self.means[present] - shifts, self.model.shrinkage
        # The covariance is shrunk, because its product with directions in which photos do not vary would be zero.
        multiplied = (1 - shrinkage) / freedom * (self.step - removed.T @ (removed @ self.model.leading))
        multiplied += shrinkage * variance * self.model.leading
        values, axes = np.linalg.eigh(multiplied.T @ multiplied)
        lengths = np.sqrt(np.maximum(values, _EPSILON * values[-1]))

        def covariance(basis: Array) -> Array:
            projected = removed @ basis
            return np.asarray((basis.T @ (self.scatter @ basis) - projected.T @ projected) / freedom)

        model = distance_model(
            counts=remaining,
            means=means,
            mean=remaining @ means / remaining.sum(),
            leading=multiplied @ (axes / lengths)[:, ::-1],
            covariance=covariance,
            variance=variance,
            shrinkage=shrinkage,
            rest_weight=self.model.rest_weight,
        )
        return model, counts
