"""Tests of photos in archives and WebDataset shards: training gives the same graph as with a folder."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos import sources
from poets_edge.photos.folder import scan
from poets_edge.photos.open_photo import read_contents
from tests.conftest import poets_edge
from tests.photos.archive_files import FEW, contents_of, make_tar, make_zip, shards, trained


def test_train_on_an_archive_writes_the_same_graph_as_on_the_folder(photos: Path, alone: bytes, tmp_path: Path) -> None:
    zipped, inside = make_zip(tmp_path / "a.zip", photos), make_zip(tmp_path / "b.zip", photos, "flower_photos/")
    tarred = make_tar(tmp_path / "c.tar", {f"./{name}": content for name, content in contents_of(photos).items()})
    assert [photo.name for photo in scan(zipped).photos] == [photo.name for photo in scan(photos).photos]
    assert [read_contents(photo) for photo in scan(inside).photos] == [*contents_of(photos).values()]
    assert trained(zipped, tmp_path / "zip") == trained(tarred, tmp_path / "tar") == alone


def test_export_and_evaluate_read_photos_from_the_training_archive(photos: Path, tmp_path: Path) -> None:
    zipped = make_zip(tmp_path / "photos.zip", photos, "flower_photos/")
    trained(zipped, tmp_path)
    exported = poets_edge("export", "--quantize", "int8", cwd=tmp_path).ok()
    assert "test photos" in exported.stdout + exported.stderr
    model = "tf_files/retrained_graph_int8.tflite"
    found = json.loads(poets_edge("evaluate", model, "--image_dir", zipped, "--json", cwd=tmp_path).ok().stdout)
    same = json.loads(poets_edge("evaluate", model, "--image_dir", photos, "--json", cwd=tmp_path).ok().stdout)
    assert found == same and found["set"] == "test", "the archive must be recognized as the training data"
    page = (tmp_path / "tf_files/retrained_graph.html").read_text()
    assert "data:image/jpeg" in page
    poets_edge("audit", zipped, *FEW[2:], cwd=tmp_path).ok()
    (tmp_path / "photos.zip").unlink()
    assert "photos.zip" in poets_edge("export", "--quantize", "int8", cwd=tmp_path).failed().stderr


def test_train_reads_an_unchanged_archive_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped = make_zip(tmp_path / "photos.zip", photos)
    os.utime(zipped, (1_000_000_000, 1_000_000_000))
    monkeypatch.setattr("poets_edge.photos.digests.RACY_SECONDS", -1e9)  # the photos were just written
    first = trained(zipped, tmp_path, "--not-calibrated")
    read: list[str] = []
    real = sources.read

    def counted(path: str, most: int) -> bytes:
        read.append(path)
        return real(path, most)

    monkeypatch.setattr(sources, "read", counted)
    assert trained(zipped, tmp_path, "--not-calibrated") == first
    several = len([*photos.glob("*/*.jpg")])
    assert len(read) < several, "only thumbnails must be read"
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr("daisy/more.jpg", next(photos.glob("roses/*.jpg")).read_bytes())
    read.clear()
    trained(zipped, tmp_path, "--not-calibrated")
    assert len(read) > several, "a changed archive must be read again"


@pytest.mark.parametrize("pattern", ["flowers-{000..002}.tar", "flowers-*.tar", "flowers-00{0,1,2}.tar"])
def test_scan_reads_webdataset_shards(photos: Path, tmp_path: Path, pattern: str) -> None:
    shards(tmp_path, photos)
    found = scan(tmp_path / pattern)
    assert len(found.photos) == 40 and found.classes == scan(photos).classes
    assert found.photos[0].name == "flowers-000.tar/0000.jpg" and found.photos[0].label == "daisy"
    by_content = {content: name.partition("/")[0] for name, content in contents_of(photos).items()}
    assert all(by_content[read_contents(photo)] == photo.label for photo in found.photos)
    one = scan(tmp_path / "flowers-001.tar").photos
    assert {photo.name for photo in one} < {f"{place:04}.jpg" for place in range(20)}
    assert sources.photo_at(tmp_path / pattern, found.photos[0].name) == found.photos[0].path


def test_train_on_shards_writes_the_same_graph_with_and_without_a_cluster(photos: Path, tmp_path: Path) -> None:
    shards(tmp_path, photos)
    graph = trained(tmp_path / "flowers-{000..002}.tar", tmp_path, "--cluster", "local:1")
    assert trained(tmp_path / "flowers-{000..002}.tar", tmp_path / "alone") == graph
    poets_edge("export", "--quantize", "int8", cwd=tmp_path).ok()


def test_scan_reads_split_folders_in_an_archive(photos: Path, tmp_path: Path) -> None:
    contents = contents_of(photos)
    names = {name: ("train/", "val/", "test/")[place % 3] for place, name in enumerate(contents)}
    path = make_tar(tmp_path / "sets.tar", {names[name] + name: content for name, content in contents.items()})
    found = scan(path)
    assert found.set_folders == ("test", "train", "val") and found.photos[0].given_split == "test"
    assert found.classes == scan(photos).classes


def _link(name: str, kind: bytes = tarfile.SYMTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(info)
    return file.getvalue()


def _tar(**files: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def _tar_claiming(kind: bytes) -> bytes:
    """Return a tar whose header declares a name of 12 GB."""
    info = tarfile.TarInfo("a/1.jpg")
    info.type, info.size = kind, 12 << 30
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)


def _nested() -> bytes:
    """Return a tar with more nested name headers than Python's recursion limit."""
    info = tarfile.TarInfo("a/1.jpg")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    return (info.tobuf(tarfile.GNU_FORMAT) + b"x" + bytes(511)) * 5000 + bytes(1024)


