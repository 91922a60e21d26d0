"""A network -> the bytes of a `.tflite` with float arithmetic: float32, float16 or dynamic.

Operators and their versions are those that TensorFlow's converter writes, so that every interpreter since
tflite-runtime 2.14 and TensorFlow Lite 2.16 takes the files, XNNPACK takes them whole, and the scores are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Network, Parameters
from poets_edge.tflite.flatbuffer import (
    enter_constant,
    enter_operator,
    enter_tensor,
    new_tree,
    schema,
    steps_of,
    write_tree,
)

FloatQuantization = Literal["float32", "float16", "dynamic"]

LEVELS = 127
"""An 8-bit weight is a whole number from -127 to 127."""
DESCRIPTION = "poets_edge"

_SMALLEST_DYNAMIC = 1024
"""A kernel of fewer numbers stays float with "dynamic", as the converter leaves it: little would be saved."""


@dataclass(frozen=True)
class Integers:
    """8-bit weights: integers * scales, one scale for each index of `axis`, or one for all."""

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    axis: int


def write_float_model(
    network: Network, quantization: FloatQuantization = "float32", *, also: Sequence[str] = ()
) -> bytes:
    """Write a network as a float model.

    Args:
        quantization: float32; float16: numbers in half precision, arithmetic in float32; dynamic: kernels of 8 bits.
        also: layers whose outputs the model gives too, behind its own, in this order.
    """
    tree = new_tree(DESCRIPTION)
    graph, types = tree.subgraphs[0], schema().TensorType
    shapes = network.shapes()
    tensors = {INPUT: enter_tensor(graph, INPUT.encode(), (1, *shapes[INPUT]), types.FLOAT32)}
    for layer in network.layers:
        inputs = [tensors[name] for name in layer.sources]
        if layer.has_weights():
            inputs += _enter_parameters(tree, layer, network.parameters[layer.name], quantization)
        inputs += enter_axes(tree, layer)
        tensors[layer.name] = enter_tensor(graph, layer.name.encode(), (1, *shapes[layer.name]), types.FLOAT32)
        hybrid = quantization == "dynamic" and layer.has_weights() and _is_dynamic(network.parameters[layer.name])
        version = _DYNAMIC_VERSIONS[layer.kind] if hybrid else 1
        graph.operators.append(operator_of(tree, layer, version, inputs, tensors[layer.name]))
    graph.inputs = [tensors[INPUT]]
    graph.outputs = [tensors[name] for name in (network.output, *also)]
    return write_tree(tree)


def operator_of(tree: Any, layer: Layer, version: int, inputs: Sequence[int], output: int) -> Any:
    """The operator that computes a layer."""
    parts, codes = schema(), schema().BuiltinOperator
    kind = {
        "convolution": codes.CONV_2D,
        "depthwise": codes.DEPTHWISE_CONV_2D,
        "max_pool": codes.MAX_POOL_2D,
        "average_pool": codes.AVERAGE_POOL_2D,
        "concatenate": codes.CONCATENATION,
        "mean": codes.MEAN,
        "dense": codes.FULLY_CONNECTED,
        "softmax": codes.SOFTMAX,
    }[layer.kind]
    options = {
        "convolution": parts.Conv2DOptionsT,
        "depthwise": parts.DepthwiseConv2DOptionsT,
        "max_pool": parts.Pool2DOptionsT,
        "average_pool": parts.Pool2DOptionsT,
        "concatenate": parts.ConcatenationOptionsT,
        "mean": parts.ReducerOptionsT,
        "dense": parts.FullyConnectedOptionsT,
        "softmax": parts.SoftmaxOptionsT,
    }[layer.kind]()
    if layer.kind in ("convolution", "depthwise", "max_pool", "average_pool"):
        options.padding = getattr(parts.Padding, layer.padding)
        options.strideH = options.strideW = layer.stride
        options.fusedActivationFunction = getattr(parts.ActivationFunctionType, layer.activation.upper())
    if layer.kind in ("max_pool", "average_pool"):
        options.filterHeight, options.filterWidth = layer.kernel
    if layer.kind == "depthwise":
        options.depthMultiplier = 1
    if layer.kind == "concatenate":
        options.axis = 3
    if layer.kind == "softmax":
        options.beta = 1.0
    operator = enter_operator(tree, kind, version, inputs, [output])
    operator.builtinOptionsType = getattr(parts.BuiltinOptions, type(options).__name__.removesuffix("T"))
    operator.builtinOptions = options
    return operator


def enter_axes(tree: Any, layer: Layer) -> list[int]:
    """The axes of a mean, as the second input it wants; nothing for other layers."""
    if layer.kind != "mean":
        return []
    return [enter_constant(tree, f"{layer.name}/axes".encode(), np.array([1, 2], np.int32))]


def in_file_order(layer: Layer, kernel: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A kernel as a `.tflite` holds it: a depthwise one [1, height, width, channels], the others with outputs first."""
    return np.transpose(kernel, (1, 0) if layer.kind == "dense" else (3, 0, 1, 2))


