"""Tests of the rules for operators, types, quantization and cost, on models with a single operator."""

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
from poets_edge.tflite.verify import graph_rules, types
from poets_edge.tflite.verify.catalog import RULES
from poets_edge.tflite.verify.graph_rules import InferenceCost
from poets_edge.tflite.verify.rules import output_shapes
from poets_edge.tflite.verify.tables import FlawError, OtherNetworkError, UnsupportedError
from poets_edge.tflite.verify.verify import check

PICTURE = (1, 6, 5, 3)


@dataclass(frozen=True)
class Tensor:
    """Description of a tensor, which is constant if it has values and otherwise computed."""

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
    """Return a model with a single operator.

    Args:
        options: name of the table with the operator's options.
        fields: values of the options.
        change: function that modifies the `ModelT` before it is packed.
    """
    parts, tree = schema(), new_model("test")
    graph = tree.subgraphs[0]
    places: list[int] = []
    for tensor in (*inputs, output):
        quantization = quant_params(tensor.scales, tensor.zero_point, tensor.axis) if tensor.scales else None
        name = f"t{len(places)}".encode()
        if tensor.values is not None:
            places.append(add_constant(tree, name, tensor.values, quantization))
            graph.tensors[-1].type = getattr(parts.TensorType, tensor.dtype)
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
    """Return a model that consists of a 3 x 2 convolution with 4 outputs and stride (2, 1)."""
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
def test_model_check_refuses_output_shapes_that_differ_from_the_computed_shape(
    operator: str, inputs: list[Tensor], output: tuple[int, ...], options: str, fields: Mapping[str, Any]
) -> None:
    assert check(model(operator, inputs, Tensor(output), options, fields)).multiplications == 0
    for wrong in ((*output[:-1], output[-1] + 1), output[::-1], output[1:]):
        with pytest.raises(FlawError, match=f"{operator}: an output declared as"):
            check(model(operator, inputs, Tensor(wrong), options, fields))


def test_model_check_accepts_dimensions_of_2_to_the_20_and_shapes_of_rank_6() -> None:
    fields = {"newShape": [1, 1 << 20]}
    check(model("RESHAPE", [Tensor((1, 1024, 1024))], Tensor((1, 1 << 20)), "ReshapeOptions", fields))
    check(
        model("RESHAPE", [Tensor()], Tensor((1, 1, 1, 1, 6, 15)), "ReshapeOptions", {"newShape": [1, 1, 1, 1, 6, 15]})
    )


def test_model_check_refuses_a_reshape_whose_product_exceeds_32_bits() -> None:
    fields = {"newShape": [1 << 16, 1 << 16]}
    with pytest.raises(FlawError, match="90 values reshaped to"):
        check(model("RESHAPE", [Tensor()], Tensor((1, 90)), "ReshapeOptions", fields))


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        ("RESHAPE", [Tensor(), Tensor((2,), values=np.array([1, 90], np.float32))], "input 1 is not int32"),
        ("TRANSPOSE", [Tensor(), Tensor((4,), "INT32")], "depends on the photo"),
        ("PAD", [Tensor(), Tensor((4, 2), "INT32")], "depends on the photo"),
        ("PAD", [Tensor()], "1 inputs and 1 outputs"),
        ("MEAN", [Tensor(), integers(1, 2)], "no options"),
        ("SQUEEZE", [Tensor()], "no options"),
    ],
)
def test_model_check_refuses_inputs_that_operators_do_not_accept(
    operator: str, inputs: list[Tensor], message: str
) -> None:
    with pytest.raises(FlawError, match=message):
        check(model(operator, inputs, Tensor((1, 90))))


def test_memory_and_multiplications_of_a_convolution_are_counted() -> None:
    """Each of 3 x 5 x 4 outputs is a sum of 18 products. All windows are copied, and constants count twice."""
    constants = 4 * 18 + 4
    assert check(convolution()) == InferenceCost(4 * (90 + 60 + 2 * constants + 3 * 5 * 18), 60 * 18)


def test_multiplications_of_depthwise_and_dense_layers_are_counted() -> None:
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


