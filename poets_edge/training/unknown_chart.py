"""Histograms of the distances of known photos and of photos that belong to no class, for the report of `train`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from poets_edge.core.wording import percent
from poets_edge.reports.charts import Axis, Line, Point, line_chart
from poets_edge.tflite.distance import LIMIT
from poets_edge.training.unknown import UnknownDetection

_WIDTH, _BINS = 0.1, 30
"""Width of the bins of a histogram, as a multiple of the limit, and number of bins; the last includes all distances
beyond it."""


def unknown_chart(found: UnknownDetection) -> Markup:
    """Return an SVG chart with the percentage of photos in each range of distances, and a line at the limit."""
    outlines = [
        Line("training photos, held out", _outline(found.distances), "main"),
        Line("strangers", _outline(found.strangers), "second"),
        Line("background", _outline(found.background), "faint" if len(found.strangers) else "second"),
    ]
    lines = [line for line in outlines if line.points]
    highest = max(share for line in lines for _, share in line.points)
    lines.append(Line("limit", [(LIMIT, 0.0), (LIMIT, highest)], "dashed"))
    x = Axis("distance from the training photos", 0.0, _BINS * _WIDTH, lambda value: f"{value:g}")
    y = Axis("share of photos", 0.0, highest, lambda value: percent(value, 0))
    return line_chart(lines, x, y, title="Distances of known photos")


def _outline(distances: npt.NDArray[np.float32]) -> list[Point]:
    """Return the outline of a histogram of distances, as (distance, fraction) points; [] if there are no distances."""
    if not len(distances):
        return []
    edges = np.arange(_BINS + 1) * _WIDTH
    shares = np.histogram(np.clip(distances, 0, edges[-1] - _WIDTH / 2), edges)[0] / len(distances)
    corners = np.repeat(edges, 2)[1:-1]
    return list(zip(corners.tolist(), np.repeat(shares, 2).tolist(), strict=True))
