"""Tests of the sizes and digests of photos that change, or whose size a server states."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from poets_edge.photos.folder import Photo
from poets_edge.photos.remote import CONNECTIONS
from poets_edge.photos.sources import FileStamp
from poets_edge.photos.table import UNKNOWN_SIZE
from poets_edge.training import hashed_photos as module
from poets_edge.training.hashed_photos import hash_photos


def photos(folder: Path, *contents: bytes) -> list[Photo]:
    found = []
    for number, content in enumerate(contents):
        (folder / f"{number}.jpg").write_bytes(content)
        found.append(Photo(folder / f"{number}.jpg", f"a/{number}.jpg", "a"))
    return found


def test_size_of_a_photo_without_a_stamp_is_the_size_of_its_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later runs compare the size with the one that the file system or the server states then."""
    stated = {"0.jpg": FileStamp("0", 0.0, 7), "1.jpg": FileStamp("1", 0.0, UNKNOWN_SIZE), "2.jpg": None}
    monkeypatch.setattr(module, "current_stamp", lambda path: stated[Path(path).name])
    found = hash_photos(photos(tmp_path, b"three", b"three", b"three"))
    assert found.sizes.tolist() == [7, UNKNOWN_SIZE, 5]
    assert {bytes(digest) for digest in found.digests} == {hashlib.sha256(b"three").digest()}


def test_photo_without_a_stamp_is_hashed_again_in_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [photo] = photos(tmp_path, b"old")
    monkeypatch.setattr(module, "current_stamp", lambda path: None)
    hash_photos([photo], tmp_path / "cache")
    Path(str(photo.path)).write_bytes(b"new")
    monkeypatch.undo()
    assert bytes(hash_photos([photo], tmp_path / "cache").digests[0]) == hashlib.sha256(b"new").digest()


def test_photo_that_changes_while_it_is_hashed_is_hashed_again_in_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cached digest belongs to the state of the file before it was read."""
    [photo] = photos(tmp_path, b"old")
    path = Path(str(photo.path))
    read = module.read_contents  # type: ignore[attr-defined]

    def reading(one: Photo) -> bytes:
        contents: bytes = read(one)
        path.write_bytes(b"newer")
        return contents

    monkeypatch.setattr(module, "read_contents", reading)
    monkeypatch.setattr("poets_edge.photos.digests.RACY_SECONDS", -1000.0)  # no digest is too recent
    assert bytes(hash_photos([photo], tmp_path / "cache").digests[0]) == hashlib.sha256(b"old").digest()
    monkeypatch.setattr(module, "read_contents", read)
    assert bytes(hash_photos([photo], tmp_path / "cache").digests[0]) == hashlib.sha256(b"newer").digest()


@pytest.mark.parametrize(("is_remote", "expected"), [(True, (CONNECTIONS, 1)), (False, (None, 16))])
def test_photos_on_a_server_are_read_over_many_connections(
    is_remote: bool, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Local photos are handed to the threads in groups, one thread per core."""
    asked: list[Any] = []
    run = module.run_parallel  # type: ignore[attr-defined]

    def parallel(items: Any, make: Any, work: Any, *, workers: int | None, at_once: int) -> Any:
        asked.append((workers, at_once))
        return run(items, make, work)

    monkeypatch.setattr(module, "run_parallel", parallel)
    monkeypatch.setattr(module, "is_address", lambda folder: is_remote)
    monkeypatch.setattr(module, "prefetch_stamps", lambda paths: asked.append(len(paths)))
    assert len(hash_photos(photos(tmp_path, b"one", b"two")).readable) == 2
    assert asked == ([2, expected] if is_remote else [expected]), "stamps come from the server in one request"
