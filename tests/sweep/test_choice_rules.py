"""Tests of Pareto fronts, budgets, choices and trends in edge cases: ties, equal latencies, models on a limit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.errors import UsageError, WrongTypeError
from poets_edge.exporting.microcontroller.boards import board
from poets_edge.exporting.microcontroller.fitting import MicroCost
from poets_edge.nets.architectures import architecture
from poets_edge.sweep.budget import Budget, parse_budget
from poets_edge.sweep.choice import choose, indistinguishable, most_accurate, smallest_of_fastest
from poets_edge.sweep.points import GridPoint, pareto_front
from poets_edge.sweep.trend import trend
from tests.sweep.test_points import point

NAME = "mobilenet_0.50_160"
NOISY, STEADY = (0.8, 1.28, 1.0), (0.999, 1.0, 1.001)


def front_by_definition(points: list[GridPoint]) -> set[tuple[float, float]]:
    """Return (latency, accuracy) of the Pareto-optimal models, found by comparing all pairs of models."""
    values = {(one.latency.median, one.accuracy) for one in points}
    return {
        (ms, accuracy)
        for ms, accuracy in values
        if not any(other != (ms, accuracy) and other[0] <= ms and other[1] >= accuracy for other in values)
    }


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_pareto_front_equals_the_front_found_by_brute_force(values: list[tuple[int, int]]) -> None:
    points = [point(NAME, float(ms), range(wrong)) for ms, wrong in values]
    front = pareto_front(points)
    assert {(one.latency.median, one.accuracy) for one in front} == front_by_definition(points)
    assert len(front) == len(front_by_definition(points))
    assert [one.latency.median for one in front] == sorted(one.latency.median for one in front)


@given(st.permutations([(1, 9), (2, 9), (2, 5), (3, 5), (3, 7), (4, 1)]))
def test_pareto_front_is_independent_of_the_order_of_models(values: list[tuple[int, int]]) -> None:
    front = pareto_front([point(NAME, float(ms), range(wrong)) for ms, wrong in values])
    assert [one.latency.median for one in front] == [1, 2, 4]


def test_budget_accepts_models_exactly_at_its_limits() -> None:
    at_limit = point(NAME, 20.0, range(10), megabytes=1.0)
    budget = Budget(latency=20.0, size=1e6, accuracy=0.9)
    assert budget.violations(at_limit) == {}
    assert choose((at_limit,), budget).point == at_limit
    beyond = point(NAME, 20.2, range(11), megabytes=1.1)
    assert budget.violations(beyond) == pytest.approx({"latency": 0.01, "size": 0.1, "accuracy": 1 - 0.89 / 0.9})


def test_nearest_model_minimizes_the_largest_violation_and_then_the_latency() -> None:
    budget = Budget(latency=10.0, size=1e6)
    slow = point(NAME, 14.0, range(0), megabytes=0.5)  # 40 % over one limit
    both = point(NAME, 13.0, range(0), megabytes=1.3)  # 30 % over both limits; excesses are not added
    quick = point(NAME, 12.0, range(0), megabytes=1.3)
    assert choose((slow, both), budget).nearest == both
    assert choose((slow, both, quick), budget).nearest == quick
    assert "it takes 13.00 ms and it has 1.30 MB" in choose((slow, both), budget).reason
    uneven = point(NAME, 14.0, range(0), megabytes=1.01)  # 40 % over one limit, 1 % over the other
    assert choose((uneven, both), budget).nearest == both


@pytest.mark.parametrize(
    ("arena", "size", "excess"),
    [(1000, 5000, None), (1001, 5000, 0.001), (1000, 5050, 0.01), (1500, 6000, 0.5), (1100, 7500, 0.5)],
)
def test_board_in_a_budget_limits_memory_and_flash(arena: int, size: int, excess: float | None) -> None:
    budget = Budget(board=replace(board("nano33"), memory=1000, flash=5000))
    measured = replace(point(NAME, 1.0, range(0)), cost=MicroCost(arena=arena, size=size, gray_arena=arena))
    assert budget.fits_board(measured) == (excess is None)
    assert budget.violations(measured) == ({} if excess is None else {"board": pytest.approx(excess)})


def test_budget_with_board_excludes_models_whose_memory_is_unknown() -> None:
    assert Budget(board=board("nano33")).violations(point(NAME, 1.0, range(0))) == {"board": math.inf}


@pytest.mark.parametrize(
    ("texts", "budget"),
    [
        ((".5s", "10000", "1"), Budget(500, 10_000, 1.0)),
        (("250us", "1.5kB", "100%"), Budget(0.25, 1500, 1.0)),
        (("250µs", "2KiB", "0.5%"), Budget(0.25, 2048, 0.005)),
        (("1 MS", "0.5gb", "50%"), Budget(1.0, 5e8, 0.5)),
        ((" 2 ms ", " 1MB\n", " 50 %"), Budget(2.0, 1e6, 0.5)),
    ],
)
def test_every_unit_in_a_budget_is_converted(texts: tuple[str, str, str], budget: Budget) -> None:
    read = parse_budget(*texts)
    assert (read.latency, read.size, read.accuracy) == pytest.approx((budget.latency, budget.size, budget.accuracy))


@pytest.mark.parametrize(
    ("size", "size_in_bytes"),
    [
        ("20000B", 20_000), ("20000", 20_000), ("3kB", 3000), ("2KB", 2000), ("2MB", 2_000_000), ("2GB", 2_000_000_000),
        ("2KiB", 2048), ("2MiB", 2 * 1024 * 1024),
    ],
)  # fmt: skip
def test_sizes_in_a_budget_are_converted_exactly(size: str, size_in_bytes: int) -> None:
    assert parse_budget(None, size, None).size == size_in_bytes


@pytest.mark.parametrize(("latency", "milliseconds"), [("3", 3), ("3ms", 3), ("3s", 3000)])
def test_latencies_in_a_budget_are_converted_exactly(latency: str, milliseconds: float) -> None:
    assert parse_budget(latency, None, None).latency == milliseconds


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (Budget(), "no limits"),
        (Budget(latency=20), "at most 20 ms"),
        (Budget(size=123_456_700), "at most 123.457 MB"),
        (Budget(size=2_000_000_000), "at most 2000 MB"),
        (Budget(accuracy=0.875), "at least 87.5 % accuracy"),
        (Budget(2.5, 1e6, 0.5), "at most 2.5 ms, at most 1 MB, at least 50 % accuracy"),
    ],
)
def test_budget_converted_to_text_lists_its_limits(budget: Budget, text: str) -> None:
    assert str(budget) == text


def test_budget_rejects_limits_of_a_wrong_type() -> None:
    with pytest.raises(WrongTypeError, match="latency"):
        Budget(latency="20ms")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "texts", [(None, "9999", None), (None, None, "1.01"), (None, None, "101%"), (None, "0MB", None)]
)
def test_values_out_of_range_in_a_budget_are_rejected(texts: tuple[str | None, ...]) -> None:
    with pytest.raises(UsageError):
        parse_budget(*texts)


def test_smallest_of_equally_fast_models_counts_as_the_fastest() -> None:
    quick = point(NAME, 4.0, range(0), 3.0, NOISY)
    tied = point(NAME, 4.2, range(0), 2.0, NOISY)
    slow = point(NAME, 40.0, range(0), 0.1, NOISY)
    assert smallest_of_fastest((slow, quick, tied)) == tied


def test_size_differences_up_to_5_percent_are_ignored_for_equally_fast_models() -> None:
    quick, tied = point(NAME, 4.0, range(0), 1.04, NOISY), point(NAME, 4.2, range(0), 1.0, NOISY)
    assert smallest_of_fastest((tied, quick)) == quick
    assert smallest_of_fastest((tied, replace(quick, size=1_060_000))) == tied


@pytest.mark.parametrize(("ratio", "is_equal"), [(1.2, True), (1.3, False), (1 / 1.2, True), (1 / 1.3, False)])
def test_models_are_equally_fast_only_if_latencies_are_within_25_percent(ratio: float, is_equal: bool) -> None:
    alone = point(NAME, 4.0, range(0), processes=(1.0,))
    other = point(NAME, 4.0 * ratio, range(0), processes=(1.0,))
    assert alone.is_as_fast_as(other) == is_equal


def test_models_are_equally_fast_only_if_the_difference_is_insignificant() -> None:
    assert point(NAME, 4.0, range(0), processes=NOISY).is_as_fast_as(point(NAME, 4.2, range(0), processes=NOISY))
    assert not point(NAME, 4.0, range(0), processes=STEADY).is_as_fast_as(point(NAME, 4.2, range(0), processes=STEADY))


def test_faster_of_two_equally_accurate_models_is_preferred() -> None:
    slow, quick = point(NAME, 9.0, range(3)), point(NAME, 2.0, range(5, 8))
    assert most_accurate((slow, quick)) == most_accurate((quick, slow)) == quick


def test_model_with_six_more_errors_is_significantly_worse_than_the_best() -> None:
    """The exact McNemar test gives p = 2 / 32 = 0.0625 for 5 to 0 photos, and p = 2 / 64 = 0.031 for 6 to 0."""
    best, near, far = (point(NAME, 1.0, range(wrong)) for wrong in (10, 15, 16))
    assert indistinguishable((far, near, best)) == [near, best]


def test_fastest_model_is_chosen_if_the_budget_limits_only_the_accuracy() -> None:
    exact = point(NAME, 3.0, range(20))
    accurate = point(NAME, 5.0, range(0))
    assert choose((accurate, exact), Budget(accuracy=0.8)).point == exact
    assert choose((accurate, exact), Budget(accuracy=0.8, latency=100)).point == accurate


def test_reason_for_the_choice_states_differing_predictions_and_speedup() -> None:
    best, chosen = point(NAME, 6.0, range(9)), point(NAME, 4.0, [*range(5), *range(20, 26)])
    reason = choose((best, chosen), Budget(size=2e6)).reason
    assert "classifies 4 correctly that the other misclassifies, and misclassifies 6 that the other does not" in reason
    assert "The most accurate point with at most 2 MB is" in reason and "it is 1.5 times as fast" in reason


def test_grid_point_interval_counts_repeatedly_evaluated_photos_once() -> None:
    one = replace(point(NAME, 1.0, range(0)), correct=(4, 3, 0, 1), repeats=4)
    assert one.accuracy == pytest.approx(0.5)
    z, n, p = 1.959964, 4, 0.5  # Wilson's formula for 4 photos, not for 16 predictions
    middle, reach = (p + z**2 / 2 / n), z * math.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    assert one.interval == pytest.approx(tuple((middle + sign * reach) / (1 + z**2 / n) for sign in (-1, 1)))
    assert one.to_json()["photos"] == 4 and one.to_json()["judgments"] == 4
    other = replace(one, correct=(0, 3, 0, 4))
    assert (one.compare(other).worse, one.compare(other).better) == (1, 1)
    assert one.compare(other).gain == pytest.approx(100 * (4 - 3) / 16)


def test_grid_point_uses_parameter_count_and_published_values_of_the_exported_model() -> None:
    """The bottleneck size of mobilenet_0.50_160 is 512, so the last layer has 513 parameters per class."""
    int8 = point(NAME, 1.0, range(0))
    float32 = replace(int8, quantization="float32")
    published = architecture(NAME).published
    assert published is not None
    assert int8.mparams == pytest.approx(architecture(NAME).mparams - 513 * (1001 - 5) / 1e6)
    assert (float32.published_top1, float32.published_ms) == (published.top1, published.pixel3_ms)
    assert (int8.published_top1, int8.published_ms) == (published.quantized_top1, published.quantized_pixel3_ms)
    assert published.top1 != published.quantized_top1 and published.pixel3_ms != published.quantized_pixel3_ms


def test_trend_averages_adjacent_points_until_it_no_longer_decreases() -> None:
    """The mean of 0.84, 0.80 and 0.75 is 0.797, which is lower than the preceding 0.80."""
    points = [point(NAME, 1, range(wrong)) for wrong in (20, 16, 20, 25, 10)]
    assert trend(points) == pytest.approx([(0.80 + 0.84 + 0.80 + 0.75) / 4] * 4 + [0.90])


def test_trend_preserves_increases_and_significant_decreases() -> None:
    rising = [point(NAME, 1, range(wrong)) for wrong in (30, 20, 19, 5)]
    assert trend(rising) == pytest.approx([0.70, 0.80, 0.81, 0.95])
    falling = [point(NAME, 1, range(wrong)) for wrong in (5, 15, 30)]
    assert trend(falling) == pytest.approx([0.95, 0.85, 0.70])
    assert trend([]) == []


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_trend_preserves_the_mean_and_ignores_insignificant_decreases(wrongs: list[int]) -> None:
    points = [point(NAME, 1, range(wrong)) for wrong in wrongs]
    line = trend(points)
    assert len(line) == len(points)
    assert sum(line) == pytest.approx(sum(one.accuracy for one in points))
    for index in range(1, len(line)):
        if line[index] < line[index - 1] - 1e-9:
            assert not points[index].compare(points[index - 1]).could_be_chance


def test_fastest_model_is_not_chosen_if_the_budget_limits_latency_or_size() -> None:
    fast, accurate = point(NAME, 1.0, range(40), megabytes=1.0), point(NAME, 4.0, range(5), megabytes=1.0)
    assert choose((fast, accurate), Budget(accuracy=0.5)).point == fast
    for budget in (Budget(), Budget(accuracy=0.5, latency=9.0), Budget(accuracy=0.5, size=5e6), Budget(size=5e6)):
        assert choose((fast, accurate), budget).point == accurate
