"""Tests of bounded reads of archives."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from poets_edge.core.archive_reads import BoundedReads, opened_zip


def _zip(count: int, *, zip64: bool) -> bytes:
    """Return a zip file with `count` entries in its directory; with `zip64`, its last record states only one entry."""
    if not zip64:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for number in range(count):
                archive.writestr(f"{number:07}", b"x" * 3000)
        return file.getvalue()
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0)
    directory = b"".join(entry + b"%07d" % number for number in range(count))
    place = len(directory)
    real = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, place, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, place, 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 53, 0, 0)
    return directory + real + locator + last


def test_limit_on_the_zip_directory_size_does_not_apply_to_members() -> None:
    with opened_zip(io.BytesIO(_zip(3, zip64=False)), 1000) as archive:
        assert archive.read("0000002") == b"x" * 3000


@pytest.mark.parametrize("zip64", [False, True])
def test_zip_file_with_a_large_central_directory_is_rejected(zip64: bool) -> None:
    data = _zip(1000, zip64=zip64)
    with pytest.raises(ValueError, match="a header of"), opened_zip(io.BytesIO(data), 20_000):
        pass
    with opened_zip(io.BytesIO(data), 100_000) as archive:
        assert len(archive.namelist()) == 1000


def test_reading_a_whole_file_above_the_size_limit_is_refused() -> None:
    assert BoundedReads(io.BytesIO(bytes(10)), 10).read() == bytes(10)
    with pytest.raises(ValueError, match="more than 9"):
        BoundedReads(io.BytesIO(bytes(10)), 9).read()


def test_bounded_reads_accept_exactly_as_many_bytes_as_the_limit() -> None:
    assert BoundedReads(io.BytesIO(b"12345"), 5).read(5) == b"12345" == BoundedReads(io.BytesIO(b"12345"), 5).read()
    for size, content in ((6, b""), (-1, b"123456")):
        with pytest.raises(ValueError, match="a header of"):
            BoundedReads(io.BytesIO(content), 5).read(size)
