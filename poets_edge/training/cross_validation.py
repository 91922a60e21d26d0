"""Cross-validation of a head on cached bottlenecks: an accuracy estimate from all photos.

A test set of a tenth of the photos is small: on 1,000 photos it leaves an accuracy uncertain by 7 points either way.
Here the photos are assigned to folds, and each fold is evaluated by a head that was fitted to all other folds. One
assignment is not enough to rank models that are a point apart: another assignment changes the result of 1 photo in 20.
Therefore the results of several assignments are averaged. `train`, `grid` and `audit` use these results.

The estimated quantity is the accuracy, on similar photos, of the head that `train` trains. The estimate differs
from it in three small ways:

- Each head learns from the fraction (folds - 1) / folds of the photos: with 5 folds as many as `train` uses by default.
- The head is not trained by thousands of random steps but computed directly as their limit (see `fold_heads`).
  `benchmarks/results/cross_validation.md` compares the two on 16 architectures.
- The interval is that of a fraction of independent photos. It does not include that the heads share most of their
  photos, and that another folder of photos would give other heads (there is no unbiased estimate of that: Bengio and
  Grandvalet, "No unbiased estimator of the variance of k-fold cross-validation", 2004).

All folds use one backbone, which has learned from none of these photos.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.parallel import run_parallel
from poets_edge.device.metrics import wilson_interval
from poets_edge.device.predictions import Predictions
from poets_edge.photos.folds import DEFAULT_FOLDS, NO_FOLD, Folds, assign_folds
from poets_edge.photos.table import HashedPhoto, HashedPhotos, PhotoTable, class_numbers
from poets_edge.training.head import Head, HeadOptions, Indices, LabelledVectors, Matrix
from poets_edge.training.vectors import Vectors, take

REPEATS = 4
"""Number of assignments to folds. On the 1,000 flowers of the benchmark, the ranking of the 16 MobileNets agrees with
that on new photos with a Kendall's tau of 0.81 to 0.91 for one assignment, and 0.88 for four."""

MAX_EVALUATED = 20_000
"""Maximum number of photos that `train` cross-validates. Of more photos, a random sample of this size is used: it gives
the accuracy to half a point; a million photos would take hours and several times the memory of their vectors."""

_MAX_UPDATES = 300
_TOLERANCE = 3e-3
"""Norm of the gradient at which to stop, relative to the first one. A tenth of it changes accuracies by 0.1 points."""
_MIN_HEADS = 3
"""Minimum number of heads that a thread fits together: fewer take longer per head."""
_ROWS_AT_ONCE = 1 << 12
_MAX_LOGITS = 1 << 22
"""Maximum of photos x classes x heads fitted at once, on all cores: bounds memory."""


@dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold predictions of all photos that have a fold.

    Attributes:
        labels: class names, in the order of class numbers.
        folds: the first assignment of photos to folds.
        photos: the evaluated photos.
        scores: float32 [repeats, photos, classes]; each by a head that did not learn from the photo.
    """

    labels: tuple[str, ...]
    folds: Folds
    photos: PhotoTable
    scores: Matrix

    @property
    def truth(self) -> Indices:
        """Class number of each evaluated photo, int64 [photos]."""
        return class_numbers(self.photos, self.labels)

    @property
    def right(self) -> Indices:
        """Number of correct predictions for each photo, int64 [photos], 0 to the number of repeats."""
        return np.asarray((self.scores.argmax(axis=2) == self.truth).sum(axis=0), np.int64)

    @property
    def scored(self) -> Predictions:
        """The predictions, with scores averaged over the repeats."""
        return Predictions(self.photos, np.asarray(self.scores.mean(axis=0), np.float32), ())

    @property
    def count(self) -> int:
        """Number of evaluated photos."""
        return len(self.photos)

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy from 0 to 1, averaged over photos and repeats."""
        return float(self.right.mean()) / len(self.scores)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy, for `count` independent photos."""
        return wilson_interval(self.accuracy * self.count, self.count)

    @property
    def confusion(self) -> npt.NDArray[np.float64]:
        """Confusion matrix averaged over the repeats, float64 [true class, predicted class]."""
        matrix = np.zeros((len(self.labels), len(self.labels)))
        for answers in self.scores.argmax(axis=2):
            np.add.at(matrix, (self.truth, answers), 1 / len(self.scores))
        return matrix

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form. Photos that are not listed were classified correctly in every repeat."""
        confusion, means, right = self.confusion, self.scores.mean(axis=0), self.right
        evaluated = confusion.sum(axis=1)
        low, high = self.interval
        return {
            "folds": self.folds.count,
            "folds_wanted": self.folds.requested,
            "repeats": len(self.scores),
            "photos": self.count,
            "accuracy": self.accuracy,
            "interval95": [low, high],
            "recall": {
                label: float(confusion[index, index] / evaluated[index]) if evaluated[index] else None
                for index, label in enumerate(self.labels)
            },
            "confusion": confusion.round(4).tolist(),
            "not_always_right": [
                {
                    "photo": self.photos.names[row],
                    "right": int(right[row]),
                    "answer": self.labels[int(means[row].argmax())],
                    "score": float(means[row].max()),
                }
                for row in np.flatnonzero(right < len(self.scores)).tolist()
            ],
        }


