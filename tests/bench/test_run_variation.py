"""Tests of the comparison of separate runs of `benchmark`, with simulated runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from poets_edge.bench.ratios import compare_times
from poets_edge.bench.run_variation import (
    QUIET_VARIATION,
    RELATIVE_VARIATION,
    compare_runs,
    kernel_ratio,
    relative_times,
    run_variation,
)

PAIRS = 400
ROUNDS = 30


def quiet_run(rng: Any, scale: float = 1.0) -> list[float]:
    """Return times that vary by 1.5 % between processes and by 0.7 % between runs, as on a quiet machine.

    One process in ten is disturbed.
    """
    disturbed = np.where(rng.random(ROUNDS) < 0.1, rng.exponential(0.1, ROUNDS), 0)
    logs = 0.007 * rng.standard_normal() + 0.015 * rng.standard_normal(ROUNDS) + disturbed
    return [float(value) for value in scale * np.exp(logs)]


def drifting_run(rng: Any) -> list[float]:
    """Return times on a machine whose speed drifts by 3 % within a run and by 1.5 % between runs."""
    wander = 0.03 * np.interp(np.arange(ROUNDS), np.linspace(0, ROUNDS, 7), rng.standard_normal(7))
    offset = 0.015 * rng.standard_normal()
    return [float(value) for value in np.exp(offset + wander + 0.015 * rng.standard_normal(ROUNDS))]


def test_compare_runs_reports_a_false_difference_for_at_most_5_percent_of_quiet_runs() -> None:
    rng = np.random.default_rng(0)
    pairs = [(quiet_run(rng), quiet_run(rng)) for _ in range(PAIRS)]
    assert sum(not compare_runs(*pair).could_be_equal for pair in pairs) <= 0.05 * PAIRS
    assert sum(not compare_times(*pair).could_be_equal for pair in pairs) > 0.2 * PAIRS, "the processes alone mislead"


def test_comparison_of_runs_detects_a_5_percent_slowdown_on_a_quiet_machine() -> None:
    rng = np.random.default_rng(1)
    verdicts = [compare_runs(quiet_run(rng, 1.05), quiet_run(rng)).verdict for _ in range(PAIRS)]
    assert verdicts.count("slower") >= 0.95 * PAIRS and "faster" not in verdicts


def test_comparison_of_runs_rarely_reports_a_difference_on_a_drifting_machine() -> None:
    rng = np.random.default_rng(2)
    different = [not compare_runs(drifting_run(rng), drifting_run(rng)).could_be_equal for _ in range(PAIRS)]
    assert np.mean(different) <= 0.05


def test_compare_runs_detects_a_5_percent_slowdown_relative_to_the_reference_kernel() -> None:
    """The machine is up to 2.5 % faster or slower in a run. Without the kernel, one slowdown in six is missed."""
    rng = np.random.default_rng(4)

    def run(scale: float) -> tuple[list[float], list[float]]:
        speed = rng.uniform(0.975, 1.025)
        return [speed * time for time in steady_run(rng, scale)], [speed * time for time in steady_run(rng)]

    pairs = [(run(1.05), run(1)) for _ in range(PAIRS)]
    relative = [(relative_times(*one), relative_times(*other)) for one, other in pairs]
    found = [compare_runs(one, other, RELATIVE_VARIATION).verdict for one, other in relative]
    assert found.count("slower") >= 0.95 * PAIRS
    assert sum(compare_runs(one[0], other[0]).verdict == "slower" for one, other in pairs) < 0.9 * PAIRS
    equal = [(relative_times(*run(1)), relative_times(*run(1))) for _ in range(PAIRS)]
    different = sum(not compare_runs(one, other, RELATIVE_VARIATION).could_be_equal for one, other in equal)
    assert different <= 0.05 * PAIRS


def test_comparison_of_runs_ignores_drift_if_the_variation_is_specified() -> None:
    """Disturbances of a tenth of the processes in one part of a run would otherwise widen the interval."""
    times = np.exp(0.01 * np.random.default_rng(5).standard_normal(ROUNDS))
    times[6:12] *= 0.9
    slowed = [1.05 * time for time in times]
    assert compare_runs(slowed, times.tolist()).verdict != "slower", "the drift is estimated"
    assert compare_runs(slowed, times.tolist(), RELATIVE_VARIATION).verdict == "slower"
    exact = compare_runs([1.05] * ROUNDS, [1.0] * ROUNDS, 0.01)
    assert exact.low == pytest.approx(1.05 * np.exp(-2.326 * 0.01 * 2**0.5), 1e-4), "a confidence level of 98 %"


def steady_run(rng: Any, scale: float = 1.0) -> list[float]:
    """Return times that vary by 1.5 % between processes and by 0.25 % between runs."""
    return [float(one) for one in scale * np.exp(0.0025 * rng.standard_normal() + 0.015 * rng.standard_normal(ROUNDS))]


def test_kernel_ratio_is_none_if_kernel_times_are_missing_or_differ_too_much() -> None:
    assert kernel_ratio([1.0, 1.05, 9.0], [1.0, 1.0, 1.0]) == 1.05
    assert kernel_ratio([0.95] * 3, [1.0] * 3) == 0.95
    assert kernel_ratio([1.0], []) is None and kernel_ratio([], [1.0]) is None
    assert kernel_ratio([1.59], [1.0]) == 1.59
    assert kernel_ratio([1.61], [1.0]) is None and kernel_ratio([1.0], [1.61]) is None


@pytest.mark.parametrize("count", [2, 14, 30])
def test_run_variation_of_equal_times_is_the_constant_for_a_quiet_machine(count: int) -> None:
    assert run_variation([1.0] * count) == QUIET_VARIATION


@pytest.mark.parametrize("disturbed", [range(5), range(12, 18), (1, 2, 3, 20, 21, 22)])
def test_run_variation_ignores_temporary_slowdowns_by_other_load(disturbed: Sequence[int]) -> None:
    """Several successive processes take 1.5 times as long, because another virtual machine uses the core."""
    times = np.exp(0.02 * np.random.default_rng(0).standard_normal(ROUNDS))
    undisturbed = times.copy()
    times[list(disturbed)] *= 1.5
    assert run_variation(times.tolist()) == run_variation(undisturbed.tolist()) == QUIET_VARIATION


def test_run_variation_measures_drift_between_parts_of_a_run() -> None:
    times = np.repeat(np.exp([0.0, 0.1, 0.2, 0.3, 0.4]), 6)
    assert run_variation(times.tolist()) == pytest.approx(1.245 * np.std([0, 0.1, 0.2, 0.3, 0.4], ddof=1), rel=0.01)


def test_compare_runs_widens_the_interval_of_compare_times_and_keeps_its_ratio() -> None:
    rng = np.random.default_rng(3)
    one, other = quiet_run(rng), quiet_run(rng)
    narrow, wide = compare_times(one, other), compare_runs(one, other)
    assert wide.ratio == narrow.ratio and wide.low < narrow.low and wide.high > narrow.high
    assert compare_runs([1.0], other).high == float("inf")


def test_run_variation_needs_fifteen_processes_to_measure_drift() -> None:
    times = np.repeat(np.exp([0.0, 0.1, 0.2, 0.3, 0.4]), 3)
    assert run_variation(times.tolist()) == pytest.approx(1.245 * np.std([0, 0.1, 0.2, 0.3, 0.4], ddof=1), rel=0.01)
    assert run_variation(times.tolist()[:-1]) == QUIET_VARIATION, "fewer than three processes a part"


@pytest.mark.parametrize(("ratio", "is_drift"), [(2.3, False), (2.45, True)])
def test_run_variation_includes_drift_only_if_it_is_significant(ratio: float, is_drift: bool) -> None:
    """The 95 % quantile of the chi-squared distribution with 4 degrees of freedom is 9.488 = 4 * 2.372."""
    size = 0.05
    noise = np.tile([-size, size], 15).reshape(5, 6)  # successive processes differ by 2 * size
    explained = np.pi / 2 * (2 * size / (0.67449 * np.sqrt(2))) ** 2 / 6
    offsets = np.sqrt(2 * ratio * explained) * np.array([-1, 0, 1, 0, 0])
    assert np.var(offsets, ddof=1) == pytest.approx(ratio * explained)
    expected = 1.245 * np.sqrt((ratio - 1) * explained) if is_drift else QUIET_VARIATION
    assert run_variation(np.exp(noise + offsets[:, None]).ravel().tolist()) == pytest.approx(expected, rel=0.01)


def test_run_variation_ignores_drift_below_the_variation_of_a_quiet_machine() -> None:
    parts = np.repeat([0.0, 0.001, 0.002, 0.003, 0.004], 4)
    assert run_variation([float(value) for value in np.exp(parts)]) == QUIET_VARIATION
    drift = float(np.std(10 * parts[::4], ddof=1))
    assert run_variation([float(value) for value in np.exp(10 * parts)]) == pytest.approx(1.245 * drift)
