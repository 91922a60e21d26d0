"""Tests of file names in zip files: UTF-8 with and without the UTF-8 flag, other encodings, and backslashes."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from poets_edge.errors import DatasetError, PhotoError, UsageError
from poets_edge.photos.contents import contents_at
from poets_edge.photos.folder import scan
from poets_edge.photos.open_photo import read_contents
from poets_edge.photos.sources import photo_at, with_encoding
from poets_edge.photos.zip_names import zip_name
from tests.conftest import poets_edge


def _zip(path: Path, *names: bytes, extra: bytes = b"") -> Path:
    """Write a zip file whose names may be any bytes, without the UTF-8 flag; the content of a member is its name."""
    stand_ins = {name: f"{number:0{len(name)}}" for number, name in enumerate(names)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, stand_in in stand_ins.items():
            info = zipfile.ZipInfo(stand_in)
            info.extra = extra
            archive.writestr(info, name)
    data = path.read_bytes()
    for name, stand_in in stand_ins.items():
        for mark, length in ((b"PK\3\4", 30), (b"PK\1\2", 46)):
            at = data.find(stand_in.encode(), data.find(mark))
            while data[at - length : at - length + 4] != mark:
                at = data.find(stand_in.encode(), at + 1)
            data = data[:at] + name + data[at + len(name) :]
    path.write_bytes(data)
    return path


def _read(place: Path) -> dict[str, bytes]:
    """Scan a zip file, and return the contents of the photo in each class, read by its path."""
    return {photo.label: read_contents(photo) for photo in scan(place).photos}


def test_scan_reads_unmarked_utf8_names(tmp_path: Path) -> None:
    """`zip -r` on Linux writes UTF-8 names without the UTF-8 flag."""
    name, other = "Gänseblümchen/1.jpg".encode(), b"roses/001.jpg"
    place = _zip(tmp_path / "a.zip", name, other)
    assert _read(place) == {"Gänseblümchen": name, "roses": other}
    assert not scan(place).warnings()


def test_scan_reads_cp437_names_and_reports_the_encoding(tmp_path: Path) -> None:
    name = "Gänseblümchen/1.jpg".encode("cp437")
    place = _zip(tmp_path / "a.zip", name, b"roses/001.jpg")
    assert _read(place)["Gänseblümchen"] == name
    [line] = scan(place).warnings()
    assert "read as cp437, as in Gänseblümchen/1.jpg" in line


@pytest.mark.parametrize(("text", "encoding"), [("雏菊/1.jpg", "gbk"), ("表/ソ.jpg", "cp932"), ("Роза/1.jpg", "cp866")])
def test_scan_reads_names_in_the_declared_encoding(text: str, encoding: str, tmp_path: Path) -> None:
    """In cp932, the second byte of the characters 表 and ソ is a backslash."""
    name = text.encode(encoding)
    place = with_encoding(_zip(tmp_path / "a.zip", name, b"roses/001.jpg"), encoding)
    assert isinstance(place, Path)
    assert _read(place) == {text.partition("/")[0]: name, "roses": b"roses/001.jpg"}
    assert not scan(place).warnings()
    pattern = with_encoding(tmp_path / "?.zip", encoding)
    assert (
        isinstance(pattern, Path) and scan(pattern).photos[0].name == f"a.zip@{encoding}/{min(text, 'roses/001.jpg')}"
    )


def test_scan_rejects_names_that_are_not_in_the_declared_encoding(tmp_path: Path) -> None:
    place = _zip(tmp_path / "a.zip", "Gänse/1.jpg".encode("cp437"))
    with pytest.raises(DatasetError, match="is not a name in the encoding ascii"):
        scan(place.with_name("a.zip@ascii"))
    with pytest.raises(UsageError, match="not an encoding"):
        with_encoding(place, "klingon")
    with pytest.raises(UsageError, match=r"for a \.zip"):
        with_encoding(tmp_path, "gbk")


def test_scan_interprets_backslashes_as_separators(tmp_path: Path) -> None:
    place = _zip(tmp_path / "a.zip", rb"flowers\daisy\1.jpg", rb"flowers\roses\1.jpg")
    found = scan(place)
    assert [photo.name for photo in found.photos] == ["daisy/1.jpg", "roses/1.jpg"]
    assert read_contents(found.photos[0]) == rb"flowers\daisy\1.jpg"


def test_scan_rejects_backslash_paths_that_lead_out_of_the_archive(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="leads out of the archive"):
        scan(_zip(tmp_path / "a.zip", rb"daisy\..\..\1.jpg"))


@pytest.mark.parametrize("sound", [True, False])
def test_scan_reads_names_from_the_utf8_extra_field(sound: bool, tmp_path: Path) -> None:
    name = "Gänse/1.jpg".encode("cp437")
    spelled = b"Enten/1.jpg"
    value = struct.pack("<BL", 1, zlib.crc32(name) ^ (not sound)) + spelled
    place = _zip(tmp_path / "a.zip", name, extra=struct.pack("<HH", 0x7075, len(value)) + value)
    assert scan(place).classes == ("Enten" if sound else "Gänse",)


def test_commands_accept_the_zip_encoding_option(tmp_path: Path) -> None:
    place = _zip(tmp_path / "a.zip", "雏菊/1.jpg".encode("gbk"), "玫瑰/1.jpg".encode("gbk"))
    train = ("train", place, "--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--zip-encoding")
    poets_edge(*train, "gbk", cwd=tmp_path).failed(f"{place}@gbk: two classes or more are needed")
    poets_edge("audit", place, "--zip-encoding", "klingon").failed("--zip-encoding klingon: not an encoding")


@pytest.mark.parametrize("name", ["a.zip", "A.ZIP"])
def test_zip_encoding_is_accepted_for_suffixes_in_any_case(name: str, tmp_path: Path) -> None:
    place = with_encoding(_zip(tmp_path / name, "雏菊/1.jpg".encode("gbk")), "gbk")
    assert contents_at(photo_at(place, "雏菊/1.jpg")) == "雏菊/1.jpg".encode("gbk")
    with pytest.raises(PhotoError, match=r"1\.jpg: No such file"):
        contents_at(tmp_path / "missing" / "1.jpg")


def test_names_marked_as_utf8_are_not_decoded_again() -> None:
    info = zipfile.ZipInfo("Gänse\\1.jpg")
    info.orig_filename = "Gänse\\1.jpg"
    info.flag_bits = 0x800
    assert zip_name(info, "gbk") == ("Gänse/1.jpg", False)
    info.flag_bits = 0
    assert zip_name(info) == ("Gänse/1.jpg", True)
    info.orig_filename = "Gänse\\1.jpg".encode().decode("cp437")
    assert zip_name(info) == ("Gänse/1.jpg", False)


@pytest.mark.parametrize("change", ["version", "checksum", "tag", "short", "length", "text"])
def test_damaged_extra_fields_of_zip_members_are_ignored(change: str) -> None:
    raw, spelled = "Gänse/1.jpg".encode("cp437"), b"Enten/1.jpg"
    version, checksum, tag = 1, zlib.crc32(raw), 0x7075
    if change == "version":
        version = 2
    elif change == "checksum":
        checksum ^= 1
    elif change == "tag":
        tag += 1
    elif change == "short":
        spelled = b""
    elif change == "text":
        spelled = b"\xff"
    value = struct.pack("<BL", version, checksum) + spelled
    info = zipfile.ZipInfo()
    info.orig_filename = raw.decode("cp437")
    other = struct.pack("<HH", 1, 2) + b"xx"
    length = len(value) - (len(spelled) if change == "length" else 0)
    info.extra = other + struct.pack("<HH", tag, length) + value
    assert zip_name(info) == ("Gänse/1.jpg", True)
