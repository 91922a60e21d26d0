"""Detect probably wrong labels by confident learning on out-of-fold scores.

Confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021)
considers a photo mislabeled if its out-of-fold score for a class other than its label reaches the mean score for that
class over the photos labeled with it. Because wrong labels also impair the heads, the heads are fitted a second time
without the mislabeled photos, and the second heads rank all photos.

The heads are regularized more strongly than in `train`, since a close fit reproduces wrong labels. If 5 % of
the labels of flower photos are exchanged, stronger regularization finds more of these wrong labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.photos.folds import NO_FOLD
from poets_edge.training.fold_heads import fold_heads
from poets_edge.training.head import HeadOptions, Indices, LabeledVectors, Matrix
from poets_edge.training.vectors import take

_HEAD = HeadOptions(steps=1000)
_MAX_REMOVED = 0.3
"""Maximum fraction of the photos in a class that are removed, as probably mislabeled, before heads are fitted again. If
the fraction is larger, no photo of the class is removed."""


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """Evidence against the label of each photo.

    Attributes:
        order: row numbers of all evaluated photos, most suspect first, int64 [evaluated].
        score: p / (p + q), where p is the probability of the likeliest class other than the label and q is the
            probability of the label, float32 [photos]; NaN if the photo was not evaluated.
        likely: index of the likeliest class other than the label, int64 [photos].
        mislabeled: whether confident learning considers the label wrong, bool [photos].
    """

    order: Indices
    score: Matrix
    likely: Indices
    mislabeled: npt.NDArray[np.bool_]


def score_labels(data: LabeledVectors, fold: Indices, class_count: int) -> LabelScores:
    """Rank all photos that belong to a fold by the evidence against their labels.

    Args:
        data: bottlenecks and classes of all photos.
        fold: number of the fold that contains each photo, int64 [photos]; NO_FOLD for photos that are not evaluated.
    """
    logits = out_of_fold_logits(data, fold, class_count, np.ones(len(fold), np.bool_))
    mislabeled = _find_mislabeled(logits, data.classes, fold)
    trusted = _trusted(mislabeled, data.classes, fold)
    if not trusted.all():
        logits = out_of_fold_logits(data, fold, class_count, trusted)
        mislabeled = _find_mislabeled(logits, data.classes, fold)
    rows = np.arange(len(fold))
    own = logits[rows, data.classes]
    others = logits.copy()
    others[rows, data.classes] = -np.inf
    margin = np.where(fold == NO_FOLD, np.nan, own - others.max(axis=1)).astype(np.float64)
    evaluated = np.flatnonzero(fold != NO_FOLD)
    score = 1 / (1 + np.exp(np.clip(margin, -80, 80)))
    return LabelScores(
        order=evaluated[np.argsort(margin[evaluated], kind="stable")],
        score=score.astype(np.float32),
        likely=others.argmax(axis=1),
        mislabeled=mislabeled,
    )


def out_of_fold_logits(data: LabeledVectors, fold: Indices, class_count: int, trusted: npt.NDArray[np.bool_]) -> Matrix:
    """Return the out-of-fold logits of each photo, float32 [photos, classes], with zeros for photos without a fold.

    Args:
        trusted: whether each photo may be used for fitting heads, bool [photos].
    """
    [heads] = fold_heads(data, [fold], class_count, _HEAD, np.flatnonzero(trusted))
    logits = np.zeros((len(fold), class_count), np.float32)
    for number, head in enumerate(heads):
        rows = np.flatnonzero(fold == number)
        # Logits are returned instead of scores, because scores of confident predictions all round to 1.
        logits[rows] = head.logits(take(data.vectors, rows))
    return logits


def _find_mislabeled(logits: Matrix, classes: Indices, fold: Indices) -> npt.NDArray[np.bool_]:
    """Return whether confident learning considers each photo mislabeled, bool [photos].

    The threshold of a class is the mean score for it over the photos labeled with it. Among the classes whose threshold
    the photo's own score reaches, the one with the highest score is the confident prediction. A photo is mislabeled if
    it has a confident prediction that differs from its label, which places it off the diagonal of the confident joint
    (Northcutt et al., 2021, section 3.1). The result is False for photos that are not evaluated.
    """
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    evaluated = fold != NO_FOLD
    thresholds = np.full(scores.shape[1], np.inf)
    for number in range(scores.shape[1]):
        rows = evaluated & (classes == number)
        if rows.any():
            thresholds[number] = scores[rows, number].mean()
    confident = np.where(scores >= thresholds, scores, -1.0)
    answers = confident.argmax(axis=1)
    return np.asarray(evaluated & (confident.max(axis=1) >= 0) & (answers != classes))


def _trusted(mislabeled: npt.NDArray[np.bool_], classes: Indices, fold: Indices) -> npt.NDArray[np.bool_]:
    """Return whether each photo is used when the heads are fitted a second time, bool [photos].

    Probably mislabeled photos are not used, except in classes where their fraction exceeds _MAX_REMOVED. If this would
    leave a fold empty, all photos are used.
    """
    trusted = ~mislabeled
    for number in np.unique(classes):
        of_class = classes == number
        if mislabeled[of_class].mean() > _MAX_REMOVED:
            trusted |= of_class
    folds: Sequence[int] = [int(number) for number in np.unique(fold[fold != NO_FOLD])]
    complete = all((trusted & (fold == number)).any() for number in folds)
    return trusted if complete else np.ones_like(trusted)
