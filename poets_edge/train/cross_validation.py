"""Cached bottlenecks -> an answer for every photo, by a head that never saw it: accuracy judged on all photos.

A test set of a tenth of the photos is small: on 1,000 photos it leaves an accuracy uncertain by 7 points either way.
Here the photos are divided into folds, a head is fitted to all folds but one, and judges that one, so each photo is
judged by a head that did not learn from it. One division is not enough to order models that lie a point apart: another
one lets 1 photo in 20 fall on the other side. So it is done with several divisions, and a photo's judgments are
averaged. `train`, `grid` and the audit of photos build on these answers.

What is estimated is the accuracy of the head that `train` trains, on photos like these. Three things differ, and all
of them are small:

- Each head learns from the share (folds - 1) / folds of the photos: with 5 folds as many as `train` takes by default.
- It is not trained by thousands of random steps but is the point where these steps would lead, found directly (see
  `fold_heads`). `benchmarks/results/cross_validation.md` compares the two on 16 architectures.
- The interval is that of a share of independent photos. That the heads share most of their photos, and that another
  folder of photos would train other heads, is not in it (no unbiased estimate of that exists: Bengio and Grandvalet,
  "No unbiased estimator of the variance of k-fold cross-validation", 2004).

The backbone is the same for all folds: it has learned from none of these photos.
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
from poets_edge.device.predictions import Scored
from poets_edge.photos.folds import DEFAULT_FOLDS, NOT_JUDGED, Folds, fold_photos
from poets_edge.photos.table import HashedPhoto, HashedPhotos, PhotoTable, class_numbers
from poets_edge.train.head import Head, HeadOptions, Indices, LabelledVectors, Matrix
from poets_edge.train.vectors import Vectors, take

REPEATS = 4
"""Divisions into folds, and so judgments of a photo. On the 1,000 flowers of the benchmark, the order of the 16
MobileNets agrees with that on unseen photos at Kendall's tau of 0.81 to 0.91 with one division, 0.88 with four."""

MOST_JUDGED = 20_000
"""Photos that `train` judges in this way. Of more, a random sample of so many is divided into folds: their accuracy is
known to half a point then, and all of a million would take hours and their vectors' memory several times."""

_MOST_UPDATES = 300
_TOLERANCE = 3e-3
"""Of the gradient's length, relative to its first: a tenth of it changes accuracies by 0.1 points at most."""
_LEAST_HEADS = 3
"""Fitted together by one thread, at least: of fewer, each takes longer."""
_ROWS_AT_ONCE = 1 << 12
_MOST_LOGITS = 1 << 22
"""Photos x classes x heads that are fitted at once, on all cores: bounds memory."""


