"""Tests of the steps of `audit` on synthetic bottlenecks: folds, calibration, and the values in the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.auditing import audit as module
from poets_edge.auditing import orientation, report
from poets_edge.auditing.audit import _evaluate_labels, _score_calibration
from poets_edge.auditing.extrapolation import Forecast
from poets_edge.auditing.learning_curve import CurvePoint, LearningCurve
from poets_edge.auditing.near_duplicates import NearDuplicates
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.outliers import OutlierGroup, _unreadable, find_outliers
from poets_edge.auditing.photos import AuditPhotos, _name_and_error
from poets_edge.auditing.results import AuditResult
from poets_edge.device.temperature import ReliabilityBin
from poets_edge.errors import OutputError, PhotoError, UsageError
from poets_edge.photos.folder import Photo
from poets_edge.photos.folds import assign_folds
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Silent
from poets_edge.training.cross_validation import fit_folds
from poets_edge.training.look_alikes import PhotoGroups
from tests.auditing.test_rules import SIDE, photos_with
from tests.recorder import Recorder

OPTIONS = AuditOptions(image_dir=Path("photos"), report=None)


def distinct(photos: AuditPhotos, given: list[Any] | None = None, noise: float = 0.3) -> AuditPhotos:
    """Return photos whose bottlenecks reveal their classes; `given` states in which split folder each photo is."""
    rng = np.random.default_rng(0)
    count = len(photos)
    vectors = (3 * np.eye(2, 8)[photos.classes] + noise * rng.standard_normal((count, 8))).astype(np.float32)
    if given is None:
        return replace(photos, vectors=vectors)
    items = [replace(one.photo, given_split=split) for one, split in zip(photos.photos, given, strict=True)]
    table = type(photos.photos.photos).of(items)
    splits = np.array([SPLIT_NAMES.index(split) for split in given], np.int8)
    hashed = HashedPhotos(table.in_classes(photos.labels), photos.photos.digests)
    return replace(photos, photos=hashed, vectors=vectors, splits=splits)


def test_near_duplicates_are_in_one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """No head is evaluated on copies of its training photos."""
    photos = distinct(photos_with(normal=40))
    seen: list[Any] = []

    def fit(grouped: Any, *rest: Any) -> Any:
        seen.append(grouped.digests)
        return fit_folds(grouped, *rest)

    monkeypatch.setattr(module, "fit_folds", fit)
    found = _evaluate_labels(OPTIONS, photos, NearDuplicates(((2, 8, 31), (5, 12))), [])
    assert found is not None
    [digests] = seen
    assert (digests[[8, 31]] == digests[2]).all() and (digests[12] == digests[5]).all()
    assert len(np.unique(digests, axis=0)) == 40 - 3
    assert (photos.photos.digests[8] != photos.photos.digests[2]).any(), "the digests of the photos are not changed"


def test_each_photo_counts_once_in_the_evaluation() -> None:
    photos = distinct(photos_with(normal=40), noise=1.5)
    warnings: list[str] = []
    found = _evaluate_labels(OPTIONS, photos, NearDuplicates(()), warnings)
    assert found is not None and warnings == []
    assert [one.photos for one in found.classes] == [20, 20] and [one.evaluated for one in found.classes] == [20, 20]
    assert found.curve.points[-1].accuracy == pytest.approx(found.cross_validation.accuracy)
    assert 0.6 < found.cross_validation.accuracy < 1 and found.curve.points[-1].photos == 32


def test_labels_are_not_evaluated_if_no_class_has_two_groups_of_photos() -> None:
    photos = distinct(photos_with(normal=2))
    warnings: list[str] = []
    assert _evaluate_labels(OPTIONS, photos, NearDuplicates(()), warnings) is None
    assert len(warnings) == 1


def test_users_test_set_is_evaluated_with_a_head_trained_on_the_training_photos() -> None:
    given = ["training"] * 30 + ["validation"] * 10 + ["test"] * 20
    photos = distinct(photos_with(normal=60), given, noise=1.5)
    vectors = photos.vectors[:].copy()
    vectors[30:40] = -vectors[30:40]  # what a head that learned from validation photos would be wrong about
    photos = replace(photos, vectors=vectors)
    found = _evaluate_labels(OPTIONS, photos, NearDuplicates(()), [])
    assert found is not None and found.cross_validation.count == 20
    assert [one.evaluated for one in found.classes] == [10, 10] and [one.photos for one in found.classes] == [30, 30]
    assert len(found.label_scores.order) == 60, "every label is judged, by cross-validation"
    assert found.curve.points[-1].photos == 30, "the curve is that of the training photos"
    assert found.calibration.thresholds[0].answered == 1.0
    assert sum(one.count for one in found.calibration.bins) == 20, "thresholds apply to the test photos"


def test_thresholds_are_computed_from_the_calibrated_out_of_fold_scores() -> None:
    photos = distinct(photos_with(normal=60), noise=2.0)
    evaluated = _evaluate_labels(OPTIONS, photos, NearDuplicates(()), [])
    assert evaluated is not None
    found = _score_calibration(OPTIONS, photos, evaluated.cross_validation)
    training = int((photos.splits != SPLIT_NAMES.index("test")).sum())
    assert sum(one.count for one in found.bins) == training and found.target == 0.95


def test_uncalibrated_scores_are_used_if_no_photo_is_left_for_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "calibrate_head", lambda head, data, held_out: (head, None))
    photos = distinct(photos_with(normal=60), noise=2.0)
    evaluated = _evaluate_labels(OPTIONS, photos, NearDuplicates(()), [])
    assert evaluated is not None
    found = evaluated.calibration
    assert found.temperature == 1 and found.before == found.after > 0
    assert sum(one.count for one in found.bins) == 60


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that audits the given photos."""

    def audit(photos: AuditPhotos, **fields: Any) -> AuditResult:
        monkeypatch.setattr(module, "read_photos", lambda options, reporter: photos)
        monkeypatch.setattr(
            module,
            "find_rotated",
            lambda *rest: [OutlierGroup(reason="turned", explanation="", names=["x"], details=[""])],
        )
        return module.audit(replace(OPTIONS, **fields), reporter)

    reporter = Recorder()
    audit.reporter = reporter  # type: ignore[attr-defined]
    return audit


