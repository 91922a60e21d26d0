"""Tests of the rates at which time ratios report false differences or miss true ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from poets_edge.bench.ratios import compare_times

COMPARISONS = 200


def processes(rng: np.random.Generator, spread: float, count: int = 10) -> list[float]:
    """Return simulated times, one per process. Most differ slightly; one process in eight is much slower."""
    slowed = rng.random(count) < 0.125
    return list(2.0 * np.exp(spread * rng.standard_normal(count) + slowed * 2 * spread * rng.random(count)))


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.1])
def test_comparison_of_times_rarely_reports_a_difference_between_equal_distributions(spread: float) -> None:
    rng = np.random.default_rng(0)
    found = [compare_times(processes(rng, spread), processes(rng, spread)) for _ in range(COMPARISONS)]
    assert sum(not ratio.could_be_equal for ratio in found) <= 0.06 * COMPARISONS


def test_compare_times_detects_a_5_percent_slowdown_despite_2_percent_noise() -> None:
    rng = np.random.default_rng(0)
    slow = [
        compare_times(list(1.05 * np.array(processes(rng, 0.02))), processes(rng, 0.02)) for _ in range(COMPARISONS)
    ]
    assert sum(ratio.verdict == "slower" for ratio in slow) >= 0.95 * COMPARISONS


def test_verdict_of_a_comparison_of_times_depends_on_the_interval() -> None:
    rng = np.random.default_rng(0)
    assert compare_times([2.0, 2.01, 1.99, 2.0], [1.99, 2.0, 2.01, 2.01]).verdict == "no difference"
    assert compare_times([1.0, 2.0, 1.5], [1.2, 1.9, 1.4]).verdict == "cannot tell"
    alone = compare_times([2.0], processes(rng, 0.005))
    assert alone.verdict == "cannot tell"
    assert alone.to_json()["high"] is None
    steady = compare_times([2.0, 2.0], [1.0, 1.0])
    assert (steady.ratio, steady.low, steady.high) == pytest.approx((2.0, 2.0, 2.0))
    assert math.isclose(compare_times([1.0, 1.1], [2.0, 2.2]).ratio, 0.5)
