"""Tests of uploads in this process, without a server, and of unpacking archives."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from poets_edge.errors import DatasetError, OutputError
from poets_edge.studio import unpacking, uploads
from poets_edge.studio.changes import Changes
from poets_edge.studio.places import Places
from poets_edge.studio.project import Project
from poets_edge.studio.refusal import RefusedError
from poets_edge.studio.thumbnails import Thumbnails
from poets_edge.studio.unpacking import UnpackRequest, unpack
from poets_edge.studio.uploads import Received, Upload, clear_incoming, receive
from tests.studio.event_loop import run_coroutine
from tests.studio.test_uploads import archive

JPEG = b"\xff\xd8\xff\xe0"
BAD = b"cannot be decoded"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Project with one photo. Files with the content BAD count as damaged, and no file is decoded."""

    def check_files(self: Thumbnails, paths: list[Path]) -> list[str]:
        return ["damaged" if path.read_bytes() == BAD else "" for path in paths]

    monkeypatch.setattr(Thumbnails, "check", lambda self, stamps: None)
    monkeypatch.setattr(Thumbnails, "check_files", check_files)
    (tmp_path / "flowers/daisy").mkdir(parents=True)
    (tmp_path / "flowers/daisy/1.jpg").write_bytes(JPEG + b"1")
    places = Places(tmp_path / "flowers")
    places.create()
    return Project(places)


def send(project: Project, upload: Upload, *parts: bytes) -> Received:
    """Send an upload in parts, and check that no temporary file is left."""

    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    try:
        return run_coroutine(receive(project, Changes(project), upload, body()))
    finally:
        assert list(project.places.incoming.iterdir()) == []


def names(project: Project) -> set[str]:
    return {path.relative_to(project.places.root).as_posix() for path in project.places.root.glob("[!.]*/*")}


def test_received_photo_is_added_to_its_class(project: Project) -> None:
    found = send(project, Upload("C:\\x\\new?.jpg", "roses", size=8), JPEG, b"new!")
    assert (found.added, found.skipped) == (1, ()) and names(project) == {"daisy/1.jpg", "roses/new_.jpg"}
    assert (project.places.root / "roses/new_.jpg").read_bytes() == JPEG + b"new!"


@pytest.mark.parametrize(("suffix", "content"), [(".jpg", JPEG + b"x"), (".png", b"\x89PNG\r\n\x1a\n" + b"x" * 9)])
def test_photo_without_a_suffix_gets_the_suffix_of_its_format(project: Project, suffix: str, content: bytes) -> None:
    send(project, Upload("camera", "daisy"), content)
    assert names(project) == {"daisy/1.jpg", f"daisy/camera{suffix}"}


def test_duplicate_and_damaged_photos_are_skipped(project: Project) -> None:
    path = project.places.root / "daisy/1.jpg"
    found = send(project, Upload("1.jpg", "daisy"), JPEG + b"1")
    assert (found.added, found.step) == (0, None) and "daisy" in found.skipped[0][1]
    assert send(project, Upload("2.jpg", "daisy"), BAD).skipped == (("2.jpg", "damaged"),)
    times = path.stat()
    other = send(project, Upload("1.jpg", "daisy"), JPEG + b"2")  # of equal size
    assert other.added == 1 and len(names(project)) == 2 and path.stat().st_mtime_ns == times.st_mtime_ns


@pytest.mark.parametrize(
    ("upload", "parts"),
    [
        (Upload("1.jpg", None), [JPEG]),
        (Upload("1.jpg", "a/b"), [JPEG]),
        (Upload("1.jpg", ".poets-edge"), [JPEG]),
        (Upload("1.jpg", "daisy", size=5), [JPEG]),
        (Upload("1.jpg", "daisy", size=5), [JPEG, b"more"]),
        (Upload("1.jpg", "daisy", size=1 << 40), [JPEG]),
    ],
)
def test_invalid_uploads_are_refused(project: Project, upload: Upload, parts: list[bytes]) -> None:
    with pytest.raises(RefusedError):
        send(project, upload, *parts)
    assert names(project) == {"daisy/1.jpg"}


