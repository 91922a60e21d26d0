"""A network whose activations' ranges are known -> the bytes of an int8 `.tflite`, with its two ends in float.

Everything between the first convolution's output and the logits is integer arithmetic, as TensorFlow's converter
would make it (8-bit activations with one scale, 8-bit weights with one scale for each output, 32-bit biases), so it
answers the same on every processor. Why the ends are float, and how their sums stay exact: `float_ends`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Network, Parameters
from poets_edge.photos.normalization import PIXELS
from poets_edge.quantize.float_io import exact_floats, for_pixels
from poets_edge.quantize.write_model import (
    DESCRIPTION,
    LEVELS,
    enter_axes,
    in_file_order,
    integers_of,
    operator_of,
    output_axis,
    scales_of,
)
from poets_edge.tflite.flatbuffer import (
    enter_constant,
    enter_operator,
    enter_tensor,
    new_tree,
    schema,
    steps_of,
    write_tree,
)

Range = tuple[float, float]
"""The smallest and the largest value a layer answered."""

_VERSIONS = {
    "convolution": 3,
    "depthwise": 3,
    "max_pool": 2,
    "average_pool": 2,
    "concatenate": 2,
    "mean": 2,
    "dense": 4,
}
"""The first version of each operator that takes int8."""
_SAME_STEPS = ("max_pool", "average_pool", "concatenate", "mean")
"""Layers whose output has the scale of what they read."""
_LARGEST_BIAS = 1 << 30


@dataclass(frozen=True)
class Steps:
    """The meaning of a tensor's int8 values: scale * (value - zero_point)."""

    scale: np.float32
    zero_point: int

    @classmethod
    def over(cls, smallest: float, largest: float) -> Steps:
        """Those that reach over a range, in which 0 has a value of its own."""
        smallest, largest = min(smallest, 0.0), max(largest, 0.0)
        scale = np.float32((largest - smallest) / 255 or 1.0)
        return cls(scale, int(np.clip(np.rint(-128 - smallest / scale), -128, 127)))


def can_be_int8(network: Network) -> bool:
    """Whether a network starts with a convolution that alone reads the picture, and ends in a softmax of a layer."""
    first, last = network.layers[0], network.layers[-1]
    readers = sum(INPUT in layer.sources for layer in network.layers)
    return first.kind == "convolution" and readers == 1 and last.kind == "softmax" and last.source != first.name


def weight_scales(layer: Layer, numbers: Parameters, source_scale: np.float32) -> npt.NDArray[np.float32]:
    """The scales of a layer's 8-bit weights, in its kernel's file order; large enough for its bias to fit 32 bits."""
    scales = scales_of(in_file_order(layer, numbers.kernel), output_axis(layer))
    least = np.abs(numbers.bias) / (source_scale * np.float32(_LARGEST_BIAS))
    return np.asarray(np.maximum(scales, least), np.float32)


