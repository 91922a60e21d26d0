"""Tests of the positions of lines, ticks and shading in the chart of a sustained load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.load import LoadWindow
from poets_edge.bench.machine import MachineState
from poets_edge.bench.sustained import Sustained, SustainedOptions, SustainedResult
from poets_edge.bench.sustained_chart import _panel, _rounded_up, check_chart, draw_sustained
from poets_edge.errors import UsageError


def window(seconds: float, median: float, p90: float, temperature: float | None, throttled: bool = False) -> LoadWindow:
    state = MachineState(temperature=temperature, throttled=("hot",) if throttled else ())
    return LoadWindow(seconds=seconds, runs=9, late=0, median_ms=median, p90_ms=p90, samples_ms=(median,), state=state)


WINDOWS = (
    window(10, 2.0, 3.0, 50.0), window(20, 4.0, 4.5, 60.0, throttled=True), window(10, 4.0, 4.5, 75.0),
)  # fmt: skip


def points(panel: str) -> list[str]:
    return re.findall(r'<polyline points="([^"]*)"', panel)


def test_panel_shows_times_and_temperatures_at_the_ends_of_the_windows() -> None:
    panel = "".join(_panel(Sustained(Path("m"), "m <1>", WINDOWS)))
    # 760 x 220 pixels show 40 s and, since 1.05 * 4.5 ms = 4.725 ms, 0 to 5 ms; 0 to 100 °C.
    assert points(panel) == [
        "190.0,88.0 570.0,22.0 760.0,22.0", "190.0,132.0 570.0,44.0 760.0,44.0", "190.0,110.0 570.0,88.0 760.0,55.0",
    ]  # fmt: skip
    assert '<rect x="190.0" y="0" width="380.0" height="220" fill="#f3dede"/>' in panel and panel.count("<rect") == 1
    ticks = re.findall(r'<text x="-6" y="([\d.]+)" text-anchor="end">([\d.]+) ms</text>', panel)
    assert ticks == [("224.0", "0"), ("114.0", "2.5"), ("4.0", "5")]
    clocks = re.findall(r'<text x="(\d+)" y="238" text-anchor="middle">([\d:]+)</text>', panel)
    assert clocks == [("0", "0:00"), ("190", "0:10"), ("380", "0:20"), ("570", "0:30"), ("760", "0:40")]
    heats = re.findall(r'<text x="766" y="([\d.]+)" fill="#d47c00">(\d+) °C</text>', panel)
    assert heats == [("224.0", "0"), ("114.0", "50"), ("4.0", "100")]
    assert "m &lt;1&gt;: " in panel and "shaded: hot" in panel and "temperature" in panel


def test_panel_shows_no_temperatures_if_any_is_missing() -> None:
    panel = "".join(_panel(Sustained(Path("m"), "m", (WINDOWS[0], window(10, 2.0, 3.0, None)))))
    assert len(points(panel)) == 2 and "temperature" not in panel and "°C" not in panel


def test_panel_marks_the_start_of_a_slowdown() -> None:
    slow = [window(1, 2.0 if number < 15 else 3.0, 4.0, None) for number in range(20)]
    panel = "".join(_panel(Sustained(Path("m"), "m", tuple(slow))))
    assert "m: 50 % slower from 0:15 on" in panel and '<line x1="570.0" x2="570.0" y1="0" y2="220"' in panel
    steady = "".join(_panel(Sustained(Path("m"), "m", tuple(slow[:15]))))
    assert "m: no slowdown" in steady and "stroke-dasharray" not in steady


@pytest.mark.parametrize("rate", [None, 12.5])
def test_chart_has_a_panel_for_each_model(tmp_path: Path, rate: float | None) -> None:
    options = SustainedOptions(models=(Path("m"), Path("n")), seconds=40, threads=3, rate=rate)
    models = tuple(Sustained(path, path.name, WINDOWS) for path in options.models)
    machine: dict[str, Any] = {"board": "A board", "cores": 4}
    draw_sustained(SustainedResult(machine, options, models, ()), tmp_path / "c.svg")
    text = (tmp_path / "c.svg").read_text(encoding="utf-8")
    assert re.findall(r"translate\((\d+),(\d+)\)", text) == [("62", "80"), ("62", "374")]
    assert 'width="880" height="634"' in text
    assert f"threads: 3, {'12.5 a second' if rate else 'full load'}<" in text and "A board" in text


@pytest.mark.parametrize(
    ("value", "expected"), [(1.0, 1.0), (1.01, 1.5), (0.016, 0.02), (7.0, 8.0), (8.1, 10.0), (450.0, 500.0)]
)
def test_axes_end_at_round_numbers(value: float, expected: float) -> None:
    assert _rounded_up(value) == pytest.approx(expected)


def test_chart_is_an_svg_file() -> None:
    check_chart(Path("a.SVG"))
    with pytest.raises(UsageError, match=r"a\.png: the chart is an SVG"):
        check_chart(Path("a.png"))
