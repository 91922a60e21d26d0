"""Fronts, budgets and choices at their limits: ties, equal latencies, and points exactly on a budget."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.errors import UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.sweep.budget import Budget, parse_budget
from poets_edge.sweep.choice import choose, fastest, indistinguishable, most_accurate
from poets_edge.sweep.points import GridPoint, pareto_front
from poets_edge.sweep.trend import trend
from tests.sweep.test_points import point

NAME = "mobilenet_0.50_160"
NOISY, STEADY = (0.8, 1.28, 1.0), (0.999, 1.0, 1.001)


def front_by_definition(points: list[GridPoint]) -> set[tuple[float, float]]:
    """Return latency and accuracy of the points that no other point dominates."""
    values = {(one.latency.median, one.accuracy) for one in points}
    return {
        (ms, accuracy)
        for ms, accuracy in values
        if not any(other != (ms, accuracy) and other[0] <= ms and other[1] >= accuracy for other in values)
    }


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_pareto_front_agrees_with_definition(values: list[tuple[int, int]]) -> None:
    points = [point(NAME, float(ms), range(wrong)) for ms, wrong in values]
    front = pareto_front(points)
    assert {(one.latency.median, one.accuracy) for one in front} == front_by_definition(points)
    assert len(front) == len(front_by_definition(points))
    assert [one.latency.median for one in front] == sorted(one.latency.median for one in front)


@given(st.permutations([(1, 9), (2, 9), (2, 5), (3, 5), (3, 7), (4, 1)]))
def test_pareto_front_does_not_depend_on_order(values: list[tuple[int, int]]) -> None:
    front = pareto_front([point(NAME, float(ms), range(wrong)) for ms, wrong in values])
    assert [one.latency.median for one in front] == [1, 2, 4]


def test_budget_includes_its_limits() -> None:
    at_limit = point(NAME, 20.0, range(10), megabytes=1.0)
    budget = Budget(latency=20.0, size=1e6, accuracy=0.9)
    assert budget.excess(at_limit) == {}
    assert choose((at_limit,), budget).point == at_limit
    beyond = point(NAME, 20.2, range(11), megabytes=1.1)
    assert budget.excess(beyond) == pytest.approx({"latency": 0.01, "size": 0.1, "accuracy": 1 - 0.89 / 0.9})


def test_choose_nearest_by_largest_excess_and_then_by_latency() -> None:
    budget = Budget(latency=10.0, size=1e6)
    slow = point(NAME, 14.0, range(0), megabytes=0.5)  # 40 % over one limit
    both = point(NAME, 13.0, range(0), megabytes=1.3)  # 30 % over both: the larger one counts, not the sum
    quick = point(NAME, 12.0, range(0), megabytes=1.3)
    assert choose((slow, both), budget).nearest == both
    assert choose((slow, both, quick), budget).nearest == quick
    assert "it takes 13.00 ms and it has 1.30 MB" in choose((slow, both), budget).reason


@pytest.mark.parametrize(
    ("texts", "budget"),
    [
        ((".5s", "10000", "1"), Budget(500, 10_000, 1.0)),
        (("250us", "1.5kB", "100%"), Budget(0.25, 1500, 1.0)),
        (("250µs", "2KiB", "0.5%"), Budget(0.25, 2048, 0.005)),
        (("1 MS", "0.5gb", "50%"), Budget(1.0, 5e8, 0.5)),
    ],
)
def test_parse_budget_converts_every_unit(texts: tuple[str, str, str], budget: Budget) -> None:
    read = parse_budget(*texts)
    assert (read.latency, read.size, read.accuracy) == pytest.approx((budget.latency, budget.size, budget.accuracy))


@pytest.mark.parametrize(
    "texts", [(None, "9999", None), (None, None, "1.01"), (None, None, "101%"), (None, "0MB", None)]
)
def test_parse_budget_refuses_values_beyond_limits(texts: tuple[str | None, ...]) -> None:
    with pytest.raises(UsageError):
        parse_budget(*texts)


def test_fastest_takes_smallest_file_of_tied_points_only() -> None:
    quick = point(NAME, 4.0, range(0), 3.0, NOISY)
    tied = point(NAME, 4.2, range(0), 2.0, NOISY)
    slow = point(NAME, 40.0, range(0), 0.1, NOISY)
    assert fastest((slow, quick, tied)) == tied


def test_fastest_ignores_sizes_within_five_percent() -> None:
    quick, tied = point(NAME, 4.0, range(0), 1.04, NOISY), point(NAME, 4.2, range(0), 1.0, NOISY)
    assert fastest((tied, quick)) == quick
    assert fastest((tied, replace(quick, size=1_060_000))) == tied


@pytest.mark.parametrize(("ratio", "is_equal"), [(1.2, True), (1.3, False), (1 / 1.2, True), (1 / 1.3, False)])
def test_is_as_fast_as_needs_a_ratio_up_to_a_quarter(ratio: float, is_equal: bool) -> None:
    alone = point(NAME, 4.0, range(0), processes=(1.0,))
    other = point(NAME, 4.0 * ratio, range(0), processes=(1.0,))
    assert alone.is_as_fast_as(other) == is_equal


def test_is_as_fast_as_needs_an_insignificant_difference() -> None:
    assert point(NAME, 4.0, range(0), processes=NOISY).is_as_fast_as(point(NAME, 4.2, range(0), processes=NOISY))
    assert not point(NAME, 4.0, range(0), processes=STEADY).is_as_fast_as(point(NAME, 4.2, range(0), processes=STEADY))


def test_most_accurate_prefers_faster_of_equals() -> None:
    slow, quick = point(NAME, 9.0, range(3)), point(NAME, 2.0, range(5, 8))
    assert most_accurate((slow, quick)) == most_accurate((quick, slow)) == quick


def test_indistinguishable_needs_six_photos_in_one_direction() -> None:
    """Exact McNemar: 5 to 0 has p = 2 / 32 = 0.0625, and 6 to 0 has p = 2 / 64 = 0.031."""
    best, near, far = (point(NAME, 1.0, range(wrong)) for wrong in (10, 15, 16))
    assert indistinguishable((far, near, best)) == [near, best]


def test_choose_with_accuracy_alone_takes_fastest_above_it() -> None:
    exact = point(NAME, 3.0, range(20))
    accurate = point(NAME, 5.0, range(0))
    assert choose((accurate, exact), Budget(accuracy=0.8)).point == exact
    assert choose((accurate, exact), Budget(accuracy=0.8, latency=100)).point == accurate


def test_reason_counts_photos_and_speed() -> None:
    best, chosen = point(NAME, 6.0, range(9)), point(NAME, 4.0, [*range(5), *range(20, 26)])
    reason = choose((best, chosen), Budget(size=2e6)).reason
    assert "of 100 photos this one gets 6 wrong that it gets right, and 4 the other way round" in reason
    assert "The most accurate point with at most 2 MB is" in reason and "it is 1.5 times as fast" in reason


def test_point_of_repeated_answers_counts_photos_once() -> None:
    one = replace(point(NAME, 1.0, range(0)), correct=(4, 3, 0, 1), repeats=4)
    assert one.accuracy == pytest.approx(0.5)
    z, n, p = 1.959964, 4, 0.5  # Wilson's formula for four photos, not for sixteen answers
    middle, reach = (p + z**2 / 2 / n), z * math.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    assert one.interval == pytest.approx(tuple((middle + sign * reach) / (1 + z**2 / n) for sign in (-1, 1)))
    assert one.to_json()["photos"] == 4 and one.to_json()["judgments"] == 4
    other = replace(one, correct=(0, 3, 0, 4))
    assert (one.compare(other).worse, one.compare(other).better) == (1, 1)
    assert one.compare(other).gain == pytest.approx(100 * (4 - 3) / 16)


def test_point_publishes_figures_of_its_quantization_and_last_layer() -> None:
    """mobilenet_0.50_160 has a bottleneck of 512 numbers, so its last layer has 513 parameters for each class."""
    int8 = point(NAME, 1.0, range(0))
    float32 = replace(int8, quantization="float32")
    published = architecture(NAME).published
    assert int8.mparams == pytest.approx(published.mparams - 513 * (1001 - 5) / 1e6)
    assert (float32.published_top1, float32.published_ms) == (published.top1, published.pixel3_ms)
    assert (int8.published_top1, int8.published_ms) == (published.quantized_top1, published.quantized_pixel3_ms)
    assert published.top1 != published.quantized_top1 and published.pixel3_ms != published.quantized_pixel3_ms


def test_trend_pools_backwards_and_weighs_by_points() -> None:
    """0.84, 0.80 and 0.75 have a mean of 0.797, which is below the 0.80 before them."""
    points = [point(NAME, 1, range(wrong)) for wrong in (20, 16, 20, 25, 10)]
    assert trend(points) == pytest.approx([(0.80 + 0.84 + 0.80 + 0.75) / 4] * 4 + [0.90])


def test_trend_keeps_rises_and_significant_falls() -> None:
    rising = [point(NAME, 1, range(wrong)) for wrong in (30, 20, 19, 5)]
    assert trend(rising) == pytest.approx([0.70, 0.80, 0.81, 0.95])
    falling = [point(NAME, 1, range(wrong)) for wrong in (5, 15, 30)]
    assert trend(falling) == pytest.approx([0.95, 0.85, 0.70])
    assert trend([]) == []


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_trend_keeps_mean_and_falls_only_if_significant(wrongs: list[int]) -> None:
    points = [point(NAME, 1, range(wrong)) for wrong in wrongs]
    line = trend(points)
    assert len(line) == len(points)
    assert sum(line) == pytest.approx(sum(one.accuracy for one in points))
    for index in range(1, len(line)):
        if line[index] < line[index - 1] - 1e-9:
            assert not points[index].compare(points[index - 1]).could_be_chance