@dataclass(frozen=True)
class CrossValidation:
    """The answers of the heads of all folds.

    Attributes:
        labels: class names; a class's place is its number.
        folds: how the photos were divided, the first time.
        photos: the judged photos.
        scores: float32 [repeats, photos, classes]; in each repeat by a head that did not learn from the photo.
    """

    labels: tuple[str, ...]
    folds: Folds
    photos: PhotoTable
    scores: Matrix

    @property
    def truth(self) -> Indices:
        """The class of each judged photo, int64 [photos]."""
        return class_numbers(self.photos, self.labels)

    @property
    def right(self) -> Indices:
        """How often each photo was answered right, int64 [photos], 0 to the number of repeats."""
        return np.asarray((self.scores.argmax(axis=2) == self.truth).sum(axis=0), np.int64)

    @property
    def scored(self) -> Scored:
        """Each photo with its scores averaged over the repeats, float32 [photos, classes]."""
        return Scored(self.photos, np.asarray(self.scores.mean(axis=0), np.float32), ())

    @property
    def count(self) -> int:
        """Photos that were judged."""
        return len(self.photos)

    @property
    def accuracy(self) -> float:
        """Top-1, 0 to 1: the mean over photos and repeats."""
        return float(self.right.mean()) / len(self.scores)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy, of as many independent photos (not judgments)."""
        return wilson_interval(self.accuracy * self.count, self.count)

    @property
    def confusion(self) -> npt.NDArray[np.float64]:
        """Photos of a class (row) that were answered as a class (column), [classes, classes], averaged over repeats."""
        matrix = np.zeros((len(self.labels), len(self.labels)))
        for answers in self.scores.argmax(axis=2):
            np.add.at(matrix, (self.truth, answers), 1 / len(self.scores))
        return matrix

    def to_json(self) -> dict[str, Any]:
        """For JSON; every judged photo that is not listed was answered right in every repeat."""
        confusion, means, right = self.confusion, self.scores.mean(axis=0), self.right
        judged = confusion.sum(axis=1)
        low, high = self.interval
        return {
            "folds": self.folds.count,
            "folds_wanted": self.folds.wanted,
            "repeats": len(self.scores),
            "photos": self.count,
            "accuracy": self.accuracy,
            "interval95": [low, high],
            "recall": {
                label: float(confusion[index, index] / judged[index]) if judged[index] else None
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
class Division:
    """Photos divided into folds once.

    Attributes:
        fold: int64 [photos]; NOT_JUDGED where a photo trains every head.
        heads: one a fold, which learned from the photos of all others.
    """

    fold: Indices
    heads: tuple[Head, ...]

    def scores(self, vectors: Vectors) -> Matrix:
        """Scores of the judged photos in order, float32 [judged, classes], each by the head of its own fold.

        Args:
            vectors: float32 [photos, bottleneck_size] of all photos; those that the heads learned from, or others of
                the same photos, as an int8 backbone gives them.
        """
        found = np.empty((len(vectors), len(self.heads[0].biases)), np.float32)
        for number, head in enumerate(self.heads):
            rows = np.flatnonzero(self.fold == number)
            found[rows] = head.scores(take(vectors, rows))
        return np.asarray(found[self.fold != NOT_JUDGED], np.float32)


def cross_validate(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], options: HeadOptions,
    wanted: int = DEFAULT_FOLDS,
) -> CrossValidation:  # fmt: skip
    """Judge every photo by heads that were fitted without it.

    Args:
        vectors: the photos' bottlenecks, float32 [photos, bottleneck_size], in the order of `photos`.
        labels: class names, sorted, with all of the photos' classes among them.
        options: the head that `train` would train.
        wanted: folds, 2 or more; fewer are made where the smallest class has fewer photos.

    Raises:
        DatasetError: no class has two photos that are not copies or variants of each other.
    """
    folds, divisions = divide(photos, vectors, labels, options, wanted)
    return judge(photos, vectors, labels, folds, divisions)


def some_of(rows: Indices, seed: int) -> Indices:
    """Row numbers, or a random sample of MOST_JUDGED of them, in order, int64 [photos]."""
    if len(rows) <= MOST_JUDGED:
        return rows
    chosen = np.random.default_rng([seed, 5]).permutation(len(rows))[:MOST_JUDGED]
    return np.asarray(rows[np.sort(chosen)])


def teachers(classes: Indices, rows: Indices) -> Indices:
    """Row numbers, or a random sample of MOST_JUDGED of them at most, in order: as many of each class as there are.

    Args:
        classes: of all photos, int64 [photos].
        rows: those among which to choose, ascending.
    """
    if len(rows) <= MOST_JUDGED:
        return rows
    rng = np.random.default_rng(5)
    of_class = [rows[classes[rows] == number] for number in np.unique(classes[rows])]
    share = MOST_JUDGED // len(of_class)
    return np.asarray(np.sort(np.concatenate([rng.permutation(some)[:share] for some in of_class])), np.int64)


def divide(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], options: HeadOptions,
    wanted: int = DEFAULT_FOLDS,
) -> tuple[Folds, list[Division]]:  # fmt: skip
    """The first half of `cross_validate`: folds, and the heads of each division into them."""
    hashed = HashedPhotos.of(photos)
    folds = fold_photos(hashed, wanted, repeats=REPEATS)
    classes = class_numbers(hashed.photos, labels)
    heads = fold_heads(LabelledVectors(vectors, classes), [one.of for one in folds], len(labels), options)
    return folds[0], [Division(one.of, tuple(of)) for one, of in zip(folds, heads, strict=True)]


def judge(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], folds: Folds,
    divisions: Sequence[Division],
) -> CrossValidation:  # fmt: skip
    """The second half: what the heads answer to these vectors of the photos (see `Division.scores`)."""
    judged = HashedPhotos.of(photos).photos.take(np.flatnonzero(folds.of != NOT_JUDGED))
    return CrossValidation(labels, folds, judged, np.stack([division.scores(vectors) for division in divisions]))


def fold_heads(
    data: LabelledVectors, folds: Sequence[Indices], class_count: int, options: HeadOptions,
    rows: Indices | None = None,
) -> list[list[Head]]:  # fmt: skip
    """For each division a head for each fold, fitted to the photos of all other folds, or to `teachers` among them.

    Plain gradient descent that starts at zero and is stopped after `steps` steps of size `learning_rate` arrives about
    where the loss with the penalty |weights|^2 / (2 steps learning_rate) has its minimum (Ali, Dobriban and
    Tibshirani, "The implicit regularization of stochastic gradient flow for least squares", 2020; Ji and Telgarsky,
    "The implicit bias of gradient descent on nonseparable data", 2019). The loss counts every class equally, because
    the batches of `train_head` draw classes and not photos. That minimum is found by accelerated gradient descent,
    for many heads at once.

    Args:
        data: all photos, float32 [photos, bottleneck_size] with their classes.
        folds: divisions, each int64 [photos]; photos NOT_JUDGED train every head.
        class_count: classes; one that has no photo in a head's folds is hardly ever its answer.
        options: `steps` and `learning_rate` decide the penalty; the rest only matters to random steps.
        rows: numbers of the photos that may teach, ascending; by default all.

    Returns:
        The heads of folds 0, 1, ... of each division; the same for the same input on the same machine.
    """
    rows = teachers(data.classes, np.arange(len(data.classes)) if rows is None else rows)
    classes, folds = data.classes[rows], [fold[rows] for fold in folds]
    inputs = _with_ones(data.vectors, rows)
    truth = np.eye(class_count, dtype=np.float32)[classes][:, :, None]
    penalty = np.float32(1 / (options.steps * options.learning_rate))
    shares = np.concatenate([_shares(classes, fold, class_count) for fold in folds], axis=1)
    preconditioner = _preconditioner(inputs, shares.max(axis=1), penalty)
    # By the machine's cores and not by those allowed to this process: their number must not change the last bits.
    count = os.cpu_count() or 1
    at_once = max(_LEAST_HEADS, -(-shares.shape[1] // count))
    at_once = min(at_once, max(1, _MOST_LOGITS // (len(truth) * class_count * count)))

    def fit(start: int, _: None) -> list[Head]:
        some = shares[:, start : start + at_once]
        gradient = partial(_gradient, inputs, truth, some, penalty)
        weights = _minimize(gradient, preconditioner, some.shape[1] * class_count)
        by_head = weights.reshape(-1, class_count, some.shape[1])
        return [Head(by_head[:-1, :, k].copy(), by_head[-1, :, k].copy()) for k in range(some.shape[1])]

    starts = range(0, shares.shape[1], at_once)
    rest = iter([head for _, heads in run_parallel(starts, lambda: None, fit) for head in heads])
    return [list(islice(rest, int(fold.max()) + 1)) for fold in folds]


def _with_ones(vectors: Vectors, rows: Indices) -> Matrix:
    """Some vectors, each with a 1 behind it for the biases, read in parts: never twice in memory."""
    inputs = np.ones((len(rows), vectors.shape[1] + 1), np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        inputs[part, :-1] = vectors[rows[part]]
    return inputs


def _shares(classes: Indices, fold: Indices, class_count: int) -> Matrix:
    """How much each photo counts for each fold's head, float32 [photos, folds]: 0 in its own, else 1 over its class."""
    shares = np.zeros((len(classes), int(fold.max()) + 1), np.float32)
    for number in range(shares.shape[1]):
        learned = fold != number
        sizes = np.bincount(classes[learned], minlength=class_count)
        shares[learned, number] = 1 / (sizes[classes[learned]] * np.count_nonzero(sizes))
    return shares


