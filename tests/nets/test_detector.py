"""Tests of the distances that the unknown-photo detector computes, with loops over photos and classes as reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poets_edge.nets.detector import Detector, merged

CLASSES, PHOTOS = 3, 20


def random_detector(rng: np.random.Generator, size: int, directions: int) -> Detector:
    return Detector(
        projection=rng.normal(size=(size, directions)).astype(np.float32),
        offsets=rng.normal(size=directions).astype(np.float32),
        quadratic=rng.uniform(0.5, 2, directions).astype(np.float32),
        linear=rng.normal(size=(directions, CLASSES)).astype(np.float32),
        biases=rng.normal(size=CLASSES).astype(np.float32),
        background=np.zeros(directions, np.float32),
        background_bias=np.zeros(1, np.float32),
    )


def class_distances(detector: Detector, vector: Any) -> Any:
    """Return the distance of a photo from each class, float64 [classes], as the formula of `Detector` defines it."""
    y = vector.astype(np.float64) / np.linalg.norm(vector) @ detector.projection + detector.offsets
    return [
        sum(detector.quadratic * y**2) - sum(detector.linear[:, number] * y) - detector.biases[number]
        for number in range(CLASSES)
    ]


@pytest.mark.parametrize("background", [False, True])
def test_merged_detector_adds_the_distances_from_each_class(background: bool) -> None:
    rng = np.random.default_rng(0)
    outer, inner = random_detector(rng, 8, 4), random_detector(rng, 6, 3)
    if background:
        outer = replace(
            outer,
            background=rng.normal(size=4).astype(np.float32),
            background_bias=np.array([9], np.float32),
        )
    bottlenecks, averages = (rng.uniform(0, 5, (PHOTOS, size)).astype(np.float32) for size in (8, 6))
    wanted = []
    for bottleneck, average in zip(bottlenecks, averages, strict=True):
        sums = np.add(class_distances(outer, bottleneck), class_distances(inner, average))
        y = bottleneck / np.linalg.norm(bottleneck) @ outer.projection + outer.offsets
        wanted.append(max(0, min(sums), *([y @ outer.background + 9] if background else [])))
    found = merged(outer, "block_5_add", inner)
    assert found.inner is not None and found.inner.layer == "block_5_add" and found.has_background is background
    np.testing.assert_allclose(found.distances(bottlenecks, averages), wanted, rtol=1e-4, atol=1e-4)
    assert len({round(distance, 3) for distance in wanted}) > PHOTOS // 2, "the distances must vary"


def test_detector_without_an_inner_layer_returns_the_distance_from_the_nearest_class() -> None:
    rng = np.random.default_rng(1)
    detector = random_detector(rng, 8, 4)
    bottlenecks = rng.uniform(0, 5, (PHOTOS, 8)).astype(np.float32)
    wanted = [max(0, *[min(class_distances(detector, one))]) for one in bottlenecks]
    np.testing.assert_allclose(detector.distances(bottlenecks), wanted, rtol=1e-4, atol=1e-4)
    assert np.isfinite(detector.distances(np.zeros((1, 8), np.float32))).all(), "a bottleneck of zeros has no length"
