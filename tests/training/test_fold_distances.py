"""Tests of out-of-fold distances, against models that are fitted without a fold by exact methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poets_edge.training.fold_distances import _AllPhotos, out_of_fold_terms
from poets_edge.training.mahalanobis import DistanceModel, Moments, fit_distance, fourth_moment, unit_vectors
from tests.training.test_unknown import draw


def fitted(units: Any, classes: Any) -> tuple[Moments, DistanceModel]:
    moments = Moments.of(units, classes, 3)
    return moments, fit_distance(moments, fourth_moment(units, classes, moments))


def out_of_fold_distances(*arguments: Any) -> tuple[Any, Any]:
    to_classes, common, judged = out_of_fold_terms(*arguments)
    return to_classes.min(axis=1) + common, judged


def exact_distances(units: Any, classes: Any, tested: Any, whole: DistanceModel) -> Any:
    """Return the distances of `tested` from photos, with exact eigenvectors and full matrices."""
    present, numbers = np.unique(classes, return_inverse=True)
    means = np.stack([units[classes == label].mean(axis=0) for label in present])
    residuals, mean, features = units - means[numbers], units.mean(axis=0), units.shape[1]
    covariance = residuals.T @ residuals / (len(units) - len(present))
    variance = np.trace(covariance) / features
    shrunk = (1 - whole.shrinkage) * covariance + whole.shrinkage * variance * np.eye(features)
    largest = np.linalg.eigh(covariance)[1][:, -24:]
    between = means - mean
    basis = np.linalg.qr(np.hstack([largest, between[:-1].T]))[0]
    within = basis.T @ shrunk @ basis
    inside = between @ basis
    total = within + (inside.T * (np.bincount(numbers) / len(units))) @ inside
    rest = (np.trace(shrunk) - np.trace(within)) / (features - basis.shape[1])
    centered = tested - mean
    z = centered @ basis
    nearest = np.min([((z - one) @ np.linalg.inv(within) * (z - one)).sum(axis=1) for one in inside], axis=0)
    outside = (centered**2).sum(axis=1) - (z**2).sum(axis=1)
    return nearest - 0.8 * (z @ np.linalg.inv(total) * z).sum(axis=1) + whole.rest_weight * outside / rest


@pytest.mark.parametrize("count", [10, 60])
def test_out_of_fold_distances_agree_with_models_fitted_to_the_other_folds(count: int) -> None:
    bottlenecks, classes = draw(count)
    units, fold = unit_vectors(bottlenecks), np.arange(3 * count) * 7 % 10
    moments, model = fitted(units, classes)
    found, judged = out_of_fold_distances(units, classes, fold, moments, model)
    expected = np.empty(len(units))
    for number in range(10):
        others = fold != number
        expected[~others] = exact_distances(units[others], classes[others], units[~others], model)
    assert judged.all()
    errors = found / expected - 1
    assert np.abs(np.median(errors)) < 0.01 and np.abs(errors).max() < 0.08
    assert np.median(model.distances(units) / expected) < 0.95, "the photos' own fold makes a difference"


def test_removing_photos_from_a_distance_model_updates_class_means_and_covariance() -> None:
    bottlenecks, classes = draw(30)
    units, some = unit_vectors(bottlenecks), np.flatnonzero(np.arange(90) % 7 == 0)
    moments, model = fitted(units, classes)
    others, counts = _AllPhotos.of(units, classes, moments, model).without(some)
    kept = np.delete(np.arange(90), some)
    assert counts.tolist() == np.bincount(classes[kept]).tolist()
    np.testing.assert_allclose(others.mean, units[kept].mean(axis=0), atol=1e-12)
    means = np.stack([units[kept][classes[kept] == label].mean(axis=0) for label in range(3)])
    np.testing.assert_allclose(others.means, (means - others.mean) @ others.basis, atol=1e-12)
    residuals = units[kept] - means[classes[kept]]
    covariance = residuals.T @ residuals / (len(kept) - 3)
    variance = np.trace(covariance) / units.shape[1]
    shrunk = (1 - model.shrinkage) * others.basis.T @ covariance @ others.basis
    shrunk += model.shrinkage * variance * np.eye(len(shrunk))
    np.testing.assert_allclose(np.linalg.inv(others.within), shrunk, atol=1e-5 * float(np.abs(shrunk).max()))
    np.testing.assert_allclose(others.basis.T @ others.basis, np.eye(26), atol=1e-9)
    assert (others.rest_weight, others.shrinkage) == (model.rest_weight, model.shrinkage)


def test_only_photo_of_a_class_gets_no_out_of_fold_distance() -> None:
    bottlenecks, classes = draw(20)
    units, classes = unit_vectors(bottlenecks[:41]), classes[:41]  # The last one is the only photo of its class
    moments, model = fitted(units, classes)
    distances, judged = out_of_fold_distances(units, classes, np.arange(41) % 5, moments, model)
    assert judged[:40].all() and not judged[40] and np.isfinite(distances).all()


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_out_of_fold_distances_of_photos_that_vary_in_at_most_one_direction_are_finite(spread: float) -> None:
    centers = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 4)))[0].T
    classes = np.repeat([0, 1, 2], 10)
    units = np.cos(spread) * centers[classes] + np.sin(spread) * np.tile([[1], [-1]], (15, 1)) * centers[3]
    moments, model = fitted(units, classes)
    distances, _ = out_of_fold_distances(units, classes, np.arange(30) % 5, moments, model)
    assert np.isfinite(distances).all()
