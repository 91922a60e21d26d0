"""Limits on the structure of photo files.

If a file has metadata in many parts, many scans or long runs of fill bytes, the time or memory that Pillow and libjpeg
need grows faster than the size of the file. Both libraries decode files with any number of parts and scans and with
runs of any length, so files that exceed the limits in this module are rejected before decoding.
"""

from __future__ import annotations

import re

from poets_edge.errors import PhotoError
from poets_edge.photos.png_chunks import without_metadata

_SMALL = 1 << 20
"""JPEGs of up to this number of bytes are decoded in less than a second, so their segments are not checked."""
_MOST_SEGMENTS = 8192
"""Maximum number of segments before the pixels of a JPEG. Each has at most 64 KB, so together at most 512 MB."""
_MOST_EXIF_SEGMENTS = 100
"""Maximum number of EXIF segments in a JPEG. Pillow copies all previous segments for each further one."""
_MOST_SCANS = 100
"""Maximum number of scans in a progressive JPEG; 10 are usual. Each scan takes as long to decode as a baseline JPEG."""
_MOST_FILLING = 1 << 16
"""Maximum number of fill bytes before a marker in a JPEG."""
_MOST_GIF_BLOCKS = 1 << 16
"""Maximum number of blocks of at most 255 bytes before the first frame of a GIF."""
_LARGEST_RLE = 16 << 20
"""Maximum size of a run-length encoded BMP in bytes; Pillow decodes it in Python, at 4 MB a second."""

_FILLED_MARKER = re.compile(rb"\xff+")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_ALONE = frozenset({0x01, _SOI, *range(0xD0, 0xD8)})
"""JPEG markers that are not followed by a length."""


def checked(kind: str, data: bytes) -> bytes:
    """Check the structure of a photo file, and return its bytes; large metadata chunks of a PNG are removed.

    Args:
        kind: Pillow's name of the format, such as "JPEG".
        data: bytes of the file.

    Raises:
        PhotoError: decoding would take disproportionate time or memory.
    """
    if kind == "PNG":
        return without_metadata(data)
    if kind == "JPEG" and len(data) > _SMALL:
        _check_segments(data)
    elif kind == "GIF":
        _check_gif(data)
    elif kind == "BMP" and len(data) > _LARGEST_RLE and data[30:31] in (b"\1", b"\2"):
        raise PhotoError(f"a run-length encoded BMP of more than {_LARGEST_RLE >> 20} MB. Save it as PNG.")
    return data


def check_scans(data: bytes) -> None:
    """Raise PhotoError if a progressive JPEG has too many scans. Call this only for progressive JPEGs."""
    if data.count(b"\xff\xda") <= _MOST_SCANS:  # also counts scans of thumbnails and after the photo
        return
    at, scans = 2, 0
    while (found := _FILLED_MARKER.match(data, at)) and found.end() < len(data):
        marker, at = data[found.end()], found.end() + 1
        if marker == _EOI:
            return
        if marker in _ALONE:
            continue
        at += int.from_bytes(data[at : at + 2], "big")
        if marker == _SOS:
            scans += 1
            if scans > _MOST_SCANS:
                raise PhotoError(f"a JPEG of more than {_MOST_SCANS} scans. Save it again.")
            following = _MARKER_IN_SCAN.search(data, at)
            at = following.start() if following else len(data)


def _check_segments(data: bytes) -> None:
    at, exif = 2, 0
    for _ in range(_MOST_SEGMENTS):
        found = _FILLED_MARKER.match(data, at)
        if found is None or found.end() == len(data):
            return  # damaged; the decoder notices this immediately
        if found.end() - at > _MOST_FILLING:
            raise PhotoError(f"a JPEG with more than {_MOST_FILLING:,} filling bytes. Save it again.")
        marker, at = data[found.end()], found.end() + 1
        if marker == _SOS:
            return
        if marker in _ALONE:
            continue
        exif += marker == _APP1 and data[at + 2 : at + 6] == b"Exif"
        if exif > _MOST_EXIF_SEGMENTS:
            raise PhotoError(f"a JPEG with more than {_MOST_EXIF_SEGMENTS} parts of EXIF data. Save it again.")
        at += int.from_bytes(data[at : at + 2], "big")
    raise PhotoError(f"a JPEG with more than {_MOST_SEGMENTS:,} segments before its pixels. Save it again.")


def _check_gif(data: bytes) -> None:
    at = 13 + (3 << (data[10] & 7) + 1 if data[10:11] and data[10] & 0x80 else 0)
    inside = False
    for _ in range(_MOST_GIF_BLOCKS):
        start = data[at : at + 1]
        if inside:
            at += 1 + (start[0] if start else 0)
            inside = start not in (b"\0", b"")
        elif start in (b",", b";", b""):
            return
        else:
            inside = start == b"!"
            at += 2 if inside else 1
    raise PhotoError(f"a GIF with more than {_MOST_GIF_BLOCKS:,} blocks before its first frame. Save it again.")
