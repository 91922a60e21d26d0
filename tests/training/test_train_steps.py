"""Tests of the steps of `train`: what is trained, evaluated, recorded and written, with stand-ins for the rest."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import DatasetError, OutputError
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import Photo
from poets_edge.photos.split import SplitConfig
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.photos.table import HashedPhoto, HashedPhotos, PhotoTable
from poets_edge.progress import Silent
from poets_edge.training import head_training
from poets_edge.training import train as module
from poets_edge.training.data import TrainingData
from poets_edge.training.distort import Distortions
from poets_edge.training.head import Head, HeadOptions, LabeledVectors, Step
from poets_edge.training.head_training import train_monitored_head
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.options import TrainOptions
from poets_edge.training.outputs import check_outputs
from poets_edge.training.unknown import UnknownDetection
from tests.recorder import Recorder

TRAINING, VALIDATION, TEST = (SPLIT_NAMES.index(name) for name in ("training", "validation", "test"))
HEAD = Head(np.eye(3, 2, dtype=np.float32) * 4, np.zeros(2, np.float32))


def options(folder: Path, **changes: Any) -> TrainOptions:
    return TrainOptions(**{
        "image_dir": folder / "photos", "architecture": architecture("mobilenet_0.25_128"),
        "bottleneck_dir": folder / "bottlenecks", "output_graph": folder / "graph.pb",
        "output_labels": folder / "labels.txt", "summaries_dir": folder / "summaries",
        "intermediate_output_graphs_dir": folder / "graphs", **changes,
    })  # fmt: skip


def data(sets: list[int], groups: PhotoGroups | None = None, wrong: tuple[int, ...] = ()) -> TrainingData:
    """Return photos of two alternating classes; vectors reveal the class, except those of the photos in `wrong`."""
    names = [f"{'ab'[row % 2]}/{row}.jpg" for row in range(len(sets))]
    items = [HashedPhoto(Photo(Path(name), name, name[0]), bytes([row + 1]) * 32) for row, name in enumerate(names)]
    seen = [(row + (row in wrong)) % 2 for row in range(len(sets))]
    vectors = np.eye(2, 3, dtype=np.float32)[seen]
    return replace(TrainingData.of(items, vectors, np.array(sets, np.int8), ("a", "b")), groups=groups)


@pytest.fixture
def monitored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that trains a head with stub steps; returns what was written to the event files and graphs."""

    def run(count: int, losses: dict[int, float | None], **changes: Any) -> Any:
        events: dict[str, list[Any]] = {}
        pictures: list[Any] = []

        @contextlib.contextmanager
        def opened(folder: Path) -> Iterator[Any]:
            of = events.setdefault(folder.relative_to(tmp_path).as_posix(), [])

            def add(step: int, scalars: Any, histograms: Any = None) -> None:
                of.append((step, scalars, sorted(histograms or {})))

            yield SimpleNamespace(add=add, add_graph=lambda graph: pictures.append((folder.name, graph)))

        def train(training: Any, validation: Any, class_count: int, head: Any, on_step: Any, on_update: Any) -> Head:
            assert class_count == 2
            for number, (step, loss) in enumerate(losses.items()):
                correct = None if loss is None else 0.25
                on_step(Step(step, 0.75, 0.5, correct, loss), Head(HEAD.weights + number, HEAD.biases))
            for step in range(1, count + 1):
                on_update(step, step)  # the number stands for the head
            return HEAD

        monkeypatch.setattr(head_training, "event_file", opened)
        monkeypatch.setattr(head_training, "train_head", train)
        monkeypatch.setattr(head_training, "training_picture", lambda graph: f"picture of {graph}")
        monkeypatch.setattr(head_training, "with_labels", lambda graph, labels: f"{graph} for {','.join(labels)}")
        monkeypatch.setattr(head_training, "serialize", lambda graph: graph.encode())
        monkeypatch.setattr(head_training, "better_step", lambda *chosen, **rest: (chosen, rest))
        empty = LabeledVectors(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
        chosen = options(
            tmp_path, head=HeadOptions(steps=count, early_stop=changes.pop("early_stop", False)), **changes
        )

        def graph_of(head: Any) -> str:
            return f"graph {head}" if isinstance(head, int) else "graph"

        head, steps, advice = train_monitored_head(chosen, empty, empty, ("a", "b"), graph_of, Silent())
        assert head is HEAD and [step.step for step in steps] == list(losses)
        return SimpleNamespace(events=events, pictures=pictures, advice=advice)

    return run


def test_event_files_contain_training_and_validation_curves_and_periodic_histograms(monitored: Any) -> None:
    found = monitored(200, dict.fromkeys([*range(0, 200, 10), 199], 0.125))
    assert list(found.events) == ["summaries/train", "summaries/validation"]
    steps = [step for step, _, histograms in found.events["summaries/train"] if histograms]
    assert steps == [0, 80, 160, 199], "every eighth, and the last step"
    assert found.events["summaries/train"][0][2] == ["head/biases", "head/weights"]
    assert all(scalars == {"accuracy": 0.75, "cross_entropy": 0.5} for _, scalars, _ in found.events["summaries/train"])
    validation = found.events["summaries/validation"]
    assert validation[3] == (30, {"accuracy": 0.25, "cross_entropy": 0.125}, []) and len(validation) == 21
    assert found.pictures == [("train", "picture of graph")]


def test_best_and_last_heads_of_a_training_run_are_compared(monitored: Any) -> None:
    found = monitored(40, {0: 0.9, 10: 0.3, 20: 0.3, 30: 0.6, 39: 0.4}, early_stop=True)
    (best, last, _), rest = found.advice
    assert (best.step, last.step) == (10, 39) and rest == {"early_stop": True}
    assert best.head.weights[0, 0] == 4 + 1 and last.head.weights[0, 0] == 4 + 4
    assert monitored(40, {0: None, 39: None}).advice is None
    (best, last, _), rest = monitored(1, {0: 0.5}).advice
    assert (best.step, last.step) == (0, 0) and rest == {"early_stop": False}


def test_intermediate_graphs_are_written_at_the_requested_interval(monitored: Any, tmp_path: Path) -> None:
    monitored(7, {}, intermediate_store_frequency=3)
    assert {path.name: path.read_text() for path in (tmp_path / "graphs").iterdir()} == {
        "intermediate_3.pb": "graph 3 for a,b", "intermediate_6.pb": "graph 6 for a,b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "valid"),
    [
        ("graph.pb", b"\n\x05", True), ("graph.pb", b"", True), ("graph.pb", b"PK", False),
        ("graph.pb", b"\x89", False),
        ("labels.txt", b"a\nb\n", True), ("labels.txt", b"a\0", False), ("labels.txt", b"a" * 2000 + b"\0", True),
        ("graph.json", b'{"format": 1, "graph_sha256": ""', True), ("graph.json", b'{"format": 1}', False),
        ("graph.json", b"", True), ("graph.html", b"mine", False),
        ("graph.html", b'<meta name="generator" content="poets_edge', True),
    ],
)  # fmt: skip
def test_training_outputs_do_not_replace_files_of_other_kinds(
    name: str, content: bytes, valid: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    if valid:
        check_outputs(options(tmp_path))
    else:
        with pytest.raises(OutputError, match="not replaced"):
            check_outputs(options(tmp_path))
    if name.endswith(".html"):
        check_outputs(options(tmp_path, with_report=False))


@pytest.mark.parametrize(("size", "count"), [(-1, 10), (10, 10), (11, 10), (4, 4), (9, 9)])
def test_test_batch_of_limited_size_is_a_random_sample(size: int, count: int, tmp_path: Path) -> None:
    sets = [TRAINING, TEST] * 10
    rows = module._test_rows(options(tmp_path, test_batch_size=size), data(sets))
    assert len(rows) == len(set(rows.tolist())) == count and (np.diff(rows) > 0).all()
    assert set(rows.tolist()) <= set(range(1, 20, 2))
    if count < 9:
        others = module._test_rows(options(tmp_path, test_batch_size=size, head=HeadOptions(seed=1)), data(sets))
        assert rows.tolist() != others.tolist() and rows.tolist() != list(range(1, 9, 2))


def detection() -> Any:
    values: dict[str, Any] = {
        name: np.zeros(0, np.float32) for name in ("distances", "test", "background", "strangers")
    }
    return UnknownDetection(detector="detector", rate=0.05, rows=np.zeros(0, np.int64), **values)  # type: ignore[arg-type]


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that trains on given data with stand-ins for everything that is tested elsewhere."""
    state = SimpleNamespace(
        reporter=Recorder(),
        calls=[],
        written={},
        unknown=detection(),
        calibrated=(HEAD, None),
        validated=None,
        tuned=None,
    )

    def called(name: str, result: Any = None) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            state.calls.append((name, arguments, named))
            return result(*arguments, **named) if callable(result) else result

        monkeypatch.setattr(module, name, call)
        return call

    @contextlib.contextmanager
    def opened(path: Path) -> Iterator[Any]:
        yield "cache", state.damaged

    backbone: Any = SimpleNamespace(cache_file=Path("c"), read_graph=lambda: "frozen")
    for name in (
        "report_sets", "report_groups", "report_run", "report_stale_exports", "save_run", "write_report",
        "compute_on_cluster", "remove_curves", "write_curves", "cross_validate_run",
    ):  # fmt: skip
        called(name)
    called("find_weights", SimpleNamespace(path=Path("weights.h5"), digest="0" * 64))
    called("prepare_backbone", backbone)
    monkeypatch.setattr(module, "open_cache", opened)
    called("hash_photos", SimpleNamespace(readable="readable"))
    called("read_data", lambda *rest: (state.data, ("x.jpg: broken",)))
    called("training_vectors", "training vectors")
    called("read_background", SimpleNamespace(vectors="background", photos=[1, 2]))
    called("read_strangers", SimpleNamespace(vectors="strangers", photos=[1]))
    called("predict_held_out", "held out")
    called("calibrate_head", lambda *rest, **named: state.calibrated)

    def detect(*rest: Any, **named: Any) -> Any:
        if isinstance(state.unknown, Exception):
            raise state.unknown
        return state.unknown

    called("detect_unknown", detect)
    called("train_monitored_head", (HEAD, [Step(0, 0.5, 0.5, None, None)], "stop earlier"))
    finished = SimpleNamespace(result=None, dependence="dependent")
    called("finish_cross_validation", finished)
    monkeypatch.setattr(
        module, "with_softmax_layer", lambda graph, weights, biases, name: [graph, weights, biases, name]
    )
    monkeypatch.setattr(module, "with_detector", lambda graph, detector: [*graph, detector])
    monkeypatch.setattr(module, "with_labels", lambda graph, labels: [*graph, labels])
    monkeypatch.setattr(module, "with_photo_sets", lambda graph, known: [*graph, known])

    def serialize(graph: Any) -> bytes:
        state.graph, state.has_detector = graph, any(isinstance(one, str) and one == "detector" for one in graph)
        return b"graph"

    monkeypatch.setattr(module, "serialize", serialize)
    monkeypatch.setattr(module, "record_of", lambda sha256, fields: (sha256, dict(fields)))
    monkeypatch.setattr(module, "write_together", state.written.update)
    monkeypatch.setattr(module, "disagreement", lambda result: state.difference)
    monkeypatch.setattr(
        module,
        "independence_assumption",
        lambda groups, warning, group_by, has_own_test: f"{warning} {group_by} {has_own_test}",
    )
    state.damaged, state.difference = None, None

    def run(given: TrainingData, **changes: Any) -> Any:
        state.data = given
        state.calls.clear()
        folder: Any = SimpleNamespace(photos="photos", set_folders=("test",), warnings=lambda: ["odd folder"])
        exclusions: Any = SimpleNamespace(to_json=lambda: {"left": 1}, leave_out={"z", "y"})
        state.options = options(tmp_path, **changes)
        return module.train_photos(state.options, folder, exclusions, state.reporter)

    state.run, state.folder = run, tmp_path
    state.arguments = lambda name: [arguments for called, arguments, _ in state.calls if called == name]
    return state


SETS = [TRAINING] * 8 + [VALIDATION] * 4 + [TEST] * 6


def test_each_split_is_evaluated_on_its_own_photos(training: Any) -> None:
    result = training.run(data(SETS, wrong=(0, 1, 2, 8, 12, 15)), with_report=False, runs_dir=None)
    assert (result.test.correct, result.test.count) == (4, 6)
    assert (result.validation.correct, result.validation.count) == (3, 4)
    assert len(result.misclassified) == 2
    assert result.unrelated_test is None and result.unreadable == ("x.jpg: broken",)
    assert training.arguments("write_report") == training.arguments("save_run") == []


def test_result_has_the_counts_and_recalls_of_each_split(training: Any) -> None:
    result = training.run(data(SETS, wrong=(0, 1, 2, 8, 12, 15)))
    counts = {"training": 4, "validation": 2, "test": 3}
    result = replace(result, table={"a": counts, "b": {**counts, "test": 5}})
    assert result.rows()[1] == {"class": "b", **counts, "test": 5, "test_recall": 2 / 3, "validation_recall": 1.0}
    written = result.to_json()
    assert (written["test"]["accuracy"], written["validation"]["accuracy"]) == (pytest.approx(4 / 6), 0.75)
    assert written["own_test_set"] is False and written["graph"] == str(training.folder / "graph.pb")
    assert written["report"] == str(training.folder / "graph.html")
    assert repr(result).endswith("graph.pb: 2 classes, 20 photos, test accuracy 66.7 %>")
    crossed: Any = SimpleNamespace(accuracy=0.5, to_json=dict)
    both = replace(result, cross_validated=crossed)
    assert repr(both).endswith("test accuracy 66.7 %, cross-validated 50.0 %>") and not both.to_json()["own_test_set"]
    own = replace(both, has_own_test=True)
    assert repr(own).endswith("test accuracy 66.7 %>") and own.to_json()["own_test_set"]


def test_vectors_and_classes_of_selected_photos_are_in_the_given_order() -> None:
    given = data(SETS)
    found = given.labeled(np.array([5, 2, 9, 0]))
    assert found.classes.tolist() == [1, 0, 1, 0] and found.vectors[:].argmax(axis=1).tolist() == [1, 0, 1, 0]


def test_accuracy_on_test_photos_unrelated_to_training_photos_is_also_computed(training: Any) -> None:
    numbers = np.arange(18)
    numbers[12] = 0  # a wrong answer
    numbers[13] = 9
    numbers[17] = 16
    groups = PhotoGroups(numbers)
    result = training.run(data(SETS, groups, wrong=(12, 15)))
    assert (result.test.correct, result.test.count) == (4, 6)
    assert (result.unrelated_test.correct, result.unrelated_test.count) == (3, 4)
    assert result.groups is groups
    [(_, _, found, excluded, page)] = training.arguments("write_report")
    assert found.groups is not None and found.groups.tolist() == numbers[12:].tolist()
    assert excluded == ["y", "z"] and page == training.folder / "graph.html"
    assert training.graph[-1].test_groups is not None, "the groups of the photos are stored in the model"


def test_model_and_record_are_written_together(training: Any) -> None:
    training.difference = "they differ"
    training.run(
        data(SETS), runs_dir=training.folder / "runs", recursive=True, final_tensor_name="out", group_by="parent",
        percentages=SplitConfig(testing=20),
    )  # fmt: skip
    written = training.written
    assert set(written) == {training.folder / name for name in ("graph.pb", "labels.txt", "graph.json")}
    assert written[training.folder / "graph.pb"] == b"graph" and written[training.folder / "labels.txt"] == b"a\nb\n"
    sha256, fields = written[training.folder / "graph.json"]
    assert sha256 == hashlib.sha256(b"graph").hexdigest()
    assert training.graph[0] == "frozen" and training.graph[3:6] == ["out", "detector", ("a", "b")]
    assert fields["exclude"] == {"left": 1} and fields["recursive"] is True and fields["distortions"] is None
    assert fields["weights"] == {"file": "weights.h5", "sha256": "0" * 64} and fields["set_folders"] is False
    assert fields["labels"] == ["a", "b"] or fields["labels"] == ("a", "b")
    assert fields["head"]["steps"] == 4000 and fields["architecture"] == "mobilenet_0.25_128"
    assert fields["final_tensor_name"] == "out" and fields["percentages"]["testing"] == 20
    assert fields["image_dir"] == str((training.folder / "photos").resolve())
    assert training.arguments("save_run")[0][0] == training.folder / "runs"
    assert training.arguments("save_run")[0][2] == training.folder / "summaries"
    assert training.reporter.warnings == ["odd folder", "they differ"]
    assert training.reporter.notes == ["sets as divided by the folders test", "dependent parent False"]
    settings = Distortions(flip_left_right=True)
    training.run(data(SETS), distortions=settings)
    fields = training.written[training.folder / "graph.json"][1]
    assert fields["distortions"]["flip_left_right"] is True and fields["recursive"] is False


def test_record_states_whether_the_user_has_made_split_folders(training: Any) -> None:
    given = data(SETS)
    items = [one.photo for one in given.photos]
    items[9] = replace(items[9], given_split="validation")
    table = PhotoTable.of(items).in_classes(("a", "b"))
    result = training.run(replace(given, photos=HashedPhotos(table, given.photos.digests)))
    assert training.written[training.folder / "graph.json"][1]["set_folders"] is True and not result.has_own_test


def test_detector_is_trained_with_background_photos_and_tested_on_unknown_photos(training: Any) -> None:
    outside = {"background": training.folder / "empty", "strangers": training.folder / "others"}
    result = training.run(data(SETS), unknown_rate=4.0, head=HeadOptions(seed=3), **outside)
    [(_, (given, rate, seed), named)] = [call for call in training.calls if call[0] == "detect_unknown"]
    assert given is training.data and rate == pytest.approx(0.04) and seed == 3
    assert named == {"tuned": None, "inner": None, "background": "background", "strangers": "strangers"}
    assert result.unknown is training.unknown
    assert training.arguments("read_background")[0][0] == outside["background"]
    assert training.arguments("read_strangers")[0][0] == outside["strangers"]
    result = training.run(data(SETS), unknown_rate=0.0)
    assert training.arguments("detect_unknown") == [] and result.unknown is None and not training.has_detector


def test_model_is_written_without_a_detector_if_photos_are_too_few(training: Any) -> None:
    training.unknown = DatasetError("too few")
    result = training.run(data(SETS))
    assert result.unknown is None and not training.has_detector
    assert "no detector of unknown photos: too few" in training.reporter.warnings


@pytest.mark.parametrize("written", ["fine-tuned", "frozen"])
def test_fine_tuned_network_replaces_the_frozen_one(
    written: str, training: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The detector is fitted again, and checkpoints are removed after all outputs have been written."""
    given = data(SETS)
    head = Head(HEAD.weights[:, ::-1].copy(), HEAD.biases)  # its answers are all wrong
    checkpoint = training.folder / "c.npz"
    checkpoint.write_bytes(b"state")
    tuned = SimpleNamespace(
        head=head, vectors=given.vectors, graph="tuned graph", written=written, checkpoints=(checkpoint,), network=None,
        to_json=lambda: {"chosen": 3},
    )  # fmt: skip
    monkeypatch.setattr(module, "_fine_tune", lambda *rest: tuned)
    training.calibrated = head, None
    result = training.run(given)
    assert training.graph[0] == "tuned graph" and training.graph[1] is head.weights and result.test.correct == 0
    assert not checkpoint.exists() and result.fine_tuned is tuned
    learned = written == "fine-tuned"
    [(_, (calibrated, seen, _), named)] = [call for call in training.calls if call[0] == "calibrate_head"]
    assert calibrated is head and seen.vectors is given.vectors and named == {"backbone_has_learned": learned}
    assert len(training.arguments("detect_unknown")) == (2 if learned else 1)
    [(_, _, named)] = [call for call in training.calls if call[0] == "finish_cross_validation"]
    assert named == {"backbone_has_learned": learned, "test_count": 6}
    assert training.written[training.folder / "graph.json"][1]["fine_tuning"] == {"chosen": 3}


def test_unrelated_leaves_out_photos_grouped_with_training_or_validation_photos() -> None:
    numbers = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 14, 8, 16, 16])
    given = data(SETS, PhotoGroups(numbers))
    assert given.unrelated(given.rows("test")).tolist() == [12, 14, 16, 17]
    assert data(SETS).unrelated(np.array([3, 12])).tolist() == [3, 12]


