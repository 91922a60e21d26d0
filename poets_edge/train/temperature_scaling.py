"""A trained head -> the same head with calibrated scores: 0.9 is right nine times in ten.

Logits are divided by one temperature, by dividing the head's weights and biases, so every quantization has it and no
operator is added. Which class comes first never changes.

The temperature must come from photos that the head has not learned from. The validation set alone has too few of them,
so heads of folds judge the training photos too (see `poets_edge.train.cross_validation`). Those heads are found by
another solver, whose logits are a little shorter than those of the steps that `train_head` takes; by how much is seen
on photos that neither has learned from, without looking at their labels. Test photos' labels are never looked at.
Of more than `MAX_EVALUATED` photos a random sample of so many decides.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from poets_edge.device.temperature import best_temperature, expected_calibration_error, with_temperature
from poets_edge.errors import DatasetError
from poets_edge.photos.folds import NO_FOLD, assign_folds
from poets_edge.photos.table import SPLIT_NAMES
from poets_edge.train.cross_validation import FoldAssignment, fold_heads, sample_rows
from poets_edge.train.data import Data
from poets_edge.train.head import Head, HeadOptions, Indices, LabelledVectors, Matrix
from poets_edge.train.vectors import Vectors, take

_NUDGE = 1.001
_MOST_NUDGES = 8


@dataclass(frozen=True)
class HeadCalibration:
    """How a head was calibrated.

    Attributes:
        temperature: what its logits were divided by.
        before, after: expected calibration error on the photos that decided it, 0 to 1, each photo's temperature
            coming from the other photos.
        photos: how many they were, `MAX_EVALUATED` at most.
    """

    temperature: float
    before: float
    after: float
    photos: int

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON-compatible dictionaries, lists, strings and numbers."""
        return asdict(self)


@dataclass(frozen=True)
class HeldOutPredictions:
    """Training and validation photos as heads judge them that have not learned from them.

    Attributes:
        scores: float32 [photos, classes].
        truth: the class of each, int64 [photos].
        fold: the fold of each, int64 [photos].
        solved: a head for all training photos, found as those of the folds were.
    """

    scores: Matrix
    truth: Indices
    fold: Indices
    solved: Head


def predict_held_out(data: Data, options: HeadOptions) -> HeldOutPredictions | None:
    """The answers that calibration needs beside the trained head; None where no photo can be judged.

    Args:
        options: what the head is trained with.
    """
    rows = sample_rows(data.rows("training", "validation"), options.seed)
    photos, known = data.photos.take(rows), data.labelled(rows)
    known = LabelledVectors(known.vectors[:], known.classes)
    try:
        [folds] = assign_folds(photos)
    except DatasetError:
        return None
    fold = folds.assignment
    # Another division: the training photos train, the validation photos are held out.
    trained = np.where(data.sets[rows] == SPLIT_NAMES.index("training"), NO_FOLD, 0).astype(np.int64)
    heads, solved = fold_heads(known, [fold, trained], len(data.labels), options)
    judged = fold != NO_FOLD
    scores = FoldAssignment(fold, tuple(heads)).scores(known.vectors)
    # Without validation photos a head of four fifths stands for that of all.
    return HeldOutPredictions(scores, known.classes[judged], fold[judged], (solved or heads)[0])


def calibrate_head(
    head: Head, data: Data, held_out: HeldOutPredictions | None, *, backbone_has_learned: bool = False
) -> tuple[Head, HeadCalibration | None]:
    """The calibrated head, and how it came about; the same head and None where no photo can judge it.

    Args:
        held_out: from `predict_held_out`.
        backbone_has_learned: `data` holds vectors of a backbone that was itself trained on the training photos, so that
            only the validation photos can judge.
    """
    if backbone_has_learned:
        validation = data.plain("validation")
        scores, truth = head.scores(validation.vectors), validation.classes
        fold: Indices = np.arange(len(truth)) % 2
    elif held_out is not None:
        scores = with_temperature(held_out.scores, 1 / _stretch(head, held_out.solved, data))
        truth, fold = held_out.truth, held_out.fold
    else:
        return head, None
    if not len(truth):
        return head, None
    temperature = best_temperature(scores, truth)
    crossed = scores.copy()
    for number in sorted(set(fold.tolist())):
        rows = fold == number
        crossed[rows] = with_temperature(scores[rows], best_temperature(scores[~rows], truth[~rows]))
    rows = data.rows("validation", "test") if backbone_has_learned else np.arange(len(data.photos))
    calibrated, used = _divided(head, temperature, take(data.vectors, rows))
    before, after = (expected_calibration_error(some, truth) for some in (scores, crossed))
    return calibrated, HeadCalibration(used, before, after, len(truth))


def _stretch(head: Head, solved: Head, data: Data) -> float:
    """By how much the head's logits are longer than those of a head that the folds' solver finds."""
    unseen = np.flatnonzero(data.sets != SPLIT_NAMES.index("training"))
    vectors = take(data.vectors, unseen if len(unseen) else np.arange(len(data.photos)))
    mine, other = (_centred(one.logits(vectors)) for one in (head, solved))
    return max(float((mine * other).sum() / max(float((other * other).sum()), 1e-9)), 1e-3)


def _centred(logits: Matrix) -> Matrix:
    return np.asarray(logits - logits.mean(axis=1, keepdims=True), np.float32)


def _divided(head: Head, temperature: float, vectors: Vectors) -> tuple[Head, float]:
    """The head with its logits divided, and by what; every photo is answered as before."""
    before = head.logits(vectors).argmax(axis=1)
    for _ in range(_MOST_NUDGES):
        divided = Head(head.weights / np.float32(temperature), head.biases / np.float32(temperature))
        # Rounding could change an answer only between two scores that are the same in all digits but the last.
        if (divided.logits(vectors).argmax(axis=1) == before).all():
            return divided, temperature
        temperature *= _NUDGE
    return head, 1.0
