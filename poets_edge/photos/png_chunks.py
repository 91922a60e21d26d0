"""Removal of metadata from PNGs: Pillow reads and keeps each chunk as a whole, and decoding needs little of it."""

from __future__ import annotations

import struct

from poets_edge.errors import PhotoError

LARGEST_METADATA = 1 << 16
"""Maximum size of a chunk other than IDAT, in bytes; Pillow gets the orientation from EXIF or XMP chunks."""
_SIGNATURE_BYTES = 8
_AROUND = 12
"""Number of bytes of a chunk besides its data: length and type before it, a checksum after it."""
_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IEND"})
"""Chunks that are never metadata, besides IDAT; they have at most 768 bytes in a sound file."""
_MOST_CHUNKS = 1 << 18
"""Maximum number of chunks; a PNG of 2 GB has so many, as libpng divides pixels into chunks of 8 KB."""


def without_metadata(data: bytes, largest: int = LARGEST_METADATA) -> bytes:
    """Return the bytes of a PNG file without chunks of metadata of more than `largest` bytes.

    Other chunks than IDAT are left out above LARGEST_METADATA, whatever they contain.

    Raises:
        PhotoError: the file has too many chunks.
    """
    kept = bytearray()
    start = at = _SIGNATURE_BYTES
    for _ in range(_MOST_CHUNKS):
        if at + _AROUND > len(data):
            break
        length, kind = struct.unpack_from(">L4s", data, at)
        end = at + _AROUND + length
        if kind == b"IEND":
            break
        if kind != b"IDAT" and length > (LARGEST_METADATA if kind in _NEEDED else largest):
            kept += memoryview(data)[start:at]
            start = end
        at = end
    else:
        raise PhotoError(f"a PNG of more than {_MOST_CHUNKS:,} parts. Save it anew.")
    if start == _SIGNATURE_BYTES:
        return data
    return b"".join((data[:_SIGNATURE_BYTES], kept, memoryview(data)[start:]))