def test_uploads_above_the_size_limit_are_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that declares a larger size is refused unread; an upload without a declared size is refused while it is
    read."""
    monkeypatch.setattr(uploads, "LARGEST_PHOTO", 10)
    assert send(project, Upload("2.jpg", "daisy", size=10), JPEG, b"123456").added == 1
    for size, parts in ((11, []), (None, [JPEG, b"1234567"])):
        with pytest.raises(RefusedError) as raised:
            send(project, Upload("3.jpg", "daisy", size=size), *parts)
        assert raised.value.status == 413


def test_photos_in_an_archive_get_the_class_of_their_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "sync", lambda: synced.append(True))
    packed = archive({"x/roses/a.jpg": JPEG + b"a", "b.jpg": JPEG + b"b", "ro\u0301t/c.jpg": JPEG + b"c"})
    found = send(project, Upload("photos.zip", "daisy"), packed)
    assert found.added == 3 and names(project) == {"daisy/1.jpg", "roses/a.jpg", "daisy/b.jpg", "r\u00f3t/c.jpg"}
    assert synced, "files are complete after a power failure"
    again = send(project, Upload("../a?.zip", None), archive({"d.jpg": JPEG + b"d", "x/notes.txt": b"no photo"}))
    assert again.added == 0 and {name for name, _ in again.skipped} == {"d.jpg", "a_.zip"}


def test_photos_in_archive_folders_without_a_valid_class_name_are_skipped(project: Project) -> None:
    """A name must be valid on every system, and differ from other classes in more than case."""
    files = {"DAISY/2.jpg": b"2", "what?/3.jpg": b"3", "NEW/4.jpg": b"4", "new/5.jpg": b"5", "con/6.jpg": b"6"}
    packed = archive({name: JPEG + content for name, content in files.items()})
    found = send(project, Upload("photos.zip", None), packed)
    assert found.added == 1 and names(project) == {"daisy/1.jpg", "NEW/4.jpg"}
    assert {name for name, _ in found.skipped} == {"2.jpg", "3.jpg", "5.jpg", "6.jpg"}


def test_class_names_that_differ_only_in_unicode_normalization_are_the_same_class(project: Project) -> None:
    for number, label in enumerate(("ro\u0301t", "r\u00f3t")):
        assert send(project, Upload(f"{number}.jpg", label), JPEG + bytes([number])).added == 1
    (project.places.root / "gru\u0308n").mkdir()
    project.refresh(now=True)
    assert send(project, Upload("2.jpg", "gr\u00fcn"), JPEG + b"2").added == 1
    assert names(project) == {"daisy/1.jpg", "r\u00f3t/0.jpg", "r\u00f3t/1.jpg", "gru\u0308n/2.jpg"}


def test_photos_are_compared_by_content_and_not_by_modification_time(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    (tmp_path / "link").symlink_to(tmp_path / "c")
    equal = [uploads._is_equal(tmp_path / "a", tmp_path / name) for name in ("b", "c", "link", "none")]
    assert equal == [False, True, False, False]


@pytest.fixture
def request_of(tmp_path: Path) -> UnpackRequest:
    """Request to unpack an archive with three photos, two of them in class folders, and a text file."""
    members = {"x/roses/a.jpg": JPEG + b"a", "x/daisy/b.jpg": JPEG, "c.jpg": JPEG, "x/notes.txt": b"no photo"}
    (tmp_path / "photos.zip").write_bytes(archive(members))
    (tmp_path / "out").mkdir()
    return UnpackRequest(tmp_path / "photos.zip", "photos.zip", tmp_path / "out")


def test_uploaded_archives_are_unpacked_to_numbered_files_with_class_labels(
    request_of: UnpackRequest,
) -> None:
    found = unpack(request_of)
    labels = {name: label for _, label, name in found.photos}
    assert labels == {"a.jpg": "roses", "b.jpg": "daisy", "c.jpg": ""}
    contents = {name: path.read_bytes() for path, _, name in found.photos}
    assert contents["a.jpg"] == JPEG + b"a" and contents["c.jpg"] == JPEG
    assert sorted(path.name for path in request_of.folder.iterdir()) == ["0.part", "1.part", "2.part"]
    assert [name for name, _ in found.skipped] == ["photos.zip"]


def test_unpacking_an_upload_requires_disk_space_for_all_photos(
    request_of: UnpackRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = unpacking._SPARE + 3 * len(JPEG) + 1
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free - 1))
    with pytest.raises(OutputError):
        unpack(request_of)
    assert list(request_of.folder.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    assert len(unpack(request_of).photos) == 3


def test_number_and_size_of_photos_in_an_uploaded_archive_are_limited(
    request_of: UnpackRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "LARGEST_PHOTO", 4)
    found = unpack(request_of)
    assert len(found.photos) == 2 and "x/roses/a.jpg" in dict(found.skipped)
    monkeypatch.setattr(unpacking, "_MOST_PHOTOS", 2)
    with pytest.raises(DatasetError):
        unpack(request_of)


def test_uploaded_archive_with_only_hidden_files_is_reported(request_of: UnpackRequest) -> None:
    request_of.archive.write_bytes(archive({"roses/.a.jpg": JPEG, "__MACOSX/roses/b.jpg": JPEG}))
    found = unpack(request_of)
    assert found.photos == () and found.skipped == (("photos.zip", "no photos in it (hidden files are skipped)"),)


def test_clearing_the_upload_folder_preserves_links_and_user_files(project: Project, tmp_path: Path) -> None:
    incoming = project.places.incoming
    (incoming / "0123456789abcdef").write_bytes(b"interrupted")
    (incoming / "fedcba9876543210.photos").mkdir()
    (incoming / "fedcba9876543210.photos/7.part").write_bytes(b"interrupted")
    (incoming / "00000000000000ff.photos").mkdir()
    (incoming / "00000000000000ff.photos/mine.jpg").write_bytes(b"mine")
    (incoming / "holiday.jpg").write_bytes(b"mine")
    (tmp_path / "outside").write_bytes(b"mine")
    (incoming / "00000000000000aa").symlink_to(tmp_path / "outside")
    clear_incoming(project)
    left = {path.relative_to(incoming).as_posix() for path in incoming.rglob("*")}
    assert left == {"00000000000000ff.photos", "00000000000000ff.photos/mine.jpg", "holiday.jpg", "00000000000000aa"}


def test_size_limit_applies_to_a_whole_upload_and_not_to_each_part(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_BLOCK", 6)
    monkeypatch.setattr(uploads, "LARGEST_PHOTO", 20)
    assert send(project, Upload("2.jpg", "daisy"), JPEG, b"12345678", b"12345678").added == 1
    assert (project.places.root / "daisy/2.jpg").read_bytes() == JPEG + b"1234567812345678"
    with pytest.raises(RefusedError) as raised:
        send(project, Upload("3.jpg", "daisy"), JPEG, b"12345678", b"12345678", b"9")
    assert raised.value.status == 413 and "daisy/3.jpg" not in names(project)


def test_upload_is_flushed_to_disk_before_it_is_added_to_the_project(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, int]] = []
    fsync = os.fsync

    def record(file: int) -> None:
        synced.append(("daisy/2.jpg" in names(project), os.fstat(file).st_size))
        fsync(file)

    monkeypatch.setattr(os, "fsync", record)
    send(project, Upload("2.jpg", "daisy"), JPEG, b"12345678")
    assert synced[0] == (False, 12)


def test_only_temporary_files_of_uploads_are_cleared(project: Project, tmp_path: Path) -> None:
    incoming, outside = project.places.incoming, tmp_path / "outside"
    outside.mkdir()
    (outside / "1.part").touch()
    for name in ("0123456789abcdef", "0123456789abcdeg", "notes.txt", "0123456789abcde"):
        (incoming / name).touch()
    for number, extra in ((1, None), (2, "notes.txt")):
        folder = incoming / f"{number:016x}.photos"
        folder.mkdir()
        (folder / "1.part").touch()
        if extra:
            (folder / extra).touch()
    (incoming / "fedcba9876543210").symlink_to(outside)
    (incoming / "fedcba9876543211").symlink_to(outside / "1.part")
    clear_incoming(project)
    assert {path.relative_to(incoming).as_posix() for path in incoming.rglob("*")} == {
        "0123456789abcdeg", "notes.txt", "0123456789abcde", "0000000000000002.photos",
        "0000000000000002.photos/notes.txt", "fedcba9876543210", "fedcba9876543211",
    }  # fmt: skip
    assert (outside / "1.part").exists()
