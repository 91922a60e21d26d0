"""Tests of temperature scaling and calibration error against values computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.device import temperature
from poets_edge.device.temperature import (
    best_temperature,
    cross_entropies,
    cross_entropy,
    expected_calibration_error,
    reliability,
    temperature_spread,
    threshold_for,
    with_temperature,
)

SCORES = np.array([[0.95, 0.05], [0.08, 0.92], [0.6, 0.4], [0.45, 0.55], [1.0, 0.0]], np.float32)
TRUTH = np.array([0, 0, 0, 1, 0])
"""True classes; the predicted classes are 0, 1, 0, 1, 0, so that the second prediction is wrong."""


def test_predictions_are_grouped_into_reliability_bins_by_score() -> None:
    low, high = reliability(SCORES, TRUTH, bins=4)
    assert (low.count, low.accuracy, high.count) == (2, 1.0, 3)
    assert low.score == pytest.approx(0.575)
    assert (high.score, high.accuracy) == pytest.approx(((0.95 + 0.92 + 1.0) / 3, 2 / 3))


def test_expected_calibration_error_weights_bins_by_number_of_predictions() -> None:
    expected = (2 * abs(0.575 - 1) + 3 * abs((0.95 + 0.92 + 1.0) / 3 - 2 / 3)) / 5
    assert expected_calibration_error(SCORES, TRUTH, bins=4) == pytest.approx(expected)


def test_expected_calibration_error_has_fifteen_bins_of_equal_width() -> None:
    """The upper three scores are between 10/15 and 11/15; with sixteen bins, 11/16 would separate 0.68 from 0.70."""
    best = np.array([0.65, 0.68, 0.70, 0.72], np.float32)
    scores, truth = np.stack([best, 1 - best], axis=1), np.array([1, 0, 0, 1])
    upper = abs((0.68 + 0.70 + 0.72) / 3 - 2 / 3)
    assert expected_calibration_error(scores, truth) == pytest.approx((0.65 + 3 * upper) / 4)


def test_cross_entropy_is_the_mean_negative_logarithm_of_the_scores_of_true_classes() -> None:
    entropies = [-math.log(0.95), -math.log(0.08), -math.log(0.6), -math.log(0.55), -math.log(1e-7)]
    truth = np.array([0, 0, 0, 1, 1])
    np.testing.assert_allclose(cross_entropies(SCORES, truth), entropies, rtol=1e-6)
    assert cross_entropy(SCORES, truth) == pytest.approx(sum(entropies) / 5)
    assert math.isnan(cross_entropy(SCORES[:0], truth[:0]))


def test_temperature_near_zero_turns_the_highest_score_into_one() -> None:
    """Logits of -900 would make all exponentials 0 if the largest one were not subtracted."""
    scores = np.array([[0.3, 0.4, 0.3]], np.float32)
    np.testing.assert_allclose(with_temperature(scores, 0.001), [[0, 1, 0]], atol=1e-30)
    assert temperature_spread(scores, np.array([1]), 0.001) == pytest.approx(0, abs=1e-30)


def test_logits_are_divided_by_the_temperature() -> None:
    scores = np.array([[0.8, 0.15, 0.05]], np.float32)
    powers = [0.8**0.5, 0.15**0.5, 0.05**0.5]
    np.testing.assert_allclose(with_temperature(scores, 2)[0], np.array(powers) / sum(powers), rtol=1e-6)
    np.testing.assert_allclose(with_temperature(scores, 1), scores, rtol=1e-6)


def loss(scores: Any, truth: Any, temperature: float) -> float:
    """Return the cross entropy plus the prior: a normal distribution of ln(temperature) with width 0.5."""
    entropy = -np.log(with_temperature(scores, temperature)[np.arange(len(truth)), truth].astype(float)).sum()
    return float(entropy + (math.log(temperature) / 0.5) ** 2 / 2)


def test_best_temperature_minimizes_cross_entropy_plus_the_penalty_of_the_prior() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)
    truth = np.array([0, 1, 1, 0])
    grid = np.exp(np.linspace(math.log(0.2), math.log(5), 4001))
    expected = grid[np.argmin([loss(scores, truth, temperature) for temperature in grid])]
    assert best_temperature(scores, truth) == pytest.approx(expected, rel=2e-3)


def test_best_temperature_is_between_0_2_and_5() -> None:
    sure = np.tile(np.array([[0.6, 0.4]], np.float32), (3000, 1))
    assert best_temperature(sure, np.zeros(3000, np.int64)) == pytest.approx(0.2, rel=1e-3)
    wrong = np.tile(np.array([[0.999, 0.001]], np.float32), (3000, 1))
    assert best_temperature(wrong, np.ones(3000, np.int64)) == pytest.approx(5, rel=1e-3)


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=10), st.floats(0.2, 5))
def test_temperature_scaling_preserves_the_sum_of_scores_and_the_predictions(
    rows: list[list[float]], temperature: float
) -> None:
    scores = np.array(rows, np.float64)
    scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    scaled = with_temperature(scores, temperature)
    np.testing.assert_allclose(scaled.sum(axis=1), 1, rtol=1e-5)
    rows_ = np.arange(len(scores))
    assert (scaled[rows_, scores.argmax(axis=1)] >= scaled.max(axis=1) - 1e-6).all()
    top, low = scores.max(axis=1), scaled.max(axis=1)
    assert (low <= top + 1e-5).all() if temperature >= 1 else (low >= top - 1e-5).all()


def test_reliability_puts_a_score_of_one_into_the_last_bin() -> None:
    scores = np.array([[0.74, 0.26], [0.76, 0.24], [1.0, 0.0]], np.float32)
    assert [(one.count, round(one.score, 2)) for one in reliability(scores, np.zeros(3, int), bins=4)] == [
        (1, 0.74),
        (2, 0.88),
    ]


def spread_by_hand(scores: Any, truth: Any, temperature: float, groups: list[int]) -> float:
    """Return the sandwich estimate of the standard error, with numerical derivatives of each photo's cross entropy."""
    step = 1e-5
    slopes: dict[int, float] = {}
    information = 1 / 0.5**2  # of the prior
    for row, true, group in zip(scores.astype(float), truth, groups, strict=True):

        def entropy(logarithm: float, row: Any = row, true: int = true) -> float:
            logits = np.log(row) / temperature / math.exp(logarithm)
            return float(np.log(np.exp(logits).sum()) - logits[true])

        slopes[group] = slopes.get(group, 0) + (entropy(step) - entropy(-step)) / (2 * step)
        logits = np.log(row) / temperature
        shares = np.exp(logits) / np.exp(logits).sum()
        information += float((shares * (logits - (shares * logits).sum()) ** 2).sum())
    return math.sqrt(sum(slope**2 for slope in slopes.values())) / information