def test_memory_and_multiplications_of_a_model_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = check(convolution())
    monkeypatch.setattr(graph_rules, "MAX_BYTES", cost.memory)
    monkeypatch.setattr(graph_rules, "MAX_MULTIPLICATIONS", cost.multiplications)
    assert check(convolution()) == cost
    monkeypatch.setattr(graph_rules, "MAX_BYTES", cost.memory - 1)
    with pytest.raises(FlawError, match="MB of memory"):
        check(convolution())
    monkeypatch.setattr(graph_rules, "MAX_BYTES", cost.memory)
    monkeypatch.setattr(graph_rules, "MAX_MULTIPLICATIONS", cost.multiplications - 1)
    with pytest.raises(FlawError, match="billion multiplications"):
        check(convolution())


def test_model_check_refuses_a_model_that_needs_gigabytes_of_memory() -> None:
    """Two tensors of 1024 x 1024 x 256 values need 2 GB, although the file has only a few hundred bytes."""
    huge = Tensor((1, 1024, 1024, 256))
    with pytest.raises(FlawError, match="2,147 MB of memory"):
        check(model("RELU", [huge], huge))


@pytest.mark.parametrize(("dtype", "low", "high"), [("INT8", -128, 127), ("UINT8", 0, 255)])
def test_zero_points_outside_the_range_of_their_type_are_refused(dtype: str, low: int, high: int) -> None:
    for zero_point in (low, high):
        tensor = Tensor(dtype=dtype, scales=[0.5], zero_point=zero_point)
        check(model("RELU", [tensor], tensor))
    for zero_point in (low - 1, high + 1, 1 << 40):
        wrong = Tensor(dtype=dtype, scales=[0.5], zero_point=zero_point)
        with pytest.raises(FlawError, match="tensor 1 has an invalid zero point"):
            check(model("RELU", [Tensor(dtype=dtype, scales=[0.5], zero_point=low)], wrong))


def test_model_check_requires_scales_and_zero_points_together() -> None:
    tensor = Tensor(dtype="INT8", scales=[0.5])

    def drop(tree: Any) -> None:
        tree.subgraphs[0].tensors[1].quantization.zeroPoint = [0, 0]

    with pytest.raises(FlawError, match="zero point"):
        check(model("RELU", [tensor], tensor, change=drop))
    with pytest.raises(FlawError, match="of 8 bits and has no scale"):
        check(model("RELU", [tensor], Tensor(dtype="INT8")))


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_model_check_refuses_quantization_scales_out_of_range(scale: float) -> None:
    inside = Tensor(dtype="INT8", scales=[float(np.float32(scale * (1.01 if scale < 1 else 0.99)))])
    check(model("RELU", [inside], inside))
    outside = Tensor(dtype="INT8", scales=[float(np.float32(scale * (0.99 if scale < 1 else 1.01)))])
    with pytest.raises(FlawError, match="an invalid scale"):
        check(model("RELU", [outside], outside))


def test_model_check_requires_one_quantization_scale_or_one_per_channel() -> None:
    def kernel(scales: int, axis: int) -> Tensor:
        return Tensor((4, 3, 2, 3), "INT8", [0.5] * scales, axis=axis, values=np.ones((4, 3, 2, 3), np.int8))

    for good in (kernel(4, 0), kernel(1, 0), kernel(3, 1), kernel(2, 2)):
        check(convolution(inputs=(Tensor(), good)))
    for bad in (kernel(3, 0), kernel(4, 1), kernel(4, 4), kernel(3, -1)):
        with pytest.raises(FlawError, match="scales for a shape of"):
            check(convolution(inputs=(Tensor(), bad)))


def test_model_check_requires_constants_whose_size_matches_their_shape() -> None:
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
def test_model_check_refuses_invalid_combinations_of_types(inputs: Sequence[Tensor], output: Tensor) -> None:
    with pytest.raises(FlawError, match=r"types .*, which cannot be combined"):
        check(convolution(inputs=inputs, output=output))


def test_model_check_rejects_8_bit_weights_that_are_not_constant() -> None:
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
def test_model_check_refuses_options_out_of_range(fields: Mapping[str, Any], message: str) -> None:
    with pytest.raises(FlawError, match=message):
        check(convolution(fields=fields))


def test_output_shape_check_accounts_for_dilation_with_valid_padding() -> None:
    """A kernel with 3 rows fits into a height of 6 with dilation 2, but not with dilation 3."""
    fields = {"padding": 1, "dilationHFactor": 2, "strideH": 1}
    check(convolution(fields=fields, output=Tensor((1, 2, 4, 4))))
    with pytest.raises(FlawError, match="will be"):
        check(convolution(fields=fields, output=Tensor((1, 4, 4, 4))))
    with pytest.raises(FlawError, match="window larger"):
        check(convolution(fields={**fields, "dilationHFactor": 3}, output=Tensor((1, 4, 4, 4))))


