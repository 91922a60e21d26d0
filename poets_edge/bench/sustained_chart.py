"""Draw an SVG chart of latency, temperature and throttling over time, without a plotting library."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path

from poets_edge.bench.machine import machine_name
from poets_edge.bench.sustained import Sustained, SustainedResult
from poets_edge.core.files import write_text
from poets_edge.errors import UsageError

_WIDTH, _HEIGHT = 760, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 58, 34, 40
_LATENCY, _HEAT, _THROTTLED = "#932667", "#d47c00", "#f3dede"


def check_chart(path: Path) -> None:
    """Raise UsageError if the name of the chart file does not end in `.svg`."""
    if path.suffix.lower() != ".svg":
        raise UsageError(f"`chart` {path}: the chart is an SVG; give a name that ends in .svg.")


def draw_sustained(result: SustainedResult, path: Path) -> None:
    """Write a chart with one panel per model as an SVG file. Raises OutputError if the file cannot be written."""
    height = 46 + len(result.models) * (_HEIGHT + _TOP + _BOTTOM)
    load = f"{result.options.rate:g} a second" if result.options.rate else "full load"
    subtitle = f"{machine_name(result.machine)}, threads: {result.options.threads}, {load}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + _RIGHT}" height="{height}"'
        ' font-family="DejaVu Sans, Verdana, sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/><text x="{_LEFT}" y="28" font-size="14" fill="#333">'
        f"{html.escape(subtitle)}</text>",
    ]
    for index, model in enumerate(result.models):
        top = 46 + index * (_HEIGHT + _TOP + _BOTTOM) + _TOP
        parts.append(f'<g transform="translate({_LEFT},{top})">{"".join(_panel(model))}</g>')
    write_text(path, "\n".join([*parts, "</svg>"]) + "\n")


def _panel(model: Sustained) -> list[str]:
    ends, span = model.ends, model.ends[-1]
    slow = model.slowdown
    title = f"{model.name}: " + (
        f"{100 * (slow.ratio - 1):.0f} % slower from {clock_text(slow.after)} on" if slow else "no slowdown"
    )
    top = _rounded_up(max(window.p90_ms for window in model.windows) * 1.05)
    places = [end / span * _WIDTH for end in ends]
    parts = [f'<text x="0" y="-12" font-size="14" font-weight="bold">{html.escape(title)}</text>']
    for place, begin, window in zip(places, [0.0, *places], model.windows, strict=False):
        if window.state.throttled:
            width = f"{place - begin:.1f}"
            parts.append(f'<rect x="{begin:.1f}" y="0" width="{width}" height="{_HEIGHT}" fill="{_THROTTLED}"/>')
    for tick in (0, top / 2, top):
        y = _HEIGHT * (1 - tick / top)
        parts.append(f'<line x1="0" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{tick:g} ms</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(
            f'<text x="{share * _WIDTH:.0f}" y="{_HEIGHT + 18}" text-anchor="middle">{clock_text(share * span)}</text>'
        )
    if slow:
        x = slow.after / span * _WIDTH
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT}" stroke="#555" stroke-dasharray="4 3"/>')
    parts.append(_line(places, [window.p90_ms / top for window in model.windows], _LATENCY, 'stroke-opacity="0.35"'))
    parts.append(_line(places, [median / top for median in model.medians], _LATENCY, 'stroke-width="2"'))
    legend = f'<tspan fill="{_LATENCY}">median, and p90 paler</tspan>'
    heats = [window.state.temperature for window in model.windows if window.state.temperature is not None]
    if len(heats) == len(places):
        parts.append(_line(places, [heat / 100 for heat in heats], _HEAT, 'stroke-width="1.5"'))
        parts += [
            f'<text x="{_WIDTH + 6}" y="{_HEIGHT * (1 - heat / 100) + 4:.1f}" fill="{_HEAT}">{heat} °C</text>'
            for heat in (0, 50, 100)
        ]
        legend += f'  <tspan fill="{_HEAT}">temperature</tspan>'
    if model.limits:
        legend += f'  <tspan fill="#a05050">shaded: {html.escape(", ".join(model.limits))}</tspan>'
    parts.append(f'<text x="{_WIDTH}" y="-12" text-anchor="end">{legend}</text>')
    return parts


def clock_text(seconds: float) -> str:
    """Return a duration in seconds as text with minutes and seconds, such as `0:07` or `12:30`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def _line(places: Sequence[float], shares: Sequence[float], color: str, more: str) -> str:
    points = " ".join(f"{x:.1f},{_HEIGHT * (1 - share):.1f}" for x, share in zip(places, shares, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{color}" {more}/>'


def _rounded_up(value: float) -> float:
    """Return a round number that is at least `value`, for the upper end of an axis."""
    power = 10 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value))