@dataclass(frozen=True)
class FoldAssignment:
    """Photos assigned to folds, with the head of each fold.

    Attributes:
        fold: fold of each photo, int64 [photos]; NO_FOLD for photos that train every head.
        heads: one per fold, fitted to the photos of all other folds.
    """

    fold: Indices
    heads: tuple[Head, ...]

    def scores(self, vectors: Vectors) -> Matrix:
        """Return out-of-fold scores of the photos that have a fold, float32 [evaluated photos, classes].

        Args:
            vectors: bottlenecks of all photos, float32 [photos, bottleneck_size]; either the ones that the heads were
                fitted to, or others of the same photos, as from an int8 backbone.
        """
        found = np.empty((len(vectors), len(self.heads[0].biases)), np.float32)
        for number, head in enumerate(self.heads):
            rows = np.flatnonzero(self.fold == number)
            found[rows] = head.scores(take(vectors, rows))
        return np.asarray(found[self.fold != NO_FOLD], np.float32)


def cross_validate(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], options: HeadOptions,
    requested: int = DEFAULT_FOLDS,
) -> CrossValidation:  # fmt: skip
    """Evaluate every photo by heads that were fitted without it.

    Args:
        vectors: bottlenecks of the photos, float32 [photos, bottleneck_size].
        labels: sorted class names, which include all classes of the photos.
        options: options of the head that `train` would train.
        requested: number of folds, 2 or more; limited by the number of photos in the smallest class.

    Raises:
        DatasetError: no class has two photos that are not copies or variants of each other.
    """
    folds, assignments = fit_folds(photos, vectors, labels, options, requested)
    return evaluate_folds(photos, vectors, labels, folds, assignments)


def sample_rows(rows: Indices, seed: int) -> Indices:
    """Return `rows`, or a sorted random sample of MAX_EVALUATED if there are more, int64 [photos]."""
    if len(rows) <= MAX_EVALUATED:
        return rows
    chosen = np.random.default_rng([seed, 5]).permutation(len(rows))[:MAX_EVALUATED]
    return np.asarray(rows[np.sort(chosen)])


