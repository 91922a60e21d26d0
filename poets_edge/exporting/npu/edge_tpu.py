"""Check a model against the published requirements of the Edge TPU compiler, which is not available for Python."""

from __future__ import annotations

from pathlib import Path

from poets_edge.errors import ModelError
from poets_edge.tflite.flatbuffer import operator_code, schema, unpack_model

_NAMES = (
    "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS FULLY_CONNECTED L2_NORMALIZATION LOGISTIC"
    " LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PACK PAD PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1"
    " RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQUARED_DIFFERENCE"
    " SQUEEZE STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV"
)
_OPERATORS = frozenset(_NAMES.split())
"""Operators that the Edge TPU supports (coral.ai, "TensorFlow models on the Edge TPU", compiler version 16)."""

MEMORY = 8 << 20
"""Bytes of memory for weights on the Edge TPU. The weights of larger models are transferred for every inference."""


def check_edge_tpu(content: bytes, *, name: str) -> None:
    """Check the requirements of the Edge TPU compiler: integer tensors of fixed size, and supported operators.

    Args:
        content: bytes of a `.tflite`.
        name: name of the model in the error message.

    Raises:
        ModelError: the model violates a requirement.
    """
    model, types = unpack_model(content), schema().TensorType
    kinds = {value: kind for kind, value in vars(schema().BuiltinOperator).items() if not kind.startswith("_")}
    integers = {types.INT8, types.UINT8, types.INT16, types.INT32}
    for graph in model.subgraphs:
        for operator in graph.operators:
            kind = kinds.get(operator_code(model, operator), "CUSTOM")
            if kind not in _OPERATORS:
                raise ModelError(f"{name}: the Edge TPU has no operator {kind}. It takes a full-int8 file.")
        for tensor in graph.tensors:
            label = bytes(tensor.name or b"").decode(errors="replace")
            if tensor.type not in integers:
                raise ModelError(
                    f"{name}: {label} is not of integers, as the Edge TPU requires: take a full-int8 file."
                )
            if tensor.shapeSignature is not None and -1 in list(tensor.shapeSignature):
                raise ModelError(f"{name}: {label} has no fixed size, as the Edge TPU requires.")


def compiler_command(model: Path) -> str:
    """Return the command line that compiles a model for the Edge TPU."""
    return f"edgetpu_compiler --out_dir {model.parent} {model}"
