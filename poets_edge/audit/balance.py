"""Out-of-fold answers -> how good each class is, and which classes are confused, with the photos that show it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ClassBalance:
    """One class.

    Attributes:
        photos: in its folder.
        judged: of them, by a head that had not seen them.
        recall: share of its photos answered right; nan where none was judged.
        precision: share of the answers of this name that are right; nan where there is none.
    """

    label: str
    photos: int
    judged: int
    recall: float
    precision: float

    def to_json(self) -> dict[str, Any]:
        """For JSON; what cannot be told is null."""
        return {
            "photos": self.photos,
            "judged": self.judged,
            "recall": None if math.isnan(self.recall) else self.recall,
            "precision": None if math.isnan(self.precision) else self.precision,
        }


@dataclass(frozen=True)
class Confusion:
    """Photos of two classes that are taken for the other one.

    Attributes:
        labels: the two.
        first_for_second, second_for_first: how often.
        rows: row numbers of these photos, the surest mistakes first.
    """

    labels: tuple[str, str]
    first_for_second: int
    second_for_first: int
    rows: tuple[int, ...]


def class_balance(
    labels: tuple[str, ...], confusion: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]
) -> list[ClassBalance]:
    """Each class, in the order of the labels.

    Args:
        confusion: photos of a class (row) that were answered as a class (column).
        classes: of all photos, judged or not.
    """
    photos = np.bincount(classes, minlength=len(labels))
    found = []
    for number, label in enumerate(labels):
        right, judged = float(confusion[number, number]), float(confusion[number].sum())
        answered = float(confusion[:, number].sum())
        recall, precision = (right / total if total else math.nan for total in (judged, answered))
        found.append(ClassBalance(label, int(photos[number]), round(judged), recall, precision))
    return found


def balanced_accuracy(balance: list[ClassBalance]) -> float:
    """Mean recall of the classes that were judged: each counts as much as any other, however few photos it has."""
    recalls = [one.recall for one in balance if not math.isnan(one.recall)]
    return sum(recalls) / len(recalls) if recalls else math.nan


def confusions(
    labels: tuple[str, ...],
    scores: npt.NDArray[np.float32],
    classes: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    most: int = 5,
) -> list[Confusion]:
    """The pairs of classes with the most mistakes between them.

    Args:
        scores: of the judged photos, [judged, classes].
        classes: of the judged photos, [judged].
        rows: their row numbers, [judged].
    """
    answers = scores.argmax(axis=1)
    wrong = np.flatnonzero(answers != classes)
    pairs: dict[tuple[int, int], list[int]] = {}
    for place in wrong[np.argsort(-scores[wrong, answers[wrong]], kind="stable")]:
        low, high = sorted((int(classes[place]), int(answers[place])))
        pairs.setdefault((low, high), []).append(int(place))
    most_first = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))[:most]
    return [
        Confusion(
            (labels[low], labels[high]),
            sum(int(classes[place]) == low for place in places),
            sum(int(classes[place]) == high for place in places),
            tuple(int(rows[place]) for place in places),
        )
        for (low, high), places in most_first
    ]
