"""Whether a picture can be decoded in the memory that there is for one, told from its header alone.

The header of a picture of 281 bytes may promise 169 million pixels. What decoding it will take follows from its size,
its format and its kind of pixels; above `BUDGET` it is refused before a pixel is decoded.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from typing import Any

from PIL import Image, UnidentifiedImageError

BUDGET = 400 << 20
"""Bytes for one picture: 100 megapixels of a PNG in RGB, 800 of a JPEG, which is decoded at an eighth of its size."""

HEADER_BYTES = 16

_MAGIC = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "TIFF": rb"II[*+]\x00|MM\x00[*+]",
    "AVIF": rb"....ftypavi[fs]",
    "HEIF": rb"....ftyp(hei[csxm]|hev[cmsx]|mif1|msf1)",
}
_PLUGINS = {"WEBP": "WebP"}
_HEIF_PLUGINS = ("pi_heif", "pillow_heif")
"""Pillow itself has none. The first only decodes, and is free of GPL code, which the second brings along."""
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
"""Of a pixel in Pillow's memory; 4 in all other modes."""
_DECODER = {"GIF": 2, "TIFF": 2, "WEBP": 3, "HEIF": 3, "AVIF": 3}
"""How often a decoder holds the picture; 1 for the others."""
_COEFFICIENTS = 6
"""Bytes of a pixel that a decoder of progressive JPEGs keeps of the whole picture, whatever size it gives."""
_RGB = 4


_WAYS_OUT = {
    "HEIF": "a HEIC photo, which Pillow does not decode by itself. Run: pip install pi-heif",
    "AVIF": "an AVIF photo, which this Pillow does not decode. Run: pip install --upgrade pillow",
}


class MissingDecoderError(UnidentifiedImageError):
    """A format that photos have, and no decoder for it; the message says how to get one."""


def format_of(header: bytes) -> str:
    """The format that a file's first bytes tell, whatever its name; its decoder is loaded, and no other.

    Only formats that photos have are decoded. Others lead elsewhere: an EPS starts Ghostscript.

    Raises:
        MissingDecoderError: one of these, but nothing that decodes it is installed.
        PIL.UnidentifiedImageError: none of these.
    """
    for name, pattern in _MAGIC.items():
        if re.match(pattern, header, re.DOTALL):
            if name == "HEIF":
                _register_heif()
            else:
                with contextlib.suppress(ImportError):  # an old Pillow has no AVIF
                    importlib.import_module(f"PIL.{_PLUGINS.get(name, name.title())}ImagePlugin")
            if name in Image.OPEN:
                return name
            raise MissingDecoderError(_WAYS_OUT.get(name, f"a {name} picture, which this Pillow does not decode."))
    raise UnidentifiedImageError("none of the formats that photos have")


def _register_heif() -> None:
    for module in _HEIF_PLUGINS:
        with contextlib.suppress(ImportError):
            importlib.import_module(module).register_heif_opener()
            return


def bytes_needed(image: Image.Image, full: tuple[int, int]) -> int:
    """Memory that decoding and converting will take.

    Args:
        image: opened, not decoded; its size is the one that it will be decoded at.
        full: its (width, height) as the file has it.
    """
    pixels = image.width * image.height
    each = _BYTES.get(image.mode, 4) * _DECODER.get(image.format or "", 1)
    coefficients = _COEFFICIENTS * full[0] * full[1] if _is_progressive(image.info) else 0
    return coefficients + pixels * (each if image.mode == "RGB" else each + _RGB)


def most_megapixels(image: Image.Image, full: tuple[int, int]) -> float:
    """How many megapixels a picture of this format and kind may have."""
    return BUDGET / bytes_needed(image, full) * full[0] * full[1] / 1e6


def _is_progressive(info: dict[Any, Any]) -> bool:
    return bool(info.get("progressive") or info.get("progression"))
