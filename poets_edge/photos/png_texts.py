"""Removal of text chunks and color profiles from PNGs: Pillow limits their size, and decoding does not need them."""

from __future__ import annotations

import struct

_SIGNATURE_BYTES = 8
_DROPPED = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})


def without_texts(data: bytes) -> bytes:
    """Return the bytes of a PNG file without its text and color profile chunks."""
    kept = [data[:_SIGNATURE_BYTES]]
    at = _SIGNATURE_BYTES
    while at + 8 <= len(data):
        length, kind = struct.unpack(">L4s", data[at : at + 8])
        end = at + 12 + length
        if kind not in _DROPPED:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)
