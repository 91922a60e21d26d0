"""Tests of labeling and exporting a graph that the codelab's `retrain.py` wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.nets.architectures import architecture
from tests import codelab
from tests.conftest import poets_edge

LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


@pytest.fixture(scope="module")
def work(keras_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a graph and a labels file as the codelab writes them; the head has random weights."""
    folder = tmp_path_factory.mktemp("codelab")
    (folder / "retrained_graph.pb").write_bytes(
        codelab.retrained_graph(architecture("mobilenet_0.50_160"), len(LABELS))
    )
    (folder / "retrained_labels.txt").write_text("\n".join(LABELS) + "\n")
    return folder


def test_export_of_a_codelab_graph_preserves_its_predictions(work: Path, flowers: Path) -> None:
    arguments = ("export", "--graph", work / "retrained_graph.pb", "--image_dir", flowers, "--all", "--json")
    ran = poets_edge(*arguments).ok()
    assert "no record" in ran.stderr
    files = {file["quantization"]: file for file in json.loads(ran.stdout)["files"]}
    assert set(files) == {"float32", "float16", "dynamic", "int8"}
    assert files["float16"]["agreement_with_float"] >= 0.97
    photos = sorted(flowers.glob("*/*.jpg"))[::40]
    ran = poets_edge("label", "--graph", work / "retrained_graph.pb", "--json", "--top", "1", *photos).ok()
    graph = [answer["labels"][0] for answer in json.loads(ran.stdout)]
    assert len({answer["label"] for answer in graph}) >= 2, "the answers must vary"
    float32 = Classifier(files["float32"]["path"])
    for photo, answer in zip(photos, graph, strict=True):
        best = float32.classify(photo, 1)[0]
        assert best.name == answer["label"]
        assert best.score == pytest.approx(answer["score"], abs=1e-3)


def test_export_of_a_codelab_graph_without_photos_warns(work: Path, tmp_path: Path) -> None:
    arguments = ("export", "--graph", work / "retrained_graph.pb", "--output_dir", tmp_path)
    ran = poets_edge(*arguments, "--quantize", "float16").ok()
    assert "not re-scored" in ran.stderr and "Not evaluated" in ran.stdout
    assert Classifier(tmp_path / "retrained_graph_float16.tflite").labels == LABELS
    poets_edge(*arguments, "--quantize").failed("int8 needs photos", "--image-dir")


def test_labels_option_replaces_the_labels_of_a_codelab_graph(work: Path, flowers: Path, tmp_path: Path) -> None:
    (tmp_path / "blumen.txt").write_text("Gänseblümchen\nLöwenzahn\nRose\nSonnenblume\nTulpe\n", encoding="utf-8")
    photo = sorted(flowers.glob("*/*.jpg"))[0]
    arguments = ("label", "--graph", work / "retrained_graph.pb", photo, "--labels")
    ran = poets_edge(*arguments, tmp_path / "blumen.txt").ok()
    assert "Gänseblümchen (score = " in ran.stdout
    assert np.isclose(sum(float(line.split("= ")[1].rstrip(")")) for line in ran.stdout.splitlines()), 1, atol=1e-3)
    (tmp_path / "two.txt").write_text("a\nb\n")
    poets_edge(*arguments, tmp_path / "two.txt").failed("2 labels", "5 outputs")
