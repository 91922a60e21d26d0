"""Operators that models may contain: builtin operators without state, control flow, resources or random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from poets_edge.tflite.verify import array_shapes, shapes
from poets_edge.tflite.verify.operators import NAMES
from poets_edge.tflite.verify.shapes import Infer

Kind: TypeAlias = Literal[
    "same", "weights", "quantize", "dequantize", "compare", "logical", "select", "integers", "any"
]
"""Rule for the types of an operator's tensors.

"same": all types are equal; "weights": types of a layer with weights; "quantize", "dequantize": types of a conversion
to or from quantized values; "compare": inputs of equal type and a Boolean result; "logical": all types are Boolean;
"select": a Boolean input, followed by inputs of the result's type; "integers": an integer result; "any": any types.
"""


@dataclass(frozen=True)
class Rule:
    """Constraints on the use of an operator.

    Attributes:
        name: name in TensorFlow Lite's `BuiltinOperator`.
        infer: function that returns the shape of a single output, or a list of the shapes of several outputs.
        inputs: (minimum, maximum) number of inputs.
        options: name of the operator's table of options; "" if it has none.
        bare: whether the table of options may be missing.
        kind: rule for the types of the operator's tensors; see `Kind`.
        integers: positions of the inputs that must be int32.
        wide: whether the inputs in `integers` may also be int64.
        image: position of the image among the inputs of a layer with weights; the weights are input 1.
    """

    name: str
    infer: Infer
    inputs: tuple[int, int] = (1, 1)
    options: str = ""
    bare: bool = False
    kind: Kind = "same"
    integers: tuple[int, ...] = ()
    wide: bool = False
    image: int = 0


def _unary(name: str, options: str = "") -> Rule:
    return Rule(name, shapes.elementwise, options=options, bare=True)


def _binary(name: str, options: str, kind: Kind = "same") -> Rule:
    return Rule(name, array_shapes.broadcast_shape, (2, 2), options, bare=True, kind=kind)


def _reduction(name: str) -> Rule:
    return Rule(name, shapes.mean, (2, 2), "ReducerOptions", integers=(1,))


_RULES = (
    Rule("ADD", shapes.elementwise, (2, 2), "AddOptions"),
    Rule("AVERAGE_POOL_2D", shapes.pooling, options="Pool2DOptions"),
    Rule("CONCATENATION", shapes.concatenation, (1, 64), "ConcatenationOptions"),
    Rule("CONV_2D", shapes.convolution, (2, 3), "Conv2DOptions", kind="weights"),
    Rule("DEPTHWISE_CONV_2D", shapes.depthwise_convolution, (2, 3), "DepthwiseConv2DOptions", kind="weights"),
    Rule("DEQUANTIZE", shapes.elementwise, options="DequantizeOptions", bare=True, kind="dequantize"),
    Rule("FULLY_CONNECTED", shapes.fully_connected, (2, 3), "FullyConnectedOptions", kind="weights"),
    Rule("LOGISTIC", shapes.elementwise),
    Rule("MAX_POOL_2D", shapes.pooling, options="Pool2DOptions"),
    Rule("MUL", shapes.elementwise, (2, 2), "MulOptions"),
    Rule("RELU", shapes.elementwise),
    Rule("RELU_N1_TO_1", shapes.elementwise),
    Rule("RELU6", shapes.elementwise),
    Rule("RESHAPE", shapes.reshape, (1, 2), "ReshapeOptions", bare=True, integers=(1,)),
    Rule("SOFTMAX", shapes.elementwise, options="SoftmaxOptions"),
    Rule("TANH", shapes.elementwise),
    Rule("PAD", shapes.pad, (2, 2), "PadOptions", bare=True, integers=(1,)),
    Rule("TRANSPOSE", shapes.transpose, (2, 2), "TransposeOptions", bare=True, integers=(1,)),
    Rule("SUB", shapes.elementwise, (2, 2), "SubOptions"),
    Rule("DIV", shapes.elementwise, (2, 2), "DivOptions"),
    Rule("SQUEEZE", shapes.squeeze, options="SqueezeOptions"),
    Rule("MAXIMUM", shapes.elementwise, (2, 2), "MaximumMinimumOptions", bare=True),
    Rule("MINIMUM", shapes.elementwise, (2, 2), "MaximumMinimumOptions", bare=True),
    Rule("QUANTIZE", shapes.elementwise, options="QuantizeOptions", bare=True, kind="quantize"),
    Rule("HARD_SWISH", shapes.elementwise, options="HardSwishOptions", bare=True),
    *map(_reduction, ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")),
    *(_unary(name) for name in ("CEIL", "ELU", "FLOOR", "LOG", "RELU_0_TO_1", "ROUND", "RSQRT", "SIN", "SQRT")),
    _unary("ABS", "AbsOptions"),
    _unary("COS", "CosOptions"),
    _unary("EXP", "ExpOptions"),
    _unary("GELU", "GeluOptions"),
    _unary("L2_NORMALIZATION", "L2NormOptions"),
    _unary("LOG_SOFTMAX", "LogSoftmaxOptions"),
    _unary("NEG", "NegOptions"),
    _unary("SIGN", "SignOptions"),
    _unary("SQUARE", "SquareOptions"),
    _unary("ZEROS_LIKE", "ZerosLikeOptions"),
    Rule("LEAKY_RELU", shapes.elementwise, options="LeakyReluOptions"),
    Rule("LOCAL_RESPONSE_NORMALIZATION", shapes.elementwise, options="LocalResponseNormalizationOptions"),
    Rule("CAST", shapes.elementwise, options="CastOptions", bare=True, kind="any"),
    Rule("PRELU", array_shapes.prelu, (2, 2)),
    _binary("POW", "PowOptions"),
    _binary("SQUARED_DIFFERENCE", "SquaredDifferenceOptions"),
    _binary("FLOOR_DIV", "FloorDivOptions"),
    _binary("FLOOR_MOD", "FloorModOptions"),
    _binary("EQUAL", "EqualOptions", "compare"),
    _binary("NOT_EQUAL", "NotEqualOptions", "compare"),
    _binary("LESS", "LessOptions", "compare"),
    _binary("LESS_EQUAL", "LessEqualOptions", "compare"),
    _binary("GREATER", "GreaterOptions", "compare"),
    _binary("GREATER_EQUAL", "GreaterEqualOptions", "compare"),
    _binary("LOGICAL_AND", "LogicalAndOptions", "logical"),
    _binary("LOGICAL_OR", "LogicalOrOptions", "logical"),
    Rule("LOGICAL_NOT", shapes.elementwise, options="LogicalNotOptions", bare=True, kind="logical"),
    Rule("ADD_N", array_shapes.equal_shapes, (1, 64), "AddNOptions", bare=True),
    Rule("SELECT", array_shapes.select, (3, 3), "SelectOptions", bare=True, kind="select"),
    Rule("SELECT_V2", array_shapes.select, (3, 3), "SelectV2Options", bare=True, kind="select"),
    Rule("EXPAND_DIMS", array_shapes.expand_dims, (2, 2), "ExpandDimsOptions", bare=True, integers=(1,), wide=True),
    Rule("PACK", array_shapes.pack, (1, 64), "PackOptions"),
    Rule("UNPACK", array_shapes.unpack, options="UnpackOptions"),
    Rule("SPLIT", array_shapes.split, (2, 2), "SplitOptions", integers=(0,)),
    Rule("SPLIT_V", array_shapes.split_v, (3, 3), "SplitVOptions", integers=(1, 2), wide=True),
    Rule("GATHER", array_shapes.take, (2, 2), "GatherOptions", integers=(1,), wide=True),
    Rule("SLICE", array_shapes.slice_of, (3, 3), "SliceOptions", bare=True, integers=(1, 2), wide=True),
    Rule("STRIDED_SLICE", array_shapes.strided_slice, (4, 4), "StridedSliceOptions", integers=(1, 2, 3)),
    Rule("TILE", array_shapes.tile, (2, 2), "TileOptions", bare=True, integers=(1,), wide=True),
    Rule("BROADCAST_TO", array_shapes.broadcast_to, (2, 2), "BroadcastToOptions", bare=True, integers=(1,), wide=True),
    Rule("FILL", array_shapes.fill, (2, 2), "FillOptions", bare=True, integers=(0,), wide=True),
    Rule("SHAPE", array_shapes.shape_of, options="ShapeOptions", bare=True, kind="integers"),
    Rule("RESIZE_BILINEAR", array_shapes.resize, (2, 2), "ResizeBilinearOptions", integers=(1,)),
    Rule("RESIZE_NEAREST_NEIGHBOR", array_shapes.resize, (2, 2), "ResizeNearestNeighborOptions", integers=(1,)),
    Rule("SPACE_TO_DEPTH", array_shapes.space_to_depth, options="SpaceToDepthOptions"),
    Rule("DEPTH_TO_SPACE", array_shapes.depth_to_space, options="DepthToSpaceOptions"),
    Rule("SPACE_TO_BATCH_ND", array_shapes.space_to_batch, (3, 3), "SpaceToBatchNDOptions", bare=True, integers=(1, 2)),
    Rule("BATCH_TO_SPACE_ND", array_shapes.batch_to_space, (3, 3), "BatchToSpaceNDOptions", bare=True, integers=(1, 2)),
    Rule("PADV2", shapes.pad, (3, 3), "PadV2Options", bare=True, integers=(1,)),
    Rule("MIRROR_PAD", array_shapes.mirror_pad, (2, 2), "MirrorPadOptions", integers=(1,)),
    Rule("BATCH_MATMUL", array_shapes.batch_matmul, (2, 2), "BatchMatMulOptions"),
    Rule(
        "TRANSPOSE_CONV",
        array_shapes.transpose_convolution,
        (3, 4),
        "TransposeConvOptions",
        kind="weights",
        integers=(0,),
        image=2,
    ),
    Rule("ARG_MAX", array_shapes.arg_max, (2, 2), "ArgMaxOptions", kind="integers", integers=(1,), wide=True),
    Rule("ARG_MIN", array_shapes.arg_max, (2, 2), "ArgMinOptions", kind="integers", integers=(1,), wide=True),
    Rule("CUMSUM", array_shapes.along_axis, (2, 2), "CumsumOptions", integers=(1,)),
    Rule("REVERSE_V2", array_shapes.along_axis, (2, 2), "ReverseV2Options", bare=True, integers=(1,)),
)

RULES: Mapping[int, Rule] = {NAMES.index(rule.name): rule for rule in _RULES}
"""Rules for the allowed operators, by operator number in `BuiltinOperator`."""

_STATE = "Its variables are not constants. Freeze them, or convert it again from the trained model."
_RANDOM = "Random numbers belong to training. Convert it in inference mode, without dropout and augmentation."
_CONTROL = "It controls the flow. Convert it without loops and conditions."

REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "HASHTABLE"), _STATE),
    **dict.fromkeys(("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"), _RANDOM),
    **dict.fromkeys(("IF", "WHILE", "CALL"), _CONTROL),
}
"""Reasons why operators are refused, with advice, by operator name."""
