"""Scatter charts as SVG elements whose points link to rows of a table, in the colors of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from poets_edge.reports.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, axis_lines, position


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point of a chart.

    Attributes:
        x, y: data coordinates.
        low, high: y coordinates of the ends of the vertical bar through the point.
        radius: radius, pixels.
        hue: hue of the color, in degrees on the color wheel.
        hollow: whether to draw the outline only.
        faint: whether to draw the point in a pale color, for example because it violates a limit.
        tip: text that is shown while the pointer is over the point.
        target: id of the page element that a click on the point leads to.
        label: text next to the point; empty for none.
    """

    x: float
    y: float
    low: float
    high: float
    radius: float
    hue: int
    hollow: bool
    faint: bool
    tip: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Limit:
    """Line across a chart that marks a limit.

    Attributes:
        value: value of the limit, in data coordinates.
        text: name of the limit, drawn next to the line.
        on_x: whether the limit applies to the horizontal axis instead of the vertical axis.
    """

    value: float
    text: str
    on_x: bool


def scatter_chart(dots: Sequence[Dot], limits: Sequence[Limit], x: Axis, y: Axis, *, title: str) -> Markup:
    """Return a scatter chart as an SVG element; screen readers announce `title` and the `tip` of each point."""
    parts = [
        f'<svg class="chart live" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="group" aria-label="{escape(title)}">',
        *axis_lines(x, y),
        *(_limit_line(limit, x, y) for limit in limits),
    ]
    # Large points first, so that none covers another completely.
    parts += [_dot(dot, x, y) for dot in sorted(dots, key=lambda dot: (not dot.faint, -dot.radius))]
    return Markup("".join([*parts, *(_label(dot, x, y) for dot in dots if dot.label), "</svg>"]))


def _limit_line(limit: Limit, x: Axis, y: Axis) -> str:
    value = min(max(limit.value, (x if limit.on_x else y).low), (x if limit.on_x else y).high)
    left, top = position(value if limit.on_x else x.low, y.low if limit.on_x else value, x, y)
    if limit.on_x:
        anchor, text = ("end", left - 5) if left > WIDTH / 2 else ("start", left + 5)
        line, text_top = f'x1="{left:.1f}" x2="{left:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"', TOP + 12.0
    else:
        anchor, text, text_top = "end", WIDTH - RIGHT - 4, top - 5
        line = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top:.1f}" y2="{top:.1f}"'
    return (
        f'<line class="limit" {line}/>'
        f'<text class="limit" x="{text:.1f}" y="{text_top:.1f}" text-anchor="{anchor}">{escape(limit.text)}</text>'
    )


def _dot(dot: Dot, x: Axis, y: Axis) -> str:
    left, top = position(dot.x, dot.y, x, y)
    (_, low), (_, high) = position(dot.x, dot.low, x, y), position(dot.x, dot.high, x, y)
    looks = " ".join(["dot", *(["hollow"] if dot.hollow else []), *(["pale"] if dot.faint else [])])
    tip = escape(dot.tip)
    return (
        f'<a class="{looks}" href="#{escape(dot.target)}" style="--hue:{dot.hue}" aria-label="{tip}" data-tip="{tip}">'
        f'<line x1="{left:.1f}" x2="{left:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        f'<circle cx="{left:.1f}" cy="{top:.1f}" r="{dot.radius:.1f}"/></a>'
    )


def _label(dot: Dot, x: Axis, y: Axis) -> str:
    left, top = position(dot.x, dot.y, x, y)
    anchor, gap = ("end", -dot.radius - 5) if left > WIDTH / 2 else ("start", dot.radius + 5)
    place = f'x="{left + gap:.1f}" y="{top - dot.radius - 3:.1f}" text-anchor="{anchor}"'
    return f'<text class="name" {place}>{escape(dot.label)}</text>'
