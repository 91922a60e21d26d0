"""Tests of the input range that is inferred from the first operators of a `.tflite`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
from poets_edge.tflite.graph_evidence import Graph
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
