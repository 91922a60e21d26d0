"""Tests of the messages about a run at their limits, and of the values in the report page of `train`."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.device.predictions import Mistake, Predictions
from poets_edge.errors import DatasetError
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import Photo
from poets_edge.photos.normalization import UNIT
from poets_edge.training import cross_validated_run, messages, report
from poets_edge.training.cross_validated_run import RunCrossValidation, cross_validate_run, finish_cross_validation
from poets_edge.training.distort import Distortions
from poets_edge.training.head import Step
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.messages import curve, dependence, disagreement, report_run, report_sets, small_classes
from poets_edge.training.options import TrainOptions
from poets_edge.training.record import Duplicate
from poets_edge.training.runs import Run, differences, list_runs, save_run
from tests.recorder import Recorder
from tests.tiny_model import color_model


def table(**counts: tuple[int, int, int]) -> Any:
    return {label: dict(zip(("training", "validation", "test"), of, strict=True)) for label, of in counts.items()}


def test_photo_counts_are_listed_by_class_and_split() -> None:
    reporter = Recorder()
    report_sets(reporter, table(daisy=(10, 2, 3), sunflowers=(100, 20, 0)), [], tested=True)
    assert reporter.notes == [
        "class       training  validation  test", "daisy             10           2     3",
        "sunflowers       100          20     0",
    ]  # fmt: skip
    assert reporter.warnings == ["class sunflowers: no test photo, so its accuracy is not known. Add photos."]
    untested = Recorder()
    report_sets(untested, table(a=(1, 0, 0)), [], tested=False)
    assert untested.warnings == []


def test_warnings_distinguish_duplicates_in_several_classes_and_in_several_splits() -> None:
    reporter = Recorder()
    across = Duplicate(("a/1", "b/1"), ("training", "training"), ("a", "b"))
    inside = Duplicate(("a/2", "a/3"), ("training", "test"), ("a", "a"))
    report_sets(reporter, table(a=(1, 1, 1)), [across, inside], tested=True)
    assert reporter.warnings == [
        "the same photo more than once teaches both classes: a/1 (training), b/1 (training)",
        "the same photo more than once inflates the test score: a/2 (training), a/3 (test)",
    ]


@pytest.mark.parametrize(("small", "named"), [(40, True), (41, False), (39, True)])
def test_classes_with_at_most_a_quarter_of_the_largest_class_are_reported_as_small(small: int, named: bool) -> None:
    line = small_classes(table(a=(100, 40, 20), b=(small - 3, 2, 1)))
    assert (line is not None) is named
    assert not named or line == f"few photos compared with a (160): b {small}. More of them help most."


def test_summary_of_a_run_contains_its_validation_curve() -> None:
    reporter = Recorder()
    steps = [Step(n, 0.5, 1.0, accuracy, 1.0) for n, accuracy in enumerate((0.25, 0.5, 1.0))]
    report_run(None, steps, "advice", table(a=(8, 0, 0), b=(1, 0, 0)), reporter)  # type: ignore[arg-type]
    assert reporter.notes == ["validation accuracy ▃▅█ 25% to 100%", "advice"] and len(reporter.warnings) == 1
    empty = Recorder()
    report_run(None, [Step(0, 0.5, 1.0, None, None)], None, table(a=(1, 0, 0)), empty)  # type: ignore[arg-type]
    assert empty.notes == [] and empty.warnings == []


def test_text_curve_shows_means_of_consecutive_values() -> None:
    assert curve([0.0, 1.0] * 40) == "▅" * 40
    assert curve([0.0, 0.124, 0.126, 0.99, 1.0]) == "▁▁▂██"


DEPENDENT = PhotoGroups(np.array([0, 0, 2]), alike=0.5)


@pytest.mark.parametrize(
    ("groups", "divided", "warns"),
    [
        (DEPENDENT, 0.929, False), (DEPENDENT, 0.931, True),
        (PhotoGroups(DEPENDENT.numbers, 0.5, are_divided=True), 0.9, True),
        (PhotoGroups(DEPENDENT.numbers, 0.25), 0.99, True), (PhotoGroups(DEPENDENT.numbers, 0.2499), 0.99, False),
    ],
)  # fmt: skip
def test_dependence_warning_requires_a_difference_of_three_percentage_points(
    groups: PhotoGroups, divided: float, warns: bool
) -> None:
    found: Any = SimpleNamespace(accuracy=0.9)
    line = dependence(groups, found, divided)
    assert (line is not None) is warns
    assert not warns or "groups were not found" not in str(line)


def test_disagreement_warning_compares_cross_validation_and_unrelated_test_photos() -> None:
    def result(low: float, high: float, others: tuple[float, float]) -> Any:
        test = SimpleNamespace(count=10, accuracy=0.9, interval=(low, high))
        unrelated = SimpleNamespace(count=4, accuracy=0.85, interval=others)
        crossed = SimpleNamespace(accuracy=0.7, interval=(0.6, 0.8))
        return SimpleNamespace(test=test, cross_validated=crossed, has_own_test=True, unrelated_test=unrelated)

    assert str(disagreement(result(0.81, 0.95, (0.5, 0.95)))).startswith("6 of your 10 test photos look like training")
    assert disagreement(result(0.79, 0.95, (0.5, 0.95))) is None, "the intervals overlap"
    assert str(disagreement(result(0.79, 0.95, (0.5, 0.89)))).startswith("6 of your 10"), "the others are worse"
    assert disagreement(result(0.79, 0.95, (0.5, 0.91))) is None


@pytest.mark.parametrize(
    ("low", "high", "differs"),
    [
        (0.81, 0.95, True),
        (0.2, 0.59, True),
        (0.8, 0.95, False),
        (0.2, 0.6, False),
        (0.65, 0.7, False),
        (0.5, 0.9, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("own", [True, False])
def test_disagreement_warning_appears_if_the_confidence_intervals_do_not_overlap(
    low: float, high: float, differs: bool, own: bool
) -> None:
    test = SimpleNamespace(count=10, accuracy=(low + high) / 2, interval=(low, high))
    crossed = SimpleNamespace(accuracy=0.7, interval=(0.6, 0.8))
    result: Any = SimpleNamespace(test=test, cross_validated=crossed, has_own_test=own, unrelated_test=None)
    line = disagreement(result)
    assert (line is not None) is differs
    if line:
        assert f"({100 * low:.1f} to {100 * high:.1f} %) and cross-validation (60.0 to 80.0 %)" in line
        assert ("The test accuracy counts." in line) is own
    test.count = 0
    assert disagreement(result) is None
    test.count, result.cross_validated = 10, None
    assert disagreement(result) is None


def test_files_exported_from_an_earlier_graph_are_found(tmp_path: Path) -> None:
    for name, digest in (("graph.tflite", "a" * 64), ("graph_int8.tflite", "b" * 64), ("graph_old.tflite", None)):
        facts = {} if digest is None else {"training": {"graph_sha256": digest}}
        (tmp_path / name).write_bytes(color_model(normalization=UNIT, facts=facts))
    (tmp_path / "graph_bad.tflite").write_bytes(b"no model")
    (tmp_path / "other.tflite").write_bytes(
        color_model(normalization=UNIT, facts={"training": {"graph_sha256": "c" * 64}})
    )
    found = messages.stale_exports(tmp_path / "graph.pb", "a" * 64)
    assert [path.name for path in found] == ["graph_int8.tflite"]


def photos(truth: str) -> list[Photo]:
    return [Photo(Path(f"{number}.jpg"), f"{label}/{number}.jpg", label) for number, label in enumerate(truth)]


def test_report_shows_the_most_and_least_confident_correct_prediction_per_class() -> None:
    scores = np.array(
        [[0.6, 0.4], [0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55], [0.7, 0.3], [0.9, 0.1]], np.float32
    )
    test = Predictions(photos("aaabbba"), scores, ())
    found = report._correct_examples(test, ("a", "b"))
    assert [(one["name"], round(one["score"], 2)) for one in found] == [
        ("a/1.jpg", 0.9), ("a/0.jpg", 0.6), ("b/3.jpg", 0.7), ("b/4.jpg", 0.55),
    ]  # fmt: skip
    assert {one["label"] for one in found} == {"a", "b"}
    one = Predictions(photos("ab"), np.array([[0.9, 0.1], [0.9, 0.1]], np.float32), ())
    assert [(each["name"]) for each in report._correct_examples(one, ("a", "b"))] == ["a/0.jpg"], "each photo once"
    labels = tuple("abcdefghijkl")
    many = Predictions(photos("".join(labels) * 2), np.tile(np.eye(12) * 0.9, (2, 1)).astype(np.float32), ())
    assert len(report._correct_examples(many, labels)) <= 18


def test_report_averages_consecutive_points_of_long_curves() -> None:
    points = [(float(n), float(n % 2)) for n in range(241)]
    found = report._thinned(points)
    assert len(found) == 81 and found[0][0] == 1.0 and found[0][1] == pytest.approx(1 / 3) and found[-1] == (240.0, 0.0)
    assert report._thinned(points[:120]) == points[:120]


def steps_of(*values: tuple[float, float, float | None]) -> list[Step]:
    return [Step(10 * n, a, loss, v, None if v is None else loss + 1) for n, (a, loss, v) in enumerate(values)]


def test_charts_of_the_report_have_training_and_validation_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(report, "line_chart", lambda lines, x, y, title: drawn.append((lines, x, y)))
    report._accuracy_chart(steps_of((0.5, 2.0, 0.3), (0.9, 1.0, 0.8)))
    report._loss_chart(steps_of((0.5, 2.0, 0.3), (0.9, 1.0, 0.8)))
    report._accuracy_chart(steps_of((0.02, 2.0, None)))
    (accuracy, x, y), (loss, _, of_loss), (alone, _, low) = drawn
    assert [(line.name, list(line.points)) for line in accuracy] == [
        ("training batch", [(0, 0.5), (10, 0.9)]), ("validation", [(0, 0.3), (10, 0.8)]),
    ]  # fmt: skip
    assert (x.low, x.high) == (0, 10) and y.low == pytest.approx(0.25) and y.high == 1.0
    assert [list(line.points) for line in loss] == [[(0, 2.0), (10, 1.0)], [(0, 3.0), (10, 2.0)]]
    assert (of_loss.low, of_loss.high) == (0, 3.0) and len(alone) == 1 and low.low == 0.0


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that returns the values that the report passes to its template."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(report, "write_page", lambda path, template, **values: found.update(values))
    monkeypatch.setattr(report, "thumbnails", lambda paths: {path: f"picture of {path.name}" for path in paths})

    def write(**changes: Any) -> dict[str, Any]:
        test = evaluation(3, 0.75, {"a": 0.5, "b": 1.0})
        result = SimpleNamespace(
            graph=Path("out/graph.pb"), labels=("a", "b"), table=table(a=(4, 2, 1), b=(5, 3, 2)), test=test,
            validation=evaluation(5, 0.25, {"a": 0.1, "b": 0.2}), steps=steps_of((0.5, 2.0, None)),
            misclassified=tuple(Mistake(photo, "b", 1 - n / 100) for n, photo in enumerate(photos("a" * 30))),
            unreadable=[f"{n}: damaged" for n in range(50)], cross_validated=None, calibration=None, unknown=None,
            has_own_test=False, unrelated_test=None, dependence=None, assumption="no two photos",
            duplicates=[Duplicate((f"a/{n}", f"b/{n}"), ("training", "test"), ("a", "b")) for n in range(45)],
        )  # fmt: skip
        vars(result).update(changes)
        options = TrainOptions(
            image_dir=Path("photos"), weights="mine.h5", architecture=architecture("mobilenet_0.25_128")
        )
        scored = Predictions(photos("ab"), np.eye(2, dtype=np.float32), ())
        report.write_report(options, result, scored, [f"x{n}" for n in range(60)], Path("graph.html"))  # type: ignore[arg-type]
        return found

    return write


def evaluation(count: int, accuracy: float, recalls: dict[str, float]) -> Any:
    return SimpleNamespace(
        count=count, accuracy=accuracy, interval=(0.1, 0.9), recall=recalls.__getitem__,
        confusion=np.array([[1, 2], [3, 4]]),
    )  # fmt: skip


def test_report_states_the_length_of_long_lists_but_shows_only_their_first_entries(page: Any) -> None:
    values = page()
    assert values["photos"] == 17 and values["test"] == {"accuracy": 0.75, "interval": (0.1, 0.9), "count": 3}
    assert values["assumption"] == "no two photos"
    assert (values["mistake_count"], len(values["mistakes"])) == (30, 24)
    assert values["mistakes"][0]["score"] == 1 and values["mistakes"][0]["picture"] == "picture of 0.jpg"
    assert (values["unreadable_count"], len(values["unreadable"])) == (50, 40)
    assert (values["excluded_count"], len(values["excluded"])) == (60, 40)
    assert len(values["duplicates"]) == 40 and values["duplicates"][0] == "a/0, b/0"
    assert [(one["label"], one["test"], one["cross_validated"]) for one in values["classes"]] == [
        ("a", 0.5, None),
        ("b", 1.0, None),
    ]
    assert values["test_confusion"] == [[1, 2], [3, 4]] and not values["validated"]
    assert [one["name"] for one in values["correct"]] == ["a/0.jpg", "b/1.jpg"]
    assert page(test=evaluation(0, float("nan"), {"a": 0.0, "b": 0.0}))["test"] is None


def test_report_suggests_commands_for_the_written_graph(page: Any) -> None:
    commands = [command for _, command in page()["next"]]
    assert commands == [
        "poets-edge export out/graph.pb --quantize int8", "poets-edge label out/graph_int8.tflite photo.jpg",
        "poets-edge audit photos --architecture mobilenet_0.25_128 --weights mine.h5",
    ]  # fmt: skip
    usual = page(graph=Path("tf_files/retrained_graph.pb"))["next"]
    assert usual[0][1] == "poets-edge export --quantize int8"


RECORD = {
    "architecture": "net", "weights": {"file": "w.h5", "sha256": "0"}, "image_dir": "photos", "head": {"steps": 7},
    "percentages": {"testing": 10}, "distortions": None, "classes": table(a=(4, 2, 1), b=(5, 0, 0)),
    "validation": {"accuracy": 0.5, "photos": 2, "recall": {"a": 0.1}},
    "test": {"accuracy": 0.75, "photos": 1, "recall": {"a": 0.9, "b": None}}, "cross_validation": None,
}  # fmt: skip


def test_saved_run_contains_options_photo_counts_and_results(tmp_path: Path) -> None:
    for name in ("train", "validation"):
        (tmp_path / "summaries" / name).mkdir(parents=True)
        (tmp_path / "summaries" / name / "events.1").write_text(name)
        (tmp_path / "summaries" / name / ".events.2.tmp").write_text("unfinished")
    saved = save_run(tmp_path / "runs", RECORD, tmp_path / "summaries")
    [found] = list_runs(tmp_path / "runs")
    assert found.name == saved.name and saved.name.endswith("-net")
    assert found.options == {
        "architecture": "net", "weights.file": "w.h5", "weights.sha256": "0", "image_dir": "photos", "head.steps": 7,
        "percentages.testing": 10, "distortions": None,
    }  # fmt: skip
    assert found.photos == {"a": 7, "b": 5} and found.recall == {"a": 0.9, "b": None}
    assert found.accuracies == {
        "validation": {"accuracy": 0.5, "photos": 2}, "test": {"accuracy": 0.75, "photos": 1}, "cross_validation": None,
    }  # fmt: skip
    assert list(found.accuracies) == ["validation", "test", "cross_validation"]
    deep = {**RECORD, "head": {"steps": 7, "rate": {"first": 1, "last": {"x": 2}}}}
    save_run(tmp_path / "others", deep, tmp_path / "summaries")
    [other] = list_runs(tmp_path / "others")
    assert other.options["head.rate.last.x"] == 2 and other.options["head.rate.first"] == 1
    assert [(saved / name / "events.1").read_text() for name in ("train", "validation")] == ["train", "validation"]
    assert not (saved / "train/.events.2.tmp").exists()
    assert json.loads((saved / "run.json").read_text())["date"] == found.date


def test_runs_are_listed_oldest_first_and_compared_by_differing_options(tmp_path: Path) -> None:
    for steps in (7, 9):
        save_run(tmp_path / "runs", {**RECORD, "head": {"steps": steps}}, tmp_path)
    assert [run.options["head.steps"] for run in list_runs(tmp_path / "runs")] == [7, 9]
    one = Run("1", "", {"a": 1, "b": 2}, {"x": 3, "y": 4}, {}, {})
    two = Run("2", "", {"a": 1, "c": 5}, {"x": 7}, {}, {})
    three = Run("3", "", {"a": 0, "b": 2}, {"x": 7}, {}, {})
    assert differences([one, two]) == {"b": [2, None], "c": [None, 5]}
    assert differences([one, three]) == {"a": [1, 0]}
    assert differences([two, two]) == {} and differences([one, Run("4", "", {"a": 1, "b": 2}, {"x": 8}, {}, {})]) == {
        "photos": [7, 8]
    }


def data(groups: PhotoGroups | None = None, rows: int = 6) -> Any:
    known = SimpleNamespace(vectors="vectors")
    return SimpleNamespace(
        cross_validated_rows=np.arange(rows), labels=("a", "b"), groups=groups, has_own_test=False,
        sample=lambda chosen: (list(chosen), known, groups),
    )  # fmt: skip


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Arguments of each cross-validation; the accuracy is 0.9 without groups and 0.7 with groups."""
    calls: list[Any] = []

    def run(photos: Any, vectors: Any, labels: Any, head: Any, folds: int, numbers: Any = None) -> Any:
        calls.append((photos, folds, numbers))
        return SimpleNamespace(accuracy=0.9 if numbers is None else 0.7)

    monkeypatch.setattr(cross_validated_run, "cross_validate", run)
    return calls


