"""Line charts as SVG elements, in the colours of the page that contains them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 18.0, 14.0, 46.0
_TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: label in the legend; empty for none.
        points: (x, y) pairs in data coordinates.
        style: class in the style sheet: "main", "second", "faint" or "dashed".
        band: triples (x, low, high) that bound a shaded area behind the line; empty for none.
        dots: whether to draw a dot at each point, with its values as a tooltip.
        notes: text that the tooltip of each dot shows after its values, such as a number of photos; empty for none.
    """

    name: str
    points: Sequence[Point]
    style: str = "main"
    band: Sequence[tuple[float, float, float]] = ()
    dots: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Attributes:
        name: name of the axis, shown in the chart.
        low, high: values at the ends of the axis.
        text: function that returns the label of a tick from its value.
        logarithmic: whether the scale is logarithmic; values must be above 0 then.
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
    """Return a line chart as an SVG element, with `title` as its text for screen readers."""
    parts = [
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
                tip = escape(f"{x.text(a)}: {y.text(b)}" + (f", {line.notes[number]}" if line.notes else ""))
                parts.append(
                    f'<circle class="{escape(line.style)}" cx="{left:.1f}" cy="{top:.1f}" r="4"><title>{tip}</title>'
                    "</circle>"
                )
    parts += [*_legend(lines), "</svg>"]
    return Markup("".join(parts))


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
            f'<text class="tick" x="{left:.1f}" y="{bottom + 17}" text-anchor="middle">{escape(x.text(value))}</text>'
        )
    parts.append(f'<text class="name" x="{right}" y="{HEIGHT - 8}" text-anchor="end">{escape(x.name)}</text>')
    parts.append(f'<text class="name" x="{LEFT}" y="{HEIGHT - 8}">{escape(y.name)}</text>')
    return parts


def _legend(lines: Sequence[Line]) -> list[str]:
    """Return a legend as SVG elements, placed below the chart; empty if fewer than two lines have names."""
    parts = []
    named = [line for line in lines if line.name]
    top = HEIGHT - 12
    for number, line in enumerate(named if len(named) > 1 else []):
        left = WIDTH / 2 - 150 + 150 * number
        parts.append(f'<line class="{escape(line.style)}" x1="{left}" x2="{left + 24}" y1="{top}" y2="{top}"/>')
        parts.append(f'<text class="tick" x="{left + 31}" y="{top + 4}">{escape(line.name)}</text>')
    return parts


def position(a: float, b: float, x: Axis, y: Axis) -> Point:
    """Return the position (left, top) in the SVG image, in SVG units, of a point with the data coordinates (a, b)."""
    left = LEFT + x.place(a) * (WIDTH - LEFT - RIGHT)
    return left, TOP + (1 - y.place(b)) * (HEIGHT - TOP - BOTTOM)


def _path(points: Sequence[Point], x: Axis, y: Axis) -> str:
    return " ".join("{:.1f},{:.1f}".format(*position(a, b, x, y)) for a, b in points)


def _round_step(rough: float) -> float:
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
