"""Formats of photo files, recognised by content: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIF."""

from __future__ import annotations

import os
import re
from pathlib import Path

HEADER_BYTES = 16
"""Number of bytes at the beginning of a file that determine its format."""

_MAGIC = {
    "JPEG": re.compile(rb"\xff\xd8\xff", re.DOTALL),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n", re.DOTALL),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a", re.DOTALL),
    "BMP": re.compile(rb"BM", re.DOTALL),
    "TIFF": re.compile(rb"II[*+]\x00|MM\x00[*+]", re.DOTALL),
    "AVIF": re.compile(rb"....ftypavi[fs]", re.DOTALL),
    "HEIF": re.compile(rb"....ftyp(hei[csxm]|hev[cmsx]|mif1|msf1)", re.DOTALL),
}
_BMP = re.compile(rb"BM.{4}\x00{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00", re.DOTALL)
"""A BMP with its reserved fields and the size of its second header: text may begin with BM, too."""

RAW_SUFFIXES = frozenset(
    {
        ".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos", ".nef",
        ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw",
    }
)  # fmt: skip
"""Suffixes of raw files of cameras. Most are TIFFs whose first image is a thumbnail, so they are not read."""


def photo_format(header: bytes) -> str | None:
    """Return Pillow's name of a photo format by the first `HEADER_BYTES` of a file; None for anything else."""
    return next((name for name, pattern in _MAGIC.items() if pattern.match(header)), None)


def is_photo_content(header: bytes, name: str) -> bool:
    """Return whether a file whose suffix says nothing is a photo, by its first `HEADER_BYTES` and its name."""
    found = photo_format(header)
    if found == "BMP" and not _BMP.match(header):
        return False
    return found is not None and os.path.splitext(name)[1].lower() not in RAW_SUFFIXES  # noqa: PTH122 - a million times


def is_photo_file(path: Path | str) -> bool:
    """Return whether a regular file is a photo by its content; False if it cannot be read."""
    if not os.path.isfile(path):  # noqa: PTH113 - a pipe would block
        return False
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a million times
            return is_photo_content(file.read(HEADER_BYTES), str(path))
    except OSError:
        return False
