"""Tests of the limits on the structure of photos. Each file can be decoded, but needs much time or memory."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from poets_edge.errors import PhotoError
from poets_edge.photos.image import photo_size, read_photo
from poets_edge.photos.png_chunks import without_metadata
from poets_edge.photos.structure import checked

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
def test_read_photo_rejects_files_that_take_too_long_to_decode(data: bytes, message: str) -> None:
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


@pytest.mark.parametrize("compression", [1, 2, 0])
def test_size_of_bmps_is_limited_only_if_they_are_run_length_encoded(
    compression: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poets_edge.photos.structure._LARGEST_RLE", 2000)
    bits = 4 if compression == 2 else 8
    fields = struct.pack("<IiiHHIIiiII", 40, 9, 9, 1, bits, compression, 0, 0, 0, 2, 0)
    data = b"BM" + struct.pack("<IHHI", 0, 0, 0, 62) + fields + bytes(8) + bytes(3000)
    if compression:
        with pytest.raises(PhotoError, match="a run-length encoded BMP of more than"):
            read_photo(data)
    else:
        assert read_photo(data).size == (9, 9)


@pytest.mark.parametrize("colors", [2, 16, 256])
def test_read_photo_skips_the_color_table_of_a_gif(colors: int) -> None:
    """The table consists of bytes that would be blocks, of which there are too many."""
    image = Image.new("P", (4, 4))
    image.putpalette(bytes([0x21, 1, 1]) * colors)
    image.putdata([number % colors for number in range(16)])
    file = io.BytesIO()
    image.save(file, "GIF", optimize=False)
    data = file.getvalue()
    start = 13 + 3 * (2 << (data[10] & 7))
    assert read_photo(data).size == (4, 4)
    with pytest.raises(PhotoError, match="blocks before its first frame"):
        read_photo(data[:start] + b"!\xfe\1a\0" * 22_000 + data[start:])
    plain = data[:10] + bytes([data[10] & 0x7F]) + data[11:13]
    with pytest.raises(PhotoError, match="blocks before its first frame"):
        read_photo(plain + b"!\xfe\1a\0" * 22_000 + data[start:])


def test_removing_metadata_from_a_png_keeps_the_chunks_that_decoding_needs() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + b"sums"

    start, end = b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")
    header, table, pixels = chunk(b"IHDR", bytes(13)), chunk(b"PLTE", bytes(768)), chunk(b"IDAT", bytes(200_000))
    small, large = chunk(b"tEXt", bytes(1 << 16)), chunk(b"tEXt", bytes((1 << 16) + 1))
    data = start + header + table + small + large + pixels + end + large
    assert without_metadata(data) == start + header + table + small + pixels + end + large
    assert without_metadata(data, 0) == start + header + table + pixels + end + large
    plain = start + header + small + pixels + end
    assert without_metadata(plain) is plain
    fake = chunk(b"PLTE", bytes((1 << 16) + 1))
    assert without_metadata(start + header + fake + pixels + end) == start + header + pixels + end


@pytest.mark.parametrize("marker", [0x01, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8])
def test_jpeg_segments_after_a_marker_without_a_length_are_counted(marker: int) -> None:
    small = segment(0xE1, b"Exif\0\0" + bytes(20))
    assert read_photo(jpeg(COMMENT * 6000 + small * 50)).size == (16, 16)
    with pytest.raises(PhotoError, match="more than 100 parts of EXIF data"):
        checked("JPEG", jpeg(bytes([0xFF, marker]) + COMMENT * 6000 + small * 101))


@pytest.mark.parametrize(("count", "accepted"), [(1 << 16, True), ((1 << 16) + 1, False)])
def test_number_of_fill_bytes_before_a_jpeg_marker_is_limited(count: int, accepted: bool) -> None:
    """The last of the bytes belongs to the marker."""
    data = jpeg(COMMENT * 6000 + b"\xff" * (count - 1))
    if accepted:
        assert checked("JPEG", data) == data
    else:
        with pytest.raises(PhotoError, match="filling bytes"):
            checked("JPEG", data)
