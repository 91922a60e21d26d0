"""Tests of the formulas of an audit against values computed independently: learning curve, labels and class metrics."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.auditing import learning_curve as curves
from poets_edge.auditing import mislabeled as labels_module
from poets_edge.auditing.class_metrics import class_metrics, most_confused_classes
from poets_edge.auditing.extrapolation import Measured, extrapolate, fit_removable
from poets_edge.auditing.image_stats import _truncated_fraction
from poets_edge.auditing.leaks import find_leak
from poets_edge.auditing.learning_curve import _class_gains, _mean_learned, _photos, _stratified_sample, measure
from poets_edge.auditing.mislabeled import _find_mislabeled, _trusted
from poets_edge.auditing.near_duplicates import NearDuplicates
from poets_edge.auditing.outliers import find_outliers
from poets_edge.auditing.thresholds import _effect, threshold_effects
from poets_edge.photos.folds import NO_FOLD
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.training.head import HeadOptions, LabeledVectors
from poets_edge.training.temperature_scaling import HeadCalibration
from tests.auditing.test_rules import photos_with


def answers(*rows: str) -> Any:
    """Return 1 for each correct and 0 for each wrong answer, float64 [photos, sizes], given a string for each size."""
    return np.array([[float(digit) for digit in row] for row in rows]).T


@pytest.mark.parametrize(
    ("correct", "sizes"),
    [
        (answers("1100110011", "1101110011", "1101110111"), [20.0, 48.0, 80.0]),
        (answers("1111111111", "1111111111"), [500.0, 2000.0]),
        (answers("0111111111", "1111111111"), [30_000.0, 60_000.0]),
        (answers("0000000001", "1111111110"), [20.0, 80.0]),
        (answers("1111111110", "0000000001"), [20.0, 80.0]),
    ],
)
def test_fraction_of_reducible_errors_is_estimated_with_bayesian_regression(correct: Any, sizes: list[float]) -> None:
    photos = len(correct)
    error = max(1 - sum(correct[:, -1]) / photos, 0.5 / photos)
    total, precision = max(0.1, 0.9 - 0.09 * math.log(sizes[-1])) / 0.25**2, 1 / 0.25**2
    for column, size in enumerate(sizes[:-1]):
        rise = (sum(correct[:, -1]) - sum(correct[:, column])) / photos / error
        variance = sum((a - b) ** 2 for a, b in correct[:, [column, -1]]) / photos**2 / error**2 + 0.17**2
        step = math.sqrt(sizes[-1] / size) - 1
        total, precision = total + step * rise / variance, precision + step**2 / variance
    removable, spread = fit_removable(Measured(np.array(sizes), correct))
    assert removable == pytest.approx(min(1, max(0, total / precision))) and 0 <= removable <= 1
    assert spread == pytest.approx(1 / math.sqrt(precision))


def test_forecast_errors_decrease_with_the_square_root_of_the_photo_count() -> None:
    correct = np.repeat([[1.0], [0.0]], [85, 15], axis=0)
    measured = Measured(np.array([80.0]), correct)
    found = extrapolate(measured, 0.4, 0.1, 100, 100.0, np.random.default_rng(0))
    assert [one.photos for one in found] == [150, 200, 300, 400]
    for one in found:
        assert one.accuracy == pytest.approx(1 - 0.15 * (1 + 0.4 * (math.sqrt(80 / one.photos) - 1)))
    # The interval, computed with other draws.
    rng = np.random.default_rng(1)
    level = rng.beta(15.5, 85.5, 400_000) * np.exp(rng.normal(0, 0.17, 400_000))
    share, exponent = np.clip(rng.normal(0.4, 0.1, 400_000), 0, 1), rng.uniform(0.3, 0.8, 400_000)
    for one in found:
        expected = np.quantile(1 - level * (1 + share * ((one.photos / 80) ** -exponent - 1)), (0.05, 0.95))
        assert one.interval == pytest.approx(expected, abs=0.006)


def test_uncertainty_of_the_exponent_widens_the_forecast_interval() -> None:
    """All errors are removable, and the uncertainty of everything but the exponent is negligible."""
    correct = np.repeat([[1.0], [0.0]], [5000, 5000], axis=0)
    found = extrapolate(Measured(np.array([100.0]), correct), 1.0, 1e-9, 100, 1e9, np.random.default_rng(0))[-1]
    rng = np.random.default_rng(1)
    drawn = 1 - 0.5 * np.exp(rng.normal(0, 0.17, 400_000)) * 4 ** -rng.uniform(0.3, 0.8, 400_000)
    assert found.interval == pytest.approx(np.quantile(drawn, (0.05, 0.95)), abs=0.006)


def test_accuracy_gain_per_class_depends_on_its_errors_and_photo_count() -> None:
    classes = np.repeat([0, 1, 2], [40, 300, 10])
    evaluated = np.repeat([0, 1], [30, 200])
    correct = np.concatenate([np.ones(30), np.repeat([1.0, 0.5], [150, 50])])
    found = _class_gains(classes, evaluated, correct, ("few", "many", "none"), 0.6)
    expected = {
        "few": 0.5 / 31 * 0.6 * (1 - math.sqrt(40 / 140)) / 3,
        "many": 25.5 / 201 * 0.6 * (1 - math.sqrt(300 / 400)) / 3,
        "none": 0.5 / 1 * 0.6 * (1 - math.sqrt(10 / 110)) / 3,
    }
    assert [name for name, _ in found] == ["none", "many", "few"]
    assert dict(found) == pytest.approx(expected)


def test_sample_is_stratified_by_class_with_at_least_two_photos_each() -> None:
    classes = np.array([0] * 40 + [1] * 10 + [2] * 3)
    sizes = [np.bincount(classes[_stratified_sample(classes, 0.25, np.random.default_rng(n))]) for n in range(200)]
    assert {tuple(one[[0, 2]]) for one in sizes} == {(10, 2)}
    assert {one[1] for one in sizes} == {2, 3} and np.mean([one[1] for one in sizes]) == pytest.approx(2.5, abs=0.15)
    rows = _stratified_sample(classes, 0.5, np.random.default_rng(0))
    assert (np.diff(rows) > 0).all()


def test_average_training_size_includes_photos_without_a_fold() -> None:
    fold = np.array([0, 0, 0, 1, 1, 2, NO_FOLD])
    assert _mean_learned(fold, 3) == pytest.approx((4 + 5 + 6) / 3) and _photos(fold) == 7
    assert _photos(np.array([0, 0, NO_FOLD, NO_FOLD, NO_FOLD])) == 3, "photos of a test set are not learned from"


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that measures a learning curve with stub heads; returns it and the training photos of each head."""

    def run(fold: Any, rows: Any, most: int = 10_000) -> tuple[Measured, list[Any]]:
        learned: list[Any] = []

        def heads(data: Any, folds: Any, class_count: int, options: Any, chosen: Any) -> Any:
            learned.append(chosen)
            answer = len(learned) % 2
            scores = np.eye(2, dtype=np.float32)[answer]
            head = SimpleNamespace(
                biases=np.zeros(2), scores=lambda vectors: np.repeat(scores[None], len(vectors), axis=0)
            )
            return [[head] * (int(fold.max()) + 1)]

        monkeypatch.setattr(curves, "fold_heads", heads)
        monkeypatch.setattr(curves, "MAX_EVALUATED", most)
        count = len(fold)
        data = LabeledVectors(np.zeros((count, 3), np.float32), np.arange(count) % 2)
        correct = np.ones(int((fold != NO_FOLD).sum()))
        rng = np.random.default_rng(0)
        return measure(data, fold, 2, correct, HeadOptions(), rows, rng), learned

    return run


