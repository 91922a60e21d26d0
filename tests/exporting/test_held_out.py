"""Tests of the choice of photos for calibration and evaluation, with small hand-written training records."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import DatasetError
from poets_edge.exporting.held_out import (
    ExportPhotos,
    _is_elsewhere,
    calibration_photos,
    photos_of_folder,
    photos_of_record,
)
from poets_edge.exporting.held_out import test_groups as groups_of_test_photos
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.known_photos import KnownPhotos
from poets_edge.photos.split import SplitConfig, assign_splits
from poets_edge.photos.split_names import SPLIT_NAMES


def write(folder: Path, *names: str) -> None:
    """Write files with different contents."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def record(folder: Path, training: list[str], test: list[str], **fields: Any) -> dict[str, Any]:
    sets = {"training": training, "validation": [], "test": test}
    return {"image_dir": str(folder), "labels": ["a", "b"], "sets": sets, **fields}


def known_of(**splits: list[str]) -> KnownPhotos:
    """Return the known photos of a run, given the contents of its photos by split."""
    contents = [(split, name) for split, names in splits.items() for name in names]
    digests = np.stack([np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint8) for _, name in contents])
    return KnownPhotos.of(digests, np.array([SPLIT_NAMES.index(split) for split, _ in contents], np.int8))


def test_only_the_listed_classes_are_renamed() -> None:
    photos = ExportPhotos([Photo(Path("1"), "1", "a"), Photo(Path("2"), "2", "b")], [Photo(Path("3"), "3", "a")], 7)
    renamed = photos.in_classes({"a": "x", "c": "y"})
    assert [photo.label for photo in renamed.training] == ["x", "b"]
    assert [photo.label for photo in renamed.test] == ["x"] and renamed.missing == 7
    assert photos.in_classes({"a": "a"}) is photos


@pytest.mark.parametrize(
    ("folder", "elsewhere"),
    [("\\\\host\\photos", True), ("//host/photos", True), ("https://host/photos", True), ("/photos", False)],
)
def test_network_shares_and_addresses_are_treated_as_being_on_another_machine(folder: str, elsewhere: bool) -> None:
    assert _is_elsewhere(folder) is elsewhere


def test_photos_of_a_training_record_are_taken_from_the_given_folder(tmp_path: Path) -> None:
    write(tmp_path, "old/a/1.jpg", "new/a/1.jpg", "new/b/2.jpg")
    found = photos_of_record(record(tmp_path / "old", ["a/1.jpg"], ["b/2.jpg"]), tmp_path / "new")
    assert [photo.path for photo in found.training] == [tmp_path / "new/a/1.jpg"]
    assert [(photo.path, photo.label) for photo in found.test] == [(tmp_path / "new/b/2.jpg", "b")]


def test_record_whose_training_photos_are_missing_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, "b/2.jpg")
    with pytest.raises(DatasetError, match="trained on are not there"):
        photos_of_record(record(tmp_path, ["a/1.jpg"], ["b/2.jpg"]), None)


def test_missing_training_and_test_photos_of_a_record_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "a/1.jpg")
    names = ["a/1.jpg", "a/2.jpg"], ["b/1.jpg", "b/2.jpg", "b/3.jpg"]
    assert photos_of_record(record(tmp_path, *names), None).missing == 4


