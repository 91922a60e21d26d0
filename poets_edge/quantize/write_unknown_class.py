"""Merge the two outputs of an int8 model with a detector into one, for programs that read a single output.

The merged output has an additional score. For an unknown photo, this score is 1 and all others are 0; for any other
photo, it is 0 and the others are unchanged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poets_edge.tflite.distance import DISTANCE, LIMIT
from poets_edge.tflite.flatbuffer import (
    add_constant,
    add_tensor,
    new_operator,
    operator_code,
    pack_model,
    quant_params,
    schema,
    unpack_model,
)

_PREFIX = "unknown/"
_SCORE_SCALE = np.float32(1 / 256)


def with_unknown_class(content: bytes) -> bytes:
    """Return the bytes of an int8 model with one output: the scores of the labels, followed by the score of "unknown".

    Args:
        content: bytes of a `.tflite` with two uint8 outputs: the scores, [1, labels], and DISTANCE, [1, 1], as
            written by `add_detector` with `quantized`. The metadata are not changed and still describe two outputs.
    """
    model = unpack_model(content)
    graph, codes, types = model.subgraphs[0], schema().BuiltinOperator, schema().TensorType
    scores, distance = (_before_rounding(model, index) for index in graph.outputs)
    labels = int(graph.tensors[scores].shape[1])

    def append(
        code: int, name: str, inputs: list[int], width: int, dtype: int, options: str = "", **fields: Any
    ) -> int:
        found = add_tensor(graph, f"{_PREFIX}{name}".encode(), (1, width), dtype)
        operator = new_operator(model, code, 1, inputs, [found])
        if options:
            operator.builtinOptionsType = getattr(schema().BuiltinOptions, options)
            operator.builtinOptions = getattr(schema(), f"{options}T")()
            for field, value in fields.items():
                setattr(operator.builtinOptions, field, value)
        graph.operators.append(operator)
        return found

    limit = add_constant(model, f"{_PREFIX}limit".encode(), np.array([[LIMIT]], np.float32))
    one = add_constant(model, f"{_PREFIX}one".encode(), np.ones((1, 1), np.float32))
    above = append(codes.GREATER, "above", [distance, limit], 1, types.BOOL, "GreaterOptions")
    kinds = {"inDataType": types.BOOL, "outDataType": types.FLOAT32}
    unknown = append(codes.CAST, "score", [above], 1, types.FLOAT32, "CastOptions", **kinds)
    known = append(codes.SUB, "known", [one, unknown], 1, types.FLOAT32, "SubOptions")
    kept = append(codes.MUL, "kept", [scores, known], labels, types.FLOAT32, "MulOptions")
    joined = append(
        codes.CONCATENATION, "scores", [kept, unknown], labels + 1, types.FLOAT32, "ConcatenationOptions", axis=1
    )
    result = add_tensor(graph, b"scores", (1, labels + 1), types.UINT8, quant_params(_SCORE_SCALE))
    graph.operators.append(new_operator(model, codes.QUANTIZE, 1, [joined], [result]))
    graph.outputs = [result]
    return pack_model(model)


def _before_rounding(model: Any, output: int) -> int:
    """Return the index of the float32 tensor that an operator rounds to the given uint8 output."""
    graph = model.subgraphs[0]
    [operator] = [one for one in graph.operators if output in one.outputs]
    assert operator_code(model, operator) == schema().BuiltinOperator.QUANTIZE, DISTANCE
    return int(operator.inputs[0])
