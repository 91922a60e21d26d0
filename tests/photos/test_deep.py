"""Tests of gray photos with more than 8 bits, and of PNGs with large texts."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from poets_edge.errors import PhotoError
from poets_edge.photos import image as image_module
from poets_edge.photos.image import photo_size, read_photo

SHADES = np.arange(256).reshape(16, 16)


def _file(values: Any, kind: str = "TIFF", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind, **options)
    return file.getvalue()


def _gray(data: bytes) -> Any:
    return np.asarray(read_photo(data))[..., 1].astype(int)


@pytest.mark.parametrize(
    "data",
    [
        _file((SHADES * 257).astype(np.uint16), "PNG"),
        _file((SHADES * 257).astype(np.uint16)),
        _file((SHADES / 255).astype(np.float32)),
        _file((SHADES * 2**23).astype(np.int32)),
        _file(np.clip(SHADES / 250 - 0.01, None, 1.01).astype(np.float32)),
    ],
)
@pytest.mark.parametrize("strips", [False, True])
def test_read_photo_scales_by_the_value_range_of_the_pixel_type(
    data: bytes, strips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if strips:
        monkeypatch.setattr(image_module, "_LARGE", 64)
    np.testing.assert_allclose(_gray(data), SHADES, atol=3)


def test_read_photo_reads_unsigned_32_bit_photos() -> None:
    signed = _file((SHADES.astype(np.uint32) << 24).view(np.int32))
    unsigned = signed.replace(b"\x53\x01\x03\x00\x01\x00\x00\x00\x02", b"\x53\x01\x03\x00\x01\x00\x00\x00\x01")
    assert unsigned != signed, "the tag of the sample format must be there"
    np.testing.assert_array_equal(_gray(unsigned), SHADES)


@pytest.mark.parametrize("highest", [255, 256, 4095])
def test_read_photo_rejects_16_bit_photos_that_would_be_almost_black(highest: int) -> None:
    """A photo whose highest value is 255 is rejected like one whose highest value is 256."""
    values = (SHADES * highest / 255).astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        with pytest.raises(PhotoError, match=f"^picture: almost black: its highest value is {highest}, and 65535 is"):
            read_photo(_file(values, kind))


def _color_png(values: Any, kind: int = 2) -> bytes:
    """Encode values, uint16 [height, width, channels], as a PNG; Pillow cannot write 16 bits for each color."""
    height, width, _ = values.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("highest", [255, 4095])
def test_read_photo_rejects_16_bit_color_photos_that_would_be_almost_black(highest: int) -> None:
    """Pillow keeps the upper 8 bits of each color, which are at most 15 here."""
    colors = np.repeat((SHADES * highest / 255).astype(np.uint16)[..., None], 3, axis=2)
    with pytest.raises(PhotoError, match=r"^picture: almost black: its values are below \d+, and 65535 is white"):
        read_photo(_color_png(colors))
    np.testing.assert_allclose(_gray(_color_png(colors * (65535 // highest))), SHADES, atol=1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SHADES.astype(np.float32), "float values from 0 to 255, and 0 is black and 1 white"),
        (lambda: (SHADES / 127.5 - 1).astype(np.float32), "float values from -1 to 1"),
        (lambda: np.where(SHADES == 7, np.nan, SHADES / 255).astype(np.float32), "NaN"),
        (lambda: (SHADES / 1e5).astype(np.float32), "almost black: its highest value is 0.00255, and 1 is white"),
        (lambda: SHADES.astype(np.int32), "almost black: its highest value is 255, and 2147483647 is white"),
    ],
)
def test_read_photo_rejects_values_outside_the_supported_range(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(PhotoError, match=said):
        read_photo(_file(make()))


def test_read_photo_reads_a_black_16_bit_photo() -> None:
    assert not _gray(_file(np.zeros((4, 4), np.uint16), "PNG")).any()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("opened", [False, True])
def test_read_photo_reads_pngs_with_long_text_chunks(zipped: bool, opened: bool) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("prompt", "x" * 3_000_000, zip=zipped)
    data = _file(SHADES.astype(np.uint8), "PNG", pnginfo=info, icc_profile=bytes(3_000_000))
    assert (np.asarray(read_photo(io.BytesIO(data) if opened else data))[..., 0] == SHADES).all()
    assert photo_size(data) == (16, 16)


def test_read_photo_reads_unsigned_32_bit_photos_with_dark_and_bright_values() -> None:
    """As signed integers, the bright values are below the dark ones."""
    values = np.full((16, 16), 1000, np.uint32)
    values[3:7] = 3_000_000_000
    unsigned = _file(values.view(np.int32)).replace(
        b"\x53\x01\x03\x00\x01\x00\x00\x00\x02", b"\x53\x01\x03\x00\x01\x00\x00\x00\x01"
    )
    found = _gray(unsigned)
    assert set(found[3:7].ravel()) == {3_000_000_000 >> 24} and set(found[7:].ravel()) == {0}


def test_read_photo_rounds_floats_and_truncates_integers() -> None:
    floats = np.array([[0, 0.49 / 255, 0.51 / 255, 100.49 / 255, 100.51 / 255, 1, 1.5, -0.25]], np.float32)
    assert _gray(_file(floats)).tolist() == [[0, 0, 1, 100, 101, 255, 255, 0]]
    integers = np.array([[0, 255, 256, 511, 512, 65279, 65280, 65535]], np.uint16)
    assert _gray(_file(integers)).tolist() == [[0, 0, 1, 1, 2, 254, 255, 255]]
    wide = np.array([[0, 2**23 - 1, 2**23, 2**31 - 1, -5, 2**30, 2**30 - 1, 1]], np.int32)
    assert _gray(_file(wide)).tolist() == [[0, 0, 1, 255, 0, 128, 127, 0]]


@pytest.mark.parametrize(("highest", "accepted"), [(4096, True), (4095, False)])
def test_read_photo_accepts_16_bit_photos_that_use_at_least_a_sixteenth_of_the_range(
    highest: int, accepted: bool
) -> None:
    values = np.array([[highest, 0, 0, 0]], np.uint16)
    if accepted:
        assert _gray(_file(values)).tolist() == [[16, 0, 0, 0]]
    else:
        with pytest.raises(PhotoError, match="almost black"):
            read_photo(_file(values))


@pytest.mark.parametrize(("lowest", "highest", "accepted"), [(-0.5, 2, True), (-0.51, 1, False), (0, 2.01, False)])
def test_read_photo_rejects_float_values_out_of_range(lowest: float, highest: float, accepted: bool) -> None:
    data = _file(np.array([[lowest, highest]], np.float32))
    if accepted:
        assert _gray(data).tolist() == [[0, 255]]
    else:
        with pytest.raises(PhotoError, match="float values from"):
            read_photo(data)


def test_read_photo_rejects_almost_black_photos_regardless_of_opacity() -> None:
    """The opacity is 65535, and the colors are at most 255."""
    values = np.full((8, 8, 4), 65535, np.uint16)
    values[..., :3] = 255
    with pytest.raises(PhotoError, match="almost black: its values are below 256"):
        read_photo(_color_png(values, kind=6))
    values[2, 3, 1] = 30_000
    assert read_photo(_color_png(values, kind=6)).size == (8, 8)


def _color_tiff(value: int) -> bytes:
    """Return a TIFF of 2 x 2 pixels with three colors of 16 bits, which Pillow can read but not write."""
    pixels = np.full(2 * 2 * 3, value, "<u2").tobytes()
    # Tag, type (3: short), number of values, and the value or the offset of the values.
    tags = [
        (256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 3, 1, 14),
        (277, 3, 1, 3), (278, 3, 1, 2), (279, 3, 1, len(pixels)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHLL", *tag) for tag in tags)
    data = struct.pack("<3H", 16, 16, 16) + pixels
    return b"II*\0" + struct.pack("<L", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(("value", "accepted"), [(0x0FFF, False), (0x1000, True), (0xFFFF, True)])
def test_read_photo_rejects_16_bit_color_tiffs_that_would_be_almost_black(value: int, accepted: bool) -> None:
    if accepted:
        assert np.asarray(read_photo(_color_tiff(value))).tolist() == [[[value >> 8] * 3] * 2] * 2
    else:
        with pytest.raises(PhotoError, match="almost black: its values are below 4096"):
            read_photo(_color_tiff(value))
