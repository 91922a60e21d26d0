"""Tests of the rules for variants and look-alikes at their limits, with hand-made neighbors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.photos.folder import Photo
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.training import look_alikes, variants
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.variants import _Neighbors, class_similarities, class_size


def unit(rows: Any) -> Any:
    return (np.asarray(rows) / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("classes", "size"),
    [
        ([0, 0, 0, 2, 2, 2, 2, 2, 5], 3),
        ([0] * 4 + [1] * 7, 5),
        ([], 0),
        ([3], 1),
        ([0, 1, 1, 1, 1, 1], 3),
        ([0, 1, *[2] * 9], 1),
    ],
)  # fmt: skip
def test_typical_class_size_is_the_median_size_of_classes_with_photos(classes: list[int], size: int) -> None:
    assert class_size(np.array(classes, np.int64)) == size


def test_class_similarity_is_the_mean_cosine_similarity_to_the_class() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(7, 5)))
    classes = np.array([0, 2, 2, 0, 0, 2, 4])
    expected = [float((vectors[classes == classes[row]] @ vectors[row]).mean()) for row in range(7)]
    assert class_similarities(vectors, classes) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("size", "votes"), [(0, 3), (36, 3), (47, 3), (48, 4), (120, 10), (600, 10)])
def test_number_of_voting_neighbors_is_a_twelfth_of_the_class_size_within_3_to_10(size: int, votes: int) -> None:
    assert variants._votes(size) == votes


def test_most_frequent_class_wins_a_vote_and_nearer_neighbors_break_ties() -> None:
    labels = np.array([[2, 0, 0], [1, 0, 2], [0, 1, 1], [2, 1, 0]])
    assert variants._winner(labels, 3).tolist() == [0, 1, 1, 2]
    assert variants._winner(np.array([[2, 0, 0, 2], [1, 0, 0, 1]]), 3).tolist() == [2, 1]


def test_neighbor_advantage_is_the_difference_in_correctness_of_two_votes() -> None:
    classes = np.array([0, 0, 1, 1, 1, 0])
    found = _Neighbors(
        rows=np.array([0, 2, 3, 5]),
        neighbors=np.array([[1, 2, 3, 4], [3, 4, 0, 1], [0, 2, 4, 1], [2, 3, 4, 0]]),
        similarities=np.ones((4, 4), np.float32), is_distinct=np.ones(4, bool),
    )  # fmt: skip
    assert variants._advantages(found, classes, 1, 3).tolist() == [1, 1, -1, 0]
    assert variants._advantages(found, classes, 3, 1).tolist() == [1, 1, 0, -1]


@pytest.mark.parametrize(
    ("plus", "minus", "zero", "needed", "significant"),
    [
        (9, 0, 0, 9, True), (9, 0, 0, 9.1, False), (25, 0, 900, 9, True), (6, 0, 0, 1, False), (7, 0, 0, 1, True),
        (40, 20, 0, 1, True), (38, 22, 0, 1, False), (9, 0, 0, 0, False),
    ],
)  # fmt: skip
def test_neighbor_advantage_is_significant_above_two_and_a_half_standard_errors(
    plus: int, minus: int, zero: int, needed: float, significant: bool
) -> None:
    """The standard error is the square root of the number of photos for which only one of the two votes is correct."""
    advantages = np.repeat([1.0, -1.0, 0.0], [plus, minus, zero])
    assert variants._is_significant(advantages, needed, 2.5) is significant


@pytest.mark.parametrize(
    ("size", "ranks"),
    [
        (7, []), (8, [(1, 3, 0.25)]), (16, [(1, 3, 0.08), (3, 3, 0.25)]), (20, [(1, 3, 0.08), (3, 3, 0.25)]),
        (31, [(1, 3, 0.08), (3, 3, 0.08), (8, 3, 0.25), (12, 3, 0.25)]),
    ],
)  # fmt: skip
def test_variant_search_compares_more_neighbor_ranks_in_larger_classes(
    size: int, ranks: list[tuple[int, int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neighbors within a fifth of the class, or a fourth from the second one on, need a smaller advantage."""
    seen: list[Any] = []

    def significant(of: tuple[int, int], needed: float, deviations: float) -> bool:
        seen.append((*of, needed / 100))
        return False

    monkeypatch.setattr(variants, "_advantages", lambda found, classes, rank, votes: (rank, votes))
    monkeypatch.setattr(variants, "_is_significant", significant)
    assert not variants._have_advantage(None, np.zeros(1, np.int64), 100, size)  # type: ignore[arg-type]
    assert seen == [(rank, votes, pytest.approx(needed)) for rank, votes, needed in ranks]


