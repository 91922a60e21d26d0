"""Read and decompress individual photos in an archive."""

from __future__ import annotations

import errno
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

STORED, DEFLATED = 0, 8
"""Supported compression methods, as numbered by the zip format."""
NO_CRC = -1
"""Value of `Member.crc` for a photo in a tar file, because the tar format has no checksums of file contents."""
_PART = 4 << 20
"""Maximum number of bytes of a zip member that are read or decompressed in one step."""
_NAME_AND_EXTRA = 1024
"""Number of bytes to read for the name and the extra field that precede the data of a zip member. If they are longer,
the data are read separately.
"""
_ZIP_HEADER = 30


class Member(NamedTuple):
    """Position, size and compression of a photo in an archive.

    Attributes:
        start: position in the archive, in bytes, of the photo (tar file) or of the header before the photo (zip file).
        stored: number of bytes that the photo occupies in the archive, where it is usually compressed.
        length: number of bytes after decompression.
        method: compression method, as numbered by the zip format: 0 for no compression, as in a tar file, 8 for
            deflate.
        crc: CRC-32 of the decompressed bytes; -1 (NO_CRC) for a photo in a tar file, which contains no checksum of it.
    """

    start: int
    stored: int
    length: int
    method: int = STORED
    crc: int = NO_CRC


def read_member(member: Member, read: Callable[[int, int], bytes], most: int) -> bytes:
    """Return the decompressed bytes of a photo in an archive.

    Args:
        member: position, size and compression of the photo.
        read: function that accepts a start and an end offset, and returns the bytes of the archive between them; it
            returns fewer bytes if the archive ends before the end offset.
        most: maximum number of bytes of the photo.

    Raises:
        OSError: the photo is damaged or has more than `most` bytes.
    """
    if member.length > most or member.stored > most:
        raise OSError(errno.EFBIG, f"larger than {most / 1e6:,.0f} MB")
    if member.crc == NO_CRC:
        data = read(member.start, member.start + member.stored)
    else:
        data = _unpacked(member, _packed(member, read))
    if len(data) != member.length or (member.crc != NO_CRC and zlib.crc32(data) != member.crc):
        raise _damaged()
    return data


def _packed(member: Member, read: Callable[[int, int], bytes]) -> Iterator[bytes]:
    """Yield the bytes of a zip member as stored in the archive, usually compressed, in parts of about 4 MiB.

    Raises:
        OSError: the header of the member is damaged.
    """
    part = read(member.start, member.start + _ZIP_HEADER + _NAME_AND_EXTRA + min(member.stored, _PART))
    if len(part) < _ZIP_HEADER or part[:4] != b"PK\3\4":
        raise _damaged()
    begin = _ZIP_HEADER + sum(struct.unpack("<HH", part[26:30]))
    at, end = member.start + begin, member.start + begin + member.stored
    part = part[begin : begin + member.stored]  # empty if the header is long
    while at < end and (part := part or read(at, min(at + _PART, end))):
        yield part
        at += len(part)
        part = b""


def _unpacked(member: Member, parts: Iterator[bytes]) -> bytes:
    """Return the decompressed bytes of a zip member.

    If the member is longer than its header declares, decompression stops one byte after the declared length, which
    shows the caller that the header is wrong.

    Args:
        member: declared length and compression method.
        parts: bytes of the member as stored in the archive.
    """
    data, most = io.BytesIO(), member.length + 1
    for piece in _inflated(parts) if member.method == DEFLATED else parts:
        data.write(piece[: most - data.tell()])
        if data.tell() == most:
            break
    return data.getvalue()


def _inflated(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress a zip member, and yield parts of up to 4 MiB. Raises OSError if the member is damaged."""
    inflate = zlib.decompressobj(-15)
    for part in parts:
        full = True
        while full:
            try:
                piece = inflate.decompress(part, _PART)
            except zlib.error:
                raise _damaged() from None
            yield piece
            part, full = inflate.unconsumed_tail, len(piece) == _PART


def _damaged() -> OSError:
    return OSError(errno.EIO, "damaged in its archive, or the archive has changed")
