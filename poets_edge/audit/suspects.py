"""Photos whose folder the rest of the data contradicts, by confident learning on out-of-fold scores.

Confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021):
a photo counts as mislabelled if a head that never saw it is as sure of another class as it is, on average, of the
photos that lie in that class's folder. Photos found that way mislead the heads, too; so the heads are fitted once more
without them, and all photos are ranked by what these say.

The heads are held back more than the one that `train` trains: a head that fits every photo closely also fits the wrong
labels. On flowers with 5 % of the labels exchanged this finds more of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.photos.folds import NOT_JUDGED
from poets_edge.train.cross_validation import fold_heads
from poets_edge.train.head import HeadOptions, Indices, LabelledVectors, Matrix
from poets_edge.train.vectors import take

_HEAD = HeadOptions(steps=1000)
_LARGEST_SHARE_LEFT_OUT = 0.3
"""Of a class: beyond it the labels of most of its photos would have to be wrong."""


@dataclass(frozen=True)
class Suspects:
    """How suspect each label is.

    Attributes:
        order: row numbers of all judged photos, the most suspect first, int64.
        score: of each photo, float32 [photos]: the probability of the likeliest other class, of that one and the
            label's; above 0.5 the other one is likelier. NaN where the photo was not judged.
        likely: the likeliest other class, int64 [photos].
        found: labels that confident learning holds to be wrong, bool [photos].
    """

    order: Indices
    score: Matrix
    likely: Indices
    found: npt.NDArray[np.bool_]


def find_suspects(data: LabelledVectors, fold: Indices, class_count: int) -> Suspects:
    """Rank all photos that have a fold.

    Args:
        data: bottlenecks and classes of all photos.
        fold: of each, int64 [photos]; NOT_JUDGED where it has none.
    """
    logits = out_of_fold_logits(data, fold, class_count, np.ones(len(fold), np.bool_))
    found = _confidently_wrong(logits, data.classes, fold)
    kept = _without(found, data.classes, fold)
    if not kept.all():
        logits = out_of_fold_logits(data, fold, class_count, kept)
        found = _confidently_wrong(logits, data.classes, fold)
    rows = np.arange(len(fold))
    own = logits[rows, data.classes]
    others = logits.copy()
    others[rows, data.classes] = -np.inf
    margin = np.where(fold == NOT_JUDGED, np.nan, own - others.max(axis=1)).astype(np.float64)
    judged = np.flatnonzero(fold != NOT_JUDGED)
    order = judged[np.argsort(margin[judged], kind="stable")]
    score = 1 / (1 + np.exp(np.clip(margin, -80, 80)))
    return Suspects(order, score.astype(np.float32), others.argmax(axis=1), found)


def out_of_fold_logits(data: LabelledVectors, fold: Indices, class_count: int, kept: npt.NDArray[np.bool_]) -> Matrix:
    """float32 [photos, classes], by heads that did not learn from the photo's fold, nor from photos not `kept`."""
    [heads] = fold_heads(data, [fold], class_count, _HEAD, np.flatnonzero(kept))
    logits = np.zeros((len(fold), class_count), np.float32)
    for number, head in enumerate(heads):
        rows = np.flatnonzero(fold == number)
        # Not the scores: those of sure answers all round to 1, and could not be ranked.
        logits[rows] = head.logits(take(data.vectors, rows))
    return logits


def _confidently_wrong(logits: Matrix, classes: Indices, fold: Indices) -> npt.NDArray[np.bool_]:
    """Off the diagonal of the confident joint (section 3.1 of the paper), bool [photos]."""
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    judged = fold != NOT_JUDGED
    usual = np.full(scores.shape[1], np.inf)
    for number in range(scores.shape[1]):
        rows = judged & (classes == number)
        if rows.any():
            usual[number] = scores[rows, number].mean()
    sure = np.where(scores >= usual, scores, -1.0)
    answer = sure.argmax(axis=1)
    return np.asarray(judged & (sure.max(axis=1) >= 0) & (answer != classes))


def _without(found: npt.NDArray[np.bool_], classes: Indices, fold: Indices) -> npt.NDArray[np.bool_]:
    """The photos that go on teaching, bool [photos]: all, if leaving out those found would leave too little."""
    kept = ~found
    for number in np.unique(classes):
        of_class = classes == number
        if found[of_class].mean() > _LARGEST_SHARE_LEFT_OUT:
            kept |= of_class
    folds: Sequence[int] = [int(number) for number in np.unique(fold[fold != NOT_JUDGED])]
    whole = all((kept & (fold == number)).any() for number in folds)
    return kept if whole else np.ones_like(kept)
