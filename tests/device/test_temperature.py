"""Tests of temperature scaling and calibration error against values computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.device.temperature import (
    best_temperature,
    expected_calibration_error,
    reliability,
    with_temperature,
)

SCORES = np.array([[0.95, 0.05], [0.08, 0.92], [0.6, 0.4], [0.45, 0.55], [1.0, 0.0]], np.float32)
TRUTH = np.array([0, 0, 0, 1, 0])
"""Scores with the predictions 0, 1, 0, 1, 0, of which the second is wrong."""


def test_reliability_groups_predictions_by_score() -> None:
    low, high = reliability(SCORES, TRUTH, bins=4)
    assert (low.count, low.accuracy, high.count) == (2, 1.0, 3)
    assert low.score == pytest.approx(0.575)
    assert (high.score, high.accuracy) == pytest.approx(((0.95 + 0.92 + 1.0) / 3, 2 / 3))


def test_expected_calibration_error_weights_bins_by_predictions() -> None:
    expected = (2 * abs(0.575 - 1) + 3 * abs((0.95 + 0.92 + 1.0) / 3 - 2 / 3)) / 5
    assert expected_calibration_error(SCORES, TRUTH, bins=4) == pytest.approx(expected)


def test_with_temperature_divides_logits() -> None:
    scores = np.array([[0.8, 0.15, 0.05]], np.float32)
    powers = [0.8**0.5, 0.15**0.5, 0.05**0.5]
    np.testing.assert_allclose(with_temperature(scores, 2)[0], np.array(powers) / sum(powers), rtol=1e-6)
    np.testing.assert_allclose(with_temperature(scores, 1), scores, rtol=1e-6)


def loss(scores: Any, truth: Any, temperature: float) -> float:
    """Return the cross entropy plus the prior: a normal distribution of ln(temperature) with width 0.5."""
    entropy = -np.log(with_temperature(scores, temperature)[np.arange(len(truth)), truth].astype(float)).sum()
    return float(entropy + (math.log(temperature) / 0.5) ** 2 / 2)


def test_best_temperature_minimizes_cross_entropy_and_prior() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)
    truth = np.array([0, 1, 1, 0])
    grid = np.exp(np.linspace(math.log(0.2), math.log(5), 4001))
    expected = grid[np.argmin([loss(scores, truth, temperature) for temperature in grid])]
    assert best_temperature(scores, truth) == pytest.approx(expected, rel=2e-3)


def test_best_temperature_lies_between_a_fifth_and_five() -> None:
    sure = np.tile(np.array([[0.6, 0.4]], np.float32), (3000, 1))
    assert best_temperature(sure, np.zeros(3000, np.int64)) == pytest.approx(0.2, rel=1e-3)
    wrong = np.tile(np.array([[0.999, 0.001]], np.float32), (3000, 1))
    assert best_temperature(wrong, np.ones(3000, np.int64)) == pytest.approx(5, rel=1e-3)


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=10), st.floats(0.2, 5))
def test_with_temperature_keeps_sums_and_predictions(rows: list[list[float]], temperature: float) -> None:
    scores = np.array(rows, np.float64)
    scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    scaled = with_temperature(scores, temperature)
    np.testing.assert_allclose(scaled.sum(axis=1), 1, rtol=1e-5)
    rows_ = np.arange(len(scores))
    assert (scaled[rows_, scores.argmax(axis=1)] >= scaled.max(axis=1) - 1e-6).all()
    top, low = scores.max(axis=1), scaled.max(axis=1)
    assert (low <= top + 1e-5).all() if temperature >= 1 else (low >= top - 1e-5).all()
