"""Float weights for the first convolution of an int8 model.

An int8 model computes the same scores on every processor. Its first convolution and its softmax are computed in float;
all operators between them use integer arithmetic. The reasons are:

- Interpreters pad the channels of an 8-bit convolution to a multiple of 4 to 64, which is inefficient for the three
  channels of an image. With a float convolution, inference is faster on x86 and about as fast on ARM
  (`benchmarks/README.md`). `exact_floats` chooses its weights so that no sum is ever rounded.
- TensorFlow Lite's int8 softmax reads exponentials from a 16-bit table on 64-bit ARM and from a float table elsewhere,
  so that one score in fifty differs by 1/256. Float softmaxes differ by about 1e-7 only, which disappears when scores
  are rounded to 8 bits.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from poets_edge.photos.normalization import BACKBONE, PIXELS

Array = npt.NDArray[np.float64]

_EXACT = 1 << 24
"""Largest n for which float32 represents all integers from 0 to n exactly."""
_DIGITS = 7
"""Number of fractional bits in the inputs of the first layer, which are n / 128 for integers n from -128 to 127."""


def exact_floats(weights: Array, bias: Array) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Round the weights and bias of a convolution so that float32 sums of its products are exact, in any order.

    Args:
        weights: [outputs, height, width, channels], for inputs n / 128 with integer n from -128 to 127.
        bias: [outputs].

    Returns:
        The weights and the bias as float32. The weights of an output are m / 2**k with integer m, so its products and
        its bias are integers divided by 2**(7 + k). For each output, k is the largest integer for which no sum of these
        integers can exceed 2**24.
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
    """Convert weights and bias for inputs (pixel - 127.5) / 127.5 to weights and bias for inputs (pixel - 128) / 128.

    Padding remains 0; it represents a pixel value of 128 after the conversion, and 127.5 before it.

    Args:
        weights: [outputs, height, width, channels].
        bias: [outputs].
    """
    [old_mean], [old_std], [mean], [std] = BACKBONE.mean, BACKBONE.std, PIXELS.mean, PIXELS.std
    return weights * (std / old_std), bias + (mean - old_mean) / old_std * weights.sum(axis=(1, 2, 3))
