"""Resize images by bilinear interpolation without antialiasing, as MediaPipe does.

Output sample i is interpolated between the two input samples next to the position i * n / m, where n and m are the
numbers of input and output samples. OpenCV's `warpPerspective`, which MediaPipe calls, and TensorFlow 1's
`resize_bilinear` work in this way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

_Array = npt.NDArray[np.int32]

_FRACTION_BITS = 22
"""Number of fractional bits of the weights. The web page and the Android app use the same fixed-point arithmetic."""


def interpolate(image: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize an RGB image without keeping the aspect ratio and without antialiasing.

    Args:
        size: (height, width) in pixels.

    Returns:
        uint8 array of shape [height, width, 3].
    """
    height, width = size
    top, bottom, row_weight = _neighbors(image.height, height)
    left, right, column_weight = _neighbors(image.width, width)
    rows = np.asarray(image)[np.concatenate([top, bottom])]
    narrowed = _blended(rows[:, left], rows[:, right], column_weight[:, None])
    return _blended(narrowed[:height], narrowed[height:], row_weight[:, None, None])


def _neighbors(size: int, new_size: int) -> tuple[_Array, _Array, _Array]:
    """Return the two input samples from which each output sample is interpolated, and the weight of the second one.

    Args:
        size: number of input samples in a row or column.
        new_size: number of output samples.

    Returns:
        Index of the first sample, index of the second sample, and weight of the second sample, times 2**22 and rounded;
        each int32 [new_size].
    """
    place = np.arange(new_size) * (size / new_size)
    first = np.floor(place).astype(np.int32)
    weight = ((place - first) * (1 << _FRACTION_BITS) + 0.5).astype(np.int32)
    return first, np.minimum(first + 1, size - 1), weight


def _blended(
    one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], weight: npt.NDArray[np.int32]
) -> npt.NDArray[np.uint8]:
    """Return (1 - w) * one + w * other, rounded to uint8.

    Args:
        one, other: arrays of the same shape.
        weight: the weight w, 0 to 1, times 2**22.
    """
    sums = one * ((1 << _FRACTION_BITS) - weight) + other * weight + (1 << _FRACTION_BITS - 1)
    return (sums >> _FRACTION_BITS).astype(np.uint8)
