"""Tests of resizing, crops and conversions to pixels, on images that are not square."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poets_edge.errors import PhotoError
from poets_edge.photos.decode_budget import BUDGET, LARGE, bytes_needed, format_of, most_megapixels
from poets_edge.photos.image import fit, normalizer, read_photo
from poets_edge.photos.minhash import minhash_signature, overlap
from poets_edge.photos.normalization import Normalization
from poets_edge.photos.table import UNKNOWN_SIZE


def ramp(width: int, height: int) -> Image.Image:
    """Return an image whose red value is the column, and whose green value is the row."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8))


def test_resized_photo_is_an_array_with_height_before_width() -> None:
    pixels = fit(ramp(40, 24), (6, 20))
    assert pixels.shape == (6, 20, 3)
    assert pixels[0, :, 0].tolist() == sorted(pixels[0, :, 0].tolist()) and np.ptp(pixels[:, 0, 0]) <= 1
    assert np.array_equal(fit(ramp(40, 24), (24, 40)), np.asarray(ramp(40, 24)))


def test_resizing_computes_weighted_averages_of_pixels() -> None:
    """A triangle filter that halves the size weights four adjacent pixels by 1/8, 3/8, 3/8 and 1/8."""
    line = np.array([0, 80, 160, 0, 240, 40, 120, 200], np.uint8)
    row = Image.fromarray(np.stack([line[None]] * 3, axis=-1))
    assert fit(row, (1, 4))[0, 1:3, 0].tolist() == [100, 120]
    assert fit(row.transpose(Image.Transpose.ROTATE_270), (4, 1))[1:3, 0, 1].tolist() == [100, 120]


def test_crop_box_is_given_as_left_top_right_bottom() -> None:
    pixels = fit(ramp(40, 24), (4, 10), crop=(5, 2, 15, 6))
    assert np.array_equal(pixels, np.asarray(ramp(40, 24))[2:6, 5:15])
    whole = fit(ramp(40, 24), (24, 40), crop=(0, 0, 40, 24))
    assert np.array_equal(whole, np.asarray(ramp(40, 24)))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_resizing_preserves_solid_colors_and_commutes_with_flipping(
    width: int, height: int, columns: int, rows: int, shade: int
) -> None:
    plain = fit(Image.new("RGB", (width, height), (shade, 0, 255)), (rows, columns))
    assert plain.shape == (rows, columns, 3) and (plain == [shade, 0, 255]).all()
    image = ramp(width, height)
    mirrored = fit(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (rows, columns))
    assert np.abs(mirrored[::-1].astype(int) - fit(image, (rows, columns))).max() <= 1


def test_normalizer_uses_the_mean_and_standard_deviation_of_each_channel() -> None:
    pixels = np.array([[[0, 10, 20], [255, 128, 64]]], np.uint8)
    out = np.empty(pixels.shape, np.float32)
    normalizer(Normalization((10.0, 20.0, 40.0), (2.0, 5.0, 10.0)))(pixels, out)
    np.testing.assert_allclose(out, np.array([[[-5, -2, -2], [122.5, 21.6, 2.4]]]), rtol=1e-5)


def test_read_photo_composites_half_transparency_over_white() -> None:
    image = Image.new("RGBA", (2, 1), (0, 100, 200, 128))
    assert np.asarray(read_photo(image))[0, 0].tolist() == pytest.approx([127, 177, 227], abs=1)


def test_read_photo_rejects_sides_of_more_than_100_000_pixels() -> None:
    import io

    for side, good in ((100_000, True), (100_001, False)):
        file = io.BytesIO()
        Image.new("L", (side, 1)).save(file, "PNG")
        if good:
            assert read_photo(file.getvalue()).size == (side, 1)
        else:
            with pytest.raises(PhotoError, match="no side may have more than 100000"):
                read_photo(file.getvalue())


@pytest.mark.parametrize(
    ("mode", "form", "each"),
    # Bytes of the decoded pixel for each copy of the decoder, and 4 of the converted one.
    [
        ("RGB", "PNG", 4),
        ("L", "PNG", 1 + 4),
        ("RGBA", "PNG", 4 + 4),
        ("I;16", "TIFF", 2 * 2 + 4),
        ("RGB", "WEBP", 12),
        ("RGB", "AVIF", 12),
        ("RGB", "HEIF", 12),
        ("P", "GIF", 2 * 1 + 4),
        ("1", "PNG", 1 + 4),
        ("I;16B", "PNG", 2 + 4),
        ("RGB", "TIFF", 8),
        ("CMYK", "JPEG", 4 + 4),
        ("F", "TIFF", 2 * 4 + 4),
    ],
)
def test_memory_estimate_includes_copies_made_by_the_decoder(mode: str, form: str, each: int) -> None:
    image = Image.new(mode, (30, 20))
    image.format = form
    assert bytes_needed(image, (30, 20)) == 600 * each
    assert most_megapixels(image, (30, 20)) == pytest.approx(400 * 1.048576 / each)


