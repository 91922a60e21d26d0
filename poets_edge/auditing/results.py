"""Result of `audit`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from poets_edge.auditing.class_metrics import ClassMetrics, ConfusedClasses, balanced_accuracy
from poets_edge.auditing.leaks import Leak
from poets_edge.auditing.learning_curve import LearningCurve
from poets_edge.auditing.mislabeled import LabelScores
from poets_edge.auditing.near_duplicates import NearDuplicates
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.outliers import OutlierGroup
from poets_edge.auditing.photos import AuditPhotos
from poets_edge.auditing.thresholds import ScoreCalibration
from poets_edge.core.tabular import Tabular
from poets_edge.core.wording import percent
from poets_edge.training.cross_validation import CrossValidation

_MIN_LISTED = 10
"""Minimum length of the list of suspects, as a percentage of the number of photos."""


@dataclass(frozen=True)
class Suspect:
    """A photo whose label may be wrong.

    Attributes:
        photo: path relative to the folder, with `/` as separator.
        label: class of the photo.
        likely: likeliest class other than `label`.
        score: p / (p + q), where p is the probability of the class `likely` and q is that of the class `label`.
    """

    photo: str
    label: str
    likely: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return the suspect photo as a JSON-compatible dictionary."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class LabelEvaluation:
    """Comparison of the labels with out-of-fold predictions.

    Attributes:
        cross_validation: uncalibrated scores of the evaluated photos, and the accuracy on them; the evaluated photos
            are the user's own test set if there is one, else all photos.
        label_scores: evidence against the label of each photo.
        classes: metrics of each class.
        confused_classes: most frequently confused pairs of classes.
        curve: learning curve, extrapolated to more photos.
        calibration: reliability of the scores, and the suggested threshold.
        assumption: note that the accuracy assumes independent photos; None if a warning says that they are not
            independent, or if the user specified the groups or the test photos.
    """

    cross_validation: CrossValidation
    label_scores: LabelScores
    classes: tuple[ClassMetrics, ...]
    confused_classes: tuple[ConfusedClasses, ...]
    curve: LearningCurve
    calibration: ScoreCalibration
    assumption: str | None = None

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes, 0 to 1."""
        return balanced_accuracy(self.classes)

    @property
    def mislabeled_count(self) -> int:
        """Number of labels that are probably wrong."""
        return int(self.label_scores.mislabeled.sum())

    def to_json(self, photos: AuditPhotos) -> dict[str, Any]:
        """Return the evaluation as a JSON-compatible dictionary.

        Args:
            photos: photos of the audit, from which the names of the photos are taken.
        """
        low, high = self.cross_validation.interval
        return {
            "labels_held_to_be_wrong": self.mislabeled_count,
            "accuracy": self.cross_validation.accuracy,
            "interval95": [low, high],
            "assumption": self.assumption,
            "balanced_accuracy": self.balanced_accuracy,
            "classes": {one.label: one.to_json() for one in self.classes},
            "confusions": [
                {"classes": list(pair.labels), "photos": [photos.name(row) for row in pair.rows]}
                for pair in self.confused_classes
            ],
            "curve": self.curve.to_json(),
            **self.calibration.to_json(),
        }


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AuditResult(Tabular):
    """The result of `audit`.

    Attributes:
        options: how the audit was run.
        photos: readable photos.
        near_duplicates: groups of near-duplicates.
        outliers: groups of outliers, one for each reason.
        leak: test photos with near-duplicates in the training set; None if there are none.
        evaluation: comparison of labels with out-of-fold predictions; None if no class has two photos that are not
            near-duplicates of each other.
        warnings: warnings about the cross-validation, one sentence each.
    """

    options: AuditOptions
    photos: AuditPhotos
    near_duplicates: NearDuplicates
    outliers: tuple[OutlierGroup, ...]
    leak: Leak | None
    evaluation: LabelEvaluation | None
    warnings: tuple[str, ...]

    @cached_property
    def suspects(self) -> tuple[Suspect, ...]:
        """Photos whose labels may be wrong, most suspect first.

        These are the most suspect 10 % of all photos, and any others whose labels are probably wrong.
        """
        if self.evaluation is None:
            return ()
        scores = self.evaluation.label_scores
        least = math.ceil(len(self.photos) * _MIN_LISTED / 100)
        return tuple(
            Suspect(
                photo=self.photos.name(row),
                label=self.photos.label(row),
                likely=self.photos.labels[scores.likely[row]],
                score=round(float(scores.score[row]), 6),
            )
            for place, row in enumerate(scores.order.tolist())
            if place < least or scores.mislabeled[row]
        )

    @property
    def mislabeled(self) -> tuple[str, ...]:
        """Names of the photos whose labels are probably wrong, most suspect first."""
        if self.evaluation is None:
            return ()
        scores = self.evaluation.label_scores
        return tuple(self.photos.name(row) for row in scores.order.tolist() if scores.mislabeled[row])

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON-compatible dictionary."""
        name = self.photos.name
        return {
            "format": "poets_edge-audit-1",
            "folder": str(self.options.image_dir),
            "architecture": self.options.architecture.name,
            "photos": len(self.photos),
            "own_test_set": self.photos.has_own_test,
            "suspects": [suspect.to_json() for suspect in self.suspects],
            "near_duplicates": [[name(a), name(b)] for a, b in self.near_duplicates.pairs()],
            "leak": self.leak.to_json(self.photos) if self.leak else None,
            "oddities": [
                {"reason": group.reason, "photos": list(group.names), "details": list(group.details)}
                for group in self.outliers
            ],
            **(self.evaluation.to_json(self.photos) if self.evaluation else {}),
            "remarks": list(self.warnings),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary per photo in `suspects`, for `pandas.DataFrame(result.rows())`."""
        return [suspect.to_json() for suspect in self.suspects]

    def __repr__(self) -> str:
        accuracy = f", accuracy {percent(self.evaluation.cross_validation.accuracy)}" if self.evaluation else ""
        return f"<AuditResult {len(self.photos)} photos: {len(self.mislabeled)} probable label errors{accuracy}>"