def training_rows(classes: Indices, rows: Indices) -> Indices:
    """Return `rows`, or a sorted random sample of up to MAX_EVALUATED of them with equal numbers of each class.

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


def fit_folds(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], options: HeadOptions,
    requested: int = DEFAULT_FOLDS,
) -> tuple[Folds, list[FoldAssignment]]:  # fmt: skip
    """Assign photos to folds and fit the heads, the first half of `cross_validate`.

    Returns:
        The first assignment, and each of the REPEATS assignments with its heads.
    """
    hashed = HashedPhotos.of(photos)
    folds = assign_folds(hashed, requested, repeats=REPEATS)
    classes = class_numbers(hashed.photos, labels)
    heads = fold_heads(LabelledVectors(vectors, classes), [one.assignment for one in folds], len(labels), options)
    return folds[0], [FoldAssignment(one.assignment, tuple(of)) for one, of in zip(folds, heads, strict=True)]


def evaluate_folds(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], folds: Folds,
    assignments: Sequence[FoldAssignment],
) -> CrossValidation:  # fmt: skip
    """Evaluate fitted heads, the second half of `cross_validate`; for `vectors` see `FoldAssignment.scores`."""
    evaluated = HashedPhotos.of(photos).photos.take(np.flatnonzero(folds.assignment != NO_FOLD))
    return CrossValidation(labels, folds, evaluated, np.stack([one.scores(vectors) for one in assignments]))


def fold_heads(
    data: LabelledVectors, folds: Sequence[Indices], class_count: int, options: HeadOptions,
    rows: Indices | None = None,
) -> list[list[Head]]:  # fmt: skip
    """Fit a head for each fold of each assignment, to the photos of all other folds (or to `training_rows` of them).

    Plain gradient descent that starts at zero and is stopped after `steps` steps of size `learning_rate` arrives about
    where the loss with the penalty |weights|^2 / (2 steps learning_rate) has its minimum (Ali, Dobriban and
    Tibshirani, "The implicit regularization of stochastic gradient flow for least squares", 2020; Ji and Telgarsky,
    "The implicit bias of gradient descent on nonseparable data", 2019). The loss counts every class equally, because
    the batches of `train_head` draw classes and not photos. That minimum is found by accelerated gradient descent,
    for many heads at once.

    Args:
        data: bottlenecks and classes of all photos.
        folds: assignments, each int64 [photos]; photos with NO_FOLD train every head.
        class_count: number of classes; a head rarely predicts a class without photos in its folds.
        options: `steps` and `learning_rate` determine the penalty; the others only matter to random steps.
        rows: row numbers of photos to learn from, ascending; by default all.

    Returns:
        For each assignment, the heads of folds 0, 1, ...; reproducible to the bit on one machine.
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
    """Return some vectors with a column of ones for the biases, reading them in parts to save memory."""
    inputs = np.ones((len(rows), vectors.shape[1] + 1), np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        inputs[part, :-1] = vectors[rows[part]]
    return inputs


def _sample_weights(classes: Indices, fold: Indices, class_count: int) -> Matrix:
    """Return sample weights, float32 [photos, folds]: 0 in the photo's own fold, else inverse to its class's size."""
    sample_weights = np.zeros((len(classes), int(fold.max()) + 1), np.float32)
    for number in range(sample_weights.shape[1]):
        learned = fold != number
        sizes = np.bincount(classes[learned], minlength=class_count)
        sample_weights[learned, number] = 1 / (sizes[classes[learned]] * np.count_nonzero(sizes))
    return sample_weights


def _gradient(inputs: Matrix, truth: Matrix, sample_weights: Matrix, penalty: np.float32, weights: Matrix) -> Matrix:
    """Return the gradient of the penalized loss of several heads, float32 [size, classes x heads]."""
    # Heads last: numpy runs along a long last axis many times as fast as along a short one.
    errors = (inputs @ weights).reshape(len(sample_weights), -1, sample_weights.shape[1])
    errors -= errors.max(axis=1, keepdims=True)
    np.exp(errors, out=errors)
    errors /= errors.sum(axis=1, keepdims=True)
    errors -= truth
    errors *= sample_weights[:, None, :]
    return np.asarray(inputs.T @ errors.reshape(len(sample_weights), -1) + penalty * weights, np.float32)


def _preconditioner(inputs: Matrix, sample_weights: Matrix, penalty: np.float32) -> Matrix:
    """Return the inverse of an upper bound of the loss's second derivative, float32 [size, size].

    The second derivative of softmax regression is at most 1/2 X'DX for each class (Boehning, "Multinomial logistic
    regression algorithm", 1992), so steps with this inverse never overshoot, whatever the features' sizes are.
    """
    bound = 0.5 * ((inputs.T * sample_weights) @ inputs).astype(np.float64)
    bound[np.diag_indices_from(bound)] += float(penalty)
    return np.asarray(np.linalg.inv(bound), np.float32)


def _minimize(gradient: Callable[[Matrix], Matrix], preconditioner: Matrix, columns: int) -> Matrix:
    """Minimize by Nesterov's accelerated descent, restarted when it goes uphill (O'Donoghue and Candes, 2015)."""
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
