"""Tests of the normalization of a model's input: contradictions to the input's shape, and remarks to users."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError
from poets_edge.photos.normalization import UNIT, Normalization
from poets_edge.tflite.flatbuffer import add_tensor, new_model, pack_model, schema
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests.tiny_model import COLORS, SIDE, color_model, mean_operator

_SOFTMAX = "it ends without a softmax: scores are the softmax of its output"


def gray_model(normalization: Normalization) -> bytes:
    """Return the bytes of a model for gray photos of 8 columns, whose outputs are the means of the columns."""
    model = new_model("gray")
    graph, kind = model.subgraphs[0], schema().TensorType.FLOAT32
    picture = add_tensor(graph, b"picture", (1, SIDE, 8, 1), kind, None)
    means = add_tensor(graph, b"means", (1, 8), kind, None)
    graph.operators.append(mean_operator(model, picture, [1, 3], means))
    graph.inputs, graph.outputs = [picture], [means]
    info = ModelInfo("gray", "for tests", tuple("abcdefgh"))
    return with_files(with_metadata(pack_model(model), info, normalization), info, None)


def test_normalization_of_a_gray_input_has_one_mean(tmp_path: Path) -> None:
    model = tmp_path / "gray.tflite"
    model.write_bytes(gray_model(Normalization((0.0,), (255.0,))))
    assert Classifier(model).size == (SIDE, 8)
    model.write_bytes(gray_model(Normalization((0.0, 1.0, 2.0), (255.0, 255.0, 255.0))))
    with pytest.raises(ModelError, match="its input is gray, but its normalization has a mean for each of 3 colors"):
        Classifier(model)


def test_classifier_remarks_mention_the_normalization_only_if_it_was_inferred(tmp_path: Path) -> None:
    known, unknown = tmp_path / "known.tflite", tmp_path / "unknown.tflite"
    known.write_bytes(color_model(normalization=UNIT))
    unknown.write_bytes(color_model())
    assert list(Classifier(known).remarks) == [f"{known}: {_SOFTMAX}"]
    classifier = Classifier(unknown, labels=list(COLORS), input_range="0:1")
    assert list(classifier.remarks) == [f"{unknown}: {_SOFTMAX}"]
    classifier.input_range = replace(classifier.input_range, inferred=True)
    assert list(classifier.remarks) == [f"{unknown}: pixels as {classifier.input_range}", f"{unknown}: {_SOFTMAX}"]
