"""Tests of how exported files are evaluated and checked before they are written, with predefined scores."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.device.predictions import Predictions
from poets_edge.errors import DatasetError, ModelError, UsageError
from poets_edge.exporting.annotate import _check_scores, annotate
from poets_edge.exporting.export import _check_drop, _default_quantizations, _evaluated
from poets_edge.exporting.results import ExportedFile, ExportResult
from poets_edge.photos.folder import Photo
from poets_edge.photos.normalization import UNIT
from poets_edge.progress import Silent
from poets_edge.quantize.convert import Quantization
from poets_edge.tflite.flatbuffer import add_tensor, pack_model, schema, unpack_model
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests.tiny_model import COLORS, color_model, mean_operator

LABELS = ("daisy", "roses")
PHOTOS = [Photo(Path(f"{number}.jpg"), f"{number}.jpg", "daisy") for number in range(5)]


def predictions(answers: str) -> Predictions:
    """Return predictions for photos of daisies; each letter is a predicted class, d for daisy and r for roses."""
    rows = [[0.9, 0.1] if answer == "d" else [0.2, 0.8] for answer in answers]
    return Predictions(PHOTOS, np.array(rows, np.float32), ())


def evaluated(scored: dict[Quantization, Predictions]) -> list[ExportedFile]:
    """Return a float32 file and an int8 file, with their evaluations."""
    names: list[Quantization] = ["float32", "int8"]
    return [_evaluated(Path("x"), name, scored, LABELS) for name in names]


def test_int8_file_is_compared_with_the_float32_file() -> None:
    float32, int8 = evaluated({"float32": predictions("ddddr"), "int8": predictions("drrdd")})
    assert float32.agreement == 1.0 and int8.agreement == pytest.approx(2 / 5)
    assert float32.compared_with_float32 is None
    assert int8.compared_with_float32 is not None
    assert (int8.compared_with_float32.worse, int8.compared_with_float32.better, int8.compared_with_float32.photos) == (
        2,
        1,
        5,
    )
    assert int8.evaluation is not None and int8.evaluation.correct == 3


def test_limit_on_the_accuracy_drop_requires_test_photos() -> None:
    empty = Predictions([], np.zeros((0, 2), np.float32), ())
    without_photos: dict[Quantization, Predictions] = {"float32": empty, "int8": replace(empty)}
    for scored in ({}, without_photos):
        with pytest.raises(DatasetError, match="needs test photos"):
            _check_drop(ExportResult(tuple(evaluated(scored)), LABELS, ()), 1.0, Silent())


@pytest.mark.parametrize(
    ("architecture", "quantization"), [("mobilenet_0.50_224_quantized", "int8"), ("mobilenet_0.50_224", "float32")]
)
def test_quantized_architectures_are_exported_as_int8(architecture: str, quantization: str) -> None:
    assert _default_quantizations({"architecture": architecture}) == (quantization,)
    assert _default_quantizations(None) == ("float32",)


def test_annotate_rejects_a_different_input_range_for_models_from_poets_edge(tmp_path: Path) -> None:
    (tmp_path / "own.tflite").write_bytes(color_model(normalization=UNIT, facts={"format": 1}))
    with pytest.raises(UsageError, match="states its own input range"):
        annotate(tmp_path / "own.tflite", input_range="0:1")
    assert [path.name for path in tmp_path.iterdir()] == ["own.tflite"]


def test_annotate_sets_the_batch_size_to_1(tmp_path: Path) -> None:
    model = unpack_model(color_model())
    for tensor in model.subgraphs[0].tensors:
        tensor.shapeSignature = np.array([-1, *tensor.shape[1:]], np.int32)
    (tmp_path / "any.tflite").write_bytes(pack_model(model))
    written = annotate(tmp_path / "any.tflite", labels=["red", "green", "blue"], input_range="0:1")
    tensors = unpack_model(read_model(written.path).content).subgraphs[0].tensors
    assert [tensor.shapeSignature for tensor in tensors] == [None] * len(tensors)


def test_annotate_preserves_which_output_contains_the_scores(tmp_path: Path) -> None:
    """The test model has two outputs, brightness and scores, and its metadata assigns the labels to the scores."""
    model = unpack_model(color_model())
    graph = model.subgraphs[0]
    brightness = add_tensor(graph, b"brightness", (1,), schema().TensorType.FLOAT32)
    graph.operators = [*graph.operators, mean_operator(model, graph.inputs[0], [1, 2, 3], brightness)]
    graph.outputs = [brightness, *graph.outputs]
    info = ModelInfo("colors", "for tests", COLORS)
    content = with_metadata(pack_model(model), info, UNIT, score_output=1)
    (tmp_path / "two.tflite").write_bytes(with_files(content, info, None))
    written = annotate(tmp_path / "two.tflite")
    assert read_metadata(read_model(written.path)).score_output == 1
    assert Classifier(written.path)(np.full((8, 8, 3), (10, 200, 30), np.uint8), top=1)[0].name == "green"


def test_annotated_model_whose_scores_differ_is_rejected(tmp_path: Path) -> None:
    """The model with different scores normalizes pixels by 1 instead of 255."""
    for name, std in (("one", 255.0), ("other", 1.0), ("close", 160.0), ("far", 60.0)):
        normalization = replace(UNIT, mean=(0.0,), std=(std,))
        (tmp_path / name).write_bytes(color_model(normalization=normalization))
    one = Classifier(tmp_path / "one")
    _check_scores(one, (tmp_path / "one").read_bytes())
    with pytest.raises(ModelError, match="with metadata its scores differ by"):
        _check_scores(one, (tmp_path / "other").read_bytes())
    _check_scores(one, (tmp_path / "close").read_bytes())
    with pytest.raises(ModelError, match=r"differ by 0\.0[3-9]"):  # more than 0.02
        _check_scores(one, (tmp_path / "far").read_bytes())


def test_comparison_with_float32_counts_each_group_of_photos_as_one_observation() -> None:
    """Three photos are worse: with independent photos, p is 2 / 2**3; if they form one group, p is 1."""
    float32, int8 = predictions("ddddd"), predictions("rrrdd")
    for groups, p_value in ((None, 0.25), (np.array([4, 4, 4, 5, 6]), 1.0)):
        scored: dict[Quantization, Predictions] = {"float32": float32, "int8": replace(int8, groups=groups)}
        found = evaluated(scored)[1].compared_with_float32
        assert found is not None and (found.worse, found.better) == (3, 0)
        assert found.p_value == pytest.approx(p_value)


@pytest.mark.parametrize(("difference", "accepted"), [(0.019, True), (0.021, False)])
def test_annotated_model_is_rejected_if_a_single_score_differs(
    difference: float, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = np.array([0.5, 0.3, 0.2])
    written = SimpleNamespace(score_pixels=lambda pixels: scores - [0, 0, difference])
    monkeypatch.setattr("poets_edge.exporting.annotate.Classifier", lambda file: written)
    original: Any = SimpleNamespace(path=Path("m.tflite"), size=(8, 8), score_pixels=lambda pixels: scores)
    with contextlib.nullcontext() if accepted else pytest.raises(ModelError, match=r"its scores differ by 0\.021"):
        _check_scores(original, b"")
