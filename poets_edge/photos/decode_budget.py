"""Estimate the memory that decoding a photo needs, from the header of the photo.

A file of 281 bytes may declare 169 million pixels. The estimate is computed from the size, format and pixel mode of the
image; a photo that needs more than `BUDGET` is rejected before it is decoded.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from PIL import Image, UnidentifiedImageError

from poets_edge.photos.formats import photo_format

BUDGET = 400 << 20
"""Maximum memory for decoding one photo, in bytes. It suffices for an RGB PNG of 100 megapixels, or a JPEG of 800
megapixels, which is decoded at 1/8 of its size."""
LARGE = 160 << 20
"""Photos that need more memory than this for decoding, in bytes, are decoded one at a time. An RGB PNG of 40
megapixels or a progressive JPEG of 27 megapixels needs this much."""

_PLUGINS = {"WEBP": "WebP"}
_HEIF_PLUGINS = ("pi_heif", "pillow_heif")
"""Plugins for HEIF, which Pillow itself cannot decode. The first is preferred, because it contains no GPL code."""
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
"""Number of bytes per pixel in memory, by Pillow image mode; modes that are not listed need 4."""
_DECODER = {"GIF": 2, "TIFF": 2, "WEBP": 3, "HEIF": 3, "AVIF": 3}
"""Number of copies of the image that a decoder holds in memory, by format; 1 for formats that are not listed."""
_COEFFICIENTS = 6
"""Number of bytes per pixel that the decoder of a progressive JPEG needs for the DCT coefficients. It stores them
for all pixels in the file, even if it decodes the photo to a smaller size."""
_RGB = 4


_WAYS_OUT = {
    "HEIF": "a HEIC photo, which Pillow does not decode by itself. Run: pip install pi-heif",
    "AVIF": "an AVIF photo, which this Pillow does not decode. Run: pip install --upgrade pillow",
}


class MissingDecoderError(UnidentifiedImageError):
    """Raised if no decoder for the format of a photo is installed; the message explains how to install one."""


def format_of(header: bytes) -> str:
    """Return Pillow's name for the format of a photo, given the first bytes of its file, and load the decoder.

    Only photo formats are accepted, because decoders for other formats may run programs: EPS starts Ghostscript.

    Raises:
        MissingDecoderError: no decoder for the format is installed.
        PIL.UnidentifiedImageError: the bytes do not belong to a photo format.
    """
    name = photo_format(header)
    if name is None:
        raise UnidentifiedImageError("not a photo format")
    if name == "HEIF":
        _register_heif()
    else:
        with contextlib.suppress(ImportError):  # an old Pillow has no AVIF
            importlib.import_module(f"PIL.{_PLUGINS.get(name, name.title())}ImagePlugin")
    if name in Image.OPEN:
        return name
    raise MissingDecoderError(_WAYS_OUT.get(name, f"a {name} picture, which this Pillow does not decode."))


def _register_heif() -> None:
    for module in _HEIF_PLUGINS:
        with contextlib.suppress(ImportError):
            importlib.import_module(module).register_heif_opener()
            return


def bytes_needed(image: Image.Image, full: tuple[int, int]) -> int:
    """Return the estimated memory for decoding an image and converting it to RGB, in bytes.

    Args:
        image: image that is opened but not yet decoded; its size is the size after decoding.
        full: (width, height) as stored in the file, which may be larger than the size after decoding.
    """
    pixels = image.width * image.height
    each = _BYTES.get(image.mode, 4) * _DECODER.get(image.format or "", 1)
    coefficients = _COEFFICIENTS * full[0] * full[1] if _is_progressive(image.info) else 0
    return coefficients + pixels * (each if image.mode == "RGB" else each + _RGB)


def most_megapixels(image: Image.Image, full: tuple[int, int]) -> float:
    """Return the number of megapixels that a photo with the format and mode of `image` may have.

    Larger photos are rejected before decoding, because they would need more than 400 MiB (BUDGET) of memory.

    Args:
        image: image that is opened but not yet decoded.
        full: (width, height) as stored in the file, which may be larger than the size after decoding.
    """
    return BUDGET / bytes_needed(image, full) * full[0] * full[1] / 1e6


def _is_progressive(info: dict[Any, Any]) -> bool:
    return bool(info.get("progressive") or info.get("progression"))
