"""Gray images with more than 8 bits per pixel, such as 16-bit PNGs and TIFFs with 32-bit or float values.

The data type determines the range of the values: 0 is black, and white is 1 for floats and the largest value of the
type for integers (65535 for 16 bits, as in browsers and on phones). The values in a particular photo do not influence
the range, so photos are converted consistently, whether alone or in a folder. A photo that evidently has another range
is rejected: if it has float values far outside the range, or if it would be almost black.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from poets_edge.errors import PhotoError

DEEP_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
"""Pillow's image modes for gray images with more than 8 bits per pixel."""

_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339
"""Numbers of the TIFF tags BitsPerSample and SampleFormat."""
_SIGNED = 2
_DARK = 1 / 16
"""Smallest accepted value of the brightest pixel, as a fraction of white; an image with only zeros is accepted too."""
_FLOAT_LOWEST, _FLOAT_HIGHEST = -0.5, 2.0
"""Smallest and largest accepted value in a float image. The nominal range is 0 to 1, which sharpening may exceed."""


def is_deep_color(image: Image.Image) -> bool:
    """Return whether an opened, not yet decoded image has 16 bits per color channel; Pillow keeps the upper 8."""
    if image.format not in ("PNG", "TIFF") or image.mode in DEEP_MODES:
        return False
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def check_deep_color(image: Image.Image) -> None:
    """Raise PhotoError if a decoded image with 16 bits per color is almost black, as if its values had only 12 bits."""
    bands = [limits for band, limits in zip(image.getbands(), _extrema(image), strict=True) if band != "A"]
    highest = max(limits[1] for limits in bands)
    if highest < 256 * _DARK:
        raise PhotoError(
            f"almost black: its values are below {256 * (highest + 1)}, and 65535 is white in its format. Scale the"
            " values of all photos of this kind alike, or save them with 8 bits."
        )


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    """Return the lowest and the highest value of each channel."""
    found: Any = image.getextrema()
    return list(found) if isinstance(found[0], tuple) else [found]


def white_value(image: Image.Image) -> float:
    """Return the pixel value that represents white in an opened gray image with more than 8 bits per pixel."""
    if image.mode == "F":
        return 1.0
    tags = getattr(image, "tag_v2", None)
    if tags is None:  # a PNG, which Pillow may open as 32 bits, or an image without a file
        return 65535.0
    bits = max(np.atleast_1d(tags.get(_BITS_PER_SAMPLE, 16)).tolist())
    signed = max(np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)).tolist()) == _SIGNED
    return float(2 ** (bits - signed) - 1)


def check_range(image: Image.Image, white: float) -> None:
    """Raise PhotoError if the values in a decoded gray image evidently do not have the range 0 to `white`.

    This is the case if float values are far outside the range, or if the brightest pixel is almost black.
    """
    # Of values on both sides of 2**31, the lowest and the highest signed ones are some on each side, in reverse order.
    lowest, highest = sorted(_unsigned(value, white) for value in image.getextrema())  # type: ignore[arg-type]
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
    """Convert an image with gray values from 0 to `white` to 8 bits; integers are truncated, and floats are rounded.

    Raises:
        PhotoError: a float value is NaN or infinite.
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
    """Correct the sign of a pixel value.

    Pillow reads 32-bit unsigned values as signed ones. If `white` shows that the values of the image are unsigned,
    2**32 is added to negative values.
    """
    return value + 2**32 if white > 2**31 and value < 0 else value
