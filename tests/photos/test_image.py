"""Tests of decoding and normalizing unusual and damaged images."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poets_edge.errors import PhotoError
from poets_edge.photos.image import fit, normalizer, read_photo
from poets_edge.photos.normalization import Normalization


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def gradient(width: int, height: int) -> Image.Image:
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, np.zeros_like(across)], axis=-1).astype(np.uint8))


@given(st.integers(1, 8), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_read_photo_applies_every_exif_orientation(orientation: int, width: int, height: int) -> None:
    upright = gradient(width, height)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = read_photo(encoded(stored, exif=exif))
    np.testing.assert_array_equal(np.asarray(read), np.asarray(upright))


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF"])
)
@settings(max_examples=150, deadline=None)
def test_read_photo_raises_only_photo_errors_for_arbitrary_bytes(junk: bytes, head: bytes) -> None:
    try:
        assert read_photo(head + junk).mode == "RGB"
    except PhotoError as error:
        assert "\n" not in str(error)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns about damaged tags
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_read_photo_raises_only_photo_errors_for_damaged_files(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]))
    content = bytearray(encoded(gradient(60, 40), form))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert read_photo(bytes(content[: data.draw(st.integers(1, len(content)))])).mode == "RGB"
    except PhotoError as error:
        assert "\n" not in str(error)


def test_read_photo_rejects_images_without_pixels() -> None:
    with pytest.raises(PhotoError, match="without pixels"):
        read_photo(Image.new("RGB", (0, 3)))


def test_read_photo_composites_transparency_over_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert np.asarray(read_photo(encoded(clear))).min() == 255


def test_read_photo_converts_16_bit_gray_to_8_bits() -> None:
    shades = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    read = np.asarray(read_photo(encoded(Image.fromarray(shades))))[..., 0]
    np.testing.assert_allclose(read.ravel(), np.arange(256), atol=1)


def test_read_photo_decodes_large_jpegs_at_reduced_size() -> None:
    large = gradient(3000, 2000)
    read = read_photo(encoded(large, "JPEG", quality=95))
    assert read.size == (750, 500)
    np.testing.assert_allclose(fit(read, (224, 224)).astype(int), fit(large, (224, 224)).astype(int), atol=4)


def test_read_photo_returns_equal_pixels_for_all_source_types(flowers: Path) -> None:
    path = flowers / "daisy/21652746_cc379e0eea_m.jpg"
    with path.open("rb") as file:
        pictures = [read_photo(source) for source in (path, str(path), path.read_bytes(), file)]
    assert len({picture.tobytes() for picture in pictures}) == 1


@pytest.mark.parametrize(("mean", "std"), [((127.5,), (127.5,)), ((123.7, 116.8, 103.9), (58.4, 57.1, 57.4))])
def test_normalizer_computes_the_documented_formula(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    out = np.empty(pixels.shape, np.float32)
    normalizer(Normalization(mean, std))(pixels, out)
    np.testing.assert_allclose(out, (pixels - np.array(mean)) / np.array(std), atol=1e-5)


@pytest.mark.parametrize("strips", [False, True])
@pytest.mark.parametrize("kind", ["P", "L", "RGB", "RGBA", "LA", "1"])
def test_read_photo_composites_every_kind_of_transparency_over_white(
    kind: str, strips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upper half is transparent; a single transparent color is stored in a chunk of its own."""
    if strips:
        monkeypatch.setattr("poets_edge.photos.image._LARGE", 64)
    image = Image.new("RGB", (16, 12), (200, 200, 200))
    image.paste((10, 10, 10), (0, 0, 16, 6))
    options: dict[str, object] = {}
    if kind in ("RGBA", "LA"):
        image = image.convert(kind)
        image.putalpha(Image.fromarray(np.repeat(np.repeat([[0], [255]], 6, axis=0), 16, axis=1).astype(np.uint8)))
    elif kind == "P":
        image = image.quantize(2)
        options["transparency"] = image.getpixel((0, 0))
    else:
        image = image.convert(kind)
        options["transparency"] = image.getpixel((0, 0)) if kind != "1" else 0
    found = np.asarray(read_photo(encoded(image, "PNG", **options)))
    assert (found[:6] == 255).all()
    assert (found[6:] == (255 if kind == "1" else 200)).all()


