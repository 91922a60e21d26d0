"""Tests of frozen graphs with the labels file and the training record next to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poets_edge.core.files import write_together
from poets_edge.errors import ModelError, RecordError
from poets_edge.nets.inspection import inspect_graph
from poets_edge.nets.trained_graph import labels_file, read_trained
from poets_edge.nets.training_record import parse_training_record
from tests.graphs import training_files
from tests.pending import interrupt

GRAPH, LABELS, RECORD = "retrained_graph.pb", "retrained_labels.txt", "retrained_graph.json"


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between attempts to read the files, which take no time."""
    found: list[float] = []
    monkeypatch.setattr("poets_edge.nets.trained_graph.time.sleep", found.append)
    return found


@pytest.mark.parametrize(
    ("graph", "labels"),
    [
        ("retrained_graph.pb", "retrained_labels.txt"),
        ("flowers.pb", "flowers_labels.txt"),
        ("my_graph_2.pb", "my_graph_2_labels.txt"),
        ("a_graph_graph.pb", "a_graph_labels.txt"),
        ("x_graph.frozen.pb", "x_graph.frozen_labels.txt"),
    ],
)
def test_labels_file_is_named_after_the_graph_without_the_suffix_graph(graph: str, labels: str) -> None:
    assert labels_file(Path("folder") / graph) == Path("folder") / labels


def test_read_trained_retries_if_labels_and_graph_are_from_different_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels file and the record are those of another run at first, and those of the graph at the last attempt."""
    first, second = (training_files(tmp_path, labels) for labels in (("a", "b"), ("c", "d")))
    write_together({**second, tmp_path / GRAPH: first[tmp_path / GRAPH]})
    tried: list[float] = []

    def pause(seconds: float) -> None:
        tried.append(seconds)
        if len(tried) == 3:
            write_together(first)

    monkeypatch.setattr("poets_edge.nets.trained_graph.time.sleep", pause)
    found = read_trained(tmp_path / GRAPH)
    assert found.labels == ("a", "b") and found.record is not None and len(tried) == 3


def test_read_trained_completes_the_renames_of_a_killed_training_run(tmp_path: Path) -> None:
    """The graph is already the new one; its labels and its record are still under their temporary names."""
    write_together(training_files(tmp_path, ("a", "b")))
    files = training_files(tmp_path, ("c", "d"))
    (tmp_path / GRAPH).write_bytes(files.pop(tmp_path / GRAPH))
    interrupt(files)
    assert read_trained(tmp_path / GRAPH).labels == ("c", "d")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([GRAPH, LABELS, RECORD])


@pytest.mark.parametrize(("file", "message"), [(LABELS, "retrained_labels.txt: not the labels"), (RECORD, "describes")])
def test_files_from_another_training_run_are_refused_after_four_attempts(
    file: str, message: str, tmp_path: Path, pauses: list[float]
) -> None:
    first, second = (training_files(tmp_path, labels) for labels in (("a", "b"), ("c", "d")))
    write_together({**first, tmp_path / file: second[tmp_path / file]})
    with pytest.raises(ModelError, match=message):
        read_trained(tmp_path / GRAPH)
    assert pauses == [0.1] * 3


def test_read_trained_requires_labels_unless_the_caller_does_not_need_them(tmp_path: Path) -> None:
    files = training_files(tmp_path, ("a", "b"), carry=False)
    write_together({tmp_path / GRAPH: files[tmp_path / GRAPH]})
    assert read_trained(tmp_path / GRAPH, labels_needed=False).labels == ()
    with pytest.raises(ModelError, match=r"retrained_labels\.txt"):
        read_trained(tmp_path / GRAPH)


def test_read_trained_translates_labels_with_a_labels_file(tmp_path: Path) -> None:
    write_together(training_files(tmp_path, ("roses", "daisy")))
    (tmp_path / "german.txt").write_text("daisy=Gänseblümchen\nroses=Rosen\n")
    found = read_trained(tmp_path / GRAPH, tmp_path / "german.txt")
    assert found.labels == ("Rosen", "Gänseblümchen") and found.frozen.labels == ("roses", "daisy")


def test_error_for_a_damaged_record_names_its_file(tmp_path: Path) -> None:
    write_together({**training_files(tmp_path, ("a", "b")), tmp_path / RECORD: b"{"})
    with pytest.raises(ModelError, match=r"retrained_graph\.json: damaged .*delete it to do without"):
        read_trained(tmp_path / GRAPH)
    (tmp_path / RECORD).unlink()
    assert read_trained(tmp_path / GRAPH).record is None


@pytest.mark.parametrize("name", ["", "/a/1.jpg", "../1.jpg", "a/../1.jpg", "a/..", "a/1\0.jpg", 1])
def test_photo_names_in_a_record_are_relative_paths_inside_the_photo_folder(name: Any, tmp_path: Path) -> None:
    record = json.loads(training_files(tmp_path, ("a", "b"))[tmp_path / RECORD])
    for accepted in ("a/1.jpg", "a/..1.jpg", "...", "a/é b.jpg"):
        parse_training_record(json.dumps({**record, "sets": {**record["sets"], "test": [accepted]}}).encode())
    for split in ("training", "validation", "test"):
        with pytest.raises(RecordError, match=rf"sets\.{split}\[0\] is"):
            parse_training_record(json.dumps({**record, "sets": {**record["sets"], split: [name]}}).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("photos", {"a/1.jpg": "z" * 64}),  # no hexadecimal digits
        ("photos", {"a/1.jpg": "0" * 62}),
        ("photos", ["a/1.jpg"]),
        ("test_groups", [-1]),
        ("graph_sha256", "0" * 63),
        ("labels", ["a", 1]),
        ("percentages", {"testing": 60, "validation": 40}),
        ("classes", {"a": {"training": 1, "test": 1}}),
        ("cross_validation", {"photos": 3, "accuracy": 1.1, "interval95": [0, 1]}),
        ("head", []),
    ],
)
def test_record_with_an_invalid_field_is_refused(field: str, value: Any, tmp_path: Path) -> None:
    record = json.loads(training_files(tmp_path, ("a", "b"))[tmp_path / RECORD])
    assert parse_training_record(json.dumps(record).encode()) == record
    with pytest.raises(RecordError, match=field):
        parse_training_record(json.dumps({**record, field: value}).encode())


def test_inspection_omits_the_fields_of_a_record_that_list_all_photos_or_steps(tmp_path: Path) -> None:
    write_together(training_files(tmp_path, ("a", "b")))
    record = json.loads((tmp_path / RECORD).read_text())
    lists = {
        "steps": [1, 2], "sets": {"training": ["a/1.jpg"], "validation": [], "test": []}, "test_groups": [],
        "photos": {"a/1.jpg": "0" * 64}, "photo_sets": None,
    }  # fmt: skip
    (tmp_path / RECORD).write_text(json.dumps({**record, **lists}))
    found = inspect_graph(tmp_path / GRAPH)
    assert found.facts == {key: value for key, value in record.items() if key not in lists} and found.labels == (
        "a",
        "b",
    )
