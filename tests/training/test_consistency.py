"""Tests that photos, graph, labels and record stay consistent when files change during a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from poets_edge.core.files import write_together
from poets_edge.errors import ModelError
from poets_edge.nets.trained_graph import read_trained
from tests.conftest import poets_edge
from tests.graphs import training_files

ARGUMENTS = (
    "--weights",
    "embedded",
    "--architecture",
    "mobilenet_0.25_128",
    "--how_many_training_steps",
    "50",
    "--quiet",
)


def test_photos_replaced_during_a_run_are_cached_correctly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, genuine, swapped = tmp_path / "photos", tmp_path / "genuine", tmp_path / "swapped"
    poets_edge("draw-photos", photos, "--per_class", "4", "--quiet").ok()
    shutil.copytree(photos, genuine)
    for one, other in (("daisy", "roses"), ("roses", "daisy")):
        shutil.copytree(genuine / one, swapped / other)
    from poets_edge.training.hashed_photos import hash_photos

    def hash_and_replace(found: Sequence[Any], *_: Any, **__: Any) -> Any:
        hashed = hash_photos(found)
        for label in ("daisy", "roses"):
            for old, new in zip(sorted((photos / label).iterdir()), sorted((swapped / label).iterdir()), strict=True):
                shutil.copy(new, old)
        return hashed

    with monkeypatch.context() as patch:
        patch.setattr("poets_edge.training.train.hash_photos", hash_and_replace)
        poets_edge("train", "--image_dir", photos, *ARGUMENTS, cwd=tmp_path).ok()
    shutil.rmtree(photos)
    shutil.copytree(genuine, photos)
    poets_edge("train", "--image_dir", photos, *ARGUMENTS, cwd=tmp_path).ok()
    after = (tmp_path / "tf_files/retrained_graph.pb").read_bytes()
    for cache in (tmp_path / "tf_files/bottlenecks").glob("*.sqlite*"):
        cache.unlink()
    poets_edge("train", "--image_dir", photos, *ARGUMENTS, cwd=tmp_path).ok()
    assert after == (tmp_path / "tf_files/retrained_graph.pb").read_bytes()
    record = json.loads((tmp_path / "tf_files/retrained_graph.json").read_text())
    assert set(record["photos"]) == {f"{path.parent.name}/{path.name}" for path in genuine.rglob("*.jpg")}


def test_files_from_different_training_runs_are_rejected(tmp_path: Path) -> None:
    """Earlier versions replaced the files one by one, and could leave files from two runs when they were killed."""
    first = training_files(tmp_path, ("daisy", "roses"))
    second = training_files(tmp_path, ("cats", "dogs"), seed=1)
    write_together(first)
    trained = read_trained(tmp_path / "retrained_graph.pb")
    assert trained.labels == trained.frozen.labels == ("daisy", "roses") and trained.record
    for stranger in list(first)[1:]:
        write_together({**first, stranger: second[stranger]})
        poets_edge("export", "--graph", tmp_path / "retrained_graph.pb").failed(stranger.name, "train again")
    write_together({**first, tmp_path / "retrained_labels.txt": second[tmp_path / "retrained_labels.txt"]})
    poets_edge("label", "--graph", tmp_path / "retrained_graph.pb", tmp_path / "x.jpg").failed("retrained_labels.txt")


def test_graph_without_labels_is_checked_against_its_record(tmp_path: Path) -> None:
    """Graphs written by version 0.1 of poets_edge contain no labels."""
    files = training_files(tmp_path, ("daisy", "roses"), carry=False)
    labels = tmp_path / "retrained_labels.txt"
    write_together(files)
    assert read_trained(tmp_path / "retrained_graph.pb").labels == ("daisy", "roses")
    write_together({**files, labels: b"roses\ndaisy\n"})
    with pytest.raises(ModelError, match="not the labels"):
        read_trained(tmp_path / "retrained_graph.pb")


def test_labels_in_the_graph_replace_a_missing_labels_file(tmp_path: Path) -> None:
    write_together(training_files(tmp_path, ("daisy", "roses")))
    (tmp_path / "retrained_labels.txt").unlink()
    assert read_trained(tmp_path / "retrained_graph.pb").labels == ("daisy", "roses")
