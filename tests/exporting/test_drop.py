"""Tests of the limit on the loss of accuracy, with independently computed p-values of the exact McNemar test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.device.paired import Paired, compare_paired
from poets_edge.exporting.drop import allowed_photos, drop_is_significant, exceeds, verdict


def pair(worse: int, better: int, photos: int = 200) -> Paired:
    """Return a comparison in which, out of `photos`, `worse` become misclassified and `better` become correct."""
    lost, won = [(False, True)] * worse, [(True, False)] * better
    both = np.array(lost + won + [(True, True)] * (photos - worse - better)).reshape(-1, 2)
    return compare_paired(both[:, 0], both[:, 1])


@pytest.mark.parametrize(
    ("allowed", "photos", "count"),
    [(1, 200, 2), (0.5, 200, 1), (0.4, 200, 0), (2, 49, 0), (2.1, 49, 1), (0, 200, 0), (100, 7, 7), (0.3, 1000, 3)],
)
def test_allowed_accuracy_loss_is_converted_to_a_number_of_photos_and_rounded_down(
    allowed: float, photos: int, count: int
) -> None:
    assert allowed_photos(pair(0, 0, photos), allowed) == count


@pytest.mark.parametrize(
    ("worse", "better", "allowed", "is_significant"),
    [
        (6, 0, 0, True),  # p = 2 / 64 = 0.031
        (5, 0, 0, False),  # p = 2 / 32 = 0.063
        (8, 0, 1, True),  # two photos are allowed, which leaves 6 to 0
        (7, 0, 1, False),
        (9, 1, 0, True),  # p = 2 (1 + 10) / 1024 = 0.021
        (8, 1, 0, True),  # p = 2 (1 + 9) / 512 = 0.039
        (7, 1, 0, False),  # p = 2 (1 + 8) / 256 = 0.07
        (0, 9, 0, False),  # a gain
        (10, 0, 100, False),
    ],
)
def test_significance_of_an_accuracy_drop_is_computed_with_mcnemars_test(
    worse: int, better: int, allowed: float, is_significant: bool
) -> None:
    paired = pair(worse, better)
    tail = sum(math.comb(worse + better, k) for k in range(min(worse, better) + 1)) / 2 ** (worse + better)
    assert paired.p_value == pytest.approx(min(1, 2 * tail))
    assert drop_is_significant(paired, allowed) == is_significant


@pytest.mark.parametrize(
    ("worse", "better", "does_exceed"), [(5, 2, True), (4, 2, False), (3, 2, False), (2, 9, False)]
)
def test_accuracy_drop_limit_applies_to_the_net_number_of_lost_photos(
    worse: int, better: int, does_exceed: bool
) -> None:
    assert exceeds(pair(worse, better), 1.0) == does_exceed  # two photos of 200


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0, 100))
def test_significant_accuracy_drop_always_exceeds_the_limit(worse: int, better: int, allowed: float) -> None:
    paired = pair(worse, better)
    assert exceeds(paired, allowed) or not drop_is_significant(paired, allowed)
    if drop_is_significant(paired, allowed):
        assert drop_is_significant(paired, allowed / 2), "a stricter limit fails too"


def test_verdict_states_the_lost_accuracy_and_the_changed_predictions() -> None:
    text = verdict({"int8": pair(8, 2), "dynamic": pair(3, 0)}, 1)
    assert text == (
        "int8 loses 3.0 points (8 photos worse and 2 better of 200 test photos); dynamic loses 1.5 points (3 photos"
        " worse and 0 better of 200 test photos), more than the 1 allowed"
    )
