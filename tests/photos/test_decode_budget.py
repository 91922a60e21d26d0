"""Tests of image decoding: memory limit, supported formats, and rejected formats."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from poets_edge.errors import PhotoError
from poets_edge.photos import decode_budget as budget
from poets_edge.photos import image as images
from poets_edge.photos.image import read_photo
from tests.conftest import ROOT, poets_edge
from tests.needs import need_module

MODEL = ROOT / "tests/corpus/seeds/seed_graph.tflite"


def test_read_photo_rejects_images_that_need_more_than_the_memory_limit(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 13_000, 13_000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    assert len(data) < 400
    (tmp_path / "bomb.png").write_bytes(data)
    poets_edge("label", MODEL, tmp_path / "bomb.png").failed("169 megapixels", "Scale it down")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the most memory")
def test_read_photo_decodes_200_megapixels(tmp_path: Path) -> None:
    Image.new("RGB", (16_320, 12_240), "red").save(tmp_path / "large.jpg", quality=60)
    code = (
        "import sys; from pathlib import Path; from poets_edge.photos.image import read_photo;"
        "assert read_photo(Path(sys.argv[1])).size == (2040, 1530);"
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')][0])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "large.jpg"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert int(ended.stdout) < 500_000, f"{ended.stdout} kB"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "I;16", "CMYK"])
def test_converting_large_images_in_strips_does_not_change_pixels(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)
    image = Image.fromarray(values.astype(np.uint16) * 200) if mode == "I;16" else Image.fromarray(values).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(values[::-1].copy()))
    whole = np.asarray(read_photo(image))
    monkeypatch.setattr("poets_edge.photos.image._LARGE", 1000)
    assert np.array_equal(np.asarray(read_photo(image)), whole)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"%PDF-1.4\n", b"P6 2 2 255\n" + bytes(12), b"8BPS"])
def test_read_photo_rejects_unsupported_formats(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(PhotoError, match="not a picture"):
        read_photo(tmp_path / "photo.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_evaluate_skips_and_lists_pipes_devices_and_huge_files(tmp_path: Path) -> None:
    for label in ("daisy", "roses"):
        (tmp_path / label).mkdir()
        Image.new("RGB", (40, 30), "yellow").save(tmp_path / label / "good.png")
    os.mkfifo(tmp_path / "daisy/pipe.jpg")
    (tmp_path / "daisy/link.jpg").symlink_to("pipe.jpg")
    (tmp_path / "daisy/device.jpg").symlink_to("/dev/zero")
    with (tmp_path / "daisy/sparse.jpg").open("wb") as file:
        file.truncate(60 << 30)
    ran = poets_edge("evaluate", MODEL, "--image_dir", tmp_path, "--set", "all").ok()
    assert sum("left out:" in line for line in ran.stderr.splitlines()) == 4
    poets_edge("label", MODEL, tmp_path / "daisy/pipe.jpg").failed("not a regular file")


HEIC = Path(__file__).with_name("drawn_daisy.heic")
"""HEIC file with a synthetic image of a daisy, 96 x 64 pixels."""


def test_read_photo_decodes_heic_with_the_heif_plugin() -> None:
    need_module("pi_heif")
    pixels = np.asarray(read_photo(HEIC))
    assert pixels.shape == (64, 96, 3) and pixels.std() > 10


def test_read_photo_reports_that_the_heic_plugin_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(budget, "_HEIF_PLUGINS", ("no_such_decoder",))
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(PhotoError, match=r"a HEIC photo.*pip install pi-heif"):
        read_photo(HEIC)


def test_large_images_are_converted_in_strips_of_a_sixteenth_of_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 70 pixels, four rows have at most 5,000 / 16 pixels; the last of 90 rows are two."""
    heights: list[int] = []
    convert = images._strip_to_rgb

    def counted(strip: Image.Image, white: float) -> Image.Image:
        heights.append(strip.height)
        return convert(strip, white)

    monkeypatch.setattr(images, "_strip_to_rgb", counted)
    monkeypatch.setattr(images, "_LARGE", 5000)
    read_photo(Image.new("L", (70, 90)))
    assert heights == [4] * 22 + [2]


def test_orientation_stored_after_the_pixels_of_a_png_is_applied() -> None:
    """The metadata chunk is moved behind the pixels; orientation 6 is to be turned by 90 degrees."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (6, 4)).save(file, "PNG", exif=exif)
    data = file.getvalue()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    last = data.index(b"IEND") - 4
    moved = data[:start] + data[end:last] + data[start:end] + data[last:]
    assert read_photo(io.BytesIO(moved)).size == (4, 6)
