"""Add operators to a model's input and output for use in other programs: a softmax, and conversion to uint8.

MediaPipe, the web page and the Android app display a model's output unchanged, and MediaPipe rejects int8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poets_edge.tflite.flatbuffer import add_constant, add_tensor, new_operator, quant_params, schema
from poets_edge.tflite.scores import ScoreFormat


def add_scores(model: Any, output: int, format: ScoreFormat, labels: int) -> str:
    """Append operators to a model so that an output holds one score, from 0 to 1, for each label.

    Args:
        model: a `ModelT`, changed in place.
        output: index of the output in the model's list of outputs.
        format: what the output contains before the change.
        labels: number of labels.

    Returns:
        A phrase that describes the operators, such as "a softmax"; "" if none are needed.
    """
    graph, kind = model.subgraphs[0], format.kind
    size = int(np.prod(graph.tensors[graph.outputs[output]].shape))
    binary = size == 1 and labels == 2
    are_scores = kind == "probabilities" or (kind == "sigmoids" and not binary)
    if are_scores and not format.is_scaled:
        return ""
    codes = schema().BuiltinOperator
    values = _as_float(model, graph.outputs[output])
    if format.is_scaled:
        factor = 1 / (format.high - format.low)
        numbers = [add_constant(model, b"scale", np.array([[x]], np.float32)) for x in (factor, -format.low * factor)]
        values = _append(model, codes.MUL, 1, [values, numbers[0]], size, "MulOptions")
        values = _append(model, codes.ADD, 1, [values, numbers[1]], size, "AddOptions")
    if are_scores:
        graph.outputs[output] = values
        return f"scores from 0 to 1 instead of {format.low:g} to {format.high:g}"
    if binary:
        score = _append(model, codes.LOGISTIC, 1, [values], 1) if kind == "logits" else values
        one = add_constant(model, b"one", np.ones((1, 1), np.float32))
        other = _append(model, codes.SUB, 1, [one, score], 1, "SubOptions")
        both = [other, score]
        graph.outputs[output] = _append(model, codes.CONCATENATION, 1, both, 2, "ConcatenationOptions", axis=1)
        return "scores of both labels"
    if kind == "log probabilities":
        graph.outputs[output] = _append(model, codes.EXP, 1, [values], size, "ExpOptions")
        return "an exponential"
    if size == 1:
        graph.outputs[output] = _append(model, codes.LOGISTIC, 1, [values], 1)
        return "a sigmoid"
    graph.outputs[output] = _append(model, codes.SOFTMAX, 1, [values], size, "SoftmaxOptions", beta=1.0)
    return "a softmax"


def use_uint8(model: Any, output: int) -> str:
    """Convert the int8 input and the int8 output of a model to uint8, without changing its scores.

    Args:
        model: a `ModelT`, changed in place.
        output: index of the output in the model's list of outputs.

    Returns:
        A phrase that describes the change; "" if neither tensor was int8.
    """
    graph, parts = model.subgraphs[0], schema()
    changed = []
    source = graph.tensors[graph.inputs[0]]
    if source.type == parts.TensorType.INT8:
        picture = _shifted(graph, graph.inputs[0], b"image")
        graph.operators.insert(0, new_operator(model, parts.BuiltinOperator.QUANTIZE, 1, [picture], [graph.inputs[0]]))
        graph.inputs[0] = picture
        changed.append("input")
    scores = graph.outputs[output]
    if graph.tensors[scores].type == parts.TensorType.INT8:
        whole = _shifted(graph, scores, b"scores")
        graph.operators.append(new_operator(model, parts.BuiltinOperator.QUANTIZE, 1, [scores], [whole]))
        graph.outputs[output] = whole
        changed.append("output")
    return f"uint8 instead of int8 {' and '.join(changed)}" if changed else ""


def _shifted(graph: Any, index: int, name: bytes) -> int:
    """Add a uint8 tensor to a graph for the same real numbers as an int8 tensor; its integers are larger by 128.

    Args:
        graph: subgraph of a `ModelT`, changed in place.
        index: index of the int8 tensor.

    Returns:
        The index of the new tensor.
    """
    tensor = graph.tensors[index]
    quantization = quant_params(tensor.quantization.scale, int(tensor.quantization.zeroPoint[0]) + 128)
    return add_tensor(graph, name, list(tensor.shape), schema().TensorType.UINT8, quantization)


def _as_float(model: Any, index: int) -> int:
    """Append operators that convert a tensor to float32 [1, values], and return the index of the converted tensor."""
    parts, graph = schema(), model.subgraphs[0]
    size = int(np.prod(graph.tensors[index].shape))
    kind, quantization = graph.tensors[index].type, graph.tensors[index].quantization
    if kind != parts.TensorType.FLOAT32 and quantization and quantization.scale is not None and len(quantization.scale):
        index = _append(model, parts.BuiltinOperator.DEQUANTIZE, 2, [index], size, "DequantizeOptions")
    elif kind != parts.TensorType.FLOAT32:
        types = {"inDataType": kind, "outDataType": parts.TensorType.FLOAT32}
        index = _append(model, parts.BuiltinOperator.CAST, 1, [index], size, "CastOptions", **types)
    if list(graph.tensors[index].shape) != [1, size]:
        index = _append(model, parts.BuiltinOperator.RESHAPE, 1, [index], size, "ReshapeOptions", newShape=[1, size])
    return index


def _append(model: Any, code: int, version: int, inputs: list[int], size: int, options: str = "", **fields: Any) -> int:
    """Append an operator whose output is a float32 tensor [1, size], and return the index of that tensor."""
    parts, graph = schema(), model.subgraphs[0]
    same_shape = code in (parts.BuiltinOperator.DEQUANTIZE, parts.BuiltinOperator.CAST)
    shape = list(graph.tensors[inputs[0]].shape) if same_shape else [1, size]
    found = add_tensor(graph, f"scores_{len(graph.tensors)}".encode(), shape, parts.TensorType.FLOAT32)
    graph.operators.append(new_operator(model, code, version, inputs, [found], options, **fields))
    return found
