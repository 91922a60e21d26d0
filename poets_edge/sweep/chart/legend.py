"""Legends of a chart: series, published accuracies, and file sizes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from poets_edge.sweep.chart.styles import AREA_OF_MB, Series, series_of, series_styles
from poets_edge.sweep.points import GridPoint
from poets_edge.sweep.results import GridResult


def draw_legend(figure: Any, result: GridResult) -> None:
    from matplotlib.lines import Line2D

    resolutions: dict[Series, set[int]] = defaultdict(set)
    for point in result.points:
        resolutions[series_of(point.architecture)].add(point.architecture.resolution)
    lines = [
        Line2D(
            [],
            [],
            color=style.color,
            # A series with a single resolution is drawn without a line.
            linestyle=style.line if len(resolutions[series]) > 1 else "",
            marker=style.marker,
            markersize=5,
            linewidth=1.8,
            label=series[1],
        )
        for series, style in series_styles().items()
        if series in resolutions
    ]
    joined = any(len(sizes) > 1 for sizes in resolutions.values())
    published = Line2D(
        [], [], color="#bdbdbd", marker="o", markersize=3, linewidth=1.1, label="published (right scale)"
    )
    ring = Line2D([], [], linestyle="", marker="o", markersize=12, markerfacecolor="none", markeredgecolor="black",
                  markeredgewidth=1.4, label="no other is both faster and better")  # fmt: skip
    figure.legend(
        handles=[*lines, published, ring], loc="lower left", bbox_to_anchor=(0.06, 0.052), ncol=min(len(lines) + 2, 6),
        frameon=False, fontsize=9, handlelength=3, columnspacing=1.6,
    )  # fmt: skip
    sizes = [
        Line2D([], [], linestyle="", marker="o", color="#777777", markeredgecolor="white", label=f"{mb:g} MB",
               markersize=math.sqrt(AREA_OF_MB * mb))
        for mb in _round_sizes(result.points)
    ]  # fmt: skip
    figure.legend(
        handles=sizes, loc="lower left", bbox_to_anchor=(0.06, 0.008), ncol=len(sizes), frameon=False, fontsize=9,
        title="bubble area = file size;  number = input resolution, px"
        + (";  lines = trend of a network over resolution, level where a fall could be chance" if joined else ""),
        title_fontsize=9, alignment="left", handletextpad=0.8, columnspacing=2.4,
    )  # fmt: skip


def _round_sizes(points: Sequence[GridPoint]) -> list[float]:
    """Return round file sizes, in MB, to show in the legend; they are within the range of the models' file sizes."""
    smallest, largest = (f(point.size for point in points) / 1e6 for f in (min, max))
    return [mb for mb in (0.1, 0.3, 1, 3, 10, 30, 100) if 0.7 * smallest <= mb <= 1.2 * largest] or [largest]
