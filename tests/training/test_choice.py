"""Tests of the choice between a fine-tuned network and the frozen backbone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from poets_edge.device.paired import compare_paired
from poets_edge.training.fine_tuning.choice import Comparison, Scores, compare_scores

TRUTH = np.zeros(100, np.int64)


def hard(correct: int) -> Scores:
    """Return scores of 100 photos: the true class scores 0.9 for the first `correct` photos, and 0.1 for the others."""
    first = np.where(np.arange(len(TRUTH)) < correct, 0.9, 0.1)
    return np.stack([first, 1 - first], axis=1).astype(np.float32)


def test_comparison_of_scores_reports_accuracies_and_cross_entropies() -> None:
    found = compare_scores(hard(90), hard(80), TRUTH)
    assert (found.correct, found.frozen_correct) == (90, 80)
    assert (found.paired.worse, found.paired.better, found.paired.gain) == (0, 10, 10.0)
    # The best temperature gives each photo the accuracy as its score, but for the prior, which is weak.
    for accuracy, entropy in ((0.9, found.cross_entropy), (0.8, found.frozen_cross_entropy)):
        expected = -accuracy * math.log(accuracy) - (1 - accuracy) * math.log(1 - accuracy)
        assert entropy == pytest.approx(expected, abs=0.002)
    assert found.is_better and "gains 10.0 points" in str(found) and "Cross entropy 0.3" in str(found)
    assert found.to_json()["gain"] == 10.0 and found.to_json()["frozen_cross_entropy"] == found.frozen_cross_entropy


def test_comparison_of_scores_does_not_depend_on_the_temperature_of_the_scores() -> None:
    sure, unsure = hard(90), hard(90) * 0.4 + 0.3
    found = compare_scores(unsure.astype(np.float32), sure, TRUTH)
    assert found.cross_entropy == pytest.approx(found.frozen_cross_entropy, abs=0.005)
    assert not found.is_better


def test_fine_tuned_network_is_better_if_correct_predictions_are_more_confident() -> None:
    rng = np.random.default_rng(0)

    def noisy(separation: float) -> Scores:
        logits = rng.normal(separation, 1, 300)
        first = 1 / (1 + np.exp(-logits))
        return np.stack([first, 1 - first], axis=1).astype(np.float32)

    truth = np.zeros(300, np.int64)
    far, near = noisy(3.0), noisy(1.0)
    assert compare_scores(far, near, truth).is_better
    assert not compare_scores(near, far, truth).is_better
    assert not compare_scores(noisy(2.0), noisy(2.0), truth).is_better


@pytest.mark.parametrize(
    ("worse", "better", "entropy", "p_value", "expected"),
    [
        (4, 8, 0.20, 0.01, True),
        (4, 8, 0.20, 0.06, False),
        (1, 12, 0.29, 0.5, True),
        (4, 4, 0.20, 0.01, True),
        (5, 4, 0.20, 0.01, False),
        (1, 12, 0.31, 0.01, False),
    ],
)
def test_fine_tuned_network_is_better_only_if_it_is_not_less_accurate(
    worse: int, better: int, entropy: float, p_value: float, expected: bool
) -> None:
    before = np.array([True] * worse + [False] * better + [True] * 80)
    after = np.array([False] * worse + [True] * better + [True] * 80)
    comparison = Comparison(
        correct=int(after.sum()), frozen_correct=int(before.sum()), paired=compare_paired(after, before),
        cross_entropy=entropy, frozen_cross_entropy=0.30, p_value=p_value,
    )  # fmt: skip
    assert comparison.is_better is expected


def test_comparison_of_equal_scores_has_a_p_value_of_one() -> None:
    found = compare_scores(hard(80), hard(80), TRUTH)
    assert found.p_value == 1 and found.is_undecided
    # All 20 differences have one sign, as in 2 of 2**20 assignments of signs.
    first = np.where(np.arange(len(TRUTH)) < 20, 0.9, 0.6)
    surer = np.stack([first, 1 - first], axis=1).astype(np.float32)
    assert compare_scores(surer, hard(100), TRUTH).p_value < 0.05


@pytest.mark.parametrize(
    ("better", "p_value", "undecided"), [(0, 0.5, True), (0, 0.01, False), (12, 0.5, False), (12, 0.01, False)]
)
def test_comparison_is_undecided_if_neither_difference_is_significant(
    better: int, p_value: float, undecided: bool
) -> None:
    before = np.array([False] * better + [True] * 80)
    comparison = Comparison(
        correct=80 + better, frozen_correct=80, paired=compare_paired(np.ones_like(before), before),
        cross_entropy=0.2, frozen_cross_entropy=0.3, p_value=p_value,
    )  # fmt: skip
    assert comparison.is_undecided is undecided