def _gradient(inputs: Matrix, truth: Matrix, shares: Matrix, penalty: np.float32, weights: Matrix) -> Matrix:
    """Of the penalized loss of several heads side by side, float32 [size, classes x heads]."""
    # Heads last: numpy runs along a long last axis many times as fast as along a short one.
    errors = (inputs @ weights).reshape(len(shares), -1, shares.shape[1])
    errors -= errors.max(axis=1, keepdims=True)
    np.exp(errors, out=errors)
    errors /= errors.sum(axis=1, keepdims=True)
    errors -= truth
    errors *= shares[:, None, :]
    return np.asarray(inputs.T @ errors.reshape(len(shares), -1) + penalty * weights, np.float32)


def _preconditioner(inputs: Matrix, shares: Matrix, penalty: np.float32) -> Matrix:
    """The inverse of a matrix that is nowhere below the loss's second derivative, float32 [size, size].

    The second derivative of softmax regression is at most 1/2 X'DX for each class (Boehning, "Multinomial logistic
    regression algorithm", 1992), so steps with this inverse never overshoot, whatever the features' sizes are.
    """
    bound = 0.5 * ((inputs.T * shares) @ inputs).astype(np.float64)
    bound[np.diag_indices_from(bound)] += float(penalty)
    return np.asarray(np.linalg.inv(bound), np.float32)


def _minimize(gradient: Callable[[Matrix], Matrix], preconditioner: Matrix, columns: int) -> Matrix:
    """Nesterov's accelerated descent from zero, begun anew when it turns uphill (O'Donoghue and Candes, 2015)."""
    weights = ahead = np.zeros((len(preconditioner), columns), np.float32)
    momentum, first = 1.0, 0.0
    for _ in range(_MOST_UPDATES):
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