def test_read_photo_limits_the_file_size_of_every_source_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(gradient(9, 7))
    (tmp_path / "a.png").write_bytes(data)
    for most, accepted in ((len(data), True), (len(data) - 1, False)):
        monkeypatch.setattr("poets_edge.photos.image.LARGEST_PHOTO", most)
        for source in (data, io.BytesIO(data), tmp_path / "a.png", str(tmp_path / "a.png")):
            if accepted:
                assert read_photo(source).size == (9, 7)
            else:
                with pytest.raises(PhotoError, match=r"larger|too large"):
                    read_photo(source)


def test_read_photo_error_begins_with_the_name_of_the_source(tmp_path: Path) -> None:
    for source, name in (
        (b"x", "picture"),
        (tmp_path / "none.jpg", str(tmp_path / "none.jpg")),
        (io.BytesIO(), "picture"),
    ):
        with pytest.raises(PhotoError, match=f"^{re.escape(name)}: "):
            read_photo(source)
    with pytest.raises(PhotoError, match=r"^given: no such file"):
        read_photo(tmp_path / "none.jpg", name="given")


def test_photo_is_resized_horizontally_before_vertically_with_the_requested_crop() -> None:
    image = gradient(40, 24)
    found = fit(image, (5, 9), (3.5, 2.25, 30.0, 20.5))
    narrowed = image.resize((9, 24), Image.Resampling.BILINEAR, box=(3.5, 0, 30.0, 24))
    expected = narrowed.resize((9, 5), Image.Resampling.BILINEAR, box=(0, 2.25, 9, 20.5))
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_memory_for_decoding_a_photo_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """An RGB PNG needs 4 bytes for each pixel."""
    data = encoded(gradient(30, 20))
    monkeypatch.setattr("poets_edge.photos.image.BUDGET", 2400)
    assert read_photo(data).size == (30, 20)
    monkeypatch.setattr("poets_edge.photos.image.BUDGET", 2399)
    with pytest.raises(PhotoError, match=r"a picture of its kind \(PNG, RGB\) may have"):
        read_photo(data)
    with pytest.raises(PhotoError, match=r": 6 megapixels, .* may have 105\."):
        read_photo(encoded(Image.new("RGB", (3000, 2000))))


def test_errors_about_a_file_object_name_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"text")
    with (tmp_path / "a.jpg").open("rb") as file, pytest.raises(PhotoError, match=f"^{tmp_path}/a.jpg: not a picture"):
        read_photo(file)
    with pytest.raises(PhotoError, match=r"^picture: not a picture"):
        read_photo(io.BytesIO(b"text"))
    with pytest.raises(PhotoError, match=r"^daisy: not a picture"):
        read_photo(b"text", name="daisy")


def test_cropped_part_of_an_image_is_enlarged_to_the_size_of_the_image() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4, 4:] = (200, 100, 50)
    found = fit(Image.fromarray(pixels), (8, 8), (4, 0, 8, 4))
    assert found.shape == (8, 8, 3) and (found[:6, 2:] == (200, 100, 50)).all(), "the border is interpolated"


def test_transparent_color_is_white_in_images_that_are_converted_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transparent color of a palette image is in its `info`, which each strip needs, too."""
    image = Image.new("P", (6, 40))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.paste(1, (0, 0, 6, 20))
    expected = read_photo(encoded(image, transparency=0)).tobytes()
    monkeypatch.setattr("poets_edge.photos.image._LARGE", 100)
    assert read_photo(encoded(image, transparency=0)).tobytes() == expected
    assert read_photo(encoded(image, transparency=0)).getpixel((0, 39)) == (255, 255, 255)
    gray = Image.new("L", (6, 40), 77)
    assert read_photo(encoded(gray, transparency=77)).getpixel((3, 20)) == (255, 255, 255)
