"""Tests of operators added to the inputs and outputs of models; the modified models are run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.tflite.flatbuffer import (
    add_constant,
    add_tensor,
    new_model,
    new_operator,
    pack_model,
    schema,
    unpack_model,
)
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.score_ends import add_scores, use_uint8
from poets_edge.tflite.scores import ScoreFormat
from poets_edge.tflite.session import Session
from tests.tiny_model import SIDE, color_model

PIXELS = np.zeros((1, SIDE, SIDE, 3), np.float32) + np.array([0.5, -1.0, 2.0], np.float32)
MEANS = np.array([0.5, -1.0, 2.0])


def brightness_model() -> Any:
    """Return a model whose only output [1, 1] is the mean of all values of the input."""
    model = new_model("brightness")
    graph, parts = model.subgraphs[0], schema()
    picture = add_tensor(graph, b"picture", (1, SIDE, SIDE, 3), parts.TensorType.FLOAT32)
    mean = add_tensor(graph, b"mean", (1, 1), parts.TensorType.FLOAT32)
    axes = add_constant(model, b"axes", np.array([1, 2, 3], np.int32))
    operator = new_operator(model, parts.BuiltinOperator.MEAN, 2, [picture, axes], [mean])
    operator.builtinOptionsType, operator.builtinOptions = parts.BuiltinOptions.ReducerOptions, parts.ReducerOptionsT()
    operator.builtinOptions.keepDims = False
    graph.tensors[mean].shape = [1]
    graph.operators.append(operator)
    graph.inputs, graph.outputs = [picture], [mean]
    return model


def run(model: Any, pixels: Any = PIXELS) -> Any:
    return np.ravel(Session(ModelFile(Path("model"), pack_model(model))).run(pixels))


@pytest.mark.parametrize(
    ("kind", "phrase", "expected"),
    [
        ("logits", "a softmax", np.exp(MEANS) / np.exp(MEANS).sum()),
        ("log probabilities", "an exponential", np.exp(MEANS)),
        ("probabilities", "", MEANS),
        ("sigmoids", "", MEANS),
    ],
)
def test_added_operators_compute_probabilities_of_three_labels(kind: Any, phrase: str, expected: Any) -> None:
    model = unpack_model(color_model())
    model.subgraphs[0].operators, model.subgraphs[0].outputs = (
        list(model.subgraphs[0].operators),
        list(model.subgraphs[0].outputs),
    )
    assert add_scores(model, 0, ScoreFormat(kind), 3) == phrase
    np.testing.assert_allclose(run(model), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "labels", "phrase", "expected"),
    [
        ("logits", 2, "scores of both labels", [1 / (1 + np.exp(0.5)), 1 / (1 + np.exp(-0.5))]),
        ("sigmoids", 2, "scores of both labels", [0.5, 0.5]),
        ("logits", 1, "a sigmoid", [1 / (1 + np.exp(-0.5))]),
    ],
)
def test_added_operators_compute_scores_of_both_labels_from_one_output(
    kind: Any, labels: int, phrase: str, expected: list[float]
) -> None:
    """The single output is the mean of the input, 0.5, and determines the score of the second label."""
    model = brightness_model()
    assert add_scores(model, 0, ScoreFormat(kind), labels) == phrase
    np.testing.assert_allclose(run(model), expected, rtol=1e-5)


def test_conversion_to_uint8_shifts_input_and_output_by_128() -> None:
    model = unpack_model(color_model("int8", 0.5, -3))
    graph = model.subgraphs[0]
    graph.operators, graph.inputs, graph.outputs = list(graph.operators), list(graph.inputs), list(graph.outputs)
    pixels = np.zeros((1, SIDE, SIDE, 3), np.int8) + np.array([-128, 5, 127], np.int8)
    before = run(unpack_model(color_model("int8", 0.5, -3)), pixels)
    assert use_uint8(model, 0) == "uint8 instead of int8 input and output"
    assert list(graph.operators[0].inputs) == list(graph.inputs), "operators are in the order of execution"
    assert list(graph.operators[-1].outputs) == list(graph.outputs)
    after = run(model, (pixels.astype(np.int16) + 128).astype(np.uint8))
    assert after.dtype == np.uint8 and before.dtype == np.int8
    np.testing.assert_array_equal(after.astype(int), before.astype(int) + 128)
    assert use_uint8(model, 0) == ""


@pytest.mark.parametrize("kind", ["probabilities", "sigmoids"])
def test_scores_are_scaled_to_the_range_from_0_to_1(kind: Any) -> None:
    """The output holds 0.5, -1 and 2, of which -2 stands for a score of 0, and 3 for a score of 1."""
    model = unpack_model(color_model())
    graph = model.subgraphs[0]
    graph.operators, graph.outputs = list(graph.operators), list(graph.outputs)
    assert add_scores(model, 0, ScoreFormat(kind, -2, 3), 3) == "scores from 0 to 1 instead of -2 to 3"
    np.testing.assert_allclose(run(model), [0.5, 0.2, 0.8], rtol=1e-5)


def test_single_score_is_scaled_and_expanded_to_scores_of_both_labels() -> None:
    model = brightness_model()
    assert add_scores(model, 0, ScoreFormat("sigmoids", -1.5, 3.5), 2) == "scores of both labels"
    np.testing.assert_allclose(run(model), [0.6, 0.4], rtol=1e-5)
    single = brightness_model()
    assert add_scores(single, 0, ScoreFormat("sigmoids"), 1) == ""


def test_operators_of_different_versions_have_their_own_entries_in_the_model() -> None:
    model, codes = new_model("versions"), schema().BuiltinOperator
    wanted = [(codes.CONV_2D, 3), (codes.CONV_2D, 5), (codes.MAXIMUM, 1), (codes.CONV_2D, 3), (codes.CONV_2D, 5)]
    made = [new_operator(model, code, version, [0], [1]) for code, version in wanted]
    entries = [(entry.builtinCode, entry.version) for entry in model.operatorCodes]
    assert [entries[operator.opcodeIndex] for operator in made] == wanted and len(entries) == 3


@pytest.mark.parametrize(("axes", "labels"), [([1, 2], 3), ([1, 2, 3], 2), ([1, 2, 3], 1)])
@pytest.mark.parametrize("keep_dims", [False, True])
def test_scores_of_networks_that_end_in_a_convolution_become_a_row(
    axes: list[int], labels: int, keep_dims: bool
) -> None:
    """Their outputs are [1, 1, 1, labels], and other programs expect [1, labels]."""
    model = brightness_model()
    graph = model.subgraphs[0]
    size = 3 if labels == 3 else 1
    shape = [1, 1, 1, size] if keep_dims else [1, 3] if size == 3 else [1]
    model.buffers[graph.tensors[2].buffer].data = np.frombuffer(np.array(axes, np.int32).tobytes(), np.uint8)
    graph.tensors[2].shape, graph.tensors[graph.outputs[0]].shape = [len(axes)], shape
    graph.operators[0].builtinOptions.keepDims = keep_dims
    assert list(Session(ModelFile(Path("model"), pack_model(model))).outputs[0].shape) == shape
    add_scores(model, 0, ScoreFormat("logits"), labels)
    session = Session(ModelFile(Path("model"), pack_model(model)))
    found = session.run(PIXELS)
    score = 1 / (1 + np.exp(-0.5))
    wanted = {3: np.exp(MEANS) / np.exp(MEANS).sum(), 2: [1 - score, score], 1: [score]}[labels]
    assert found.shape == session.outputs[0].shape == (1, labels)
    np.testing.assert_allclose(found, [wanted], rtol=1e-5)
