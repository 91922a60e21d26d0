"""Cross-validation of a head on cached bottlenecks: an accuracy estimate from all photos.

A test set of a tenth of the photos is small: with 1,000 photos, its accuracy is uncertain by 7 percentage points in
either direction. Here the photos are assigned to folds, and each fold is evaluated by a head that was fitted to all
other folds. One assignment is not enough to rank models whose accuracies differ by a percentage point, because another
assignment changes the result for 1 photo in 20. Therefore the results of several assignments are averaged. `train`,
`grid` and `audit` use these results.

The quantity to estimate is the accuracy, on similar photos, of the head that `train` trains. The estimate and its
confidence interval are approximate for three reasons:

- Each head learns from the fraction (folds - 1) / folds of the photos: with 5 folds, the fraction that `train` uses by
  default.
- The head is not trained by thousands of random steps but computed directly as their limit (see `fold_heads`).
  `benchmarks/results/cross_validation.md` compares the two on 16 architectures.
- The confidence interval is that of a proportion of independent photos. It ignores that the heads share most of their
  training photos, and that another folder of photos would result in different heads (this variance has no unbiased
  estimate: Bengio and Grandvalet, "No unbiased estimator of the variance of k-fold cross-validation", 2004).

All folds use the same backbone, which has not learned from any of these photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.device.metrics import independent_count, wilson_interval
from poets_edge.device.predictions import Predictions
from poets_edge.photos.folds import DEFAULT_FOLDS, NO_FOLD, Folds, assign_folds
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.photos.table import HashedPhoto, HashedPhotos, PhotoTable, SplitNumbers, class_numbers
from poets_edge.training.fold_heads import MAX_EVALUATED, fold_heads
from poets_edge.training.head import Head, HeadOptions, Indices, LabeledVectors, Matrix
from poets_edge.training.vectors import Vectors, take

REPEATS = 4
"""Number of assignments of the photos to folds. On the 1,000 flower photos of the benchmark, the ranking of the 16
MobileNets agrees with their ranking on new photos with a Kendall's tau of 0.81 to 0.91 for one assignment, and 0.88 for
four."""


@dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold predictions for all photos that are assigned to a fold.

    Photos are assigned to folds one or more times; each assignment is called a repeat.

    Attributes:
        labels: class names, in the order of class numbers.
        folds: assignment of photos to folds in the first repeat.
        photos: the evaluated photos.
        scores: out-of-fold scores, float32 [repeats, photos, classes]: each is from a head that did not learn from the
            photo.
        groups: group number of each photo, int64 [photos]; None if photos are independent.
    """

    labels: tuple[str, ...]
    folds: Folds
    photos: PhotoTable
    scores: Matrix
    groups: Indices | None = None

    @property
    def truth(self) -> Indices:
        """Class number of each evaluated photo, int64 [photos]."""
        return class_numbers(self.photos, self.labels)

    @property
    def right(self) -> Indices:
        """For each photo, the number of repeats in which it is classified correctly, int64 [photos]."""
        return np.asarray((self.scores.argmax(axis=2) == self.truth).sum(axis=0), np.int64)

    @property
    def scored(self) -> Predictions:
        """Predictions for the evaluated photos, with scores averaged over the repeats."""
        return Predictions(self.photos, np.asarray(self.scores.mean(axis=0), np.float32), (), groups=self.groups)

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
        """95 % Wilson interval of the accuracy; groups of photos reduce the effective sample size."""
        count = float(self.count)
        if self.groups is not None and self.count:
            count = independent_count(self.right / len(self.scores), self.groups)
        return wilson_interval(self.accuracy * count, count)

    @property
    def confusion(self) -> npt.NDArray[np.float64]:
        """Confusion matrix averaged over the repeats, float64 [true class, predicted class]."""
        matrix = np.zeros((len(self.labels), len(self.labels)))
        for answers in self.scores.argmax(axis=2):
            np.add.at(matrix, (self.truth, answers), 1 / len(self.scores))
        return matrix

    def to_json(self) -> dict[str, Any]:
        """Return the results as JSON-compatible dictionaries, lists, strings and numbers.

        The entry `not_always_right` lists the photos that were misclassified in at least one repeat.
        """
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
    """One assignment of photos to folds, with the head for each fold.

    Attributes:
        fold: number of the fold that contains each photo, int64 [photos]; NO_FOLD for photos on which every
            head is trained.
        heads: one per fold, fitted to the photos of all other folds.
    """

    fold: Indices
    heads: tuple[Head, ...]

    def scores(self, vectors: Vectors) -> Matrix:
        """Return out-of-fold scores of the photos that are assigned to a fold, float32 [evaluated photos, classes].

        Args:
            vectors: bottlenecks of all photos, float32 [photos, bottleneck_size]; either the bottlenecks to which the
                heads were fitted, or bottlenecks of the same photos from another backbone, such as an int8 one.
        """
        found = np.empty((len(vectors), len(self.heads[0].biases)), np.float32)
        for number, head in enumerate(self.heads):
            rows = np.flatnonzero(self.fold == number)
            found[rows] = head.scores(take(vectors, rows))
        return np.asarray(found[self.fold != NO_FOLD], np.float32)


