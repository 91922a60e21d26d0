"""Tests of the assignment to folds: balanced, deterministic, and with copies of a photo in one fold."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from poets_edge.errors import DatasetError, UsageError
from poets_edge.photos.folder import Photo
from poets_edge.photos.folds import NO_FOLD, Folds, assign_folds, check_folds
from poets_edge.photos.table import HashedPhoto


def photos(counts: Mapping[str, int], variants: int = 1) -> list[Photo]:
    names = [
        f"{label}/{number:03}{f'_nohash_{variant}' if variants > 1 else ''}.jpg"
        for label, count in counts.items()
        for number in range(count)
        for variant in range(variants)
    ]
    return [Photo(Path(name), name, name.partition("/")[0]) for name in names]


def fold(found: list[Photo], wanted: int = 5, same: Mapping[str, str] | None = None) -> Folds:
    """Assign photos to folds. Their contents differ, except where `same` maps a name to a photo with equal contents."""
    contents = [(same or {}).get(photo.name, photo.name).encode() for photo in found]
    hashed = [
        HashedPhoto(photo, hashlib.sha256(content).digest()) for photo, content in zip(found, contents, strict=True)
    ]
    [folds] = assign_folds(hashed, wanted)
    return folds


def by_name(found: list[Photo], folds: Folds) -> dict[str, int]:
    """Return the fold of each photo by name, without photos that have no fold."""
    names = (photo.name for photo in found)
    return {name: number for name, number in zip(names, folds.assignment.tolist(), strict=True) if number != NO_FOLD}


def test_photos_of_each_class_are_spread_evenly_over_the_folds() -> None:
    found = photos({"daisy": 23, "roses": 10, "tulips": 101})
    folds = fold(found)
    assert folds.count == 5
    assert not folds.warnings()
    assert set(folds.assignment.tolist()) == set(range(5))
    counts = Counter(zip((photo.label for photo in found), folds.assignment.tolist(), strict=True))
    for label, total in (("daisy", 23), ("roses", 10), ("tulips", 101)):
        assert {counts[label, number] for number in range(5)} <= {total // 5, total // 5 + 1}


def test_assigned_folds_are_independent_of_the_order_of_photos() -> None:
    found = photos({"daisy": 23, "roses": 10})
    assert by_name(found, fold(found)) == by_name(found[::-1], fold(found[::-1]))


def test_assigned_folds_differ_between_repeats() -> None:
    contents = [HashedPhoto(photo, hashlib.sha256(photo.name.encode()).digest()) for photo in photos({"a": 9, "b": 9})]
    assignments = [tuple(folds.assignment.tolist()) for folds in assign_folds(contents, 3, repeats=4)]
    assert len(set(assignments)) == 4


def test_variants_and_copies_of_a_photo_are_in_one_fold() -> None:
    found = photos({"daisy": 20, "roses": 20}, variants=3)
    # A copy in another class, and a chain: a variant of one is a copy of another.
    same = {"roses/000_nohash_0.jpg": "daisy/000_nohash_0.jpg", "daisy/001_nohash_1.jpg": "daisy/000_nohash_2.jpg"}
    of = by_name(found, fold(found, same=same))
    by_group = defaultdict(set)
    for name, number in of.items():
        by_group[name.partition("_nohash_")[0]].add(number)
    assert all(len(numbers) == 1 for numbers in by_group.values())
    assert by_group["roses/000"] == by_group["daisy/000"] == by_group["daisy/001"]
    assert len({number for numbers in by_group.values() for number in numbers}) == 5


def test_number_of_folds_is_reduced_for_a_small_class() -> None:
    folds = fold(photos({"daisy": 30, "roses": 3}))
    assert folds.count == 3
    [remark] = folds.warnings()
    assert "3 folds instead of 5" in remark
    assert "class roses" in remark


@pytest.mark.parametrize("variants", [1, 4])
def test_class_with_a_single_group_is_not_assigned_to_a_fold(variants: int) -> None:
    found = photos({"daisy": 30, "roses": 10}) + photos({"tulips": 1}, variants)
    folds = fold(found)
    assert folds.count == 5
    assert folds.always_trained == ("tulips",)
    assert set(by_name(found, folds)) == {photo.name for photo in found if photo.label != "tulips"}
    assert "class tulips" in folds.warnings()[0]


def test_too_few_photos_or_folds_are_rejected() -> None:
    with pytest.raises(DatasetError, match="Add photos"):
        fold(photos({"daisy": 1, "roses": 1}))
    for wanted in (1, -3):
        with pytest.raises(UsageError, match="`folds` must be 2 or more"):
            check_folds(wanted)
    check_folds(0)


def hashed(names: list[str]) -> list[HashedPhoto]:
    """Return photos with different contents, whose classes are the first parts of their names."""
    return [
        HashedPhoto(Photo(Path(name), name, name.partition("/")[0]), row.to_bytes(32, "big"))
        for row, name in enumerate(names)
    ]


def test_groups_linked_by_augmented_copies_of_one_photo_are_in_one_fold() -> None:
    names = [f"{label}/{number}.jpg" for label in "ab" for number in range(30)]
    names += ["a/x_nohash_1.jpg", "a/x_nohash_2.jpg"]
    groups = np.append(np.arange(60) // 3 * 3, [0, 61])  # the first variant of x belongs to the first group
    [found] = assign_folds(hashed(names), groups=groups)
    assert all(len(set(found.assignment[groups == number].tolist())) == 1 for number in groups)
    assert found.assignment[61] == found.assignment[0]
    assert Counter(found.assignment[:60].tolist()) == dict.fromkeys(range(5), 12)


def test_large_groups_are_assigned_to_folds_first() -> None:
    names, groups = [f"a/{number}.jpg" for number in range(12)], np.repeat([0, 3, 6], [3, 3, 6])
    [found] = assign_folds(hashed(names), 2, groups=groups)
    assert Counter(found.assignment.tolist()) == {0: 6, 1: 6}


def test_group_with_two_classes_is_assigned_to_balance_the_smaller_class() -> None:
    """Photos 0 to 19 of class a are a group in one fold, and three of the four photos of class b are in the other fold.

    A group of one photo of a and the last photo of b is put into the first fold, although that fold has more photos.
    """
    names = [f"a/{number}.jpg" for number in range(100)] + [f"b/{number}.jpg" for number in range(4)]
    groups = np.arange(104)
    groups[:20], groups[100:103], groups[103] = 0, 100, 99
    [found] = assign_folds(hashed(names), 2, groups=groups)
    assert found.assignment[99] == found.assignment[103] == found.assignment[0] != found.assignment[100]


def test_assigned_folds_are_independent_of_unicode_normalization() -> None:
    names = [f"a/{letter}{number}.jpg" for letter in "äéñ" for number in range(20)]
    decomposed = [unicodedata.normalize("NFD", name) for name in names]
    [first], [second] = assign_folds(hashed(names)), assign_folds(hashed(decomposed))
    assert names != decomposed and first.assignment.tolist() == second.assignment.tolist()


def test_two_photos_of_a_class_are_in_different_folds() -> None:
    [found] = assign_folds(hashed([*(f"a/{number}.jpg" for number in range(10)), "b/1.jpg", "b/2.jpg"]))
    assert (found.count, found.smallest, found.always_trained) == (2, "b", ())
    assert set(found.assignment[10:].tolist()) == {0, 1}


def test_folds_do_not_depend_on_the_order_of_the_photos() -> None:
    """Groups of photos, which are ordered by the hash of their first name, are in the same folds in any order."""
    found = photos({"daisy": 11, "roses": 9}, variants=3)
    expected = by_name(found, fold(found))
    rng = np.random.default_rng(0)
    for _ in range(3):
        shuffled = [found[row] for row in rng.permutation(len(found))]
        assert by_name(shuffled, fold(shuffled)) == expected


def test_alphabetically_first_of_several_smallest_classes_is_reported() -> None:
    for order in (("roses", "daisy", "tulips"), ("tulips", "daisy", "roses")):
        folds = fold(photos(dict.fromkeys(order, 3)))
        assert (folds.count, folds.requested, folds.smallest) == (3, 5, "daisy")