def test_audit_searches_for_rotated_photos_only_if_requested(audited: Any) -> None:
    photos = distinct(photos_with({"width": 600.0, "height": 100.0}, normal=40))
    plain, turned = audited(photos), audited(photos, orientation=True)
    assert "turned" not in [group.reason for group in plain.outliers]
    assert "turned" in [group.reason for group in turned.outliers]
    assert "tiny" in [group.reason for group in plain.outliers], "half of 224 pixels is more than 100"


def test_audit_reports_why_labels_are_not_evaluated(audited: Any) -> None:
    result = audited(distinct(photos_with(normal=2)))
    assert result.evaluation is None and audited.reporter.warnings == list(result.warnings) != []
    assert audited.reporter.notes == []
    assert result.suspects == () and result.mislabeled == () and "accuracy" not in result.to_json()


def test_audit_notes_that_the_accuracy_assumes_independent_photos(audited: Any) -> None:
    photos = distinct(photos_with(normal=40), noise=1.5)
    result = audited(photos)
    [note] = audited.reporter.notes
    assert "assumes that no two photos show one person or object" in note
    assert result.to_json()["assumption"] == note and audited.reporter.warnings == []
    assert audited(photos, group_by="parent").to_json()["assumption"] is None
    given = distinct(photos_with(normal=60), ["training"] * 30 + ["validation"] * 10 + ["test"] * 20, noise=1.5)
    assert audited(given).to_json()["assumption"] is None
    repetitive = replace(photos, groups=replace(photos.groups, are_repetitive=True))
    assert audited(repetitive).to_json()["assumption"] is None and len(audited.reporter.warnings) == 1
    assert audited.reporter.notes == [note]


def test_warnings_about_the_folds_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*rest: Any) -> Any:
        folds, assignments = fit_folds(*rest)
        return SimpleNamespace(assignment=folds.assignment, warnings=lambda: ["class c has one photo"]), assignments

    monkeypatch.setattr(module, "fit_folds", fit)
    warnings = ["earlier"]
    assert _evaluate_labels(OPTIONS, distinct(photos_with(normal=40)), NearDuplicates(()), warnings) is not None
    assert warnings == ["earlier", "class c has one photo"]


