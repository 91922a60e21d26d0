"""Sum of the distances of one or two vectors of a photo: its bottleneck, and the averaged output of an inner layer.

The squared Mahalanobis distances to a class are added before the nearest class is determined, as if the covariance
between the two vectors were zero (Lee et al., "A simple unified framework for detecting out-of-distribution samples and
adversarial attacks", 2018, also combine several layers). The inner layer is used if the backbone is fine-tuned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.nets.detector import Detector, merged
from poets_edge.training.fold_distances import out_of_fold_terms
from poets_edge.training.mahalanobis import (
    Array,
    Classes,
    DistanceModel,
    LinearModel,
    Moments,
    fit_distance,
    fourth_moment,
)


@dataclass(frozen=True, eq=False)
class SummedDistance:
    """Distance models of the bottleneck and of the averaged output of the inner layer, if there is one.

    Methods accept the unit vectors of photos as a sequence of arrays, float64 [photos, features], one per model.

    Attributes:
        models: the models, each fitted to the training photos.
        moments: moments of the training photos, for each model.
        layer: name of the inner layer; None if there is one model.
    """

    models: tuple[DistanceModel, ...]
    moments: tuple[Moments, ...]
    layer: str | None = None

    @classmethod
    def fit(
        cls, units: Sequence[Array], classes: Classes, class_count: int, layer: str | None = None
    ) -> SummedDistance:
        """Fit the models to the unit vectors and classes of the training photos."""
        moments = tuple(Moments.of(some, classes, class_count) for some in units)
        models = [
            fit_distance(one, fourth_moment(some, classes, one)) for some, one in zip(units, moments, strict=True)
        ]
        return cls(tuple(models), moments, layer)

    def distances(self, units: Sequence[Array]) -> Array:
        """Return the distance of each photo, float64 [photos]."""
        return _summed([model.terms(some) for model, some in zip(self.models, units, strict=True)])

    def out_of_fold(
        self, units: Sequence[Array], classes: Classes, fold: npt.NDArray[np.int64]
    ) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return the distance of each training photo, computed with models of the photos in the other folds.

        Args:
            units: unit vectors of the training photos.
            classes: class number of each photo.
            fold: fold of each photo, from 0.

        Returns:
            The distances, float64 [photos]; and whether the other folds have photos of the photo's own class, bool
            [photos].
        """
        found = [
            out_of_fold_terms(some, classes, fold, moments, model)
            for some, moments, model in zip(units, self.moments, self.models, strict=True)
        ]
        return _summed([(to_classes, common) for to_classes, common, _ in found]), found[0][2]

    def detector(self, limit: float, background: LinearModel | None) -> Detector:
        """Return the detector that computes max(0, distance / limit, background).

        Args:
            limit: distance above which a photo is unknown.
            background: linear function of the bottleneck's unit vector that is above 1 for photos like the background
                photos; None if there are no background photos.
        """
        detector = self.models[0].detector(limit, background)
        return detector if self.layer is None else merged(detector, self.layer, self.models[1].detector(limit))


def _summed(terms: Sequence[tuple[Array, Array]]) -> Array:
    """Return distances, float64 [photos], from their terms; see `DistanceModel.terms`."""
    (to_classes, common), *rest = terms
    for more, other in rest:
        to_classes, common = to_classes + more, common + other
    return np.asarray(to_classes.min(axis=1) + common)
