"""Tests of the figures that training reports: cross-validated accuracy with its interval, and calibration."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poets_edge.device.metrics import wilson_interval
from poets_edge.device.temperature import (
    best_temperature,
    expected_calibration_error,
    temperature_spread,
    with_temperature,
)
from poets_edge.photos.folder import Photo
from poets_edge.photos.folds import NO_FOLD, Folds
from poets_edge.photos.split_names import SPLIT_NAMES, SplitName
from poets_edge.photos.table import HashedPhoto, HashedPhotos, PhotoTable
from poets_edge.training.cross_validation import CrossValidation, cross_validate, fit_to_training, sample_rows
from poets_edge.training.data import TrainingData
from poets_edge.training.head import Head, HeadOptions, Indices, Matrix
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.temperature_scaling import HeldOutPredictions, _divided, calibrate_head, predict_held_out

LABELS = ("daisy", "roses", "tulips")
TRAINING, VALIDATION, TEST = map(SPLIT_NAMES.index, ("training", "validation", "test"))


def hashed(classes: Indices) -> list[HashedPhoto]:
    names = [f"{LABELS[number]}/{row}.jpg" for row, number in enumerate(classes)]
    return [
        HashedPhoto(Photo(Path(name), name, name.split("/")[0]), row.to_bytes(32, "big"))
        for row, name in enumerate(names)
    ]


def one_hot(answers: list[list[int]], score: float = 0.8) -> Matrix:
    """Return scores, float32 [repeats, photos, 3], in which each predicted class has the given score."""
    scores = np.full((len(answers), len(answers[0]), 3), (1 - score) / 2, np.float32)
    for repeat, of_repeat in enumerate(answers):
        scores[repeat, np.arange(len(of_repeat)), of_repeat] = score
    return scores


@pytest.fixture
def evaluated() -> CrossValidation:
    """Predictions in four repeats for five photos of two classes, which are correct 4, 3, 0, 2 and 4 times."""
    classes = np.array([0, 0, 0, 1, 1])
    answers = [[0, 0, 2, 1, 1], [0, 1, 1, 0, 1], [0, 0, 1, 1, 1], [0, 0, 1, 0, 1]]
    folds = Folds(np.array([0, 1, 0, 1, 0]), 2, 5, "roses")
    return CrossValidation(LABELS, folds, PhotoTable.of(one.photo for one in hashed(classes)), one_hot(answers))


def test_cross_validation_averages_over_photos_and_repeats(evaluated: CrossValidation) -> None:
    assert evaluated.right.tolist() == [4, 3, 0, 2, 4]
    assert evaluated.count == 5
    assert evaluated.accuracy == pytest.approx(13 / 20)
    assert replace(evaluated, scores=evaluated.scores[:2]).accuracy == pytest.approx(6 / 10)


def test_cross_validation_interval_counts_photos_instead_of_predictions(
    evaluated: CrossValidation,
) -> None:
    """Wilson's formula is applied to 5 photos; for 20 predictions, the interval would be half as wide."""
    n, p, z = 5, 13 / 20, 1.959964
    middle, reach = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = [(middle + sign * reach) / (1 + z**2 / n) for sign in (-1, 1)]
    assert evaluated.interval == pytest.approx(tuple(expected))
    assert evaluated.to_json()["interval95"] == pytest.approx(expected)


def test_cross_validation_interval_accounts_for_groups(evaluated: CrossValidation) -> None:
    """Photos 0, 1 and 3 are frames of one video, 2 and 4 of another."""
    groups = np.array([0, 0, 2, 0, 2])
    sums = np.array([1 + 3 / 4 + 2 / 4, 0 + 1]) - 13 / 20 * np.array([3, 2])
    variance = 2 / 1 * (sums**2).sum() / 25
    n = min(5.0, max(1.0, 13 / 20 * 7 / 20 / variance * (1.959964 / 12.706) ** 2))
    assert replace(evaluated, groups=groups).interval == pytest.approx(wilson_interval(13 / 20 * n, n))
    assert n == 1


