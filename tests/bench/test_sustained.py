"""Tests of `benchmark --sustained`: load over time, and slowdowns."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from poets_edge.bench.load import LoadWindow
from poets_edge.bench.machine import MachineState
from poets_edge.bench.sustained import (
    Sustained,
    SustainedOptions,
    SustainedResult,
    most_windows,
    parse_duration,
    step_up,
)
from poets_edge.bench.sustained_chart import clock_text, draw_sustained
from poets_edge.errors import UsageError
from tests.conftest import Trained, poets_edge


@pytest.fixture(scope="module")
def model(trained: Trained) -> Path:
    return trained.model("int8")


def window(milliseconds: float, temperature: float = 60.0, throttled: tuple[str, ...] = ()) -> LoadWindow:
    return LoadWindow(
        seconds=5.0,
        runs=100,
        late=0,
        median_ms=milliseconds,
        p90_ms=1.1 * milliseconds,
        samples_ms=(milliseconds,),
        state=MachineState(temperature=temperature, frequency=1800.0, throttled=throttled),
    )


def load(milliseconds: list[float]) -> Sustained:
    hot = [window(value, 60 + index, ("throttled",) if index >= 30 else ()) for index, value in enumerate(milliseconds)]
    return Sustained(Path("m.tflite"), "m.tflite", tuple(hot))


def test_slowdown_has_a_start_time_and_a_latency_ratio() -> None:
    wobble = [1 + 0.01 * (index % 3) for index in range(60)]
    wobble[10] = 3.0  # a disturbance
    model = load([value * (1.0 if index < 30 else 1.25) for index, value in enumerate(wobble)])
    assert model.slowdown is not None
    assert model.slowdown.after == 150
    assert model.slowdown.ratio == pytest.approx(1.25, abs=0.01)
    assert model.limits == ("throttled",)
    assert model.hottest == 119
    assert load(wobble).slowdown is None
    assert load(wobble[::-1]).slowdown is None


def test_no_upward_step_is_found_in_decreasing_values() -> None:
    assert step_up([1, 1, 1, 2, 2]) == 3
    assert step_up([2, 2, 1, 1]) is None
    assert step_up([1.0]) is None


def test_chart_of_sustained_load_shows_latency_temperature_and_throttling(tmp_path: Path) -> None:
    options = SustainedOptions(models=(Path("m.tflite"),), seconds=300)
    machine = {"board": "Raspberry Pi <9>", "cores": 4}
    draw_sustained(SustainedResult(machine, options, (load([1.0] * 30 + [1.5] * 30),), ()), tmp_path / "c.svg")
    text = (tmp_path / "c.svg").read_text()
    ElementTree.fromstring(text)
    assert "50 % slower from 2:30 on" in text
    assert "Raspberry Pi &lt;9&gt;" in text
    assert "shaded: throttled" in text
    times = [re.search(rf">{clock}<", text) for clock in ("0:00", "1:15", "2:30", "3:45", "5:00")]
    assert all(times), "five minutes are divided into quarters"
    assert [clock_text(seconds) for seconds in (7, 59.6, 61, 750)] == ["0:07", "1:00", "1:01", "12:30"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 600), ("90s", 90), ("1.5 h", 5400), ("30", 30), ("10M", 600), (" 2 Min ", 120), ("7sec", 7),
        (".5h", 1800), ("3.", 3),
    ],
)  # fmt: skip
def test_durations_with_units_are_accepted(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    with pytest.raises(UsageError, match="`sustained` soon"):
        parse_duration("soon")


@pytest.mark.parametrize(
    ("seconds", "rate", "windows"),
    [(2, None, 8), (120, None, 120), (6000, None, 1200), (100, 5, 50), (100, 0.01, 1), (2, 50, 8)],
)
def test_length_of_time_windows_depends_on_the_duration_and_the_inference_rate(
    seconds: float, rate: float | None, windows: int
) -> None:
    """The windows last 0.25 to 5 s, a 120th of the duration or ten inferences, but not longer than the duration."""
    options = SustainedOptions(models=(Path("m.tflite"),), seconds=seconds, rate=rate)
    assert most_windows(options) == windows + 2


def test_benchmark_under_sustained_load_writes_time_windows_and_a_chart(model: Path, tmp_path: Path) -> None:
    arguments = ("benchmark", model, "--sustained", "2s", "--rate", "50", "--chart", tmp_path / "c.svg", "-q")
    ran = poets_edge(*arguments, "--output", tmp_path / "s.json").ok()
    assert "frames missed" in ran.stdout
    found = json.loads((tmp_path / "s.json").read_text())
    [entry] = found["models"]
    assert found["format"] == "poets_edge-sustained-1"
    runs = sum(one["runs"] for one in entry["windows"])
    assert runs + entry["late"] == pytest.approx(100, abs=15), "fifty a second for two seconds"
    assert sum(one["seconds"] for one in entry["windows"]) == pytest.approx(2, abs=0.7)
    ElementTree.parse(tmp_path / "c.svg")


def test_benchmark_under_sustained_load_rejects_invalid_arguments(model: Path, tmp_path: Path) -> None:
    poets_edge("benchmark", model, "--sustained", "soon").failed("--sustained soon", "10m")
    poets_edge("benchmark", model, "--sustained", "0s").failed("--sustained", "1s or more")
    poets_edge("benchmark", model, "--sustained", "2s", "--rate", "0").failed("--rate must be above 0")
    poets_edge("benchmark", model, "--sustained", "2s", "--chart", tmp_path / "c.png").failed(".svg")
    poets_edge("benchmark", model, "--sustained", "2s", "--threads", "1,2").failed("one number of --threads")
    poets_edge("benchmark", model, "--rate", "5").failed("belong to --sustained")
    poets_edge("benchmark", tmp_path / "none.tflite", "--sustained", "2s").failed("none.tflite")


@pytest.mark.parametrize(("after", "is_slower"), [(104.0, False), (105.0, True), (106.0, True)])
def test_slowdown_is_reported_if_latency_increases_by_five_percent_under_load(after: float, is_slower: bool) -> None:
    assert (load([100.0] * 10 + [after] * 10).slowdown is not None) == is_slower


def test_upward_step_minimizes_deviations_from_the_medians_before_and_after_it() -> None:
    """The result is compared with an exhaustive search. A short initial rise and a later dip are not the step."""
    values = [1.0, 1.2, 1.1, 1.2, 1.0, 1.9, 2.0, 1.2, 2.1, 2.0, 2.2]

    def misfit(place: int) -> float:
        return sum(
            sum(abs(value - sorted(part)[len(part) // 2]) for value in part)
            for part in (values[:place], values[place:])
        )

    assert step_up(values) == min(range(1, len(values)), key=misfit) == 5
    assert step_up([1, 1, 2, 3, 3]) == 2, "the first of two places with equal deviations"
    assert step_up([1, 1, 1, 5, 1, 1, 2, 2, 2]) == 6, "deviations 4 there and 5 before the outlier; squared 16 and 5"


def test_json_of_sustained_load_contains_the_total_number_of_late_inferences() -> None:
    windows = tuple(replace(window(ms), late=late) for ms, late in ((3.0, 2), (1.0, 0), (2.0, 5)))
    found = Sustained(Path("m.tflite"), "m", windows).to_json()
    assert (found["first_ms"], found["last_ms"], found["late"]) == (3.0, 2.0, 7)
