"""Tests of the learning curve, its interval and the gains per class, compared with reference computations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poets_edge.auditing import learning_curve as module
from poets_edge.auditing.extrapolation import Forecast, Measured, extrapolate, fit_removable
from poets_edge.auditing.learning_curve import LearningCurve, learning_curve
from poets_edge.photos.folds import NO_FOLD
from poets_edge.training.head import HeadOptions, LabeledVectors

CLASSES = np.repeat([0, 1, 2], [60, 25, 15])
LABELS = ("tulips", "daisy", "roses")
SIZES = np.array([25.0, 40.0, 60.0, 80.0, 100.0])


@pytest.fixture(scope="module")
def data() -> LabeledVectors:
    """Return 100 labeled vectors in three overlapping classes of unequal size."""
    rng = np.random.default_rng(0)
    centers = rng.random((3, 16))
    return LabeledVectors((centers[CLASSES] + 0.6 * rng.standard_normal((100, 16))).astype(np.float32), CLASSES)


@pytest.fixture(scope="module")
def curve(data: LabeledVectors) -> LearningCurve:
    correct = (np.random.default_rng(1).random(100) < 0.8).astype(np.float64)
    return learning_curve(data, np.arange(100) % 5, LABELS, correct, HeadOptions())


def measured(errors: list[float], photos: int = 200) -> Measured:
    """Return measurements with the given error rates, with mostly the same misclassified photos at every size."""
    wrong = [np.arange(photos) < round(error * photos) for error in errors]
    return Measured(SIZES, 1 - np.stack(wrong, axis=1).astype(np.float64))


def test_fraction_of_reducible_errors_agrees_with_least_squares() -> None:
    """The prior acts as an additional measurement of 0.9 - 0.09 ln(100) with a standard deviation of 0.25."""
    errors = [0.24, 0.2, 0.18, 0.16, 0.15]
    steps = (SIZES[:-1] / 100) ** -0.5 - 1
    increases = np.array(errors[:-1]) / 0.15 - 1
    variances = (np.array(errors[:-1]) - 0.15) / 200 / 0.15**2 + 0.17**2
    scale = 1 / np.sqrt(np.array([*variances, 0.25**2]))
    rows, values = np.array([*steps, 1.0]) * scale, np.array([*increases, 0.9 - 0.09 * np.log(100)]) * scale
    [expected] = np.linalg.lstsq(rows[:, None], values, rcond=None)[0]
    found, spread = fit_removable(measured(errors))
    assert found == pytest.approx(expected)
    assert spread == pytest.approx((rows @ rows) ** -0.5)


@pytest.mark.parametrize(
    "errors", [[0.1, 0.12, 0.15, 0.18, 0.2], [0.0] * 5, [0.5, 0.4, 0.2, 0.1, 0.0], [1.0] * 5, [0.3, 0.2, 0.2, 0.3, 0.1]]
)
def test_forecasts_never_decrease_with_more_photos(errors: list[float]) -> None:
    curve = measured(errors)
    found = extrapolate(curve, *fit_removable(curve), 120, 200.0, np.random.default_rng(0))
    accuracies = [1 - errors[-1], *(one.accuracy for one in found)]
    assert accuracies == sorted(accuracies)
    assert all(0 <= one.interval[0] <= one.accuracy <= one.interval[1] <= 1 for one in found)
    assert [one.photos for one in found] == [180, 240, 360, 480]


def test_forecasts_extrapolate_from_the_number_of_training_photos() -> None:
    """Heads were fitted to 100 of 300 photos, so 600 photos are six times as many as the heads were fitted to."""
    curve = measured([0.24, 0.2, 0.18, 0.16, 0.15])
    found = extrapolate(curve, 0.4, 0.1, 300, 200.0, np.random.default_rng(0))
    assert found[1].photos == 600
    assert found[1].accuracy == pytest.approx(1 - 0.15 * (1 + 0.4 * (6**-0.5 - 1)))


def test_interval_of_forecast_is_wider_for_few_independent_photos() -> None:
    curve = measured([0.24, 0.2, 0.18, 0.16, 0.15])
    many, few = (
        extrapolate(curve, 0.4, 0.1, 300, count, np.random.default_rng(0))[1].interval for count in (200.0, 20.0)
    )
    assert few[0] < many[0] and few[1] > many[1]


def test_expected_accuracy_gains_per_class_agree_with_hand_computation(curve: LearningCurve) -> None:
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


def test_learning_curve_starts_with_a_quarter_of_the_training_photos_and_ends_with_all(
    curve: LearningCurve,
) -> None:
    assert [point.photos for point in curve.points] == [20, 32, 48, 64, 80], "four fifths, with five folds"
    assert curve.points[-1].accuracy == pytest.approx((np.random.default_rng(1).random(100) < 0.8).mean())
    assert curve.doubled.photos == 200
    assert 0 <= curve.removable <= 1
    for forecast in curve.forecasts:
        assert 0 <= forecast.interval[0] <= forecast.accuracy <= forecast.interval[1] <= 1
    accuracies = [curve.points[-1].accuracy, *(forecast.accuracy for forecast in curve.forecasts)]
    assert accuracies == sorted(accuracies), "the accuracy must increase with the number of photos"
    assert [point.accuracy for point in curve.points] == sorted(point.accuracy for point in curve.points)


def test_learning_curve_of_three_photos_starts_at_one_photo() -> None:
    tiny = LabeledVectors(np.eye(3, 4, dtype=np.float32), np.array([0, 0, 1]))
    found = learning_curve(tiny, np.array([0, 1, NO_FOLD]), ("a", "b"), np.array([1.0, 0.0]), HeadOptions())
    assert all(point.photos >= 1 for point in found.points)


def test_learning_curve_does_not_evaluate_photos_without_a_fold(data: LabeledVectors) -> None:
    fold = np.where(CLASSES == 2, NO_FOLD, np.arange(100) % 5)
    correct = np.ones(85)
    found = learning_curve(data, fold, LABELS, correct, HeadOptions())
    assert found.points[-1].photos == 15 + 85 * 4 / 5 and found.points[-1].accuracy == 1.0


def test_learning_curve_fits_only_training_photos_if_the_user_has_a_test_set(data: LabeledVectors) -> None:
    fold = np.where(np.arange(100) % 4 == 0, 0, NO_FOLD)
    training = np.flatnonzero(np.arange(100) % 4 == 1)
    found = learning_curve(data, fold, LABELS, np.ones(25), HeadOptions(), rows=training)
    assert [point.photos for point in found.points] == [6, 10, 15, 20, 25]
    assert found.doubled.photos == 150, "test photos are not what more would be taken of"


def test_learning_curves_with_equal_seeds_are_equal(data: LabeledVectors, curve: LearningCurve) -> None:
    correct = (np.random.default_rng(1).random(100) < 0.8).astype(np.float64)
    again = learning_curve(data, np.arange(100) % 5, LABELS, correct, HeadOptions())
    assert again == curve
    other = learning_curve(data, np.arange(100) % 5, LABELS, correct, HeadOptions(), seed=1)
    assert other.forecasts != curve.forecasts


def test_stratified_sample_contains_the_requested_fraction_of_each_class() -> None:
    classes = np.repeat([2, 0, 1], [40, 20, 3])
    for seed in range(5):
        rows = module._stratified_sample(classes, 0.25, np.random.default_rng(seed))
        assert sorted(set(rows)) == list(rows)
        assert np.bincount(classes[rows]).tolist() == [5, 2, 10], "each class must have two photos or more"
    sizes = {len(module._stratified_sample(np.zeros(10, int), 0.25, np.random.default_rng(seed))) for seed in range(40)}
    assert sizes == {2, 3}, "2.5 photos are two or three"


def test_json_of_a_forecast_contains_its_interval() -> None:
    one = Forecast(200, 0.8, (0.7, 0.9))
    assert replace(one, photos=300).to_json() == {"photos": 300, "accuracy": 0.8, "interval90": [0.7, 0.9]}


def test_interval_of_forecast_contains_90_percent_of_simulated_accuracies() -> None:
    """The simulated errors follow a beta distribution, with deviations of 17 %, a removable fraction of 0.4 +- 0.1, and
    exponents of 0.3 to 0.8.
    """
    curve = measured([0.24, 0.2, 0.18, 0.16, 0.15])
    rng = np.random.default_rng(123)
    count = 200_000
    errors = rng.beta(200 * 0.15 + 0.5, 200 * 0.85 + 0.5, count) * np.exp(rng.normal(0, 0.17, count))
    removable = np.clip(rng.normal(0.4, 0.1, count), 0, 1)
    simulated = 1 - errors * (1 + removable * (6.0 ** -rng.uniform(0.3, 0.8, count) - 1))
    found = extrapolate(curve, 0.4, 0.1, 300, 200.0, np.random.default_rng(0))[1]
    assert found.interval == pytest.approx(np.quantile(simulated, [0.05, 0.95]), abs=0.006)


def test_learning_curve_interval_is_wider_for_grouped_photos(data: LabeledVectors) -> None:
    """All photos in each of ten groups are correct or wrong together, so the interval is that for ten photos, not for
    100.
    """
    correct = np.repeat((np.arange(10) % 5 > 0).astype(np.float64), 10)
    fold, groups = np.arange(100) // 10 % 5, np.arange(100) // 10
    apart, together = (
        learning_curve(data, fold, LABELS, correct, HeadOptions(), groups=given).doubled.interval
        for given in (None, groups)
    )
    assert together[1] - together[0] > 1.5 * (apart[1] - apart[0])