@pytest.mark.parametrize(("size", "ranks"), [(30, []), (31, [8]), (42, [8, 12]), (100, [8, 12, 16, 24])])
def test_repetitive_photos_are_detected_with_neighbors_up_to_a_third_of_the_class_size(
    size: int, ranks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def significant(rank: int, needed: float, deviations: float) -> bool:
        assert needed == pytest.approx(0.27 * 50) and deviations == 6.0
        seen.append(rank)
        return False

    monkeypatch.setattr(variants, "_advantages", lambda found, classes, rank, votes: rank)
    monkeypatch.setattr(variants, "_is_significant", significant)
    found: Any = _Neighbors(np.arange(50), np.zeros((50, 1)), np.zeros((50, 1)), np.ones(50, bool))  # type: ignore[arg-type]
    assert not variants._are_repetitive(found, np.zeros(1, np.int64), size)
    assert seen == ranks


def similar_to_first(*similarities: float) -> Any:
    """Return unit vectors with the given similarities to the first one, and small similarities to each other."""
    count = len(similarities)
    rows = np.zeros((count + 1, count + 1))
    rows[0, 0] = 1
    for row, similarity in enumerate(similarities, 1):
        rows[row, 0], rows[row, row] = similarity, np.sqrt(1 - similarity**2)
    return rows.astype(np.float32)


@pytest.mark.parametrize(
    ("similarities", "size", "distinct"),
    [
        ([0.71, 0.1], 10, True), ([0.69, 0.1], 10, False), ([0.8] + [0.56] * 13, 10, True),
        ([0.8] + [0.56] * 14, 10, False), ([0.8] + [0.54] * 30, 10, True), ([0.8] + [0.56] * 14, 119, False),
        ([0.8] + [0.56] * 14, 120, True), ([0.8] + [0.56] * 15, 120, False),
    ],
)  # fmt: skip
def test_nearest_neighbor_is_distinct_only_if_few_photos_are_almost_as_similar(
    similarities: list[float], size: int, distinct: bool
) -> None:
    """At most 14 photos, or an eighth of the class, may be less than 0.25 below the nearest one, which is included."""
    vectors = similar_to_first(*similarities, *[0.0] * 40)
    classes = np.arange(len(vectors))
    classes[: len(similarities) + 20] = 0  # the mean similarity to the class is small
    found = variants._neighbors(vectors, classes, np.array([0]), size)
    assert found.neighbors[0, 0] == 1 and found.similarities[0, 0] == pytest.approx(similarities[0], abs=1e-6)
    typical = class_similarities(vectors, classes)[0]
    assert bool(found.is_distinct[0]) is (distinct and bool(similarities[0] - typical >= 0.5))


def test_neighbors_are_the_most_similar_other_photos_in_order() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(60, 6)))
    found = variants._neighbors(vectors, np.arange(60) % 3, np.array([5, 40]), 20)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    for place, row in enumerate((5, 40)):
        expected = np.argsort(-similarity[row], kind="stable")[:42]
        assert found.neighbors[place].tolist() == expected.tolist()
        assert found.similarities[place] == pytest.approx(similarity[row, expected], abs=1e-6)


def photos(classes: list[int]) -> HashedPhotos:
    return HashedPhotos.of(
        [
            HashedPhoto(Photo(Path(f"{row}.jpg"), f"{row * 7919 % 10007}.jpg", str(label)), row.to_bytes(32, "big"))
            for row, label in enumerate(classes)
        ]
    )


@pytest.mark.parametrize(
    ("best", "typical", "alike"),
    [
        (0.9, 0.54, True), (0.899, 0.5, False), (0.95, 0.61, False), (0.95, 0.8, True), (0.95, 0.79, False),
        (0.85, 0.3, False),
    ],
)  # fmt: skip
def test_photo_is_a_look_alike_if_its_best_similarity_exceeds_that_of_its_class(
    best: float, typical: float, alike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_alikes, "class_similarities", lambda vectors, classes: np.full(4, typical, np.float32))
    similar = np.array([best, 0.1, 0.1, 0.1], np.float32)
    found = look_alikes._fraction_alike(
        photos([0, 0, 1, 1]), np.zeros((4, 2), np.float32), similar, np.zeros(0, np.int64)
    )
    assert found == (0.25 if alike else 0.0)
    with_variant = look_alikes._fraction_alike(
        photos([0, 0, 1, 1]), np.zeros((4, 2), np.float32), similar, np.array([0, 3])
    )
    assert with_variant == 0.5, "photos that have variants are counted, too"


