"""Tests of the options and the results of training in the studio, without training anything."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.device.metrics import Evaluation
from poets_edge.device.predictions import Predictions
from poets_edge.nets.weights import EMBEDDED
from poets_edge.photos.exclude import exclusions_json
from poets_edge.photos.folder import Photo
from poets_edge.studio import training_job
from poets_edge.studio.job_reporter import JobReporter
from poets_edge.studio.job_requests import JobRequest
from poets_edge.studio.places import Places
from poets_edge.studio.scan import stamp_of
from poets_edge.studio.trained_model import PhotoPrediction, read_model

LABELS = ("cat", "dog")
THREE = Evaluation(LABELS, np.array([[3, 1], [0, 12]]), 0.5)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path / "flowers")
    found.create()
    return found


def scored(rows: list[list[float]]) -> Predictions:
    photos = [Photo(Path(f"{number}.jpg"), f"cat/{number}.jpg", "cat") for number in range(len(rows))]
    return Predictions(photos, np.array(rows, np.float32).reshape(-1, 2), ())


def run(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "cross_validated": None,
        "has_own_test": False,
        "labels": LABELS,
        "test": THREE,
        "digests": {},
        "assumption": None,
    }
    return SimpleNamespace(**{**fields, **changes})


def test_out_of_sample_predictions_are_cross_validated_unless_the_user_has_a_test_set() -> None:
    folds, tests = scored([[0.75, 0.25], [0.25, 0.75]]), scored([[0.9, 0.1]])
    crossed = SimpleNamespace(scored=folds)
    files: Any = {"float32": SimpleNamespace(scored=tests)}
    for result, expected in (
        (run(cross_validated=crossed), folds), (run(cross_validated=crossed, has_own_test=True), tests), (run(), tests),
    ):  # fmt: skip
        found, evaluation = training_job._out_of_sample_predictions(result, files)
        assert found is expected and evaluation.count == len(expected.photos)
    files["float32"].scored = None
    found, evaluation = training_job._out_of_sample_predictions(run(), files)
    assert len(found.photos) == 0 and found.scores.shape == (0, 2) and evaluation is THREE


def test_predictions_contain_label_score_stamp_and_digest(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.jpg").write_bytes(b"photo")
    found = training_job._predictions(
        run(digests={"cat/1.jpg": "d1"}), scored([[0.75, 0.25], [0.125, 0.875]]), tmp_path
    )
    stamp = stamp_of((tmp_path / "cat/1.jpg").lstat())
    assert found == [
        PhotoPrediction(photo="cat/0.jpg", label="cat", predicted="cat", score=0.75, stamp="", digest=""),
        PhotoPrediction(photo="cat/1.jpg", label="cat", predicted="dog", score=0.875, stamp=stamp, digest="d1"),
    ]


def test_cross_validated_accuracy_is_shown_unless_the_user_has_a_test_set() -> None:
    crossed = SimpleNamespace(count=40, accuracy=0.625, interval=(0.5, 0.75))
    shown = training_job._accuracy(run(cross_validated=crossed), THREE)
    assert (shown["accuracy"], shown["interval"], shown["judged"]) == (0.625, [0.5, 0.75], 40)
    assert shown["words"] == (
        "Of 100 new photos like these, about 62 get the right label (50 to 75, estimated from 40 photos that it was not"
        " trained on)."
    )
    assumed = training_job._accuracy(run(cross_validated=crossed, assumption="no two photos"), THREE)["words"]
    assert (
        assumed == f"{shown['words']} This assumes that no two photos show one person or object, which cannot be known."
    )
    for result in (run(), run(cross_validated=crossed, has_own_test=True)):
        shown = training_job._accuracy(result, THREE)
        assert (shown["accuracy"], shown["judged"], tuple(shown["interval"])) == (0.9375, 16, THREE.interval)
    nothing = Evaluation(LABELS, np.zeros((2, 2), np.int64), float("nan"))
    shown = training_job._accuracy(run(), nothing)
    assert shown == {"accuracy": None, "interval": None, "judged": 0, "words": "Too few photos to judge the model."}


def test_more_photos_are_suggested_for_the_class_with_the_lowest_recall() -> None:
    counts = np.array([[8, 2, 0], [3, 7, 0], [0, 0, 5]])
    found = training_job._more_photos(Evaluation(("a", "b", "c"), counts, 0.1))
    assert found == {"class": "b", "text": "b is recognized least often: 70 % of its photos. Take more photos of it."}
    assert training_job._more_photos(Evaluation(("a", "b", "c"), np.diag([3, 0, 2]), 0.1)) is None


def test_changed_predictions_are_limited_to_500() -> None:
    before = [
        PhotoPrediction(photo="", label="", predicted="cat", score=1, stamp="", digest=f"{n}") for n in range(600)
    ]
    after = [
        PhotoPrediction(photo=f"{n:03}", label="", predicted="dog", score=1, stamp="", digest=f"{n}")
        for n in reversed(range(600))
    ]
    found = training_job._changes(before, after)
    assert [one["path"] for one in found] == [f"{n:03}" for n in range(500)]


def test_training_in_the_studio_writes_only_to_the_folder_of_the_studio(places: Places) -> None:
    request = JobRequest(root=places.root, number="12", kind="train", choice="quick")
    options = training_job.train_options(request)
    written = ("output_graph", "output_labels", "bottleneck_dir", "summaries_dir", "intermediate_output_graphs_dir")
    assert {name: str(getattr(options, name).relative_to(places.own)) for name in written} == {
        "output_graph": "models/12/retrained_graph.pb", "output_labels": "models/12/retrained_labels.txt",
        "bottleneck_dir": "models/bottlenecks", "summaries_dir": "models/summaries",
        "intermediate_output_graphs_dir": "models/intermediate",
    }  # fmt: skip
    assert (options.image_dir, options.runs_dir, options.with_report, options.exclude) == (
        places.root,
        None,
        False,
        None,
    )
    assert (options.architecture.name, options.weights) == ("mobilenet_0.25_128", EMBEDDED)
    places.excluded.write_bytes(exclusions_json(["cat/1.jpg"]))
    assert training_job.train_options(request).exclude == places.excluded


def test_training_job_evaluates_and_saves_the_model(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    crossed = SimpleNamespace(scored=scored([[0.75, 0.25], [0.25, 0.75]]), count=2, accuracy=0.5, interval=(0.1, 0.9))
    files: Any = {"float32": None}
    exported: list[Any] = []

    def train(options: Any, reporter: JobReporter) -> Any:
        options.output_graph.parent.mkdir()
        reporter.warn("few photos")
        return run(cross_validated=crossed, unreadable=("x.jpg: truncated",), digests={"cat/1.jpg": "d1"})

    def export(result: Any, *forms: str, reporter: object) -> Any:
        exported.append(forms)
        return files

    (places.taken / "int8.tflite").write_bytes(b"of an earlier model")
    monkeypatch.setattr(training_job, "train", train)
    monkeypatch.setattr(training_job, "export", export)
    monkeypatch.setattr(training_job, "files_json", lambda files: [{"form": "int8", "bytes": 10, "accuracy": 0.5}])
    request = JobRequest(root=places.root, number="12", kind="train", state="the state")
    shown = training_job.run_training(request, lambda message: None)
    assert exported == [("float32", "int8")]
    assert {name: shown[name] for name in ("architecture", "accuracy", "interval", "judged", "changes", "tested")} == {
        "architecture": "mobilenet_0.25_128", "accuracy": 0.5, "interval": [0.1, 0.9], "judged": 2, "changes": None,
        "tested": 16,
    }  # fmt: skip
    assert shown["confusion"] == {"labels": ["cat", "dog"], "counts": [[1, 1], [0, 0]]}
    assert shown["more_photos"]["class"] == "cat" and shown["files"] == [{"form": "int8", "bytes": 10, "accuracy": 0.5}]
    assert (shown["warnings"], shown["unreadable"]) == (["few photos"], ["x.jpg: truncated"])
    model = read_model(places)
    assert model is not None and (model.number, model.state, model.shown["tested"]) == ("12", "the state", 16)
    assert [(one.predicted, one.digest) for one in model.predictions()] == [("cat", ""), ("dog", "d1")]
    assert list(places.taken.iterdir()) == [], "files of the previous model are removed"


def test_second_training_states_which_predictions_have_changed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[0.75, 0.25], [0.25, 0.75]]

    def train(options: Any, reporter: JobReporter) -> Any:
        options.output_graph.parent.mkdir()
        crossed = SimpleNamespace(scored=scored(rows), count=2, accuracy=0.5, interval=(0.1, 0.9))
        digests = {"cat/0.jpg": "d0", "cat/1.jpg": "d1"}
        return run(cross_validated=crossed, unreadable=(), digests=digests)

    monkeypatch.setattr(training_job, "train", train)
    monkeypatch.setattr(training_job, "export", lambda *_, **__: None)
    monkeypatch.setattr(training_job, "files_json", lambda files: [])
    for number in ("12", "13"):
        request = JobRequest(root=places.root, number=number, kind="train")
        shown = training_job.run_training(request, lambda message: None)
        rows[1] = [0.75, 0.25]
    assert shown["changes"] == [{"path": "cat/1.jpg", "before": "dog", "after": "cat"}]