def test_memory_estimate_includes_full_size_coefficients_of_progressive_jpegs() -> None:
    image = Image.new("RGB", (30, 20))
    image.format = "JPEG"
    assert bytes_needed(image, (240, 160)) == 600 * 4
    image.info["progressive"] = 1
    assert bytes_needed(image, (240, 160)) == 600 * 4 + 6 * 240 * 160
    image.info = {"progression": 1}
    assert bytes_needed(image, (240, 160)) == 600 * 4 + 6 * 240 * 160


@pytest.mark.parametrize(("megapixels", "info"), [(40, {}), (27, {"progressive": 1})])
def test_photos_of_40_megapixels_are_decoded_one_at_a_time(megapixels: int, info: dict[str, int]) -> None:
    """A progressive JPEG decoded at an eighth of its size already needs the limit at 27 megapixels."""
    shrink = 8 if info else 1
    full = (1000, 1000 * megapixels)
    image = SimpleNamespace(mode="RGB", format="JPEG" if info else "PNG", info=info)
    image.width, image.height = (side // shrink for side in full)
    assert bytes_needed(cast(Image.Image, image), full) == pytest.approx(LARGE, rel=0.06)


def test_megapixel_limit_refers_to_the_stored_size_of_a_reduced_jpeg() -> None:
    """An image of 240 x 160 pixels is decoded to 30 x 20 pixels, which need 4 bytes each."""
    image = Image.new("RGB", (30, 20))
    image.format = "JPEG"
    assert most_megapixels(image, (240, 160)) == pytest.approx(BUDGET / (600 * 4) * 240 * 160 / 1e6)


@pytest.mark.parametrize("header", [b"%!PS-Adobe-3.0", b"GIF88a..........", b"", b"\x89PNG", b"RIFF....WAVEfmt "])
def test_files_that_do_not_begin_like_a_photo_are_rejected(header: bytes) -> None:
    with pytest.raises(OSError, match="not a photo format"):
        format_of(header)


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=6), st.integers(0, 9)), max_size=20))
def test_minhash_signature_is_independent_of_photo_order_and_folders(photos: list[tuple[str, int]]) -> None:
    found = minhash_signature(photos)
    assert found == sorted(set(found)) == minhash_signature(reversed(photos))
    assert found == minhash_signature((f"/other/folder/{name}", size) for name, size in photos)
    assert overlap(found, found) is bool(photos)


def test_minhash_signature_depends_on_photo_names_and_sizes() -> None:
    one = minhash_signature([("a.jpg", 10)])
    assert len(one) == 1 and 0 <= one[0] < 1 << 48
    for other in ([("a.jpg", 11)], [("b.jpg", 10)]):
        assert not overlap(one, minhash_signature(other))
    assert minhash_signature([("a.jpg", UNKNOWN_SIZE)]) == []
    many = [(f"{number}.jpg", number) for number in range(500)]
    smallest = sorted(value for photo in many for value in minhash_signature([photo]))[:128]
    assert minhash_signature(many) == smallest


@pytest.mark.parametrize(
    ("one", "other", "close"),
    [
        (((127.5,), (127.5,)), ((127.0,), (128.0,)), True),
        (((127.5,), (127.5,)), ((128.0,), (128.0,)), True),
        (((127.5,), (127.5,)), ((126.0,), (127.5,)), False),
        (((0.0,), (255.0,)), ((0.0,), (256.0,)), True),
        (((0.0,), (1.0,)), ((0.0,), (255 / 200,)), False),
        (((0.0,), (1.0,)), ((0.0,), (255 / 254.5,)), True),
        (((0.0,), (1.0,)), ((0.4,), (1.4,)), False),
        (((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), ((124.0, 116.0, 104.0), (58.4, 57.1, 57.4)), True),
        (((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), ((103.5, 116.3, 123.7), (57.4, 57.1, 58.4)), False),
    ],
)
def test_normalizations_that_differ_by_at_most_one_pixel_value_are_close(
    one: tuple[tuple[float, ...], tuple[float, ...]], other: tuple[tuple[float, ...], tuple[float, ...]], close: bool
) -> None:
    assert Normalization(*one).is_close(Normalization(*other)) is close
    assert Normalization(*other).is_close(Normalization(*one)) is close


def test_normalization_comparison_uses_the_smaller_standard_deviation() -> None:
    """Pixel 0 becomes -1 and -0.5, which differ by 0.5 * 127.5 pixel values of the smaller deviation."""
    one, other = Normalization((127.5,), (127.5,)), Normalization((127.5,), (255.0,))
    for first, second in ((one, other), (other, one)):
        assert first.is_close(second, 64.0) and not first.is_close(second, 63.0)
