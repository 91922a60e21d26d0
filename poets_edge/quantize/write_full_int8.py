"""Convert networks to full-int8 `.tflite` files, in which all operators use integer arithmetic.

Microcontrollers and NPUs require full-int8 files. CPUs are faster with int8 files, whose first convolution and softmax
are computed in float (see `float_io`). TensorFlow Lite and TensorFlow Lite Micro round the sums in a layer identically,
except for negative values halfway between two integers, which `_with_positive_outputs` avoids. XNNPACK rounds sums
differently, and later layers amplify the differences to a few percentage points of a score. `Classifier` therefore runs
full-int8 files without XNNPACK.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from poets_edge.nets.layers import BOTTLENECK, INPUT, Layer
from poets_edge.nets.network import Network, Parameters
from poets_edge.photos.normalization import PIXELS
from poets_edge.quantize.float_io import for_pixels
from poets_edge.quantize.write_int8 import INT8_VERSIONS, QuantParams, Range, add_int8_parameters, layer_params
from poets_edge.quantize.write_int8_detector import add_int8_detector
from poets_edge.quantize.write_model import DESCRIPTION, axes_input, file_order, layer_operator
from poets_edge.tflite.flatbuffer import add_tensor, new_model, new_operator, pack_model, quant_params, schema

InputType = Literal["uint8", "int8"]
INPUT_TYPES: tuple[InputType, ...] = get_args(InputType)

_PIXEL = QuantParams(np.float32(1 / PIXELS.std[0]), 0)
"""Quantization of the first convolution's input, in which each integer is a pixel value minus 128."""
_SCORE = QuantParams(np.float32(1 / 256), -128)
"""Output quantization that TensorFlow Lite requires for an int8 softmax."""
_UINT8_OFFSET = 128
_SOFTMAX_VERSION = 2
_QUANTIZE_VERSION = 2


def write_full_int8_model(
    network: Network,
    ranges: Mapping[str, Range],
    *,
    bottlenecks: npt.NDArray[np.float32] | None = None,
    inner: npt.NDArray[np.float32] | None = None,
    input_type: InputType = "uint8",
    gray: bool = False,
) -> bytes:
    """Convert a network to the bytes of a full-int8 `.tflite`.

    Args:
        network: a network for which `can_be_int8` returns True; its kernels may already be rounded to 8 bits.
        ranges: smallest and largest output of each layer except the softmax, by layer name.
        bottlenecks: bottlenecks of calibration photos, float32 [photos, bottleneck_size]; None to write no
            detector.
        inner: averaged outputs of the detector's inner layer for calibration photos, float32 [photos, channels]; None
            if there is no such layer.
        input_type: type of the input and of the outputs: "uint8" for pixel values and for scores times 256, which needs
            an additional operator at each end; "int8" for these values minus 128.
        gray: whether the input is gray, with one channel; the scores equal those for RGB pixels with three equal
            channels.

    Returns:
        The bytes of a model whose outputs are the output of the network and, if a detector was written, the
        distance.
    """
    network, ranges = _with_positive_outputs(network, ranges)
    model = new_model(DESCRIPTION)
    graph, codes, types = model.subgraphs[0], schema().BuiltinOperator, schema().TensorType
    shapes = network.shapes()
    if gray:
        shapes[INPUT] = (*shapes[INPUT][:2], 1)
    *body, softmax = network.layers
    quantization = {INPUT: _PIXEL, **layer_params(network, ranges), softmax.name: _SCORE}

    def add(name: str, layer: str, dtype: int = types.INT8) -> int:
        """Add a tensor for a layer's output, as int8 or uint8, and return the index of the tensor."""
        params = quantization[layer]
        zero_point = params.zero_point + (_UINT8_OFFSET if dtype == types.UINT8 else 0)
        return add_tensor(graph, name.encode(), (1, *shapes[layer]), dtype, quant_params(params.scale, zero_point))

    def convert(source: int, target: int) -> None:
        graph.operators.append(new_operator(model, codes.QUANTIZE, _QUANTIZE_VERSION, [source], [target]))

    if input_type == "uint8":
        tensors = {INPUT: add("pixels", INPUT)}
        graph.inputs = [add(INPUT, INPUT, types.UINT8)]
        convert(graph.inputs[0], tensors[INPUT])
    else:
        tensors = {INPUT: add(INPUT, INPUT)}
        graph.inputs = [tensors[INPUT]]
    for layer in body:
        inputs = [tensors[name] for name in layer.sources]
        if layer.has_weights():
            weights = _for_input(layer, network.parameters[layer.name], gray)
            inputs += add_int8_parameters(model, layer, weights, quantization[layer.source])
        inputs += axes_input(model, layer)
        tensors[layer.name] = add(layer.name, layer.name)
        graph.operators.append(layer_operator(model, layer, INT8_VERSIONS[layer.kind], inputs, tensors[layer.name]))
    scores = add(softmax.name, softmax.name)
    graph.operators.append(layer_operator(model, softmax, _SOFTMAX_VERSION, [tensors[softmax.source]], scores))
    graph.outputs = [scores]
    if network.detector is not None and bottlenecks is not None:
        projection = network.detector.inner
        found = None if projection is None or inner is None else (tensors[projection.layer], inner)
        graph.outputs.append(add_int8_detector(model, tensors[BOTTLENECK], network.detector, bottlenecks, inner=found))
    if input_type == "uint8":
        graph.outputs = [_add_uint8_output(model, output) for output in graph.outputs]
    return pack_model(model)


