"""Line charts as SVG elements, in the colors of the page that contains them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from poets_edge.core.wording import counted

WIDTH, HEIGHT = 640.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 72.0, 32.0, 34.0, 46.0
_TICKS = 5
_TOLERANCE = 0.8
"""Minimum ratio of a round tick spacing to the spacing that would divide the axis into `_TICKS` equal intervals."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: label in the legend; empty for none.
        points: (x, y) pairs in data coordinates.
        style: CSS class: "main", "second", "faint" or "dashed".
        band: triples (x, low, high) that bound a shaded area behind the line; empty for none.
        dots: whether to draw a dot at each point, with its values as a tooltip.
        counts: number of photos for each dot, drawn above the dot and shown in its tooltip; empty for none.
    """

    name: str
    points: Sequence[Point]
    style: str = "main"
    band: Sequence[tuple[float, float, float]] = ()
    dots: bool = False
    counts: Sequence[int] = ()


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Attributes:
        name: name of the axis, shown in the chart.
        low, high: values at the ends of the axis.
        text: function that converts the value of a tick to its label.
        logarithmic: whether the scale is logarithmic, which requires values above 0.
        ticks: values at which ticks are drawn; by default at round numbers.
    """

    name: str
    low: float
    high: float
    text: Callable[[float], str]
    logarithmic: bool = False
    ticks: Sequence[float] = ()

    def place(self, value: float) -> float:
        """Return the position of a value as a fraction of the length of the axis, 0 to 1."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low) if high > low else 0.5

    def tick_values(self) -> Sequence[float]:
        """Return the values at which ticks are drawn."""
        if self.ticks:
            return self.ticks
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def line_chart(lines: Sequence[Line], x: Axis, y: Axis, *, title: str) -> Markup:
    """Return a line chart: a legend in HTML, followed by an SVG element, whose text for screen readers is `title`."""
    parts = [
        *_legend(lines),
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(title)}">',
        *axis_lines(x, y),
    ]
    for line in lines:
        if line.band:
            edge = [(a, high) for a, _, high in line.band] + [(a, low) for a, low, _ in reversed(line.band)]
            parts.append(f'<polygon class="band" points="{_path(edge, x, y)}"/>')
    for line in lines:
        parts.append(f'<polyline class="{escape(line.style)}" points="{_path(line.points, x, y)}"/>')
        if line.dots:
            for number, (a, b) in enumerate(line.points):
                left, top = position(a, b, x, y)
                count = line.counts[number] if line.counts else None
                tip = escape(f"{x.text(a)}: {y.text(b)}" + ("" if count is None else f", {counted(count, 'photo')}"))
                parts.append(
                    f'<circle class="{escape(line.style)}" cx="{left:.1f}" cy="{top:.1f}" r="4"><title>{tip}</title>'
                    "</circle>"
                )
                if count is not None:
                    parts.append(f'<text class="count" x="{left:.1f}" y="{top - 9:.1f}">{count}</text>')
    return Markup("".join([*parts, "</svg>"]))


def axis_lines(x: Axis, y: Axis) -> list[str]:
    """Return the grid lines, tick labels and names of two axes, as SVG elements."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in y.tick_values():
        _, top = position(x.low, value, x, y)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{top:.1f}" y2="{top:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{top + 4:.1f}" text-anchor="end">{escape(y.text(value))}</text>'
        )
    for value in x.tick_values():
        left, _ = position(value, y.low, x, y)
        parts.append(f'<line class="grid" x1="{left:.1f}" x2="{left:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(
            f'<text class="tick" x="{left:.1f}" y="{bottom + 19}" text-anchor="middle">{escape(x.text(value))}</text>'
        )
    parts.append(f'<text class="name" x="{right}" y="{HEIGHT - 8}" text-anchor="end">{escape(x.name)}</text>')
    parts.append(f'<text class="name" x="0" y="15">{escape(y.name)}</text>')
    return parts


def _legend(lines: Sequence[Line]) -> list[str]:
    """Return a legend as a list of HTML fragments; an empty list if fewer than two lines have names."""
    named = [line for line in lines if line.name]
    if len(named) < 2:
        return []
    entries = (f'<span><i class="line {escape(line.style)}"></i>{escape(line.name)}</span>' for line in named)
    return ['<p class="legend">', *entries, "</p>"]


def position(a: float, b: float, x: Axis, y: Axis) -> Point:
    """Convert data coordinates (a, b) to a position (left, top) in the chart, in SVG units."""
    left = LEFT + x.place(a) * (WIDTH - LEFT - RIGHT)
    return left, TOP + (1 - y.place(b)) * (HEIGHT - TOP - BOTTOM)


def _path(points: Sequence[Point], x: Axis, y: Axis) -> str:
    return " ".join("{:.1f},{:.1f}".format(*position(a, b, x, y)) for a, b in points)


def _round_step(rough: float) -> float:
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * _TOLERANCE)
