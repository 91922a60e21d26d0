"""Tests of the learning curve: fit, interval and gains, compared with reference computations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poets_edge.auditing import learning_curve as module
from poets_edge.auditing.learning_curve import Forecast, LearningCurve, learning_curve
from poets_edge.photos.folds import NO_FOLD
from poets_edge.training.head import HeadOptions, LabelledVectors

CLASSES = np.repeat([0, 1, 2], [60, 25, 15])
LABELS = ("tulips", "daisy", "roses")
SIZES = np.array([25.0, 40.0, 60.0, 80.0, 100.0])


@pytest.fixture(scope="module")
def data() -> LabelledVectors:
    """Labelled vectors: 100 vectors of three overlapping classes of unequal size."""
    rng = np.random.default_rng(0)
    centres = rng.random((3, 16))
    return LabelledVectors((centres[CLASSES] + 0.6 * rng.standard_normal((100, 16))).astype(np.float32), CLASSES)


@pytest.fixture(scope="module")
def curve(data: LabelledVectors) -> LearningCurve:
    correct = (np.random.default_rng(1).random(100) < 0.8).astype(np.float64)
    return learning_curve(data, np.arange(100) % 5, LABELS, correct, HeadOptions())


def fitted(errors: list[float], count: int, exponent: float) -> tuple[float, float]:
    """Return the level and the removable fraction, computed by weighted least squares with numpy.

    The prior counts as one more measurement: slope = 0.35 x last error, with a standard deviation of 0.25 x last error.
    """
    errors = [max(error, 0.5 / count) for error in errors]
    deviations = [np.sqrt(error * max(1 - error, 0.05) / count) for error in errors]
    rows = [[1.0, (size / SIZES[-1]) ** -exponent - 1] for size in SIZES]
    rows.append([0.0, 1.0])
    values, deviations = [*errors, 0.35 * errors[-1]], [*deviations, 0.25 * errors[-1]]
    scale = 1 / np.array(deviations)
    [level, slope] = np.linalg.lstsq(np.array(rows) * scale[:, None], np.array(values) * scale, rcond=None)[0]
    return float(level), float(np.clip(slope / level, 0, 1))


@pytest.mark.parametrize("exponent", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("errors", [[0.21, 0.18, 0.16, 0.15, 0.14], [0.4, 0.3, 0.3, 0.2, 0.1], [0.2, 0.1, 0.05, 0, 0]])
def test_fit_agrees_with_weighted_least_squares(errors: list[float], exponent: float) -> None:
    accuracies = 1 - np.array([errors, errors[::-1]])
    levels, fractions = module._fit(accuracies, SIZES, 50, np.array([exponent, 0.5]))
    assert (levels[0], fractions[0]) == pytest.approx(fitted(errors, 50, exponent), rel=1e-6)
    assert (levels[1], fractions[1]) == pytest.approx(fitted(errors[::-1], 50, 0.5), rel=1e-6)


def test_extrapolate_returns_90_percent_interval_of_resampled_fits() -> None:
    rng = np.random.default_rng(3)
    answers = (rng.random((200, 5)) < [0.6, 0.65, 0.7, 0.75, 0.8]).astype(np.float64)
    found = module._extrapolate(answers, SIZES, 100, np.random.default_rng(7))
    again = np.random.default_rng(7)  # draws in the order of the implementation: resamples, then exponents
    resampled = np.stack([again.multinomial(200, np.full(200, 1 / 200)) / 200 @ answers for _ in range(400)])
    exponents = again.uniform(0.3, 0.8, 400)
    fits = [fitted(list(1 - row), 200, exponent) for row, exponent in zip(resampled, exponents, strict=True)]
    level, fraction = fitted(list(1 - answers.mean(axis=0)), 200, 0.5)
    assert [one.photos for one in found] == [150, 200, 300, 400]
    for one, growth in zip(found, (1.5, 2.0, 3.0, 4.0), strict=True):
        spread = [1 - a * (1 + r * (growth**-e - 1)) for (a, r), e in zip(fits, exponents, strict=True)]
        low, high = np.quantile(spread, [0.05, 0.95])
        assert one.accuracy == pytest.approx(1 - level * (1 + fraction * (growth**-0.5 - 1)))
        assert one.interval == pytest.approx((low, high), abs=1e-6)


def test_extrapolate_measures_growth_relative_to_largest_measured_size() -> None:
    """If 100 of 300 photos are used for fitting, twice as many photos are 6 times the largest measured size."""
    answers = (np.random.default_rng(3).random((200, 5)) < [0.6, 0.65, 0.7, 0.75, 0.8]).astype(np.float64)
    found = module._extrapolate(answers, SIZES, 300, np.random.default_rng(7))
    level, fraction = fitted(list(1 - answers.mean(axis=0)), 200, 0.5)
    assert found[1].photos == 600
    assert found[1].accuracy == pytest.approx(1 - level * (1 + fraction * (6**-0.5 - 1)))


def test_class_gains_agree_with_hand_computation(curve: LearningCurve) -> None:
    evaluated = np.array([0, 0, 0, 0, 1, 1, 2])
    correct = np.array([1, 1, 0.5, 1, 0, 0.5, 1])
    classes = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2])  # three photos of class 1 have no fold
    found = dict(module._class_gains(classes, evaluated, correct, LABELS, 0.4))
    errors = {"tulips": (0.5 + 0.5) / 5, "daisy": (1.5 + 0.5) / 3, "roses": 0.5 / 2}
    photos = {"tulips": 4, "daisy": 5, "roses": 1}
    expected = {
        label: errors[label] * 0.4 * (1 - (photos[label] / (photos[label] + 100)) ** 0.5) / 3 for label in LABELS
    }
    assert found == pytest.approx(expected)
    assert list(found) == sorted(expected, key=lambda label: -expected[label]) == ["daisy", "roses", "tulips"]


def test_learning_curve_measures_fractions_and_all_photos(curve: LearningCurve) -> None:
    assert [point.photos for point in curve.points] == [25, 40, 60, 80, 100]
    assert curve.points[-1].accuracy == pytest.approx((np.random.default_rng(1).random(100) < 0.8).mean())
    assert curve.doubled.photos == 200
    assert 0 <= curve.removable <= 1
    for forecast in curve.forecasts:
        assert 0 <= forecast.interval[0] <= forecast.accuracy <= forecast.interval[1] <= 1
    accuracies = [curve.points[-1].accuracy, *(forecast.accuracy for forecast in curve.forecasts)]
    assert accuracies[1:] == sorted(accuracies[1:]), "the accuracy must increase with the number of photos"


def test_learning_curve_ignores_photos_without_fold_in_evaluation(data: LabelledVectors) -> None:
    fold = np.where(CLASSES == 2, NO_FOLD, np.arange(100) % 5)
    correct = np.ones(85)
    found = learning_curve(data, fold, LABELS, correct, HeadOptions())
    assert [point.photos for point in found.points][-1] == 100 and found.points[-1].accuracy == 1.0


def test_learning_curve_is_reproducible_for_equal_seeds(data: LabelledVectors, curve: LearningCurve) -> None:
    correct = (np.random.default_rng(1).random(100) < 0.8).astype(np.float64)
    again = learning_curve(data, np.arange(100) % 5, LABELS, correct, HeadOptions())
    assert again == curve
    other = learning_curve(data, np.arange(100) % 5, LABELS, correct, HeadOptions(), seed=1)
    assert other.forecasts != curve.forecasts


def test_stratified_sample_contains_fraction_of_each_class() -> None:
    classes = np.repeat([2, 0, 1], [40, 20, 3])
    for seed in range(5):
        rows = module._stratified_sample(classes, 0.25, np.random.default_rng(seed))
        assert sorted(set(rows)) == list(rows)
        assert np.bincount(classes[rows]).tolist() == [5, 2, 10], "each class must have two photos or more"
    sizes = {len(module._stratified_sample(np.zeros(10, int), 0.25, np.random.default_rng(seed))) for seed in range(40)}
    assert sizes == {2, 3}, "2.5 photos are two or three"


def test_forecast_json_contains_interval() -> None:
    one = Forecast(200, 0.8, (0.7, 0.9))
    assert replace(one, photos=300).to_json() == {"photos": 300, "accuracy": 0.8, "interval90": [0.7, 0.9]}
