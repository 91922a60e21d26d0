"""Tests of the exact wording of the reasons for a choice, and of the tie-breaking rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poets_edge.sweep.budget import Budget
from poets_edge.sweep.choice import choose, cross_validation_contenders, figures, smallest_of_fastest
from poets_edge.sweep.points import GridPoint
from tests.sweep.test_points import point

SLIM, WIDE = "mobilenet_0.25_128", "mobilenet_0.50_160"
NOISY = (0.8, 1.28, 1.0)


@pytest.mark.parametrize(
    ("size", "text"), [(980_400, "86.0 % in 3.14 ms, 0.98 MB"), (20_000_000_000, "86.0 % in 3.14 ms, 20000.00 MB")]
)
def test_figures_formats_accuracy_latency_and_size_of_a_model(size: int, text: str) -> None:
    assert figures(replace(point(SLIM, 3.14, range(14)), size=size)) == text


BEST = point(WIDE, 2.0, range(5), 2.0)


@pytest.mark.parametrize(
    ("others", "budget", "reason"),
    [
        ([], Budget(), "the only point."),
        ([], Budget(latency=9), "the only point with at most 9 ms."),
        ([point(SLIM, 1.0, range(40))], Budget(), "the most accurate of all 2 points."),
        ([point(SLIM, 1.0, range(40))], Budget(latency=9), "the most accurate of the 2 points with at most 9 ms."),
        (
            [point(SLIM, 3.0, range(6))],
            Budget(),
            "the most accurate of all 2 points, and no other that may be as accurate is faster.",
        ),
        (
            [point(SLIM, 3.0, range(6)), point(SLIM, 4.0, range(7))],
            Budget(),
            "the most accurate of all 3 points, and no other that may be as accurate is faster.",
        ),
        (
            [point(SLIM, 1.99, range(40))],
            Budget(accuracy=0.9),
            "the only point with at least 90 % accuracy.",
        ),
        (
            [point(SLIM, 3.0, range(6))],
            Budget(accuracy=0.9),
            "the fastest of the 2 points with at least 90 % accuracy.",
        ),
    ],
)
def test_reason_states_the_rank_of_the_chosen_model(others: list[GridPoint], budget: Budget, reason: str) -> None:
    choice = choose([*others, BEST], budget)
    assert choice.point == BEST
    assert choice.reason == f"{WIDE} int8: 95.0 % in 2.00 ms, 2.00 MB, {reason}"


def test_reason_states_that_the_chosen_model_is_smaller_than_an_equally_fast_one() -> None:
    quick = point(SLIM, 4.0, range(3), 3.0, NOISY)
    small = point(WIDE, 4.1, range(2), 1.0, NOISY)
    assert choose((quick, small), Budget()).reason.endswith(
        f"is faster (not significantly slower than {SLIM} int8, and a smaller file)."
    )


@pytest.mark.parametrize(
    ("best_ms", "megabytes", "gain"),
    [
        (6.0, 1.0, "is 1.5 times as fast"),
        (4.6, 1.0, "is 1.1 times as fast"),
        (4.4, 1.0, "is 1.10 times as fast"),
        (4.2, 1.0, "is 1.05 times as fast"),
        (4.04, 1.0, "is not significantly slower and has a smaller file (1.00 MB)"),
        (4.04, 2.0, "is 1.01 times as fast"),
        (4.04, 2.05, "is 1.01 times as fast"),
    ],
)
def test_reason_for_the_choice_states_the_advantage_over_the_most_accurate_model(
    best_ms: float, megabytes: float, gain: str
) -> None:
    best, chosen = point(WIDE, best_ms, range(5), 2.0), point(SLIM, 4.0, range(5, 12), megabytes)
    choice = choose((best, chosen), Budget())
    assert choice.point == chosen
    assert choice.reason == (
        f"{SLIM} int8: 93.0 % in 4.00 ms, {megabytes:.2f} MB. The most accurate point is {WIDE} int8"
        f" (95.0 % in {best_ms:.2f} ms, 2.00 MB). Of 100 photos, the chosen point classifies 5 correctly that the other"
        f" misclassifies, and misclassifies 7 that the other does not, which could be chance; it {gain}."
    )


def test_reason_for_a_choice_counts_repeatedly_evaluated_photos_once() -> None:
    best = replace(point(WIDE, 6.0, range(0)), correct=(4, 4, 3, 0), repeats=4)
    chosen = replace(point(SLIM, 4.0, range(0)), correct=(4, 3, 1, 1), repeats=4)
    reason = choose((best, chosen), Budget()).reason
    assert "Of 4 photos, the chosen point classifies 1 correctly more often than the other, and 2 less often" in reason


@pytest.mark.parametrize(
    ("budget", "misses"),
    [
        (Budget(latency=1), "it takes 2.00 ms"),
        (Budget(size=1e6), "it has 20000.00 MB"),
        (Budget(accuracy=0.99), "it reaches 95.0 %"),
        (Budget(1, 1e6, 0.99), "it takes 2.00 ms and it has 20000.00 MB and it reaches 95.0 %"),
    ],
)
def test_reason_states_by_how_much_the_nearest_model_exceeds_the_budget(budget: Budget, misses: str) -> None:
    choice = choose((replace(BEST, size=20_000_000_000),), budget)
    assert choice.point is None
    assert choice.reason == f"the only point does not have {budget}. The nearest is {WIDE} int8: {misses}."


def test_fastest_model_may_have_a_file_up_to_five_percent_larger_than_the_smallest() -> None:
    small, large = (point(SLIM, ms, range(0), processes=NOISY) for ms in (4.2, 4.0))
    limits = [replace(large, size=size) for size in (1_050_000, 1_050_001, 2_000_000)]
    assert [smallest_of_fastest((replace(small, size=1_000_000), one)) == one for one in limits] == [True, False, False]


def validated(name: str, milliseconds: float, wrong: int, wrong_in_validation: int) -> GridPoint:
    """Return a grid point (model) that was evaluated on 100 test photos, and by cross-validation on 50 other photos."""
    answers = tuple(int(photo >= wrong_in_validation) for photo in range(50))
    return replace(point(name, milliseconds, range(wrong)), cross_validated=answers)


def test_reason_states_that_cross_validation_decided_between_the_models() -> None:
    fast, accurate, between = validated(SLIM, 1.0, 6, 20), validated(WIDE, 2.0, 5, 1), validated(WIDE, 3.0, 7, 2)
    choice = choose((fast, accurate, between), Budget())
    assert choice.point == accurate
    assert choice.reason.endswith(
        " The 100 photos of the test set cannot tell 3 points apart; cross-validation within the 50 training and"
        " validation photos decided between them and ruled out 1."
    )
    assert "cross-validation" not in choose((accurate, between), Budget()).reason


def test_models_significantly_worse_in_cross_validation_are_no_longer_contenders() -> None:
    slow, fast = validated(SLIM, 3.0, 5, 4), validated(WIDE, 2.0, 5, 4)
    assert cross_validation_contenders((slow, fast)) == [slow, fast]
    worse = validated(SLIM, 1.0, 5, 10)
    assert cross_validation_contenders((worse, slow)) == [slow], "six photos worse and none better"
    nearly = validated(SLIM, 1.0, 5, 9)
    assert cross_validation_contenders((nearly, slow)) == [nearly, slow]


def test_contenders_are_compared_with_the_faster_of_two_equally_accurate_models() -> None:
    """The third model differs significantly from the slower model (6 to 0), and not from the faster one (10 to 4)."""

    def missing(milliseconds: float, *wrong: int) -> GridPoint:
        answers = tuple(int(photo not in wrong) for photo in range(50))
        return replace(point(SLIM, milliseconds, range(5)), cross_validated=answers)

    slow, fast = missing(2.0, 10, 11, 12, 13), missing(1.0, 0, 1, 2, 3)
    third = missing(3.0, 10, 11, 12, 13, *range(20, 26))
    assert cross_validation_contenders((slow, fast, third)) == [slow, fast, third]
    assert cross_validation_contenders((slow, third)) == [slow]


def test_reason_counts_photos_that_one_model_classifies_correctly_more_often() -> None:
    best = replace(point(WIDE, 6.0, range(0)), correct=(2, 2, 2, 0), repeats=2)
    chosen = replace(point(SLIM, 4.0, range(0)), correct=(2, 1, 1, 1), repeats=2)
    reason = choose((best, chosen), Budget()).reason
    assert "classifies 1 correctly more often than the other, and 2 less often" in reason


def test_reason_does_not_mention_models_that_cross_validation_has_ruled_out() -> None:
    best, ruled_out = validated(WIDE, 2.0, 5, 1), validated(SLIM, 3.0, 6, 20)
    reason = choose((best, ruled_out), Budget()).reason
    assert "no other that may be as accurate" not in reason and "ruled out 1" in reason


def test_significantly_slower_points_are_not_among_the_fastest() -> None:
    """A point that is 10 % slower in all processes is not as fast, although the ratio is below 1.25."""
    steady = (0.999, 1.0, 1.001)
    quick, small = point(WIDE, 4.0, range(0), 3.0, steady), point(SLIM, 4.4, range(0), 1.0, steady)
    assert smallest_of_fastest((quick, small)) == quick
