"""The findings of an audit, and what they are in JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from poets_edge.audit.balance import ClassBalance, Confusion, balanced_accuracy
from poets_edge.audit.leaks import Leak
from poets_edge.audit.learning_curve import LearningCurve
from poets_edge.audit.near_duplicates import NearDuplicates
from poets_edge.audit.options import AuditOptions
from poets_edge.audit.outliers import Oddity
from poets_edge.audit.photos import AuditPhotos
from poets_edge.audit.suspects import Suspects
from poets_edge.audit.thresholds import Calibration
from poets_edge.train.cross_validation import CrossValidation
from poets_edge.train.head import Indices

_FEWEST_LISTED = 10
"""Percent of the photos that a list of suspects holds at least."""


@dataclass(frozen=True)
class Judgement:
    """The heads' answers to photos they have not learned from.

    Attributes:
        rows: row numbers of the photos that were judged, int64 [judged].
        cross_validation: the scores of these photos, before calibration, and the accuracy.
    """

    rows: Indices
    cross_validation: CrossValidation
    suspects: Suspects
    balance: tuple[ClassBalance, ...]
    confusions: tuple[Confusion, ...]
    curve: LearningCurve
    calibration: Calibration

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes, 0 to 1."""
        return balanced_accuracy(list(self.balance))

    @property
    def wrong(self) -> int:
        """Labels that are held to be wrong."""
        return int(self.suspects.found.sum())


@dataclass(frozen=True)
class AuditResult:
    """The result of `audit`.

    Attributes:
        judgement: None where no class has two photos, so that nothing can be judged.
        leak: near-duplicates that straddle training and test; None where there are none.
        remarks: what could not be done as asked for, a sentence each.
    """

    options: AuditOptions
    photos: AuditPhotos
    near_duplicates: NearDuplicates
    oddities: tuple[Oddity, ...]
    leak: Leak | None
    judgement: Judgement | None
    remarks: tuple[str, ...]

    def suspects(self) -> Iterator[dict[str, Any]]:
        """The most suspect first: all that are held to be wrong, and a tenth of the photos at least."""
        if self.judgement is None:
            return
        found = self.judgement.suspects
        listed = max(math.ceil(len(self.photos) * _FEWEST_LISTED / 100), self.judgement.wrong)
        for row in found.order[:listed]:
            yield {
                "photo": self.photos.name(int(row)),
                "label": self.photos.label(int(row)),
                "likely": self.photos.labels[found.likely[row]],
                "score": round(float(found.score[row]), 6),
            }

    def held_to_be_wrong(self) -> list[str]:
        """Names of the photos whose labels are probably wrong, the most suspect first."""
        if self.judgement is None:
            return []
        found = self.judgement.suspects
        return [self.photos.name(int(row)) for row in found.order if found.found[row]]

    def to_json(self) -> dict[str, Any]:
        """For JSON; what cannot be told is null."""
        name, judged = self.photos.name, self.judgement
        return {
            "format": "poets_edge-audit-1",
            "folder": str(self.options.image_dir),
            "architecture": self.options.architecture.name,
            "photos": len(self.photos),
            "suspects": list(self.suspects()),
            "near_duplicates": [[name(a), name(b)] for a, b in self.near_duplicates.pairs()],
            "leak": self._leak(),
            "oddities": [
                {"reason": one.reason, "photos": list(one.names), "details": list(one.details)} for one in self.oddities
            ],
            **(_judged(judged, self.photos) if judged else {}),
            "remarks": list(self.remarks),
        }

    def _leak(self) -> dict[str, Any] | None:
        if self.leak is None:
            return None
        return {
            "photos": [self.photos.name(row) for row in self.leak.rows],
            "tested": self.leak.tested,
            "accuracy": self.leak.accuracy,
            "accuracy_without": None if math.isnan(self.leak.accuracy_without) else self.leak.accuracy_without,
        }


def _judged(judged: Judgement, photos: AuditPhotos) -> dict[str, Any]:
    low, high = judged.cross_validation.interval
    calibration, curve = judged.calibration, judged.curve
    return {
        "labels_held_to_be_wrong": judged.wrong,
        "accuracy": judged.cross_validation.accuracy,
        "interval95": [low, high],
        "balanced_accuracy": judged.balanced_accuracy,
        "classes": {one.label: one.to_json() for one in judged.balance},
        "confusions": [
            {"classes": list(one.labels), "photos": [photos.name(row) for row in one.rows]} for one in judged.confusions
        ],
        "curve": {
            "points": [point.to_json() for point in curve.points],
            "predictions": [prediction.to_json() for prediction in curve.predictions],
            "removable_share_of_errors": curve.removable,
            "next_hundred": [{"class": label, "balanced_accuracy_gain": gain} for label, gain in curve.next_hundred],
        },
        "calibration": {
            "temperature": calibration.temperature,
            "expected_calibration_error": {"before": calibration.before, "after": calibration.after},
            "bins": [{"photos": b.count, "score": b.score, "accuracy": b.accuracy} for b in calibration.bins],
        },
        "threshold": {
            "suggested": calibration.suggested.threshold,
            "target": calibration.target,
            "reached": calibration.reached,
            "table": [row.to_json() for row in calibration.thresholds],
        },
    }