def test_dependent_photos_are_cross_validated_with_and_without_groups(validated: list[Any]) -> None:
    options = TrainOptions(image_dir=Path("photos"), folds=3)
    numbers = np.array([0, 0, 2, 2, 4, 4])
    found = cross_validate_run(options, data(PhotoGroups(numbers, alike=0.9)))
    assert accuracy_of(found) == 0.7 and found.ungrouped_accuracy == 0.9
    assert [call[1] for call in validated] == [3, 3]
    assert validated[0][2].tolist() == numbers.tolist() and validated[1][2] is None
    validated.clear()
    found = cross_validate_run(options, data(PhotoGroups(numbers, alike=0.1)))
    assert accuracy_of(found) == 0.7 and found.ungrouped_accuracy is None and len(validated) == 1
    found = cross_validate_run(options, data())
    assert accuracy_of(found) == 0.9 and found.ungrouped_accuracy is None
    assert validated[-1][0] == [0, 1, 2, 3, 4, 5], "of the photos to cross-validate"


def accuracy_of(found: RunCrossValidation) -> float:
    assert found.result is not None
    return found.result.accuracy


def test_cross_validation_is_skipped_if_not_requested_or_if_photos_are_distorted(validated: list[Any]) -> None:
    distorted = Distortions(flip_left_right=True)
    for options in (
        TrainOptions(image_dir=Path("photos"), folds=0), TrainOptions(image_dir=Path("photos"), distortions=distorted),
    ):  # fmt: skip
        groups = PhotoGroups(np.arange(6), alike=0.9)
        assert cross_validate_run(options, data(groups)) == RunCrossValidation(groups) and not validated