def test_audit_does_not_start_if_it_would_overwrite_a_file_of_another_program(audited: Any, tmp_path: Path) -> None:
    (tmp_path / "audit.html").write_text("mine")
    with pytest.raises(OutputError, match="not replaced"):
        module.audit(replace(OPTIONS, report=tmp_path / "audit.html"))


def result_of(photos: AuditPhotos, groups: tuple[tuple[int, ...], ...] = (), **evaluation: Any) -> AuditResult:
    found: Any = SimpleNamespace(**evaluation) if evaluation else None
    return AuditResult(
        options=OPTIONS, photos=photos, near_duplicates=NearDuplicates(groups), outliers=(), leak=None,
        evaluation=found, warnings=(),
    )  # fmt: skip


def test_audit_json_lists_near_duplicates_and_states_whether_there_is_a_test_set() -> None:
    photos = replace(photos_with(normal=6), unreadable=(("a/x.jpg", "damaged"),))
    json = result_of(photos, ((0, 2, 4),)).to_json()
    assert json["photos"] == 6 and json["own_test_set"] is False
    names = [photos.name(row) for row in range(6)]
    assert json["near_duplicates"] == [[names[0], names[2]], [names[0], names[4]], [names[2], names[4]]]
    given = ["training"] * 4 + ["test"] * 2
    assert result_of(distinct(photos_with(normal=6), given)).to_json()["own_test_set"] is True


def test_mislabeled_photos_are_listed_in_order_of_suspicion() -> None:
    photos = photos_with(normal=6)
    scores = SimpleNamespace(
        order=np.array([4, 1, 5, 0]), mislabeled=np.array([True, False, False, False, True, True]),
        likely=np.array([1, 0, 1, 0, 1, 0]), score=np.array([0.1, 0.2, 0.3, 0.4, 0.55555555, 0.6]),
    )  # fmt: skip
    result = result_of(photos, label_scores=scores)
    assert result.mislabeled == (photos.name(4), photos.name(5), photos.name(0))
    first = result.suspects[0]
    assert (first.photo, first.label, first.likely, first.score) == (photos.name(4), "a", "b", 0.555556)


@pytest.mark.parametrize(("wrong", "shown"), [(0, 12), (6, 12), (10, 20), (30, 60), (100, 60)])
def test_report_shows_two_suspects_per_probable_label_error_but_12_to_60_in_total(wrong: int, shown: int) -> None:
    photos = photos_with(normal=120)
    scores = SimpleNamespace(order=np.arange(120)[::-1], likely=1 - photos.classes, score=np.linspace(0, 1, 120))
    result = result_of(photos, label_scores=scores, mislabeled_count=wrong)
    found = report._suspects(result)
    assert len(found) == shown
    assert (found[0].name, found[0].label, found[0].likely, found[0].score) == (photos.name(119), "b", "a", 1.0)


def test_report_lists_near_duplicates_across_classes_first_then_across_splits() -> None:
    photos = photos_with(normal=12)
    splits = np.zeros(12, np.int8)
    splits[[4, 5]] = SPLIT_NAMES.index("test")
    photos = replace(photos, splits=splits)
    result = result_of(photos, ((0, 2), (6, 4), (8, 9, 10)))
    across, straddling, plain = report._near_duplicates(result)
    assert [one.name for one in across] == [photos.name(row) for row in (8, 9, 10)]
    assert [(one.crosses, one.likely) for one in across] == [(True, "b"), (True, "a"), (True, "b")]
    assert [(one.split, one.crosses, one.likely) for one in straddling] == [
        ("training", False, ""),
        ("test", False, ""),
    ]
    assert [one.name for one in plain] == [photos.name(0), photos.name(2)]
    many = result_of(photos_with(normal=80), tuple((2 * n, 2 * n + 1) for n in range(35)))
    assert len(report._near_duplicates(many)) == 30
    assert len(report._near_duplicates(result_of(photos, (tuple(range(0, 12, 1)),)))[0]) == 6


