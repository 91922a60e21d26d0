"""Add a label "unknown" to a `.tflite` file, for programs that ignore the distance from the training photos.

The distance is the second output of a model that detects unknown photos. The new model has one output, with the shape
[1, labels + 1].

For a photo unlike the training photos, the score of "unknown" is 1 and the scores of the classes are 0. For any other
photo, the score of "unknown" is 0 and the scores of the classes are unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poets_edge.errors import ModelError
from poets_edge.quantize.int8_operators import Int8Writer
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

_STEEP = 1e8
"""Factor by which the excess of a distance over the limit, 1.0, is multiplied. Even the smallest possible excess in
float32, 1.2e-7, then becomes larger than 1."""


def with_unknown_label(content: bytes) -> bytes:
    """Replace the two outputs of a model with one: the scores of the classes, followed by the score of "unknown".

    Args:
        content: bytes of a `.tflite` without metadata, whose outputs are the scores and DISTANCE.

    Returns:
        The bytes of the modified `.tflite`.

    Raises:
        ModelError: the model has no output DISTANCE.
    """
    model = unpack_model(content)
    graph = model.subgraphs[0]
    names = [bytes(graph.tensors[index].name).decode() for index in graph.outputs]
    if names[1:] != [DISTANCE]:
        raise ModelError(
            "this model has no detector of unknown photos, so it has no label for them. Train again, and export again."
        )
    scores, distance = (_before_rounding(model, index) for index in graph.outputs)
    output, types = graph.tensors[graph.outputs[0]], schema().TensorType
    labels = int(output.shape[1]) + 1
    is_float = graph.tensors[scores].type == types.FLOAT32
    joined = _join_float(model, scores, distance) if is_float else _join_int8(model, scores, distance)
    if output.type == types.UINT8:
        unsigned = add_tensor(graph, output.name, (1, labels), types.UINT8, quant_params(output.quantization.scale))
        version = 1 if is_float else 2
        graph.operators.append(new_operator(model, schema().BuiltinOperator.QUANTIZE, version, [joined], [unsigned]))
        joined = unsigned
    graph.outputs = [joined]
    model.signatureDefs = []
    return pack_model(model)


def _join_float(model: Any, scores: int, distance: int) -> int:
    """Write float32 operators that append the score of "unknown" to the scores; return the index of the result."""
    write = _Writer(model)
    labels = int(model.subgraphs[0].tensors[scores].shape[1])
    over = write.append("SUB", "over", [distance, write.scalar("limit", LIMIT)], 1, relu=True)
    steep = write.append("MUL", "steep", [over, write.scalar("factor", _STEEP)], 1)
    one = write.scalar("one", 1)
    unknown = write.append("MINIMUM", "verdict", [steep, one], 1)
    known = write.append("MUL", "known", [scores, write.append("SUB", "rest", [one, unknown], 1)], labels)
    return write.append("CONCATENATION", "scores", [known, unknown], labels + 1)


def _join_int8(model: Any, scores: int, distance: int) -> int:
    """Write int8 operators that append the score of "unknown" to the scores; return the index of the result.

    Two fully connected layers convert the distance to scores that are 0 or 255/256. The first score, that the photo is
    known, limits the score of each class. The second, that it is unknown, is appended.
    """
    write = Int8Writer(model, "unknown/")
    write.read(scores)
    write.read(distance)
    step, params = float(write.params[distance].scale), write.params[scores]
    labels = int(model.subgraphs[0].tensors[scores].shape[1])
    lowest = np.floor(LIMIT / step) * step  # the largest distance of a known photo; the next one is a step away
    known = write.dense("rest", distance, np.full((1, labels), -1 / step), np.full(labels, lowest / step + 1), params)
    unknown = write.dense("verdict", distance, np.array([[1 / step]]), [-lowest / step], params)
    limited = write.append("MINIMUM", "known", [scores, known], labels, params)
    return write.append("CONCATENATION", "scores", [limited, unknown], labels + 1, params, axis=1)


def _before_rounding(model: Any, output: int) -> int:
    """Remove the operator that converts an output to uint8, if there is one, and return the index of its input.

    Its input is the original output, which is float32, or int8 in full-int8 models. Without such an operator, `output`
    is returned.

    Args:
        model: a `ModelT`, changed in place.
        output: index of the output tensor.
    """
    graph = model.subgraphs[0]
    if graph.tensors[output].type != schema().TensorType.UINT8:
        return output
    [rounding] = [one for one in graph.operators if output in one.outputs]
    if operator_code(model, rounding) != schema().BuiltinOperator.QUANTIZE:
        raise ModelError("a model whose scores are computed in 8 bits has no label for unknown photos.")
    graph.operators = [one for one in graph.operators if one is not rounding]
    return int(rounding.inputs[0])


class _Writer:
    """Writer that appends float32 operators and constants, with names that begin with `unknown/`, to a `.tflite`."""

    def __init__(self, model: Any) -> None:
        self._model, self._graph = model, model.subgraphs[0]

    def scalar(self, name: str, value: float) -> int:
        return add_constant(self._model, f"unknown/{name}".encode(), np.array([[value]], np.float32))

    def append(self, code: str, name: str, inputs: Sequence[int], size: int, *, relu: bool = False) -> int:
        """Append an operator whose output is float32 [1, size]; return the index of the output tensor."""
        parts = schema()
        found = add_tensor(self._graph, f"unknown/{name}".encode(), (1, size), parts.TensorType.FLOAT32)
        kind = {"MINIMUM": "MaximumMinimum"}.get(code, code.capitalize())
        fields = {"axis": 1} if code == "CONCATENATION" else {}
        if relu:
            fields["fusedActivationFunction"] = parts.ActivationFunctionType.RELU
        self.operator(code, inputs, found, f"{kind}Options", **fields)
        return found

    def operator(self, code: str, inputs: Sequence[int], output: int, options: str = "", **fields: int) -> None:
        """Append an operator whose output is an existing tensor."""
        kind = getattr(schema().BuiltinOperator, code)
        self._graph.operators.append(new_operator(self._model, kind, 1, inputs, [output], options, **fields))
