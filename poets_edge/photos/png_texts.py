"""Removal of texts and color profiles from PNGs, whose size Pillow limits and which decoding does not need."""

from __future__ import annotations

import struct

_SIGNATURE_BYTES = 8
_DROPPED = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})


def without_texts(data: bytes) -> bytes:
    """Return the bytes of a PNG without its text and profile chunks; whatever follows a damaged chunk is kept."""
    kept = [data[:_SIGNATURE_BYTES]]
    at = _SIGNATURE_BYTES
    while at + 8 <= len(data):
        length, kind = struct.unpack(">L4s", data[at : at + 8])
        end = at + 12 + length
        if kind not in _DROPPED:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)
