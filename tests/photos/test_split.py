"""Splits: a photo's split depends on its name alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from poets_edge.photos.folder import Photo
from poets_edge.photos.split import SplitConfig, split

NAMES = st.lists(st.text("abcdef0123", min_size=1, max_size=8), min_size=1, max_size=60, unique=True)


def photos(names: list[str], label: str = "daisy", folder: str = "x") -> list[Photo]:
    return [Photo(Path(folder) / label / f"{name}.jpg", f"{label}/{name}.jpg", label) for name in names]


@given(NAMES)
def test_split_does_not_depend_on_the_folder(names: list[str]) -> None:
    percentages = SplitConfig()
    assert split(photos(names, folder="photos"), percentages) == split(
        photos(names, folder="./a/../photos"), percentages
    )


@given(NAMES, st.integers(0, 40), st.integers(0, 40))
def test_class_of_three_photos_has_one_in_each_split(names: list[str], testing: int, validation: int) -> None:
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
def test_group_stays_in_one_split(names: list[str], copies: int) -> None:
    grouped = [f"{name}_nohash_{number}" for name in names for number in range(copies)]
    sets = split(photos(grouped), SplitConfig())
    for name in names:
        assert len({sets[f"daisy/{name}_nohash_{number}.jpg"] for number in range(copies)}) == 1


def test_added_photos_do_not_move_others() -> None:
    before = split(photos([str(number) for number in range(500)]), SplitConfig())
    after = split(photos([str(number) for number in range(700)]), SplitConfig())
    assert all(after[name] == chosen for name, chosen in before.items())
    shares = Counter(after.values())
    assert 40 <= shares["test"] <= 100 and 40 <= shares["validation"] <= 100


def test_composed_and_decomposed_names_get_the_same_split() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    rest = [str(number) for number in range(50)]
    first, second = (split(photos([name, *rest]), SplitConfig()) for name in (composed, decomposed))
    assert first[f"daisy/{composed}.jpg"] == second[f"daisy/{decomposed}.jpg"]
