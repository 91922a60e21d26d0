"""Tests of the positions, areas and styles of the elements in the charts of a grid."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.bench.samples import describe
from poets_edge.nets.architectures import architecture
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.chart import labels as chart_labels
from poets_edge.sweep.chart.figure import _accuracy_range, _range_text, compose_chart, draw_chart
from poets_edge.sweep.chart.label_places import overlap, place_text
from poets_edge.sweep.chart.labels import _strokes
from poets_edge.sweep.chart.legend import _round_sizes
from poets_edge.sweep.chart.panel import _published_top1, published_ms
from poets_edge.sweep.chart.styles import AREA_OF_MB, opacity, series_of, series_styles
from poets_edge.sweep.choice import choose
from poets_edge.sweep.live_chart import _round_ticks, live_chart, row_id, series_hues, tooltip
from poets_edge.sweep.points import GridPoint, pareto_front
from poets_edge.sweep.results import GridResult
from poets_edge.sweep.trend import trend
from tests.sweep.test_points import point

SMALL = replace(point("mobilenet_0.50_128", 1.0, range(30), 0.25), latency=describe([1.0] * 6 + [3.0] * 4))
MIDDLE = point("mobilenet_0.50_160", 2.0, range(32), 4.0)
LARGE = point("mobilenet_1.0_224", 8.0, range(10), 9.0)
NO_LIMITS = Budget()
REAL = replace(MIDDLE, quantization="float32", correct=LARGE.correct)


def result_of(*points: GridPoint, budget: Budget = NO_LIMITS) -> GridResult:
    machine = {"cpu": "A76", "cores": 4, "system": "Linux", "interpreter": "LiteRT", "interpreter_version": "2"}
    return GridResult(
        points=points, labels=("a", "b"), front=tuple(pareto_front(points)), choice=choose(points, budget),
        machine=machine, threads=2, folds=0, budget=budget,
    )  # fmt: skip


def figure_of(result: GridResult) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 10.4), layout=None)
    FigureCanvasAgg(figure)
    compose_chart(figure, result)
    return figure


def bubbles(panel: Any) -> list[Any]:
    """Return (x, y, area, opacity) of each bubble, without the rings around the points on the front."""
    from matplotlib.collections import PathCollection

    found: list[Any] = [
        one for one in panel.collections if isinstance(one, PathCollection) and len(one.get_facecolor())
    ]
    return [(*map(float, one.get_offsets()[0]), float(one.get_sizes()[0]), float(one.get_alpha())) for one in found]


def rings(panel: Any) -> list[Any]:
    from matplotlib.collections import PathCollection

    found: list[Any] = [
        one for one in panel.collections if isinstance(one, PathCollection) and not len(one.get_facecolor())
    ]
    return [tuple(map(float, one.get_offsets()[0])) for one in found]


def test_bubbles_show_latency_macs_accuracy_and_file_size() -> None:
    result = result_of(SMALL, MIDDLE, LARGE, REAL, budget=Budget(latency=5.0, accuracy=0.6))
    figure = figure_of(result)
    latency, work = figure.axes[2], figure.axes[3]  # the lower row, int8
    order = (LARGE, MIDDLE, SMALL)  # large bubbles are drawn first
    expected = [
        (one.latency.median, 100 * one.accuracy, AREA_OF_MB * one.size / 1e6, 0.3 if one is LARGE else 1.0)
        for one in order
    ]
    assert bubbles(latency) == [pytest.approx(one) for one in expected]
    assert [one[0] for one in bubbles(work)] == [one.architecture.mmacs for one in order]
    assert [one[:2] for one in bubbles(figure.axes[0])] == [(2.0, 90.0)], "float32 is in the upper row"
    assert set(rings(latency)) == {(1.0, 70.0)} and set(rings(figure.axes[0])) == {(2.0, 90.0)}
    limits = [line for line in latency.lines if line.get_linestyle() == "--" and line.get_color() == "#b3402a"]
    assert sorted((list(line.get_xdata()), list(line.get_ydata())) for line in limits) == [
        ([0, 1], [60, 60]), ([5, 5], [0, 1]),
    ]  # fmt: skip
    low, high = latency.get_ylim()
    assert 50 < low <= 59 and 91 <= high < 100


def test_trend_lines_connect_resolutions_in_ascending_order() -> None:
    figure = figure_of(result_of(MIDDLE, LARGE, SMALL))
    lines: list[Any] = [(list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[2].lines]
    heights = [100 * height for height in trend([SMALL, MIDDLE])]
    assert ([1.0, 2.0], pytest.approx(heights)) in lines and heights == pytest.approx([69.0, 69.0])
    bars = [one.get_segments()[0].tolist() for one in figure.axes[2].collections if hasattr(one, "get_segments")]
    assert np.array(min(bars)) == pytest.approx(np.array([[1.0, 100 * end] for end in SMALL.interval]))


def test_chart_states_the_half_widths_of_the_intervals() -> None:
    figure = figure_of(result_of(SMALL, LARGE))
    halves = sorted(50 * (one.interval[1] - one.interval[0]) for one in (SMALL, LARGE))
    texts = [text.get_text() for text in figure.texts]
    assert any(f"±{halves[0]:.0f} to {halves[1]:.0f} points" in text for text in texts)
    assert any("A76, 4 cores, LiteRT 2" in text for text in texts)
    assert [text.startswith("MobileNet V1 retrained") for text in texts[:1]] == [True]
    assert "median latency on this device, ms (threads: 2; log scale)" in figure.axes[2].get_xlabel()


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((1.6, 3.4), "2 to 3"),
        ((1.6, 2.4), "2"),
        ((0.31, 0.84), "0.3 to 0.8"),
        ((0.31, 1.0), "0 to 1"),
        ((0.2, 0.22), "0.2"),
    ],
)
def test_range_text_has_a_decimal_only_if_both_values_are_below_one(ends: tuple[float, float], text: str) -> None:
    assert _range_text(*ends) == text


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0.5, 0.7), (0.6, 0.9)], (50 - 2.4, 90 + 2.4)), ([(0.5, 0.51)], (49, 52)), ([(0.01, 0.99)], (-2, 102)),
        ([(0.2, 0.5)], (20 - 1.8, 50 + 1.8)),
    ],
)  # fmt: skip
def test_accuracy_axis_has_a_margin_of_six_percent(intervals: Any, expected: tuple[float, float]) -> None:
    points: Any = [SimpleNamespace(interval=interval) for interval in intervals]
    assert _accuracy_range(points) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("megabytes", "sizes"),
    [
        ((1.0, 10.0), [1, 3, 10]),
        ((0.15, 0.15), [0.15]),
        ((0.3, 2.6), [0.3, 1, 3]),
        ((0.4, 0.45), [0.3]),
        ((2.0, 2.4), [2.4]),
    ],
)
def test_legend_shows_round_file_sizes_within_the_range_of_the_models(
    megabytes: tuple[float, float], sizes: list[float]
) -> None:
    points: Any = [SimpleNamespace(size=one * 1e6) for one in megabytes]
    assert _round_sizes(points) == pytest.approx(sizes)


@pytest.mark.parametrize(
    ("one", "other", "area"),
    [
        ((0, 0, 4, 3), (2, 1, 9, 9), 4), ((0, 0, 4, 3), (4, 0, 5, 3), 0), ((0, 0, 1, 1), (5, 5, 6, 6), 0),
        ((0, 0, 4, 3), (1, 1, 2, 2), 1), ((0, 0, 4, 3), (5, -9, 6, -8), 0),
    ],
)  # fmt: skip
def test_overlap_of_two_boxes_is_the_area_of_their_intersection(one: Any, other: Any, area: float) -> None:
    assert overlap(one, other) == overlap(other, one) == area


FRAME = SimpleNamespace(x0=0, y0=0, x1=100, y1=100)


def test_text_is_placed_below_its_bubble_if_there_is_free_space() -> None:
    box = place_text((50, 50), 5, (10, 6), [(45, 45, 55, 55)], [], FRAME, 1.0)
    assert box == pytest.approx((45, 39, 55, 45))
    above = place_text((50, 50), 5, (10, 6), [(45, 45, 55, 55), (40, 20, 60, 45)], [], FRAME, 1.0)
    assert above == pytest.approx((45, 55, 55, 61)), "another bubble is below"
    crossed = place_text((50, 50), 5, (10, 6), [(45, 45, 55, 55)], [(50, 42)], FRAME, 1.0)
    assert crossed == pytest.approx((45, 55, 55, 61)), "a line is below"


def test_labels_of_bubbles_stay_inside_the_panel() -> None:
    box = place_text((50, 8), 5, (10, 6), [(45, 3, 55, 13)], [], FRAME, 1.0)
    assert box == pytest.approx((45, 13, 55, 19)), "below the bubble, it would be outside"


def test_chart_styles_distinguish_families_and_sizes_of_networks() -> None:
    styles = series_styles()
    narrow, wide = (styles[series_of(architecture(f"mobilenet_{width}_224"))] for width in ("0.25", "1.0"))
    assert (narrow.color, narrow.line, wide.color, wide.line) == ("#d47c00", ":", "#2a0a52", "-")
    assert narrow.marker == wide.marker == "o"
    markers = {family: {style.marker for (name, _), style in styles.items() if name == family} for family, _ in styles}
    assert all(len(found) == 1 for found in markers.values()) and len(set.union(*markers.values())) == len(markers)
    limited = result_of(SMALL, LARGE, budget=Budget(latency=5.0))
    assert (opacity(SMALL, limited), opacity(LARGE, limited)) == (1.0, 0.3)


def test_published_accuracy_and_latency_depend_on_the_quantization() -> None:
    entry = SMALL.architecture
    assert entry.published is not None
    assert _published_top1(entry, "float32") == entry.published.top1
    assert _published_top1(entry, "int8") == entry.published.quantized_top1
    assert published_ms(entry, "int8") == entry.published.quantized_pixel3_ms
    assert _published_top1(replace(entry, published=None), "int8") is None


def test_chart_files_are_reproducible(tmp_path: Path) -> None:
    result = result_of(SMALL, LARGE)
    draw_chart(result, tmp_path / "1.svg")
    draw_chart(result, tmp_path / "2.svg")
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "1.svg").read_bytes()


def dots(result: GridResult) -> dict[str, dict[str, str]]:
    """Return the attributes of the points in the interactive chart, by the name of the model."""
    pattern = (
        r'<a class="(?P<looks>[^"]*)" href="#(?P<target>[^"]*)" style="--hue:(?P<hue>\d+)"[^>]*'
        r'data-tip="(?P<name>[^:]*):[^>]*>'
        r'<line x1="(?P<x>[\d.]+)"[^>]* y1="(?P<low>[\d.]+)" y2="(?P<high>[\d.]+)"/>'
        r'<circle cx="[\d.]+" cy="(?P<y>[\d.]+)" r="(?P<r>[\d.]+)"'
    )
    return {found["name"]: found.groupdict() for found in re.finditer(pattern, str(live_chart(result)))}


def test_interactive_chart_has_a_logarithmic_latency_axis() -> None:
    result = result_of(SMALL, MIDDLE, LARGE, REAL, budget=Budget(latency=5.0, accuracy=0.3))
    found = dots(result)
    assert set(found) == {one.name for one in result.points}
    low, high = 1.0 / 1.25, 8.0 * 1.25
    bottom = max(0.0, min(0.3, *(one.interval[0] for one in result.points)) - 0.02)
    top = min(1.0, max(one.interval[1] for one in result.points) + 0.02)

    def height(value: float) -> float:
        return 34 + (1 - (value - bottom) / (top - bottom)) * (300 - 34 - 46)

    for one in result.points:
        dot = found[one.name]
        x = 72 + math.log(one.latency.median / low) / math.log(high / low) * (640 - 72 - 32)
        assert float(dot["x"]) == pytest.approx(x, abs=0.06)
        assert float(dot["y"]) == pytest.approx(height(one.accuracy), abs=0.06)
        assert float(dot["low"]) == pytest.approx(height(one.interval[0]), abs=0.06)
        assert float(dot["high"]) == pytest.approx(height(one.interval[1]), abs=0.06)
        assert float(dot["r"]) == pytest.approx(max(3.5, 4 * math.sqrt(one.size / 1e6)), abs=0.06)
        looks = str(dot["looks"]).split()
        assert ("hollow" in looks) == (one is REAL) and ("pale" in looks) == (one is LARGE)
        assert dot["target"] == row_id(one)
    assert len({row_id(one) for one in result.points}) == 4 and row_id(SMALL) == "point-mobilenet_0.50_128-int8"


def test_axes_of_the_interactive_chart_include_the_limits_of_the_budget() -> None:
    """A limit beyond all points widens the axes, so that it is visible."""
    unlimited, limited = dots(result_of(SMALL)), dots(result_of(SMALL, budget=Budget(latency=50.0, accuracy=0.05)))
    assert float(limited[SMALL.name]["x"]) < float(unlimited[SMALL.name]["x"])
    assert float(limited[SMALL.name]["y"]) < float(unlimited[SMALL.name]["y"])


def test_series_have_different_hues() -> None:
    hues = series_hues(result_of(SMALL, MIDDLE, LARGE))
    assert sorted(hues.values()) == [85, 265] and hues[SMALL.architecture.family, SMALL.architecture.series] == 265


def test_tooltip_states_accuracy_interval_latency_and_size() -> None:
    low, high = (f"{100 * end:.0f}" for end in SMALL.interval)
    assert tooltip(SMALL) == f"mobilenet_0.50_128 int8: 70.0 % ({low} to {high}), 1.00 ms, 0.25 MB"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.8, 10, [1, 2, 5, 10]), (0.15, 0.6, [0.2, 0.5]), (3, 4, []), (5, 20, [5, 10, 20]), (60, 300, [100, 200])],
)
def test_ticks_are_one_two_or_five_times_a_power_of_ten(low: float, high: float, ticks: list[float]) -> None:
    assert _round_ticks(low, high) == pytest.approx(ticks)


def test_chart_labels_state_resolutions_and_the_chosen_model() -> None:
    figure = figure_of(result_of(SMALL, MIDDLE, LARGE))
    figure.draw_without_rendering()
    from matplotlib.text import Text

    texts = {text.get_text() for text in figure.axes[2].findobj(Text) if text.get_gid() == "bubble label"}
    assert texts == {"128", "160", "1.0_224: ship"}
    gray = replace(SMALL, architecture=SMALL.architecture.in_gray())
    figure = figure_of(result_of(gray, LARGE))
    texts = {text.get_text() for text in figure.axes[2].findobj(Text) if text.get_gid() == "bubble label"}
    assert texts == {"128 gray", "1.0_224: ship"}


def test_accuracy_axis_of_the_interactive_chart_contains_all_intervals() -> None:
    perfect = replace(LARGE, correct=(1,) * 100)
    found = dots(result_of(SMALL, perfect))
    bottom = SMALL.interval[0] - 0.02
    height = 34 + (1 - (SMALL.interval[0] - bottom) / (1 - bottom)) * (300 - 34 - 46)
    assert float(found[SMALL.name]["low"]) == pytest.approx(height, abs=0.06)
    assert float(found[perfect.name]["y"]) == 34.0, "the axis ends at 100 %"


def test_legend_shows_the_series_in_the_chart_and_bubble_areas_for_file_sizes() -> None:
    figure = figure_of(result_of(SMALL, MIDDLE, LARGE))
    series, sizes = figure.legends
    assert (series._ncols, sizes._ncols) == (4, 4), "each in one row"
    names = [text.get_text() for text in series.get_texts()]
    assert names == ["width 0.5", "width 1", "published (right scale)", "no other is both faster and better"]
    styles = series_styles()
    lines = series.get_lines()
    assert lines[0].get_linestyle() == styles[series_of(SMALL.architecture)].line
    assert lines[1].get_linestyle() == "None", "a series with a single resolution has no line"
    assert [text.get_text() for text in sizes.get_texts()] == ["0.3 MB", "1 MB", "3 MB", "10 MB"]
    assert [line.get_markersize() ** 2 for line in sizes.get_lines()] == pytest.approx([12, 40, 120, 400])
    assert "trend of a network over resolution" in sizes.get_title().get_text()
    assert "trend" not in figure_of(result_of(SMALL, LARGE)).legends[1].get_title().get_text()


def test_label_of_the_chosen_model_is_drawn_even_if_there_is_no_free_space() -> None:
    """All models have the same latency and accuracy, so their bubbles cover each other."""
    crowd = [
        replace(LARGE, architecture=architecture(f"mobilenet_1.0_{side}"), size=80_000_000) for side in (128, 160, 192)
    ]
    chosen = replace(LARGE, size=70_000_000)
    result = result_of(*crowd, chosen)
    figure = figure_of(result)
    figure.draw_without_rendering()
    from matplotlib.text import Text

    texts = [text.get_text() for text in figure.axes[2].findobj(Text) if text.get_gid() == "bubble label"]
    assert [text for text in texts if "ship" in text] == [f"{result.choice.point.architecture.name[10:]}: ship"]  # type: ignore[union-attr]


def labels(panel: Any) -> list[str]:
    return [text.get_text() for text in panel.texts if text.get_gid() == "bubble label"]


def test_labels_are_placed_in_order_of_importance() -> None:
    """Labels without space are omitted, so the chosen model is first, followed by large models within the budget."""
    wide = replace(MIDDLE, architecture=architecture("mobilenet_0.75_192"), size=6_000_000)
    assert labels(figure_of(result_of(SMALL, MIDDLE, wide, LARGE)).axes[2]) == ["1.0_224: ship", "192", "160", "128"]
    limited = result_of(SMALL, MIDDLE, wide, LARGE, budget=Budget(latency=1.5))
    assert labels(figure_of(limited).axes[2]) == ["0.50_128: ship", "224", "192", "160"]
    limited = result_of(SMALL, replace(MIDDLE, size=100_000), LARGE, budget=Budget(latency=5.0, accuracy=0.6))
    assert labels(figure_of(limited).axes[2])[-1] == "224", "the largest model exceeds the latency"


def test_lines_between_bubbles_connect_neighboring_resolutions_of_a_series() -> None:
    points = [replace(LARGE, architecture=architecture(f"mobilenet_1.0_{side}"), size=side) for side in (224, 128, 192)]
    other = replace(LARGE, architecture=architecture("mobilenet_0.50_128"))
    centers = dict(zip([*points, other], [(8.0, 8.0), (0.0, 0.0), (8.0, 0.0), (90.0, 90.0)], strict=True))
    found = _strokes([*points, other], centers)
    assert found == [(0, 0), (4, 0), (8, 0), (8, 0), (8, 4), (8, 8)], "every 4 pixels, from 128 to 192 to 224"


@pytest.mark.parametrize(
    ("center", "size", "taken", "expected"),
    [
        ((50, 92), (10, 6), [(0, 70, 100, 87)], (55, 89, 65, 95)),
        ((50, 8), (10, 6), [(0, 13, 100, 30)], (55, 5, 65, 11)),
        ((8, 50), (20, 6), [], (13, 47, 33, 53)), ((92, 50), (20, 6), [], (67, 47, 87, 53)),
    ],
)  # fmt: skip
def test_labels_of_bubbles_near_an_edge_stay_inside_the_panel(
    center: Any, size: Any, taken: Any, expected: Any
) -> None:
    """Next to the upper and the lower edge, the space on the other side of the bubble is taken."""
    bubble = (center[0] - 5, center[1] - 5, center[0] + 5, center[1] + 5)
    assert place_text(center, 5, size, [bubble, *taken], [], FRAME, 1.0) == pytest.approx(expected)


def test_labels_are_placed_outside_the_rings_around_models_on_the_pareto_front(monkeypatch: pytest.MonkeyPatch) -> None:
    radii: dict[tuple[float, float], float] = {}

    def place(center: Any, radius: float, size: Any, taken: Any, strokes: Any, frame: Any, pixels: float) -> Any:
        radii[round(center[0]), round(center[1])] = radius / pixels
        return place_text(center, radius, size, taken, strokes, frame, pixels)

    monkeypatch.setattr(chart_labels, "place_text", place)
    slow = replace(SMALL, latency=describe([9.0]), size=1_000_000)
    result = result_of(SMALL, slow)
    panel = figure_of(result).axes[2]
    for one, ring in ((SMALL, 3), (slow, 0)):
        assert (one in result.front) is bool(ring)
        x, y = panel.transData.transform((one.latency.median, 100 * one.accuracy))
        expected = math.sqrt(AREA_OF_MB * one.size / 1e6) / 2 + 2 + ring
        assert radii[round(float(x)), round(float(y))] == pytest.approx(expected), "in points"


def test_axes_of_the_interactive_chart_have_round_ticks_and_start_at_zero() -> None:
    """The interval of a model that is almost always wrong ends near 0 %."""
    wrong = point("mobilenet_0.50_160", 2.0, range(99), 4.0)
    result = result_of(SMALL, wrong, LARGE)
    ticks = re.findall(r'text-anchor="middle">([\d.]+)</text>', str(live_chart(result)))
    assert ticks == ["1", "2", "5", "10"], "0.8 to 10 ms"
    top = min(1.0, LARGE.interval[1] + 0.02)
    expected = 34 + (1 - wrong.interval[0] / top) * (300 - 34 - 46)
    assert float(dots(result)[wrong.name]["low"]) == pytest.approx(expected, abs=0.06)
