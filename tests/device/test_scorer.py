"""Tests of the output of models for a photo."""

from __future__ import annotations

import math

import numpy as np
import pytest

from poets_edge.device.scorer import Label, Labels, ModelOutput, best, is_unknown


@pytest.mark.parametrize(
    ("distance", "unknown"), [(None, False), (0.0, False), (1.0, False), (math.nextafter(1, 2), True), (math.inf, True)]
)
def test_photos_are_unknown_above_a_distance_of_1(distance: float | None, unknown: bool) -> None:
    assert is_unknown(distance) is unknown
    assert Labels([Label("a", 0.5)], distance).unknown is unknown
    assert ModelOutput(np.zeros(2, np.float32), distance).unknown is unknown


def test_best_labels_are_in_descending_order_of_score() -> None:
    scores = np.array([0.125, 0.5, 0.375], np.float32)
    assert best(("a", "b", "c"), scores, 2) == [Label("b", 0.5), Label("c", 0.375)]
    assert [label.name for label in best(("a", "b", "c"), scores, 5)] == ["b", "c", "a"]
