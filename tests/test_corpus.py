"""Regression tests with files that once crashed a command; each must be accepted, or rejected with a one-line error."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, poets_edge
from tools.fuzz.preparation import draw_photos

CORPUS = ROOT / "tests/corpus"


@pytest.mark.parametrize("record", sorted((CORPUS / "records").iterdir()), ids=lambda path: path.name)
def test_commands_accept_or_reject_each_record_in_the_corpus(tmp_path: Path, record: Path) -> None:
    for name in ("seed_graph.pb", "seed_labels.txt"):
        shutil.copy(CORPUS / "seeds" / name, tmp_path / name)
    shutil.copy(record, tmp_path / "seed_graph.json")
    draw_photos(tmp_path)
    for command in ("inspect", "export"):
        ran = poets_edge(command, tmp_path / "seed_graph.pb", "--json", cwd=tmp_path)
        if ran.status:
            ran.failed(str(tmp_path))


@pytest.mark.parametrize("photo", sorted((CORPUS / "photos").iterdir()), ids=lambda path: path.name)
def test_label_command_rejects_each_photo_in_the_corpus(photo: Path) -> None:
    poets_edge("label", CORPUS / "seeds/seed_graph.tflite", photo, "--json").failed(str(photo))


@pytest.mark.parametrize("model", sorted((CORPUS / "models").iterdir()), ids=lambda path: path.name)
def test_commands_reject_each_model_in_the_corpus(model: Path) -> None:
    for command in (("inspect", model, "--json"), ("label", model, CORPUS / "photos/strip.tif"), ("benchmark", model)):
        poets_edge(*command).failed(str(model))