@pytest.mark.parametrize("beta", [0.0, -1.0, float("inf"), 1e6])
def test_model_check_refuses_a_softmax_beta_out_of_range(beta: float) -> None:
    tensor = Tensor((1, 4))
    check(model("SOFTMAX", [tensor], tensor, "SoftmaxOptions", {"beta": 1.0}))
    with pytest.raises(FlawError, match="SOFTMAX: beta"):
        check(model("SOFTMAX", [tensor], tensor, "SoftmaxOptions", {"beta": beta}))


def _graph(tree: Any) -> Any:
    return tree.subgraphs[0]


def _metadata(name: bytes, buffer: int) -> Any:
    entry = schema().MetadataT()
    entry.name, entry.buffer = name, buffer
    return entry


def _signature(tensor: int, name: bytes = b"x", key: bytes = b"serve", graph: int = 0) -> Any:
    """Return a signature with one output, the given tensor, and no inputs."""
    entry, signature = schema().TensorMapT(), schema().SignatureDefT()
    entry.name, entry.tensorIndex = name, tensor
    signature.inputs, signature.outputs, signature.signatureKey, signature.subgraphIndex = [], [entry], key, graph
    return signature


def test_model_check_accepts_metadata_and_signatures_with_valid_references() -> None:
    def change(tree: Any) -> None:
        tree.metadata = [_metadata(b"x", len(tree.buffers) - 1)]
        tree.metadataBuffer = [0, len(tree.buffers) - 1]
        tree.signatureDefs = [_signature(3)]
        tree.operatorCodes[0].version = 64

    assert check(convolution(change=change)) == check(convolution())


def test_rules_use_the_operator_numbers_from_the_schema() -> None:
    parts = schema()
    for number, rule in RULES.items():
        assert getattr(parts.BuiltinOperator, rule.name) == number
        assert not rule.options or hasattr(parts.BuiltinOptions, rule.options)
    for name in ("FLOAT32", "FLOAT16", "INT32", "UINT8", "INT64", "INT8"):
        assert getattr(types, name) == getattr(parts.TensorType, name)


_COUNTS = {
    1: "AVERAGE_POOL_2D MAX_POOL_2D SQUEEZE LOGISTIC RELU RELU_N1_TO_1 RELU6 SOFTMAX TANH HARD_SWISH QUANTIZE"
    " DEQUANTIZE",
    2: "ADD MUL SUB DIV MAXIMUM MINIMUM PAD TRANSPOSE MEAN",
}


@pytest.mark.parametrize(("count", "operator"), [(n, name) for n, names in _COUNTS.items() for name in names.split()])
def test_model_check_rejects_a_wrong_number_of_inputs(count: int, operator: str) -> None:
    for inputs in range(1, 4):
        with pytest.raises(FlawError) as raised:
            check(model(operator, [Tensor()] * inputs, Tensor((9, 9))))
        assert (f"{inputs} inputs and 1 outputs" in str(raised.value)) == (inputs != count)


@pytest.mark.parametrize(
    ("operator", "least", "most"), [("CONV_2D", 2, 3), ("RESHAPE", 1, 2), ("CONCATENATION", 1, 64)]
)
def test_number_of_inputs_of_variadic_operators_is_limited(operator: str, least: int, most: int) -> None:
    for inputs in (least - 1, least, most, most + 1):
        with pytest.raises(FlawError) as raised:
            check(model(operator, [Tensor((4, 1, 1, 3))] * inputs, Tensor((9, 9)), change=_with_an_input))
        assert (f"{inputs} inputs and 1 outputs" in str(raised.value)) == (not least <= inputs <= most)


def _with_an_input(tree: Any) -> None:
    """Add an input to a graph without inputs, which occurs if its operator has none."""
    if not tree.subgraphs[0].inputs:
        tree.subgraphs[0].tensors.append(tree.subgraphs[0].tensors[0])
        tree.subgraphs[0].inputs = [len(tree.subgraphs[0].tensors) - 1]


