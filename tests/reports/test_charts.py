"""Tests of charts: positions on the axes, tick values, and the coordinates in the SVG."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.reports.charts import Axis, Line, line_chart


def axis(low: float, high: float, *, logarithmic: bool = False, ticks: tuple[float, ...] = ()) -> Axis:
    return Axis("axis", low, high, lambda value: f"{value:g}", logarithmic, ticks)


def test_values_are_placed_on_an_axis_linearly_or_logarithmically() -> None:
    assert [axis(10, 50).place(value) for value in (10, 20, 50)] == pytest.approx([0, 0.25, 1])
    assert [axis(1, 1000, logarithmic=True).place(value) for value in (1, 10, 100)] == pytest.approx([0, 1 / 3, 2 / 3])
    assert axis(3, 3).place(3) == 0.5


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0.5, 1.0, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (3, 14, [4, 6, 8, 10, 12, 14]),
        (0.82, 0.925, [0.82, 0.84, 0.86, 0.88, 0.9, 0.92]),
        (0, 0.011, [0, 0.002, 0.004, 0.006, 0.008, 0.01]),
    ],
)
def test_axis_has_ticks_at_round_values_between_its_limits(low: float, high: float, ticks: list[float]) -> None:
    assert list(axis(low, high).tick_values()) == pytest.approx(ticks)
    assert axis(low, high, ticks=(1.0, 2.0)).tick_values() == (1.0, 2.0)


@given(st.floats(-1e3, 1e3), st.floats(0.01, 1e3))
def test_axis_has_few_ticks_within_its_limits(low: float, span: float) -> None:
    ticks = list(axis(low, low + span).tick_values())
    assert ticks == sorted(ticks) and 2 <= len(ticks) <= 7
    assert all(low - 1e-6 * span <= tick <= low + span + 1e-6 * span for tick in ticks)


def test_line_chart_draws_high_values_at_the_top() -> None:
    line = Line("accuracy", [(0, 0.5), (10, 1.0)], dots=True, band=[(0, 0.4, 0.6), (10, 0.9, 1.0)])
    drawn = line_chart([line], axis(0, 10), axis(0.4, 1.0), title="a < b")
    [points] = re.findall(r'<polyline class="main" points="([^"]*)"', drawn)
    (left, low), (right, high) = (tuple(map(float, pair.split(","))) for pair in points.split())
    assert 0 <= left < right <= 640 and 0 <= high < low <= 300
    [band] = re.findall(r'<polygon class="band" points="([^"]*)"', drawn)
    corners = [tuple(map(float, pair.split(","))) for pair in band.split()]
    assert [x for x, _ in corners] == [left, right, right, left], "around the area"
    assert corners[0][1] < low < corners[3][1] and corners[1][1] == high
    assert "a &lt; b" in drawn and "<title>10: 1</title>" in drawn


def test_line_chart_has_a_legend_if_it_shows_several_lines() -> None:
    lines = [Line("training <batch>", [(0, 0), (1, 1)], "second"), Line("validation", [(0, 0), (1, 1)])]
    drawn = line_chart(lines, axis(0, 1), axis(0, 1), title="")
    legend = drawn[: drawn.index("<svg")]
    assert re.findall(r'class="line (\w+)"></i>([^<]*)<', legend) == [
        ("second", "training &lt;batch&gt;"),
        ("main", "validation"),
    ]
    assert "legend" not in line_chart(lines[:1], axis(0, 1), axis(0, 1), title="")


def test_line_chart_shows_the_number_of_photos_at_each_dot() -> None:
    line = Line("", [(0, 0.5), (1, 1.0)], dots=True, counts=[1, 12])
    drawn = line_chart([line], axis(0, 1), axis(0, 1), title="")
    assert re.findall(r'class="count"[^>]*>(\d+)<', drawn) == ["1", "12"]
    assert "<title>0: 0.5, 1 photo</title>" in drawn and "<title>1: 1, 12 photos</title>" in drawn
