"""Tests of the number of inputs that each operator accepts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from poets_edge.tflite.verify.tables import FlawError
from poets_edge.tflite.verify.verify import check
from tests.tflite.test_catalog import EVERY_USE, Use
from tests.tflite.test_rules import PICTURE, Tensor, integers, model, numbers

SAME = {"strideH": 1, "strideW": 1}
DEPTHWISE = {**SAME, "dilationHFactor": 1, "dilationWFactor": 1, "depthMultiplier": 1}
LAYERS: dict[str, tuple[Sequence[Tensor], Tensor, str, dict[str, Any]]] = {
    "CONV_2D": ((Tensor(), numbers((3, 1, 1, 3))), Tensor(), "Conv2DOptions", SAME),
    "DEPTHWISE_CONV_2D": ((Tensor(), numbers((1, 3, 3, 3))), Tensor(), "DepthwiseConv2DOptions", DEPTHWISE),
    "FULLY_CONNECTED": ((Tensor((1, 4)), numbers((3, 4))), Tensor((1, 3)), "FullyConnectedOptions", {}),
    "TRANSPOSE_CONV": (
        (integers(*PICTURE), numbers((3, 1, 1, 3)), Tensor()), Tensor(), "TransposeConvOptions", SAME
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_bias_of_a_layer_is_optional(name: str) -> None:
    inputs, output, options, fields = LAYERS[name]
    bias = numbers((3,))
    for accepted in ([*inputs], [*inputs, bias]):
        check(model(name, accepted, output, options, fields))
    with pytest.raises(FlawError, match=f"{name}: {len(inputs) + 2} inputs and 1 outputs"):
        check(model(name, [*inputs, bias, bias], output, options, fields))


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65])
@pytest.mark.parametrize("name", ["ADD_N", "CONCATENATION", "PACK"])
def test_joining_operators_accept_1_to_64_inputs(name: str, count: int) -> None:
    shape, options, fields = {
        "ADD_N": ((2, 3), "AddNOptions", {}),
        "CONCATENATION": ((2 * count, 3), "ConcatenationOptions", {"axis": 0}),
        "PACK": ((count, 2, 3), "PackOptions", {"valuesCount": count, "axis": 0}),
    }[name]
    arrays = [Tensor((2, 3)), *[numbers((2, 3))] * (count - 1)] if count else []
    content = model(name, arrays, Tensor(tuple(max(length, 1) for length in shape)), options, fields)
    if 1 <= count <= 64:
        check(content)
    else:
        with pytest.raises(
            FlawError, match=f"{name}: {count} inputs and 1 outputs" if count else "a graph without input"
        ):
            check(content)


FIXED = [use for use in EVERY_USE if use.name not in (*LAYERS, "ADD_N", "CONCATENATION", "PACK", "RESHAPE")]


@pytest.mark.parametrize("use", FIXED, ids=lambda use: use.name)
def test_operators_reject_an_additional_input(use: Use) -> None:
    with pytest.raises(FlawError, match=f"{use.name}: {len(use.inputs) + 1} inputs and"):
        check(use.content(inputs=[*use.inputs, numbers((1,))]))
