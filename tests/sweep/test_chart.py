"""Tests of the charts of a grid: limits, labels, and links from points to rows of the table."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from poets_edge.sweep.architecture_result import EvaluationResult
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.chart.figure import compose_chart
from poets_edge.sweep.choice import choose
from poets_edge.sweep.live_chart import live_chart
from poets_edge.sweep.points import pareto_front
from poets_edge.sweep.report import write_report
from poets_edge.sweep.results import GridResult
from tools.pictures import LABELS, recorded_points

LIMITED = Budget(latency=2, size=1.5e6, accuracy=0.8)


def grid_result(budget: Budget) -> GridResult:
    points = tuple(recorded_points())
    machine = {"cpu": "x86-64", "cores": 2, "system": "Linux", "interpreter": "litert", "interpreter_version": "2"}
    return GridResult(
        points=points, labels=LABELS, front=tuple(pareto_front(points)), choice=choose(points, budget),
        machine=machine, threads=1, folds=0, budget=budget,
    )  # fmt: skip


def figure_of(result: GridResult) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 10.4), layout=None)
    FigureCanvasAgg(figure)
    compose_chart(figure, result)
    return figure


def texts_of(figure: Any) -> list[Any]:
    from matplotlib.text import Text

    found: list[Any] = figure.findobj(Text)
    return found


@pytest.mark.parametrize("budget", [Budget(), LIMITED])
def test_chart_labels_do_not_overlap(budget: Budget) -> None:
    figure = figure_of(grid_result(budget))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts_of(figure) if text.get_gid() == "bubble label"]
    assert len(boxes) > 30
    overlapping = [
        (one, other)
        for one, other in itertools.combinations(boxes, 2)
        if min(one.x1, other.x1) - max(one.x0, other.x0) > 1 and min(one.y1, other.y1) - max(one.y0, other.y0) > 1
    ]
    assert not overlapping


def test_chart_states_the_limits_of_its_budget() -> None:
    texts = [text.get_text() for text in texts_of(figure_of(grid_result(LIMITED)))]
    assert texts.count("limit: 2 ms") == 2, "one in each panel of latencies"
    assert texts.count("limit: 80 %") == 4
    (note,) = [text for text in texts if "Limits: " in text]
    assert "at most 2 ms, at most 1.5 MB, at least 80 % accuracy; models outside of them are pale" in note
    assert not any("imit" in text.get_text() for text in texts_of(figure_of(grid_result(Budget()))))


def test_live_chart_shows_limits_and_fades_points_that_exceed_them() -> None:
    result = grid_result(LIMITED)
    chart = str(live_chart(result))
    assert ">limit: 2 ms</text>" in chart and ">limit: 80 %</text>" in chart
    outside = sum(bool(LIMITED.violations(point)) for point in result.points)
    assert chart.count(" pale") == outside > 0 and chart.count('class="dot') == len(result.points)
    unlimited = str(live_chart(grid_result(Budget())))
    assert "limit" not in unlimited and " pale" not in unlimited


def test_live_chart_links_each_point_to_its_row(tmp_path: Path) -> None:
    result = grid_result(LIMITED)
    evaluation = EvaluationResult(correct=(1,), repeats=1, confusion=((1.0,) * 5,) * 5, mistakes=(), agreement=1.0)
    assert result.best is not None
    write_report(result, result.best, evaluation, tmp_path, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    targets = re.findall(r'<a class="dot[^>]* href="#([^"]+)"', page)
    rows = re.findall(r'<tr class="[^"]*" id="([^"]+)">', page)
    assert sorted(targets) == sorted(rows) and len(set(rows)) == len(result.points)
    best = result.best
    low, high = best.interval
    tip = f"{best.name}: {100 * best.accuracy:.1f} % ({100 * low:.0f} to {100 * high:.0f})"
    assert f'data-tip="{tip}, {best.latency.median:.2f} ms, {best.size / 1e6:.2f} MB"' in page
    assert ">ship</text>" in page
