"""Convert networks to `.tflite` files with float arithmetic: float32, float16 or dynamic.

The files contain the same operators, in the same versions, as files from TensorFlow's converter, and return the same
scores. tflite-runtime 2.14, TensorFlow Lite 2.16 and all later interpreters therefore accept them, and XNNPACK runs all
of their operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from poets_edge.nets.layers import BOTTLENECK, INPUT, Layer
from poets_edge.nets.network import Network, Parameters
from poets_edge.quantize.write_detector import add_detector
from poets_edge.tflite.flatbuffer import (
    add_constant,
    add_tensor,
    new_model,
    new_operator,
    pack_model,
    quant_params,
    schema,
)

FloatQuantization = Literal["float32", "float16", "dynamic"]

LEVELS = 127
"""Largest magnitude of an 8-bit weight, which is an integer from -127 to 127."""
DESCRIPTION = "poets_edge"

_MIN_DYNAMIC = 1024
"""Minimum number of weights in a kernel that "dynamic" files store with 8 bits. Smaller kernels remain float32, as in
files from TensorFlow's converter."""


@dataclass(frozen=True)
class QuantizedKernel:
    """8-bit weights: real = scale * integer. There is one scale for all weights, or one for each index along `axis`."""

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    axis: int


def write_float_model(
    network: Network, quantization: FloatQuantization = "float32", *, also: Sequence[str] = ()
) -> bytes:
    """Convert a network to the bytes of a `.tflite` with float arithmetic.

    Args:
        quantization: "float32"; "float16" for weights in half precision; "dynamic" for 8-bit kernels.
        also: names of layers whose outputs become additional outputs of the model, in this order.

    Returns:
        The bytes of a model. Its outputs are the output of the network, the outputs of the layers in `also` and, if the
        network has a detector, the distance.
    """
    model = new_model(DESCRIPTION)
    graph, types = model.subgraphs[0], schema().TensorType
    shapes = network.shapes()
    tensors = {INPUT: add_tensor(graph, INPUT.encode(), (1, *shapes[INPUT]), types.FLOAT32)}
    for layer in network.layers:
        inputs = [tensors[name] for name in layer.sources]
        if layer.has_weights():
            inputs += _add_parameters(model, layer, network.parameters[layer.name], quantization)
        inputs += axes_input(model, layer)
        tensors[layer.name] = add_tensor(graph, layer.name.encode(), (1, *shapes[layer.name]), types.FLOAT32)
        hybrid = quantization == "dynamic" and layer.has_weights() and _is_dynamic(network.parameters[layer.name])
        version = _DYNAMIC_VERSIONS[layer.kind] if hybrid else 1
        graph.operators.append(layer_operator(model, layer, version, inputs, tensors[layer.name]))
    graph.inputs = [tensors[INPUT]]
    graph.outputs = [tensors[name] for name in (network.output, *also)]
    if network.detector is not None:
        half = quantization != "float32"
        projection = network.detector.inner
        inner = None if projection is None else tensors[projection.layer]
        graph.outputs.append(add_detector(model, tensors[BOTTLENECK], network.detector, inner=inner, half=half))
    return pack_model(model)