def scales_of(kernel: npt.NDArray[np.float32], axis: int | None) -> npt.NDArray[np.float32]:
    """The scale of 8-bit weights, for each index of `axis` or (None) one for all: the largest becomes 127."""
    largest = np.abs(kernel).max(axis=None if axis is None else tuple(i for i in range(kernel.ndim) if i != axis))
    return np.atleast_1d(np.asarray(np.where(largest > 0, largest, 1) / np.float32(LEVELS), np.float32))


def integers_of(kernel: npt.NDArray[np.float32], axis: int | None) -> Integers:
    """A kernel in file order, rounded to 8 bits with one scale for each index of `axis`, or (None) one for all."""
    scales = scales_of(kernel, axis)
    spread = scales.reshape([-1 if i == (axis or 0) else 1 for i in range(kernel.ndim)])
    rounded = np.clip(np.rint(kernel / spread), -LEVELS, LEVELS).astype(np.int8)
    return Integers(rounded, scales, axis or 0)


def output_axis(layer: Layer) -> int:
    """Where a kernel in file order has its outputs."""
    return 3 if layer.kind == "depthwise" else 0


# Kernels of 8 bits with float inputs. One scale for each class of a dense layer would need version 12, of 2024, which
# tflite-runtime 2.14 and the TensorFlow Lite on Maven Central (2.16.1) lack; so there it is one for all.
_DYNAMIC_VERSIONS = {"convolution": 5, "depthwise": 6, "dense": 9}


def _is_dynamic(numbers: Parameters) -> bool:
    return numbers.kernel.size >= _SMALLEST_DYNAMIC


def _enter_parameters(tree: Any, layer: Layer, numbers: Parameters, quantization: FloatQuantization) -> list[int]:
    kernel, name = in_file_order(layer, numbers.kernel), layer.name.encode()
    if quantization == "float16":
        return [_enter_half(tree, name + b"/kernel", kernel), _enter_half(tree, name + b"/bias", numbers.bias)]
    if quantization == "dynamic" and _is_dynamic(numbers):
        integers = integers_of(kernel, None if layer.kind == "dense" else output_axis(layer))
        steps = steps_of(integers.scales, axis=integers.axis)
        kernel_index = enter_constant(tree, name + b"/kernel", integers.values, steps)
    else:
        kernel_index = enter_constant(tree, name + b"/kernel", kernel)
    return [kernel_index, enter_constant(tree, name + b"/bias", numbers.bias)]


def _enter_half(tree: Any, name: bytes, values: npt.NDArray[np.float32]) -> int:
    """A constant in half precision, and the operator that widens it to float32; gives the index of the wide one."""
    codes, types, graph = schema().BuiltinOperator, schema().TensorType, tree.subgraphs[0]
    half = enter_constant(tree, name + b"16", values.astype(np.float16))
    wide = enter_tensor(graph, name, values.shape, types.FLOAT32)
    graph.operators.append(enter_operator(tree, codes.DEQUANTIZE, 3, [half], [wide]))  # version 3 takes float16
    return wide