def _tar_of_size(size: int) -> bytes:
    """Return a tar whose extended header declares the given size of its member."""
    info = tarfile.TarInfo("a/1.jpg")
    info.pax_headers = {"size": str(size)}
    return info.tobuf(tarfile.PAX_FORMAT) + bytes(4096)


def _zip(name: str, content: bytes = b"x", other: str = "", **facts: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        if other:
            archive.writestr(other, content)
        info = zipfile.ZipInfo(name)
        for fact, value in facts.items():
            setattr(info, fact, value)
        archive.writestr(info, content)
    return file.getvalue()


def _encrypted() -> bytes:
    data = bytearray(_zip("a/1.jpg"))
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


BAD: dict[str, tuple[str, bytes, str]] = {
    "empty zip": ("x.zip", b"", "damaged, truncated"),
    "cut zip": ("x.zip", _zip("a/1.jpg")[:-30], "damaged, truncated"),
    "no zip": ("x.zip", b"x" * 5000, "damaged, truncated"),
    "empty tar": ("x.tar", b"", "damaged, truncated"),
    "cut tar": ("x.tar", _tar(**{"a/1.jpg": b"x" * 5000})[:3000], "damaged, truncated"),
    "tar without its end": ("x.tar", _tar(**{"a/1.jpg": b"x" * 512})[:1024], "damaged, truncated"),
    "tar garbled behind its first member": ("x.tar", _tar(**{"a/1.jpg": b"x"})[:1024] + b"y" * 4096, "damaged"),
    "compressed tar": ("x.tar.gz", b"\x1f\x8b", "Make a .zip or .tar"),
    "outside, zip": ("x.zip", _zip("../1.jpg"), "leads out of the archive"),
    "outside, tar": ("x.tar", _tar(**{"a/../../1.jpg": b"x"}), "leads out of the archive"),
    "absolute": ("x.tar", _tar(**{"/etc/a/1.jpg": b"x"}), "leads out of the archive"),
    "symbolic link": ("x.tar", _link("a/1.jpg"), "--dereference"),
    "hard link": ("x.tar", _link("a/1.jpg", tarfile.LNKTYPE), "--hard-dereference"),
    "link in a zip": ("x.zip", _zip("a/1.jpg", external_attr=0o120777 << 16), "--symlinks"),
    "encrypted": ("x.zip", _encrypted(), "encrypted"),
    "another compression": ("x.zip", _zip("a/1.jpg", compress_type=zipfile.ZIP_BZIP2), "Use deflate"),
    "control characters": ("x.zip", _zip("a/\x1b[2J.jpg"), "control characters"),
    "control characters in a folder": ("x.tar", _tar(**{"a\n/1.jpg": b"x"}), "control characters"),
    "no class": ("x.tar", _tar(**{"1.jpg": b"x", "2.jpg": b"x", "2.cls": b"0"}), "there is no 1.cls"),
    "empty class": ("x.tar", _tar(**{"1.jpg": b"x", "1.cls": b" \n"}), "holds no class"),
    "class of two lines": ("x.tar", _tar(**{"1.jpg": b"x", "1.cls": b"a\nb"}), "holds no class"),
    "class that is no text": ("x.tar", _tar(**{"1.jpg": b"x", "1.cls": b"\xff\xfe"}), "holds no class"),
    "huge class": ("x.tar", _tar(**{"1.jpg": b"x", "1.cls": b"a" * 5000}), "holds no class"),
    "a member twice": ("x.tar", _tar(**{"a/1.jpg": b"x", "./a/1.jpg": b"y"}), "a/1.jpg is in it twice"),
    "two classes of one photo": ("x.tar", _tar(**{"1.jpg": b"x", "1.cls": b"a", "1.b.cls": b"b"}), "two .cls files"),
    "a name of 12 GB": ("x.tar", _tar_claiming(tarfile.GNUTYPE_LONGNAME), "a header of 12,884,901,888 bytes"),
    "extended header of 12 GB": ("x.tar", _tar_claiming(tarfile.XHDTYPE), "a header of 12,884,901,888 bytes"),
    "headers in headers": ("x.tar", _nested(), "damaged"),
    "negative size": ("x.tar", _tar_of_size(-1024), "damaged"),
    "classes that differ in case": ("x.zip", _zip("Daisy/1.jpg", other="daisy/2.jpg"), "case or spaces"),
    "no photos": ("x.zip", _zip("a/1.txt"), "no photos in a, but 1 file that is not a photo: 1 .txt"),
    "no folders": ("x.zip", _zip("1.jpg"), "photos lie in it directly"),
    "no such archive": ("y-{0..3}.tar", b"", "no such file"),
    "no match": ("y-*.tar", b"", "no archive has such a name"),
    "too many": ("y-{0..999999999999}.tar", b"", "archives"),
}


@pytest.mark.parametrize("case", BAD)
def test_train_rejects_invalid_archives_in_one_line(tmp_path: Path, case: str) -> None:
    name, content, told = BAD[case]
    if "{" not in name and "*" not in name:
        (tmp_path / name).write_bytes(content)
    failed = poets_edge("train", "--image_dir", tmp_path / name, *FEW, cwd=tmp_path).failed()
    [line] = [line for line in failed.stderr.splitlines() if line.startswith("Error: ")]
    assert told in line and "Traceback" not in failed.stderr and "\x1b" not in failed.stderr


def test_scan_warns_about_photos_outside_class_folders(tmp_path: Path) -> None:
    names = {f"daisy/{place}.jpg" if place else "1.jpg": b"x" for place in range(3)} | {"daisy/deep/4.jpg": b"x"}
    found = scan(make_tar(tmp_path / "a.tar", {**names, "roses/1.jpg": b"x", "LICENSE.txt": b"x", ".1.jpg": b"x"}))
    place = tmp_path / "a.tar"
    assert len(found.photos) == 3 and found.warnings() == [
        f"{place}: left out 1 photo that is not in a class folder.",
        f"{place}/daisy: left out 1 photo in deep; `recursive` takes them.",
    ]
    warned = poets_edge("train", "--image_dir", place, *FEW, cwd=tmp_path).stderr
    assert "left out 1 photo in deep; --recursive takes them" in warned


def test_declared_size_of_an_archive_member_is_checked(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.jpg", bytes(300 << 20))
        archive.writestr("b/1.jpg", bytes(1 << 20))
    data = bytearray(bomb.getvalue())
    (tmp_path / "bomb.zip").write_bytes(data)
    first, second = scan(tmp_path / "bomb.zip").photos
    with pytest.raises(PhotoError, match="larger than"):
        read_contents(first)
    assert read_contents(second) == bytes(1 << 20)
    at = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4) + 24
    data[at : at + 4] = struct.pack("<I", 1000)  # the declared size is too small
    (tmp_path / "liar.zip").write_bytes(data)
    with pytest.raises(PhotoError, match="damaged in its archive"):
        read_contents(scan(tmp_path / "liar.zip").photos[1])


def test_scan_of_damaged_archives_raises_only_documented_errors(tmp_path: Path, photos: Path) -> None:
    """Photos in damaged zip files are rejected or complete, because zip files contain checksums."""
    import random

    chance, refused, whole_photos = random.Random(0), 0, set(contents_of(photos).values())
    whole = {".zip": make_zip(tmp_path / "a.zip", photos).read_bytes(),
             ".tar": make_tar(tmp_path / "a.tar", contents_of(photos)).read_bytes()}  # fmt: skip
    for turn in range(60):
        suffix = (".zip", ".tar")[turn % 2]
        data = bytearray(whole[suffix])
        for _ in range(chance.choice((1, 8, 64))):
            place = chance.choice((chance.randrange(len(data)), len(data) - 1 - chance.randrange(3000)))
            data[place] = chance.randrange(256)
        path = tmp_path / f"{turn}{suffix}"
        path.write_bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
        try:
            for photo in scan(path).photos:
                assert read_contents(photo) in whole_photos or suffix == ".tar"
        except (DatasetError, PhotoError):
            refused += 1
    assert 20 <= refused < 60


def test_scan_accepts_folders_that_are_named_like_archives_or_patterns(photos: Path, tmp_path: Path) -> None:
    for name in ("photos.zip", "photos{0..1}.tar", "a*"):
        (tmp_path / name).symlink_to(photos)
        assert len(scan(tmp_path / name).photos) == 40
    for name in ("b*", "{0..1}"):
        with pytest.raises(DatasetError, match="no such folder"):
            scan(tmp_path / name)
