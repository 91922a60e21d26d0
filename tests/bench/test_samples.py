"""Tests of summary statistics, of warm-ups, and of disturbances of the machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.bench.machine import MachineState, disturbances_between
from poets_edge.bench.samples import describe, warm_up

CALM = MachineState(
    temperature=50.0,
    frequency=1500.0,
    throttled=(),
    throttled_since_start=(),
    throttle_count=0,
    busy=10.0,
    stolen=0.0,
    ours=5.0,
)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=200))
def test_statistics_of_samples_agree_with_numpy(samples: list[float]) -> None:
    found = describe(samples)
    expected = np.percentile(samples, [50, 90, 99])
    assert (found.median, found.p90, found.p99) == pytest.approx(tuple(expected))
    assert (found.minimum, found.maximum, found.count) == (min(samples), max(samples), len(samples))


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=50))
def test_spread_is_the_interquartile_range_divided_by_the_median(samples: list[float]) -> None:
    low, middle, high = np.percentile(samples, [25, 50, 75])
    assert describe(samples).spread == pytest.approx((high - low) / middle)


def test_spread_of_samples_that_are_all_zero_is_zero() -> None:
    assert describe([0.0, 0.0, 0.0, 1.0]).to_json() == {
        "count": 4,
        "minimum": 0.0,
        "median": 0.0,
        "p90": pytest.approx(0.7),
        "p99": pytest.approx(0.97),
        "maximum": 1.0,
        "spread": 0.0,
    }


def test_maximum_of_samples_includes_outliers() -> None:
    assert describe([1.0] * 99 + [1000.0]).maximum == 1000.0


class Clock:
    """Simulated clock. Each call advances it by the next of the given durations; the last duration is repeated."""

    def __init__(self, durations: list[float]) -> None:
        self.now, self.calls, self._durations = 0.0, 0, durations

    def call(self) -> None:
        self.now += self._durations[min(self.calls, len(self._durations) - 1)]
        self.calls += 1

    def read(self) -> float:
        return self.now


def test_warm_up_ends_when_the_times_have_settled() -> None:
    clock = Clock([0.1 * 0.9**n for n in range(60)] + [0.0002])
    calls, steady = warm_up(clock.call, clock.read, longest=60)
    assert steady
    assert calls > 60


@pytest.mark.parametrize(
    ("windows", "calls"),
    [
        ([1.0, 1.0], 20),
        ([1.0, 1.029, 5.0], 20),
        ([1.0, 0.971, 5.0], 20),
        ([1.0, 1.031, 1.031], 30),
        ([1.0, 0.969, 0.969], 30),
        ([1.0, 2.0, 1.0, 1.0], 40),  # successive windows are compared
        ([4.0, 3.0, 2.0, 2.0], 40),
        ([1.0, 3.0, 2.0, 2.0], 40),
    ],
)
def test_warm_up_compares_medians_of_windows_of_ten_calls(windows: list[float], calls: int) -> None:
    clock = Clock([duration for duration in windows for _ in range(10)])
    assert warm_up(clock.call, clock.read, longest=1000) == (calls, True)


def test_warm_up_ignores_isolated_slow_calls() -> None:
    clock = Clock([9.0, 9.0, 9.0, *[1.0] * 7, *[1.0] * 6, 9.0, 9.0, 9.0, 9.0])
    assert warm_up(clock.call, clock.read, longest=1000) == (20, True)


def test_warm_up_ends_after_the_call_that_exceeds_the_limit() -> None:
    clock = Clock([1.0])
    assert warm_up(clock.call, clock.read, longest=5) == (6, False)
    clock = Clock([1.0])
    assert warm_up(clock.call, clock.read, longest=19) == (20, True)


def test_warm_up_stops_at_its_time_limit() -> None:
    clock = Clock([0.01 * (1 + n // 10) for n in range(2000)])
    _, steady = warm_up(clock.call, clock.read, longest=5)
    assert not steady
    assert clock.now == pytest.approx(5, abs=1)


def after(**changes: Any) -> MachineState:
    return replace(CALM, **{"busy": 12.0, "ours": 7.0, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"busy": 20.0}, "other programs"),
        ({"stolen": 1.0}, "hypervisor"),
        ({"throttled": ("under-voltage",)}, "under-voltage"),
        ({"throttled_since_start": ("throttled",)}, "throttled"),
        ({"throttle_count": 3}, "heat"),
        ({"frequency": 600.0}, "1500 to 600 MHz"),
        ({"temperature": 84.0}, "84 °C"),
    ],
)
def test_each_kind_of_disturbance_is_described(changes: dict[str, Any], said: str) -> None:
    assert [text for text in disturbances_between(CALM, after(**changes), 2.0, 1) if said in text]


def test_idle_machine_has_no_disturbances() -> None:
    assert disturbances_between(CALM, after(), 2.0, 1) == []


def test_disturbances_include_those_recorded_during_the_measurement() -> None:
    hot = replace(CALM, throttled=("throttled",), temperature=84.0)
    described = " ".join(disturbances_between(CALM, after(), 2.0, 1, [CALM, hot]))
    assert "the CPU was throttled: throttled" in described and "84 °C" in described
    old = replace(CALM, throttled_since_start=("under-voltage",))
    assert disturbances_between(old, after(throttled_since_start=("under-voltage",)), 2.0, 1) == []