def test_cross_validation_returns_the_groups_of_the_evaluated_photos() -> None:
    classes = np.append(np.repeat([0, 1], 20), 2)
    groups = np.arange(41) // 2 * 2
    vectors = np.random.default_rng(0).random((41, 8)).astype(np.float32)
    found = cross_validate(hashed(classes), vectors, LABELS, HeadOptions(), 2, groups)
    assert found.groups is not None and found.groups.tolist() == groups[:40].tolist()
    assert (found.folds.assignment[0:40:2] == found.folds.assignment[1:40:2]).all()


def test_head_fitted_to_the_training_set_learns_from_training_photos_only() -> None:
    classes = np.tile([0, 1, 2], 10)
    vectors = np.random.default_rng(0).random((30, 8)).astype(np.float32)
    sets = np.zeros(30, np.int8)
    sets[20:25], sets[25:] = VALIDATION, TEST
    changed = vectors.copy()
    changed[20:] = 1 - changed[20:]
    heads = [
        fit_to_training(hashed(classes), given, LABELS, sets, HeadOptions())[1][0].heads[0]
        for given in (vectors, changed)
    ]
    np.testing.assert_array_equal(heads[0].weights, heads[1].weights)
    folds, _ = fit_to_training(hashed(classes), vectors, LABELS, sets, HeadOptions())
    assert np.flatnonzero(folds.assignment != NO_FOLD).tolist() == list(range(25, 30))


def test_cross_validation_confusion_matrix_has_true_classes_in_rows(evaluated: CrossValidation) -> None:
    assert evaluated.confusion == pytest.approx(np.array([[7, 4, 1], [2, 6, 0], [0, 0, 0]]) / 4)
    written = evaluated.to_json()
    assert written["confusion"] == [[1.75, 1.0, 0.25], [0.5, 1.5, 0.0], [0.0, 0.0, 0.0]]
    assert written["recall"] == {"daisy": pytest.approx(7 / 12), "roses": pytest.approx(0.75), "tulips": None}
    assert (written["folds"], written["folds_wanted"], written["repeats"], written["photos"]) == (2, 5, 4, 5)


def test_cross_validation_lists_photos_that_are_not_always_classified_correctly(evaluated: CrossValidation) -> None:
    listed = {photo["photo"]: photo for photo in evaluated.to_json()["not_always_right"]}
    assert set(listed) == {"daisy/1.jpg", "daisy/2.jpg", "roses/3.jpg"}
    assert listed["daisy/2.jpg"]["right"] == 0
    assert listed["daisy/2.jpg"]["score"] == pytest.approx((3 * 0.8 + 0.1) / 4)


def test_cross_validation_evaluates_photos_with_heads_trained_without_them() -> None:
    """Each photo has a feature of its own and a random class, so only a head that was trained on it can classify it."""
    rng = np.random.default_rng(0)
    classes = np.append(rng.integers(0, 2, 80), 2)  # a single photo of the third class trains every head
    vectors = np.eye(81, 90, dtype=np.float32)
    found = cross_validate(hashed(classes), vectors, LABELS, HeadOptions(steps=100_000))
    assert found.count == 80 and found.scores.shape == (4, 80, 3)
    assert found.accuracy < 0.7
    assert found.folds.assignment[80] == NO_FOLD and found.folds.always_trained == ("tulips",)
    assert found.confusion.sum() == pytest.approx(80)