@pytest.mark.parametrize("groups", [None, [0, 0, 1, 1, 1], [3, 7, 3, 7, 3]])
def test_temperature_spread_equals_the_cluster_robust_standard_error(groups: list[int] | None) -> None:
    scores = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.8, 0.1, 0.1]], np.float32)
    truth = np.array([0, 0, 1, 2, 0])
    found = temperature_spread(scores, truth, 1.7, None if groups is None else np.array(groups))
    assert found == pytest.approx(spread_by_hand(scores, truth, 1.7, groups or [0, 1, 2, 3, 4]), rel=1e-4)


@pytest.mark.parametrize(
    ("target", "threshold"),
    [(0.4, 0.0), (0.6, 0.51), (0.75, 0.61), (1.0, 0.91)],
    ids=["every prediction", "above the lowest score", "a quarter wrong", "none wrong"],
)
def test_threshold_for_returns_the_lowest_threshold_that_reaches_the_target_accuracy(
    target: float, threshold: float
) -> None:
    """At each score as threshold, the accuracies are 1/2, 3/5, 3/4, 2/3, 1/2 and 1."""
    best = np.array([0.505, 0.605, 0.7, 0.8, 0.905, 0.96], np.float32)
    truth = np.array([1, 1, 0, 0, 1, 0])
    assert threshold_for(np.stack([best, 1 - best], axis=1), truth, target) == threshold


def test_scores_equal_to_the_suggested_threshold_are_accepted() -> None:
    best = np.array([0.25, 0.5], np.float32)
    scores = np.stack([best, *[(1 - best) / 4] * 4], axis=1)
    assert threshold_for(scores, np.array([1, 0]), 1.0) == 0.26
    assert threshold_for(scores, np.array([0, 1]), 1.0) == 0.0, "no threshold: the lowest with accuracy 1/2"


def test_highest_suggested_threshold_is_99_percent() -> None:
    for score, threshold in ((0.985, 0.98), (0.995, 0.99), (1.0, 0.99)):
        best = np.array([threshold - 0.005, score], np.float32)
        scores = np.stack([best, 1 - best], axis=1)
        assert threshold_for(scores, np.array([1, 0]), 1.0) == threshold
    best = np.array([0.995, 1.0], np.float32)
    assert threshold_for(np.stack([best, 1 - best], axis=1), np.array([1, 0]), 1.0) == 0.0, "1.00 is not suggested"


def test_threshold_for_accepts_scores_equal_to_the_threshold() -> None:
    best = np.array([0.495, 0.5], np.float32)
    scores = np.stack([best, *[(1 - best) / 4] * 4], axis=1)
    assert threshold_for(scores, np.array([1, 0]), 1.0) == 0.5


def test_threshold_for_returns_zero_without_photos() -> None:
    assert threshold_for(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), 0.9) == 0


def test_best_temperature_of_many_photos_is_fitted_to_an_evenly_spaced_subset(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    scores = rng.dirichlet([1.0, 2.0, 3.0], 11).astype(np.float32)
    truth = rng.integers(0, 3, 11)
    monkeypatch.setattr(temperature, "_MAX_FITTED", 5)
    assert best_temperature(scores, truth) == best_temperature(scores[::3], truth[::3]), "every third of 11"
    assert best_temperature(scores[:10], truth[:10]) == best_temperature(scores[:10:2], truth[:10:2])
    monkeypatch.setattr(temperature, "_MAX_FITTED", 11)
    assert best_temperature(scores, truth) == pytest.approx(
        minimum(lambda ln: loss(scores, truth, math.exp(ln))), rel=2e-3
    )
    assert best_temperature(scores[:0], truth[:0]) == 1


def test_best_temperature_is_fitted_to_at_most_80_000_photos() -> None:
    """Every second photo is wrong, so that one half of the photos is best described by another temperature."""
    scores = np.tile(np.array([[0.6, 0.4]], np.float32), (80_001, 1))
    truth = np.arange(80_001) % 2
    assert best_temperature(scores, truth) == pytest.approx(0.2, rel=1e-3), "photos 0, 2, ..., 80,000 are right"
    assert best_temperature(scores[:80_000], truth[:80_000]) > 4.9


def minimum(function: Any) -> float:
    grid = np.linspace(math.log(0.2), math.log(5), 2001)
    return float(np.exp(grid[np.argmin([function(one) for one in grid])]))
