"""Tests of the rules for operators, types, quantization and cost, on models of one operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poets_edge.tflite.flatbuffer import (
    add_constant,
    add_tensor,
    new_model,
    new_operator,
    pack_model,
    quant_params,
    schema,
)
from poets_edge.tflite.verify import rules
from poets_edge.tflite.verify.rules import InferenceCost
from poets_edge.tflite.verify.tables import FlawError
from poets_edge.tflite.verify.verify import check

PICTURE = (1, 6, 5, 3)


@dataclass(frozen=True)
class Tensor:
    """A computed tensor, or a constant if it has values."""

    shape: tuple[int, ...] = PICTURE
    dtype: str = "FLOAT32"
    scales: Sequence[float] = ()
    zero_point: int = 0
    axis: int = 0
    values: npt.NDArray[Any] | None = None


def integers(*values: int, shape: tuple[int, ...] | None = None) -> Tensor:
    array = np.array(values, np.int32).reshape(shape or (len(values),))
    return Tensor(array.shape, "INT32", values=array)


def numbers(shape: tuple[int, ...], **facts: Any) -> Tensor:
    return Tensor(shape, values=np.ones(shape, np.float32), **facts)


def model(
    operator: str,
    inputs: Sequence[Tensor],
    output: Tensor,
    options: str = "",
    fields: Mapping[str, Any] | None = None,
    change: Callable[[Any], object] = lambda tree: None,
) -> bytes:
    """Return a model of one operator.

    Args:
        options: name of its table of options, with `fields` in it.
        change: function that changes the `ModelT` before it is packed.
    """
    parts, tree = schema(), new_model("test")
    graph = tree.subgraphs[0]
    places: list[int] = []
    for tensor in (*inputs, output):
        quantization = quant_params(tensor.scales, tensor.zero_point, tensor.axis) if tensor.scales else None
        name = f"t{len(places)}".encode()
        if tensor.values is not None:
            places.append(add_constant(tree, name, tensor.values, quantization))
        else:
            dtype = getattr(parts.TensorType, tensor.dtype)
            places.append(add_tensor(graph, name, tensor.shape, dtype, quantization))
    code = getattr(parts.BuiltinOperator, operator)
    used = new_operator(tree, code, 1, places[:-1], places[-1:])
    if options:
        used.builtinOptionsType = getattr(parts.BuiltinOptions, options)
        used.builtinOptions = getattr(parts, f"{options}T")()
        for field, value in (fields or {}).items():
            setattr(used.builtinOptions, field, value)
    graph.operators.append(used)
    graph.inputs = [place for place, tensor in zip(places[:-1], inputs, strict=True) if tensor.values is None]
    graph.outputs = places[-1:]
    change(tree)
    return pack_model(tree)


CONVOLUTION = {"padding": 0, "strideH": 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}


def convolution(**facts: Any) -> bytes:
    """Return a model of a 3 x 2 convolution with 4 outputs and stride (2, 1)."""
    return model(
        "CONV_2D",
        facts.pop("inputs", (Tensor(), numbers((4, 3, 2, 3)), numbers((4,)))),
        facts.pop("output", Tensor((1, 3, 5, 4))),
        "Conv2DOptions",
        {**CONVOLUTION, **facts.pop("fields", {})},
        **facts,
    )


@pytest.mark.parametrize(
    ("operator", "inputs", "output", "options", "fields"),
    [
        ("RESHAPE", [Tensor(), integers(1, 90)], (1, 90), "ReshapeOptions", {"newShape": [1, 90]}),
        ("RESHAPE", [Tensor(), integers(-1, 3)], (30, 3), "", {}),
        ("RESHAPE", [Tensor()], (6, 15), "ReshapeOptions", {"newShape": [6, 15]}),
        ("PAD", [Tensor(), integers(0, 0, 1, 2, 3, 4, 0, 0, shape=(4, 2))], (1, 9, 12, 3), "PadOptions", {}),
        ("SQUEEZE", [Tensor((1, 6, 1, 3))], (1, 6, 3), "SqueezeOptions", {"squeezeDims": [2]}),
        ("SQUEEZE", [Tensor((1, 6, 1, 3))], (6, 3), "SqueezeOptions", {"squeezeDims": []}),
        ("SQUEEZE", [Tensor((1, 1, 1, 3))], (1, 3), "SqueezeOptions", {"squeezeDims": [1, 2]}),
        ("TRANSPOSE", [Tensor(), integers(0, 3, 1, 2)], (1, 3, 6, 5), "TransposeOptions", {}),
        ("MEAN", [Tensor(), integers(1, 2)], (1, 3), "ReducerOptions", {"keepDims": False}),
    ],
)
def test_check_accepts_an_operator_with_its_output_shape_only(
    operator: str, inputs: list[Tensor], output: tuple[int, ...], options: str, fields: Mapping[str, Any]
) -> None:
    assert check(model(operator, inputs, Tensor(output), options, fields)).multiplications == 0
    for wrong in ((*output[:-1], output[-1] + 1), output[::-1], output[1:]):
        with pytest.raises(FlawError, match=f"{operator}: an output declared as"):
            check(model(operator, inputs, Tensor(wrong), options, fields))


def test_check_refuses_a_reshape_whose_product_exceeds_32_bits() -> None:
    fields = {"newShape": [1 << 16, 1 << 16]}
    with pytest.raises(FlawError, match="90 values reshaped to"):
        check(model("RESHAPE", [Tensor()], Tensor((1, 90)), "ReshapeOptions", fields))


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        ("RESHAPE", [Tensor(), Tensor((2,), values=np.array([1, 90], np.float32))], "input 1 is not int32"),
        ("TRANSPOSE", [Tensor(), Tensor((4,), "INT32")], "should be constant"),
        ("PAD", [Tensor(), Tensor((4, 2), "INT32")], "should be constant"),
        ("PAD", [Tensor()], "1 inputs and 1 outputs"),
        ("MEAN", [Tensor(), integers(1, 2)], "no options"),
        ("SQUEEZE", [Tensor()], "no options"),
    ],
)
def test_check_refuses_inputs_that_an_operator_cannot_have(operator: str, inputs: list[Tensor], message: str) -> None:
    with pytest.raises(FlawError, match=message):
        check(model(operator, inputs, Tensor((1, 90))))


def test_check_counts_memory_and_multiplications_of_a_convolution() -> None:
    """A sum of 18 products for each of 3 x 5 x 4 outputs, and a copy of all windows; constants count twice."""
    constants = 4 * 18 + 4
    assert check(convolution()) == InferenceCost(4 * (90 + 60 + 2 * constants + 3 * 5 * 18), 60 * 18)


def test_check_counts_multiplications_of_depthwise_and_dense_layers() -> None:
    options = {**CONVOLUTION, "depthMultiplier": 2}
    inputs = [Tensor(), numbers((1, 3, 2, 6)), numbers((6,))]
    depthwise = model("DEPTHWISE_CONV_2D", inputs, Tensor((1, 3, 5, 6)), "DepthwiseConv2DOptions", options)
    assert check(depthwise) == InferenceCost(4 * (90 + 90 + 2 * (36 + 6)), 90 * 6)
    dense = model("FULLY_CONNECTED", [Tensor((1, 7)), numbers((4, 7))], Tensor((1, 4)), "FullyConnectedOptions")
    assert check(dense) == InferenceCost(4 * (7 + 4 + 2 * 28), 28)
    pointwise = convolution(
        inputs=(Tensor(), numbers((4, 1, 1, 3))), output=Tensor((1, 6, 5, 4)), fields={"strideH": 1}
    )
    assert check(pointwise) == InferenceCost(4 * (90 + 120 + 2 * 12), 360)


def test_check_limits_memory_and_multiplications(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = check(convolution())
    monkeypatch.setattr(rules, "MAX_BYTES", cost.memory)
    monkeypatch.setattr(rules, "MAX_MULTIPLICATIONS", cost.multiplications)
    assert check(convolution()) == cost
    monkeypatch.setattr(rules, "MAX_BYTES", cost.memory - 1)
    with pytest.raises(FlawError, match="MB of memory"):
        check(convolution())
    monkeypatch.setattr(rules, "MAX_BYTES", cost.memory)
    monkeypatch.setattr(rules, "MAX_MULTIPLICATIONS", cost.multiplications - 1)
    with pytest.raises(FlawError, match="billion multiplications"):
        check(convolution())


def test_check_refuses_a_model_of_a_gigabyte() -> None:
    """A megapixel of 256 channels: the file has a few hundred bytes."""
    huge = Tensor((1, 1024, 1024, 256))
    with pytest.raises(FlawError, match="2,147 MB of memory"):
        check(model("RELU", [huge], huge))


@pytest.mark.parametrize(("dtype", "low", "high"), [("INT8", -128, 127), ("UINT8", 0, 255)])
def test_check_limits_zero_points_to_the_type(dtype: str, low: int, high: int) -> None:
    for zero_point in (low, high):
        tensor = Tensor(dtype=dtype, scales=[0.5], zero_point=zero_point)
        check(model("RELU", [tensor], tensor))
    for zero_point in (low - 1, high + 1, 1 << 40):
        wrong = Tensor(dtype=dtype, scales=[0.5], zero_point=zero_point)
        with pytest.raises(FlawError, match="tensor 1 has a zero point"):
            check(model("RELU", [Tensor(dtype=dtype, scales=[0.5], zero_point=low)], wrong))


def test_check_refuses_zero_points_without_scales_and_scales_without_zero_points() -> None:
    tensor = Tensor(dtype="INT8", scales=[0.5])

    def drop(tree: Any) -> None:
        tree.subgraphs[0].tensors[1].quantization.zeroPoint = [0, 0]

    with pytest.raises(FlawError, match="zero point"):
        check(model("RELU", [tensor], tensor, change=drop))
    with pytest.raises(FlawError, match="of 8 bits and has no scale"):
        check(model("RELU", [tensor], Tensor(dtype="INT8")))


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_check_limits_scales(scale: float) -> None:
    inside = Tensor(dtype="INT8", scales=[float(np.float32(scale * (1.01 if scale < 1 else 0.99)))])
    check(model("RELU", [inside], inside))
    outside = Tensor(dtype="INT8", scales=[float(np.float32(scale * (0.99 if scale < 1 else 1.01)))])
    with pytest.raises(FlawError, match="a scale that makes no sense"):
        check(model("RELU", [outside], outside))


def test_check_requires_a_scale_for_each_index_of_the_axis() -> None:
    def kernel(scales: int, axis: int) -> Tensor:
        return Tensor((4, 3, 2, 3), "INT8", [0.5] * scales, axis=axis, values=np.ones((4, 3, 2, 3), np.int8))

    for good in (kernel(4, 0), kernel(1, 0), kernel(3, 1), kernel(2, 2)):
        check(convolution(inputs=(Tensor(), good)))
    for bad in (kernel(3, 0), kernel(4, 1), kernel(4, 4), kernel(3, -1)):
        with pytest.raises(FlawError, match="scales for a shape of"):
            check(convolution(inputs=(Tensor(), bad)))


def test_check_requires_constants_of_the_size_of_their_shape() -> None:
    for shape in ((4, 3, 2, 2), (5, 3, 2, 3)):

        def change(tree: Any, shape: tuple[int, ...] = shape) -> None:
            tree.subgraphs[0].tensors[1].shape = list(shape)

        with pytest.raises(FlawError, match="tensor 1 has 288 bytes, not"):
            check(convolution(change=change))


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        ((Tensor(), numbers((4, 3, 2, 3)), integers(1, 2, 3, 4)), Tensor((1, 3, 5, 4))),
        ((Tensor(dtype="INT8", scales=[1]), numbers((4, 3, 2, 3))), Tensor((1, 3, 5, 4))),
        ((Tensor(), numbers((4, 3, 2, 3))), Tensor((1, 3, 5, 4), "INT8", [1])),
    ],
)
def test_check_refuses_invalid_combinations_of_types(inputs: Sequence[Tensor], output: Tensor) -> None:
    with pytest.raises(FlawError, match=r"types .* that do not go together"):
        check(convolution(inputs=inputs, output=output))


def test_check_refuses_8_bit_weights_that_are_computed() -> None:
    weights = Tensor((4, 3, 2, 3), "INT8", [0.5])
    with pytest.raises(FlawError, match="weights that are computed"):
        check(
            convolution(inputs=(Tensor(dtype="INT8", scales=[1.0]), weights), output=Tensor((1, 3, 5, 4), "INT8", [1]))
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fusedActivationFunction": 4}, "activation 4"),
        ({"strideH": 0}, "stride"),
        ({"dilationHFactor": 0}, "dilation"),
    ],
)
def test_check_refuses_options_out_of_range(fields: Mapping[str, Any], message: str) -> None:
    with pytest.raises(FlawError, match=message):
        check(convolution(fields=fields))


def test_check_includes_the_dilation_of_a_valid_convolution() -> None:
    """A height of 6 has room for 3 rows that lie 2 apart, but not for 3 that lie 3 apart."""
    fields = {"padding": 1, "dilationHFactor": 2, "strideH": 1}
    check(convolution(fields=fields, output=Tensor((1, 2, 4, 4))))
    with pytest.raises(FlawError, match="will be"):
        check(convolution(fields=fields, output=Tensor((1, 4, 4, 4))))
    with pytest.raises(FlawError, match="window larger"):
        check(convolution(fields={**fields, "dilationHFactor": 3}, output=Tensor((1, 4, 4, 4))))


@pytest.mark.parametrize("beta", [0.0, -1.0, float("inf"), 1e6])
def test_check_refuses_a_softmax_beta_out_of_range(beta: float) -> None:
    tensor = Tensor((1, 4))
    check(model("SOFTMAX", [tensor], tensor, "SoftmaxOptions", {"beta": 1.0}))
    with pytest.raises(FlawError, match="SOFTMAX: beta"):
        check(model("SOFTMAX", [tensor], tensor, "SoftmaxOptions", {"beta": beta}))


def _graph(tree: Any) -> Any:
    return tree.subgraphs[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: setattr(tree, "version", 2), "version 2 of the format"),
        (lambda tree: tree.subgraphs.append(tree.subgraphs[0]), "2 graphs"),
        (lambda tree: setattr(_graph(tree), "inputs", []), "without input"),
        (lambda tree: setattr(_graph(tree), "outputs", []), "without input, output"),
        (lambda tree: setattr(_graph(tree), "inputs", [0, 0]), "there twice"),
        (lambda tree: setattr(_graph(tree), "inputs", [0, 1]), "constant"),
        (lambda tree: setattr(_graph(tree), "outputs", [4]), "tensor 4 of 4"),
        (lambda tree: setattr(_graph(tree), "inputs", [-1]), "tensor -1 of 4"),
        (lambda tree: setattr(_graph(tree).operators[0], "outputs", [0]), "output 0 that is not its own"),
        (lambda tree: setattr(_graph(tree).operators[0], "outputs", [1]), "output 1 that is not its own"),
        (lambda tree: setattr(_graph(tree).operators[0], "inputs", [0, 1, 4]), "input 4 that nothing computes"),
        (lambda tree: setattr(_graph(tree).operators[0], "inputs", [3, 1, 2]), "input 3 that nothing computes"),
        (lambda tree: setattr(_graph(tree).operators[0], "opcodeIndex", 1), "operator code 1 of 1"),
        (lambda tree: setattr(_graph(tree).tensors[0], "buffer", 3), "buffer 3 of 3"),
        (lambda tree: setattr(_graph(tree).tensors[0], "isVariable", True), "variable"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shape", [1] * 7), "a tensor of shape"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shape", [1, 0, 5, 3]), "a tensor of shape"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shape", [1, (1 << 20) + 1, 1, 3]), "a tensor of shape"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shapeSignature", [1, 6, 5]), "shape signature"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shapeSignature", [-1, 6, 4, 3]), "shape signature"),
        (lambda tree: setattr(tree.operatorCodes[0], "version", 0), "version 0 of CONV_2D"),
        (lambda tree: setattr(tree.operatorCodes[0], "version", 65), "version 65 of CONV_2D"),
    ],
)
def test_check_refuses_damaged_graphs(change: Callable[[Any], object], message: str) -> None:
    check(convolution(change=lambda tree: setattr(_graph(tree).tensors[0], "shapeSignature", [-1, 6, 5, 3])))
    with pytest.raises(FlawError, match=message):
        check(convolution(change=change))