def test_sampled_rows_are_in_order_and_depend_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.training.cross_validation.MAX_EVALUATED", 10)
    rows = np.arange(100, 140)
    found = sample_rows(rows, 0)
    assert len(set(found.tolist())) == 10 and (np.diff(found) > 0).all() and set(found) <= set(rows)
    assert found.tolist() == sample_rows(rows, 0).tolist() != sample_rows(rows, 1).tolist()
    assert sample_rows(rows[:10], 0).tolist() == rows[:10].tolist()


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Ninety photos of three overlapping classes of unequal size, divided into the three splits."""
    rng = np.random.default_rng(2)
    classes = np.repeat([0, 1, 2], [45, 30, 15])
    vectors = (np.eye(3, 12)[classes] + 0.6 * rng.standard_normal((90, 12))).astype(np.float32)
    splits = np.array(([TRAINING] * 3 + [VALIDATION, TEST]) * 18, np.int8)
    return TrainingData.of(hashed(classes), vectors, splits, LABELS)


def careful(scores: Matrix, truth: Indices) -> float:
    """Return the best temperature, moved towards 1 by one standard error, or by two if it is below 1."""
    found = best_temperature(scores, truth)
    step = temperature_spread(scores, truth, found)
    return max(1.0, found * math.exp(-step)) if found > 1 else min(1.0, found * math.exp(2 * step))


def crossed(scores: Matrix, truth: Indices, fold: Indices) -> Matrix:
    """Return the scores of each photo, scaled by the temperature that was fitted to the photos outside its fold."""
    rows = [
        with_temperature(scores[[row]], careful(scores[fold != fold[row]], truth[fold != fold[row]]))[0]
        for row in range(len(truth))
    ]
    return np.stack(rows)


def test_held_out_predictions_use_only_training_and_validation_photos(data: TrainingData) -> None:
    found = predict_held_out(data, HeadOptions())
    assert found is not None
    rows = data.rows("training", "validation")
    assert len(found.truth) == len(rows) == 72
    assert found.truth.tolist() == data.photos.photos.classes[rows].tolist()
    other = np.where(data.sets == TEST, (data.photos.photos.classes + 1) % 3, data.photos.photos.classes)
    exchanged = TrainingData.of(hashed(other), data.vectors, data.sets, LABELS)
    again = predict_held_out(exchanged, HeadOptions())
    assert again is not None and (again.scores == found.scores).all(), "the classes of test photos are not used"


def test_head_calibration_corrects_the_logit_scale_and_is_evaluated_across_folds(data: TrainingData) -> None:
    found = predict_held_out(data, HeadOptions())
    assert found is not None
    head = Head(found.solved.weights * 3, found.solved.biases * 3)
    calibrated, result = calibrate_head(head, data, found)
    assert result is not None and result.photos == 72
    scores = with_temperature(found.scores, 1 / 3)  # as sure as the head is
    assert result.temperature == pytest.approx(careful(scores, found.truth), rel=0.01)
    assert result.before == pytest.approx(expected_calibration_error(scores, found.truth), abs=1e-4)
    expected = expected_calibration_error(crossed(scores, found.truth, found.fold), found.truth)
    assert result.after == pytest.approx(expected, abs=1e-4)
    assert calibrated.weights == pytest.approx(head.weights / result.temperature, rel=1e-4)
    assert calibrated.biases == pytest.approx(head.biases / result.temperature, rel=1e-4)


def test_head_calibration_keeps_scores_if_no_temperature_improves_held_out_folds() -> None:
    """One fold has overconfident scores, and the other has underconfident ones; no temperature suits both."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (200, 3))
    plain = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in plain])
    fold = np.repeat([0, 1], 100)
    halves = plain.astype(np.float32)[:100], plain.astype(np.float32)[100:]
    scores = np.concatenate([with_temperature(halves[0], 0.4), with_temperature(halves[1], 2.5)])
    vectors = rng.random((6, 4)).astype(np.float32)
    head = Head(rng.random((4, 3)).astype(np.float32), np.zeros(3, np.float32))
    splits = np.array([TRAINING, VALIDATION, TEST] * 2, np.int8)
    six = TrainingData.of(hashed(np.arange(6) % 3), vectors, splits, LABELS)
    same, result = calibrate_head(head, six, HeldOutPredictions(scores, truth, fold, head))
    assert same is head and result is not None
    assert result.temperature == 1 != result.fitted and result.photos == 200
    assert result.before == result.after == pytest.approx(expected_calibration_error(scores, truth), abs=1e-4)


