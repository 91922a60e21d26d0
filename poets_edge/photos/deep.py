"""Convert gray images with more than 8 bits per pixel, such as 16-bit PNGs and TIFFs with 32-bit or float values.

The data type determines the range of the values: 0 is black, and white is 1 for floats and the largest value of the
type for integers (65535 for 16 bits, as in browsers and on phones). The values in a particular photo do not influence
the range, so a photo is converted in the same way, whether alone or in a folder. A photo is rejected if its values
evidently have another range: if float values are far outside 0 to 1, or if the photo would be almost black.
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
    """Return whether an image has 16 bits per color channel, only the upper 8 of which Pillow decodes.

    Args:
        image: image that is opened but not yet decoded.
    """
    if image.format not in ("PNG", "TIFF") or image.mode in DEEP_MODES:
        return False
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def check_deep_color(image: Image.Image) -> None:
    """Raise PhotoError if a decoded image with 16 bits per color is almost black.

    The limit is 1/16 of white. Darker images usually contain values of 12 bits that were not scaled to 16 bits.
    """
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
    """Raise PhotoError if the values of a decoded gray image evidently do not range from 0 to `white`.

    This is the case if the brightest pixel is darker than `white` / 16, or if a float value is below -0.5 or above 2.
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
    """Return a pixel value with its sign corrected.

    Pillow reads unsigned 32-bit values as signed ones. If `white`, the pixel value of white, shows that the image has
    unsigned values, 2**32 is added to a negative value.
    """
    return value + 2**32 if white > 2**31 and value < 0 else value
