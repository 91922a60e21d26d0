"""Tests of recognizing photo formats by the first bytes and by the suffix of a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poets_edge.photos.formats import HEADER_BYTES, is_photo_content, is_photo_file, photo_format

BMP = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\x0a\0\n\0WEBPVP8 ", "WEBP"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (BMP, "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"MM\0+", "TIFF"),
        *((b"\0\0\0\x18ftyp" + brand, "AVIF") for brand in (b"avif", b"avis")),
        *(
            (b"\0\0\0\x18ftyp" + brand, "HEIF")
            for brand in (b"heic", b"heix", b"heim", b"hevc", b"hevx", b"mif1", b"msf1")
        ),
        (b"\0\0\0\x18ftypmp42", None),
        (b"GIF88a", None),
        (b"\xff\xd8", None),
        (b"\x89PNG\r\n\x1a\r", None),
        (b"RIFF\x0a\0\0\0WAVEfmt ", None),
        (b"II\0*", None),
        (b"x\xff\xd8\xff", None),
        (b"", None),
    ],
)
def test_photo_format_is_recognized_by_the_first_bytes(header: bytes, name: str | None) -> None:
    assert photo_format(header) == name
    assert is_photo_content(header[:HEADER_BYTES], "file") is (name is not None)


def test_line_feeds_among_the_bytes_of_a_bmp_header_are_accepted() -> None:
    assert is_photo_content(BMP[:3] + b"\n" + BMP[4:11] + b"\n" + BMP[12:14] + b"\x28\0", "file")


def test_text_that_begins_with_bm_is_not_recognized_as_a_photo() -> None:
    for size in (12, 40, 52, 56, 64, 108, 124):
        assert is_photo_content(BMP[:14] + bytes([size, 0]), "file")
    for text in (b"BM is the name of", BMP[:14] + b"\x29\0", BMP[:6] + b"\1" + BMP[7:], BMP[:15]):
        assert photo_format(text) == "BMP" and not is_photo_content(text, "file")


@pytest.mark.parametrize("name", ["a.nef", "a.NEF", "a.b.Dng", "folder.x/a.cr2"])
def test_raw_files_from_cameras_are_not_recognized_as_photos(name: str) -> None:
    assert not is_photo_content(b"II*\0", name) and is_photo_content(b"II*\0", "nef")


def test_only_regular_files_are_read_to_recognize_photos(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"GIF89a")
    (tmp_path / "text").write_bytes(b"text")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("photo")
    found = {name: is_photo_file(tmp_path / name) for name in ("photo", "link", "text", "pipe", "missing", ".")}
    assert found == {"photo": True, "link": True, "text": False, "pipe": False, "missing": False, ".": False}
