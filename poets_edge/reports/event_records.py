"""The frames in which TensorBoard's event files hold their events (TFRecord).

TensorBoard has a writer for them, which takes 0.15 s to import, since all of its plugins come with it: a tenth of a run
whose bottlenecks are cached. The events themselves are its own protocol buffers, which are quick.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import BinaryIO

_POLYNOMIAL = 0x82F63B78
"""Castagnoli's (CRC-32C), with its bits in reverse order."""
_ALL = 0xFFFFFFFF
_MASK = 0xA282EAD8
"""TFRecord's, so that the checksum of data with a checksum inside is nothing special."""


def write_record(file: BinaryIO, data: bytes) -> None:
    """Write the length, its checksum, the data and its checksum; all numbers little-endian."""
    length = struct.pack("<Q", len(data))
    file.write(length + _checksum(length) + data + _checksum(data))


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    turned = (crc >> 15 | crc << 17) & _ALL
    return struct.pack("<I", (turned + _MASK) & _ALL)


def crc32c(data: bytes) -> int:
    """The CRC-32C of some thousand bytes; it takes a millisecond for each 20,000."""
    table, crc = _table(), _ALL
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _ALL


@cache
def _table() -> tuple[int, ...]:
    """The remainder of each byte."""
    rows = []
    for row in range(256):
        for _ in range(8):
            row = row >> 1 ^ (_POLYNOMIAL if row & 1 else 0)
        rows.append(row)
    return tuple(rows)