def test_learning_curve_averages_two_samples_only_for_small_data_sets(measuring: Any) -> None:
    measured, learned = measuring(np.arange(100) % 5, np.arange(100))
    assert measured.sizes == pytest.approx([20, 32, 48, 64, 80]) and len(learned) == 8
    assert (measured.correct[:, :4] == 0.5).all() and (measured.correct[:, 4] == 1).all(), "the mean of both samples"
    assert len(learned[0]) == 25
    measured, learned = measuring(np.arange(700) % 5, np.arange(700))
    assert len(learned) == 4 and measured.sizes[-1] == 560


def test_learning_curve_of_many_photos_is_measured_on_a_sample(measuring: Any) -> None:
    measured, learned = measuring(np.arange(800) % 5, np.arange(800), most=200)
    assert measured.sizes == pytest.approx([40, 64, 96, 128, 160]) and [len(one) for one in learned] == [
        50,
        80,
        120,
        160,
    ]


def test_samples_are_drawn_only_from_training_photos(measuring: Any) -> None:
    fold = np.repeat([NO_FOLD, 0], [40, 20])
    measured, learned = measuring(fold, np.arange(40))
    assert measured.sizes == pytest.approx([10, 16, 24, 32, 40])
    for one in learned:
        assert set(range(40, 60)) <= set(one), "they stand for their fold"
    assert len(learned[0]) == 10 + 20


