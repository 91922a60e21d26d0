"""Tests of the training record: duplicates, photos by class and split, checksums and versions."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

import poets_edge
from poets_edge.photos.image import PREPROCESSING
from poets_edge.photos.known_photos import KnownPhotos
from poets_edge.photos.table import HashedPhotos
from poets_edge.training import record
from poets_edge.training.record import checksum, class_table, find_duplicates, photo_fields, record_of, versions
from tests.training.test_train_steps import TEST, TRAINING, VALIDATION, data


def test_duplicates_in_several_splits_or_classes_are_found() -> None:
    sets = [TRAINING, TEST, TRAINING, TRAINING, VALIDATION, TRAINING, TRAINING, TEST, TRAINING]
    photos = data(sets).photos
    digests = photos.digests.copy()
    digests[8] = digests[6]  # the same class and split
    digests[5] = digests[4]  # another class and split
    digests[7] = digests[3]  # the same class, another split
    digests[2] = digests[0]
    digests[1] = digests[0].copy()
    digests[1][31] ^= 1  # nearly equal
    found = find_duplicates(HashedPhotos(photos.photos, digests), np.array(sets, np.int8))
    assert [one.to_json() for one in found] == [
        {"names": ["b/3.jpg", "b/7.jpg"], "sets": ["training", "test"], "labels": ["b", "b"]},
        {"names": ["a/4.jpg", "b/5.jpg"], "sets": ["validation", "training"], "labels": ["a", "b"]},
    ]
    order = np.argsort(digests[:, 0])[::-1]
    assert len(find_duplicates(HashedPhotos(photos.photos.take(order), digests[order]), np.array(sets)[order])) == 2
    assert find_duplicates(photos.take(np.zeros(0, np.int64)), np.zeros(0, np.int8)) == []


def test_duplicates_are_listed_in_the_order_of_their_first_photos() -> None:
    sets = [TRAINING, TRAINING, TEST, TEST]
    photos = data(sets).photos
    digests = np.array([[9] * 32, [3] * 32, [9] * 32, [3] * 32], np.uint8)
    found = find_duplicates(HashedPhotos(photos.photos, digests), np.array(sets))
    assert [one.names[0] for one in found] == ["a/0.jpg", "b/1.jpg"]


def test_class_table_counts_photos_by_class_and_split() -> None:
    sets = [TRAINING, TEST, TRAINING, TRAINING, VALIDATION, TEST, TRAINING]
    assert class_table(data(sets).photos.photos, np.array(sets, np.int8)) == {
        "a": {"training": 3, "validation": 1, "test": 0}, "b": {"training": 1, "validation": 0, "test": 2},
    }  # fmt: skip


def test_class_table_has_only_classes_with_photos() -> None:
    photos = data([TRAINING, TEST]).photos.photos.in_classes(("a", "b", "c"))
    assert list(class_table(photos, np.array([TRAINING, TEST], np.int8))) == ["a", "b"]


def test_record_contains_the_versions_that_determine_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    found = versions()
    assert found["preprocessing"] == PREPROCESSING and found["poets_edge"] == poets_edge.__version__
    assert found["python"] == platform.python_version() and found["numpy"] == np.__version__

    def installed(package: str) -> str:
        if package == "tensorflow":
            raise PackageNotFoundError
        return f"1 of {package}"

    monkeypatch.setattr(record, "version", installed)
    found = versions()
    assert (found.get("tensorflow"), found["numpy"], found["pillow"]) == (None, "1 of numpy", "1 of pillow")


def test_record_lists_photos_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = np.array([TRAINING, TEST, TEST, VALIDATION, TEST], np.int8)
    photos = data(sets.tolist()).photos
    found = photo_fields(photos, sets, np.array([5, 8, 9, 6, 8]))
    assert found["sets"] == {
        "training": ["a/0.jpg"], "validation": ["b/3.jpg"], "test": ["a/2.jpg", "a/4.jpg", "b/1.jpg"],
    }  # fmt: skip
    assert found["test_groups"] == [1, 0, 0]
    assert found["photos"] == {name: bytes([int(name[2]) + 1] * 32).hex() for name in sorted(photos.photos.names)}
    assert list(found["photos"]) == sorted(found["photos"])
    assert "test_groups" not in photo_fields(photos, sets, np.array([5, 8, 9, 5, 7]))
    assert "test_groups" not in photo_fields(photos, sets)
    monkeypatch.setattr(record, "MOST_LISTED", 5)
    assert photo_fields(photos, sets)["photos"] is not None
    monkeypatch.setattr(record, "MOST_LISTED", 4)
    large = photo_fields(photos, sets)
    assert large["sets"] is None and large["photos"] is None and large["photos_sha256"] == checksum(photos, sets)
    assert large["photo_sets"] == KnownPhotos.of(photos.digests, sets).to_json()
    groups = np.array([5, 8, 9, 6, 8])
    grouped = photo_fields(photos, sets, groups)["photo_sets"]
    assert grouped == KnownPhotos.of(photos.digests, sets, groups).to_json() != large["photo_sets"]


def test_checksum_depends_on_names_splits_and_digests() -> None:
    sets = np.array([TRAINING, TEST, VALIDATION], np.int8)
    photos = data(sets.tolist()).photos
    expected = hashlib.sha256()
    for row, split in enumerate(("training", "test", "validation")):
        expected.update(f"{'ab'[row % 2]}/{row}.jpg\0{split}\0".encode() + bytes([row + 1]) * 32)
    assert checksum(photos, sets) == expected.hexdigest()


def test_record_begins_with_the_checksum_of_its_graph() -> None:
    content = record_of("f" * 64, {"labels": ["a"]})
    assert b'"graph_sha256"' in content[:1024] and content.index(b'"format"') < content.index(b'"versions"')
