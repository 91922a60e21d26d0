"""The two ends of an int8 model in float: its first convolution and its softmax.

Between them an int8 model is integer arithmetic, which gives the same result on every processor. So do these ends:
the first convolution's floats are chosen so that no sum is ever rounded, and the softmax's differences are too small to
see.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.photos.normalization import BACKBONE, PIXELS
from poets_edge.tflite.flatbuffer import builtin, constant, enter_constant, enter_operator, enter_tensor, schema

Array = npt.NDArray[np.float64]

_EXACT = 1 << 24
"""A float32 holds every whole number up to this one."""
_PIXEL_ZERO, _STEP = int(PIXELS.mean[0]), 1 / PIXELS.std[0]
_DIGITS = 7
"""Binary digits behind the point of the first layer's input, which is n * _STEP with n from -128 to 127."""


def put_first_layer_in_float(tree: Any) -> None:
    """Turn `QUANTIZE -> CONV_2D` at the start into `DEQUANTIZE -> float CONV_2D -> QUANTIZE`, with exact sums.

    Interpreters pad the channels of an 8-bit convolution to what their instructions multiply at once, 4 to 64, of
    which the three of a picture fill little: in float a whole inference takes less time on x86 and about as much on
    ARM (see `benchmarks/README.md`). To keep the answer the same on all of them, input, weights and bias are whole
    numbers over powers of two, so small that every sum, in whatever order, fits a float32. The weights stay those
    that were rounded to 8 bits.

    A uint8 input, taken to be normalised by BACKBONE, is made to take pixels as they are (PIXELS, with which weights
    and bias make up for the difference). A float32 input keeps its normalization and is rounded to n / 128, n from
    -128 to 127. A model that starts in another way stays as it is.
    """
    codes, types, graph = schema().BuiltinOperator, schema().TensorType, tree.subgraphs[0]
    if not _starts_with_int8_convolution(tree):
        return
    quantize, convolution = graph.operators[:2]
    photo, pixels = graph.tensors[quantize.inputs[0]], graph.tensors[convolution.inputs[0]]
    weights, bias = (_real_values(tree, graph.tensors[index]) for index in convolution.inputs[1:3])
    real = enter_tensor(graph, b"pixels", pixels.shape, types.FLOAT32)
    summed = enter_tensor(graph, b"first_layer", graph.tensors[convolution.outputs[0]].shape, types.FLOAT32)
    widen = enter_operator(tree, codes.DEQUANTIZE, 2, convolution.inputs[:1], [real])  # version 2 takes int8 and uint8
    narrow = enter_operator(tree, codes.QUANTIZE, 1, [summed], convolution.outputs)
    if photo.type == types.UINT8:
        _set_steps(photo, zero=_PIXEL_ZERO)
        weights, bias = for_pixels(weights, bias)
        widen.inputs, first = quantize.inputs, [widen]
    else:
        _set_steps(pixels, zero=0)
        first = [quantize, widen]
    exact_weights, exact_bias = exact_floats(weights, bias)
    convolution.inputs = [
        real,
        enter_constant(tree, b"first_layer/weights", exact_weights),
        enter_constant(tree, b"first_layer/bias", exact_bias),
    ]
    convolution.outputs = [summed]
    graph.operators[:2] = [*first, convolution, narrow]


def put_softmax_in_float(tree: Any) -> None:
    """Turn an int8 softmax at the end into `int8 logits -> DEQUANTIZE -> SOFTMAX -> scores`.

    TensorFlow Lite's int8 softmax reads exponentials from a table of 16 bits on 64-bit ARM, elsewhere from one of
    floats, and one score in fifty comes out a step of 1/256 apart. In float the processors agree to some 1e-7, and
    rounding to 8 bits hides that. It is a handful of numbers, so it costs no time. The output keeps its type and
    scale: uint8 after a QUANTIZE, or float32. A model that ends in another way stays as it is.
    """
    codes, types, graph = schema().BuiltinOperator, schema().TensorType, tree.subgraphs[0]
    if not _ends_in_int8_softmax(tree):
        return
    softmax, last = graph.operators[-2:]
    between = graph.tensors[softmax.outputs[0]]
    between.type, between.quantization = types.FLOAT32, None
    if builtin(tree, last) == codes.DEQUANTIZE:  # the two change places
        between.name = b"logits"
        graph.operators[-2:] = last, softmax
        before, middle, after = softmax.inputs, softmax.outputs, last.outputs
        last.inputs, last.outputs = before, middle
        softmax.inputs, softmax.outputs = middle, after
    else:
        logits = enter_tensor(graph, b"logits", between.shape, types.FLOAT32)
        graph.operators.insert(-2, enter_operator(tree, codes.DEQUANTIZE, 2, softmax.inputs, [logits]))
        softmax.inputs = [logits]


