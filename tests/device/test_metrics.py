"""Tests of metrics against values computed by hand, and published intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.device.metrics import Evaluation, evaluate_scores, independent_count, wilson_interval

LABELS = ("roses", "daisy", "tulips")


@pytest.mark.parametrize(
    ("correct", "count", "low", "high"),
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_equals_published_values(correct: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(correct, count) == pytest.approx((low, high), abs=6e-5)


def test_wilson_interval_bounds_are_critical_values_of_the_score_test() -> None:
    low, high = wilson_interval(7, 10)
    for bound in (low, high):
        assert abs(0.7 - bound) / math.sqrt(bound * (1 - bound) / 10) == pytest.approx(1.959964, abs=1e-5)


def test_wilson_interval_is_nan_without_photos() -> None:
    assert all(math.isnan(bound) for bound in wilson_interval(0, 0))


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilson_interval_is_symmetric_and_narrows_with_more_photos(counts: tuple[int, int]) -> None:
    correct, count = counts
    low, high = wilson_interval(correct, count)
    rounding = 1e-12
    assert 0 <= low <= correct / count + rounding and correct / count - rounding <= high <= 1
    assert wilson_interval(count - correct, count) == pytest.approx((1 - high, 1 - low))
    narrow_low, narrow_high = wilson_interval(4 * correct, 4 * count)
    assert narrow_high - narrow_low < high - low


def test_confusion_matrix_has_a_row_for_each_true_class() -> None:
    """Of three roses, two are classified as daisies and one as a tulip; one daisy is correct; there are no tulips."""
    scores = np.array([[0.1, 0.7, 0.2], [0.3, 0.6, 0.1], [0.2, 0.3, 0.5], [0.0, 0.9, 0.1]], np.float32)
    found = evaluate_scores(LABELS, scores, np.array([0, 0, 0, 1]))
    assert found.confusion.tolist() == [[0, 2, 1], [0, 1, 0], [0, 0, 0]]
    assert (found.count, found.correct, found.accuracy) == (4, 1, 0.25)
    assert found.recall("roses") == 0 and found.recall("daisy") == 1 and math.isnan(found.recall("tulips"))
    assert found.cross_entropy == pytest.approx(-(math.log(0.1) + math.log(0.3) + math.log(0.2) + math.log(0.9)) / 4)
    assert found.interval == wilson_interval(1, 4)
    listed = found.to_json()
    assert listed["photos"] == 4 and listed["correct"] == 1 and listed["confusion"] == [[0, 2, 1], [0, 1, 0], [0, 0, 0]]
    assert listed["recall"] == {"roses": 0.0, "daisy": 1.0, "tulips": None}
    assert listed["interval95"] == pytest.approx([0.0456, 0.6994], abs=1e-4)


def test_recall_divides_by_the_number_of_photos_of_the_true_class() -> None:
    scores = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1]]
    found = evaluate_scores(LABELS, scores, np.array([0, 0, 1, 1, 1]))
    assert found.recall("roses") == 1 and found.recall("daisy") == pytest.approx(2 / 3)


def test_cross_entropy_of_a_zero_score_is_finite() -> None:
    found = evaluate_scores(("a", "b"), np.array([[1, 0], [1, 0]], np.float32), np.array([0, 1]))
    assert found.cross_entropy == pytest.approx(-math.log(1e-7) / 2, rel=1e-5)


def test_evaluation_without_photos_has_nulls_in_json() -> None:
    found = evaluate_scores(("a", "b"), np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
    assert found.count == 0 and math.isnan(found.accuracy) and math.isnan(found.cross_entropy)
    listed = found.to_json()
    assert listed["accuracy"] is None and listed["cross_entropy"] is None and listed["interval95"] == [None, None]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40), st.permutations([0, 1, 2]))
def test_evaluation_does_not_depend_on_the_order_of_photos_and_classes(
    pairs: list[tuple[int, int]], order: list[int]
) -> None:
    truth, answers = (np.array(column) for column in zip(*pairs, strict=True))
    scores = np.full((len(pairs), 3), 0.1, np.float32)
    scores[np.arange(len(pairs)), answers] = 0.8
    found = evaluate_scores(LABELS, scores, truth)
    reverse = evaluate_scores(LABELS, scores[::-1], truth[::-1])
    assert np.array_equal(found.confusion, reverse.confusion)
    places = np.argsort(order)
    renamed = evaluate_scores(tuple(LABELS[index] for index in order), scores[:, order], places[truth])
    assert [renamed.recall(label) for label in LABELS] == pytest.approx(
        [found.recall(label) for label in LABELS], nan_ok=True
    )
    assert renamed.accuracy == found.accuracy and found.count == len(pairs)


STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 7: 2.365, 11: 2.201}
"""Two-sided 95 % quantiles of Student's t distribution by degrees of freedom, from a printed table."""
EXPANSION = {1: 12.706, 2: 4.303, 3: 3.15899312, 4: 2.76937311, 5: 2.56776497, 7: 2.36391334, 11: 2.20087169}
"""The quantiles above, for 3 and more degrees of freedom from the series of Abramowitz and Stegun (26.7.5), up to its
third correction."""


