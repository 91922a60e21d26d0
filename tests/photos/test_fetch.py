"""Tests of `fetch_flowers` with a local server: complete verified downloads, or none."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poets_edge.core import download as downloading
from poets_edge.demo.draw import draw_photo
from poets_edge.errors import DownloadError, OutputError
from poets_edge.photos import fetch
from poets_edge.photos.fetch import Archive, fetch_flowers
from tests.photos.server import Files, serving


def packed(*members: tuple[str, bytes], links: tuple[tuple[str, str], ...] = ()) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return file.getvalue()


PHOTOS = tuple(
    (f"flower_photos/{label}/{number}.jpg", draw_photo(label, number))
    for label in ("daisy", "roses")
    for number in (1, 2)
)
GOOD = packed(("flower_photos/LICENSE.txt", b"CC-BY 2.0"), *PHOTOS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setattr(downloading, "_PAUSE_S", 0.0)
    with serving(Files()) as files:
        yield files


def archive(server: Files, content: bytes, served: bytes | None = None) -> Archive:
    server.content["/flowers.tgz"] = content if served is None else served
    return Archive(f"{server.url}/flowers.tgz", len(content), hashlib.sha256(content).hexdigest())


def test_fetch_flowers_leaves_no_files_next_to_the_photo_folder(server: Files, tmp_path: Path) -> None:
    found = fetch_flowers(tmp_path / "flowers", archive=archive(server, GOOD))
    assert found.classes == ("daisy", "roses")
    assert [photo.name for photo in found.photos] == ["daisy/1.jpg", "daisy/2.jpg", "roses/1.jpg", "roses/2.jpg"]
    assert (tmp_path / "flowers/roses/2.jpg").read_bytes() == PHOTOS[3][1]
    assert (tmp_path / "flowers/LICENSE.txt").read_bytes() == b"CC-BY 2.0"
    assert [path.name for path in tmp_path.iterdir()] == ["flowers"]


def test_interrupted_download_of_flowers_is_resumed(server: Files, tmp_path: Path) -> None:
    server.break_after = [1000, 0, 0, 0, 0]
    wanted = archive(server, GOOD)
    with pytest.raises(DownloadError):
        fetch_flowers(tmp_path / "flowers", archive=wanted)
    assert not (tmp_path / "flowers").exists()
    fetch_flowers(tmp_path / "flowers", archive=wanted)
    assert server.requests[-1] == ("/flowers.tgz", "bytes=1000-")
    assert [path.name for path in tmp_path.iterdir()] == ["flowers"]


def test_fetching_flowers_fails_if_another_program_creates_the_folder_meanwhile(
    server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program renames its folder and removes the archive just before this program renames its own folder."""
    wanted, unpack = archive(server, GOOD), fetch._unpack

    def meanwhile(*arguments: Any) -> None:
        unpack(*arguments)
        monkeypatch.setattr(fetch, "_unpack", unpack)
        fetch_flowers(tmp_path / "flowers", archive=wanted)

    monkeypatch.setattr(fetch, "_unpack", meanwhile)
    with pytest.raises(OutputError, match="it already contains something"):
        fetch_flowers(tmp_path / "flowers", archive=wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["flowers"]
    assert len(list((tmp_path / "flowers").rglob("*.jpg"))) == len(PHOTOS)


def test_error_explains_that_another_program_removed_the_archive_of_flowers(
    server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack = fetch._unpack

    def gone(file: Path, *rest: Any) -> None:
        file.unlink()
        unpack(file, *rest)

    monkeypatch.setattr(fetch, "_unpack", gone)
    with pytest.raises(OutputError, match="another program has just fetched"):
        fetch_flowers(tmp_path / "flowers", archive=archive(server, GOOD))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lie", ["hash", "size", "length"])
def test_unexpected_archive_of_flowers_is_not_unpacked(server: Files, tmp_path: Path, lie: str) -> None:
    other = bytearray(GOOD)
    other[len(GOOD) // 2] ^= 1
    served = {"hash": bytes(other), "size": GOOD + b"more", "length": GOOD}[lie]
    server.announce = len(GOOD) - 10 if lie == "length" else None
    with pytest.raises(DownloadError):
        fetch_flowers(tmp_path / "flowers", archive=archive(server, GOOD, served))
    assert not (tmp_path / "flowers").exists()


@pytest.mark.parametrize("name", ["flower_photos/../../evil", "/evil", "../evil", "flower_photos/a\\..\\evil", "evil"])
def test_members_outside_the_top_folder_of_the_archive_of_flowers_are_rejected(
    server: Files, tmp_path: Path, name: str
) -> None:
    with pytest.raises(DownloadError, match="must not be unpacked"):
        fetch_flowers(tmp_path / "in/flowers", archive=archive(server, packed(*PHOTOS, (name, b"evil"))))
    assert not list(tmp_path.rglob("*evil*")) and not (tmp_path / "in/flowers").exists()


def test_links_in_the_archive_of_flowers_are_rejected(server: Files, tmp_path: Path) -> None:
    content = packed(*PHOTOS, links=(("flower_photos/daisy/3.jpg", "/etc/hostname"),))
    with pytest.raises(DownloadError, match="must not be unpacked"):
        fetch_flowers(tmp_path / "flowers", archive=archive(server, content))
    assert not (tmp_path / "flowers").exists()


def test_flowers_are_not_unpacked_into_a_nonempty_folder(server: Files, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="it already contains something"):
        fetch_flowers(tmp_path, archive=archive(server, GOOD))
    assert server.requests == []
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("folder", [".", ".."])
def test_flowers_are_not_unpacked_into_the_working_directory(server: Files, folder: str) -> None:
    with pytest.raises(OutputError, match="name of a new folder"):
        fetch_flowers(Path(folder), archive=archive(server, GOOD))


def test_progress_of_unpacking_adds_up_to_the_size_of_the_archive(tmp_path: Path) -> None:
    """Random contents cannot be compressed, so the archive is read in several parts."""
    content = packed(*((f"x/a/{number}.jpg", random.Random(number).randbytes(50_000)) for number in range(9)))
    (tmp_path / "x.tgz").write_bytes(content)
    reported: list[int] = []
    fetch._unpack(tmp_path / "x.tgz", tmp_path / "out", reported.append)
    assert sum(reported) == len(content) and min(reported) >= 0 and max(reported) < len(content) / 2
    assert sorted(path.name for path in (tmp_path / "out/a").iterdir()) == [f"{number}.jpg" for number in range(9)]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("x/a/1.jpg", tarfile.REGTYPE, "a/1.jpg"),
        ("x/1.jpg", tarfile.REGTYPE, "1.jpg"),
        ("x", tarfile.DIRTYPE, None),
        ("x/a", tarfile.DIRTYPE, None),
        ("1.jpg", tarfile.REGTYPE, ""),
        ("x/../1.jpg", tarfile.REGTYPE, ""),
        ("/x/1.jpg", tarfile.REGTYPE, ""),
        ("x/c:1.jpg", tarfile.REGTYPE, ""),
        ("x/a\\1.jpg", tarfile.REGTYPE, ""),
        ("x/1.jpg", tarfile.SYMTYPE, ""),
        ("x/1.jpg", tarfile.LNKTYPE, ""),
        ("x/1.jpg", tarfile.FIFOTYPE, ""),
        ("x/..", tarfile.DIRTYPE, ""),
    ],
)
def test_archive_members_are_extracted_only_inside_the_folder(
    name: str, kind: bytes, expected: str | None, tmp_path: Path
) -> None:
    member = tarfile.TarInfo(name)
    member.type = kind
    if expected == "":
        with pytest.raises(DownloadError, match="must not be unpacked"):
            fetch._target(member, tmp_path)
    else:
        assert fetch._target(member, tmp_path) == (None if expected is None else tmp_path / expected)
