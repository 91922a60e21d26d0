"""Tests of damaged JSON files: error messages contain the path of the field, and caches are replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from poets_edge.core.files import finish_pending
from poets_edge.errors import DatasetError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.exclude import read_exclusions
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.fine_tuning import checkpoint
from poets_edge.training.fine_tuning.trainer import Epoch

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"leave_out": ["a", 3]}', "leave_out[1] is 3"),
        ('{"belongs_to": {"a": ""}}', "belongs_to.a is ''"),
        ('{"leave_out": {}}', "leave_out is {}"),
        ('{"x": ' + DEEP, "levels deep"),
    ],
)
def test_read_exclusions_reports_the_path_of_an_invalid_field(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "list.json"
    file.write_text(text)
    with pytest.raises(DatasetError, match="not a list of photos") as raised:
        read_exclusions(file)
    assert place in str(raised.value)


def test_damaged_checksum_files_are_replaced_and_damaged_journals_removed(tmp_path: Path) -> None:
    wanted = architecture("mobilenet_0.25_128")
    weights = find_weights(wanted, tmp_path, "embedded")
    backbone = prepare_backbone(wanted, weights, tmp_path)
    sums = backbone.graph.with_suffix(".json")
    before = sums.read_text()
    for text in (DEEP, "[", "\udcff"):
        sums.write_bytes(os.fsencode(text))
        prepare_backbone(wanted, weights, tmp_path)
        assert sums.read_text() == before, "it was built again"
    (tmp_path / ".poets_edge.pending").write_text(DEEP)
    finish_pending(tmp_path)
    assert not (tmp_path / ".poets_edge.pending").exists()


def test_checkpoint_load_ignores_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epoch = Epoch(1, 0.5, 0.5, None, None)
    progress = checkpoint.Checkpoint((epoch,), 1, (), ())
    checkpoint.save(tmp_path / "it.npz", progress)
    assert checkpoint.load(tmp_path / "it.npz") is not None
    for notes in (DEEP, {"chosen": -1, "epochs": []}, {"chosen": 0, "epochs": [{"epoch": "x"}]}):
        with monkeypatch.context() as patch:
            text = notes if isinstance(notes, str) else json.dumps(notes)
            patch.setattr("poets_edge.training.fine_tuning.checkpoint.json.dumps", lambda *_, text=text: text)
            checkpoint.save(tmp_path / "it.npz", progress)
        assert checkpoint.load(tmp_path / "it.npz") is None