@pytest.mark.parametrize("group_count", [2, 3, 4, 5, 6, 8, 12])
def test_effective_sample_size_of_groups_of_equal_size_agrees_with_t_tables(group_count: int) -> None:
    """Groups alternately have 3 and 1 correct photos of 4; if their number is odd, the last group has 2."""
    right = [3, 1] * (group_count // 2) + [2] * (group_count % 2)
    correct = np.concatenate([np.arange(4) < count for count in right])
    squares = [(count - 2) ** 2 for count in right]
    variance = group_count / (group_count - 1) * sum(squares) / (4 * group_count) ** 2
    degrees = min(group_count - 1, sum(squares) ** 2 // sum(square**2 for square in squares))
    found = independent_count(correct, np.arange(group_count).repeat(4))
    assert EXPANSION[degrees] == pytest.approx(STUDENT[degrees], rel=0.008)
    expected = 0.25 / variance * (1.9599639845 / EXPANSION[degrees]) ** 2
    assert found == pytest.approx(min(4.0 * group_count, max(1.0, expected)), rel=1e-6)


def test_effective_sample_size_is_small_if_one_group_causes_most_of_the_variance() -> None:
    """One group has ten misclassified photos; thirty groups of two photos have smaller deviations."""
    groups = np.concatenate([np.zeros(10, int), np.arange(1, 31).repeat(2)])
    correct = np.concatenate([np.zeros(10), np.tile([1, 1, 1, 0], 15)])
    accuracy = 45 / 70
    sums = np.array([correct[groups == number].sum() - (groups == number).sum() * accuracy for number in range(31)])
    variance = 31 / 30 * (sums**2).sum() / 70**2
    degrees = int((sums**2).sum() ** 2 / (sums**4).sum())
    assert degrees == 1
    assert independent_count(correct, groups) == pytest.approx(
        max(1.0, accuracy * (1 - accuracy) / variance * (1.959964 / 12.706) ** 2)
    )


def test_effective_sample_size_of_uniform_groups_is_the_number_of_groups() -> None:
    assert independent_count(np.array([1, 0] * 6), np.arange(6).repeat(2)) == 6
    assert independent_count(np.ones(8), np.arange(2).repeat(4)) == 2


def test_effective_sample_size_is_not_reduced_by_one_pair_among_ten_photos() -> None:
    correct = np.array([1, 1] + [1, 0] * 4)
    assert independent_count(correct, np.array([0, 0, *range(1, 9)])) == 10, "nine groups of ten photos"
    assert independent_count(correct, np.array([0, 0, 1, 1, *range(2, 8)])) < 10, "eight groups of ten photos"


def test_interval_uses_the_effective_sample_size() -> None:
    confusion = np.array([[30, 10], [5, 55]])
    found = Evaluation(labels=("a", "b"), confusion=confusion, cross_entropy=0.5, independent=20.0)
    assert found.interval == wilson_interval(17.0, 20.0)
    assert Evaluation(labels=("a", "b"), confusion=confusion, cross_entropy=0.5).interval == wilson_interval(85, 100)


def test_interval_with_zero_independent_photos_is_nan() -> None:
    found = Evaluation(labels=("a",), confusion=np.zeros((1, 1), np.int64), cross_entropy=math.nan, independent=0.0)
    assert all(math.isnan(bound) for bound in found.interval)


def test_effective_sample_size_without_photos_is_zero() -> None:
    assert independent_count(np.empty(0), np.empty(0, np.int64)) == 0


@given(st.lists(st.booleans(), min_size=2, max_size=50))
def test_effective_sample_size_of_a_single_group_is_one(correct: list[bool]) -> None:
    assert independent_count(np.array(correct), np.full(len(correct), 7)) == 1


@pytest.mark.parametrize("right", range(1, 10))
def test_effective_sample_size_of_groups_with_equal_accuracy_is_the_number_of_groups(right: int) -> None:
    """The mean has no exact binary representation, so the deviations of the groups are not exactly 0."""
    assert independent_count(np.tile(np.arange(10) < right, 4), np.arange(4).repeat(10)) == 4


@pytest.mark.parametrize(
    ("sizes", "correct", "student"),
    [
        ([100, 100], [80, 60], 12.706),
        ([1000, 1000], [720, 680], 12.706),
        ([100, 100, 100], [80, 60, 70], 4.303),
        ([60] * 6, [48, 36] * 3, 2.571),
    ],
)
def test_effective_sample_size_agrees_with_the_ratio_estimator(
    sizes: list[int], correct: list[int], student: float
) -> None:
    photos, groups = sum(sizes), len(sizes)
    values = np.concatenate([np.arange(size) < right for size, right in zip(sizes, correct, strict=True)])
    accuracy = sum(correct) / photos
    deviations = [right - accuracy * size for size, right in zip(sizes, correct, strict=True)]
    variance = groups / (groups - 1) * sum(one**2 for one in deviations) / photos**2
    expected = accuracy * (1 - accuracy) / variance * (1.959964 / student) ** 2
    found = independent_count(values, np.repeat(np.arange(groups), sizes))
    assert found == pytest.approx(max(1.0, expected), rel=0.02)