def _add_uint8_output(model: Any, output: int) -> int:
    """Append an operator that converts an int8 output to uint8 by adding 128; return the index of the uint8 tensor.

    The uint8 tensor has the name that the output had before; `_int8` is appended to the name of the int8 tensor.
    """
    signed = model.subgraphs[0].tensors[output]
    name, quantization = signed.name, signed.quantization
    signed.name = name + b"_int8"
    params = quant_params(quantization.scale, int(quantization.zeroPoint[0]) + _UINT8_OFFSET)
    unsigned = add_tensor(model.subgraphs[0], name, signed.shape, schema().TensorType.UINT8, params)
    code = schema().BuiltinOperator.QUANTIZE
    model.subgraphs[0].operators.append(new_operator(model, code, _QUANTIZE_VERSION, [output], [unsigned]))
    return unsigned


def _with_positive_outputs(network: Network, ranges: Mapping[str, Range]) -> tuple[Network, Mapping[str, Range]]:
    """Return an equivalent network in which layers without an activation function have no negative outputs.

    Interpreters differ in how they round negative values halfway between two integers, such as -0.5. A constant is
    therefore added to the bias of each layer without an activation function, and subtracted again in the layers that
    read its output. Such layers precede the softmax and, in EfficientNet-Lite, the additions.

    Returns:
        The network, and the output range of each layer, keyed by the layer's name.
    """
    parameters, shifted, offsets = dict(network.parameters), dict(ranges), dict[str, float]()
    movable = _layers_with_free_offset(network)
    for layer in network.layers[:-1]:
        if layer.has_weights():
            weights = parameters[layer.name]
            bias = weights.bias
            if offset := offsets.get(layer.source):
                bias = bias - offset * weights.kernel.reshape(-1, layer.outputs).sum(axis=0)
            if layer.activation == "none" and layer.name in movable:
                offsets[layer.name] = -min(ranges[layer.name][0], 0.0)
            parameters[layer.name] = Parameters(weights.kernel, bias + np.float32(offsets.get(layer.name, 0)))
        elif layer.name in movable:  # an addition or a mean: of the sources, each with its offset
            offsets[layer.name] = sum(offsets.get(source, 0) for source in layer.sources)
        low, high = ranges[layer.name]
        shifted[layer.name] = low + offsets.get(layer.name, 0), high + offsets.get(layer.name, 0)
    return replace(network, parameters=parameters), shifted


def _layers_with_free_offset(network: Network) -> set[str]:
    """Return the names of the layers to whose output a constant can be added without changing the scores.

    The layers that read the output must compensate for the constant. Dense layers and 1x1 convolutions do so with their
    bias, a softmax ignores it, and additions and means pass it on. Other convolutions cannot, because padding is 0. If
    there is an unknown-photo detector, the bottleneck layer is excluded, because the detector depends on the Euclidean
    length of its output.
    """
    free: set[str] = set()
    for layer in reversed(network.layers):
        if network.detector is not None and layer.name == BOTTLENECK:
            continue
        if all(_compensates(reader, free) for reader in network.layers if layer.name in reader.sources):
            free.add(layer.name)
    return free


def _compensates(reader: Layer, free: Collection[str]) -> bool:
    if reader.kind in ("add", "mean"):
        return reader.activation == "none" and reader.name in free
    return reader.kind in ("dense", "softmax") or (reader.kind == "convolution" and reader.kernel == (1, 1))


def _for_input(layer: Layer, weights: Parameters, gray: bool) -> Parameters:
    """Return the weights of a layer, adapted to the input of the full-int8 model if the layer reads it.

    The input consists of pixel values minus 128, divided by 128 (PIXELS), instead of values from -1 to 1.

    Args:
        gray: whether the input has a single channel instead of three.
    """
    if INPUT not in layer.sources:
        return weights
    kernel, bias = for_pixels(file_order(layer, weights.kernel).astype(np.float64), weights.bias.astype(np.float64))
    if gray:
        kernel = kernel.sum(axis=3, keepdims=True)
    return Parameters(kernel.transpose(1, 2, 3, 0).astype(np.float32), bias.astype(np.float32))
