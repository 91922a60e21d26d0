"""Tests of the table of photos of an audit: real files, with bottlenecks from a stand-in for the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.auditing import photos as module
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.photos import AuditPhotos, read_photos
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.nets.architectures import architecture
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.progress import Silent
from poets_edge.training.hashed_photos import hash_photos
from poets_edge.training.vectors import VectorTableBuilder

NAMES = [f"{label}/{number}.png" for label in ("ash", "beech", "cedar") for number in range(5)]
ENTRY = architecture("mobilenet_0.25_128")


class Lines(Silent):
    """Reporter that stores the warnings it receives."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, text: str) -> None:
        self.lines.append(text)


def value(name: str) -> int:
    """Return the gray value of the photo with the given name."""
    return 10 * NAMES.index(name) + 20


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """State of the stand-ins, with a function `read`; the first value of a photo's bottleneck is its gray value."""
    for name in NAMES:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (NAMES.index(name) + 8, 40), (value(name),) * 3).save(tmp_path / "photos" / name)

    state = SimpleNamespace(reporter=Lines(), parts=[], rehash=[], failing=(), changed=(), moved=None)
    state.folder = tmp_path / "photos"

    @contextlib.contextmanager
    def opened(path: Path) -> Iterator[Any]:
        yield SimpleNamespace(get=lambda key: None, put=lambda key, vector: None, commit=lambda: None), state.moved

    def bottlenecks(photos: Any, sources: Any, reporter: Any) -> Iterator[Any]:
        state.parts.append(len(photos))
        for photo in photos:
            name = photo.photo.name
            if name in state.failing:
                yield photo, PhotoError(f"{photo.photo.path}: cannot be read")
                continue
            vector = np.zeros(ENTRY.bottleneck_size, np.float32)
            vector[0], vector[1 + NAMES.index(name)] = value(name), 50
            if name in state.changed:
                photo = type(photo)(photo.photo, bytes([7]) * 32)
            yield photo, [vector]

    def read(at_once: int = 2000, **fields: Any) -> AuditPhotos:
        monkeypatch.setattr(module, "_PHOTOS_AT_ONCE", at_once)
        options = AuditOptions(
            image_dir=tmp_path / "photos", bottleneck_dir=tmp_path / "cache", report=None, architecture=ENTRY, **fields
        )
        return read_photos(options, state.reporter)

    def hashing(photos: Any, folder: Path, reporter: Any, *, rehash: bool) -> Any:
        state.rehash.append((folder, rehash))
        return hash_photos(photos, folder, reporter, rehash=rehash)

    class Table(VectorTableBuilder):
        def __init__(self, capacity: int, width: int, folder: Path) -> None:
            assert folder == tmp_path / "cache", "the folder of temporary files"
            super().__init__(capacity, width, folder)

    monkeypatch.setattr(module, "VectorTableBuilder", Table)
    monkeypatch.setattr(module, "hash_photos", hashing)
    monkeypatch.setattr(module, "find_backbone", lambda options, reporter: SimpleNamespace(cache_file=Path("c")))
    monkeypatch.setattr(module, "open_cache", opened)
    monkeypatch.setattr(module, "bottlenecks", bottlenecks)
    state.read = read
    return state


@pytest.mark.parametrize("at_once", [2000, 4])
def test_each_row_has_the_bottleneck_and_statistics_of_its_photo(reading: Any, at_once: int) -> None:
    reading.failing = ("ash/1.png", "beech/3.png")
    found = reading.read(at_once)
    names = [name for name in NAMES if name not in reading.failing]
    assert [found.name(row) for row in range(len(found))] == names and found.labels == ("ash", "beech", "cedar")
    assert [found.label(row) for row in range(len(found))] == [name.partition("/")[0] for name in names]
    assert found.vectors[:][:, 0].tolist() == [value(name) for name in names]
    assert found.brightness == pytest.approx([value(name) for name in names], abs=1)
    assert found.width.tolist() == [NAMES.index(name) + 8 for name in names] and set(found.height) == {40}
    middle = found.thumbnails[np.arange(len(found))][:, 16, 16]
    assert middle.tolist() == pytest.approx([value(name) for name in names], abs=1)
    assert found.unreadable == (("ash/1.png", "cannot be read"), ("beech/3.png", "cannot be read"))
    assert len(found.projections) == len(found.splits) == len(found.groups.numbers) == 13
    assert reading.parts == ([15] if at_once == 2000 else [4, 4, 4, 3]), "a part of the photos is in memory at once"


def test_unreadable_photos_are_sorted_by_name(reading: Any) -> None:
    reading.failing = ("ash/1.png",)
    (reading.folder / "ash/0.png").write_bytes(b"no picture")
    (reading.folder / "cedar/2.png").write_bytes(b"neither")
    found = reading.read()
    assert [name for name, _ in found.unreadable] == ["ash/0.png", "ash/1.png", "cedar/2.png"] and len(found) == 12


def test_changed_photo_gets_a_new_digest(reading: Any) -> None:
    reading.changed = ("beech/0.png",)
    digests = reading.read().photos.digests
    assert [bytes(row) == bytes([7]) * 32 for row in digests] == [name == "beech/0.png" for name in NAMES]


def test_fewer_than_two_classes_with_readable_photos_are_an_error(reading: Any) -> None:
    reading.failing = tuple(name for name in NAMES if not name.startswith("ash"))
    with pytest.raises(DatasetError, match=r"two classes or more are needed.*; found only 'ash'\."):
        reading.read()
    reading.failing = tuple(NAMES)
    with pytest.raises(DatasetError, match=r"found none\."):
        reading.read()
    reading.failing = tuple(name for name in NAMES if name.startswith("ash"))
    assert reading.read().labels == ("beech", "cedar")


def test_recursive_and_rehash_options_are_applied(reading: Any) -> None:
    (reading.folder / "ash/deep").mkdir()
    Image.new("RGB", (30, 30), (90, 20, 20)).save(reading.folder / "ash/deep/x.png")
    reading.failing = ("ash/deep/x.png",)
    assert len(reading.read()) == 15 and reading.read().unreadable == ()
    assert [name for name, _ in reading.read(recursive=True, rehash=True).unreadable] == ["ash/deep/x.png"]
    assert [rehash for _, rehash in reading.rehash] == [False, False, True]
    assert {folder.name for folder, _ in reading.rehash} == {"cache"}


def test_warnings_about_folders_and_damaged_caches_are_reported(reading: Any) -> None:
    reading.moved = Path("looks.sqlite.damaged")
    (reading.folder / "loose.png").write_bytes((reading.folder / "ash/0.png").read_bytes())
    reading.read()
    assert len(reading.reporter.lines) >= 3
    damaged = [line for line in reading.reporter.lines if "looks.sqlite.damaged" in line]
    assert len(damaged) == 2, "both caches"
    assert any("loose.png" in line or "outside" in line or "class" in line for line in reading.reporter.lines)


def test_photos_in_a_group_are_assigned_to_one_split(reading: Any) -> None:
    for name in NAMES:
        (reading.folder / name).rename(reading.folder / name.replace(".png", f"-s{int(name[-5]) // 2}.png"))
    module_names = list(NAMES)
    try:
        NAMES[:] = [name.replace(".png", f"-s{int(name[-5]) // 2}.png") for name in NAMES]
        found = reading.read(group_by=r"-(s\d)")
    finally:
        NAMES[:] = module_names
    assert found.groups.count < len(found)
    assert len(set(found.splits.tolist())) > 1
    for number in np.unique(found.groups.numbers):
        assert len({SPLIT_NAMES[one] for one in found.splits[found.groups.numbers == number]}) == 1