def test_report_counts_outliers_and_shows_at_most_eighteen_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}
    monkeypatch.setattr(report, "write_page", lambda path, template, **values: found.update(values))
    shown: list[Any] = []
    monkeypatch.setattr(report, "thumbnails", shown.extend)
    names = [f"a/{number}.jpg" for number in range(20)]
    groups = (
        OutlierGroup(reason="tiny", explanation="", names=names, details=[f"{n} px" for n in range(20)]),
        OutlierGroup(reason="black", explanation="", names=["b/x.jpg"], details=[""]),
    )
    result = replace(result_of(photos_with(normal=8), ((0, 1), (2, 3, 4))), outliers=groups)
    report.write_report(result, Path("audit.html"))
    assert found["outlier_count"] == 21 and found["pair_count"] == 4 and found["confusion"] is None
    [tiny, black] = found["outliers"]
    assert [(one.name, one.detail) for one in tiny.photos] == [(f"a/{n}.jpg", f"{n} px") for n in range(18)]
    assert [one.name for one in black.photos] == ["b/x.jpg"]
    assert len(shown) == 18 + 1 + 5, "every shown photo has a thumbnail"


CURVE = LearningCurve(
    points=(CurvePoint(20, 0.5), CurvePoint(40, 0.6), CurvePoint(80, 0.7)),
    forecasts=(Forecast(150, 0.75, (0.65, 0.8)), Forecast(200, 0.8, (0.6, 0.99))), removable=0.5,
    next_hundred=(("b", 0.3), ("a", 0.2), ("c", 0.1)),
)  # fmt: skip


def test_report_draws_the_learning_curve_and_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(report, "line_chart", lambda lines, x, y, title: drawn.append((lines, x, y)))
    report._curve_chart(CURVE)
    [([expected, measured], x, y)] = drawn
    assert list(measured.points) == [(20, 0.5), (40, 0.6), (80, 0.7)]
    assert list(expected.points) == [(80, 0.7), (150, 0.75), (200, 0.8)]
    assert list(expected.band) == [(80, 0.7, 0.7), (150, 0.65, 0.8), (200, 0.6, 0.99)]
    assert (x.low, x.high, x.logarithmic, list(x.ticks)) == (20, 200, True, [20, 80, 200])
    assert (y.low, y.high) == (pytest.approx(0.49), 1.0)
    flat = replace(CURVE, points=(CurvePoint(20, 0.0), CurvePoint(80, 0.998)))
    report._curve_chart(flat)
    assert (drawn[1][2].low, drawn[1][2].high) == (0.0, 1.0), "no accuracy is below 0 or above 100 %"
    assert (
        report.most_helped(CURVE) == "b and a" and report.most_helped(replace(CURVE, next_hundred=(("b", 1),))) == "b"
    )


def test_report_draws_the_reliability_of_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(report, "line_chart", lambda lines, x, y, title: drawn.append(lines))
    report._reliability_chart(
        [ReliabilityBin(score=0.55, accuracy=0.5, count=4), ReliabilityBin(score=0.9, accuracy=1.0, count=7)]
    )
    [[diagonal, line]] = drawn
    assert list(diagonal.points) == [(0, 0), (1, 1)]
    assert (list(line.points), list(line.counts)) == ([(0.55, 0.5), (0.9, 1.0)], [4, 7])


def test_white_photos_are_listed_in_descending_order_of_brightness() -> None:
    photos = photos_with({"brightness": 244.0, "contrast": 1.0}, {"brightness": 250.0, "contrast": 1.0})
    [group] = find_outliers(photos, SIDE)
    assert group.reason == "white" and list(group.names) == ["b/1.jpg", "a/0.jpg"] and list(group.details) == ["", ""]
    photos = photos_with({"brightness": 9.0, "contrast": 1.0}, {"brightness": 2.4, "contrast": 1.0})
    [group] = find_outliers(photos, SIDE)
    assert list(group.details) == ["brightness 2 of 255", "brightness 9 of 255"]


def test_blank_photos_are_not_also_listed_as_black_or_white() -> None:
    for brightness, reasons in ((11.0, ["black"]), (12.0, ["blank"]), (243.0, ["blank"]), (244.0, ["white"])):
        photos = photos_with({"brightness": brightness, "contrast": 1.0, "colorfulness": 0.0})
        assert [group.reason for group in find_outliers(photos, SIDE)] == reasons


