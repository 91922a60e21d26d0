"""Recall and precision of each class, and the most frequently confused pairs of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """Out-of-fold metrics of one class.

    Attributes:
        label: name of the class.
        photos: number of photos of the class.
        evaluated: number of photos of the class with an out-of-fold prediction.
        recall: fraction of the evaluated photos that are predicted correctly; NaN if there are none.
        precision: fraction of the predictions of this class that are correct; NaN if the class is never predicted.
    """

    label: str
    photos: int
    evaluated: int
    recall: float
    precision: float

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as a JSON-compatible dictionary, with None for undefined metrics."""
        return {
            "photos": self.photos,
            "judged": self.evaluated,
            "recall": None if math.isnan(self.recall) else self.recall,
            "precision": None if math.isnan(self.precision) else self.precision,
        }


@dataclass(frozen=True, kw_only=True)
class ConfusedClasses:
    """A pair of classes, and the photos of each class that are predicted as the other class.

    Attributes:
        labels: names of the two classes.
        first_as_second: number of photos of the first class that are predicted as the second class.
        second_as_first: number of photos of the second class that are predicted as the first class.
        rows: row numbers of the misclassified photos in `AuditPhotos`, most confident predictions first.
    """

    labels: tuple[str, str]
    first_as_second: int
    second_as_first: int
    rows: tuple[int, ...]


def class_metrics(
    labels: Sequence[str], confusion: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]
) -> list[ClassMetrics]:
    """Return the metrics of each class, in the order of `labels`.

    Args:
        confusion: number of evaluated photos by true class (row) and predicted class (column).
        classes: class index of every photo, whether it was evaluated or not, [photos].
    """
    photos = np.bincount(classes, minlength=len(labels))
    metrics = []
    for number, label in enumerate(labels):
        correct, evaluated = float(confusion[number, number]), float(confusion[number].sum())
        predicted = float(confusion[:, number].sum())
        recall, precision = (correct / total if total else math.nan for total in (evaluated, predicted))
        metrics.append(
            ClassMetrics(
                label=label,
                photos=int(photos[number]),
                evaluated=round(evaluated),
                recall=recall,
                precision=precision,
            )
        )
    return metrics


def balanced_accuracy(classes: Sequence[ClassMetrics]) -> float:
    """Return the mean recall over the classes with evaluated photos, 0 to 1; NaN if there are no such classes."""
    recalls = [one.recall for one in classes if not math.isnan(one.recall)]
    return sum(recalls) / len(recalls) if recalls else math.nan


def most_confused_classes(
    labels: Sequence[str],
    scores: npt.NDArray[np.float32],
    classes: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    count: int = 5,
) -> list[ConfusedClasses]:
    """Return the most frequently confused pairs of classes, sorted by decreasing number of misclassified photos.

    Args:
        scores: out-of-fold scores, [evaluated, classes].
        classes: class index of each evaluated photo, [evaluated].
        rows: row number of each evaluated photo in the table of all photos, [evaluated].
        count: maximum number of pairs.
    """
    answers = scores.argmax(axis=1)
    wrong = np.flatnonzero(answers != classes)
    pairs: dict[tuple[int, int], list[int]] = {}
    for index in wrong[np.argsort(-scores[wrong, answers[wrong]], kind="stable")]:
        low, high = sorted((int(classes[index]), int(answers[index])))
        pairs.setdefault((low, high), []).append(int(index))
    largest = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))[:count]
    return [
        ConfusedClasses(
            labels=(labels[low], labels[high]),
            first_as_second=sum(int(classes[index]) == low for index in indices),
            second_as_first=sum(int(classes[index]) == high for index in indices),
            rows=tuple(int(rows[index]) for index in indices),
        )
        for (low, high), indices in largest
    ]
