"""Tests that intervals of time ratios agree with published tables and with an enumeration of all rank orders."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.bench.ratios import TimeRatio, compare_times

TAIL = 0.01
"""Probability of each tail outside a 98 % confidence interval."""


def enumerated_interval(times: list[float], reference: list[float]) -> tuple[float, float]:
    """Return the smallest and the largest ratio, among all pairs of processes, that the exact rank test accepts."""
    one, other = len(times), len(reference)
    statistics = [sum(ranks) - one * (one - 1) // 2 for ranks in itertools.combinations(range(one + other), one)]
    rejected = next(k for k in itertools.count() if np.mean([value <= k for value in statistics]) > TAIL)
    ratios = sorted(a / b for a in times for b in reference)
    return ratios[rejected - 1], ratios[len(ratios) - rejected]


# With 3 and 22 processes, a probability is exactly 1 %.
@pytest.mark.parametrize(("one", "other"), [(4, 5), (5, 5), (5, 7), (7, 4), (6, 6), (3, 22)])
def test_interval_of_time_ratio_agrees_with_an_enumeration_of_ranks(one: int, other: int) -> None:
    rng = np.random.default_rng(one * other)
    times, reference = (list(rng.uniform(1, 3, count)) for count in (one, other))
    found = compare_times(times, reference)
    assert (found.low, found.high) == pytest.approx(enumerated_interval(times, reference))
    assert found.ratio == pytest.approx(math.exp(np.median([math.log(a / b) for a in times for b in reference])))


@pytest.mark.parametrize(("count", "critical"), [(5, 1), (6, 3), (7, 6), (8, 9), (9, 14), (10, 19), (20, 114)])
def test_interval_of_time_ratio_uses_critical_values_of_mann_and_whitney(count: int, critical: int) -> None:
    """`critical` is the published critical value of U for a tail of 1 %; U + 1 pairs are at or beyond each bound."""
    rng = np.random.default_rng(count)
    times, reference = (list(rng.uniform(1, 3, count)) for _ in range(2))
    ratios = sorted(a / b for a in times for b in reference)
    found = compare_times(times, reference)
    assert (found.low, found.high) == pytest.approx((ratios[critical], ratios[-critical - 1]))


def test_comparison_of_times_uses_the_normal_approximation_for_many_processes() -> None:
    """For 50 and 45 processes: 1125 - 2.3263 sqrt(50 * 45 * 96 / 12) = 812.9."""
    rng = np.random.default_rng(0)
    times, reference = list(rng.uniform(1, 3, 50)), list(rng.uniform(1, 3, 45))
    ratios = sorted(a / b for a in times for b in reference)
    found = compare_times(times, reference)
    assert (found.low, found.high) == pytest.approx((ratios[811], ratios[-812]))


@pytest.mark.parametrize(
    ("reference", "quantile"),
    [
        ([1.0, 1.1, 1.2, 1.3], 3.1427),  # equal variances: 6 degrees of freedom
        ([1.15, 1.15, 1.15, 1.15], 4.5407),  # no variance in the reference: 3 degrees of freedom
    ],
)
def test_comparison_of_times_uses_welchs_interval_for_four_processes(reference: list[float], quantile: float) -> None:
    times = [0.0, 0.1, 0.2, 0.3]  # logarithms; their variance is 1/60
    error = math.sqrt((1 / 60 + np.var(reference, ddof=1)) / 4)
    found = compare_times(list(np.exp(times)), list(np.exp(reference)))
    assert math.log(found.ratio) == pytest.approx(-1.0)
    assert math.log(found.low) == pytest.approx(-1 - quantile * error, rel=0.01)
    assert math.log(found.high) == pytest.approx(-1 + quantile * error, abs=0.02 * quantile * error)


def test_welchs_degrees_of_freedom_depend_on_the_size_of_each_sample() -> None:
    """Both means have the variance 0.01, so that the degrees of freedom are 4 / (1 / 1 + 1 / 3) = 3."""
    times, reference = [-0.1, 0.1], [0.1 * math.sqrt(12 / 5) * step for step in (-1.5, -0.5, 0.5, 1.5)]
    found = compare_times(list(np.exp(times)), list(np.exp(reference)))
    assert math.log(found.high) == pytest.approx(4.5407 * math.sqrt(0.02), rel=0.02)
    assert math.log(found.low) == pytest.approx(-4.5407 * math.sqrt(0.02), rel=0.02)


processes = st.lists(st.floats(0.1, 100), min_size=1, max_size=9)


@given(processes, processes)
def test_comparison_of_times_with_swapped_arguments_returns_the_inverse_ratio(
    times: list[float], reference: list[float]
) -> None:
    forward, backward = compare_times(times, reference), compare_times(reference, times)
    assert forward.ratio == pytest.approx(1 / backward.ratio)
    assert forward.low == pytest.approx(1 / backward.high if backward.high < math.inf else 0)
    assert forward.low <= forward.ratio * (1 + 1e-9) and forward.ratio <= forward.high * (1 + 1e-9)


@given(processes, processes)
def test_comparison_does_not_depend_on_the_order_or_the_unit_of_the_times(
    times: list[float], reference: list[float]
) -> None:
    expected = compare_times(times, reference)
    found = compare_times([1000 * value for value in reversed(times)], [1000 * value for value in sorted(reference)])
    assert (found.ratio, found.low, found.high) == pytest.approx((expected.ratio, expected.low, expected.high))


@pytest.mark.parametrize(
    ("low", "ratio", "high", "verdict"),
    [
        (0.96, 1.0, 1.04, "no difference"),
        (0.96, 1.0, 1.06, "cannot tell"),
        (0.95, 1.0, 1.04, "cannot tell"),  # 1 / 1.05 = 0.952
        (1.0, 1.02, 1.04, "no difference"),
        (1.001, 1.02, 1.04, "slower"),
        (0.9, 0.95, 0.999, "faster"),
    ],
)
def test_verdict_of_a_time_ratio_depends_on_its_confidence_interval(
    low: float, ratio: float, high: float, verdict: str
) -> None:
    assert TimeRatio(ratio, low, high).verdict == verdict