def test_scores_are_calibrated_unless_calibration_is_switched_off(training: Any) -> None:
    scaled = Head((HEAD.weights / 2).astype(np.float32), HEAD.biases)
    training.calibrated = scaled, SimpleNamespace(temperature=2.0, fitted=2.0, to_json=dict)
    with contextlib.suppress(TypeError):
        training.run(data(SETS))
    assert training.arguments("calibrate_head")[0][2] == "held out"
    assert training.graph[1] is scaled.weights if hasattr(training, "graph") else True
    training.calls.clear()
    training.calibrated = HEAD, None
    training.run(data(SETS), calibrated=False)
    assert training.arguments("calibrate_head") == training.arguments("predict_held_out") == []


def test_vectors_are_computed_on_a_cluster_only_on_request(training: Any) -> None:
    training.damaged = Path("moved.sqlite")
    training.run(data(SETS), cluster="local:2")
    [(address, readable, [source], _)] = training.arguments("compute_on_cluster")
    assert (address, readable, source.cache) == ("local:2", "readable", "cache")
    assert any("moved to moved.sqlite" in line for line in training.reporter.warnings)
    training.run(data(SETS))
    assert training.arguments("compute_on_cluster") == []


def test_train_reports_stale_exports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[Any] = []
    scanned = ("folder", "exclusions")

    def scan(*arguments: Any, **named: Any) -> Any:
        calls.append((arguments[:2], named))
        return scanned

    def trained(*arguments: Any) -> str:
        calls.append(arguments[1:3])
        return "result"

    def stale(graph: Path, reporter: Any) -> None:
        calls.append(graph)

    monkeypatch.setattr(module, "scan_without_excluded", scan)
    monkeypatch.setattr(module, "train_photos", trained)
    monkeypatch.setattr(module, "report_stale_exports", stale)
    assert module.train(options(tmp_path, exclude=tmp_path / "list", recursive=True)) == "result"  # type: ignore[comparison-overlap]
    assert calls == [
        ((tmp_path / "photos", tmp_path / "list"), {"recursive": True}), scanned, tmp_path / "graph.pb",
    ]  # fmt: skip
