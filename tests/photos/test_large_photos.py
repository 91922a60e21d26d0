"""Tests of memory use: large photos are in memory one at a time, and errors do not keep unreadable photos in memory."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from PIL import Image

from poets_edge.core.parallel import run_parallel
from poets_edge.device.predictions import score_photos
from poets_edge.errors import PhotoError
from poets_edge.photos import contents, decode_budget, image, png_chunks
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.image import read_photo
from poets_edge.photos.open_photo import open_photo, read_contents
from tests.core.test_turns import Meeting
from tests.device.test_predictions import ColorScorer

RED = (200, 30, 40)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, size: tuple[int, int] = (6, 4), after: bytes = b"") -> bytes:
    """Return a PNG with additional chunks between its header and its pixels, and bytes after its end."""
    file = io.BytesIO()
    Image.new("RGB", size, RED).save(file, "PNG")
    data = file.getvalue()
    return data[:33] + b"".join(chunks) + data[33:] + after


def write(folder: Path, contents: list[bytes]) -> list[Photo]:
    for label in ("daisy", "roses"):
        (folder / label).mkdir(parents=True)
        for index, content in enumerate(contents):
            (folder / label / f"{index}.png").write_bytes(content)
    return list(scan(folder).photos)


def most_at_once(photos: list[Photo], read: Callable[[Photo], object]) -> int:
    """Read photos in four threads, and return the maximum number of photos that are in memory at the same time."""
    meeting = Meeting()

    def work(photo: Photo, tool: None) -> None:
        kept = read(photo)
        meeting.visit()
        del kept

    list(run_parallel(photos, lambda: None, work, workers=4))
    return meeting.most


def test_photos_with_many_bytes_are_read_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = write(tmp_path / "photos", [png(chunk(b"abCd", os.urandom(2000)))] * 4)
    assert most_at_once(photos, read_contents) > 1
    monkeypatch.setattr(contents, "_LARGE_PHOTO", 1000)
    assert most_at_once(photos, read_contents) == 1


def test_large_archive_members_are_read_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for index in range(8):
            archive.writestr(f"{'daisy' if index % 2 else 'roses'}/{index}.png", png(chunk(b"abCd", bytes(2000))))
    monkeypatch.setattr(contents, "_LARGE_PHOTO", 1000)
    assert most_at_once(list(scan(tmp_path / "photos.zip").photos), read_contents) == 1


def test_photos_with_many_pixels_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = write(tmp_path / "photos", [png(size=(60, 40))] * 4)
    assert most_at_once(photos, open_photo) > 1
    monkeypatch.setattr(image, "LARGE", 60 * 40 * 4 - 1)
    assert most_at_once(photos, open_photo) == 1


@pytest.mark.parametrize(
    ("width", "height", "info"),
    [(1020, 765, {}), (4032, 3024, {"progressive": 1})],
    ids=["50 megapixels at an eighth", "12 megapixels, progressive"],
)
def test_jpegs_from_common_phones_are_decoded_concurrently(width: int, height: int, info: dict[str, int]) -> None:
    opened = SimpleNamespace(width=width, height=height, mode="RGB", format="JPEG", info=info)
    assert decode_budget.bytes_needed(cast(Image.Image, opened), (4032, 3024)) < decode_budget.LARGE


@pytest.mark.parametrize("kind", [b"abCd", b"eXIf", b"tEXt", b"iTXt", b"iCCP", b"fdAT", b"tRNS", b"PLTE"])
def test_read_photo_does_not_copy_large_metadata_of_pngs(kind: bytes) -> None:
    data = png(chunk(kind, b"x\0" + bytes(8 << 20)))
    assert _peak(lambda: read_photo(data)) < 1 << 20
    assert read_photo(data).getpixel((0, 0)) == RED


def test_read_photo_ignores_bytes_after_the_end_of_a_png(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_chunks, "_MOST_CHUNKS", 100)  # zeros look like empty chunks
    data = png(after=bytes(4 << 20))
    assert read_photo(data).getpixel((0, 0)) == RED
    assert read_photo(io.BytesIO(data)).getpixel((0, 0)) == RED


def test_read_photo_applies_an_orientation_in_the_metadata_of_a_png() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with_exif = png(chunk(b"eXIf", exif.tobytes()[6:]), chunk(b"abCd", bytes(100_000)))
    assert read_photo(with_exif).size == (4, 6)
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    assert read_photo(png(chunk(b"iTXt", xmp), chunk(b"abCd", bytes(100_000)))).size == (4, 6)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_read_photo_does_not_rotate_a_photo_with_damaged_metadata(form: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), RED).save(file, form, exif=b"Exif\0\0no TIFF header", lossless=True)
    assert read_photo(file.getvalue()).size == (6, 4)


def test_read_photo_rejects_a_png_with_too_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_chunks, "_MOST_CHUNKS", 100)
    assert read_photo(png(*[chunk(b"abCd", b"")] * 90)).getpixel((0, 0)) == RED
    with pytest.raises(PhotoError, match=r"flower\.png: a PNG of more than 100 parts\. Save it again"):
        read_photo(png(*[chunk(b"abCd", b"")] * 100), name="flower.png")


def test_zip_members_are_decompressed_in_parts_to_save_memory(tmp_path: Path) -> None:
    """Reading a member of 10 MB needs little more than 10 MB, although compressed parts yield several pieces."""
    noise = os.urandom(1 << 16)
    content = b"".join(noise + bytes(1 << 20) for _ in range(10))
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("daisy/0.png", content)
        archive.writestr("roses/0.png", content[:-1])
    first, second = scan(tmp_path / "photos.zip").photos
    assert read_contents(first) == content
    assert read_contents(second) == content[:-1]
    assert _peak(lambda: read_contents(first)) < 1.9 * len(content)


def test_errors_about_unreadable_photos_do_not_keep_the_photos_in_memory(tmp_path: Path) -> None:
    """The errors about 8 unreadable photos of 1 MB each are in memory until the last photo is scored."""
    photos = write(tmp_path / "photos", [bytes(1 << 20)] * 8)
    assert len(score_photos(photos, ColorScorer, workers=2).unreadable) == len(photos)
    assert _peak(lambda: score_photos(photos, ColorScorer, workers=2)) < 6 << 20


def _peak(read: Callable[[], object]) -> int:
    read()  # loads decoders
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_error_of_a_photo_in_a_folder_names_its_path(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"text")
    with pytest.raises(PhotoError, match=f"^{tmp_path}/1.jpg: not a picture"):
        open_photo(Photo(tmp_path / "1.jpg", "daisy/1.jpg", "daisy"))
