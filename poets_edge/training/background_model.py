"""Logistic regression that tells photos of a background from training photos, by bottlenecks of unit length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.training.fold_heads import fold_heads
from poets_edge.training.head import Head, HeadOptions, LabelledVectors
from poets_edge.training.mahalanobis import Array, LinearModel

_LENGTH = 15.0
"""Length to which vectors are scaled, which is about that of bottlenecks, so that the penalty suits them."""
_OPTIONS = HeadOptions(steps=400)
"""Options that determine the penalty. With a tenth of it, no more strangers are refused."""


@dataclass(frozen=True, eq=False)
class FittedBackground:
    """A linear function that is high for photos of the background, and its out-of-fold values.

    Attributes:
        model: mean of the functions that were fitted to the photos of the other folds.
        known: value of each training photo, by the function that was fitted without its fold, float64 [photos].
        background: such values of the photos of the background, float64 [background photos].
    """

    model: LinearModel
    known: Array
    background: Array


def fit_background(units: Array, fold: npt.NDArray[np.int64], background: Array, seed: int) -> FittedBackground:
    """Fit a logistic regression for each fold of the training photos.

    Args:
        units: unit vectors of the training photos, float64 [photos, features].
        fold: fold of each training photo, int64 [photos], from 0.
        background: unit vectors of the photos of the background, float64 [background photos, features].
        seed: seed of the assignment of the background to folds.
    """
    count = int(fold.max()) + 1
    of_background = np.random.default_rng([seed, 8]).permutation(len(background)) % count
    vectors = np.asarray(np.concatenate([units, background]) * _LENGTH, np.float32)
    classes = np.repeat(np.array([0, 1], np.int64), [len(units), len(background)])
    data = LabelledVectors(vectors, classes)
    [heads] = fold_heads(data, [np.concatenate([fold, of_background])], 2, _OPTIONS)
    models = [_linear(head) for head in heads]
    known, others = np.empty(len(units)), np.empty(len(background))
    for number, model in enumerate(models):
        known[fold == number] = model(units[fold == number])
        others[of_background == number] = model(background[of_background == number])
    weights = np.mean([model.weights for model in models], axis=0)
    return FittedBackground(LinearModel(weights, float(np.mean([model.bias for model in models]))), known, others)


def _linear(head: Head) -> LinearModel:
    """Return the logit of the background as a function of unit vectors."""
    weights, biases = head.weights.astype(np.float64), head.biases.astype(np.float64)
    return LinearModel((weights[:, 1] - weights[:, 0]) * _LENGTH, float(biases[1] - biases[0]))