def test_unreadable_photos_are_grouped_by_error() -> None:
    errors = [("1", "image file is truncated"), ("2", "Truncated File Read"), ("3", "not a picture")]
    truncated, damaged = _unreadable(errors)
    assert (truncated.reason, list(truncated.names), truncated.readable) == ("truncated", ["1", "2"], False)
    assert (damaged.reason, list(damaged.names), list(damaged.details)) == ("unreadable", ["3"], ["not a picture"])
    assert _unreadable([]) == []


def test_photo_name_and_error_do_not_contain_the_folder_path() -> None:
    photo = Photo(Path("photos/a/1.jpg"), "a/1.jpg", "a")
    assert _name_and_error(photo, PhotoError("photos/a/1.jpg: damaged.")) == ("a/1.jpg", "damaged.")


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that searches for rotated photos among photos with the given rotation angles."""

    def find(angles: list[int], fold: list[int] | None = None, most: int = 2000) -> list[OutlierGroup]:
        rng = np.random.default_rng(0)
        count = len(angles)

        def seen(extra: int) -> Any:
            places = [(angle // 90 + extra) % 4 for angle in angles]
            return (9 * np.eye(4, 8)[places] + 0.1 * rng.standard_normal((count, 8))).astype(np.float32)

        photos = replace(photos_with(normal=count), vectors=seen(0), groups=PhotoGroups(np.arange(count)))
        learned = np.linspace(0, count - 1, min(count, most)).astype(int)
        rotated = np.stack([seen(extra)[learned] for extra in (1, 2, 3)])
        monkeypatch.setattr(orientation, "_rotated_vectors", lambda *rest: rotated)
        monkeypatch.setattr(orientation, "_MAX_LEARNED", most)
        if fold is not None:
            chosen = SimpleNamespace(assignment=np.array(fold))
            monkeypatch.setattr(orientation, "assign_folds", lambda *rest, **named: [chosen])
        return orientation.find_rotated(photos, OPTIONS, Silent())

    return find


def test_rotated_photos_are_listed_with_the_rotation_that_corrects_them(turned: Any) -> None:
    angles = [0] * 40
    angles[3], angles[11], angles[20] = 90, 180, 270
    [group] = turned(angles)
    listed = dict(zip(group.names, group.details, strict=True))
    assert listed == {
        "b/3.jpg": "turn it 90 degrees clockwise", "b/11.jpg": "turn it upside down",
        "a/20.jpg": "turn it 90 degrees anticlockwise",
    }  # fmt: skip
    assert turned([0] * 40) == []


def test_rotated_photos_are_found_by_heads_trained_on_a_limited_sample(turned: Any) -> None:
    angles = [0] * 60
    angles[33] = 90
    [group] = turned(angles, most=20)
    assert list(group.names) == ["b/33.jpg"]


def test_rotation_check_keeps_the_photos_of_a_group_in_one_fold(turned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def assigned(photos: Any, *folds: Any, groups: Any = None) -> Any:
        asked.append(groups)
        return assign_folds(photos, *folds, groups=groups)

    monkeypatch.setattr(orientation, "assign_folds", assigned)
    turned([0] * 40)
    assert asked[0] is not None and asked[0].tolist() == list(range(40))


def test_audit_does_not_report_photos_without_a_fold_as_rotated(turned: Any) -> None:
    angles = [0] * 40
    angles[3], angles[4] = 90, 180
    fold = [row % 5 for row in range(40)]
    fold[4] = -1
    [group] = turned(angles, fold)
    assert list(group.names) == ["b/3.jpg"]


@pytest.mark.parametrize(
    ("fields", "valid"),
    [
        ({"folds": 2}, True), ({"folds": 1}, False), ({"target": 0.001}, True), ({"target": 0.0}, False),
        ({"target": 1.0}, False), ({"report": Path("photos/a/x.html")}, False), ({"report": None}, True),
        ({"group_by": "(a"}, False), ({"group_by": "(a)"}, True),
        ({"bottleneck_dir": Path("photos/cache")}, False), ({"model_dir": Path("photos/models")}, False),
    ],
)  # fmt: skip
def test_audit_options_accept_values_up_to_their_limits(fields: dict[str, Any], valid: bool) -> None:
    if valid:
        assert AuditOptions(image_dir=Path("photos"), **fields).recursive is False
    else:
        with pytest.raises(UsageError):
            AuditOptions(image_dir=Path("photos"), **fields)
