"""Tests of the export for Frigate with a small model: labels, evaluation, and which photos get a label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.device.predictions import Predictions, score_models
from poets_edge.errors import ModelError, OutputError
from poets_edge.exporting import frigate as module
from poets_edge.exporting.frigate import NONE, THRESHOLD, FrigateExport, _assigned, _with_none, export_for_frigate
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import ExportedFile
from poets_edge.photos.folder import Photo
from poets_edge.photos.normalization import UNIT
from poets_edge.quantize.activation_statistics import calibrate
from poets_edge.quantize.write_int8 import write_int8_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests.quantize.test_detector import CLASSES, detector, network, pictures
from tests.tiny_model import COLORS, color_model

LABELS = tuple(f"class {CLASSES - number}" for number in range(CLASSES))
"""Labels that are not in alphabetical order."""


def exported(scores: list[list[float]], truth: list[str]) -> ExportedFile:
    photos = [Photo(Path(f"{number}"), f"{number}", label) for number, label in enumerate(truth)]
    scored = Predictions(photos, np.array(scores, np.float32), ())
    return ExportedFile(path=Path("x"), quantization="int8", size=1, evaluation=None, agreement=None, scored=scored)


def test_frigate_assigns_a_label_if_its_normalized_score_reaches_the_threshold() -> None:
    """The fractions are 0.8, 0.795 (rounded to 0.8), 0.79, 0.9 for `none`, and 0.9 for a wrong label."""
    labels = ("a", "b", NONE)
    scores = [[1.6, 0.4, 0.0], [0.795, 0.205, 0.0], [0.79, 0.21, 0.0], [0.05, 0.05, 0.9], [0.9, 0.1, 0.0]]
    found = _assigned(exported(scores, ["a", "a", "a", "a", "b"]), labels)
    assert THRESHOLD == 0.8 and found[0] == pytest.approx(3 / 5) and found[1] == pytest.approx(2 / 3)
    assert _assigned(exported([[0.5, 0.5, 0.0]], ["a"]), labels) == (0.0, None)
    assert _assigned(exported([[0.5, 0.05, 0.0], [0.2, 0.01, 0.0]], ["a", "b"]), labels) == (1.0, 0.5), "sums below 1"
    unscored = replace(exported([[1.0, 0.0, 0.0]], ["a"]), scored=None)
    assert _assigned(unscored, labels) == (None, None)


@pytest.fixture(scope="module")
def model() -> bytes:
    """An int8 model without metadata that rejects about half of the photos."""
    found = detector()
    net = network(type(found)(**{**vars(found), "biases": found.biases + np.float32(0.57)}))
    return write_int8_model(net, calibrate(net, pictures(40), workers=1).ranges)


@pytest.fixture
def run(model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that exports the model for Frigate, with test photos of the first class."""
    (tmp_path / "photos").mkdir()
    photos = []
    for number, pixels in enumerate(pictures(12)):
        Image.fromarray(pixels).save(tmp_path / f"photos/{number}.png")
        photos.append(Photo(tmp_path / f"photos/{number}.png", f"{number}.png", LABELS[0]))
    asked: list[ExportOptions] = []

    def prepared(labels: tuple[str, ...], size: tuple[int, int]) -> Any:
        info = ModelInfo("net", "for tests", labels)
        content = with_files(with_metadata(model, info), info, {"quantization": "int8", "test": None})
        scored = score_models(photos, {"int8": ModelFile(Path("m"), content)})["int8"]
        file = ExportedFile(path=Path("m"), quantization="int8", size=7, evaluation=None, agreement=None, scored=scored)
        return SimpleNamespace(result=SimpleNamespace(files=[file], labels=labels), contents=[content], size=size)

    def export(labels: tuple[str, ...] = LABELS, size: tuple[int, int] = (224, 224)) -> FrigateExport:
        found = prepared(labels, size)

        def prepare(options: ExportOptions, reporter: Any) -> Any:
            asked.append(options)
            return found

        monkeypatch.setattr(module, "prepare_export", prepare)
        options = ExportOptions(graph=tmp_path / "g.pb", float_io=True, quantizations=("float32",))
        done = export_for_frigate(options, tmp_path / "out")
        assert (asked[-1].quantizations, asked[-1].float_io) == (("int8",), False)
        return done

    return export


def test_unknown_photo_detector_is_replaced_with_an_additional_label(run: Any, model: bytes, tmp_path: Path) -> None:
    found = run()
    assert found.labels == (*LABELS, NONE)
    assert (tmp_path / "out/labelmap.txt").read_text().splitlines() == [*LABELS, NONE]
    written = Classifier(tmp_path / "out/model.tflite")
    assert written.labels == found.labels and not written.has_detector
    assert found.model.path == tmp_path / "out/model.tflite"
    assert found.model.size == found.model.path.stat().st_size
    scored = found.model.scored
    unknown = scored.scores.argmax(axis=1) == CLASSES
    assert 0 < unknown.sum() < len(unknown), "some photos are unknown"
    assert found.model.evaluation.confusion[0, CLASSES] == unknown.sum()
    assert written.facts["test"] == found.model.evaluation.to_json(), "the evaluation of the new model is stored"
    assert written.facts["quantization"] == "int8"
    shares = scored.scores / scored.scores.sum(axis=1, keepdims=True)
    best = shares.argmax(axis=1)
    assigned = (shares.max(axis=1).round(2) >= 0.8) & (best != CLASSES)
    assert found.assigned == pytest.approx(assigned.mean())
    assert found.to_json()["labels"] == list(found.labels) and found.to_json()["threshold"] == 0.8


def test_model_with_a_class_named_none_keeps_its_labels(run: Any, tmp_path: Path) -> None:
    labels = (*LABELS[:-1], NONE)
    found = run(labels)
    assert found.labels == labels and found.model.size == 7
    assert Classifier(tmp_path / "out/model.tflite").has_detector


def test_input_sizes_that_frigate_does_not_support_are_refused(run: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="takes 192 x 128 pixels, and Frigate passes 224 x 224"):
        run(size=(128, 192))
    assert not (tmp_path / "out").exists()


def test_export_does_not_begin_if_it_would_replace_files_of_other_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "labelmap.txt").write_text("mine")
    monkeypatch.setattr(module, "prepare_export", lambda options, reporter: pytest.fail("the export has begun"))
    with pytest.raises(OutputError, match="not replaced"):
        export_for_frigate(ExportOptions(graph=Path("g.pb")), tmp_path)


def test_model_without_a_detector_keeps_its_labels() -> None:
    file, content = exported([[1.0, 0.0, 0.0]], ["red"]), color_model(normalization=UNIT, facts={})
    assert _with_none(file, content, COLORS) == (file, content, COLORS)
