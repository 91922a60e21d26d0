"""Near-duplicates that straddle training and test: what the test accuracy is worth without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poets_edge.audit.near_duplicates import NearDuplicates
from poets_edge.audit.photos import AuditPhotos
from poets_edge.photos.folds import NOT_JUDGED
from poets_edge.photos.split import Percentages, set_numbers
from poets_edge.photos.table import SET_NAMES
from poets_edge.train.cross_validation import fold_heads
from poets_edge.train.head import HeadOptions
from poets_edge.train.vectors import take

_TRAINING, _VALIDATION, _TEST = map(SET_NAMES.index, ("training", "validation", "test"))


@dataclass(frozen=True)
class Leak:
    """Test photos that show what a training photo shows.

    Attributes:
        rows: of the test photos.
        tested: test photos in all.
        accuracy: of a head that learned from the training set, on all of them, 0 to 1.
        accuracy_without: on those that have no near-duplicate in training; nan where there is none.
    """

    rows: tuple[int, ...]
    tested: int
    accuracy: float
    accuracy_without: float

    @property
    def fall(self) -> float:
        """How far the accuracy falls without them, 0 to 1; below 0 it rises."""
        return self.accuracy - self.accuracy_without


def find_leak(
    photos: AuditPhotos, duplicates: NearDuplicates, percentages: Percentages, options: HeadOptions
) -> Leak | None:
    """The leak, or None where no near-duplicates straddle training and test."""
    of_row = set_numbers(photos.photos.photos, percentages)
    leaked = []
    for group in duplicates.groups:
        members = np.array(group)
        if (of_row[members] == _TRAINING).any():
            leaked += [int(row) for row in members[of_row[members] == _TEST]]
    if not leaked:
        return None
    tested = np.flatnonzero(of_row == _TEST)
    # One head that learns from all training photos and judges the "fold" of the test photos.
    fold = np.where(of_row == _TRAINING, NOT_JUDGED, 0)
    [[head]] = fold_heads(photos.data, [fold], len(photos.labels), options, np.flatnonzero(of_row != _VALIDATION))
    right = head.scores(take(photos.vectors, tested)).argmax(axis=1) == photos.classes[tested]
    clean = ~np.isin(tested, leaked)
    without = float(right[clean].mean()) if clean.any() else float("nan")
    return Leak(tuple(leaked), len(tested), float(right.mean()), without)
