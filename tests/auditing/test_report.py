"""Tests of the values that the report of an audit shows about labels and confused classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.auditing import report
from poets_edge.auditing.class_metrics import ConfusedClasses
from poets_edge.auditing.results import AuditResult
from poets_edge.device.temperature import ReliabilityBin
from tests.auditing.test_audit_steps import CURVE
from tests.auditing.test_results import RESULT
from tests.auditing.test_rules import photos_with

CONFUSION = np.array([[1, 2], [3, 4]])


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that returns the values that the report of an audit passes to its template."""

    def show(result: AuditResult) -> dict[str, Any]:
        found: dict[str, Any] = {}
        monkeypatch.setattr(report, "write_page", lambda path, template, **values: found.update(values))
        monkeypatch.setattr(report, "thumbnails", lambda paths: [str(path) for path in paths])
        monkeypatch.setattr(report, "line_chart", lambda lines, x, y, title: title)
        report.write_report(result, Path("audit.html"))
        return found

    return show


def evaluated(*pairs: ConfusedClasses) -> AuditResult:
    scored = SimpleNamespace(evaluation=lambda labels: SimpleNamespace(confusion=CONFUSION))
    validation: Any = SimpleNamespace(accuracy=0.75, interval=(0.5, 0.9), scored=scored)
    bins = (ReliabilityBin(score=0.55, accuracy=0.5, count=4),)
    calibration: Any = SimpleNamespace(bins=bins)
    assert RESULT.evaluation is not None
    evaluation = replace(
        RESULT.evaluation, cross_validation=validation, calibration=calibration, confused_classes=pairs, curve=CURVE
    )
    photos = replace(photos_with(normal=40), unreadable=())
    scores = replace(
        evaluation.label_scores, order=np.arange(40), score=np.zeros(40, np.float32), likely=1 - photos.classes,
        mislabeled=np.zeros(40, bool),
    )  # fmt: skip
    return replace(RESULT, photos=photos, evaluation=replace(evaluation, label_scores=scores))


def test_report_shows_the_first_twelve_photos_of_each_pair_of_confused_classes(shown: Any) -> None:
    many = ConfusedClasses(labels=("a", "b"), first_as_second=9, second_as_first=6, rows=tuple(range(20, 35)))
    few = ConfusedClasses(labels=("a", "b"), first_as_second=1, second_as_first=0, rows=(3,))
    values = shown(evaluated(many, few))
    first, second = values["confused"]
    assert [one.name for one in first] == [f"{'ab'[row % 2]}/{row}.jpg" for row in range(20, 32)]
    assert [(one.name, one.label, one.likely) for one in second] == [("b/3.jpg", "b", "")]
    every = [*values["suspects"], *(one for group in values["groups"] for one in group), *first, *second]
    assert set(values["pictures"]) == {str(one.path) for one in every} | {str(Path("photos/a/8.jpg"))}


def test_report_omits_the_confusion_matrix_and_charts_if_labels_were_not_evaluated(shown: Any) -> None:
    values = shown(evaluated())
    assert values["confusion"] == [[1, 2], [3, 4]] and values["gains"] == {"b": 0.3, "a": 0.2, "c": 0.1}
    assert (values["most_helped"], values["labels"], values["folder"]) == ("b and a", ["a", "b"], "photos")
    assert values["reliability_chart"] == "Fraction of correct answers at each score"
    nothing = shown(replace(RESULT, evaluation=None))
    assert (nothing["confusion"], nothing["gains"], nothing["confused"], nothing["suspects"]) == (None, {}, [], [])
    assert (nothing["most_helped"], nothing["curve_chart"], nothing["reliability_chart"]) == ("", "", "")
