"""Tests of the shipped files of a grid, and of their removal."""

from __future__ import annotations

from pathlib import Path

import pytest

from poets_edge.sweep.shipping import remove_shipped
from poets_edge.tflite.labels import join_labels
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model
from tests.conftest import ROOT
from tests.decoy import Decoy
from tools.fuzz.seeds import SEEDS

MODEL = ROOT / SEEDS / "seed_graph.tflite"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with the user's own files, whose names are similar to names of files that `grid` writes."""
    for name in ("mine_int8.tflite", "mine_float32.tflite", "mobilenet_0.50_224_int8.tflite"):
        (tmp_path / name).write_bytes(MODEL.read_bytes())
    (tmp_path / "text_int8.tflite").write_text("mine")
    (tmp_path / "folder_int8.tflite").mkdir()
    (tmp_path / "labels.txt").write_text("mine\n")
    return tmp_path


def _shipped_name() -> str:
    facts = read_metadata(read_model(MODEL)).facts
    return f"{facts['training']['architecture']}_{facts['quantization']}.tflite"


def test_remove_shipped_keeps_user_files(folder: Path) -> None:
    decoy = Decoy()
    decoy.watch(folder)
    (folder / _shipped_name()).write_bytes(MODEL.read_bytes())
    remove_shipped(folder)
    assert not (folder / _shipped_name()).exists() and decoy.changed() == []


def test_remove_shipped_removes_labels_of_the_removed_model(folder: Path) -> None:
    (folder / _shipped_name()).write_bytes(MODEL.read_bytes())
    (folder / "labels.txt").write_text(join_labels(read_metadata(read_model(MODEL)).labels))
    remove_shipped(folder)
    assert not (folder / "labels.txt").exists()