def test_class_of_a_recorded_photo_is_its_folder_inside_the_split_folder(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.jpg", "test/b/2.jpg")
    found = photos_of_record(record(tmp_path, ["train/a/1.jpg"], ["test/b/2.jpg"], set_folders=True), None)
    assert ([photo.label for photo in found.training], [photo.label for photo in found.test]) == (["a"], ["b"])


def test_class_of_a_recorded_photo_is_the_innermost_folder_named_like_a_class(tmp_path: Path) -> None:
    write(tmp_path, "a/a/1.jpg", "a/a/2.jpg", "a/b/1.jpg", "a/b/2.jpg")
    found = photos_of_record(record(tmp_path, ["a/a/1.jpg", "a/b/1.jpg"], ["a/b/2.jpg"]), None)
    assert [photo.label for photo in (*found.training, *found.test)] == ["a", "b", "b"] and found.missing == 0


def test_class_folders_in_another_unicode_normalization_are_recognized(tmp_path: Path) -> None:
    decomposed = "Ga\u0308nseblu\u0308mchen"
    write(tmp_path, f"{decomposed}/1.jpg")
    fields = {**record(tmp_path, [f"{decomposed}/1.jpg"], []), "labels": [decomposed, "b"]}
    assert [photo.label for photo in photos_of_record(fields, None).training] == [decomposed]


def test_recorded_exclusions_are_applied_and_subfolders_are_searched(tmp_path: Path) -> None:
    write(tmp_path, "a/deep/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg")
    exclude = {"leave_out": ["b/4.jpg"], "belongs_to": {"a/2.jpg": "b"}}
    fields = record(tmp_path, ["a/deep/1.jpg", "a/2.jpg"], ["b/3.jpg"], recursive=True, exclude=exclude)
    assert [photo.label for photo in photos_of_record(fields, None).training] == ["a", "b"]
    unlisted = {**fields, "sets": None, "percentages": {"testing": 30, "validation": 20}}
    unlisted["classes"] = {"a": {"training": 3, "validation": 1, "test": 2}, "b": {"training": 0, "test": 1}}
    found = photos_of_record(unlisted, None)
    assert found.missing == 7 - 3, "b/4.jpg is excluded, and four of the seven photos are no longer there"
    assert {photo.name for photo in (*found.training, *found.test)} <= {"a/deep/1.jpg", "a/2.jpg", "b/3.jpg"}


def test_record_without_file_names_yields_test_photos_by_percentages_or_digests(tmp_path: Path) -> None:
    write(tmp_path, *(f"{label}/{number}.jpg" for label in "ab" for number in range(40)))
    percentages = {"testing": 40, "validation": 20}
    fields = {**record(tmp_path, [], []), "sets": None, "percentages": percentages, "classes": {}}
    photos = scan(tmp_path).photos
    splits = assign_splits(photos, SplitConfig(**percentages))
    expected = [photos.names[row] for row in np.flatnonzero(splits == SPLIT_NAMES.index("test")).tolist()]
    found = photos_of_record(fields, None)
    assert [photo.name for photo in found.test] == expected and len(expected) > 20 and found.missing == 0
    known = known_of(training=["a/0.jpg"], test=expected[1:3], validation=[])
    listed = photos_of_record({**fields, "photo_sets": known.to_json()}, None)
    assert [photo.name for photo in listed.test] == expected[1:3], "recognized by content"
    assert listed.test[0].sha256 == hashlib.sha256(expected[1].encode()).hexdigest()


def test_photos_of_the_training_run_are_recognized_in_a_folder_by_content(tmp_path: Path) -> None:
    write(tmp_path, *(f"{label}/{number}.jpg" for label in "ab" for number in range(10)))
    known = known_of(training=["a/1.jpg", "b/2.jpg"], validation=["a/4.jpg"], test=["b/7.jpg"])
    found = photos_of_folder(tmp_path, SplitConfig(), known)
    assert [photo.name for photo in found.training] == ["a/1.jpg", "b/2.jpg"]
    assert [photo.name for photo in found.test] == ["b/7.jpg"]
    assert found.are_recognized
    plain = photos_of_folder(tmp_path, SplitConfig())
    validated = plain.test[0].name
    others = known_of(training=["other"], validation=[validated], test=["a/1.jpg"])
    found = photos_of_folder(tmp_path, SplitConfig(), others)
    assert [photo.name for photo in found.test] == [photo.name for photo in plain.test if photo.name != validated]
    assert [photo.name for photo in found.training] == [photo.name for photo in plain.training]
    assert not found.are_recognized


def test_each_test_photo_without_a_recorded_group_is_its_own_group() -> None:
    names = ["one", "two", "three"]
    digests = np.stack([np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint8) for name in names])
    known = KnownPhotos.of(digests, np.full(3, SPLIT_NAMES.index("test"), np.int8), np.array([4, 9, 4]))
    photos = [Photo(Path(name), name, "a", sha256=hashlib.sha256(name.encode()).hexdigest()) for name in names]
    unknown = [Photo(Path("x"), "x", "a"), Photo(Path("y"), "y", "a", sha256="ab" * 32)]
    found = groups_of_test_photos([unknown[0], *photos, unknown[1]], known)
    assert found is not None
    assert found[1] == found[3] and len(set(found.tolist())) == 4, "only `one` and `three` are in one group"
    assert groups_of_test_photos(photos, None) is None
    assert groups_of_test_photos(photos, KnownPhotos.of(digests, np.zeros(3, np.int8))) is None


def test_calibration_photos_are_chosen_at_random_from_each_class_in_turn() -> None:
    photos = [Photo(Path(f"{label}{n}"), f"{label}{n}", label) for label in ("z", "m", "a") for n in range(50)]
    chosen = calibration_photos(photos, 60)
    assert [photo.label for photo in chosen] == ["a", "m", "z"] * 20
    numbers = [int(photo.name[1:]) for photo in chosen if photo.label == "m"]
    assert numbers != sorted(numbers) and max(numbers) > 25 > min(numbers), "from the whole class, in random order"
    assert calibration_photos([], 5) == []
