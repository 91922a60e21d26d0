"""Convert networks to int8 `.tflite` files.

Between the first convolution and the softmax, the arithmetic is the same as in files from TensorFlow's converter: 8-bit
activations with one scale per tensor, 8-bit weights with one scale per output, and 32-bit biases. The first convolution
and the softmax are computed in float. The module `float_io` explains why, and why scores do not depend on the
processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.nets.layers import BOTTLENECK, INPUT, Layer
from poets_edge.nets.network import Network, Parameters
from poets_edge.photos.normalization import PIXELS
from poets_edge.quantize.float_io import exact_floats, for_pixels
from poets_edge.quantize.write_detector import add_detector
from poets_edge.quantize.write_model import (
    DESCRIPTION,
    LEVELS,
    axes_input,
    file_order,
    kernel_scales,
    layer_operator,
    output_axis,
    quantize_kernel,
)
from poets_edge.tflite.flatbuffer import (
    add_constant,
    add_tensor,
    new_model,
    new_operator,
    pack_model,
    quant_params,
    schema,
)

Range = tuple[float, float]
"""Smallest and largest output of a layer."""

INT8_VERSIONS = {
    "convolution": 3,
    "depthwise": 3,
    "max_pool": 2,
    "average_pool": 2,
    "concatenate": 2,
    "add": 2,
    "mean": 2,
    "dense": 4,
}
"""First version of the `.tflite` operator that accepts int8, for each kind of layer."""
_SHARED_QUANTIZATION = ("max_pool", "average_pool", "concatenate", "mean")
"""Kinds of layers whose output must have the same quantization as their inputs."""
_MAX_BIAS = 1 << 30


@dataclass(frozen=True)
class QuantParams:
    """Quantization of an int8 tensor: real = scale * (integer - zero_point)."""

    scale: np.float32
    zero_point: int

    @classmethod
    def over(cls, smallest: float, largest: float) -> QuantParams:
        """Return the quantization that covers the range from `smallest` to `largest` and represents 0 exactly."""
        smallest, largest = min(smallest, 0.0), max(largest, 0.0)
        scale = np.float32((largest - smallest) / 255 or 1.0)
        return cls(scale, int(np.clip(np.rint(-128 - smallest / scale), -128, 127)))


def can_be_int8(network: Network) -> bool:
    """Return whether a network can be converted to int8 and full-int8.

    The first layer must be a convolution and the only layer that reads the input; the last layer must be a softmax.
    """
    first, last = network.layers[0], network.layers[-1]
    readers = sum(INPUT in layer.sources for layer in network.layers)
    return first.kind == "convolution" and readers == 1 and last.kind == "softmax" and last.source != first.name


def weight_scales(layer: Layer, weights: Parameters, source_scale: np.float32) -> npt.NDArray[np.float32]:
    """Return the scales of a layer's weights, float32 [outputs], large enough that the biases fit into 32 bits."""
    scales = kernel_scales(file_order(layer, weights.kernel), output_axis(layer))
    least = np.abs(weights.bias) / (source_scale * np.float32(_MAX_BIAS))
    return np.asarray(np.maximum(scales, least), np.float32)


def write_int8_model(
    network: Network,
    ranges: Mapping[str, Range],
    *,
    float_io: bool = False,
    bottleneck_shift: npt.NDArray[np.float32] | None = None,
) -> bytes:
    """Convert a network to the bytes of an int8 `.tflite`; see `build_int8_model`."""
    return pack_model(build_int8_model(network, ranges, float_io=float_io, bottleneck_shift=bottleneck_shift))


