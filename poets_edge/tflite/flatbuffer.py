"""Conversion between the FlatBuffer of a `.tflite` and mutable objects.

The classes of the objects (`ModelT`, `SubGraphT`, `TensorT`, ...) are generated from the schema of the format and are
part of ai-edge-litert, so TensorFlow is not needed. tflite-runtime, the interpreter for 32-bit Raspberry Pi OS, lacks
these classes: with it, models can be run but not written.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from poets_edge.errors import RuntimeMissingError

_INITIAL_BYTES = 1 << 16
"""Initial size of the buffer for a model without its weights; the buffer grows on demand."""
_FILE_VERSION = 3


@functools.cache
def schema() -> Any:
    """Return the module with the generated classes of the TensorFlow Lite schema.

    Raises:
        RuntimeMissingError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise RuntimeMissingError(
            "writing a .tflite file needs ai-edge-litert, which is not installed. Run: pip install ai-edge-litert"
            " (there is none for 32-bit Raspberry Pi OS: write the file on another computer)"
        ) from None
    return schema_py_generated


def unpack_model(content: bytes) -> Any:
    """Convert the bytes of a `.tflite` to a `ModelT`."""
    return schema().ModelT.InitFromPackedBuf(content, 0)


def pack_model(model: Any) -> bytes:
    """Convert a `ModelT` to the bytes of a `.tflite`; data appended to the original file are lost."""
    weights = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    builder = flatbuffers.Builder(_INITIAL_BYTES + weights)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def new_model(description: str) -> Any:
    """Return a `ModelT` with one empty subgraph."""
    parts = schema()
    model, graph = parts.ModelT(), parts.SubGraphT()
    model.version, model.description = _FILE_VERSION, description
    # Buffer 0 is empty by convention: computed tensors refer to it.
    model.operatorCodes, model.buffers, model.subgraphs = [], [parts.BufferT()], [graph]
    graph.name, graph.tensors, graph.operators, graph.inputs, graph.outputs = "main", [], [], [], []
    return model


def operator_code(model: Any, operator: Any) -> int:
    """Return the type of an operator as a value of `schema().BuiltinOperator`."""
    return int(model.operatorCodes[operator.opcodeIndex].builtinCode)


def add_tensor(graph: Any, name: bytes, shape: Sequence[int], dtype: int, quantization: Any = None) -> int:
    """Add a tensor for values that an operator computes to a subgraph, and return the tensor's index.

    Args:
        dtype: a value of `schema().TensorType`.
        quantization: parameters from `quant_params`; None for a tensor that is not quantized.
    """
    tensor = schema().TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.hasRank = name, list(shape), dtype, True
    tensor.quantization = quantization
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def add_constant(model: Any, name: bytes, values: npt.NDArray[Any], quantization: Any = None) -> int:
    """Add a constant tensor of int8, int32, float16 or float32 to the first subgraph and return its index."""
    types = schema().TensorType
    dtype = {"int8": types.INT8, "int32": types.INT32, "float16": types.FLOAT16, "float32": types.FLOAT32}
    index = add_tensor(model.subgraphs[0], name, values.shape, dtype[values.dtype.name], quantization)
    buffer = schema().BufferT()
    little_endian = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    buffer.data = np.frombuffer(little_endian.tobytes(), np.uint8)
    model.buffers.append(buffer)
    model.subgraphs[0].tensors[index].buffer = len(model.buffers) - 1
    return index


def quant_params(scales: npt.ArrayLike, zero_point: int = 0, axis: int = 0) -> Any:
    """Return the parameters of a quantization, in which real = scale * (integer - zero_point).

    Args:
        scales: one scale for the whole tensor, or one for each index along the dimension `axis`.
    """
    parameters = schema().QuantizationParametersT()
    parameters.scale = np.atleast_1d(np.asarray(scales, np.float32))
    parameters.zeroPoint = np.full(len(parameters.scale), zero_point, np.int64)
    parameters.quantizedDimension = axis
    return parameters


def new_operator(
    model: Any, code: int, version: int, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **fields: Any
) -> Any:
    """Return a new operator and register its type in the model. The caller adds the operator to a subgraph.

    Args:
        code: a value of `schema().BuiltinOperator`.
        version: lowest version of the operator that accepts the types of its inputs; older interpreters reject it.
        inputs, outputs: indices of tensors.
        options: name of the table of the operator's options, such as "ReducerOptions"; "" for none.
        fields: values of the options that differ from the defaults of the schema.
    """
    key = (code, version)
    used = [(entry.builtinCode, entry.version) for entry in model.operatorCodes]
    if key not in used:
        entry = schema().OperatorCodeT()
        # The deprecated field is of 8 bits; 127 stands for every greater code.
        entry.builtinCode, entry.deprecatedBuiltinCode = code, min(code, 127)
        entry.version = version
        model.operatorCodes.append(entry)
        used.append(key)
    operator = schema().OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = used.index(key), list(inputs), list(outputs)
    if options:
        operator.builtinOptionsType = getattr(schema().BuiltinOptions, options)
        operator.builtinOptions = getattr(schema(), f"{options}T")()
        for name, value in fields.items():
            setattr(operator.builtinOptions, name, value)
    return operator