def test_learning_curve_skips_samples_without_photos_in_every_fold(measuring: Any) -> None:
    fold = np.array([0] * 39 + [1])
    measured, learned = measuring(fold, np.arange(40))
    assert len(measured.sizes) == measured.correct.shape[1] <= 5 and len(learned) < 8


def test_label_errors_are_found_by_comparing_scores_with_class_means() -> None:
    scores = np.array([
        [0.80, 0.15, 0.05], [0.60, 0.30, 0.10], [0.35, 0.60, 0.05], [0.20, 0.70, 0.10], [0.10, 0.50, 0.40],
        [0.10, 0.10, 0.80], [0.05, 0.60, 0.35], [0.70, 0.28, 0.02],
    ])  # fmt: skip
    classes = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    fold = np.array([0, 1, 0, 1, 0, 1, 0, NO_FOLD])
    # Means: 0.583 of class 0, 0.6 of class 1, and 0.575 of class 2, without the photo that was not evaluated.
    found = _find_mislabeled(np.log(scores).astype(np.float64), classes, fold)
    assert found.tolist() == [False, False, True, False, False, False, True, False]


def test_more_probable_of_two_confident_classes_is_chosen() -> None:
    classes, fold = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    skewed = np.array([[0.50, 0.50], [0.10, 0.90], [0.45, 0.55], [0.65, 0.35]])  # means 0.3 and 0.45
    assert _find_mislabeled(np.log(skewed), classes, fold).tolist() == [False, True, False, True]


def test_label_check_keeps_flagged_photos_above_30_percent_of_their_class() -> None:
    classes, fold = np.repeat([0, 1, 2], [10, 10, 4]), np.arange(24) % 2
    flagged = np.zeros(24, bool)
    flagged[[0, 1, 2, 10, 11, 12, 13, 20]] = True  # 3 of 10, 4 of 10, 1 of 4
    found = np.flatnonzero(~_trusted(flagged, classes, fold))
    assert found.tolist() == [0, 1, 2, 20], "three tenths may be removed, four tenths are kept"


def test_label_check_keeps_a_flagged_photo_that_is_alone_in_its_fold() -> None:
    classes, fold = np.repeat([0, 1], [10, 10]), np.array([0] * 9 + [1] * 11)
    flagged = np.arange(20) == 0
    assert np.flatnonzero(~_trusted(flagged, classes, fold)).tolist() == [0]
    fold = np.array([1] + [0] * 19)
    assert _trusted(flagged, classes, fold).all(), "the photo is the only one of its fold"
    fold = np.array([NO_FOLD] + [0] * 19)
    assert not _trusted(flagged, classes, fold)[0]


def test_label_check_trains_its_heads_for_1000_steps() -> None:
    assert HeadOptions(steps=1000) == labels_module._HEAD


def test_class_metrics_count_all_photos_and_evaluated_photos() -> None:
    confusion = np.array([[4.0, 1.0, 0.0], [2.0, 6.0, 0.0], [0.0, 0.0, 0.0]])
    found = class_metrics(("a", "b", "c"), confusion, np.repeat([0, 1], [7, 9]))
    assert [one.to_json() for one in found] == [
        {"photos": 7, "judged": 5, "recall": 4 / 5, "precision": 4 / 6},
        {"photos": 9, "judged": 8, "recall": 6 / 8, "precision": 6 / 7},
        {"photos": 0, "judged": 0, "recall": None, "precision": None},
    ]
    never = class_metrics(("a", "b"), np.array([[0.0, 2.0], [0.0, 3.0]]), np.array([0, 0, 1, 1, 1]))[0].to_json()
    assert never["recall"] == 0.0 and never["precision"] is None


def test_five_most_confused_pairs_of_classes_are_listed_in_descending_order() -> None:
    names = ("a", "b", "c", "d", "e")
    pairs = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (3, 1), (1, 3)]
    truth = np.array([true for true, _ in pairs] + [2])
    said = np.array([given for _, given in pairs] + [2])
    scores = np.full((9, 5), 0.01, np.float32)
    scores[np.arange(9), said] = (0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.9, 0.7, 0.9)
    found = most_confused_classes(names, scores, truth, np.arange(9) * 10)
    assert [one.labels for one in found] == [("b", "d"), ("a", "b"), ("a", "c"), ("a", "d"), ("a", "e")]
    assert (found[0].first_as_second, found[0].second_as_first, found[0].rows) == (2, 1, (60, 70, 50))
    assert len(most_confused_classes(names, scores, truth, np.arange(9), count=6)) == 6


