"""Tests of `export --format`. ONNX models are run; Core ML models, which require macOS, are only inspected."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from tests.conftest import Trained, poets_edge
from tests.device.watch.test_collect import scene
from tests.needs import need_module

pytestmark = pytest.mark.tensorflow


def test_onnx_scores_and_distances_equal_those_of_the_tflite_model(
    trained: Trained, flowers: Path, tmp_path: Path
) -> None:
    runtime = need_module("onnxruntime")
    ran = poets_edge("export", trained.graph, "--format", "onnx", "--output-dir", tmp_path, "--json").ok()
    facts = json.loads(ran.stdout)
    assert facts["compared"] > 10 and facts["largest_difference"] < 1e-4
    session = runtime.InferenceSession(tmp_path / "retrained_graph.onnx")
    model = Classifier(trained.model())
    assert session.get_modelmeta().custom_metadata_map["labels"].splitlines() == list(model.labels)
    [model_input] = session.get_inputs()
    assert model_input.shape == [1, 224, 224, 3]
    photos = [Image.open(path).convert("RGB") for path in sorted(flowers.glob("*/*1_m.jpg"))[:20]] + [scene(1)]
    answers = set()
    for photo in photos:
        pixels = photo.resize((224, 224), Image.Resampling.BILINEAR)
        values = (np.asarray(pixels, np.float32) - 127.5) / 127.5  # as docs/other-formats.md says
        scores, distance = session.run(None, {model_input.name: values[None]})
        expected = model.predict(pixels)
        assert scores[0] == pytest.approx(expected.scores, abs=1e-4)
        assert distance.item() == pytest.approx(expected.distance, rel=1e-3)
        answers.add((int(scores.argmax()), distance.item() > 1))
    assert len({best for best, _ in answers}) >= 3 and len({unknown for _, unknown in answers}) == 2


def test_core_ml_package_is_an_image_classifier(trained: Trained, tmp_path: Path) -> None:
    coreml = need_module("coremltools")
    ran = poets_edge("export", trained.graph, "--format", "coreml", "--output-dir", tmp_path).ok()
    assert "Not run: Core ML models run on macOS" in ran.stdout and "libcoremlpython" not in ran.stderr
    with zipfile.ZipFile(tmp_path / "retrained_graph.mlpackage.zip") as archive:
        archive.extractall(tmp_path)
    model = coreml.models.MLModel(str(tmp_path / "retrained_graph.mlpackage"), skip_model_load=True)
    description = model.get_spec().description
    [picture] = description.input
    assert (picture.type.imageType.width, picture.type.imageType.height) == (224, 224)
    assert description.predictedFeatureName == "classLabel"
    assert [output.name for output in description.output] == ["classLabel", "classLabel_probs", "distance"]
    assert json.loads(model.user_defined_metadata["labels"]) == list(Classifier(trained.model()).labels)


def test_export_format_refuses_conflicting_options_and_names_missing_packages(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = ("export", trained.graph, "--format", "onnx", "--output-dir", tmp_path)
    poets_edge(*export, "--quantize", "int8").failed("--format")
    poets_edge(*export, "--for", "frigate", tmp_path).failed("--format")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    poets_edge(*export).failed("tf2onnx", "poets-edge[onnx]")
    assert not list(tmp_path.glob("*.onnx"))
