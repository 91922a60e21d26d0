"""Tests of the limits on the structure of photos. Each file can be decoded, but needs much time or memory."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from poets_edge.errors import PhotoError
from poets_edge.photos.image import photo_size, read_photo

RED = (200, 30, 40)


def encoded(form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), RED).save(file, form, **options)
    return file.getvalue()


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


EXIF = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0" + bytes(60_000))
COMMENT = segment(0xFE, bytes(200))


def jpeg(inserted: bytes) -> bytes:
    """Return a JPEG with additional bytes after its first marker."""
    data = encoded("JPEG")
    return data[:2] + inserted + data[2:]


def scans(count: int) -> bytes:
    """Return a progressive JPEG whose last scan is repeated `count` times."""
    data = encoded("JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


def gif(inserted: bytes) -> bytes:
    """Return a GIF with additional bytes before its first frame."""
    data = encoded("GIF")
    start = 13 + 3 * (2 << (data[10] & 7))
    return data[:start] + inserted + data[start:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (jpeg(EXIF * 101), "a JPEG with more than 100 parts of EXIF data"),
        (jpeg(b"\xff" * 1_100_000), "a JPEG with more than 65,536 filling bytes"),
        (jpeg(COMMENT * 8192), "a JPEG with more than 8,192 segments before its pixels"),
        (scans(101), "a JPEG of more than 100 scans"),
        (gif(b"!\xfe\1a\0" * 22_000), "a GIF with more than 65,536 blocks before its first frame"),
        (gif(b"!\xfe" + b"\1a" * 66_000 + b"\0"), "a GIF with more than 65,536 blocks before its first frame"),
        (gif(b"\1" * 66_000), "a GIF with more than 65,536 blocks before its first frame"),
    ],
    ids=["EXIF", "filling", "segments", "scans", "comments", "long comment", "junk"],
)
def test_read_photo_rejects_files_that_take_disproportionate_time(data: bytes, message: str) -> None:
    with pytest.raises(PhotoError, match=rf"^flower: {message}\. Save it again\.$"):
        read_photo(data, name="flower")
    with pytest.raises(PhotoError, match=message):
        photo_size(data)


@pytest.mark.parametrize(
    "data",
    [
        jpeg(EXIF * 100),
        jpeg(b"\xff" * 60_000 + COMMENT * 8000),
        scans(80),
        encoded("JPEG", progressive=True) + b"\xff\xda" * 500,
        gif(b"!\xfe" + (b"\xff" + b"x" * 255) * 2000 + b"\0" + b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0"),
    ],
    ids=["EXIF", "segments", "scans", "other data after the photo", "comment"],
)
def test_read_photo_reads_files_with_metadata_within_the_limits(data: bytes) -> None:
    image = read_photo(data)
    assert image.size == photo_size(data) == (16, 16)
    assert image.getpixel((8, 8)) == pytest.approx(RED, abs=3)


def test_read_photo_rejects_large_run_length_encoded_bmps() -> None:
    header = b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 9, 9, 1, 8, 1, 0, 0, 0, 2, 0)
    with pytest.raises(PhotoError, match=r"a run-length encoded BMP of more than 16 MB\. Save it as PNG"):
        read_photo(header + bytes(17 << 20))


def test_read_photo_rejects_open_files_above_the_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.photos.image.LARGEST_PHOTO", 1000)
    assert read_photo(io.BytesIO(encoded("PNG"))).size == (16, 16)
    with pytest.raises(PhotoError, match="larger than"):
        read_photo(io.BytesIO(encoded("PNG") + bytes(1000)))
