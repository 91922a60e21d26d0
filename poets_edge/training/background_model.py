"""Logistic regression that separates background photos from training photos by their unit-length bottlenecks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.training.fold_heads import fold_heads
from poets_edge.training.head import Head, HeadOptions, LabeledVectors
from poets_edge.training.mahalanobis import Array, LinearModel

_LENGTH = 15.0
"""Length to which unit vectors are scaled before fitting. Unscaled bottlenecks, for which the penalty on the weights
was chosen, have about this length."""
_OPTIONS = HeadOptions(steps=400)
"""Options for fitting the logistic regression. The number of steps determines the penalty on the weights; with a
penalty ten times smaller, the detector would not reject more unknown photos."""


@dataclass(frozen=True, eq=False)
class FittedBackground:
    """A linear function with high values for background photos, and its out-of-fold values.

    Attributes:
        model: mean of linear functions, each fitted without the photos in one fold.
        known: out-of-fold values for the training photos: each is from the function that was fitted without the photo's
            fold, float64 [photos].
        background: out-of-fold values for the background photos, float64 [background photos].
    """

    model: LinearModel
    known: Array
    background: Array


def fit_background(units: Array, fold: npt.NDArray[np.int64], background: Array, seed: int) -> FittedBackground:
    """Fit logistic regressions that separate background photos from training photos, by cross-validation.

    For each fold, one is fitted without the photos in the fold, which are then evaluated with it. The mean of these
    functions and the out-of-fold values are returned.

    Args:
        units: unit vectors of the training photos, float64 [photos, features].
        fold: number of the fold that contains each training photo, int64 [photos], from 0.
        background: unit vectors of the background photos, float64 [background photos, features].
        seed: random seed for assigning background photos to folds.
    """
    count = int(fold.max()) + 1
    of_background = np.random.default_rng([seed, 8]).permutation(len(background)) % count
    vectors = np.asarray(np.concatenate([units, background]) * _LENGTH, np.float32)
    classes = np.repeat(np.array([0, 1], np.int64), [len(units), len(background)])
    data = LabeledVectors(vectors, classes)
    [heads] = fold_heads(data, [np.concatenate([fold, of_background])], 2, _OPTIONS)
    models = [_linear(head) for head in heads]
    known, others = np.empty(len(units)), np.empty(len(background))
    for number, model in enumerate(models):
        known[fold == number] = model(units[fold == number])
        others[of_background == number] = model(background[of_background == number])
    weights = np.mean([model.weights for model in models], axis=0)
    return FittedBackground(LinearModel(weights, float(np.mean([model.bias for model in models]))), known, others)


def _linear(head: Head) -> LinearModel:
    """Convert a head with two classes to a linear function of unit vectors: the log odds of the class "background"."""
    weights, biases = head.weights.astype(np.float64), head.biases.astype(np.float64)
    return LinearModel((weights[:, 1] - weights[:, 0]) * _LENGTH, float(biases[1] - biases[0]))
