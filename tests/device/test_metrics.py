"""Tests of metrics against values computed by hand, and published intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.device.metrics import evaluate_scores, wilson_interval

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


def test_evaluate_scores_has_a_row_for_each_true_class() -> None:
    """Two of three roses are classified as daisies and one as a tulip; one daisy is correct; no tulips."""
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


def test_recall_divides_by_the_photos_of_the_true_class() -> None:
    scores = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1]]
    found = evaluate_scores(LABELS, scores, np.array([0, 0, 1, 1, 1]))
    assert found.recall("roses") == 1 and found.recall("daisy") == pytest.approx(2 / 3)


def test_cross_entropy_limits_scores_of_zero() -> None:
    found = evaluate_scores(("a", "b"), np.array([[1, 0], [1, 0]], np.float32), np.array([0, 1]))
    assert found.cross_entropy == pytest.approx(-math.log(1e-7) / 2, rel=1e-5)


def test_evaluate_scores_without_photos_has_nulls_in_json() -> None:
    found = evaluate_scores(("a", "b"), np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
    assert found.count == 0 and math.isnan(found.accuracy) and math.isnan(found.cross_entropy)
    listed = found.to_json()
    assert listed["accuracy"] is None and listed["cross_entropy"] is None and listed["interval95"] == [None, None]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40), st.permutations([0, 1, 2]))
def test_evaluate_scores_does_not_depend_on_the_order_of_photos_and_classes(
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
