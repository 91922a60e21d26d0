"""Tests of photo tables, and of the splits assigned to the photos in them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from poets_edge.photos.exclude import Exclusions
from poets_edge.photos.folder import scan
from poets_edge.photos.split import SplitConfig, split
from poets_edge.photos.split_names import SplitName
from poets_edge.photos.table import HashedPhoto, HashedPhotos, Photo, PhotoDigests, PhotoTable, class_numbers

NAMES = ["a/1.jpg", "a/é.jpg", os.fsdecode(b"a/\xff.jpg"), "b/2.jpg", "b/日本.jpg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_photo_table_is_a_sequence_of_photos(folder: Path) -> None:
    found = scan(folder).photos
    listed = [Photo(folder / name, name, name[0]) for name in sorted(NAMES)]
    assert list(found) == listed and [found[row] for row in range(-len(found), 0)] == listed
    assert list(found[1:4]) == listed[1:4] and list(found[::-1]) == listed[::-1]
    assert list(found.paths()) == [str(photo.file) for photo in listed]
    assert list(PhotoTable.of(listed)) == listed and PhotoTable.of(found) is found
    assert all(photo.file.exists() for photo in found)
    with pytest.raises(IndexError):
        found[len(found)]


def test_names_of_classes_with_photos_are_returned_sorted() -> None:
    photos = [Photo(Path(f"{number}.jpg"), f"{number}.jpg", label) for number, label in enumerate("cabca")]
    table = PhotoTable.of(photos)
    assert table.labels == ("c", "a", "b") and table.present == ("a", "b", "c")
    assert table.take(np.array([3, 1, 4])).present == ("a", "c")


def test_exclusions_remove_photos_and_change_classes(folder: Path) -> None:
    changed = Exclusions(frozenset({"a/1.jpg"}), {"b/2.jpg": "c", "b/日本.jpg": "a"}).apply(scan(folder))
    assert {photo.name: photo.label for photo in changed.photos} == {
        NAMES[1]: "a", NAMES[2]: "a", "b/2.jpg": "c", "b/日本.jpg": "a"
    }  # fmt: skip
    assert changed.classes == ("a", "c")
    assert (
        class_numbers(changed.photos, ("a", "b")).tolist() == class_numbers(list(changed.photos), ("a", "b")).tolist()
    )
    assert Exclusions(frozenset({"a/1.jpg", "x"})).unknown(scan(folder)) == ["x"]


def test_photo_digests_map_names_to_hexadecimal_digests(folder: Path) -> None:
    listed = [HashedPhoto(photo, bytes([row]) * 32) for row, photo in enumerate(scan(folder).photos)]
    columns = HashedPhotos.of(listed)
    assert list(columns) == listed and list(columns[1:3]) == listed[1:3]
    assert list(columns.take(np.array([3, 0]))) == [listed[3], listed[0]]
    assert dict(PhotoDigests(columns)) == {item.photo.name: item.digest.hex() for item in listed}


def test_splits_are_the_same_as_in_version_0_2_0() -> None:
    """The classes are large or small, contain groups, or have no photo in a split by chance."""
    names = [f"large/{number}.jpg" for number in range(60)] + [f"group/{n % 4}_nohash_{n}.jpg" for n in range(12)]
    names += [f"small/{number}.jpg" for number in range(3)] + ["two/1.jpg", "two/2.jpg", "é/e\u0301.jpg"]
    sets = split([Photo(Path(name), name, name.partition("/")[0]) for name in names], SplitConfig())
    assert {one: [name for name in names if sets[name] == one] for one in ("test", "validation")} == EXPECTED


EXPECTED = {
    "test": [
        *(f"large/{number}.jpg" for number in (26, 34, 44, 59)),
        *(f"group/2_nohash_{number}.jpg" for number in (2, 6, 10)),
        "small/0.jpg",
    ],
    "validation": [
        *(f"large/{number}.jpg" for number in (0, 6, 9, 19, 23, 41)),
        *(f"group/1_nohash_{number}.jpg" for number in (1, 5, 9)),
        "small/1.jpg",
    ],
}


def test_selected_rows_of_a_photo_table_keep_splits_paths_and_labels() -> None:
    splits: list[SplitName | None] = ["test", None, "training", "validation"]
    listed = [Photo(Path(f"x/{row}.jpg"), f"{row}.jpg", "ab"[row % 2], split) for row, split in enumerate(splits)]
    table = PhotoTable.of(listed)
    rows = np.array([3, 0, 1])
    assert list(table.take(rows)) == [listed[3], listed[0], listed[1]]
    assert table.given.tolist() == [2, -1, 0, 1] and table.take(rows).labels == ("a", "b")
    assert table.has_folder("test") and not table.take(np.array([1, 2])).has_folder("test")
    assert table.take(np.array([1, 2])).has_folder("training") and not PhotoTable.of([]).has_folder("test")


def test_class_numbers_ignore_unicode_normalization() -> None:
    names = ["caf\u00e9", "cafe\u0301", "other"]
    listed = [Photo(Path("x"), str(row), name) for row, name in enumerate(names)]
    for photos in (listed, PhotoTable.of(listed)):
        assert class_numbers(photos, ("b", "cafe\u0301")).tolist() == [1, 1, -1]
        assert class_numbers(photos, ("caf\u00e9", "b")).tolist() == [0, 0, -1]


def test_in_classes_renumbers_photos_by_class_name() -> None:
    listed = [Photo(Path("x"), str(row), label) for row, label in enumerate("abca")]
    table = PhotoTable.of(listed).in_classes(("c", "d", "a", "b"), {3: "d"})
    assert table.classes.tolist() == [2, 3, 0, 1] and [photo.label for photo in table] == ["a", "b", "c", "d"]


def test_selecting_hashed_photos_selects_their_digests() -> None:
    listed = [HashedPhoto(Photo(Path("x"), str(row), "a"), bytes([row + 1]) * 32) for row in range(4)]
    hashed = HashedPhotos.of(listed)
    assert list(hashed) == listed and hashed[1:3][0] == listed[1] and len(HashedPhotos.of([])) == 0
    assert [item.digest[0] for item in hashed.take(np.array([2, 0]))] == [3, 1]
    assert hashed.byte_digests.tolist() == [item.digest for item in listed]
    assert PhotoDigests(hashed)["2"] == "03" * 32 and list(PhotoDigests(hashed)) == ["0", "1", "2", "3"]