@pytest.mark.parametrize(("count", "fraction"), [(1, 0.0), (2, 0.5), (3, 0.75)])
def test_look_alike_fraction_is_zero_if_fewer_than_half_have_a_close_neighbor(
    count: int, fraction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    typical = np.full(4, 0.3, np.float32)
    monkeypatch.setattr(look_alikes, "class_similarities", lambda vectors, classes: typical)
    similar = np.array([0.81] * count + [0.79] * (4 - count), np.float32)
    nothing = np.zeros(0, np.int64)
    assert look_alikes._fraction_alike(photos([0] * 4), np.zeros((4, 2), np.float32), similar, nothing) == fraction
    typical[:] = 0.32
    assert look_alikes._fraction_alike(photos([0] * 4), np.zeros((4, 2), np.float32), similar, nothing) == 0.0


def test_similar_pairs_contain_each_photo_with_up_to_eight_nearest_neighbors() -> None:
    vectors = similar_to_first(*np.linspace(0.6, 0.9, 12).tolist())
    pairs, similarities, best = look_alikes.similar_pairs(vectors, 0.59)
    first = [
        (pair[1], value) for pair, value in zip(pairs.tolist(), similarities.tolist(), strict=True) if pair[0] == 0
    ]
    assert sorted(row for row, _ in first) == list(range(5, 13)), "the most similar ones"
    assert best[0] == pytest.approx(0.9, abs=1e-6) and best[12] == pytest.approx(0.9, abs=1e-6)


def test_group_is_counted_in_every_class_that_contains_it() -> None:
    numbers = np.array([0, 0, 2, 2, 4, 4])
    assert look_alikes._groups_per_class(photos([0, 0, 0, 1, 1, 1]), numbers).tolist() == [2, 2]
    assert look_alikes._groups_per_class(photos([0, 1, 1, 1, 1, 1]), numbers).tolist() == [1, 3]


@pytest.mark.parametrize(("similarity", "together"), [(0.76, True), (0.74, False)])
def test_successive_photos_are_grouped_if_they_are_similar(
    similarity: float, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_alikes, "successors", lambda table: [(0, 1), (1, 2)])
    vectors = similar_to_first(similarity, 0.0)
    assert look_alikes._alike_successors(photos([0, 0, 0]), vectors) == ([(0, 1)] if together else [])


def test_look_alikes_are_not_searched_for_if_the_user_specifies_groups(tmp_path: Path) -> None:
    items = [
        HashedPhoto(Photo(Path(name), name, name[0]), name.encode().ljust(32))
        for name in ("a/1-x.jpg", "a/2-y.jpg", "b/1-z.jpg")
    ]
    found = look_alikes.find_groups(HashedPhotos.of(items), np.ones((3, 4), np.float32), tmp_path, r"(\d)-")
    assert found.numbers.tolist() == [0, 1, 0] and found.alike == 0 and not found.are_dependent
    assert PhotoGroups(np.arange(3), 0.1, are_repetitive=True).are_dependent


def test_each_photo_is_its_own_group_in_a_data_set_too_large_to_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_alikes, "MAX_EVALUATED", 3)
    vectors = np.ones((4, 4), np.float32)
    assert look_alikes.find_groups(photos([0, 0, 1, 1]), vectors, tmp_path).numbers.tolist() == [0, 1, 2, 3]
    assert not list(tmp_path.iterdir())


def test_similar_pairs_equal_the_pairs_found_by_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_alikes, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(look_alikes, "_MAX_NEIGHBORS", 3)
    vectors = unit(np.random.default_rng(0).normal(size=(30, 4)))
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    expected, best = {}, []
    for row in range(30):
        near = sorted(np.flatnonzero(similarity[row] >= 0.85), key=lambda other: -similarity[row, other])
        expected.update({(row, int(other)): similarity[row, other] for other in near[:3]})
        best.append(similarity[row].max() if near else -1)
    assert len(expected) > 25 and -1 in best
    pairs, values, found = look_alikes.similar_pairs(vectors, 0.85)
    assert {(int(a), int(b)): value for (a, b), value in zip(pairs, values, strict=True)} == pytest.approx(expected)
    assert found == pytest.approx(best, abs=1e-6)
