"""One panel of a chart: a bubble for each model, trend lines, limits and published accuracies."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import families
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.chart.styles import AREA_OF_MB, Series, opacity, series_of, series_styles
from poets_edge.sweep.points import GridPoint
from poets_edge.sweep.results import GridResult
from poets_edge.sweep.trend import trend

_PUBLISHED = "#9a9a9a"
_LIMIT = "#b3402a"


@dataclass(frozen=True)
class PanelAxis:
    """Horizontal axis of a column of panels.

    Attributes:
        label: text below the axis.
        of_point: function that returns the value of a grid point (a model with its measurements) on this axis.
        limit: value and name of the limit on this axis; None if there is no limit.
        published: function that returns the published value on this axis for an architecture and a quantization, or
            None if there is none.
        published_label: label of the right vertical axis, which shows published accuracies.
    """

    label: str
    of_point: Callable[[GridPoint], float]
    limit: tuple[float, str] | None
    published: Callable[[Architecture, str], float | None]
    published_label: str


def draw_panel(panel: Any, axis: PanelAxis, points: Sequence[GridPoint], quantization: str, result: GridResult) -> None:
    """Draw the models of one quantization as bubbles in a panel, without their labels."""
    panel.set_xscale("log")
    panel.grid(True, which="major", color="#e4e4e4", linewidth=0.8)
    panel.set_axisbelow(True)
    _draw_published(panel, axis, quantization)
    _draw_limits(panel, axis, result.budget)
    _draw_lines(panel, axis, points, result)
    for point in sorted(points, key=lambda point: -point.size):
        _draw_bubble(panel, axis, point, result)
    _plain_ticks(panel)
    numbers = "32-bit floats" if quantization == "float32" else "8-bit integers"
    title = f"{quantization}: weights and arithmetic in {numbers}"
    panel.set_title(title, loc="left", fontsize=11, weight="bold", pad=6)


def _draw_lines(panel: Any, axis: PanelAxis, points: Sequence[GridPoint], result: GridResult) -> None:
    """Draw a trend line for each series of networks, and each model's confidence interval as a vertical line."""
    styles = series_styles()
    members: dict[Series, list[GridPoint]] = defaultdict(list)
    for point in points:
        members[series_of(point.architecture)].append(point)
    for series, line in members.items():
        line.sort(key=lambda point: point.architecture.resolution)
        color = styles[series].color
        panel.plot(
            [axis.of_point(point) for point in line], [100 * height for height in trend(line)],
            color=color, linestyle=styles[series].line, linewidth=1.5, zorder=3,
        )  # fmt: skip
        for point in line:
            panel.vlines(
                axis.of_point(point), *(100 * end for end in point.interval), color=color, linewidth=1,
                alpha=0.55 * opacity(point, result), zorder=2,
            )  # fmt: skip


def _draw_bubble(panel: Any, axis: PanelAxis, point: GridPoint, result: GridResult) -> None:
    """Draw a model as a bubble, with a ring around it if it is on the Pareto front."""
    x, y = axis.of_point(point), 100 * point.accuracy
    area = AREA_OF_MB * point.size / 1e6
    style = series_styles()[series_of(point.architecture)]
    look = {"marker": style.marker, "alpha": opacity(point, result)}
    panel.scatter([x], [y], s=area, color=style.color, edgecolors="white", linewidths=0.6, zorder=4, **look)
    if point in result.front:
        ring = (math.sqrt(area) + 5) ** 2
        panel.scatter([x], [y], s=ring, facecolors="none", edgecolors="black", linewidths=1.4, zorder=5, **look)


def _draw_limits(panel: Any, axis: PanelAxis, budget: Budget) -> None:
    """Draw and name the limits on latency and accuracy. A limit on the file size is not drawn, since no axis shows
    it."""
    look = {"color": _LIMIT, "linewidth": 1.3, "linestyle": (0, (5, 3)), "zorder": 2.5}
    text = {"color": _LIMIT, "fontsize": 8.5}
    if axis.limit is not None:
        value, name = axis.limit
        panel.axvline(value, **look)
        panel.annotate(name, (value, 0), xycoords=("data", "axes fraction"), xytext=(3, 5), ha="left", va="bottom",
                       textcoords="offset points", rotation=90, **text)  # fmt: skip
    if budget.accuracy is not None:
        height = 100 * budget.accuracy
        panel.axhline(height, **look)
        panel.annotate(f"limit: {height:g} %", (1, height), xycoords=("axes fraction", "data"), xytext=(-4, 2),
                       ha="right", va="bottom", textcoords="offset points", **text)  # fmt: skip


def _draw_published(panel: Any, axis: PanelAxis, quantization: str) -> None:
    """Draw the published ImageNet accuracies behind the bubbles, with a separate vertical axis on the right."""
    behind = panel.twinx()
    behind.set_zorder(panel.get_zorder() - 1)
    panel.patch.set_visible(False)
    for series, style in series_styles().items():
        members = [entry for family in families() for entry in family.architectures if series_of(entry) == series]
        figures = [(axis.published(entry, quantization), _published_top1(entry, quantization)) for entry in members]
        known = sorted((x, y) for x, y in figures if x is not None and y is not None)
        if len(known) > 1:
            behind.plot(
                [x for x, _ in known], [y for _, y in known],
                color="#cfcfcf", linestyle=style.line, linewidth=1.1, marker=style.marker, markersize=2.6,
            )  # fmt: skip
    behind.set_ylim(25, 75)
    behind.tick_params(axis="y", colors=_PUBLISHED, labelsize=8.5)
    behind.set_ylabel(axis.published_label + ", %", color=_PUBLISHED, fontsize=8.5)
    for spine in behind.spines.values():
        spine.set_color("#bbbbbb")


def _published_top1(architecture: Architecture, quantization: str) -> float | None:
    published = architecture.published
    if published is None:
        return None
    return published.top1 if quantization == "float32" else published.quantized_top1


def published_ms(architecture: Architecture, quantization: str) -> float | None:
    published = architecture.published
    if published is None:
        return None
    return published.pixel3_ms if quantization == "float32" else published.quantized_pixel3_ms


def _plain_ticks(panel: Any) -> None:
    """Label the logarithmic horizontal axis with plain numbers such as 1, 2, 5 and 10 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
