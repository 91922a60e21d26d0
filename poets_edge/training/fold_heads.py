"""Fit the heads of many folds at once, by minimizing a loss directly instead of by random steps as in `train_head`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

import numpy as np

from poets_edge.core.parallel import run_parallel
from poets_edge.training.head import Head, HeadOptions, Indices, LabeledVectors, Matrix
from poets_edge.training.vectors import Vectors

MAX_EVALUATED = 20_000
"""Maximum number of photos that `train` cross-validates. If there are more, a random sample of this size is used. The
sample determines the accuracy to half a percentage point; evaluating a million photos would take hours and several
times as much memory as their vectors.
"""

_MAX_UPDATES = 300
_TOLERANCE = 3e-3
"""Norm of the gradient, relative to the norm of the first gradient, at which fitting stops. A value ten times smaller
changes accuracies by 0.1 percentage points.
"""
_MIN_HEADS = 3
"""Minimum number of heads that a thread fits at once, because fitting fewer heads takes longer per head."""
_ROWS_AT_ONCE = 1 << 12
_MAX_LOGITS = 1 << 22
"""Maximum product of the numbers of photos, classes and heads that all cores fit at once. It limits memory use."""


def training_rows(classes: Indices, rows: Indices) -> Indices:
    """Return `rows` or, if there are more than MAX_EVALUATED, a sorted random sample of at most that size.

    The sample has the same number of photos from each class, or all photos of a class that has fewer.

    Args:
        classes: class number of each photo, int64 [photos].
        rows: row numbers to choose from, ascending.
    """
    if len(rows) <= MAX_EVALUATED:
        return rows
    rng = np.random.default_rng(5)
    of_class = [rows[classes[rows] == number] for number in np.unique(classes[rows])]
    per_class = MAX_EVALUATED // len(of_class)
    return np.asarray(np.sort(np.concatenate([rng.permutation(some)[:per_class] for some in of_class])), np.int64)


def fold_heads(
    data: LabeledVectors, folds: Sequence[Indices], class_count: int, options: HeadOptions,
    rows: Indices | None = None,
) -> list[list[Head]]:  # fmt: skip
    """Fit a head for each fold of each assignment, to the photos of all other folds (or to a sample).

    Plain gradient descent that starts at zero and is stopped after `steps` steps of size `learning_rate` ends near the
    minimum of the loss with the penalty |weights|^2 / (2 steps learning_rate) (Ali, Dobriban and Tibshirani, "The
    implicit regularization of stochastic gradient flow for least squares", 2020; Ji and Telgarsky, "The implicit bias
    of gradient descent on nonseparable data", 2019). The loss counts every class equally, because `train_head` chooses
    the classes for its batches uniformly. That minimum is found by accelerated gradient descent, for many heads at
    once.

    Args:
        data: bottlenecks and classes of all photos.
        folds: assignments, each int64 [photos]; photos with NO_FOLD train every head.
        class_count: number of classes; a head rarely predicts a class without photos in the folds that it is fitted to.
        options: `steps` and `learning_rate` determine the penalty; the other options are not used.
        rows: row numbers of photos to learn from, ascending; by default all. If there are more than MAX_EVALUATED, a
            sample from `training_rows` is used.

    Returns:
        For each assignment, the heads for folds 0, 1, ... Results are bit-identical on one machine.
    """
    rows = training_rows(data.classes, np.arange(len(data.classes)) if rows is None else rows)
    classes, folds = data.classes[rows], [fold[rows] for fold in folds]
    inputs = _with_ones(data.vectors, rows)
    truth = np.eye(class_count, dtype=np.float32)[classes][:, :, None]
    penalty = np.float32(1 / (options.steps * options.learning_rate))
    sample_weights = np.concatenate([_sample_weights(classes, fold, class_count) for fold in folds], axis=1)
    preconditioner = _preconditioner(inputs, sample_weights.max(axis=1), penalty)
    # All cores of the machine, not only those allowed to this process: the number affects the last bits.
    count = os.cpu_count() or 1
    at_once = max(_MIN_HEADS, -(-sample_weights.shape[1] // count))
    at_once = min(at_once, max(1, _MAX_LOGITS // (len(truth) * class_count * count)))

    def fit(start: int, _: None) -> list[Head]:
        some = sample_weights[:, start : start + at_once]
        gradient = partial(_gradient, inputs, truth, some, penalty)
        weights = _minimize(gradient, preconditioner, some.shape[1] * class_count)
        by_head = weights.reshape(-1, class_count, some.shape[1])
        return [Head(by_head[:-1, :, k].copy(), by_head[-1, :, k].copy()) for k in range(some.shape[1])]

    starts = range(0, sample_weights.shape[1], at_once)
    rest = iter([head for _, heads in run_parallel(starts, lambda: None, fit) for head in heads])
    return [list(islice(rest, int(fold.max()) + 1)) for fold in folds]


def _with_ones(vectors: Vectors, rows: Indices) -> Matrix:
    """Return the vectors in the given rows, with an additional column of ones for the biases.

    The vectors are read in parts to save memory.
    """
    inputs = np.ones((len(rows), vectors.shape[1] + 1), np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        inputs[part, :-1] = vectors[rows[part]]
    return inputs


def _sample_weights(classes: Indices, fold: Indices, class_count: int) -> Matrix:
    """Return the weight of each photo in the loss of each fold's head, float32 [photos, folds].

    The weight is 0 in the photo's own fold, and otherwise inversely proportional to the size of the photo's class.
    """
    sample_weights = np.zeros((len(classes), int(fold.max()) + 1), np.float32)
    for number in range(sample_weights.shape[1]):
        learned = fold != number
        sizes = np.bincount(classes[learned], minlength=class_count)
        sample_weights[learned, number] = 1 / (sizes[classes[learned]] * np.count_nonzero(sizes))
    return sample_weights


def _gradient(inputs: Matrix, truth: Matrix, sample_weights: Matrix, penalty: np.float32, weights: Matrix) -> Matrix:
    """Return the gradient of the penalized loss of several heads, float32 [inputs, classes x heads]."""
    # Heads last: numpy runs along a long last axis many times as fast as along a short one.
    errors = (inputs @ weights).reshape(len(sample_weights), -1, sample_weights.shape[1])
    errors -= errors.max(axis=1, keepdims=True)
    np.exp(errors, out=errors)
    errors /= errors.sum(axis=1, keepdims=True)
    errors -= truth
    errors *= sample_weights[:, None, :]
    return np.asarray(inputs.T @ errors.reshape(len(sample_weights), -1) + penalty * weights, np.float32)


def _preconditioner(inputs: Matrix, sample_weights: Matrix, penalty: np.float32) -> Matrix:
    """Return the inverse of an upper bound on the second derivative of the loss, float32 [inputs, inputs].

    With inputs X and the sample weights in the diagonal matrix D, the second derivative of the loss of softmax
    regression is at most 1/2 X'DX for each class (Boehning, "Multinomial logistic regression algorithm", 1992), so
    steps with this inverse never overshoot, whatever the scale of the features is.
    """
    bound = 0.5 * ((inputs.T * sample_weights) @ inputs).astype(np.float64)
    bound[np.diag_indices_from(bound)] += float(penalty)
    return np.asarray(np.linalg.inv(bound), np.float32)


def _minimize(gradient: Callable[[Matrix], Matrix], preconditioner: Matrix, columns: int) -> Matrix:
    """Return the weights at which a gradient is approximately zero.

    They are found by Nesterov's accelerated gradient descent with restarts (O'Donoghue and Candes, "Adaptive restart
    for accelerated gradient schemes", 2015).
    """
    weights = ahead = np.zeros((len(preconditioner), columns), np.float32)
    momentum, first = 1.0, 0.0
    for _ in range(_MAX_UPDATES):
        slope = gradient(ahead)
        length = float(np.linalg.norm(slope))
        first = first or length
        if length <= _TOLERANCE * first:
            break
        updated = ahead - preconditioner @ slope
        if float(np.vdot(slope, updated - weights)) > 0:
            momentum = 1.0
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = updated + np.float32((momentum - 1) / following) * (updated - weights)
        weights, momentum = updated, following
    return weights
