"""Leaks (near-duplicates of training photos in the test set), and the test accuracy without them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from poets_edge.auditing.near_duplicates import NearDuplicates
from poets_edge.auditing.photos import AuditPhotos
from poets_edge.photos.folds import NO_FOLD
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.training.fold_heads import fold_heads
from poets_edge.training.head import HeadOptions
from poets_edge.training.vectors import take

_TRAINING, _VALIDATION, _TEST = map(SPLIT_NAMES.index, ("training", "validation", "test"))


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Leaked photos (test photos with near-duplicates in the training set), and the accuracy with and without them.

    Attributes:
        rows: row numbers of the leaked photos in `AuditPhotos`.
        tested: number of test photos, including leaked ones.
        accuracy: accuracy on all test photos, for a head fitted to the training set, 0 to 1.
        accuracy_without: accuracy of the head on the test photos that are not leaked; NaN if all are leaked.
    """

    rows: tuple[int, ...]
    tested: int
    accuracy: float
    accuracy_without: float

    def to_json(self, photos: AuditPhotos) -> dict[str, Any]:
        """Return the leaked photos and accuracies as a JSON-compatible dictionary, with None for an undefined accuracy.

        Args:
            photos: photos of the audit, from which the names of the leaked photos are taken.
        """
        return {
            "photos": [photos.name(row) for row in self.rows],
            "tested": self.tested,
            "accuracy": self.accuracy,
            "accuracy_without": None if math.isnan(self.accuracy_without) else self.accuracy_without,
        }


def find_leak(photos: AuditPhotos, duplicates: NearDuplicates, options: HeadOptions) -> Leak | None:
    """Find test photos with near-duplicates in the training set, and measure the accuracy with and without them.

    Return None if no test photo has near-duplicates there.

    Args:
        options: options for fitting the head whose accuracies are measured.
    """
    splits = photos.splits
    leaked: list[int] = []
    for group in duplicates.groups:
        members = np.array(group)
        if (splits[members] == _TRAINING).any():
            leaked += members[splits[members] == _TEST].tolist()
    if not leaked:
        return None
    test = np.flatnonzero(splits == _TEST)
    # A single head is fitted to the training set; fold 0 contains all other photos.
    fold = np.where(splits == _TRAINING, NO_FOLD, 0)
    [[head]] = fold_heads(photos.data, [fold], len(photos.labels), options, np.flatnonzero(splits != _VALIDATION))
    correct = head.scores(take(photos.vectors, test)).argmax(axis=1) == photos.classes[test]
    others = ~np.isin(test, leaked)
    return Leak(
        rows=tuple(leaked),
        tested=len(test),
        accuracy=float(correct.mean()),
        accuracy_without=float(correct[others].mean()) if others.any() else math.nan,
    )
