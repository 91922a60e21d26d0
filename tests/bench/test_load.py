"""Tests of the measurement of a sustained load with a simulated clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from poets_edge.bench import load
from poets_edge.bench.load import Load, LoadWindow
from poets_edge.bench.machine import MachineState


@dataclass
class Clock:
    """A clock that sleeping and inferences advance. `durations` are those of the next inferences, in seconds."""

    now: float = 100.0
    durations: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def infer(self) -> None:
        self.starts.append(self.now - 100)
        self.now += self.durations.pop(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    monkeypatch.setattr(time, "sleep", made.sleep)
    monkeypatch.setattr(Load, "_open", lambda self: made.infer)
    monkeypatch.setattr(load, "machine_state", MachineState)
    return made


def test_full_load_runs_inferences_without_pauses(clock: Clock) -> None:
    clock.durations = [0.5, 0.25, 0.125, 0.25, 9.0]
    window = Load(Path("m"), threads=1, rate=None)(1.0)
    assert clock.starts == [0, 0.5, 0.75, 0.875] and (window.seconds, window.runs, window.late) == (1.125, 4, 0)
    assert window.samples_ms == (500, 250, 125, 250) and window.median_ms == 250


def test_inferences_start_at_the_requested_rate(clock: Clock) -> None:
    clock.durations = [0.125] * 6
    load = Load(Path("m"), threads=1, rate=4.0)
    first, second = load(0.5), load(0.5)
    assert clock.starts == [0, 0.25, 0.5, 0.75, 1.0]
    assert (first.runs, second.runs, first.late + second.late) == (3, 2, 0)


def test_overdue_inferences_are_skipped_and_counted(clock: Clock) -> None:
    clock.durations = [0.125, 1.0, 0.125, 0.125]
    window = Load(Path("m"), threads=1, rate=4.0)(1.5)
    assert clock.starts == [0, 0.25, 1.25, 1.5] and window.late == 3, "those at 0.5, 0.75 and 1.0 s"


def test_next_inference_is_not_postponed_by_a_short_delay(clock: Clock) -> None:
    clock.durations = [0.4375, 0.0625, 0.0625, 0.0625]
    window = Load(Path("m"), threads=1, rate=4.0)(0.6)
    assert clock.starts == [0, 0.4375, 0.5, 0.75] and window.late == 0, "the next inference is not delayed"


def test_time_window_contains_percentiles_and_at_most_1000_times_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "machine_state", MachineState)
    samples = [float(1 + number * 7 % 11) for number in range(11)]  # 1 to 11 in another order
    window = load._window([*samples, 12.0], 3.0, 2)
    assert (window.median_ms, window.p90_ms, window.runs, window.late) == (7, 10, 12, 2)
    assert window.samples_ms == (*samples, 12.0)
    long = load._window([number / 3 for number in range(2001)], 3.0, 0)
    assert long.samples_ms == tuple(round(number / 3, 4) for number in range(0, 2001, 3)), "at most 1,000"
    assert LoadWindow.from_json(long.to_json()) == long