def constant(shape: tuple[int, ...], dtype: str, numpy_type: type, scales: Sequence[float] = ()) -> Tensor:
    return Tensor(shape, dtype, scales, values=np.ones(shape, numpy_type))


@pytest.mark.parametrize(
    ("data", "weights", "bias"),
    [
        (Tensor(), numbers((4, 3, 2, 3)), numbers((4,))),
        (Tensor(), constant((4, 3, 2, 3), "INT8", np.int8, [0.5]), numbers((4,))),
        (Tensor(dtype="INT8", scales=[1]), constant((4, 3, 2, 3), "INT8", np.int8, [0.5]), integers(1, 2, 3, 4)),
        (Tensor(dtype="UINT8", scales=[1]), constant((4, 3, 2, 3), "UINT8", np.int8, [0.5]), integers(1, 2, 3, 4)),
    ],
)
def test_model_check_accepts_weights_of_each_allowed_type(data: Tensor, weights: Tensor, bias: Tensor) -> None:
    output = Tensor((1, 3, 5, 4), data.dtype, data.scales)
    assert check(convolution(inputs=(data, weights, bias), output=output)).multiplications == 60 * 18
    check(convolution(inputs=(data, weights), output=output))
    check(convolution(inputs=(data, weights, numbers((4,))), output=output, change=_omit_bias))
    other = numbers((4,)) if bias.dtype == "INT32" else integers(1, 2, 3, 4)
    with pytest.raises(FlawError, match="cannot be combined"):
        check(convolution(inputs=(data, weights, other), output=output))


def _omit_bias(tree: Any) -> None:
    tree.subgraphs[0].operators[0].inputs[2] = -1


_SCALED = {"INT8": (0.5,), "UINT8": (0.5,)}


@pytest.mark.parametrize("source", ["FLOAT32", "FLOAT16", "INT8", "UINT8", "INT32"])
@pytest.mark.parametrize("target", ["FLOAT32", "FLOAT16", "INT8", "UINT8", "INT32"])
@pytest.mark.parametrize("operator", ["QUANTIZE", "DEQUANTIZE", "RELU"])
def test_model_check_rejects_unsupported_type_conversions(operator: str, source: str, target: str) -> None:
    allowed = {
        "QUANTIZE": source in ("FLOAT32", "INT8", "UINT8") and target in ("INT8", "UINT8"),
        "DEQUANTIZE": source in ("FLOAT16", "INT8", "UINT8") and target == "FLOAT32",
        "RELU": source == target and source in ("FLOAT32", "INT8", "UINT8"),
    }
    tensors = [Tensor(dtype=name, scales=_SCALED.get(name, ())) for name in (source, target)]
    content = model(operator, tensors[:1], tensors[1])
    if allowed[operator]:
        check(content)
    else:
        with pytest.raises(FlawError, match="cannot be combined"):
            check(content)


def test_memory_for_copies_of_constants_is_counted() -> None:
    """Interpreters keep two copies of each constant, and a float32 copy of each float16 constant."""
    half = constant((4, 3, 2, 3), "FLOAT16", np.float16)
    unused = Tensor((1, 5))

    def change(tree: Any) -> None:
        tree.subgraphs[0].operators[0].inputs = [0]

    content = model("DEQUANTIZE", [half, unused], Tensor((4, 3, 2, 3)), change=change)
    assert check(content).memory == 72 * (2 + 2 + 4) + 4 * (5 + 72)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_model_check_refuses_constants_that_are_not_finite(value: float) -> None:
    weights = np.ones((4, 3, 2, 3), np.float32)
    weights[1, 2, 0, 1] = value
    with pytest.raises(FlawError, match=r"tensor 1 \(t1\) holds NaN or infinity"):
        check(convolution(inputs=(Tensor(), Tensor((4, 3, 2, 3), values=weights))))


@pytest.mark.parametrize(
    ("code", "output", "message"),
    [
        (b"edgetpu-custom-op", (1, 3, 5, 4), "compiled for a Coral Edge TPU"),
        (b"TFLite_Detection_PostProcess", (1, 3, 5, 4), "an object detector"),
        (b"Mine", (1, 60), "the operator Mine. Convert it with builtin operators only"),
    ],
)
def test_error_names_the_kind_of_a_network_with_unsupported_operators(
    code: bytes, output: tuple[int, ...], message: str
) -> None:
    def change(tree: Any) -> None:
        tree.operatorCodes[0].customCode = code

    with pytest.raises(OtherNetworkError, match=message):
        check(convolution(output=Tensor(output), change=change))