def reported(running: Any, groups: PhotoGroups | None = None, **named: Any) -> tuple[RunCrossValidation, Recorder]:
    reporter = Recorder()
    settings = Distortions(flip_left_right=named.pop("mirrored", False))
    options = TrainOptions(image_dir=Path("photos"), folds=named.pop("folds", 5), distortions=settings)
    arguments: dict[str, Any] = {"backbone_has_learned": False, "test_count": 9, **named}
    return finish_cross_validation(running, options, data(groups), reporter, **arguments), reporter


UNUSED = SimpleNamespace(result=lambda: pytest.fail("the result is not used"))
ALIKE = PhotoGroups(np.array([0, 0]), alike=0.9)


def test_reason_why_cross_validation_is_impossible_is_reported() -> None:
    def failing() -> Any:
        raise DatasetError("one photo per class")

    found, reporter = reported(SimpleNamespace(result=failing), ALIKE)
    assert found == RunCrossValidation(ALIKE) and reporter.warnings[0] == "no cross-validation: one photo per class"
    assert "The accuracy on new people or objects is not known" in reporter.warnings[1]


def test_fine_tuned_backbone_is_not_cross_validated() -> None:
    found, reporter = reported(UNUSED, ALIKE, backbone_has_learned=True)
    assert found.result is None and "test set, N = 9." in reporter.notes[0] and len(reporter.warnings) == 1
    found, reporter = reported(UNUSED, ALIKE, folds=0)
    assert found.result is None and reporter.notes == [] and len(reporter.warnings) == 1


def test_cross_validation_reports_dependent_photos() -> None:
    result: Any = SimpleNamespace(accuracy=0.7, folds=SimpleNamespace(warnings=lambda: ["2 folds"]), count=6)
    running = SimpleNamespace(result=lambda: RunCrossValidation(ALIKE, result, 0.9))
    found, reporter = reported(running)
    assert found.result is result and "With groups held out the accuracy is 70.0 %" in reporter.warnings[0]
    assert reporter.warnings[1:] == ["2 folds"]


def test_missing_cross_validation_is_explained_only_if_it_was_requested() -> None:
    reasons: list[dict[str, Any]] = [{"mirrored": True}, {"backbone_has_learned": True}]
    for reason in reasons:
        finished, reporter = reported(UNUSED, **reason)
        assert finished.result is None and reporter.notes[0].startswith("no cross-validation:")
        finished, reporter = reported(UNUSED, folds=0, **reason)
        assert finished.result is None and reporter.notes == []
