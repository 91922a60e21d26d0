"""Write pixels into a model's input tensor: layout, normalization and quantization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError
from poets_edge.photos.image import Pixels, normalizer
from poets_edge.photos.normalization import Normalization
from poets_edge.tflite.session import TensorInfo

Fill: TypeAlias = "Callable[[Pixels, npt.NDArray[Any]], object]"
"""Function that writes pixels, uint8 [height, width, 3], into an input tensor without its batch dimension."""

_GRAY, _RGB = 1, 3
LUMA = np.array([19595, 38470, 7471], np.uint32)
"""Weights of red, green and blue in a gray value (ITU-R BT.601), times 65536; Pillow uses these weights in mode "L"."""
_TYPES = (np.float32, np.float16, np.uint8, np.int8, np.int16, np.int32)


@dataclass(frozen=True)
class ImageLayout:
    """Layout of an input tensor that holds one image.

    Attributes:
        size: (height, width), pixels.
        channels: 3 for RGB, 1 for gray.
        channels_first: whether the shape is [1, channels, height, width] instead of [1, height, width, channels].
    """

    size: tuple[int, int]
    channels: int
    channels_first: bool


def image_layout(tensor: TensorInfo, path: Path) -> ImageLayout:
    """Return the layout of an input tensor.

    Raises:
        ModelError: the tensor does not contain one RGB or gray image of fixed size, or has an unsupported dtype.
    """
    if tensor.dtype not in _TYPES:
        raise ModelError(f"{path}: its input is {tensor.dtype}; an image is float, or an integer of 8 to 32 bits.")
    shape = tensor.shape
    if len(shape) == 4 and shape[0] == 1:
        for channels_first, (height, width, channels) in ((False, shape[1:]), (True, (shape[2], shape[3], shape[1]))):
            if channels in (_RGB, _GRAY) and not (channels == _GRAY and min(height, width) <= _RGB):
                return ImageLayout((height, width), channels, channels_first)
    raise ModelError(
        f"{path}: input shape {list(shape)} is not one RGB or gray picture: [1, height, width, 3] or [1, 3, height,"
        " width]. Convert it again with an input of this shape."
    )


def input_filler(tensor: TensorInfo, layout: ImageLayout, normalization: Normalization) -> Fill:
    """Return a function that writes pixels into an input tensor with the given layout and normalization."""
    fill = _channels_last_filler(tensor, normalization)
    if layout.channels == _RGB and not layout.channels_first:
        return fill

    def arranged(pixels: Pixels, out: npt.NDArray[Any]) -> None:
        image = gray_pixels(pixels) if layout.channels == _GRAY else pixels
        fill(image, out.transpose(1, 2, 0) if layout.channels_first else out)

    return arranged


def _channels_last_filler(tensor: TensorInfo, normalization: Normalization) -> Fill:
    normalize = normalizer(normalization)
    if tensor.dtype == np.float32:
        return normalize
    if tensor.dtype == np.float16:

        def narrow(pixels: Pixels, out: npt.NDArray[Any]) -> None:
            values = np.empty(pixels.shape, np.float32)
            normalize(pixels, values)
            out[...] = values

        return narrow
    if not tensor.scale:
        return lambda pixels, out: np.copyto(out, pixels, casting="unsafe")
    # A quantized input has one value for each of the 256 pixel values of a channel: a table. Pixels cannot be copied to
    # every model: scale 1/127.5 with zero point 127, the choice of TensorFlow's converter, shifts them by a step.
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    real = np.empty(levels.shape, np.float32)
    normalize(levels, real)
    limits = np.iinfo(tensor.dtype)
    quantized = np.rint(real / np.float32(tensor.scale)) + tensor.zero_point
    table = np.clip(quantized, limits.min, limits.max).astype(tensor.dtype)
    if tensor.dtype == np.uint8 and np.array_equal(table, levels):
        return lambda pixels, out: np.copyto(out, pixels)
    if (table == table[:, :1]).all():
        shared = np.ascontiguousarray(table[:, 0])
        return lambda pixels, out: np.take(shared, pixels, out=out, mode="clip")

    def fill(pixels: Pixels, out: npt.NDArray[Any]) -> None:
        for channel in range(out.shape[-1]):
            out[..., channel] = table[pixels[..., channel], channel]

    return fill


def gray_pixels(pixels: Pixels) -> Pixels:
    """Convert RGB pixels, uint8 [height, width, 3], to gray values, uint8 [height, width, 1]."""
    return ((pixels @ LUMA + 0x8000) >> 16).astype(np.uint8)[..., None]
