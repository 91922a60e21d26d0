"""Labels in a panel of the chart: the input resolution of each network, and the name of the chosen model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from poets_edge.sweep.chart.label_places import Box, overlap, place_text
from poets_edge.sweep.chart.panel import PanelAxis
from poets_edge.sweep.chart.styles import AREA_OF_MB, opacity, series_of, series_styles
from poets_edge.sweep.points import GridPoint
from poets_edge.sweep.results import GridResult


def write_labels(figure: Any, panel: Any, axis: PanelAxis, points: Sequence[GridPoint], result: GridResult) -> None:
    """Label each bubble with the input resolution of its network, and the bubble of the chosen model with its name."""
    from matplotlib import patheffects

    halo = [patheffects.withStroke(linewidth=2.2, foreground="white")]
    paper, styles = figure.bbox, series_styles()
    for point, text, box in _label_boxes(figure, panel, axis, points, result):
        is_chosen = point == result.choice.point
        panel.annotate(
            text, xy=((box[0] + box[2]) / 2 / paper.width, (box[1] + box[3]) / 2 / paper.height),
            xycoords="figure fraction", ha="center", va="center", fontsize=8.6 if is_chosen else 7.6,
            color="black" if is_chosen else styles[series_of(point.architecture)].color,
            weight="bold" if is_chosen else "normal", alpha=max(0.6, opacity(point, result)), zorder=6,
            path_effects=halo, gid="bubble label",
        )  # fmt: skip


def _label_boxes(
    figure: Any, panel: Any, axis: PanelAxis, points: Sequence[GridPoint], result: GridResult
) -> list[tuple[GridPoint, str, Box]]:
    """Return a triple (point, label, box of the label) for each label; no box overlaps a bubble or another box.

    A bubble without enough free space next to it has no label, unless it is the bubble of the chosen model.
    """
    pixels = figure.dpi / 72
    centers = {p: panel.transData.transform((axis.of_point(p), 100 * p.accuracy)) for p in points}
    rings = {p: 3 if p in result.front else 0 for p in points}
    radii = {p: (math.sqrt(AREA_OF_MB * p.size / 1e6) / 2 + 2 + rings[p]) * pixels for p in points}
    taken = [(x - radii[p], y - radii[p], x + radii[p], y + radii[p]) for p, (x, y) in centers.items()]
    strokes = _strokes(points, centers)
    frame, labels = panel.get_window_extent(), []
    for point in sorted(points, key=lambda p: (p != result.choice.point, bool(result.budget.violations(p)), -p.size)):
        text = f"{point.architecture.resolution}{' gray' if point.architecture.gray else ''}"
        width, height = 5.0 * pixels, 8.5 * pixels
        if point == result.choice.point:
            text = f"{point.architecture.name.removeprefix('mobilenet_')}: ship"
            width, height = 5.6 * pixels, 9.5 * pixels
        size = (len(text) * width, height)
        box = place_text(centers[point], radii[point], size, taken, strokes, frame, pixels)
        if point == result.choice.point or not any(overlap(box, other) for other in taken):
            taken.append(box)
            labels.append((point, text, box))
    return labels


def _strokes(points: Sequence[GridPoint], centers: dict[GridPoint, Any]) -> list[tuple[float, float]]:
    """Return positions (x, y), in pixels, along the lines that connect the bubbles of each series of networks."""
    positions = []
    for series in dict.fromkeys(series_of(point.architecture) for point in points):
        members = [point for point in points if series_of(point.architecture) == series]
        line = sorted(members, key=lambda point: point.architecture.resolution)
        for one, other in itertools.pairwise(line):
            (x0, y0), (x1, y1) = centers[one], centers[other]
            steps = max(int(math.hypot(x1 - x0, y1 - y0) / 4), 1)
            positions += [(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(steps + 1)]
    return positions
