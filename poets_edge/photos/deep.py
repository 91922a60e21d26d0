"""Gray images with more than 8 bits per pixel, such as 16-bit PNGs and TIFFs with 32-bit or float values.

The type of the values determines their range, never the values of one photo: 0 is black, and white is 1 for floats and
the largest value of the type for integers (65535 for 16 bits, also what browsers and phones take). So all photos of a
folder are read alike, and a photo is read alike alone and in a folder. A photo that cannot have that range is refused:
one with values outside it, or one that would be almost black.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from poets_edge.errors import PhotoError

DEEP_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
"""Pillow's modes with more than 8 bits per pixel."""

_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339
"""Tags of TIFF."""
_SIGNED = 2
_DARK = 1 / 16
"""Fraction of the range that the brightest pixel must exceed, unless all pixels are 0."""
_FLOAT_LOWEST, _FLOAT_HIGHEST = -0.5, 2.0
"""Smallest and largest value of a float image with the range 0 to 1; sharpening exceeds it a little."""


def white_of(image: Image.Image) -> float:
    """Return the value that is white in an opened gray image with more than 8 bits."""
    if image.mode == "F":
        return 1.0
    tags = getattr(image, "tag_v2", None)
    if tags is None:  # a PNG, which Pillow may open as 32 bits, or an image without a file
        return 65535.0
    bits = max(np.atleast_1d(tags.get(_BITS_PER_SAMPLE, 16)).tolist())
    signed = max(np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)).tolist()) == _SIGNED
    return float(2 ** (bits - signed) - 1)


def check_range(image: Image.Image, white: float) -> None:
    """Raise PhotoError if the values of a decoded gray image do not have the range 0 to `white`."""
    lowest, highest = (_unsigned(value, white) for value in image.getextrema())  # type: ignore[arg-type]
    text = f"{highest:.4g}" if white == 1 else f"{highest:.0f}"
    if white == 1 and not _FLOAT_LOWEST <= lowest <= highest <= _FLOAT_HIGHEST:
        raise PhotoError(
            f"float values from {lowest:.4g} to {highest:.4g}, and 0 is black and 1 white. Scale them, or save the"
            " photo with 8 bits."
        )
    if 0 < highest < white * _DARK:
        raise PhotoError(
            f"almost black: its highest value is {text}, and {white:.0f} is white in its format. Scale the values of"
            " all photos of this kind alike, or save them with 8 bits."
        )


def to_gray(image: Image.Image, white: float) -> Image.Image:
    """Convert gray values from 0 to `white` to 8 bits: integers lose their lower bits, floats are rounded.

    Raises:
        PhotoError: a value is NaN or infinite.
    """
    values = np.asarray(image)
    if white == 1:
        if not np.isfinite(values).all():
            raise PhotoError("its float values contain NaN or infinity. Save it with 8 bits.")
        return Image.fromarray(np.rint(np.clip(values, 0, 1).astype(np.float64) * 255).astype(np.uint8))
    integers = values.astype(np.int64) if white <= 2**31 else values.astype(np.int64) & 0xFFFFFFFF
    gray = np.clip(integers, 0, int(white)) >> (int(white).bit_length() - 8)
    return Image.fromarray(gray.astype(np.uint8))


def _unsigned(value: float, white: float) -> float:
    """Return a value of a 32-bit image, which Pillow stores as signed."""
    return value + 2**32 if white > 2**31 and value < 0 else value
