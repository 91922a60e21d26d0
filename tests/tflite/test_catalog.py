"""Tests of the catalog of operators, of their inputs, options, types and scales, and of the schema."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from poets_edge.tflite.flatbuffer import new_model, new_operator, pack_model, quant_params, schema
from poets_edge.tflite.verify import types
from poets_edge.tflite.verify.catalog import RULES
from poets_edge.tflite.verify.operators import NAMES, operator_name, operator_number
from poets_edge.tflite.verify.schema import MODEL, OPTIONS
from poets_edge.tflite.verify.tables import FlawError, UnsupportedError, parse
from poets_edge.tflite.verify.verify import check
from tests.tflite.test_rules import PICTURE, Tensor, integers, model, numbers


@dataclass(frozen=True)
class Use:
    """A valid use of an operator.

    Attributes:
        ints: positions of the inputs that must be int32.
        wide: whether the inputs in `ints` may also be int64.
        bare: whether the options may be missing.
        scaled: whether int8 data must have a scale.
    """

    name: str
    inputs: list[Tensor]
    output: Tensor
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    ints: tuple[int, ...] = ()
    wide: bool = False
    bare: bool = True
    scaled: bool = True

    def content(self, **changes: Any) -> bytes:
        used = replace(self, **changes)
        return model(used.name, used.inputs, used.output, used.options, used.fields)


MATRIX = Tensor((4, 6))
SQUARE = Tensor((1, 4, 6, 8))
POSITION = Tensor((), "INT32", values=np.array(1, np.int32))
STEPS = {"beginMask": 0, "endMask": 0, "shrinkAxisMask": 0}

USES = [
    Use(
        "RESHAPE", [MATRIX, integers(3, 8)], Tensor((3, 8)), "ReshapeOptions", {"newShape": [3, 8]}, (1,), scaled=False
    ),
    Use("PAD", [MATRIX, integers(1, 0, 0, 2, shape=(2, 2))], Tensor((5, 8)), "PadOptions", ints=(1,)),
    Use("TRANSPOSE", [MATRIX, integers(1, 0)], Tensor((6, 4)), "TransposeOptions", ints=(1,), scaled=False),
    Use("MEAN", [SQUARE, integers(1, 2)], Tensor((1, 8)), "ReducerOptions", ints=(1,), bare=False),
    Use("SUM", [SQUARE, integers(2)], Tensor((1, 4, 8)), "ReducerOptions", ints=(1,), bare=False),
    Use(
        "REDUCE_MAX",
        [SQUARE, integers(2)],
        Tensor((1, 4, 1, 8)),
        "ReducerOptions",
        {"keepDims": True},
        (1,),
        bare=False,
    ),
    Use("REDUCE_MIN", [SQUARE, integers(3)], Tensor((1, 4, 6)), "ReducerOptions", ints=(1,), bare=False),
    Use("REDUCE_PROD", [SQUARE, integers(1)], Tensor((1, 6, 8)), "ReducerOptions", ints=(1,), bare=False),
    Use("EXPAND_DIMS", [MATRIX, POSITION], Tensor((4, 1, 6)), "ExpandDimsOptions", {}, (1,), wide=True, scaled=False),
    Use(
        "PACK",
        [MATRIX, MATRIX],
        Tensor((4, 2, 6)),
        "PackOptions",
        {"valuesCount": 2, "axis": 1},
        bare=False,
        scaled=False,
    ),
    Use("UNPACK", [Tensor((4, 1, 6))], MATRIX, "UnpackOptions", {"num": 1, "axis": 1}, bare=False, scaled=False),
    Use("SPLIT", [POSITION, MATRIX], MATRIX, "SplitOptions", {"numSplits": 1}, (0,), bare=False, scaled=False),
    Use(
        "SPLIT_V",
        [MATRIX, integers(6), POSITION],
        MATRIX,
        "SplitVOptions",
        {"numSplits": 1},
        (1, 2),
        wide=True,
        bare=False,
        scaled=False,
    ),
    Use(
        "GATHER",
        [MATRIX, integers(5, 0, 2)],
        Tensor((4, 3)),
        "GatherOptions",
        {"axis": 1},
        (1,),
        wide=True,
        bare=False,
        scaled=False,
    ),
    Use(
        "SLICE",
        [MATRIX, integers(1, 2), integers(2, 3)],
        Tensor((2, 3)),
        "SliceOptions",
        {},
        (1, 2),
        wide=True,
        scaled=False,
    ),
    Use(
        "STRIDED_SLICE",
        [MATRIX, integers(1, 5), integers(3, 0), integers(1, -2)],
        Tensor((2, 3)),
        "StridedSliceOptions",
        STEPS,
        (1, 2, 3),
        bare=False,
        scaled=False,
    ),
    Use("TILE", [MATRIX, integers(3, 2)], Tensor((12, 12)), "TileOptions", {}, (1,), wide=True),
    Use(
        "BROADCAST_TO",
        [Tensor((1, 6)), integers(5, 4, 6)],
        Tensor((5, 4, 6)),
        "BroadcastToOptions",
        {},
        (1,),
        wide=True,
    ),
    Use("FILL", [integers(3, 5), Tensor(())], Tensor((3, 5)), "FillOptions", {}, (0,), wide=True),
    Use(
        "RESIZE_BILINEAR", [SQUARE, integers(7, 9)], Tensor((1, 7, 9, 8)), "ResizeBilinearOptions", {}, (1,), bare=False
    ),
    Use(
        "RESIZE_NEAREST_NEIGHBOR",
        [SQUARE, integers(7, 9)],
        Tensor((1, 7, 9, 8)),
        "ResizeNearestNeighborOptions",
        {},
        (1,),
        bare=False,
    ),
    Use("SPACE_TO_DEPTH", [SQUARE], Tensor((1, 2, 3, 32)), "SpaceToDepthOptions", {"blockSize": 2}, bare=False),
    Use("DEPTH_TO_SPACE", [SQUARE], Tensor((1, 8, 12, 2)), "DepthToSpaceOptions", {"blockSize": 2}, bare=False),
    Use(
        "SPACE_TO_BATCH_ND",
        [SQUARE, integers(2, 3), integers(0, 2, 1, 2, shape=(2, 2))],
        Tensor((6, 3, 3, 8)),
        "SpaceToBatchNDOptions",
        {},
        (1, 2),
    ),
    Use(
        "BATCH_TO_SPACE_ND",
        [Tensor((6, 3, 3, 8)), integers(2, 3), integers(0, 2, 1, 2, shape=(2, 2))],
        SQUARE,
        "BatchToSpaceNDOptions",
        {},
        (1, 2),
    ),
    Use("PADV2", [MATRIX, integers(1, 0, 0, 2, shape=(2, 2)), Tensor(())], Tensor((5, 8)), "PadV2Options", {}, (1,)),
    Use(
        "MIRROR_PAD",
        [MATRIX, integers(1, 3, 0, 2, shape=(2, 2))],
        Tensor((8, 8)),
        "MirrorPadOptions",
        {},
        (1,),
        bare=False,
    ),
    Use(
        "BATCH_MATMUL",
        [Tensor((2, 4, 6)), Tensor((2, 5, 6))],
        Tensor((2, 4, 5)),
        "BatchMatMulOptions",
        {"adjY": True},
        bare=False,
    ),
    Use("CUMSUM", [MATRIX, POSITION], MATRIX, "CumsumOptions", {}, (1,), bare=False),
    Use("REVERSE_V2", [MATRIX, integers(1)], MATRIX, "ReverseV2Options", {}, (1,), scaled=False),
    Use("PRELU", [SQUARE, Tensor((1, 1, 8))], SQUARE),
    Use("ADD_N", [MATRIX, MATRIX, MATRIX], MATRIX, "AddNOptions"),
    Use("LEAKY_RELU", [MATRIX], MATRIX, "LeakyReluOptions", {"alpha": 0.25}, bare=False),
    Use("LOCAL_RESPONSE_NORMALIZATION", [SQUARE], SQUARE, "LocalResponseNormalizationOptions", bare=False),
    Use("SOFTMAX", [MATRIX], MATRIX, "SoftmaxOptions", {"beta": 1.0}, bare=False),
    Use("CONCATENATION", [MATRIX, Tensor((4, 5))], Tensor((4, 11)), "ConcatenationOptions", {"axis": 1}, bare=False),
    *(
        Use(name, [MATRIX, Tensor((1, 6))], MATRIX, f"{name.title()}Options", bare=False)
        for name in ("ADD", "MUL", "SUB", "DIV")
    ),
    *(Use(name, [MATRIX, Tensor((4, 1))], MATRIX, "MaximumMinimumOptions") for name in ("MAXIMUM", "MINIMUM")),
    Use("POW", [MATRIX, MATRIX], MATRIX, "PowOptions"),
    Use("SQUARED_DIFFERENCE", [MATRIX, MATRIX], MATRIX, "SquaredDifferenceOptions"),
    Use("FLOOR_DIV", [MATRIX, MATRIX], MATRIX, "FloorDivOptions"),
    Use("FLOOR_MOD", [MATRIX, MATRIX], MATRIX, "FloorModOptions"),
    Use("SQUEEZE", [Tensor((4, 1, 6))], MATRIX, "SqueezeOptions", {"squeezeDims": [1]}, bare=False, scaled=False),
    *(
        Use(name, [MATRIX], MATRIX)
        for name in [
            "CEIL",
            "ELU",
            "FLOOR",
            "LOG",
            "RELU_0_TO_1",
            "ROUND",
            "RSQRT",
            "SIN",
            "SQRT",
            "TANH",
            "LOGISTIC",
            "RELU",
            "RELU6",
            "RELU_N1_TO_1",
        ]
    ),
    Use("HARD_SWISH", [MATRIX], MATRIX, "HardSwishOptions"),
    Use("ABS", [MATRIX], MATRIX, "AbsOptions"),
    Use("COS", [MATRIX], MATRIX, "CosOptions"),
    Use("EXP", [MATRIX], MATRIX, "ExpOptions"),
    Use("GELU", [MATRIX], MATRIX, "GeluOptions", {"approximate": True}),
    Use("L2_NORMALIZATION", [MATRIX], MATRIX, "L2NormOptions"),
    Use("LOG_SOFTMAX", [MATRIX], MATRIX, "LogSoftmaxOptions"),
    Use("NEG", [MATRIX], MATRIX, "NegOptions"),
    Use("SIGN", [MATRIX], MATRIX, "SignOptions"),
    Use("SQUARE", [MATRIX], MATRIX, "SquareOptions"),
    Use("ZEROS_LIKE", [MATRIX], MATRIX, "ZerosLikeOptions"),
]
"""Operators whose data and results have one type."""

_TRUTHS = Tensor((4, 6), "BOOL")
OTHER_USES = [
    *(
        Use(name, [MATRIX, Tensor((4, 1))], _TRUTHS, f"{name.title().replace('_', '')}Options")
        for name in ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
    ),
    Use("LOGICAL_AND", [_TRUTHS, _TRUTHS], _TRUTHS, "LogicalAndOptions"),
    Use("LOGICAL_OR", [_TRUTHS, _TRUTHS], _TRUTHS, "LogicalOrOptions"),
    Use("LOGICAL_NOT", [_TRUTHS], _TRUTHS, "LogicalNotOptions"),
    Use("SELECT", [_TRUTHS, MATRIX, MATRIX], MATRIX, "SelectOptions"),
    Use("SELECT_V2", [_TRUTHS, MATRIX, MATRIX], MATRIX, "SelectV2Options"),
    Use("SHAPE", [MATRIX], Tensor((2,), "INT32"), "ShapeOptions"),
    Use("CAST", [MATRIX], Tensor((4, 6), "INT64"), "CastOptions"),
    Use("ARG_MAX", [MATRIX, POSITION], Tensor((4,), "INT64"), "ArgMaxOptions", {}, (1,), wide=True, bare=False),
    Use("ARG_MIN", [MATRIX, POSITION], Tensor((4,), "INT32"), "ArgMinOptions", {}, (1,), wide=True, bare=False),
    Use(
        "TRANSPOSE_CONV",
        [integers(1, 8, 6, 5), numbers((5, 3, 2, 8)), SQUARE],
        Tensor((1, 8, 6, 5)),
        "TransposeConvOptions",
        {"padding": 0, "strideH": 2, "strideW": 1},
        (0,),
        bare=False,
    ),
]
EVERY_USE = [*USES, *OTHER_USES]
_TESTED_ELSEWHERE = {
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D", "QUANTIZE", "DEQUANTIZE")
}


def test_every_operator_in_the_catalog_is_tested() -> None:
    assert {use.name for use in EVERY_USE} | _TESTED_ELSEWHERE == {rule.name for rule in RULES.values()}


@pytest.mark.parametrize("use", EVERY_USE, ids=lambda use: use.name)
def test_operators_without_their_options_or_output_shape_are_refused(use: Use) -> None:
    check(use.content())
    with pytest.raises(FlawError, match="an output declared as"):
        check(use.content(output=replace(use.output, shape=(*use.output.shape[:-1], use.output.shape[-1] + 1))))
    if use.options:
        with pytest.raises(FlawError, match="options of another operator"):
            check(use.content(options="Pool2DOptions", fields={}))
    if use.bare:
        check(use.content(options=""))
    else:
        with pytest.raises(FlawError, match="no options"):
            check(use.content(options=""))


@pytest.mark.parametrize("use", [use for use in EVERY_USE if use.ints], ids=lambda use: use.name)
def test_shapes_axes_and_positions_must_be_integers(use: Use) -> None:
    for place in use.ints:
        values = use.inputs[place].values
        assert values is not None
        others = {"INT64": np.int64, "FLOAT32": np.float32}
        for dtype, kind in others.items():
            changed = replace(use.inputs[place], dtype=dtype, values=values.astype(kind))
            content = _with_constant(use, place, changed)
            if use.wide and dtype == "INT64":
                check(content)
            else:
                with pytest.raises(FlawError, match=f"{use.name}: input {place} is not int32"):
                    check(content)


def _with_constant(use: Use, place: int, tensor: Tensor) -> bytes:
    """Return a model in which one constant is replaced, possibly by int64 values, which `add_constant` cannot write."""
    values = tensor.values
    assert values is not None

    def change(tree: Any) -> None:
        graph = tree.subgraphs[0]
        graph.tensors[place].type = getattr(schema().TensorType, tensor.dtype)
        tree.buffers[graph.tensors[place].buffer].data = np.frombuffer(values.tobytes(), np.uint8)

    return model(use.name, use.inputs, use.output, use.options, use.fields, change)


_INTEGER_OPERATORS = {
    *("ADD", "SUB", "MUL", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "POW", "ADD_N"),
    *("ABS", "NEG", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "CONCATENATION", "RESHAPE", "SQUEEZE", "PACK"),
    *("EXPAND_DIMS", "UNPACK", "SPLIT", "SPLIT_V", "GATHER", "SLICE", "STRIDED_SLICE", "TRANSPOSE", "TILE", "FILL"),
    *("BROADCAST_TO", "PAD", "PADV2", "REVERSE_V2"),
}
"""Operators that interpreters run for integers, and that models use to compute shapes."""


def _typed(use: Use, dtype: str, scales: tuple[float, ...] = ()) -> bytes:
    data = [
        tensor if place in use.ints else replace(tensor, dtype=dtype, scales=scales)
        for place, tensor in enumerate(use.inputs)
    ]
    return use.content(inputs=data, output=replace(use.output, dtype=dtype, scales=scales))


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_data_types_that_an_operator_does_not_support_are_refused(use: Use) -> None:
    for dtype in ("INT32", "INT64"):
        if use.name in _INTEGER_OPERATORS:
            check(_typed(use, dtype))
        else:
            with pytest.raises(FlawError, match="cannot be combined"):
                check(_typed(use, dtype))
    for dtype in ("FLOAT16", "BOOL"):
        with pytest.raises(FlawError, match="cannot be combined"):
            check(_typed(use, dtype))
    for dtype in ("INT8", "UINT8"):
        check(_typed(use, dtype, (0.5,)))
        if use.scaled:
            with pytest.raises(FlawError, match="of 8 bits and has no scale"):
                check(_typed(use, dtype))
        else:
            check(_typed(use, dtype))
    check(_typed(use, "INT16", (0.5,)))
    with pytest.raises(FlawError, match="cannot be combined"):
        check(use.content(output=replace(use.output, dtype="INT16")))


@pytest.mark.parametrize("use", OTHER_USES[:12], ids=lambda use: use.name)
def test_conditions_and_results_of_comparisons_must_be_boolean(use: Use) -> None:
    if use.name in ("SHAPE", "CAST", "ARG_MAX"):
        assert use.output.dtype in ("INT32", "INT64")
        return
    first = [replace(use.inputs[0], dtype="INT32" if use.inputs[0].dtype == "BOOL" else "BOOL"), *use.inputs[1:]]
    with pytest.raises(FlawError, match="cannot be combined"):
        check(use.content(inputs=first))
    with pytest.raises(FlawError, match="cannot be combined"):
        check(use.content(output=replace(use.output, dtype="INT32")))
    if len(use.inputs) == 3:
        with pytest.raises(FlawError, match="cannot be combined"):
            check(use.content(inputs=[*use.inputs[:2], replace(use.inputs[2], dtype="INT32")]))
        for dtype in ("INT32", "INT64"):
            whole = [replace(tensor, dtype=dtype) for tensor in use.inputs[1:]]
            if use.name.startswith("SELECT"):
                check(use.content(inputs=[use.inputs[0], *whole], output=replace(use.output, dtype=dtype)))
    elif use.inputs[0].dtype == "FLOAT32":
        for dtype in ("INT32", "INT64"):
            check(use.content(inputs=[replace(tensor, dtype=dtype) for tensor in use.inputs]))
            with pytest.raises(FlawError, match="cannot be combined"):
                check(use.content(inputs=[use.inputs[0], replace(use.inputs[1], dtype=dtype)]))


@pytest.mark.parametrize("name", ["SHAPE", "ARG_MAX", "ARG_MIN"])
def test_shape_arg_max_and_arg_min_operators_must_return_integers(name: str) -> None:
    [use] = [use for use in OTHER_USES if use.name == name]
    for dtype in ("INT32", "INT64"):
        check(use.content(output=replace(use.output, dtype=dtype)))
    for dtype in ("FLOAT32", "BOOL", "INT16"):
        with pytest.raises(FlawError, match="cannot be combined"):
            check(use.content(output=replace(use.output, dtype=dtype)))


_F32, _I32, _U8, _I64, _I16, _I8 = 0, 2, 3, 4, 7, 9


def test_weight_types_are_the_combinations_supported_by_the_reference_kernels() -> None:
    assert set(types.WEIGHT_TYPES) == {
        (_F32, _F32, _F32, _F32), (_F32, _I8, _F32, _F32), (_I8, _I8, _I32, _I8), (_U8, _U8, _I32, _U8),
        (_I16, _I8, _I32, _I16), (_I16, _I8, _I64, _I16),
    }  # fmt: skip


def test_quantize_and_dequantize_convert_16_bit_integers() -> None:
    tensors = [Tensor(dtype=name, scales=[0.5]) for name in ("INT8", "UINT8", "INT16")]
    for source, target in itertools.product(tensors, repeat=2):
        check(model("QUANTIZE", [source], target))
    for source in tensors:
        check(model("QUANTIZE", [Tensor()], source))
        check(model("DEQUANTIZE", [source], Tensor()))
        for target in tensors:
            with pytest.raises(FlawError, match="cannot be combined"):
                check(model("DEQUANTIZE", [source], target))


@pytest.mark.parametrize("dtype", ["INT16", "INT32"])
def test_zero_point_of_wide_integers_must_be_zero(dtype: str) -> None:
    use = next(use for use in USES if use.name == "ABS")
    check(_typed(use, dtype, (0.5,)))
    wrong = Tensor((4, 6), dtype, (0.5,), zero_point=1)
    with pytest.raises(FlawError, match="tensor 0 has an invalid zero point"):
        check(use.content(inputs=[wrong], output=replace(wrong, zero_point=0)))


def test_operator_names_agree_with_the_schema() -> None:
    numbered = {value: name for name, value in vars(schema().BuiltinOperator).items() if not name.startswith("_")}
    assert {number: name for number, name in numbered.items() if number < len(NAMES)} == dict(enumerate(NAMES))


def test_operator_option_types_have_the_numbers_of_the_schema() -> None:
    for number, name in OPTIONS.items():
        assert getattr(schema().BuiltinOptions, name) == number


@pytest.mark.parametrize(
    ("code", "deprecated", "number"), [(0, 22, 22), (22, 22, 22), (150, 127, 150), (3, 0, 3), (0, 0, 0), (3, 22, 22)]
)
def test_operator_number_is_the_larger_of_code_and_deprecated_code(code: int, deprecated: int, number: int) -> None:
    entry = {"code": code, "deprecated_code": deprecated, "custom_code": ""}
    assert operator_number(entry) == number and operator_name(entry) == NAMES[number]
    assert operator_name({**entry, "custom_code": "mine"}) == "mine"
    assert operator_name({**entry, "code": 5000}) == "number 5000"


def test_each_version_of_an_operator_is_registered_once() -> None:
    tree = new_model("test")
    gelu = schema().BuiltinOperator.GELU
    used = [
        new_operator(tree, code, version, [0], [1]) for code, version in ((gelu, 2), (3, 1), (3, 5), (gelu, 2), (3, 1))
    ]
    assert [operator.opcodeIndex for operator in used] == [0, 1, 2, 0, 1]
    assert [(entry.builtinCode, entry.deprecatedBuiltinCode, entry.version) for entry in tree.operatorCodes] == [
        (gelu, 127, 2), (3, 3, 1), (3, 3, 5)
    ]  # fmt: skip
    assert tree.version == 3 and gelu > 127


def test_quantization_parameters_have_a_zero_point_for_each_scale() -> None:
    parameters = quant_params([0.5, 0.25, 2.0], -3, 2)
    assert parameters.scale.tolist() == [0.5, 0.25, 2.0] and parameters.zeroPoint.tolist() == [-3, -3, -3]
    assert parameters.quantizedDimension == 2 and parameters.scale.dtype == np.float32


_RENAMED = {
    "activation": "fused_activation_function",
    "lrn_beta": "beta",
}
_DEPRECATED = {"new_height", "new_width"}
"""Fields that the generated classes cannot write."""
_FACTORS = {"dilation_w": "dilation_w_factor", "dilation_h": "dilation_h_factor"}


@pytest.mark.parametrize("name", sorted(set(OPTIONS.values())))
def test_schema_of_options_agrees_with_the_generated_classes(name: str) -> None:
    """The generated classes write each field with a distinct value, and the project's parser reads it."""
    fields = MODEL[name]
    values: dict[str, Any] = {}
    for place, (own, kind) in enumerate(fields):
        assert isinstance(kind, str)
        if own in _DEPRECATED:
            continue
        values[own] = place % 2 == 0 if kind[0] == "?" else [place + 7] if kind[0] == "[" else place + 2
        if kind[0] == "f":
            values[own] = (place + 2) / 4
    read = _parsed_options(name, values)
    assert [read.pop(own) for own in _DEPRECATED & read.keys()] in ([], [0, 0])
    assert {own: value.tolist() if isinstance(value, np.ndarray) else value for own, value in read.items()} == values


