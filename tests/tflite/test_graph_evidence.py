"""Tests of the input range that is inferred from the first operators of a `.tflite`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT, Normalization
from poets_edge.tflite.flatbuffer import (
    add_constant,
    add_tensor,
    new_model,
    new_operator,
    pack_model,
    quant_params,
    schema,
)
from poets_edge.tflite.graph_evidence import Graph, OutputSource
from poets_edge.tflite.model_file import ModelFile

SHAPE = (1, 4, 6, 3)


class Built:
    """A model that is built operator by operator, from its float32 input."""

    def __init__(self) -> None:
        self.model = new_model("built")
        self.graph = self.model.subgraphs[0]
        self.types, self._codes = schema().TensorType, schema().BuiltinOperator
        self.last = add_tensor(self.graph, b"input", SHAPE, self.types.FLOAT32)
        self.graph.inputs = [self.last]

    def add(self, name: str, *constants: Any, dtype: int = 0, quantization: Any = None) -> Built:
        """Append an operator whose inputs are the last output and constants, given as (values, quantization)."""
        others = [add_constant(self.model, b"constant", np.asarray(values), params) for values, params in constants]
        target = add_tensor(self.graph, name.encode(), SHAPE, dtype, quantization)
        self.graph.operators.append(
            new_operator(self.model, getattr(self._codes, name), 1, [self.last, *others], [target])
        )
        self.last = target
        return self

    def range(self) -> Normalization | None:
        self.graph.outputs = [self.last]
        found = Graph(ModelFile(Path("built.tflite"), pack_model(self.model))).input_evidence()
        return None if found is None else found.normalization


def floats(*values: float) -> tuple[Any, None]:
    return np.array(values, np.float32), None


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "expected"),
    [
        ("INT8", 1 / 255, -128, UNIT),
        ("UINT8", 1 / 255, 0, UNIT),
        ("INT8", 2 / 255, -1, BACKBONE),
        ("UINT8", 2 / 255, 128, BACKBONE),
        ("INT8", 1.0, -128, RAW),
        ("UINT8", 1.0, 0, RAW),
        ("INT8", 1 / 255, 0, None),
        ("INT16", 1 / 255, 0, None),
    ],
)
def test_input_range_is_inferred_from_the_range_of_the_first_quantization(
    dtype: str, scale: float, zero_point: int, expected: Normalization | None
) -> None:
    built = Built()
    built.add("QUANTIZE", dtype=getattr(built.types, dtype), quantization=quant_params(scale, zero_point))
    assert built.range() == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("MUL", floats(1 / 255))], RAW),
        ([("DIV", floats(255))], RAW),
        ([("MUL", floats(1 / 127.5)), ("SUB", floats(1))], RAW),
        ([("SUB", floats(127.5)), ("DIV", floats(127.5))], RAW),
        ([("MUL", floats(2)), ("ADD", floats(-1))], UNIT),
        ([("ADD", floats(-0.5)), ("MUL", floats(2))], UNIT),
        ([("MUL", (np.array([10], np.int8), quant_params(1 / (30 * 255), -20)))], RAW),
        ([("MUL", floats(1))], None),
    ],
)
def test_input_range_is_inferred_from_arithmetic_with_constants(
    steps: list[tuple[str, Any]], expected: Normalization | None
) -> None:
    built = Built()
    for name, constant in steps:
        built.add(name, constant)
    assert built.range() == expected


@pytest.mark.parametrize(("each", "expected"), [(0.0006, RAW), (0.001, None)])
def test_input_range_is_inferred_from_small_weights_of_the_first_convolution(
    each: float, expected: Normalization | None
) -> None:
    """The weights of an output add up to 1.6 % or 2.7 % of its bias."""
    biases = floats(1, -1, 1, -1, 1)
    kernel = np.full((5, 3, 3, 3), each, np.float32)
    assert Built().add("CONV_2D", (kernel, None), biases).range() == expected
    scales = quant_params(np.full(5, each / 7), -3)  # (4 - -3) * each / 7
    assert Built().add("CONV_2D", (np.full((5, 3, 3, 3), 4, np.int8), scales), biases).range() == expected
    depthwise = np.full((1, 3, 3, 3), 3 * each, np.float32)  # nine weights for each of three channels
    assert Built().add("DEPTHWISE_CONV_2D", (depthwise, None), floats(1, -1, 1)).range() == expected


def _constants(built: Built, *steps: tuple[str, Any, bool]) -> Built:
    """Add arithmetic with constants; the flag says whether the constant is the first operand."""
    for name, values, first in steps:
        built.add(name, floats(*values))
        if first:
            operator = built.graph.operators[-1]
            operator.inputs = list(operator.inputs)[::-1]
    return built


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("MUL", [1 / 255], True)], RAW),
        ([("ADD", [-127.5], True), ("MUL", [1 / 127.5], True)], RAW),
        ([("SUB", [127.5], True)], None),
        ([("DIV", [255.0], True)], None),
        ([("MUL", [2.0, 3.0], False), ("MUL", [1 / 255], False)], None),
        ([("SUB", [123.675, 116.28, 103.53], False), ("DIV", [58.395, 57.12, 57.375], False)], RAW),
        ([("MUL", [1 / 127.5], False), ("SUB", [1.0], False), ("MUL", [255.0], False)], None),
    ],
)
def test_input_range_is_inferred_regardless_of_the_order_of_commutative_operands(
    steps: list[tuple[str, list[float], bool]], expected: Normalization | None
) -> None:
    assert _constants(Built(), *steps).range() == expected


@pytest.mark.parametrize(("reversal", "refused"), [("", True), ("REVERSE_V2", False), ("RESHAPE", True)])
def test_channel_means_in_bgr_order_are_accepted_after_a_reversal_of_the_channels(reversal: str, refused: bool) -> None:
    built = Built()
    if reversal:
        built.add(reversal)
    _constants(built, ("SUB", [103.9, 116.8, 123.7], False))
    if refused:
        with pytest.raises(ModelError, match=r"^built\.tflite: its first layers subtract 103\.9, 116\.8, 123\.7, the"):
            built.range()
    else:
        assert built.range() == RAW


def test_reason_for_an_input_range_states_the_range_of_the_quantized_input() -> None:
    built = Built().add("QUANTIZE", dtype=9, quantization=quant_params(2 / 255, -1))
    built.graph.outputs = [built.last]
    found = Graph(ModelFile(Path("built.tflite"), pack_model(built.model))).input_evidence()
    assert found is not None and found.reason == "it quantizes its input as values from -0.9961 to 1.004"


def test_input_range_is_not_inferred_if_two_operators_read_the_input() -> None:
    built = _constants(Built(), ("MUL", [1 / 255], False))
    first = built.graph.operators[0]
    built.add("RELU")
    built.graph.operators[-1].inputs = list(first.inputs)[:1]
    assert built.range() is None


def _source(steps: list[tuple[str, Any, bool]], activation: int = 0) -> OutputSource:
    built = _constants(Built().add("SOFTMAX"), *steps)
    if activation:
        built.graph.operators[-1].builtinOptionsType = 11
        built.graph.operators[-1].builtinOptions = schema().AddOptionsT()
        built.graph.operators[-1].builtinOptions.fusedActivationFunction = activation
    built.graph.outputs = [built.last]
    return Graph(ModelFile(Path("built.tflite"), pack_model(built.model))).output_source(0)


@pytest.mark.parametrize(
    ("steps", "factor", "offset"),
    [
        ([], 1, 0),
        ([("MUL", [4.0], False), ("ADD", [3.0], False)], 4, 3),
        ([("ADD", [3.0], False), ("MUL", [4.0], True)], 4, 12),
        ([("SUB", [3.0], False), ("DIV", [4.0], False)], 0.25, -0.75),
        ([("SUB", [3.0], True)], -1, 3),
        ([("SUB", [3.0], True), ("MUL", [2.0], False), ("SUB", [5.0], False)], -2, 1),
        ([("MUL", [2.0, 2.0, 2.0], False)], 2, 0),
        ([("RESHAPE", [1.0], False), ("MUL", [2.0], False)], 2, 0),
    ],
)
def test_arithmetic_after_the_softmax_is_combined_into_one_factor_and_one_offset(
    steps: list[tuple[str, Any, bool]], factor: float, offset: float
) -> None:
    assert _source(steps) == OutputSource("SOFTMAX", factor, offset)


@pytest.mark.parametrize(
    ("steps", "operator"),
    [
        ([("MUL", [2.0, 3.0, 2.0], False)], "MUL"),
        ([("DIV", [2.0], True)], "DIV"),
        ([("DIV", [0.0], False)], "DIV"),
        ([("TANH", [1.0], False)], "TANH"),
    ],
)
def test_source_of_an_output_is_the_last_operator_that_is_not_scalar_arithmetic(
    steps: list[tuple[str, Any, bool]], operator: str
) -> None:
    assert _source(steps) == OutputSource(operator)


@pytest.mark.parametrize(("number", "name"), [(1, "RELU"), (2, "RELU_N1_TO_1"), (3, "RELU6"), (4, "TANH")])
def test_source_of_an_output_may_be_a_fused_activation(number: int, name: str) -> None:
    assert _source([("ADD", [1.0], False)], number).operator == name


@pytest.mark.parametrize(("reader", "expected"), [("CONCATENATION", RAW), ("RELU", None)])
def test_input_range_is_inferred_across_slices_only_if_one_operator_joins_them(
    reader: str, expected: Normalization | None
) -> None:
    built = Built()
    picture = built.last
    first = built.add("SLICE").last
    built.last = picture
    second = built.add("SLICE").last
    if reader == "CONCATENATION":
        built.add("CONCATENATION")
        built.graph.operators[-1].inputs = [second, first]
    else:
        built.add(reader)
        built.last = first
        built.add("CONCATENATION")
    assert built.add("MUL", floats(1 / 255)).range() == expected


def test_depthwise_weights_are_converted_with_the_scale_of_their_channel() -> None:
    """Channels are the last dimension: each output depends on 9 weights, whose sum is 1.26 % of its bias."""
    scales = quant_params(np.array([0.0002, 0.0002, 0.0004]), -3, axis=3)  # (4 - -3) * 0.0002
    kernel = np.full((1, 3, 3, 3), 4, np.int8)
    assert Built().add("DEPTHWISE_CONV_2D", (kernel, scales), floats(1, -1, 1)).range() == RAW
    larger = quant_params(np.array([0.0002, 0.0004, 0.0004]), -3, axis=3)
    assert Built().add("DEPTHWISE_CONV_2D", (kernel, larger), floats(1, -1, 1)).range() is None
