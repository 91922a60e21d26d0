"""Tests of the cache of photo digests: only new and changed photos are read."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from poets_edge.photos import digests
from poets_edge.photos.address import Address
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.minhash import current_signature, minhash_signature
from poets_edge.photos.open_photo import read_contents
from poets_edge.photos.sources import FileStamp
from poets_edge.photos.table import UNKNOWN_SIZE
from poets_edge.progress import Silent
from poets_edge.training import hashed_photos
from poets_edge.training.bottlenecks import HashedPhoto
from poets_edge.training.hashed_photos import hash_photos
from tests.conftest import poets_edge


class Folder:
    """Photo folder that records which photos the last call of its method `hash` read."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.path, self.bottlenecks_dir, self.reads = path / "photos", path / "bottlenecks", list[str]()
        patch.setattr(hashed_photos, "read_contents", self._read)
        for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
            self.write(name, name.encode())

    def write(self, name: str, contents: bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
        return path

    def hash(self, *, rehash: bool = False) -> list[str]:
        """Hash all photos, check the digests against the files, and return the names of the photos that were read."""
        self.reads.clear()
        paths = sorted(self.path.rglob("*.jpg"))
        photos = [Photo(path, path.relative_to(self.path).as_posix(), path.parent.name) for path in paths]
        for photo, found in zip(photos, hash_photos(photos, self.bottlenecks_dir, rehash=rehash), strict=True):
            assert isinstance(found, HashedPhoto) and found.photo == photo
            assert found.digest == hashlib.sha256(photo.file.read_bytes()).digest(), photo.name
        return sorted(self.reads)

    def _read(self, photo: Photo) -> bytes:
        self.reads.append(photo.name)
        return read_contents(photo)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Photo folder with RACY_SECONDS set to 0, so that new digests are cached immediately."""
    monkeypatch.setattr(digests, "RACY_SECONDS", 0.0)
    made = Folder(tmp_path, monkeypatch)
    time.sleep(0.05)
    return made


ALL = ["a/1.jpg", "a/2.jpg", "b/1.jpg"]


def test_unchanged_photo_is_hashed_only_once(folder: Folder) -> None:
    assert folder.hash() == ALL
    assert folder.hash() == []
    assert folder.hash(rehash=True) == ALL
    assert folder.hash() == []


def test_signature_from_cached_sizes_equals_the_signature_of_the_folder(folder: Folder) -> None:
    folder.write("b/1.jpg", b"another size than that of a/1.jpg, whose name is the same")
    time.sleep(0.05)
    photos = scan(folder.path).photos
    for reads in (ALL, []):  # computed, then cached
        folder.reads.clear()
        hashed = hash_photos(photos, folder.bottlenecks_dir)
        assert sorted(folder.reads) == reads
        assert hashed.sizes.tolist() == [photo.file.stat().st_size for photo in photos]
        assert minhash_signature(zip(photos.paths(), hashed.sizes.tolist(), strict=True)) == current_signature(photos)
    assert len(current_signature(photos)) == len(ALL)


def test_signature_of_a_photo_folder_excludes_unreadable_photos(folder: Folder) -> None:
    photos = scan(folder.path).photos
    (folder.path / "a/1.jpg").unlink()
    hashed = hash_photos(photos, folder.bottlenecks_dir)
    assert (hashed.sizes == UNKNOWN_SIZE).sum() == len(hashed.errors) == 1
    assert minhash_signature(zip(photos.paths(), hashed.sizes.tolist(), strict=True)) == current_signature(photos)
    assert len(current_signature(photos)) == len(ALL) - 1


def test_hashed_photos_have_the_file_sizes_reported_by_the_server(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may report no size, or the size of the compressed contents; MinHash signatures use the reported size."""
    photos = scan(folder.path).photos
    sizes = {str(photo.file): size for photo, size in zip(photos, (UNKNOWN_SIZE, 7, 70), strict=True)}
    for module in (digests, hashed_photos):
        monkeypatch.setattr(module, "current_stamp", lambda path: FileStamp(path, 0.0, sizes[path]))
    for _ in ("read", "known"):
        assert hash_photos(photos, folder.bottlenecks_dir).sizes.tolist() == [UNKNOWN_SIZE, 7, 70]


def _rewritten(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _rewritten_with_its_old_times(path: Path) -> None:
    before = path.stat()
    _rewritten(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced_by_a_rename(path: Path) -> None:
    before, other = path.stat(), path.with_suffix(".new")
    other.write_bytes(bytes(before.st_size))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def _replaced_by_a_link(path: Path) -> None:
    target = path.parents[2] / "elsewhere.jpg"
    target.write_bytes(bytes(path.stat().st_size))
    path.unlink()
    path.symlink_to(target)


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


@pytest.mark.parametrize(
    "change", [_rewritten, _rewritten_with_its_old_times, _replaced_by_a_rename, _replaced_by_a_link, _longer]
)
def test_changed_photo_is_hashed_again(folder: Folder, change: Callable[[Path], None]) -> None:
    folder.hash()
    change(folder.path / "a/2.jpg")
    assert folder.hash() == ["a/2.jpg"]


def test_recently_changed_photo_is_hashed_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recently changed file could change again without a new modification time."""
    monkeypatch.setattr(digests, "RACY_SECONDS", 2.0)
    folder.hash()
    assert folder.hash() == ALL
    os.utime(folder.path / "a/1.jpg", (time.time() + 3600,) * 2)
    monkeypatch.setattr(digests, "RACY_SECONDS", 0.0)
    time.sleep(0.05)
    folder.hash()
    assert folder.hash() == ["a/1.jpg"], "a file with a modification time in the future must be read again"


def test_photos_with_arbitrary_bytes_in_their_file_names_are_hashed(folder: Folder) -> None:
    odd = Path(os.fsdecode(os.fsencode(folder.path) + b"/b/\xff.jpg"))
    odd.write_bytes(b"odd")
    time.sleep(0.05)
    assert len(folder.hash()) == 4
    assert folder.hash() == []


@pytest.mark.parametrize("damage", ["not a database at all" * 100, "truncated", "a page of zeros", "a folder"])
def test_damaged_cache_of_digests_is_moved_aside(folder: Folder, damage: str) -> None:
    for number in range(300):
        folder.write(f"c/{number}.jpg", b"%d" % number)
    time.sleep(0.05)
    folder.hash()
    bottlenecks_dir = folder.bottlenecks_dir / digests.FILE
    contents = bytearray(bottlenecks_dir.read_bytes())
    if damage == "truncated":
        bottlenecks_dir.write_bytes(contents[: len(contents) // 2])
    elif damage == "a page of zeros":
        contents[4096:8192] = bytes(4096)
        bottlenecks_dir.write_bytes(contents)
    elif damage == "a folder":
        bottlenecks_dir.unlink()
        bottlenecks_dir.mkdir()
    else:
        bottlenecks_dir.write_text(damage)
    warnings = Warnings()
    for _ in range(2):
        hashed = hash_photos(scan(folder.path).photos, folder.bottlenecks_dir, warnings)
        assert not hashed.errors
    aside = list(folder.bottlenecks_dir.glob("*.damaged-1"))
    assert [path.name for path in aside] == ([] if damage == "a folder" else ["photos.sqlite.damaged-1"])
    assert len(warnings.lines) == len(aside) and all(str(aside[0]) in line for line in warnings.lines)


class Warnings(Silent):
    """Reporter that collects warnings."""

    def __init__(self) -> None:
        self.lines = list[str]()

    def warn(self, text: str) -> None:
        self.lines.append(text)


def test_train_detects_a_changed_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "RACY_SECONDS", 0.0)
    photos = tmp_path / "photos"
    few = ("--how_many_training_steps", "50", "--weights", "embedded", "--architecture", "mobilenet_0.25_128", "-q")
    poets_edge("draw-photos", photos, "--per_class", "5", "--quiet").ok()

    def trained(*more: str) -> bytes:
        poets_edge("train", "--image_dir", photos, *few, *more, cwd=tmp_path).ok()
        return (tmp_path / "tf_files/retrained_graph.pb").read_bytes()

    first = trained()
    assert trained() == trained("--rehash") == first
    one, other = sorted((photos / "daisy").iterdir())[0], sorted((photos / "roses").iterdir())[0]
    one.write_bytes(other.read_bytes())
    assert trained() != first


def test_file_stamp_uses_the_change_time_if_the_modification_time_is_older(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The modification time can be set, the change time cannot."""
    path = folder.write("a/1.jpg", b"new")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    now = path.stat()
    found = FileStamp.of(now)
    assert found.changed == max(now.st_mtime, now.st_ctime) == now.st_ctime and found.size == 3
    monkeypatch.setattr(digests, "RACY_SECONDS", 3600.0)
    assert len(folder.hash()) == 3 and "a/1.jpg" in folder.hash()


@pytest.mark.parametrize("value", [b"short", bytes(31), bytes(33), "x" * 32, 7, None])
def test_damaged_digests_in_the_cache_are_ignored(
    folder: Folder, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "RACY_SECONDS", -10.0)
    assert len(folder.hash()) == 3 and folder.hash() == []
    with sqlite3.connect(folder.bottlenecks_dir / digests.FILE) as database:
        database.execute(f"UPDATE {digests.TABLE} SET digest = ? WHERE name = ?", (value, b"2.jpg"))
    database.close()
    assert folder.hash() == ["a/2.jpg"] and folder.hash() == []


def test_cached_digest_of_a_remote_photo_does_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, stamp = Address("https://host/photos/1.jpg"), FileStamp("size=3 ETag=1", 0.0, 3)
    monkeypatch.setattr(digests, "current_stamp", lambda path: stamp)
    with digests.open_digests(tmp_path, Silent()) as cache:
        cache.store(address, stamp, time.time(), bytes(range(32)))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with digests.open_digests(tmp_path, Silent()) as cache:
        assert cache.find([str(address)]) == [digests.Known(bytes(range(32)), 3)]


def test_current_stamp_is_none_unless_the_path_is_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"abc")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    found = digests.current_stamp(str(tmp_path / "1.jpg"))
    assert found is not None and found.size == 3
    for name in ("folder.jpg", "pipe.jpg", "missing.jpg"):
        assert digests.current_stamp(str(tmp_path / name)) is None


def test_cache_that_another_program_locks_is_neither_replaced_nor_reported_as_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SECONDS_TO_WAIT", 0.01)
    warnings: list[str] = []

    class Warned(Silent):
        def warn(self, text: str) -> None:
            warnings.append(text)

    stamp = FileStamp("1 2 3", 0.0, 3)
    with digests.open_digests(tmp_path, Silent()) as known:
        known.store(tmp_path / "old.jpg", stamp, time.time(), bytes(32))
    before = sorted(path.name for path in tmp_path.iterdir())
    other = sqlite3.connect(tmp_path / digests.FILE, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with digests.open_digests(tmp_path, Warned()) as known:
            known.store(tmp_path / "new.jpg", stamp, time.time(), bytes(32))
            assert known.find([str(tmp_path / "new.jpg")]) == [None]
        other.execute("COMMIT")
        assert other.execute(f"SELECT name FROM {digests.TABLE}").fetchall() == [(b"old.jpg",)]
    finally:
        other.close()
    assert warnings == [] and sorted(path.name for path in tmp_path.iterdir()) == before
