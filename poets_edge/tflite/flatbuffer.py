"""The FlatBuffer of a `.tflite` as a tree of objects that can be changed, or made anew, and back.

The classes for its parts are generated from the format's schema and come with ai-edge-litert, so TensorFlow is not
needed. tflite-runtime, which 32-bit Raspberry Pis use, does not bring them: such a Pi runs models and writes none.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from poets_edge.errors import RuntimeMissingError

_ROOM = 1 << 16
"""Bytes for everything in a model but its weights; more is found where that does not do."""
_FILE_VERSION = 3


@functools.cache
def schema() -> Any:
    """The classes for the parts of a model. Raises RuntimeMissingError where ai-edge-litert is not installed."""
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise RuntimeMissingError(
            "writing a .tflite file needs ai-edge-litert, which is not installed. Run: pip install ai-edge-litert"
            " (there is none for 32-bit Raspberry Pi OS: write the file on another computer)"
        ) from None
    return schema_py_generated


def read_tree(model: bytes) -> Any:
    """The model as a `ModelT`."""
    return schema().ModelT.InitFromPackedBuf(model, 0)


def write_tree(tree: Any) -> bytes:
    """The bytes of a model, without anything that may have been appended to its file."""
    builder = flatbuffers.Builder(_ROOM + sum(len(buffer.data) for buffer in tree.buffers if buffer.data is not None))
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def new_tree(description: str) -> Any:
    """A model with one empty subgraph."""
    parts = schema()
    tree, graph = parts.ModelT(), parts.SubGraphT()
    tree.version, tree.description = _FILE_VERSION, description
    # Buffer 0 is empty by convention: tensors that are computed point to it.
    tree.operatorCodes, tree.buffers, tree.subgraphs = [], [parts.BufferT()], [graph]
    graph.name, graph.tensors, graph.operators, graph.inputs, graph.outputs = "main", [], [], [], []
    return tree


def builtin(tree: Any, operator: Any) -> int:
    """The operator's code, one of `schema().BuiltinOperator`."""
    return int(tree.operatorCodes[operator.opcodeIndex].builtinCode)


def constant(tree: Any, tensor: Any) -> npt.NDArray[Any]:
    """The int8, int32, float16 or float32 values of a constant tensor, in its shape."""
    types = schema().TensorType
    dtype = {types.INT8: "<i1", types.INT32: "<i4", types.FLOAT16: "<f2", types.FLOAT32: "<f4"}[tensor.type]
    return np.asarray(np.frombuffer(bytes(tree.buffers[tensor.buffer].data), dtype).reshape(tensor.shape))


def enter_tensor(graph: Any, name: bytes, shape: Sequence[int], dtype: int, steps: Any = None) -> int:
    """Add a tensor that is computed to a subgraph; gives its index.

    Args:
        dtype: one of `schema().TensorType`.
        steps: what its integers stand for, made by `steps_of`; None for numbers that stand for themselves.
    """
    tensor = schema().TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.hasRank = name, list(shape), dtype, True
    tensor.quantization = steps
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def enter_constant(tree: Any, name: bytes, values: npt.NDArray[Any], steps: Any = None) -> int:
    """Add an int8, int32, float16 or float32 constant to the first subgraph; gives its index."""
    types = schema().TensorType
    dtype = {"int8": types.INT8, "int32": types.INT32, "float16": types.FLOAT16, "float32": types.FLOAT32}
    index = enter_tensor(tree.subgraphs[0], name, values.shape, dtype[values.dtype.name], steps)
    buffer = schema().BufferT()
    little_endian = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    buffer.data = np.frombuffer(little_endian.tobytes(), np.uint8)
    tree.buffers.append(buffer)
    tree.subgraphs[0].tensors[index].buffer = len(tree.buffers) - 1
    return index


def steps_of(scales: npt.ArrayLike, zero_point: int = 0, axis: int = 0) -> Any:
    """The meaning of integers: scale * (integer - zero_point). One scale for all, or one for each index of `axis`."""
    steps = schema().QuantizationParametersT()
    steps.scale = np.atleast_1d(np.asarray(scales, np.float32))
    steps.zeroPoint = np.full(len(steps.scale), zero_point, np.int64)
    steps.quantizedDimension = axis
    return steps


def enter_operator(tree: Any, kind: int, version: int, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    """An operator that is on the model's list of those it uses. Its place among the others is the caller's to choose.

    Args:
        kind: what it does, one of `schema().BuiltinOperator`.
        version: the first version that takes such inputs; an older interpreter refuses the model.
    """
    wanted = (kind, version)
    used = [(code.builtinCode, code.version) for code in tree.operatorCodes]
    if wanted not in used:
        code = schema().OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = version
        tree.operatorCodes.append(code)
        used.append(wanted)
    operator = schema().OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = used.index(wanted), list(inputs), list(outputs)
    return operator