def _parsed_options(name: str, values: Mapping[str, Any] | None) -> Any:
    """Write options with the generated classes, and return them as the project's parser reads them."""
    tree = new_model("test")
    options = getattr(schema(), f"{name}T")()
    for own, value in (values or {}).items():
        written = _FACTORS.get(own, _RENAMED.get(own, own))
        attribute = re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), written)
        if name == "CastOptions":
            attribute = attribute.replace("Type", "DataType")
        assert hasattr(options, attribute), f"{name} has no field {attribute}"
        setattr(options, attribute, value)
    operator = new_operator(tree, 0, 1, [], [])
    operator.builtinOptionsType, operator.builtinOptions = getattr(schema().BuiltinOptions, name), options
    tree.subgraphs[0].operators.append(operator)
    return parse(pack_model(tree), MODEL, "Model", b"TFL3")["subgraphs"][0]["operators"][0]["options"]


@pytest.mark.parametrize(
    "name", ["Conv2DOptions", "DepthwiseConv2DOptions", "AddOptions", "SubOptions", "Pool2DOptions"]
)
def test_options_that_are_not_stored_have_the_defaults_of_the_schema(name: str) -> None:
    read = _parsed_options(name, None)
    expected = {"dilation_w": 1, "dilation_h": 1, "pot_scale_int16": 1}
    assert read == {own: expected.get(own, 0) for own, _ in MODEL[name]}


def test_unsupported_operators_are_refused_with_advice() -> None:
    for name, advice in (
        ("VAR_HANDLE", "Freeze them"),
        ("RANDOM_UNIFORM", "without dropout"),
        ("WHILE", "without loops"),
        ("LSTM", "Convert it with other layers"),
    ):
        with pytest.raises(UnsupportedError, match=f"the operator {name}. .*{advice}"):
            check(model(name, [Tensor(PICTURE)], Tensor(PICTURE)))
