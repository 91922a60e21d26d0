"""Distance of photos to the training photos, from bottlenecks and, after fine-tuning, from a second vector per photo.

The second vector is the averaged output of an inner layer (a layer in the middle of the backbone). The squared
Mahalanobis distances of both vectors to a class are added before the nearest class is determined, as if the covariance
between the two vectors were zero (Lee et al., "A simple unified framework for detecting out-of-distribution samples and
adversarial attacks", 2018, also combine several layers).
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
    """Distance of photos to the training photos: the sum over one or two vectors of each photo.

    The first vector is the bottleneck. The second, used after fine-tuning, is the averaged output of an inner layer (a
    layer in the middle of the backbone). Each has a distance model of its own. Methods accept the unit vectors of
    photos as a list with one array per model, float64 [photos, features].

    Attributes:
        models: distance models, each fitted to the training photos.
        moments: for each model, the counts, sums and products of the training photos' unit vectors.
        layer: name of the inner layer; None if there is only the model of the bottlenecks.
    """

    models: tuple[DistanceModel, ...]
    moments: tuple[Moments, ...]
    layer: str | None = None

    @classmethod
    def fit(
        cls, units: Sequence[Array], classes: Classes, class_count: int, layer: str | None = None
    ) -> SummedDistance:
        """Fit a distance model to each kind of vector, given the unit vectors and classes of the training photos.

        Args:
            units: bottlenecks and, optionally, outputs of a layer in the middle of the backbone, averaged over height
                and width; each scaled to unit length, float64 [photos, features].
            classes: class number of each photo, [photos].
            class_count: number of classes.
            layer: name of that layer, if its outputs are given.
        """
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
        """Return the distance of each training photo to the photos in the other folds.

        For each fold, distance models without the photos in the fold are computed.

        Args:
            units: unit vectors of the training photos.
            classes: class number of each photo.
            fold: number of the fold that contains each photo, from 0.

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
        """Return the detector that computes max(0, distance / limit, background); values above 1 mean "unknown".

        Args:
            limit: distance above which a photo is unknown.
            background: linear function of the bottleneck's unit vector that is above 1 for photos like the background
                photos; None if there are no background photos.
        """
        detector = self.models[0].detector(limit, background)
        return detector if self.layer is None else merged(detector, self.layer, self.models[1].detector(limit))


def _summed(terms: Sequence[tuple[Array, Array]]) -> Array:
    """Return the distance of each photo, float64 [photos]: the sum over one or more distance models.

    Args:
        terms: for each model, the class terms and the shared term of each photo (see `DistanceModel.terms`).
    """
    (to_classes, common), *rest = terms
    for more, other in rest:
        to_classes, common = to_classes + more, common + other
    return np.asarray(to_classes.min(axis=1) + common)
