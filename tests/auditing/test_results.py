"""Tests of the JSON form and the representation of the result of `audit`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from poets_edge.auditing.class_metrics import ClassMetrics, ConfusedClasses
from poets_edge.auditing.learning_curve import CurvePoint, LearningCurve
from poets_edge.auditing.mislabeled import LabelScores
from poets_edge.auditing.near_duplicates import NearDuplicates
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.outliers import OutlierGroup
from poets_edge.auditing.results import AuditResult, LabelEvaluation
from poets_edge.auditing.thresholds import ScoreCalibration, Threshold
from poets_edge.device.temperature import ReliabilityBin
from tests.auditing.test_rules import photos_with

PHOTOS = photos_with(normal=12)
SCORES = LabelScores(
    order=np.array([5, 2, 7, 9]), score=np.linspace(0, 1, 12, dtype=np.float32), likely=1 - PHOTOS.classes,
    mislabeled=np.isin(np.arange(12), (5, 9)),
)  # fmt: skip
CLASSES = tuple(
    ClassMetrics(label=label, photos=6, evaluated=2, recall=recall, precision=0.5)
    for label, recall in (("a", 0.25), ("b", 1.0))
)
CURVE = LearningCurve(points=(CurvePoint(8, 0.5),), forecasts=(), removable=0.5, next_hundred=(("b", 0.3), ("a", 0.2)))
CROSS_VALIDATION: Any = SimpleNamespace(accuracy=0.75, interval=(0.5, 0.9))
CALIBRATION: Any = SimpleNamespace(to_json=lambda: {"calibration": "JSON of it", "threshold": 0.6})
RESULT = AuditResult(
    options=AuditOptions(image_dir=Path("photos"), architecture="mobilenet_0.25_128"),  # type: ignore[arg-type]
    photos=PHOTOS, near_duplicates=NearDuplicates(((0, 4),)),
    outliers=(OutlierGroup(reason="tiny", explanation="Too small.", names=["a/8.jpg"], details=["9 x 9 pixels"]),),
    leak=None, warnings=("3 folds instead of 5",),
    evaluation=LabelEvaluation(
        cross_validation=CROSS_VALIDATION, label_scores=SCORES, classes=CLASSES,
        confused_classes=(ConfusedClasses(labels=("a", "b"), first_as_second=1, second_as_first=1, rows=(2, 7)),),
        curve=CURVE, calibration=CALIBRATION, assumption="no two photos show one object",
    ),
)  # fmt: skip


def test_audit_json_contains_every_result() -> None:
    suspects = [("b/5.jpg", "b", "a", 0.454545), ("a/2.jpg", "a", "b", 0.181818), ("b/9.jpg", "b", "a", 0.818182)]
    assert RESULT.to_json() == {
        "format": "poets_edge-audit-1",
        "folder": "photos",
        "architecture": "mobilenet_0.25_128",
        "photos": 12,
        "own_test_set": False,
        "suspects": [dict(zip(("photo", "label", "likely", "score"), one, strict=True)) for one in suspects],
        "near_duplicates": [["a/0.jpg", "a/4.jpg"]],
        "leak": None,
        "oddities": [{"reason": "tiny", "photos": ["a/8.jpg"], "details": ["9 x 9 pixels"]}],
        "labels_held_to_be_wrong": 2,
        "accuracy": 0.75,
        "interval95": [0.5, 0.9],
        "assumption": "no two photos show one object",
        "balanced_accuracy": 0.625,
        "classes": {
            "a": {"photos": 6, "judged": 2, "recall": 0.25, "precision": 0.5},
            "b": {"photos": 6, "judged": 2, "recall": 1.0, "precision": 0.5},
        },
        "confusions": [{"classes": ["a", "b"], "photos": ["a/2.jpg", "b/7.jpg"]}],
        "curve": CURVE.to_json(),
        "calibration": "JSON of it",
        "threshold": 0.6,
        "remarks": ["3 folds instead of 5"],
    }
    assert [row["photo"] for row in RESULT.rows()] == [photo for photo, *_ in suspects]


def test_repr_of_an_audit_states_the_number_of_probable_label_errors() -> None:
    assert repr(RESULT) == "<AuditResult 12 photos: 2 probable label errors, accuracy 75.0 %>"


def test_json_of_a_score_calibration_states_the_suggested_threshold() -> None:
    effect = Threshold(threshold=0.6, answered=0.75, correct_kept=0.9, mistakes_refused=0.8, accuracy=0.95)
    other = Threshold(threshold=0.0, answered=1.0, correct_kept=1.0, mistakes_refused=math.nan, accuracy=0.7)
    found = ScoreCalibration(
        temperature=1.5, before=0.2, after=0.1, bins=(ReliabilityBin(score=0.55, accuracy=0.5, count=4),),
        thresholds=(other, effect), suggested=effect, target=0.96,
    )  # fmt: skip
    assert found.to_json() == {
        "calibration": {
            "temperature": 1.5, "expected_calibration_error": {"before": 0.2, "after": 0.1},
            "bins": [{"photos": 4, "score": 0.55, "accuracy": 0.5}],
        },
        "threshold": {
            "suggested": 0.6, "needed": True, "target": 0.96, "reached": False,
            "table": [
                {"threshold": 0.0, "answered": 1.0, "right_kept": 1.0, "wrong_refused": None, "accuracy": 0.7},
                {"threshold": 0.6, "answered": 0.75, "right_kept": 0.9, "wrong_refused": 0.8, "accuracy": 0.95},
            ],
        },
    }  # fmt: skip
    assert replace(found, target=0.95).is_reached and not replace(found, suggested=other).is_needed
