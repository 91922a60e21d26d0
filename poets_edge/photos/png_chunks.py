"""Remove large metadata chunks from PNG files.

Decoding does not need them, and Pillow would store them in memory.
"""

from __future__ import annotations

import struct

from poets_edge.errors import PhotoError

LARGEST_METADATA = 1 << 16
"""Maximum size, in bytes, of chunks other than IDAT. Small EXIF and XMP chunks are kept, since they contain the photo's
orientation."""
_SIGNATURE_BYTES = 8
_AROUND = 12
"""Number of bytes in a chunk in addition to its data: length and type before the data, and a checksum after it."""
_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IEND"})
"""Types of chunks other than IDAT that decoding needs; in a valid file, each of them has at most 768 bytes."""
_MOST_CHUNKS = 1 << 18
"""Maximum number of chunks. A PNG of 2 GB has this many, since libpng writes pixels in chunks of 8 KB."""


def without_metadata(data: bytes, largest: int = LARGEST_METADATA) -> bytes:
    """Return the bytes of a PNG file without metadata chunks of more than `largest` bytes.

    Chunks that decoding needs are preserved: IDAT chunks (image data) of any size, and IHDR, PLTE, tRNS and IEND chunks
    of up to 64 KiB (LARGEST_METADATA), a limit that they do not reach in a valid file.

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
        raise PhotoError(f"a PNG of more than {_MOST_CHUNKS:,} parts. Save it again.")
    if start == _SIGNATURE_BYTES:
        return data
    return b"".join((data[:_SIGNATURE_BYTES], kept, memoryview(data)[start:]))