def test_temperature_spread_is_the_standard_deviation_of_estimates() -> None:
    """The spread is computed for 200 samples, and again with four copies of each photo, which form a group."""
    rng = np.random.default_rng(3)
    estimates, spreads, grouped = [], [], []
    for _ in range(200):
        logits = rng.normal(0, 2, (120, 3))
        plain = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        truth = np.array([rng.choice(3, p=row) for row in plain])
        scores = with_temperature(plain.astype(np.float32), 0.5)
        found = best_temperature(scores, truth)
        estimates.append(math.log(found))
        spreads.append(temperature_spread(scores, truth, found))
        again, groups = np.repeat(scores, 4, axis=0), np.arange(480) // 4
        grouped.append(
            temperature_spread(again, np.repeat(truth, 4), best_temperature(again, np.repeat(truth, 4)), groups)
        )
    assert np.mean(spreads) == pytest.approx(np.std(estimates), rel=0.2)
    assert np.mean(grouped) == pytest.approx(np.mean(spreads), rel=0.15)


def in_folder(data: TrainingData, split: SplitName) -> TrainingData:
    """Return the data as if the user had chosen the photos in a split by putting them into its folder."""
    listed = [
        HashedPhoto(replace(item.photo, given_split=split if SPLIT_NAMES[number] == split else None), item.digest)
        for item, number in zip(data.photos, data.sets, strict=True)
    ]
    return TrainingData.of(listed, data.vectors, data.sets, data.labels)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_head_calibration_keeps_scores_if_calibration_is_worse_on_the_users_own_split(split: SplitName) -> None:
    """The photos in the user's set are harder than all others, so the head must not become more confident."""
    rng = np.random.default_rng(5)
    classes = np.arange(300) % 3
    sets = np.array(([TRAINING] * 3 + [VALIDATION, TEST]) * 60, np.int8)
    hard = sets == SPLIT_NAMES.index(split)
    vectors = np.eye(3, 12)[np.where(hard, rng.integers(0, 3, 300), classes)] + 0.2 * rng.standard_normal((300, 12))
    plain = TrainingData.of(hashed(classes), vectors.astype(np.float32), sets, LABELS)
    for data, applied in ((plain, split == "test"), (in_folder(plain, split), False)):
        held_out = predict_held_out(data, HeadOptions())
        assert held_out is not None
        head = Head(held_out.solved.weights / np.float32(4), held_out.solved.biases / np.float32(4))
        _, result = calibrate_head(head, data, held_out)
        assert result is not None and (result.temperature < 1 or not applied)
        if data is not plain:
            assert result.temperature == 1 > result.fitted


