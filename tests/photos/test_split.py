"""Tests of splits: a photo's split depends on its name only."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poets_edge.errors import UsageError
from poets_edge.photos.folder import Photo
from poets_edge.photos.split import SplitConfig, assign_splits, group_name, split
from poets_edge.photos.table import PhotoTable

NAMES = st.lists(st.text("abcdef0123", min_size=1, max_size=8), min_size=1, max_size=60, unique=True)


def photos(names: list[str], label: str = "daisy", folder: str = "x") -> list[Photo]:
    return [Photo(Path(folder) / label / f"{name}.jpg", f"{label}/{name}.jpg", label) for name in names]


@given(NAMES)
def test_split_is_independent_of_the_folder_path(names: list[str]) -> None:
    percentages = SplitConfig()
    assert split(photos(names, folder="photos"), percentages) == split(
        photos(names, folder="./a/../photos"), percentages
    )


@given(NAMES, st.integers(0, 40), st.integers(0, 40))
def test_each_split_has_photos_from_every_class_with_three_photos(
    names: list[str], testing: int, validation: int
) -> None:
    sets = split(photos(names), SplitConfig(testing=testing, validation=validation))
    counts = Counter(sets.values())
    assert counts["training"] >= 1
    if len(names) >= 3:
        assert (counts["test"] > 0) == (testing > 0)
        assert (counts["validation"] > 0) == (validation > 0)
    else:
        assert counts["training"] == len(names)


@given(NAMES, st.integers(2, 4))
@settings(max_examples=50)
def test_split_puts_augmented_copies_of_a_photo_in_one_split(names: list[str], copies: int) -> None:
    grouped = [f"{name}_nohash_{number}" for name in names for number in range(copies)]
    sets = split(photos(grouped), SplitConfig())
    for name in names:
        assert len({sets[f"daisy/{name}_nohash_{number}.jpg"] for number in range(copies)}) == 1


def test_split_of_a_photo_is_unchanged_by_added_photos() -> None:
    before = split(photos([str(number) for number in range(500)]), SplitConfig())
    after = split(photos([str(number) for number in range(700)]), SplitConfig())
    assert all(after[name] == chosen for name, chosen in before.items())
    shares = Counter(after.values())
    assert 40 <= shares["test"] <= 100 and 40 <= shares["validation"] <= 100


def position(name: str) -> float:
    """Return the documented position of a photo: the first 8 bytes of the SHA-1 of its group, as a percentage."""
    return int.from_bytes(hashlib.sha1(name.encode()).digest()[:8], "big") / 2**64 * 100


def test_split_is_determined_by_the_hash_of_the_name() -> None:
    """Low positions are for validation, higher ones for testing, and the highest for training."""
    names = [f"daisy/{number}.jpg" for number in range(300)]
    found = split(photos([str(number) for number in range(300)]), SplitConfig(testing=20, validation=5))
    expected = {
        name: "validation" if position(name) < 5 else "test" if position(name) < 25 else "training" for name in names
    }
    assert found == expected and len(set(expected.values())) == 3


def test_split_is_the_same_for_composed_and_decomposed_accents() -> None:
    """The 60 names suffice for photos in all splits; some would change splits if names were not normalized."""
    composed, decomposed = ([f"{name}{number}" for number in range(60)] for name in ("caf\u00e9", "cafe\u0301"))
    first, second = ([*split(photos(names), SplitConfig()).values()] for names in (composed, decomposed))
    assert first == second and set(first) == {"training", "validation", "test"}
    validation = [[position(f"daisy/{name}.jpg") < 10 for name in names] for names in (composed, decomposed)]
    assert validation[0] != validation[1]


def test_group_name_is_the_part_of_the_photo_name_before_nohash() -> None:
    assert group_name("daisy/a_nohash_1.jpg") == group_name("daisy/a_nohash_b_nohash_2.jpg") == "daisy/a"
    assert group_name("daisy/a_nohash.jpg") == "daisy/a_nohash.jpg"


def test_empty_split_of_a_small_class_gets_the_group_with_the_nearest_hash_position() -> None:
    """If a split is empty, the nearest group is moved there from a split with two or more groups."""
    for start in range(0, 200, 4):
        sets = split(photos([str(number) for number in range(start, start + 4)]), SplitConfig(testing=1, validation=1))
        places = {name: position(name) for name in sets}
        if min(places.values()) < 2:
            continue  # one is in a split already
        nearest = sorted(places, key=places.__getitem__)
        assert sets[nearest[0]] == "validation" and sets[nearest[1]] == "test"
        assert {sets[name] for name in nearest[2:]} == {"training"}


@pytest.mark.parametrize(
    ("testing", "validation", "message"),
    [
        (-1, 10, "`testing`"),
        (101, 0, "`testing`"),
        (10, -1, "`validation`"),
        (50, 50, "leave nothing"),
        (99, 1, "leave"),
    ],
)
def test_split_config_rejects_percentages_out_of_range(testing: int, validation: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SplitConfig(testing=testing, validation=validation)


def test_split_config_accepts_up_to_99_percent() -> None:
    for testing, validation in ((99, 0), (0, 99), (49, 50), (0, 0)):
        assert SplitConfig(testing=testing, validation=validation).testing == testing


@given(NAMES, st.permutations(range(60)))
@settings(max_examples=30)
def test_split_does_not_depend_on_the_order_of_photos(names: list[str], order: list[int]) -> None:
    listed = photos(names)
    shuffled = [listed[index] for index in order if index < len(listed)]
    assert split(shuffled, SplitConfig()) == split(listed, SplitConfig())


def test_split_of_a_class_does_not_depend_on_other_classes() -> None:
    daisies, roses = photos(["1", "2", "3", "4"]), photos(["1", "2"], "roses")
    together, alone = split([*roses, *daisies], SplitConfig()), split(daisies, SplitConfig())
    assert {name: of for name, of in together.items() if name.startswith("daisy")} == alone
    assert {together[photo.name] for photo in roses} == {"training"}


def test_split_keeps_photos_in_their_split_folders() -> None:
    """There is a test folder, so only validation photos are selected from the training folder."""
    given_test = [replace(photo, given_split="test") for photo in photos(["a", "b"])]
    rest = photos([str(number) for number in range(100)])
    sets = split([*given_test, *rest], SplitConfig(testing=40, validation=20))
    assert {sets[photo.name] for photo in given_test} == {"test"}
    for photo in rest:
        assert sets[photo.name] == ("validation" if position(photo.name) < 20 else "training")


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(("testing", "validation"), [(30, 0), (0, 30), (2, 60), (60, 2), (40, 30)])
def test_empty_split_gets_the_photo_with_the_nearest_hash_position(testing: int, validation: int, size: int) -> None:
    """The ideal position of validation is 0, that of test is the validation percentage, and that of training is 100."""
    checked = set()
    for start in range(0, 100 * size, size):
        numbers = [str(number) for number in range(start, start + size)]
        sets = split(photos(numbers), SplitConfig(testing=testing, validation=validation))
        places = {name: position(name) for name in (f"daisy/{number}.jpg" for number in numbers)}
        chosen = {
            name: "validation" if place < validation else "test" if place < validation + testing else "training"
            for name, place in places.items()
        }
        for number, ideal in (
            ("training", 100),
            *([("validation", 0)] if validation else []),
            *([("test", validation)] if testing else []),
        ):
            if number not in chosen.values():
                counts = list(chosen.values())
                donors = [name for name in chosen if counts.count(chosen[name]) > 1]
                chosen[min(donors, key=lambda name: (abs(places[name] - ideal), name))] = number
                checked.add(number)
        assert sets == chosen
    assert len(checked) >= 2


@pytest.mark.parametrize(("testing", "validation"), [(0, 50), (50, 0), (30, 30), (0, 0)])
def test_classes_of_one_or_two_groups_are_for_training_only(testing: int, validation: int) -> None:
    """Although the hashes of half of their names lie in the other splits."""
    percentages = SplitConfig(testing=testing, validation=validation)
    for number in range(20):
        label = f"class {number}"
        for names in (["a"], ["a", "b"], ["a_nohash_1", "a_nohash_2", "b"]):
            assert set(split(photos(names, label), percentages).values()) == {"training"}
        wanted = {"training"} | {name for name, share in (("test", testing), ("validation", validation)) if share}
        assert set(split(photos(["a", "b", "c"], label), percentages).values()) == wanted


@pytest.mark.parametrize("seed", range(10))
def test_groups_of_photos_of_several_classes_stay_together(seed: int) -> None:
    """If a class has no photo in a split, a group moves there with its photos of other classes."""
    rng = np.random.default_rng(seed)
    listed = [Photo(Path(f"{n}.jpg"), f"{n}.jpg", str(n % 3)) for n in rng.permutation(60).tolist()]
    groups = rng.integers(0, 14, 60)
    found = assign_splits(PhotoTable.of(listed), SplitConfig(testing=10, validation=10), groups)
    assert len({*zip(groups.tolist(), found.tolist(), strict=True)}) == len(set(groups.tolist()))
    assert {(photo.label, split) for photo, split in zip(listed, found.tolist(), strict=True)} == {
        (label, number) for label in "012" for number in range(3)
    }