def cross_validate(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], options: HeadOptions,
    requested: int = DEFAULT_FOLDS, groups: Indices | None = None,
) -> CrossValidation:  # fmt: skip
    """Return predictions for each photo from heads that were fitted without it (cross-validation).

    Args:
        vectors: bottlenecks of the photos, float32 [photos, bottleneck_size].
        labels: sorted class names, which include all classes of the photos.
        options: options of the head that `train` would train.
        requested: number of folds, 2 or more; reduced if a class has too few photos or groups.
        groups: group number of each photo, int64 [photos], to keep each group in one fold; None if photos are
            independent.

    Raises:
        DatasetError: no class has two independent photos, that is, photos in different groups.
    """
    folds, assignments = fit_folds(photos, vectors, labels, options, requested, groups)
    return evaluate_folds(photos, vectors, labels, folds, assignments, groups)


def sample_rows(rows: Indices, seed: int) -> Indices:
    """Return the given row numbers or, if there are more than MAX_EVALUATED, a sorted random sample of that size."""
    if len(rows) <= MAX_EVALUATED:
        return rows
    chosen = np.random.default_rng([seed, 5]).permutation(len(rows))[:MAX_EVALUATED]
    return np.asarray(rows[np.sort(chosen)])


def fit_folds(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], options: HeadOptions,
    requested: int = DEFAULT_FOLDS, groups: Indices | None = None,
) -> tuple[Folds, list[FoldAssignment]]:  # fmt: skip
    """Assign photos to folds, and fit a head for each fold.

    This is the first half of `cross_validate`, with the same arguments and errors.

    Returns:
        The folds in the first assignment, and a FoldAssignment for each of the REPEATS assignments.
    """
    hashed = HashedPhotos.of(photos)
    folds = assign_folds(hashed, requested, repeats=REPEATS, groups=groups)
    classes = class_numbers(hashed.photos, labels)
    heads = fold_heads(LabeledVectors(vectors, classes), [one.assignment for one in folds], len(labels), options)
    return folds[0], [FoldAssignment(one.assignment, tuple(of)) for one, of in zip(folds, heads, strict=True)]


def fit_to_training(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], sets: SplitNumbers, options: HeadOptions
) -> tuple[Folds, list[FoldAssignment]]:
    """Fit one head to the training photos, with the test photos as the only fold, so that `evaluate_folds` tests it.

    Args:
        sets: split of each photo, as an index into SPLIT_NAMES, int8 [photos].

    Returns:
        The fold of each photo (0 for test photos, NO_FOLD for others), and a list with one FoldAssignment, which
        contains the head.
    """
    classes = class_numbers(HashedPhotos.of(photos).photos, labels)
    fold = np.where(sets == SPLIT_NAMES.index("test"), 0, NO_FOLD).astype(np.int64)
    # Validation photos train no head, since they do not train that of `train`.
    rows = np.flatnonzero(sets != SPLIT_NAMES.index("validation"))
    [heads] = fold_heads(LabeledVectors(vectors, classes), [fold], len(labels), options, rows)
    return Folds(fold, 1, 1, ""), [FoldAssignment(fold, tuple(heads))]


def evaluate_folds(
    photos: Sequence[HashedPhoto], vectors: Vectors, labels: tuple[str, ...], folds: Folds,
    assignments: Sequence[FoldAssignment], groups: Indices | None = None,
) -> CrossValidation:  # fmt: skip
    """Return the predictions of each fold's head for the photos in that fold, which were not used to train it.

    This is the second half of `cross_validate`. For `vectors`, see `FoldAssignment.scores`.
    """
    rows = np.flatnonzero(folds.assignment != NO_FOLD)
    scores = np.stack([one.scores(vectors) for one in assignments])
    evaluated = HashedPhotos.of(photos).photos.take(rows)
    return CrossValidation(labels, folds, evaluated, scores, None if groups is None else groups[rows])
