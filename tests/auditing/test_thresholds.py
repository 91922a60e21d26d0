"""Tests of the calibration of scores and of threshold effects, compared with direct computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.auditing.thresholds import ScoreCalibration, Threshold, threshold_effects
from poets_edge.device.temperature import best_temperature, expected_calibration_error, threshold_for, with_temperature
from poets_edge.training.head import Indices, Matrix
from poets_edge.training.temperature_scaling import HeadCalibration


def drawn(count: int, sharpness: float, seed: int = 0) -> tuple[Matrix, Indices]:
    """Generate scores of three classes and true classes distributed according to them, then sharpen the scores."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in scores])
    return with_temperature(scores.astype(np.float32), 1 / sharpness), truth


def calibrated_by_hand(scores: Matrix, truth: Indices, fold: Indices) -> Matrix:
    """Return the scores of each photo, calibrated with the temperature fitted to the photos in all other folds."""
    found = np.empty_like(scores)
    for row in range(len(scores)):
        others = fold != fold[row]
        found[row] = with_temperature(scores[row : row + 1], best_temperature(scores[others], truth[others]))[0]
    return found


def effects(scores: Matrix, truth: Indices, fold: Indices, target: float) -> ScoreCalibration:
    """Return the effects of thresholds on scores that are calibrated by `calibrated_by_hand`."""
    calibrated = calibrated_by_hand(scores, truth, fold)
    temperature = best_temperature(scores, truth)
    before, after = (expected_calibration_error(some, truth) for some in (scores, calibrated))
    calibration = HeadCalibration(temperature, temperature, before, after, calibrated, truth)
    return threshold_effects(calibration, calibrated, truth, target)


@pytest.fixture(scope="module")
def example() -> tuple[ScoreCalibration, Matrix, Indices]:
    """Return threshold effects, calibrated scores and true classes for two folds of different size and sharpness."""
    (first, of_first), (second, of_second) = drawn(30, 0.4), drawn(60, 2.5, seed=1)
    scores, truth = np.concatenate([first, second]), np.concatenate([of_first, of_second])
    fold = np.repeat([0, 1], [30, 60])
    return effects(scores, truth, fold, 0.85), calibrated_by_hand(scores, truth, fold), truth


def test_bins_of_calibrated_scores_cover_all_predictions(
    example: tuple[ScoreCalibration, Matrix, Indices],
) -> None:
    found, calibrated, truth = example
    assert sum(one.count for one in found.bins) == 90
    assert sum(one.count * one.accuracy for one in found.bins) == pytest.approx((calibrated.argmax(1) == truth).sum())
    assert sum(one.count * one.score for one in found.bins) == pytest.approx(float(calibrated.max(1).sum()), rel=1e-5)


def test_threshold_effects_count_accepted_and_rejected_predictions(
    example: tuple[ScoreCalibration, Matrix, Indices],
) -> None:
    found, calibrated, truth = example
    right = [int(row.argmax()) == number for row, number in zip(calibrated, truth, strict=True)]
    best = [float(row.max()) for row in calibrated]
    assert [one.threshold for one in found.thresholds] == [0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]
    for one in found.thresholds:
        given_right = sum(is_right and score >= one.threshold for is_right, score in zip(right, best, strict=True))
        given_all = sum(score >= one.threshold for score in best)
        assert one.answered == pytest.approx(given_all / 90)
        assert one.correct_kept == pytest.approx(given_right / sum(right))
        assert one.mistakes_refused == pytest.approx(1 - (given_all - given_right) / (90 - sum(right)))
        assert math.isnan(one.accuracy) if not given_all else one.accuracy == pytest.approx(given_right / given_all)


def test_threshold_effects_suggest_the_lowest_threshold_that_reaches_the_target() -> None:
    scores, truth = drawn(120, 2.0)
    fold = np.arange(120) % 4
    calibrated = calibrated_by_hand(scores, truth, fold)
    best, right = calibrated.max(axis=1), calibrated.argmax(axis=1) == truth
    reaching = [t / 100 for t in range(100) if (best >= t / 100).any() and right[best >= t / 100].mean() >= 0.85]
    assert 0 < reaching[0] < reaching[-1], "several thresholds above 0 must reach the target"
    found = effects(scores, truth, fold, 0.85)
    assert found.suggested.threshold == pytest.approx(reaching[0])
    assert found.is_reached and found.target == 0.85


