"""The FlatBuffer of a `.tflite` as a tree of objects that can be changed, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from poets_edge.edge.interpreter import silent_stderr
from poets_edge.graphs.tensorflow import load_tensorflow


def schema() -> Any:
    """TensorFlow's classes for the parts of a model. Raises RuntimeMissingError where TensorFlow is not installed."""
    load_tensorflow("changing a .tflite file")
    with silent_stderr():
        from tensorflow.lite.python import schema_py_generated
    return schema_py_generated


def read_tree(model: bytes) -> Any:
    """The model as TensorFlow's `ModelT`."""
    return schema().ModelT.InitFromPackedBuf(model, 0)


def write_tree(tree: Any) -> bytes:
    """The bytes of a model, without anything that may have been appended to its file."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def builtin(tree: Any, operator: Any) -> int:
    """What an operator does: one of `schema().BuiltinOperator`."""
    return int(tree.operatorCodes[operator.opcodeIndex].builtinCode)


def constant(tree: Any, tensor: Any) -> npt.NDArray[Any]:
    """The int8, int32 or float32 values of a constant tensor, in its shape."""
    types = schema().TensorType
    dtype = {types.INT8: "<i1", types.INT32: "<i4", types.FLOAT32: "<f4"}[tensor.type]
    return np.asarray(np.frombuffer(bytes(tree.buffers[tensor.buffer].data), dtype).reshape(tensor.shape))


def enter_tensor(graph: Any, name: bytes, shape: Sequence[int], dtype: int) -> int:
    """Add a tensor that is computed to a subgraph; gives its index."""
    tensor = schema().TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.hasRank = name, list(shape), dtype, True
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def enter_constant(tree: Any, name: bytes, values: npt.NDArray[np.float32]) -> int:
    """Add a constant to the first subgraph; gives its index."""
    index = enter_tensor(tree.subgraphs[0], name, values.shape, schema().TensorType.FLOAT32)
    buffer = schema().BufferT()
    buffer.data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
    tree.buffers.append(buffer)
    tree.subgraphs[0].tensors[index].buffer = len(tree.buffers) - 1
    return index


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
