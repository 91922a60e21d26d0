"""Tests of the rules by which pairs of photos are joined to groups, with given pairs and similarities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.photos.table import HashedPhotos
from poets_edge.training import look_alikes
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.series import SeriesLoss
from poets_edge.training.variants import Variants
from tests.training.test_look_alikes import photos

Pairs = dict[tuple[int, int], float]


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that groups photos of two alternating classes by their similarities, variants and names."""

    def group(
        count: int, similar: Pairs, alike: float, *, variants: Pairs | None = None, named: Any = ()
    ) -> PhotoGroups:
        def pairs_of(given: Pairs) -> Any:
            return np.array(list(given), np.int64).reshape(-1, 2), np.array(list(given.values()), np.float32)

        rows = np.array(sorted({row for pair in variants or {} for row in pair}), np.int64)
        found = Variants(rows, *pairs_of(variants or {}))
        monkeypatch.setattr(look_alikes, "pca_projection", lambda vectors, folder: vectors)
        monkeypatch.setattr(look_alikes, "similar_pairs", lambda *rest: (*pairs_of(similar), np.zeros(count)))
        monkeypatch.setattr(look_alikes, "find_variants", lambda *rest: found)
        monkeypatch.setattr(look_alikes, "_fraction_alike", lambda *rest: alike)
        monkeypatch.setattr(look_alikes, "name_pairs", lambda table: list(named))
        monkeypatch.setattr(look_alikes, "successors", lambda table: [])
        monkeypatch.setattr(look_alikes, "find_series", lambda *rest: None)
        return look_alikes._find(photos(count), np.zeros((count, 2), np.float32), Path())

    return group


@pytest.mark.parametrize(
    ("similarity", "alike", "together"),
    [
        (0.8, 0.25, True), (0.79, 0.25, False), (0.85, 0.249, False), (0.85, 0.01, False), (0.9, 0.0, True),
        (0.89, 0.0, False),
    ],
)  # fmt: skip
def test_similarity_limit_for_grouping_is_lower_if_many_photos_look_alike(
    similarity: float, alike: float, together: bool, group: Any
) -> None:
    found = group(20, {(3, 8): similarity}, alike)
    assert bool(found.numbers[8] == 3) is together and found.count == 20 - together
    assert found.alike == alike and not found.are_divided


def test_variants_of_a_photo_are_grouped_at_a_lower_similarity_than_other_photos(group: Any) -> None:
    found = group(20, {(3, 8): 0.8}, 0.1, variants={(5, 6): 0.7, (6, 9): 0.69})
    assert found.numbers.tolist() == [0, 1, 2, 3, 4, 5, 5, 7, 3, *range(9, 20)]


@pytest.mark.parametrize(("count", "divided"), [(6, False), (8, False), (10, True), (12, True)])
def test_groups_are_divided_if_a_class_would_have_fewer_than_five_groups(count: int, divided: bool, group: Any) -> None:
    """The first four photos are similar; without groups, a class of `count` photos has half as many groups."""
    chain = {(0, 2): 0.86, (2, 4): 0.86} if divided else {}
    found = group(count, chain, 0.5)
    assert found.are_divided is divided and found.count == count


def test_groups_are_divided_only_until_each_class_has_enough_groups(group: Any) -> None:
    """The similarities are those of four groups in a class of 12 photos, of which one has to be divided."""
    chain = {(0, 2): 0.96, (2, 4): 0.91, (6, 8): 0.96, (8, 10): 0.96, (12, 14): 0.96, (14, 16): 0.96, (18, 20): 0.96,
             (20, 22): 0.96}  # fmt: skip
    found = group(24, chain, 0.5)
    assert found.are_divided and found.numbers[[0, 2, 4, 8, 10, 20, 22]].tolist() == [0, 0, 4, 6, 6, 18, 18]


@pytest.mark.parametrize(("named", "together"), [(18, True), (19, False)])
def test_similar_photos_are_not_grouped_if_names_already_group_nearly_all_photos(
    named: int, together: bool, group: Any
) -> None:
    pairs = [(row, row + 1) for row in range(0, named - 1, 2)] + [(named - 2, named - 1)]
    found = group(20, {(0, 2): 0.99}, 0.5, named=pairs)
    assert bool(found.numbers[2] == 0) is together and found.numbers[1] == 0


def test_number_of_a_group_is_the_row_of_its_first_photo() -> None:
    assert look_alikes.renumbered(np.array([7, 3, 7, 9, 3])).tolist() == [0, 1, 0, 3, 1]


def test_groups_are_searched_again_if_anything_that_determines_them_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def search(table: Any, *rest: Any) -> PhotoGroups:
        calls.append(len(table))
        return PhotoGroups(np.arange(len(table)), 0.125, are_divided=True, series=SeriesLoss(0.75, 0.5))

    monkeypatch.setattr(look_alikes, "_find", search)
    whole, vectors = photos(6), np.arange(12, dtype=np.float32).reshape(6, 2)
    items = list(whole)
    renamed = [replace(items[0], photo=replace(items[0].photo, name="0/other.jpg")), *items[1:]]
    moved = [replace(items[0], photo=replace(items[0].photo, label="1")), *items[1:]]
    changed = [*items[:5], replace(items[5], digest=b"other".ljust(32))]
    look_alikes.find_groups(whole, vectors, tmp_path)
    variants = [(HashedPhotos.of(some), vectors) for some in (renamed, moved, changed)]
    variants += [(whole, vectors + 1), (whole, vectors[:, :1]), (photos(5), vectors[:5])]
    for number, (table, of) in enumerate(variants, 2):
        for _ in range(2):
            found = look_alikes.find_groups(table, of, tmp_path)
            assert len(calls) == number, "each search is cached"
            assert found.numbers.tolist() == list(range(len(table))) and found.series == SeriesLoss(0.75, 0.5)
            assert (found.alike, found.are_divided, found.are_repetitive) == (0.125, True, False)
