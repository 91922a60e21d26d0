"""Tests of the paired comparison of models: its counts, exact significance test and descriptions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from poets_edge.device.paired import Paired, compare_paired, mcnemar, sign_flip_p_value


def model(worse: int, better: int, photos: int = 1000) -> Paired:
    """Compare a model with a reference that classifies half of the photos correctly."""
    reference = np.arange(photos) % 2 == 0
    right = reference.copy()
    right[: 2 * worse : 2] = False
    right[1 : 2 * better : 2] = True
    return compare_paired(right, reference)


def test_paired_comparison_counts_photos_on_which_models_differ() -> None:
    reference = np.array([1, 1, 1, 1, 0, 0], bool)
    paired = compare_paired(np.array([1, 0, 0, 0, 1, 0], bool), reference)
    assert (paired.photos, paired.worse, paired.better) == (6, 3, 1)
    assert paired.gain == pytest.approx(-100 * 2 / 6)
    with pytest.raises(ValueError, match="6 answers"):
        compare_paired(reference, reference[:5])


@pytest.mark.parametrize(
    ("worse", "better", "p"),
    # From tables of the binomial distribution with p = 1/2.
    [(0, 0, 1.0), (3, 1, 0.625), (5, 0, 0.0625), (0, 6, 0.03125), (5, 5, 1.0), (15, 5, 0.04139), (40, 20, 0.01349)],
)
def test_mcnemar_agrees_with_binomial_tables(worse: int, better: int, p: float) -> None:
    assert model(worse, better).p_value == pytest.approx(p, rel=1e-3)
    assert mcnemar(worse, better) == mcnemar(better, worse) == pytest.approx(p, rel=1e-3)


@pytest.mark.parametrize("each", range(1, 20))
def test_p_value_does_not_exceed_one(each: int) -> None:
    """The probabilities of all sums can add up to 1 + 1e-15 because of rounding errors."""
    assert mcnemar(each, each) <= 1


def test_paired_comparison_treats_predictions_for_one_photo_as_dependent() -> None:
    right, reference = np.zeros(20, int), np.zeros(20, int)
    right[:15], reference[15:] = 1, 1
    once, fourfold = compare_paired(right, reference), compare_paired(4 * right, 4 * reference, repeats=4)
    assert fourfold.p_value == pytest.approx(once.p_value)
    assert (fourfold.worse, fourfold.better, fourfold.gain) == (once.worse, once.better, once.gain)
    # All 2^4 ways to set the signs of 4, 1, 1, 2; four of them, and their opposites, reach a sum of 6 or more.
    uneven = compare_paired(np.array([4, 1, 1, 0, 2]), np.array([0, 0, 0, 0, 0]), repeats=4)
    sums = [sum(signs) for signs in itertools.product((4, -4), (1, -1), (1, -1), (2, -2))]
    assert uneven.p_value == pytest.approx(sum(abs(total) >= 8 for total in sums) / 16)
    assert uneven.gain == pytest.approx(100 * 8 / 20)


def test_paired_comparison_treats_photos_of_a_group_as_dependent() -> None:
    right, reference = np.ones(20, int), np.array([0] * 12 + [1] * 8)
    assert compare_paired(right, reference).p_value < 0.001
    grouped = compare_paired(right, reference, groups=np.array([5] * 10 + [3, 3, *range(10, 18)]))
    assert grouped.p_value == pytest.approx(0.5), "two groups: half of the signs agree"
    assert (grouped.worse, grouped.better) == (0, 12) and grouped.gain == pytest.approx(60)


@pytest.mark.parametrize("repeats", [1, 4])
def test_paired_comparison_rarely_finds_a_difference_between_equal_models(repeats: int) -> None:
    rng = np.random.default_rng(0)
    skill = np.where(rng.random((600, 200)) < 0.2, 0.1, 0.95)  # photos that are hard for both models, and others
    one, other = (rng.binomial(repeats, skill) for _ in range(2))
    different = [not compare_paired(a, b, repeats).could_be_chance for a, b in zip(one, other, strict=True)]
    assert 0 < np.mean(different) <= 0.06


@pytest.mark.parametrize(
    ("paired", "words"),
    [
        (model(3, 1), "loses 0.2 points; 3 photos worse, 1 better; could be chance"),
        (model(1, 30), "gains 2.9 points; 1 photo worse, 30 better; unlikely to be chance (p below 0.001)"),
        (model(15, 5), "loses 1.0 points; 15 photos worse, 5 better; unlikely to be chance (p = 0.041)"),
        (model(4, 4), "no change; 4 photos worse, 4 better; could be chance"),
        (model(0, 0), "right and wrong on the same photos"),
        (model(0, 5), "gains 0.5 points; 0 photos worse, 5 better; could be chance"),
        (model(6, 0), "loses 0.6 points; 6 photos worse, 0 better; unlikely to be chance (p = 0.031)"),
        (Paired(100, 1, 8, 7.0, 0.05), "gains 7.0 points; 1 photo worse, 8 better; unlikely to be chance (p = 0.05)"),
        (Paired(100, 1, 8, 7.0, 0.001), "gains 7.0 points; 1 photo worse, 8 better; unlikely to be chance (p = 0.001)"),
    ],
)
def test_text_of_a_paired_comparison_states_its_result(paired: Paired, words: str) -> None:
    assert str(paired) == words


def test_json_of_a_paired_comparison_has_null_for_an_undefined_gain() -> None:
    nothing = compare_paired(np.zeros(0, bool), np.zeros(0, bool)).to_json()
    assert nothing["gain"] is None and nothing["photos"] == 0 and nothing["could_be_chance"]
    assert model(3, 1).to_json() == {
        "photos": 1000,
        "worse": 3,
        "better": 1,
        "gain": pytest.approx(-0.2),
        "p_value": pytest.approx(0.625),
        "could_be_chance": True,
    }


def test_sign_flip_p_value_agrees_with_an_enumeration_of_all_signs() -> None:
    differences = np.array([0.9, 0.4, -0.2, 0.7, 0.1, 0.3, -0.05, 0.6])
    sums = [abs(float(np.dot(signs, differences))) for signs in itertools.product((-1, 1), repeat=8)]
    exact = float(np.mean(np.array(sums) >= differences.sum() - 1e-12))
    assert 0.01 < exact < 0.05
    assert sign_flip_p_value(differences) == pytest.approx(exact, abs=0.006)
    assert sign_flip_p_value(-differences) == sign_flip_p_value(differences)


def test_sign_flip_p_value_of_equal_values_is_one() -> None:
    assert sign_flip_p_value(np.zeros(5)) == sign_flip_p_value(np.zeros(0)) == 1.0
    assert sign_flip_p_value(np.repeat((-1.0, 1.0), 40)) == 1.0


def test_sign_flip_p_value_is_never_zero() -> None:
    assert sign_flip_p_value(np.ones(60)) == 1 / 10_000


def test_sign_flip_p_value_of_unit_differences_agrees_with_mcnemar() -> None:
    assert sign_flip_p_value(np.repeat((-1.0, 1.0), (5, 15))) == pytest.approx(mcnemar(5, 15), abs=0.006)