def exact_floats(weights: Array, bias: Array) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weights and bias of a convolution, rounded so that float32 adds up its products without an error.

    Args:
        weights: [outputs, height, width, channels]. They will meet inputs n / 128, n whole from -128 to 127.
        bias: [outputs].

    Returns:
        Both as float32. With an output's weights as m / 2**k, its products are whole numbers over 2**(7 + k), as is
        its bias, and k is the largest with which they can never add up to more than 2**24.
    """
    exact_weights, exact_bias = np.empty(weights.shape, np.float32), np.empty(bias.shape, np.float32)
    for output, (kernel, offset) in enumerate(zip(weights, bias, strict=True)):
        largest = 2**_DIGITS * (float(np.abs(kernel).sum()) + abs(float(offset)))
        rounding = 2**_DIGITS * kernel.size / 2 + 1
        k = math.floor(math.log2((_EXACT - rounding) / largest)) if largest else 0
        exact_weights[output] = np.ldexp(np.rint(np.ldexp(kernel, k)), -k)
        exact_bias[output] = np.ldexp(np.rint(np.ldexp(offset, _DIGITS + k)), -_DIGITS - k)
    return exact_weights, exact_bias


def for_pixels(weights: Array, bias: Array) -> tuple[Array, Array]:
    """Weights and bias that make of an input normalised by PIXELS what these make of one normalised by BACKBONE.

    The padding at the edges stays 0, which is a pixel of 128 then, and was one of 127.5.
    """
    [old_mean], [old_std], [mean], [std] = BACKBONE.mean, BACKBONE.std, PIXELS.mean, PIXELS.std
    return weights * (std / old_std), bias + (mean - old_mean) / old_std * weights.sum(axis=(1, 2, 3))


def _set_steps(tensor: Any, zero: int) -> None:
    tensor.quantization.scale, tensor.quantization.zeroPoint = [_STEP], [zero]


def _real_values(tree: Any, tensor: Any) -> Array:
    """The real numbers that a tensor's integers stand for; one scale for all, or one for each index of axis 0."""
    scale = np.asarray(tensor.quantization.scale, np.float64)
    integers = constant(tree, tensor)
    return np.asarray(integers * scale.reshape(-1, *[1] * (integers.ndim - 1)))


def _starts_with_int8_convolution(tree: Any) -> bool:
    """Its first operators are the conversion of its input to int8 and a convolution of that."""
    codes, types, graph = schema().BuiltinOperator, schema().TensorType, tree.subgraphs[0]
    if len(graph.operators) < 2:
        return False
    quantize, convolution = graph.operators[:2]
    return (
        builtin(tree, quantize) == codes.QUANTIZE
        and builtin(tree, convolution) == codes.CONV_2D
        and list(convolution.inputs[:1]) == list(quantize.outputs)
        and len(convolution.inputs) == 3
        and not any(quantize.outputs[0] in operator.inputs for operator in graph.operators[2:])
        and graph.tensors[quantize.outputs[0]].type == types.INT8
    )


def _ends_in_int8_softmax(tree: Any) -> bool:
    """Its last operators are an int8 softmax and the conversion of the scores to uint8 or float32."""
    codes, types, graph = schema().BuiltinOperator, schema().TensorType, tree.subgraphs[0]
    if len(graph.operators) < 2:
        return False
    softmax, last = graph.operators[-2:]
    return (
        builtin(tree, softmax) == codes.SOFTMAX
        and builtin(tree, last) in (codes.QUANTIZE, codes.DEQUANTIZE)
        and list(last.inputs) == list(softmax.outputs)
        and graph.tensors[softmax.outputs[0]].type == types.INT8
    )