def test_error_names_an_operator_that_is_not_allowed() -> None:
    def change(tree: Any) -> None:
        tree.operatorCodes[0].builtinCode = tree.operatorCodes[0].deprecatedBuiltinCode = 119  # WHILE
        tree.subgraphs[0].outputs = [9]  # leads nowhere

    with pytest.raises(OtherNetworkError, match=r"the operator WHILE\. It controls the flow\."):
        check(convolution(change=change))


def test_model_check_rejects_options_that_belong_to_a_different_operator() -> None:
    with pytest.raises(FlawError, match="RELU6: options of another operator"):
        check(model("RELU6", [Tensor()], Tensor(), "SoftmaxOptions"))


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
        (lambda tree: setattr(_graph(tree).operators[0], "inputs", [0, 1, 4]), "input 4 that is not computed"),
        (lambda tree: setattr(_graph(tree).operators[0], "inputs", [3, 1, 2]), "input 3 that is not computed"),
        (lambda tree: setattr(_graph(tree).operators[0], "opcodeIndex", 1), "operator code 1 of 1"),
        (lambda tree: setattr(_graph(tree).tensors[0], "buffer", 3), "buffer 3 of 3"),
        (lambda tree: setattr(_graph(tree).tensors[0], "isVariable", True), "variable"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shape", [1] * 7), "a tensor of shape"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shape", [1, 0, 5, 3]), "a tensor of shape"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shape", [1, (1 << 20) + 1, 1, 3]), "a tensor of shape"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shapeSignature", [1, 6, 5]), "shape signature"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shapeSignature", [-1, 6, 4, 3]), "shape signature"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shapeSignature", [-1, 6, 5, 3, 1]), "shape signature"),
        (lambda tree: setattr(_graph(tree).tensors[0], "shapeSignature", [-2, 6, 5, 3]), "shape signature"),
        (lambda tree: setattr(_graph(tree).tensors[0], "type", schema().TensorType.COMPLEX64), "of type 8"),
        (lambda tree: setattr(_graph(tree).tensors[0], "variantTensors", [schema().VariantSubTypeT()]), "or sparse"),
        (lambda tree: setattr(_graph(tree).tensors[0], "sparsity", schema().SparsityParametersT()), "or sparse"),
        (lambda tree: setattr(_graph(tree), "outputs", [0, 1]), "not computed"),
        (lambda tree: setattr(_graph(tree), "operators", []), "or operators"),
        (lambda tree: setattr(_graph(tree).operators[0], "customOptions", [1]), "options of its own"),
        (lambda tree: setattr(_graph(tree).operators[0], "intermediates", [0]), "options of its own"),
        (lambda tree: setattr(_graph(tree).operators[0], "outputs", [3, 3]), "3 inputs and 2 outputs"),
        (lambda tree: setattr(_graph(tree).operators[0], "outputs", [-1]), "output -1 that is not its own"),
        (lambda tree: setattr(_graph(tree).operators[0], "inputs", [0, -1, 2]), "input -1 that is not computed"),
        (lambda tree: setattr(tree.buffers[1], "offset", 1), "a buffer beyond the end"),
        (lambda tree: setattr(tree.buffers[1], "size", 1), "a buffer beyond the end"),
        (lambda tree: setattr(tree, "metadata", [_metadata(b"", 0)]), "metadata with an invalid reference"),
        (lambda tree: setattr(tree, "metadata", [_metadata(b"x", 3)]), "metadata with an invalid reference"),
        (lambda tree: setattr(tree, "metadataBuffer", [3]), "metadata with an invalid reference"),
        (lambda tree: setattr(tree, "metadataBuffer", [-1]), "metadata with an invalid reference"),
        (lambda tree: setattr(tree, "signatureDefs", [_signature(0, key=b"")]), "a signature of a missing graph"),
        (lambda tree: setattr(tree, "signatureDefs", [_signature(0, graph=1)]), "a signature of a missing graph"),
        (lambda tree: setattr(tree, "signatureDefs", [_signature(4)]), "a signature with an invalid reference"),
        (
            lambda tree: setattr(tree, "signatureDefs", [_signature(0, name=b"")]),
            "a signature with an invalid reference",
        ),
        (lambda tree: setattr(tree.operatorCodes[0], "version", 0), "version 0 of CONV_2D"),
        (lambda tree: setattr(tree.operatorCodes[0], "version", 65), "version 65 of CONV_2D"),
    ],
)
def test_model_check_refuses_damaged_graphs(change: Callable[[Any], object], message: str) -> None:
    check(convolution(change=lambda tree: setattr(_graph(tree).tensors[0], "shapeSignature", [-1, 6, 5, 3])))
    with pytest.raises(FlawError, match=message):
        check(convolution(change=change))