def write_int8_model(network: Network, ranges: Mapping[str, Range], *, float_io: bool = False) -> bytes:
    """Write a network as an int8 model.

    Args:
        network: one for which `can_be_int8`; its kernels may have been rounded to the 8-bit grid with more care than
            each by itself.
        ranges: of every layer's output but the softmax's.
        float_io: float32 pixels (normalised by BACKBONE) and scores; otherwise both are uint8, the pixels as they are.
    """
    tree = new_tree(DESCRIPTION)
    graph, codes, types = tree.subgraphs[0], schema().BuiltinOperator, schema().TensorType
    shapes, steps = network.shapes(), _steps(network, ranges)
    first, *inner, softmax = network.layers

    def enter(name: str, dtype: int, shape: str, given: Steps | None = None) -> int:
        meaning = steps_of(given.scale, given.zero_point) if given else None
        return enter_tensor(graph, name.encode(), (1, *shapes[shape]), dtype, meaning)

    def convert(code: int, version: int, source: int, target: int) -> None:
        graph.operators.append(enter_operator(tree, code, version, [source], [target]))

    # The first layer.
    real = Steps(np.float32(1 / PIXELS.std[0]), int(PIXELS.mean[0]))
    picture = enter(INPUT, types.FLOAT32, INPUT) if float_io else enter(INPUT, types.UINT8, INPUT, real)
    graph.inputs = [picture]
    if float_io:
        # Through int8 and back: so the pixels are n / 128, as the exact sums need them.
        rounded = enter("rounded", types.INT8, INPUT, Steps(real.scale, 0))
        convert(codes.QUANTIZE, 1, picture, rounded)
        picture = rounded
    pixels = enter("pixels", types.FLOAT32, INPUT)
    convert(codes.DEQUANTIZE, 2, picture, pixels)  # version 2 takes int8 and uint8
    summed = enter("first_layer", types.FLOAT32, first.name)
    kernel, bias = _first_layer(first, network.parameters[first.name], float_io)
    constants = [enter_constant(tree, b"first_layer/kernel", kernel), enter_constant(tree, b"first_layer/bias", bias)]
    graph.operators.append(operator_of(tree, first, 1, [pixels, *constants], summed))
    tensors = {first.name: enter(first.name, types.INT8, first.name, steps[first.name])}
    convert(codes.QUANTIZE, 1, summed, tensors[first.name])

    for layer in inner:
        inputs = [tensors[name] for name in layer.sources]
        if layer.has_weights():
            inputs += _enter_parameters(tree, layer, network.parameters[layer.name], steps[layer.source])
        inputs += enter_axes(tree, layer)
        tensors[layer.name] = enter(layer.name, types.INT8, layer.name, steps[layer.name])
        graph.operators.append(operator_of(tree, layer, _VERSIONS[layer.kind], inputs, tensors[layer.name]))

    # The softmax.
    logits = enter("logits", types.FLOAT32, softmax.source)
    convert(codes.DEQUANTIZE, 2, tensors[softmax.source], logits)
    scores = enter("scores" if not float_io else softmax.name, types.FLOAT32, softmax.name)
    graph.operators.append(operator_of(tree, softmax, 1, [logits], scores))
    if not float_io:
        whole = enter(softmax.name, types.UINT8, softmax.name, Steps(np.float32(1 / 256), 0))
        convert(codes.QUANTIZE, 1, scores, whole)
        scores = whole
    graph.outputs = [scores]
    return write_tree(tree)


def _steps(network: Network, ranges: Mapping[str, Range]) -> dict[str, Steps]:
    """The steps of every layer's output; those that must share them get a range over all of theirs."""
    group = {layer.name: layer.name for layer in network.layers}

    def root(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for layer in network.layers:
        if layer.kind in _SAME_STEPS:
            for source in layer.sources:
                group[root(source)] = root(layer.name)
    reach: dict[str, Range] = {}
    for layer in network.layers[:-1]:
        smallest, largest = reach.get(root(layer.name), (0.0, 0.0))
        mine = ranges[layer.name]
        reach[root(layer.name)] = min(smallest, mine[0]), max(largest, mine[1])
    return {layer.name: Steps.over(*reach[root(layer.name)]) for layer in network.layers[:-1]}


def _first_layer(
    layer: Layer, numbers: Parameters, float_io: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Kernel (in file order) and bias in float32 so that no sum is ever rounded; the kernel from its 8 bits."""
    integers = integers_of(in_file_order(layer, numbers.kernel), output_axis(layer))
    kernel = integers.values * integers.scales.astype(np.float64)[:, None, None, None]
    bias = numbers.bias.astype(np.float64)
    if not float_io:
        kernel, bias = for_pixels(kernel, bias)
    return exact_floats(kernel, bias)


def _enter_parameters(tree: Any, layer: Layer, numbers: Parameters, source: Steps) -> list[int]:
    axis, kernel = output_axis(layer), in_file_order(layer, numbers.kernel)
    scales = weight_scales(layer, numbers, source.scale)
    spread = scales.reshape([-1 if index == axis else 1 for index in range(kernel.ndim)])
    integers = np.clip(np.rint(kernel / spread), -LEVELS, LEVELS).astype(np.int8)
    bias_scales = source.scale * scales
    biases = np.clip(np.rint(numbers.bias / bias_scales.astype(np.float64)), -(2**31), 2**31 - 1).astype(np.int32)
    name = layer.name.encode()
    return [
        enter_constant(tree, name + b"/kernel", integers, steps_of(scales, axis=axis)),
        enter_constant(tree, name + b"/bias", biases, steps_of(bias_scales)),
    ]