def build_int8_model(
    network: Network,
    ranges: Mapping[str, Range],
    *,
    float_io: bool = False,
    bottleneck_shift: npt.NDArray[np.float32] | None = None,
) -> Any:
    """Convert a network to the `ModelT` of an int8 `.tflite`.

    Args:
        network: a network for which `can_be_int8` returns True; its kernels may already be rounded to 8 bits.
        ranges: smallest and largest output of each layer except the softmax, by layer name.
        float_io: whether the model accepts float32 values from -1 to 1 and returns float32 scores; by default, both
            are uint8.
        bottleneck_shift: values that the detector adds to the bottleneck, float32 [bottleneck_size]; by default
            nothing is added.

    Returns:
        A `ModelT` whose outputs are the output of the network and, if the network has a detector, the
        distance.
    """
    model = new_model(DESCRIPTION)
    graph, codes, types = model.subgraphs[0], schema().BuiltinOperator, schema().TensorType
    shapes, quantization = network.shapes(), layer_params(network, ranges)
    first, *inner, softmax = network.layers

    def add(name: str, dtype: int, shape: str, params: QuantParams | None = None) -> int:
        parameters = quant_params(params.scale, params.zero_point) if params else None
        return add_tensor(graph, name.encode(), (1, *shapes[shape]), dtype, parameters)

    def convert(code: int, version: int, source: int, target: int) -> None:
        graph.operators.append(new_operator(model, code, version, [source], [target]))

    # The first layer.
    real = QuantParams(np.float32(1 / PIXELS.std[0]), int(PIXELS.mean[0]))
    picture = add(INPUT, types.FLOAT32, INPUT) if float_io else add(INPUT, types.UINT8, INPUT, real)
    graph.inputs = [picture]
    if float_io:
        # To int8 and back, so that the pixels are n / 128, which the exact sums need.
        rounded = add("rounded", types.INT8, INPUT, QuantParams(real.scale, 0))
        convert(codes.QUANTIZE, 1, picture, rounded)
        picture = rounded
    pixels = add("pixels", types.FLOAT32, INPUT)
    convert(codes.DEQUANTIZE, 2, picture, pixels)  # version 2 takes int8 and uint8
    summed = add("first_layer", types.FLOAT32, first.name)
    kernel, bias = _first_layer(first, network.parameters[first.name], float_io)
    constants = [add_constant(model, b"first_layer/kernel", kernel), add_constant(model, b"first_layer/bias", bias)]
    graph.operators.append(layer_operator(model, first, 1, [pixels, *constants], summed))
    tensors = {first.name: add(first.name, types.INT8, first.name, quantization[first.name])}
    convert(codes.QUANTIZE, 1, summed, tensors[first.name])

    for layer in inner:
        inputs = [tensors[name] for name in layer.sources]
        if layer.has_weights():
            inputs += add_int8_parameters(model, layer, network.parameters[layer.name], quantization[layer.source])
        inputs += axes_input(model, layer)
        tensors[layer.name] = add(layer.name, types.INT8, layer.name, quantization[layer.name])
        graph.operators.append(layer_operator(model, layer, INT8_VERSIONS[layer.kind], inputs, tensors[layer.name]))

    # The softmax.
    logits = add("logits", types.FLOAT32, softmax.source)
    convert(codes.DEQUANTIZE, 2, tensors[softmax.source], logits)
    scores = add("scores" if not float_io else softmax.name, types.FLOAT32, softmax.name)
    graph.operators.append(layer_operator(model, softmax, 1, [logits], scores))
    if not float_io:
        whole = add(softmax.name, types.UINT8, softmax.name, QuantParams(np.float32(1 / 256), 0))
        convert(codes.QUANTIZE, 1, scores, whole)
        scores = whole
    graph.outputs = [scores]
    if network.detector is not None:
        bottleneck = add("detector/bottleneck", types.FLOAT32, BOTTLENECK)
        convert(codes.DEQUANTIZE, 2, tensors[BOTTLENECK], bottleneck)
        inner_output = None
        if network.detector.inner is not None:
            name = network.detector.inner.layer
            inner_output = add("detector/inner_layer", types.FLOAT32, name)
            convert(codes.DEQUANTIZE, 2, tensors[name], inner_output)
        distance = add_detector(
            model,
            bottleneck,
            network.detector,
            inner=inner_output,
            half=True,
            quantized=not float_io,
            shift=bottleneck_shift,
        )
        graph.outputs.append(distance)
    return model


def layer_params(network: Network, ranges: Mapping[str, Range]) -> dict[str, QuantParams]:
    """Return the output quantization of each layer except the softmax, by layer name.

    Layers that must have the same quantization get one that covers the ranges of all of them.
    """
    group = {layer.name: layer.name for layer in network.layers}

    def root(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for layer in network.layers:
        if layer.kind in _SHARED_QUANTIZATION:
            for source in layer.sources:
                group[root(source)] = root(layer.name)
    reach: dict[str, Range] = {}
    for layer in network.layers[:-1]:
        smallest, largest = reach.get(root(layer.name), (0.0, 0.0))
        mine = ranges[layer.name]
        reach[root(layer.name)] = min(smallest, mine[0]), max(largest, mine[1])
    return {layer.name: QuantParams.over(*reach[root(layer.name)]) for layer in network.layers[:-1]}


def _first_layer(
    layer: Layer, weights: Parameters, float_io: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the kernel, in the layout of a `.tflite`, and the bias of the first layer, rounded by `exact_floats`."""
    integers = quantize_kernel(file_order(layer, weights.kernel), output_axis(layer))
    kernel = integers.values * integers.scales.astype(np.float64)[:, None, None, None]
    bias = weights.bias.astype(np.float64)
    if not float_io:
        kernel, bias = for_pixels(kernel, bias)
    return exact_floats(kernel, bias)


def add_int8_parameters(model: Any, layer: Layer, weights: Parameters, source: QuantParams) -> list[int]:
    """Add the 8-bit kernel and the 32-bit bias of a layer to a model, and return the indices of their tensors.

    Args:
        model: a `ModelT`, changed in place.
        source: quantization of the layer's input, on which the scale of the bias depends.
    """
    axis, kernel = output_axis(layer), file_order(layer, weights.kernel)
    scales = weight_scales(layer, weights, source.scale)
    spread = scales.reshape([-1 if index == axis else 1 for index in range(kernel.ndim)])
    integers = np.clip(np.rint(kernel / spread), -LEVELS, LEVELS).astype(np.int8)
    bias_scales = source.scale * scales
    biases = np.clip(np.rint(weights.bias / bias_scales.astype(np.float64)), -(2**31), 2**31 - 1).astype(np.int32)
    name = layer.name.encode()
    return [
        add_constant(model, name + b"/kernel", integers, quant_params(scales, axis=axis)),
        add_constant(model, name + b"/bias", biases, quant_params(bias_scales)),
    ]
