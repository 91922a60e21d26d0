"""Tests of the meaning of a model's output. The operators at the end of a small model with a softmax are replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError
from poets_edge.exporting.annotate import annotate
from poets_edge.tflite.flatbuffer import add_constant, add_tensor, new_operator, pack_model, schema, unpack_model
from poets_edge.tflite.metadata import Metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.scores import ScoreFormat, format_of_values, known_format, remark, to_scores
from tests.conftest import ROOT

SEED = ROOT / "tests/corpus/seeds/seed_graph.tflite"
LABELS = ["a", "b", "c"]


def ending(path: Path, *steps: tuple[Any, ...], softmax: bool = True, outputs: int = 3) -> Path:
    """Write a copy of the small model without metadata, and with further operators at its end.

    Args:
        steps: name of an operator, and its operands: x for the previous result, or a number.
        softmax: whether to keep the softmax at the end of the model.
        outputs: number of outputs: 3, or 1 for the first one alone.
    """
    model = unpack_model(SEED.read_bytes())
    graph, parts = model.subgraphs[0], schema()
    model.metadata, model.signatureDefs = [], None
    graph.operators, graph.outputs = list(graph.operators), list(graph.outputs)
    result = int(graph.outputs[0])
    if not softmax:
        result = int(graph.operators.pop().inputs[0])
    if outputs == 1:
        begin, size = (add_constant(model, name, np.full(2, at, np.int32)) for name, at in ((b"at", 0), (b"size", 1)))
        first = add_tensor(graph, b"first", [1, 1], parts.TensorType.FLOAT32)
        graph.operators.append(
            new_operator(model, parts.BuiltinOperator.SLICE, 1, [result, begin, size], [first], "SliceOptions")
        )
        result = first
    for name, *operands in steps:
        inputs = [
            result if operand == "x" else add_constant(model, b"number", np.array(operand, np.float32))
            for operand in operands
        ]
        found = add_tensor(graph, b"result", [1, outputs], parts.TensorType.FLOAT32)
        options = {"LOGISTIC": "", "TANH": ""}.get(name, f"{name.title().replace('_', '')}Options")
        fields = {"beta": 1.0} if name == "SOFTMAX" else {}
        code = getattr(parts.BuiltinOperator, name)
        graph.operators.append(new_operator(model, code, 1, inputs, [found], options, **fields))
        result = found
    graph.outputs = [result]
    path.write_bytes(pack_model(model))
    return path


def pixels(model: Classifier) -> Any:
    return np.random.default_rng(0).integers(0, 256, (*model.size, 3), np.uint8)


def classifier(path: Path, labels: Sequence[str] = LABELS) -> Classifier:
    return Classifier(path, labels=labels, input_range="-1:1")


@pytest.mark.parametrize(
    "steps",
    [
        [("MUL", "x", 100)],
        [("MUL", 100, "x")],
        [("DIV", "x", 0.01)],
        [("MUL", "x", 255)],
        [("MUL", "x", 2), ("SUB", "x", 1)],
        [("ADD", "x", "x"), ("MUL", "x", 0.5)],
    ],
)
def test_scaled_softmax_is_converted_to_scores_from_0_to_1(steps: list[tuple[Any, ...]], tmp_path: Path) -> None:
    expected = classifier(ending(tmp_path / "whole.tflite"))
    image = pixels(expected)
    found = classifier(ending(tmp_path / "x.tflite", *steps))
    np.testing.assert_allclose(found.score_pixels(image), expected.score_pixels(image), atol=1e-5)
    assert not any("without a softmax" in line for line in found.remarks)
    assert any("are scaled to 0 to 1" in line for line in found.remarks) == (steps[0][0] != "ADD")
    written = Classifier(annotate(found.path, labels=LABELS, input_range="-1:1").path)
    np.testing.assert_allclose(written.score_pixels(image), expected.score_pixels(image), atol=1e-5)
    assert written.score_format == ScoreFormat("probabilities") and not written.remarks


def test_smoothed_probabilities_are_returned_unchanged(tmp_path: Path) -> None:
    steps = [("MUL", "x", 0.7), ("ADD", "x", 0.1)]
    found = classifier(ending(tmp_path / "x.tflite", *steps))
    image = pixels(found)
    expected = classifier(ending(tmp_path / "y.tflite")).score_pixels(image) * 0.7 + 0.1
    np.testing.assert_allclose(found.score_pixels(image), expected, atol=1e-6)
    assert not found.remarks


def test_annotate_scales_integer_outputs_that_have_no_quantization_scale(tmp_path: Path) -> None:
    model = unpack_model(ending(tmp_path / "x.tflite", ("MUL", "x", 255)).read_bytes())
    graph, parts = model.subgraphs[0], schema()
    types = {"inDataType": parts.TensorType.FLOAT32, "outDataType": parts.TensorType.UINT8}
    whole = add_tensor(graph, b"whole", [1, 3], parts.TensorType.UINT8)
    cast = new_operator(model, parts.BuiltinOperator.CAST, 1, list(graph.outputs), [whole], "CastOptions", **types)
    graph.operators, graph.outputs = [*graph.operators, cast], [whole]
    (tmp_path / "x.tflite").write_bytes(pack_model(model))
    found = classifier(tmp_path / "x.tflite")
    written = Classifier(annotate(found.path, labels=LABELS, input_range="-1:1").path)
    expected = classifier(ending(tmp_path / "y.tflite"))
    for one in (found, written):
        np.testing.assert_allclose(one.score_pixels(pixels(one)), expected.score_pixels(pixels(one)), atol=1 / 255)


@pytest.mark.parametrize("step", [("MUL", "x", 0.5), ("DIV", "x", 3), ("ADD", "x", 100), ("ADD", "x", "x")])
def test_scaled_logits_are_recognized_as_logits(step: tuple[Any, ...], tmp_path: Path) -> None:
    found = classifier(ending(tmp_path / "x.tflite", step, softmax=False))
    expected = classifier(ending(tmp_path / "y.tflite", step, ("SOFTMAX", "x"), softmax=False))
    image = pixels(found)
    np.testing.assert_allclose(found.score_pixels(image), expected.score_pixels(image), atol=1e-5)
    assert "without a softmax" in found.remarks[0]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], lambda x: 1 / (1 + np.exp(-x))),
        ([("LOGISTIC", "x")], lambda x: 1 / (1 + np.exp(-x))),
        ([("LOGISTIC", "x"), ("SUB", 1, "x")], lambda x: 1 - 1 / (1 + np.exp(-x))),
        ([("LOGISTIC", "x"), ("MUL", "x", 100)], lambda x: 1 / (1 + np.exp(-x))),
        ([("TANH", "x"), ("ADD", "x", 1), ("MUL", "x", 0.5)], lambda x: (np.tanh(x) + 1) / 2),
    ],
)
def test_single_output_is_the_score_of_the_second_label(steps: list[Any], expected: Any, tmp_path: Path) -> None:
    found = classifier(ending(tmp_path / "x.tflite", *steps, softmax=False, outputs=1), ["no", "yes"])
    plain = classifier(ending(tmp_path / "y.tflite", softmax=False), LABELS)
    image = pixels(found)
    score = expected(float(plain.raw_output(image)[0]))
    np.testing.assert_allclose(found.score_pixels(image), [1 - score, score], atol=1e-5)
    assert "its single output is the score of yes, the second of two labels" in found.remarks[-1]


@pytest.mark.parametrize("steps", [[("MUL", "x", 0)], [("ADD", "x", 1e30)], [("MUL", "x", 1e-45)], [("MUL", "x", -1)]])
def test_scores_with_degenerate_scaling_are_finite(steps: list[Any], tmp_path: Path) -> None:
    for name in ("SOFTMAX", "LOGISTIC"):
        found = classifier(ending(tmp_path / "x.tflite", (name, "x"), *steps, softmax=False))
        assert np.isfinite(found.score_pixels(pixels(found))).all()
        assert found.score_format.is_scaled == ((name, steps[0][2]) == ("LOGISTIC", -1))


def test_softmax_of_a_single_value_is_refused(tmp_path: Path) -> None:
    path = ending(tmp_path / "x.tflite", ("SOFTMAX", "x"), softmax=False, outputs=1)
    with pytest.raises(ModelError, match="the softmax of a single value, which is always 1"):
        classifier(path, ["no", "yes"])


def test_score_format_is_recognized_from_values() -> None:
    scores = np.array([[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]], np.float32)
    assert format_of_values(scores) == ScoreFormat("probabilities")
    assert format_of_values(scores * 100) == ScoreFormat("probabilities", high=100)
    assert format_of_values(scores * 20) == ScoreFormat("logits")
    assert format_of_values(scores * 0.5) == ScoreFormat("sigmoids")
    assert format_of_values(scores * 0.5, ScoreFormat("logits", uncertain=True)) == ScoreFormat("logits")
    assert format_of_values(scores[:, :1]) == ScoreFormat("sigmoids")


def test_output_range_is_mapped_to_scores_from_0_to_1() -> None:
    values = np.array([-1, 0.5], np.float32)
    np.testing.assert_allclose(to_scores(ScoreFormat("sigmoids", -1, 1), values, 2), [0, 0.75])


def test_softmax_and_sigmoid_of_large_logits_are_computed() -> None:
    logits = ScoreFormat("logits")
    found = to_scores(logits, np.array([1000.0, 999.0, -1000.0], np.float32), 3)
    np.testing.assert_allclose(found, [1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0], atol=1e-7)
    assert found.dtype == np.float32
    np.testing.assert_allclose(to_scores(logits, np.array([2.0], np.float32), 1), [1 / (1 + np.exp(-2))], rtol=1e-6)
    two = to_scores(logits, np.array([2.0], np.float32), 2)
    np.testing.assert_allclose(two, [1 / (1 + np.exp(2)), 1 / (1 + np.exp(-2))], rtol=1e-6)
    np.testing.assert_allclose(to_scores(logits, np.array([-500.0], np.float32), 2), [1, 0], atol=1e-7)
    np.testing.assert_allclose(to_scores(ScoreFormat("sigmoids"), np.array([0.25], np.float32), 2), [0.75, 0.25])
    np.testing.assert_allclose(to_scores(ScoreFormat("sigmoids"), np.array([0.25], np.float32), 1), [0.25])
    logarithms = np.log(np.array([0.25, 0.75], np.float32))
    np.testing.assert_allclose(to_scores(ScoreFormat("log probabilities"), logarithms, 2), [0.25, 0.75], rtol=1e-6)
    np.testing.assert_allclose(to_scores(ScoreFormat("log probabilities"), np.array([0.01, -9], np.float32), 2)[0], 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[20.0, 50.0, 29.0]], ScoreFormat("probabilities", high=100)),
        ([[20.0, 50.0, 32.5]], ScoreFormat("logits")),
        ([[20.0, 50.0, 27.5]], ScoreFormat("logits")),
        ([[100.0, 100.0, 55.0]], ScoreFormat("probabilities", high=255)),
        ([[0.2, 0.5, 0.315]], ScoreFormat("probabilities")),
        ([[0.2, 0.5, 0.325]], ScoreFormat("sigmoids")),
        ([[0.2, 0.5, 0.275]], ScoreFormat("sigmoids")),
        ([[-0.015, 0.5, 0.515]], ScoreFormat("probabilities")),
        ([[-0.025, 0.5, 0.525]], ScoreFormat("logits")),
        ([[0.2, 0.5, 0.3], [0.2, 0.5, 0.4]], ScoreFormat("sigmoids")),
        ([[1.015, 0.0, 0.0]], ScoreFormat("probabilities")),
        ([[1.025, 0.2, 0.0]], ScoreFormat("logits")),
    ],
)
def test_score_format_is_recognized_despite_deviations_of_two_percent(
    values: list[list[float]], expected: ScoreFormat
) -> None:
    assert format_of_values(np.array(values, np.float32)) == expected


def test_remark_describes_how_scores_are_computed_from_the_output() -> None:
    assert remark(ScoreFormat("probabilities"), 2, ("a", "b")) == ""
    assert remark(ScoreFormat("probabilities", -1, 255), 3, LABELS) == (
        "its scores range from -1 to 255 and are scaled to 0 to 1"
    )
    assert "the softmax of its output" in remark(ScoreFormat("logits"), 2, ("a", "b"))
    assert remark(ScoreFormat("logits"), 1, ("a", "b")) == (
        "it ends without a softmax: scores are the sigmoid of its output; its single output is the score of b, the"
        " second of two labels"
    )
    assert "logarithms" in remark(ScoreFormat("log probabilities"), 2, ("a", "b"))
    assert "multi-label" in remark(ScoreFormat("sigmoids"), 2, ("a", "b"))
    assert remark(ScoreFormat("sigmoids"), 1, ("a",)) == ""


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("MUL", "x", 0.0011)], (0.0, 0.0011)),
        ([("MUL", "x", 0.0009)], None),
        ([("MUL", "x", 9e5)], (0.0, 9e5)),
        ([("MUL", "x", 1.1e6)], None),
        ([("MUL", "x", -2.0)], None),
        ([("MUL", "x", 4.0), ("SUB", "x", 7.0)], (-7.0, -3.0)),
    ],
)
def test_softmax_whose_output_is_scaled_is_recognized(
    steps: list[tuple[Any, ...]], expected: tuple[float, float] | None, tmp_path: Path
) -> None:
    path = ending(tmp_path / "x.tflite", *steps)
    found = known_format(ModelFile(path, path.read_bytes()), Metadata(), 0)
    if expected is None:
        assert found is None
    else:
        assert found is not None and found.kind == "probabilities"
        assert (found.low, found.high) == pytest.approx(expected)