@pytest.mark.parametrize(
    ("values", "fraction"),
    [
        ([128] * 10, 1.0), ([0] * 7 + [128] * 3, 0.3), ([128] * 7 + [0] * 3, 0.0), ([0] * 5 + [126] * 5, 0.5),
        ([0] * 5 + [130] * 5, 0.5), ([0] * 5 + [125] * 5, 0.0), ([0] * 5 + [131] * 5, 0.0), ([9, 128, 9, 128], 0.25),
    ],
)  # fmt: skip
def test_truncated_fraction_is_the_fraction_of_gray_rows_at_the_bottom(values: list[int], fraction: float) -> None:
    pixels = np.repeat(np.array(values, np.uint8), 12).reshape(-1, 4, 3)
    assert _truncated_fraction(pixels) == pytest.approx(fraction)
    pixels[-1, 2, 1] = 90
    assert _truncated_fraction(pixels) == 0


def in_splits(*splits: str) -> Any:
    """Return photos of two classes in the given splits; only the last photo's bottleneck belongs to the other class."""
    photos = photos_with(normal=len(splits))
    vectors = np.eye(2, 8, dtype=np.float32)[photos.classes] * 5
    vectors[-1] = vectors[-1][[1, 0, *range(2, 8)]]
    return replace(photos, vectors=vectors, splits=np.array([SPLIT_NAMES.index(name) for name in splits], np.int8))


def test_accuracy_is_also_computed_without_leaked_test_photos() -> None:
    photos = in_splits(*["training"] * 8, "validation", "validation", "test", "test", "test", "test")
    found = find_leak(photos, NearDuplicates(((0, 10), (8, 11), (1, 12, 3))), HeadOptions())
    assert found is not None and found.rows == (10, 12) and found.tested == 4
    assert found.accuracy == 0.75 and found.accuracy_without == 0.5
    assert found.to_json(photos)["accuracy_without"] == 0.5 and len(found.to_json(photos)["photos"]) == 2
    everything = find_leak(photos, NearDuplicates(((0, 10, 11, 12, 13),)), HeadOptions())
    assert everything is not None and math.isnan(everything.accuracy_without)
    assert everything.to_json(photos)["accuracy_without"] is None
    assert find_leak(photos, NearDuplicates(((10, 11), (8, 12), (0, 1))), HeadOptions()) is None


def test_threshold_effect_contains_the_fractions_of_accepted_and_rejected_predictions() -> None:
    scores, correct = np.array([0.9, 0.8, 0.6, 0.5, 0.4]), np.array([True, True, False, True, False])
    found = _effect(0.6, scores, correct).to_json()
    assert found == {
        "threshold": 0.6, "answered": 3 / 5, "right_kept": 2 / 3, "wrong_refused": 1 / 2, "accuracy": 2 / 3,
    }  # fmt: skip
    none = _effect(0.95, scores, np.ones(5, bool)).to_json()
    assert none["accuracy"] is None and none["wrong_refused"] is None and none["right_kept"] == 0
    assert _effect(0.0, scores, np.zeros(5, bool)).to_json()["right_kept"] is None


def test_calibration_error_is_reported_before_and_after_calibration() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]], np.float32)
    truth = np.array([0, 1, 1, 1])
    found = threshold_effects(HeadCalibration(1.5, 0.9, 0.2, 0.1, scores, truth), scores, truth, 0.9)
    written = found.to_json()
    assert written["calibration"]["expected_calibration_error"] == {"before": 0.2, "after": 0.1}
    assert (
        written["threshold"]["suggested"] > 0.6 and written["threshold"]["needed"] and written["threshold"]["reached"]
    )
    assert [row["threshold"] for row in written["threshold"]["table"]] == [
        0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99
    ]  # fmt: skip


def test_blank_photos_are_not_listed_as_gray() -> None:
    blank: dict[str, float] = {"contrast": 3.0, "colorfulness": 0.0}
    found = find_outliers(photos_with(blank, {"contrast": 30.0, "colorfulness": 1.0}, normal=40), 128)
    assert {group.reason: len(group.names) for group in found} == {"blank": 1, "gray": 1}
