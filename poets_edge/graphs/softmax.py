"""The softmax of an int8 model in float, so that the model says the same on every processor.

Up to its logits an int8 model is integer arithmetic and gives the same numbers everywhere. TensorFlow Lite's int8
softmax does not: on 64-bit ARM it reads exponentials from a table of 16 bits, elsewhere from one of floats, and one
score in fifty comes out a step of 1/256 apart. In float the processors agree to some 1e-7, and rounding to 8 bits
hides that. It is a handful of numbers, so it costs no time.
"""

from __future__ import annotations

from typing import Any

from poets_edge.graphs.flatbuffer import read_tree, schema, write_tree


def with_float_softmax(model: bytes) -> bytes:
    """The model with `int8 logits -> DEQUANTIZE -> SOFTMAX -> scores` in place of an int8 softmax at its end.

    The output keeps its type and scale: uint8 after a QUANTIZE, or float32. A model that ends in another way comes
    back as it is.
    """
    tree, names = read_tree(model), schema()
    graph = tree.subgraphs[0]
    codes, types = names.BuiltinOperator, names.TensorType
    if not _ends_in_int8_softmax(tree):
        return model
    softmax, last = graph.operators[-2:]
    between = graph.tensors[softmax.outputs[0]]
    between.type, between.quantization = types.FLOAT32, None
    if _code(tree, last) == codes.DEQUANTIZE:  # the two change places
        between.name = b"logits"
        graph.operators[-2:] = last, softmax
        before, middle, after = softmax.inputs, softmax.outputs, last.outputs
        last.inputs, last.outputs = before, middle
        softmax.inputs, softmax.outputs = middle, after
    else:
        logits, dequantize = names.TensorT(), names.OperatorT()
        logits.name, logits.shape, logits.type, logits.hasRank = b"logits", between.shape, types.FLOAT32, True
        graph.tensors.append(logits)
        dequantize.opcodeIndex = _enter(tree, codes.DEQUANTIZE, version=2)  # version 2 takes int8
        dequantize.inputs, dequantize.outputs = softmax.inputs, [len(graph.tensors) - 1]
        softmax.inputs = dequantize.outputs
        graph.operators.insert(-2, dequantize)
    return write_tree(tree)


def _ends_in_int8_softmax(tree: Any) -> bool:
    """Its last operators are an int8 softmax and the conversion of the scores to uint8 or float32."""
    codes, types, graph = schema().BuiltinOperator, schema().TensorType, tree.subgraphs[0]
    if len(graph.operators) < 2:
        return False
    softmax, last = graph.operators[-2:]
    return (
        _code(tree, softmax) == codes.SOFTMAX
        and _code(tree, last) in (codes.QUANTIZE, codes.DEQUANTIZE)
        and list(last.inputs) == list(softmax.outputs)
        and graph.tensors[softmax.outputs[0]].type == types.INT8
    )


def _code(tree: Any, operator: Any) -> int:
    return int(tree.operatorCodes[operator.opcodeIndex].builtinCode)


def _enter(tree: Any, builtin: int, version: int) -> int:
    """Put an operator on the model's list of those it uses; gives its place there."""
    code = schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = version
    tree.operatorCodes.append(code)
    return len(tree.operatorCodes) - 1
