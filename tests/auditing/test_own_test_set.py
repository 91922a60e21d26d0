"""Tests of audits of folders in which the user chose the test photos."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poets_edge.auditing import audit as module
from poets_edge.auditing.audit import _evaluate_labels
from poets_edge.auditing.mislabeled import score_labels
from poets_edge.auditing.near_duplicates import NearDuplicates
from poets_edge.auditing.outliers import find_unknown
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.training.head import Head
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.temperature_scaling import HeadCalibration
from tests.auditing.test_audit_steps import OPTIONS, distinct
from tests.auditing.test_rules import photos_with
from tests.training.test_unknown import draw, training_data


def test_folds_for_label_scores_keep_groups_together_if_the_user_has_a_test_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = ["training"] * 30 + ["test"] * 30
    numbers = np.arange(60) // 6 * 6
    photos = replace(distinct(photos_with(normal=60), given), groups=PhotoGroups(numbers))
    seen: list[Any] = []

    def score(data: Any, fold: Any, count: int) -> Any:
        seen.append(fold)
        return score_labels(data, fold, count)

    monkeypatch.setattr(module, "score_labels", score)
    assert _evaluate_labels(OPTIONS, photos, NearDuplicates(()), []) is not None
    [fold] = seen
    assert len(np.unique(fold)) == 5 and (fold == fold[numbers]).all()


def test_thresholds_for_the_users_test_set_are_computed_from_calibrated_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The temperature of the calibrated head is so high that all scores are 0.5."""

    def calibrate(head: Head, data: Any, held_out: Any) -> Any:
        found = HeadCalibration(9.0, 9.0, 0.2, 0.1, held_out.scores, held_out.truth)
        return Head(head.weights * 0, head.biases * 0), found

    monkeypatch.setattr(module, "calibrate_head", calibrate)
    photos = distinct(photos_with(normal=60), ["training"] * 40 + ["test"] * 20)
    evaluated = _evaluate_labels(OPTIONS, photos, NearDuplicates(()), [])
    assert evaluated is not None
    found = evaluated.calibration
    assert [(one.score, one.count) for one in found.bins] == [(0.5, 20)]
    assert (found.temperature, found.before, found.after) == (9.0, 0.2, 0.1)


def test_dependent_photos_cause_a_warning_unless_the_user_chose_the_test_photos() -> None:
    groups = PhotoGroups(np.arange(60) // 6 * 6, are_repetitive=True)
    photos = replace(distinct(photos_with(normal=60)), groups=groups)
    warnings: list[str] = []
    _evaluate_labels(OPTIONS, photos, NearDuplicates(()), warnings)
    assert len(warnings) == 1
    given = replace(distinct(photos_with(normal=60), ["training"] * 30 + ["test"] * 30), groups=groups)
    warnings.clear()
    _evaluate_labels(OPTIONS, given, NearDuplicates(()), warnings)
    assert warnings == [], "the test photos are from the user, whatever the other photos look like"


def test_audit_reports_test_photos_that_differ_from_all_training_photos() -> None:
    """The last photo, which is far from all others, is in the test set, and its distance is out of fold."""
    bottlenecks, classes = draw(40)
    bottlenecks[119] = draw(1, 6, shift=0.8)[0][0]
    photos = photos_with(normal=120, labels=("a", "b", "c"))
    splits = np.zeros(120, np.int8)
    splits[100:] = SPLIT_NAMES.index("test")
    given = replace(
        photos, vectors=bottlenecks, classes=classes, photos=training_data(bottlenecks, classes).photos, splits=splits
    )
    [found] = find_unknown(given, OPTIONS)
    assert found.names[0] == given.name(119)