def layer_operator(model: Any, layer: Layer, version: int, inputs: Sequence[int], output: int) -> Any:
    """Create the `.tflite` operator that computes a layer, and return it; the caller adds it to a subgraph.

    Args:
        version: version of the operator to write.
        inputs, output: indices of the tensors that the operator reads and writes.
    """
    parts, codes = schema(), schema().BuiltinOperator
    kind = {
        "convolution": codes.CONV_2D,
        "depthwise": codes.DEPTHWISE_CONV_2D,
        "max_pool": codes.MAX_POOL_2D,
        "average_pool": codes.AVERAGE_POOL_2D,
        "concatenate": codes.CONCATENATION,
        "add": codes.ADD,
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
        "add": parts.AddOptionsT,
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
    operator = new_operator(model, kind, version, inputs, [output])
    operator.builtinOptionsType = getattr(parts.BuiltinOptions, type(options).__name__.removesuffix("T"))
    operator.builtinOptions = options
    return operator


def axes_input(model: Any, layer: Layer) -> list[int]:
    """Return the additional input of a mean layer, as a list of tensor indices; [] for any other layer.

    The operator for a mean requires a tensor that lists the axes. This function adds the tensor to the model.
    """
    if layer.kind != "mean":
        return []
    return [add_constant(model, f"{layer.name}/axes".encode(), np.array([1, 2], np.int32))]


def file_order(layer: Layer, kernel: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Transpose a kernel to the layout of a `.tflite`.

    Returns:
        [1, height, width, channels] for a depthwise layer, [outputs, height, width, inputs] for a convolution,
        [outputs, inputs] for a dense layer.
    """
    return np.transpose(kernel, (1, 0) if layer.kind == "dense" else (3, 0, 1, 2))


def kernel_scales(kernel: npt.NDArray[np.float32], axis: int | None) -> npt.NDArray[np.float32]:
    """Return the scales for rounding a kernel to 8 bits: the largest magnitude divided by 127.

    Args:
        kernel: weights in the layout of a `.tflite`.
        axis: axis with one scale per index; None for one scale for all weights.
    """
    largest = np.abs(kernel).max(axis=None if axis is None else tuple(i for i in range(kernel.ndim) if i != axis))
    return np.atleast_1d(np.asarray(np.where(largest > 0, largest, 1) / np.float32(LEVELS), np.float32))


def quantize_kernel(kernel: npt.NDArray[np.float32], axis: int | None) -> QuantizedKernel:
    """Round a kernel to 8 bits.

    Args:
        kernel: weights in the layout of a `.tflite`.
        axis: axis with one scale per index; None for one scale for all weights.
    """
    scales = kernel_scales(kernel, axis)
    spread = scales.reshape([-1 if i == (axis or 0) else 1 for i in range(kernel.ndim)])
    rounded = np.clip(np.rint(kernel / spread), -LEVELS, LEVELS).astype(np.int8)
    return QuantizedKernel(rounded, scales, axis or 0)


def output_axis(layer: Layer) -> int:
    """Return the axis number of the output channels in a kernel with the layout of a `.tflite`."""
    return 3 if layer.kind == "depthwise" else 0


# Versions for 8-bit kernels with float inputs. A dense layer has one scale: one per class would need version 12, which
# tflite-runtime 2.14 and the TensorFlow Lite on Maven Central (2.16.1) lack.
_DYNAMIC_VERSIONS = {"convolution": 5, "depthwise": 6, "dense": 9}


def _is_dynamic(weights: Parameters) -> bool:
    return weights.kernel.size >= _MIN_DYNAMIC


def _add_parameters(model: Any, layer: Layer, weights: Parameters, quantization: FloatQuantization) -> list[int]:
    kernel, name = file_order(layer, weights.kernel), layer.name.encode()
    if quantization == "float16":
        return [_add_half(model, name + b"/kernel", kernel), _add_half(model, name + b"/bias", weights.bias)]
    if quantization == "dynamic" and _is_dynamic(weights):
        integers = quantize_kernel(kernel, None if layer.kind == "dense" else output_axis(layer))
        quantization_params = quant_params(integers.scales, axis=integers.axis)
        kernel_index = add_constant(model, name + b"/kernel", integers.values, quantization_params)
    else:
        kernel_index = add_constant(model, name + b"/kernel", kernel)
    return [kernel_index, add_constant(model, name + b"/bias", weights.bias)]


def _add_half(model: Any, name: bytes, values: npt.NDArray[np.float32]) -> int:
    """Add a half-precision constant and its conversion to float32; return the index of the float32 tensor."""
    codes, types, graph = schema().BuiltinOperator, schema().TensorType, model.subgraphs[0]
    half = add_constant(model, name + b"16", values.astype(np.float16))
    wide = add_tensor(graph, name, values.shape, types.FLOAT32)
    graph.operators.append(new_operator(model, codes.DEQUANTIZE, 3, [half], [wide]))  # version 3 takes float16
    return wide
