"""Tests of the distance from the training photos and of its limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import DatasetError
from poets_edge.photos.table import HashedPhoto, Photo
from poets_edge.tflite.distance import LIMIT
from poets_edge.training import unknown
from poets_edge.training.data import TrainingData
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.mahalanobis import (
    DistanceModel,
    LinearModel,
    Moments,
    fit_distance,
    fourth_moment,
    unit_vectors,
)
from poets_edge.training.unknown import MIN_PHOTOS, detect_unknown, upper_quantile
from poets_edge.training.unknown_chart import _outline, unknown_chart

FEATURES, LABELS = 60, ("a", "b", "c")


def draw(count: int, seed: int = 0, *, shift: float = 0.0) -> tuple[Any, Any]:
    """Return random bottlenecks of three classes, float32 [3 * count, FEATURES], and their classes."""
    rng = np.random.default_rng(seed)
    world = np.random.default_rng(99)
    means, mixing = 3 + world.random((3, FEATURES)), world.normal(size=(6, FEATURES)) / 3
    classes = np.repeat(np.arange(3), count)
    noise = rng.normal(size=(len(classes), 6)) @ mixing + rng.normal(size=(len(classes), FEATURES)) / 10
    return (means[classes] + noise + shift * world.normal(size=FEATURES)).astype(np.float32), classes


def training_data(bottlenecks: Any, classes: Any, sets: Any = 0) -> TrainingData:
    names = [f"{LABELS[label]}/{row}.jpg" for row, label in enumerate(classes.tolist())]
    photos = [
        HashedPhoto(Photo(Path(name), name, name[0]), bytes([row % 256, row // 256]) * 16)
        for row, name in enumerate(names)
    ]
    return TrainingData.of(photos, bottlenecks, np.broadcast_to(np.int8(sets), len(photos)), LABELS)


def fitted(units: Any, classes: Any) -> DistanceModel:
    """Fit a model to the unit vectors of photos of three classes."""
    moments = Moments.of(units, classes, 3)
    return fit_distance(moments, fourth_moment(units, classes, moments))


def test_distances_equal_distances_computed_with_full_matrices() -> None:
    bottlenecks, classes = draw(40)
    units = unit_vectors(bottlenecks)
    model = fitted(units, classes)
    outside = np.eye(FEATURES) - model.basis @ model.basis.T
    within = model.basis @ model.within @ model.basis.T
    total = model.basis @ model.total @ model.basis.T
    expected = []
    for one in unit_vectors(draw(5, 1)[0]):
        nearest = min((one - mean) @ within @ (one - mean) for mean in units.reshape(3, 40, -1).mean(axis=1))
        centered = one - units.mean(axis=0)
        rest = 16 / 120 * centered @ outside @ centered / model.rest
        expected.append(nearest - 0.8 * centered @ total @ centered + rest)
    np.testing.assert_allclose(model.distances(unit_vectors(draw(5, 1)[0])), expected, rtol=1e-8)


def test_distance_model_is_fitted_with_the_covariance_within_classes() -> None:
    """With many photos, shrinkage is small, and the variances are those that numpy computes."""
    bottlenecks, classes = draw(2000)
    units = unit_vectors(bottlenecks)
    model = fitted(units, classes)
    residuals = units - units.reshape(3, 2000, -1).mean(axis=1)[classes]
    covariance = residuals.T @ residuals / (len(units) - 3)
    inside = model.basis.T @ covariance @ model.basis
    np.testing.assert_allclose(np.linalg.inv(model.within), inside, atol=0.01 * np.trace(covariance))
    assert np.linalg.eigvalsh(inside)[-6:].sum() == pytest.approx(np.linalg.eigvalsh(covariance)[-6:].sum(), rel=1e-3)
    rest = (np.trace(covariance) - np.trace(inside)) / (FEATURES - model.basis.shape[1])
    assert model.rest == pytest.approx(rest, rel=0.15)
    np.testing.assert_allclose(model.basis.T @ model.basis, np.eye(model.basis.shape[1]), atol=1e-9)


@pytest.mark.parametrize("background", [False, True])
def test_detector_computes_the_maximum_of_distance_and_background_value(background: bool) -> None:
    bottlenecks, classes = draw(40)
    units = unit_vectors(bottlenecks)
    model = fitted(units, classes)
    linear = LinearModel(np.random.default_rng(3).normal(size=FEATURES) * 2, 0.8)
    expected = np.maximum(model.distances(units) / 20, linear(units) if background else 0)
    assert (linear(units) > model.distances(units) / 20).any() and (linear(units) < 1).any()
    found = model.detector(20, linear if background else None)
    assert found.has_background == background
    np.testing.assert_allclose(found.distances(bottlenecks), expected, rtol=5e-3)


def test_detector_rejects_the_stated_fraction_of_new_photos_and_most_unknown_photos() -> None:
    for rate in (0.05, 0.2):
        found = detect_unknown(training_data(*draw(150)), rate, 0)
        assert found.distances.shape == (450,)
        new, strangers = (found.detector.distances(draw(1000, 5, shift=shift)[0]) > LIMIT for shift in (0, 0.4))
        assert new.mean() == pytest.approx(rate, abs=0.015 + rate / 7)
        assert strangers.mean() > 0.9
        assert (found.distances > LIMIT).mean() == pytest.approx(rate, abs=0.02)


def test_copies_of_a_photo_are_in_one_fold_of_the_detector() -> None:
    """Each photo occurs three times. If its copies were in other folds, its distance would be too small."""
    bottlenecks, classes = draw(20)
    again, tripled = np.repeat(bottlenecks, 3, axis=0), np.repeat(classes, 3)
    data = training_data(again, tripled)
    apart = detect_unknown(data, 0.05, 0)
    together = detect_unknown(replace(data, groups=PhotoGroups(np.arange(len(again)) // 3 * 3)), 0.05, 0)
    new = draw(500, 5)[0]
    assert (together.detector.distances(new) > LIMIT).mean() < (apart.detector.distances(new) > LIMIT).mean()


def test_distances_from_a_fine_tuned_backbone_are_scaled_to_the_validation_photos() -> None:
    bottlenecks, classes = draw(60)
    sets = np.arange(len(classes)) % 5 == 0
    learned = bottlenecks.copy()
    nearer = np.array([learned[(classes == label) & ~sets].mean(axis=0) for label in range(3)])[classes]
    learned[~sets] = (nearer + (learned - nearer) * 0.5)[~sets]
    data = training_data(bottlenecks, classes, sets.astype(np.int8))
    found = detect_unknown(data, 0.05, 0, tuned=learned)
    assert (found.detector.distances(learned[sets]) > LIMIT).mean() < 0.25
    wrong = detect_unknown(training_data(learned, classes, sets.astype(np.int8) * 2), 0.05, 0)
    assert (wrong.detector.distances(learned[sets]) > LIMIT).mean() > 0.9


def test_detector_requires_enough_photos() -> None:
    bottlenecks, classes = draw(MIN_PHOTOS)
    few = np.arange(0, 3 * MIN_PHOTOS, 3)[: MIN_PHOTOS - 1]
    with pytest.raises(DatasetError, match=f"{MIN_PHOTOS - 1} training photos are too few"):
        detect_unknown(training_data(bottlenecks[few], classes[few]), 0.05, 0)


def test_upper_quantile_agrees_with_the_lognormal_distribution() -> None:
    values = np.exp(np.random.default_rng(0).normal(size=20000) / 4)
    assert upper_quantile(values, 0.95) == pytest.approx(np.exp(1.6449 / 4), rel=0.01)
    small = [upper_quantile(values[i::400], 0.95) for i in range(400)]
    plain = [np.quantile(values[i::400], 0.95) for i in range(400)]
    assert np.std(small) < np.std(plain)


def test_detector_rejects_background_photos_without_rejecting_more_known_photos() -> None:
    """The background differs from the classes in a direction in which the classes also vary."""
    world = np.random.default_rng(99)
    world.random((3, FEATURES))
    direction = world.normal(size=(6, FEATURES))[0] / 3
    bottlenecks, classes = draw(150)
    background, near = ((draw(70, seed)[0] + 2.5 * direction).astype(np.float32) for seed in (21, 22))
    without = detect_unknown(training_data(bottlenecks, classes), 0.05, 0)
    found = detect_unknown(training_data(bottlenecks, classes), 0.05, 0, background=background)
    new = draw(1000, 5)[0]
    assert (found.detector.distances(new) > LIMIT).mean() == pytest.approx(0.05, abs=0.025)
    refused_with, refused_without = ((one.detector.distances(near) > LIMIT).mean() for one in (found, without))
    assert refused_with > 0.6 > 0.4 > refused_without
    assert (found.distances > LIMIT).mean() == pytest.approx(0.05, abs=0.01)
    assert (found.background > LIMIT).mean() == pytest.approx(refused_with, abs=0.1)
    assert "% of 210 photos of the background (asked for: 5 %" in str(found)
    far = draw(300, 6, shift=0.4)[0]
    assert (found.detector.distances(far) > LIMIT).mean() > 0.9


def test_joint_limit_uses_background_values_only_if_they_reject_more_photos() -> None:
    rng = np.random.default_rng(0)
    distances, logits = rng.normal(10, 1, 400), rng.normal(-5, 1, 400)

    def index(background: tuple[Any, Any]) -> int:
        limits = [unknown._weighted_limit(distances, logits, 0.05, weights) for weights in unknown._WEIGHTS]
        return limits.index(unknown._joint_limit(distances, logits, 0.05, background))

    assert index((rng.normal(20, 1, 100), rng.normal(5, 1, 100))) == 0, "all pairs of weights reject all photos"
    resembling = rng.normal(10, 1, 100), rng.normal(-3.1, 0.2, 100)
    assert index(resembling) == 2
    mostly_different = tuple(np.append(one, np.repeat(30.0, 4900)) for one in resembling)
    assert index((mostly_different[0], mostly_different[1])) == 0, "the pairs differ in less than 3 % of the photos"


def test_unknown_chart_has_a_histogram_for_known_photos_and_background() -> None:
    bottlenecks, classes = draw(30)
    found = detect_unknown(training_data(bottlenecks, classes), 0.05, 0)
    # Bins of 0.1: a third of the photos in [0.4, 0.5), a third in [0.9, 1.0), a third beyond the last one.
    shown = replace(found, distances=np.array([0.45, 0.95, 99], np.float32))
    chart = str(unknown_chart(shown))
    assert chart.count("<polyline") == 2 and "background" not in chart and "33 %" not in chart.split("</svg>")[1]
    both = replace(shown, background=np.array([2.0], np.float32), strangers=np.array([0.5, 3], np.float32))
    chart = str(unknown_chart(both))
    assert chart.count("<polyline") == 4 and "background" in chart and "strangers" in chart
    points = _outline(shown.distances)
    assert len(points) == 60 and points[8][1] == points[9][1] == pytest.approx(1 / 3)
    assert [share for _, share in points[18:20]] == [share for _, share in points[58:]]
    assert sum(share for _, share in points) == pytest.approx(2)


def test_photos_in_the_strangers_option_are_counted_and_do_not_change_the_detector() -> None:
    bottlenecks, classes = draw(30)
    strangers = draw(20, 3, shift=0.1)[0]
    without = detect_unknown(training_data(bottlenecks, classes), 0.05, 0)
    found = detect_unknown(training_data(bottlenecks, classes), 0.05, 0, strangers=strangers)
    np.testing.assert_array_equal(found.detector.linear, without.detector.linear)
    expected = float((found.detector.distances(strangers) > LIMIT).mean())
    assert 0 < expected < 1
    assert found.to_json() == {**without.to_json(), "strangers": 60, "strangers_refused": expected}
    assert " of 60 strangers (asked for: 5" in str(found) and "strangers" not in str(without)


def test_covariance_is_divided_by_the_number_of_photos_minus_the_number_of_classes() -> None:
    """Shrinkage keeps the total variance, which is the sum of squares divided by 12 - 3 degrees of freedom."""
    bottlenecks, classes = draw(4)
    units = unit_vectors(bottlenecks)
    model = fitted(units, classes)
    residuals = units - units.reshape(3, 4, -1).mean(axis=1)[classes]
    directions = model.basis.shape[1]
    total = np.trace(np.linalg.inv(model.within)) + model.rest * (FEATURES - directions)
    assert total == pytest.approx((residuals**2).sum() / 9, rel=1e-6)
    assert directions == 24 + 2, "those of the largest variances, and those between three class means"


def test_class_means_are_weighted_by_their_number_of_photos() -> None:
    bottlenecks, classes = draw(30)
    some = np.concatenate([np.arange(30), 30 + np.arange(10), 60 + np.arange(5)])
    units, classes = unit_vectors(bottlenecks[some]), classes[some]
    model = fitted(units, classes)
    means = np.stack([units[classes == label].mean(axis=0) for label in range(3)]) - units.mean(axis=0)
    inside = means @ model.basis
    between = sum(share * np.outer(row, row) for share, row in zip((30 / 45, 10 / 45, 5 / 45), inside, strict=True))
    np.testing.assert_allclose(np.linalg.inv(model.total) - np.linalg.inv(model.within), between, atol=1e-9)


def test_detector_can_be_trained_with_the_minimum_number_of_photos() -> None:
    bottlenecks, classes = draw(MIN_PHOTOS)
    rows = np.arange(0, 3 * MIN_PHOTOS, 3)
    assert len(detect_unknown(training_data(bottlenecks[rows], classes[rows]), 0.05, 0).distances) == MIN_PHOTOS


def test_detector_ignores_classes_with_a_single_photo() -> None:
    bottlenecks, classes = draw(20)
    rows = np.arange(41)  # the last one is the only photo of its class
    found = detect_unknown(training_data(bottlenecks[rows], classes[rows]), 0.05, 0)
    assert found.rows.tolist() == list(range(40)) and found.distances.shape == (40,)


def test_distances_of_test_photos_are_returned_with_the_detector() -> None:
    bottlenecks, classes = draw(40)
    sets = np.zeros(120, np.int8)
    sets[:9], sets[50:54] = 1, 2
    found = detect_unknown(training_data(bottlenecks, classes, sets), 0.05, 0)
    np.testing.assert_array_equal(found.test, found.detector.distances(bottlenecks[50:54]))
    assert found.to_json()["test_photos"] == 4


def test_detector_is_trained_on_a_class_balanced_sample_of_many_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "_MAX_PHOTOS", 60)
    bottlenecks, classes = draw(100)
    some = np.concatenate([np.arange(100), 100 + np.arange(15), 200 + np.arange(60)])
    found = detect_unknown(training_data(bottlenecks[some], classes[some]), 0.05, 0)
    assert np.bincount(classes[some][found.rows]).tolist() in ([22, 15, 23], [23, 15, 22])
    assert (np.diff(found.rows) > 0).all()


def test_refused_fraction_is_the_fraction_of_distances_above_the_limit() -> None:
    assert unknown.refused(np.array([0.2, LIMIT, 1.01, 3], np.float32)) == 0.5
    assert unknown.refused(np.zeros(0, np.float32)) is None


def test_background_detector_of_a_fine_tuned_backbone_is_fitted_on_validation_photos() -> None:
    """The fine-tuned backbone moves only the photos that it learned from away from the background."""
    bottlenecks, classes = draw(60)
    sets = np.arange(len(classes)) % 4 == 0
    away = draw(1, shift=1)[0][0] - draw(1)[0][0]
    learned = bottlenecks.copy()
    learned[~sets] -= 0.2 * away
    data = training_data(bottlenecks, classes, sets.astype(np.int8))
    found = detect_unknown(data, 0.05, 0, background=draw(30, 9, shift=0.4)[0], tuned=learned)
    assert found.detector.has_background
    assert (found.detector.distances(learned[sets]) > LIMIT).mean() < 0.3