def test_head_calibration_does_not_make_scores_of_look_alikes_more_confident(data: TrainingData) -> None:
    found = predict_held_out(data, HeadOptions())
    assert found is not None
    head = Head(found.solved.weights / np.float32(4), found.solved.biases / np.float32(4))
    _, independent = calibrate_head(head, data, found)
    _, dependent = calibrate_head(head, replace(data, groups=PhotoGroups(np.arange(90) // 2 * 2, alike=0.9)), found)
    assert independent is not None and dependent is not None
    assert independent.temperature < 1 == dependent.temperature


def test_head_calibration_of_a_fine_tuned_backbone_uses_validation_photos(data: TrainingData) -> None:
    found = predict_held_out(data, HeadOptions())
    assert found is not None
    head = Head(found.solved.weights * 2, found.solved.biases * 2)
    _, result = calibrate_head(head, data, found, backbone_has_learned=True)
    validation = data.plain("validation")
    scores = head.scores(validation.vectors)
    assert result is not None and result.photos == 18
    assert result.temperature == pytest.approx(careful(scores, validation.classes), rel=0.01)
    expected = crossed(scores, validation.classes, np.arange(18) % 2)
    assert result.after == pytest.approx(expected_calibration_error(expected, validation.classes), abs=1e-4)


def test_head_calibration_preserves_predictions_and_returns_none_without_photos(data: TrainingData) -> None:
    found = predict_held_out(data, HeadOptions())
    assert found is not None
    calibrated, _ = calibrate_head(found.solved, data, found)
    before, after = (head.scores(data.vectors).argmax(axis=1) for head in (found.solved, calibrated))
    assert (before == after).all()
    assert calibrate_head(found.solved, data, None) == (found.solved, None)


def test_head_calibration_of_a_fine_tuned_backbone_keeps_each_group_in_one_fold() -> None:
    """The scores of a group are scaled by a temperature that was fitted without this group."""
    rng, classes = np.random.default_rng(3), np.arange(600) % 3
    vectors = (np.eye(3, 12)[classes] + 0.6 * rng.standard_normal((600, 12))).astype(np.float32)
    sets = np.array(([TRAINING] * 3 + [VALIDATION, TEST]) * 120, np.int8)
    plain = TrainingData.of(hashed(classes), vectors, sets, LABELS)
    numbers = np.arange(600) // 10 * 10
    head = Head(np.eye(12, 3, dtype=np.float32) * 9, np.zeros(3, np.float32))
    _, result = calibrate_head(head, replace(plain, groups=PhotoGroups(numbers)), None, backbone_has_learned=True)
    validation, groups = plain.plain("validation"), numbers[plain.rows("validation")]
    scores, truth, fold = head.scores(validation.vectors), validation.classes, groups // 10 % 2
    expected = scores.copy()
    for number in (0, 1):
        others, mine = fold != number, fold == number
        fitted = best_temperature(scores[others], truth[others])
        step = temperature_spread(scores[others], truth[others], fitted, groups[others])
        expected[mine] = with_temperature(scores[mine], max(1.0, fitted * math.exp(-step)))
    assert result is not None and result.temperature > 1
    assert result.after == pytest.approx(expected_calibration_error(expected, truth), abs=1e-6)


def test_head_calibration_of_a_fine_tuned_backbone_requires_validation_photos(data: TrainingData) -> None:
    head = Head(np.zeros((12, 3), np.float32), np.zeros(3, np.float32))
    alone = TrainingData.of(list(data.photos), data.vectors, np.full(90, TRAINING, np.int8), LABELS)
    assert calibrate_head(head, alone, None, backbone_has_learned=True) == (head, None)


def test_training_data_splits_are_disjoint_and_complete(data: TrainingData) -> None:
    rows = [set(data.rows(name).tolist()) for name in SPLIT_NAMES]
    assert sum(map(len, rows)) == len(set.union(*rows)) == 90
    assert [len(one) for one in rows] == [{TRAINING: 54, VALIDATION: 18, TEST: 18}[number] for number in range(3)]
    assert data.rows("validation", "test").tolist() == [*data.rows("validation"), *data.rows("test")]
    assert isinstance(data.photos_in("test"), HashedPhotos)
    plain = data.plain("test")
    assert plain.classes.tolist() == [LABELS.index(one.photo.label) for one in data.photos_in("test")]
    assert (plain.vectors[:] == data.vectors[data.rows("test")]).all()


def test_dividing_a_head_by_a_temperature_preserves_predictions_despite_rounding() -> None:
    """The two logits differ in their last digit, and some quotients are equal; then a larger divisor is used."""
    nearly_two = np.nextafter(np.float32(2), np.float32(0))
    head = Head(np.zeros((1, 2), np.float32), np.array([np.nextafter(nearly_two, np.float32(0)), nearly_two]))
    vectors = np.zeros((1, 1), np.float32)
    used = []
    for temperature in np.linspace(1.01, 3, 60).tolist():
        divided, divisor = _divided(head, temperature, vectors)
        assert divided.biases[1] > divided.biases[0] and temperature <= divisor < 1.01 * temperature
        np.testing.assert_array_equal(divided.biases, head.biases / np.float32(divisor))
        used.append(divisor > temperature)
    assert set(used) == {True, False}
    smallest = Head(head.weights, np.array([1e-45, 3e-45], np.float32))  # one and two times the smallest number
    assert _divided(smallest, 1.5, vectors) == (smallest, 1.0)
