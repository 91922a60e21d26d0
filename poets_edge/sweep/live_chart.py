"""Interactive chart in the HTML report of `grid`: accuracy against latency; each point links to its table row."""

from __future__ import annotations

import math

from markupsafe import Markup

from poets_edge.core.wording import percent
from poets_edge.reports.charts import Axis
from poets_edge.reports.scatter import Dot, Limit, scatter_chart
from poets_edge.sweep.points import GridPoint
from poets_edge.sweep.results import GridResult

_RADIUS_OF_MB = 4.0
_SMALLEST_RADIUS = 3.5
_STEPS = (1.0, 2.0, 5.0)


def row_id(point: GridPoint) -> str:
    """Return the HTML identifier of the table row for a grid point (a model with its measurements)."""
    return f"point-{point.name.replace(' ', '-')}"


def series_hues(result: GridResult) -> dict[tuple[str, str], int]:
    """Return the hue of each (family, series) pair in the results, in degrees on the color wheel."""
    series = sorted({(point.architecture.family, point.architecture.series) for point in result.points})
    return {one: round(265 + 360 * number / len(series)) % 360 for number, one in enumerate(series)}


def live_chart(result: GridResult) -> Markup:
    """Return the interactive chart of accuracy against latency as an SVG element."""
    latencies = [point.latency.median for point in result.points]
    lows, highs = zip(*(point.interval for point in result.points), strict=True)
    budget = result.budget
    limits = []
    if budget.latency is not None:
        limits.append(Limit(budget.latency, f"limit: {budget.latency:g} ms", True))
    if budget.accuracy is not None:
        limits.append(Limit(budget.accuracy, f"limit: {100 * budget.accuracy:g} %", False))
    ends = [*latencies, *([budget.latency] if budget.latency is not None else [])]
    heights = [*lows, *highs, *([budget.accuracy] if budget.accuracy is not None else [])]
    low, high = min(ends) / 1.25, max(ends) * 1.25
    x = Axis("median latency, ms", low, high, lambda value: f"{value:g}", True, _round_ticks(low, high))
    y = Axis("accuracy", max(0.0, min(heights) - 0.02), min(1.0, max(heights) + 0.02), lambda v: percent(v, 0))
    hues = series_hues(result)
    dots = [
        Dot(
            x=point.latency.median,
            y=point.accuracy,
            low=point.interval[0],
            high=point.interval[1],
            radius=max(_SMALLEST_RADIUS, _RADIUS_OF_MB * math.sqrt(point.size / 1e6)),
            hue=hues[point.architecture.family, point.architecture.series],
            hollow=point.quantization == "float32",
            faint=bool(budget.violations(point)),
            tip=tooltip(point),
            target=row_id(point),
            label="ship" if point == result.choice.point else "",
        )
        for point in result.points
    ]
    return scatter_chart(dots, limits, x, y, title="Accuracy over median latency of all points")


def tooltip(point: GridPoint) -> str:
    """Return the tooltip of a model in the chart: name, accuracy with confidence interval, latency and file size."""
    low, high = point.interval
    return (
        f"{point.name}: {percent(point.accuracy)} ({100 * low:.0f} to {100 * high:.0f}),"
        f" {point.latency.median:.2f} ms, {point.size / 1e6:.2f} MB"
    )


def _round_ticks(low: float, high: float) -> list[float]:
    """Return all tick values in a range that are 1, 2 or 5 times a power of ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in _STEPS if low <= step * 10.0**power <= high]