def test_error_for_several_graphs_lists_their_signatures() -> None:
    def two_graphs(tree: Any, *keys: bytes) -> None:
        tree.subgraphs.append(tree.subgraphs[0])
        tree.signatureDefs = [_signature(0, graph=number, key=key) for number, key in enumerate(keys)]

    with pytest.raises(UnsupportedError, match=r"2 graphs in it, not one\. It has several signatures \(score, train\)"):
        check(convolution(change=lambda tree: two_graphs(tree, b"score", b"train")))
    with pytest.raises(UnsupportedError, match="2 graphs in it, not one") as raised:
        check(convolution(change=lambda tree: two_graphs(tree, b"score")))
    assert "signatures" not in str(raised.value)


def test_output_shapes_ignores_invalid_tensor_indices() -> None:
    graph = {"tensors": [{"shape": (1, 5)}, {"shape": (1, 9, 4)}], "outputs": [1, 2, -1, 0]}
    assert output_shapes({"subgraphs": [graph, {}]}) == [(1, 9, 4), (1, 5)]
    assert output_shapes({"subgraphs": []}) == []


def _changed(change: Callable[[Any], object]) -> bytes:
    return convolution(change=change)


def test_model_check_refuses_buffer_and_tensor_indices_out_of_range() -> None:
    """The last valid number of a buffer and of a tensor is one less than their count."""
    for entries in (0, 1):

        def metadata(tree: Any, entries: int = entries) -> None:
            tree.metadata = [_metadata(b"x", len(tree.buffers) - 1 + entries)]

        def listed(tree: Any, entries: int = entries) -> None:
            tree.metadataBuffer = [len(tree.buffers) - 1 + entries]

        def signed(tree: Any, entries: int = entries) -> None:
            tree.signatureDefs = [_signature(len(_graph(tree).tensors) - 1 + entries)]

        for change in (metadata, listed, signed):
            if entries:
                with pytest.raises(FlawError, match="invalid reference"):
                    check(_changed(change))
            else:
                assert check(_changed(change)) == check(convolution())


@pytest.mark.parametrize("field", ["offset", "size"])
def test_model_check_refuses_buffers_outside_the_flatbuffer(field: str) -> None:
    with pytest.raises(FlawError, match="a buffer beyond the end"):
        check(_changed(lambda tree: setattr(tree.buffers[0], field, 1)))


@pytest.mark.parametrize(
    ("signature", "accepted"),
    [([-1, 6, 5, 3], True), ([1, 6, 5, 3], True), ([1, -1, 5, 3], False), ([-1, 6, 5, -1], False)],
)
def test_model_check_accepts_only_the_batch_size_as_a_variable_dimension(signature: list[int], accepted: bool) -> None:
    def change(tree: Any) -> None:
        _graph(tree).tensors[0].shapeSignature = signature

    if accepted:
        assert check(_changed(change)) == check(convolution())
    else:
        with pytest.raises(OtherNetworkError, match="an input without a fixed size"):
            check(_changed(change))


def test_limits_of_memory_and_multiplications_suffice_for_inception_v3() -> None:
    """Inception V3 needs 350 MB and 5.7 billion multiplications."""
    assert graph_rules.MAX_BYTES == 734_003_200 and graph_rules.MAX_MULTIPLICATIONS == 20_000_000_000


@pytest.mark.parametrize(("version", "accepted"), [(0, False), (1, True), (64, True), (65, False)])
def test_versions_of_operators_are_limited(version: int, accepted: bool) -> None:
    """A version of 1 is not stored, because it is the default of the schema."""

    def change(tree: Any) -> None:
        tree.operatorCodes[0].version = version

    if accepted:
        assert check(_changed(change)) == check(convolution())
    else:
        with pytest.raises(FlawError, match=f"version {version} of CONV_2D"):
            check(_changed(change))
