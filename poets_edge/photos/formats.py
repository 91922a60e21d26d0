"""Photo formats, by file suffix and by content: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIF."""

from __future__ import annotations

import os
import re
from pathlib import Path

PHOTO_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".png", ".apng", ".webp", ".bmp", ".dib",
        ".gif", ".tif", ".tiff", ".heic", ".heif", ".heics", ".heifs", ".hif", ".avif", ".avifs",
    }
)  # fmt: skip
"""File suffixes of photos. A file without one of them is recognized by its content (`is_photo_content`)."""
HEADER_BYTES = 16
"""Number of bytes to read from the beginning of a file to determine its format."""

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
_BMP = rb"BM.{4}\x00{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00"
"""Pattern for a BMP header. It includes the reserved fields and the size of the second header, because a text file may
also begin with "BM"."""

RAW_SUFFIXES = frozenset(
    {
        ".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos", ".nef",
        ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw",
    }
)  # fmt: skip
"""Suffixes of raw files from cameras. Most are TIFFs whose first image is a thumbnail, so they are not read."""


def photo_format(header: bytes) -> str | None:
    """Return Pillow's name for the format of a photo file, given its first 16 bytes; None for any other file."""
    return next((name for name, pattern in _MAGIC.items() if re.match(pattern, header, re.DOTALL)), None)


def is_photo_content(header: bytes, name: str) -> bool:
    """Return whether a file whose name has no photo suffix is a photo. Raw files from cameras are not photos.

    Args:
        header: first 16 bytes (HEADER_BYTES) of the file.
        name: name of the file.
    """
    found = photo_format(header)
    if found == "BMP" and not re.match(_BMP, header, re.DOTALL):
        return False
    return found is not None and os.path.splitext(name)[1].lower() not in RAW_SUFFIXES  # noqa: PTH122 - a million times


def is_photo_file(path: Path | str) -> bool:
    """Return whether a file is a photo, according to its content; False if it is not regular or cannot be read."""
    if not os.path.isfile(path):  # noqa: PTH113 - a pipe would block
        return False
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a million times
            return is_photo_content(file.read(HEADER_BYTES), str(path))
    except OSError:
        return False
