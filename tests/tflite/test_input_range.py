"""Tests of determining the normalization of a model's input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from poets_edge.errors import ModelError, UsageError
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT, Normalization
from poets_edge.tflite.flatbuffer import (
    add_constant,
    add_tensor,
    new_operator,
    pack_model,
    schema,
    unpack_model,
)
from poets_edge.tflite.input_range import decide_input_range
from poets_edge.tflite.metadata import Metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import TensorInfo
from tests.tiny_model import SIDE, color_model

FILE = ModelFile(Path("colors.tflite"), color_model())
STATED = Metadata(mean=(127.5,), std=(127.5,))


def tensor(dtype: str = "float32", scale: float = 0.0, zero_point: int = 0) -> TensorInfo:
    return TensorInfo(0, "input", (1, 8, 8, 3), np.dtype(dtype), scale, zero_point)


@pytest.mark.parametrize(
    ("metadata", "given", "source", "expected", "evidence"),
    [
        (STATED, None, tensor(), BACKBONE, "its metadata"),
        (Metadata(facts={"format": 1}), None, tensor(), BACKBONE, "written by poets_edge"),
        (Metadata(facts={"format": 1}, mean=(0.0,), std=(1.0,)), None, tensor(), RAW, "its metadata"),
        (Metadata(), UNIT, tensor(), UNIT, "as given"),
        (STATED, BACKBONE, tensor(), BACKBONE, "its metadata"),
        (Metadata(), None, tensor("uint8"), RAW, "its input is uint8 without a scale: pixels unchanged"),
        (STATED, None, tensor("uint8"), RAW, "its input is uint8 without a scale: pixels unchanged"),
        (Metadata(author="Ultralytics"), None, tensor(), UNIT, "written by Ultralytics, whose networks take 0 to 1"),
    ],
)
def test_evidence_of_the_input_range_is_reported(
    metadata: Metadata, given: Normalization | None, source: TensorInfo, expected: Normalization, evidence: str
) -> None:
    found = decide_input_range(FILE, metadata, source, given)
    assert found.normalization.is_close(expected) and found.evidence == evidence
    assert found.inferred is (metadata.author != "")


@pytest.mark.parametrize(
    ("dtype", "zero_point", "pixels"), [("uint8", 3, "pixels unchanged"), ("int8", -125, "pixels minus 128")]
)
def test_scale_of_a_quantized_input_determines_the_input_range(dtype: str, zero_point: int, pixels: str) -> None:
    """Pixel value 0 is stored as 0 (uint8) or -128 (int8), which is 3 steps below the zero point."""
    found = decide_input_range(FILE, STATED, tensor(dtype, 0.25, zero_point))
    assert found.normalization == Normalization((3.0,), (4.0,))
    assert pixels in found.evidence and f"scale 0.25 and zero point {zero_point}" in found.evidence


@pytest.mark.parametrize(("steps", "accepted"), [(1.9, True), (2.0, True), (2.1, False)])
def test_given_input_range_may_differ_from_the_model_by_two_quantization_steps(steps: float, accepted: bool) -> None:
    given = Normalization((steps,), (1.0,))
    if accepted:
        assert decide_input_range(FILE, Metadata(), tensor("uint8", 1.0), given).normalization == RAW
    else:
        with pytest.raises(UsageError, match="Leave it out, or replace it in the model"):
            decide_input_range(FILE, Metadata(), tensor("uint8", 1.0), given)


@pytest.mark.parametrize(
    ("metadata", "source"),
    [(STATED, tensor()), (Metadata(facts={"format": 1}), tensor()), (Metadata(), tensor("uint8"))],
)
def test_given_input_range_must_agree_with_the_model(metadata: Metadata, source: TensorInfo) -> None:
    with pytest.raises(UsageError, match=r"colors\.tflite takes"):
        decide_input_range(FILE, metadata, source, UNIT)


def rescaling_model(mean: Sequence[float], std: float) -> ModelFile:
    """Return a model that computes the means of (input - mean) / std over each channel."""
    model = unpack_model(color_model())
    graph, parts = model.subgraphs[0], schema()
    graph.inputs, graph.operators = list(graph.inputs), list(graph.operators)
    image = add_tensor(graph, b"image", (1, SIDE, SIDE, 3), parts.TensorType.FLOAT32)
    centered = add_tensor(graph, b"centered", (1, SIDE, SIDE, 3), parts.TensorType.FLOAT32)
    means, stds = (add_constant(model, b"number", np.array(value, np.float32)) for value in (mean, [std]))
    codes, result = parts.BuiltinOperator, int(graph.inputs[0])
    graph.operators[:0] = [
        new_operator(model, codes.SUB, 1, [image, means], [centered], "SubOptions"),
        new_operator(model, codes.DIV, 1, [centered, stds], [result], "DivOptions"),
    ]
    graph.inputs = [image]
    return ModelFile(Path("colors.tflite"), pack_model(model))


@pytest.mark.parametrize("metadata", [Metadata(), STATED])
@pytest.mark.parametrize(
    ("mean", "std", "contradiction"),
    [
        ([127.5], 127.5, "although its first layers compute (input - 127.5) * 0.007843, as for 0:255"),
        ([103.9, 116.8, 123.7], 1, "although its first layers subtract the means of blue, green and red"),
        ([0], 1, ""),
    ],
)
def test_input_range_that_the_first_layers_contradict_is_reported(
    metadata: Metadata, mean: list[float], std: float, contradiction: str
) -> None:
    found = decide_input_range(rescaling_model(mean, std), metadata, tensor(), BACKBONE)
    assert found.normalization == BACKBONE and found.inferred == bool(contradiction)
    assert (
        found.evidence.startswith("its metadata" if metadata.mean else "as given") and contradiction in found.evidence
    )


@pytest.mark.parametrize(
    ("source", "given", "values"),
    [
        (tensor("int8"), RAW, "-128 to 127"),
        (tensor("int16", 1 / 32767), RAW, "-1 to 1"),
        (tensor("int16", 1 / 32767), BACKBONE, ""),
        (tensor("int8"), Normalization((128.0,), (1.0,)), ""),
    ],
)
def test_given_input_range_must_fit_an_integer_input(source: TensorInfo, given: Normalization, values: str) -> None:
    if not values:
        assert decide_input_range(FILE, Metadata(), source, given).normalization == given
        return
    with pytest.raises(UsageError, match=f"with values from {values} only"):
        decide_input_range(FILE, Metadata(), source, given)


@pytest.mark.parametrize(("dtype", "ranges"), [("float32", "-1:1, 0:1 or 0:255"), ("int8", "-128:127")])
def test_model_without_evidence_of_its_input_range_is_rejected(dtype: str, ranges: str) -> None:
    with pytest.raises(ModelError, match=f"`input_range`={ranges}"):
        decide_input_range(FILE, Metadata(), tensor(dtype))


def test_given_range_must_agree_with_the_model_at_both_ends() -> None:
    """The upper end differs by 3 steps, the lower one by none; then the reverse."""
    std = 255 / (258 / 255)
    for given in (Normalization((0.0,), (std,)), Normalization((std * 3 / 255,), (std,))):
        with pytest.raises(UsageError, match="Leave it out"):
            decide_input_range(FILE, Metadata(), tensor("uint8", 1 / 255), given)


def test_given_range_is_checked_for_each_channel() -> None:
    given = Normalization((0.0, 0.0, 40.0), (1.0, 1.0, 1.0))
    with pytest.raises(UsageError, match="Leave it out"):
        decide_input_range(FILE, Metadata(), tensor("uint8", 1.0), given)
    with pytest.raises(UsageError, match="with values from -128 to 127 only"):
        decide_input_range(FILE, Metadata(), tensor("int8"), Normalization((128.0, 128.0, 100.0), (1.0, 1.0, 1.0)))


def test_range_of_an_integer_input_depends_on_its_scale_and_zero_point() -> None:
    source = tensor("int16", 0.5, 20)
    with pytest.raises(UsageError, match=r"with values from -1\.639e\+04 to 1\.637e\+04 only"):
        decide_input_range(FILE, Metadata(), source, Normalization((0.0,), (255 / 16376,)))
    accepted = Normalization((0.0,), (255 / 16374.5,))
    assert decide_input_range(FILE, Metadata(), source, accepted).normalization == accepted


def test_range_that_agrees_with_the_first_layers_is_not_reported() -> None:
    found = decide_input_range(rescaling_model([127.5], 127.5), Metadata(), tensor(), RAW)
    assert (found.evidence, found.inferred, found.normalization) == ("as given", False, RAW)
    inferred = decide_input_range(rescaling_model([127.5], 127.5), Metadata(), tensor())
    assert inferred.inferred and inferred.normalization == RAW
    assert str(inferred) == f"{RAW} (its first layers compute (input - 127.5) * 0.007843)"


def _named(source: bytes, output: bytes) -> ModelFile:
    model = unpack_model(color_model())
    graph = model.subgraphs[0]
    graph.tensors[int(graph.inputs[0])].name, graph.tensors[int(graph.outputs[0])].name = source, output
    return ModelFile(Path("colors.tflite"), pack_model(model))


@pytest.mark.parametrize(
    ("source", "output", "known"),
    [(b"input", b"final_result", True), (b"input", b"scores", False), (b"picture", b"final_result", False)],
)
def test_models_of_the_codelab_are_recognized_by_the_names_of_input_and_output(
    source: bytes, output: bytes, known: bool
) -> None:
    if known:
        found = decide_input_range(_named(source, output), Metadata(), tensor())
        assert found.normalization == BACKBONE and found.inferred and "names of the codelab" in found.evidence
    else:
        with pytest.raises(ModelError, match="it does not specify its input range"):
            decide_input_range(_named(source, output), Metadata(), tensor())


def test_error_for_an_int16_input_without_a_known_range_suggests_common_ranges() -> None:
    with pytest.raises(ModelError, match="`input_range`=-1:1, 0:1 or 0:255"):
        decide_input_range(FILE, Metadata(), tensor("int16", 0.5))