def test_most_accurate_threshold_is_suggested_if_none_reaches_the_target() -> None:
    """The most confident prediction is wrong, so an intermediate threshold has the highest accuracy."""
    logits = np.log([0.95, 0.9, 0.8, 0.7, 0.6, 0.55])
    scores = np.exp(np.stack([logits, np.log1p(-np.exp(logits))], axis=1)).astype(np.float32)
    truth = np.array([1, 0, 0, 0, 1, 1])
    found = effects(scores, truth, np.arange(6) % 2, 0.95)
    calibrated = calibrated_by_hand(scores, truth, np.arange(6) % 2)
    best, right = calibrated.max(axis=1), calibrated.argmax(axis=1) == truth
    accuracies = [right[best >= t / 100].mean() if (best >= t / 100).any() else -1.0 for t in range(100)]
    assert 0 < int(np.argmax(accuracies)) < 95 and max(accuracies) < 0.95
    assert found.suggested.threshold == pytest.approx(int(np.argmax(accuracies)) / 100)
    assert found.suggested.accuracy == pytest.approx(max(accuracies))
    assert not found.is_reached


def test_scores_equal_to_the_threshold_are_accepted() -> None:
    """Two equal scores are 0.5 at any temperature, so calibration does not change them."""
    scores = np.array([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1], [0.2, 0.8]], np.float32)
    found = effects(scores, np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1]), 0.9)
    at_half = next(one for one in found.thresholds if one.threshold == 0.5)
    assert (at_half.answered, at_half.accuracy, at_half.mistakes_refused) == (1.0, 0.75, 0.0)


def test_threshold_json_contains_null_for_undefined_fractions() -> None:
    one = Threshold(threshold=0.9, answered=0.0, correct_kept=0.25, mistakes_refused=1.0, accuracy=math.nan)
    assert one.to_json() == {
        "threshold": 0.9, "answered": 0.0, "right_kept": 0.25, "wrong_refused": 1.0, "accuracy": None,
    }  # fmt: skip


def test_score_calibration_json_contains_all_values() -> None:
    scores, truth = drawn(40, 2.0)
    found = effects(scores, truth, np.arange(40) % 4, 0.8)
    written = found.to_json()
    assert written["calibration"]["temperature"] == found.temperature
    assert written["calibration"]["expected_calibration_error"] == {"before": found.before, "after": found.after}
    assert written["threshold"]["suggested"] == found.suggested.threshold
    assert written["threshold"]["reached"] == (found.suggested.accuracy >= 0.8)
    assert [row["threshold"] for row in written["threshold"]["table"]][:2] == [0.0, 0.3]


@given(st.integers(0, 5))
def test_threshold_effects_do_not_depend_on_the_order_of_photos(seed: int) -> None:
    scores, truth = drawn(24, 1.5, seed)
    fold, order = np.arange(24) % 3, np.random.default_rng(seed).permutation(24)
    one, other = (
        effects(scores, truth, fold, 0.8),
        effects(scores[order], truth[order], fold[order], 0.8),
    )
    assert (one.before, one.after) == pytest.approx((other.before, other.after), abs=1e-6)
    assert one.suggested.threshold == other.suggested.threshold


def test_no_threshold_is_suggested_if_all_predictions_reach_the_target() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    calibration = HeadCalibration(1.0, 1.0, 0.1, 0.1, scores, np.array([0, 1, 0]))
    found = threshold_effects(calibration, scores, np.array([0, 1, 0]), 0.95)
    assert found.is_reached and not found.is_needed
    assert threshold_effects(calibration, scores, np.array([0, 1, 1]), 0.95).is_needed


@given(st.integers(0, 20), st.sampled_from([0.5, 0.8, 0.95]))
def test_lowest_threshold_that_reaches_the_target_accuracy_is_chosen(seed: int, target: float) -> None:
    scores, truth = drawn(40, 1.5, seed)
    best, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    accuracies = [right[best >= t / 100].mean() if (best >= t / 100).any() else -1.0 for t in range(100)]
    reaching = [t for t in range(100) if accuracies[t] >= target] or [int(np.argmax(accuracies))]
    assert threshold_for(scores, truth, target) == reaching[0] / 100


def test_suggested_threshold_is_zero_without_photos() -> None:
    assert threshold_for(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), 0.95) == 0
