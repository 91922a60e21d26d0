"""Tests of class and photo names that are not UTF-8, or not in the encoding of the locale."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Ran, poets_edge

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
TRAIN = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--how_many_training_steps", "20", "--quiet")
PHOTOS_PER_CLASS = 8


def photos(folder: Path, *classes: bytes) -> Path:
    """Generate synthetic photos in the given classes; the names of those in the first class are not UTF-8."""
    poets_edge("draw-photos", folder / "drawn", "--per_class", str(PHOTOS_PER_CLASS), "--quiet").ok()
    for name, source in zip(classes, sorted((folder / "drawn").iterdir()), strict=False):
        target = folder / "photos" / os.fsdecode(name)
        shutil.copytree(source, target)
        if name == classes[0]:
            for photo in list(target.iterdir()):
                photo.rename(target / os.fsdecode(b"n\xe9 " + os.fsencode(photo.name)))
    return folder / "photos"


def ascii_locale(*arguments: str | Path, cwd: Path) -> Ran:
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", "poets_edge", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=200,
    )
    return Ran(ended.returncode, ended.stdout.decode("ascii"), ended.stderr.decode("ascii"))


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b"one\n"])
def test_commands_reject_undecodable_and_multiline_class_names(tmp_path: Path, name: bytes) -> None:
    folder = photos(tmp_path, b"daisy", name)
    model = ROOT / "tests/corpus/seeds/seed_graph.tflite"
    for arguments in (("train", folder, *TRAIN), ("evaluate", model, folder, "--set", "all"), ("audit", folder)):
        poets_edge(*arguments, cwd=tmp_path).failed("the name of this class", "Rename the folder")


def test_commands_work_in_an_ascii_locale_with_any_photo_name(tmp_path: Path) -> None:
    folder = photos(tmp_path, "café".encode(), b"roses")
    ascii_locale("train", folder, *TRAIN, cwd=tmp_path).ok()
    graph = (tmp_path / "tf_files/retrained_graph.pb").read_bytes()
    assert (tmp_path / "tf_files/retrained_labels.txt").read_text(encoding="utf-8") == "café\nroses\n"
    ascii_locale("export", "--quantize", "int8", "--json", "--output", "export.json", cwd=tmp_path).ok()
    model = "tf_files/retrained_graph_int8.tflite"
    evaluated = json.loads(
        ascii_locale("evaluate", model, folder, "--set", "all", "--json", "--output", "it.json", cwd=tmp_path)
        .ok()
        .stdout
    )
    assert json.loads((tmp_path / "it.json").read_text(encoding="utf-8")) == evaluated
    one = next((folder / "café").iterdir())
    labeled = ascii_locale("label", model, one, cwd=tmp_path).ok()
    assert "caf\\u" in labeled.stdout or "caf\\x" in labeled.stdout
    assert not list(tmp_path.rglob("*.damaged*"))
    poets_edge("train", folder, *TRAIN, cwd=tmp_path).ok()
    assert (tmp_path / "tf_files/retrained_graph.pb").read_bytes() == graph, "the graph does not depend on the locale"
