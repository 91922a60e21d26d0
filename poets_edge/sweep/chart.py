"""Chart of a grid: accuracy against latency and against multiply-accumulates, with float32 panels above int8 panels.

Families are distinguished by colour and marker. The series within a family (networks of different width or depth) are
distinguished by shade and line style, so that the chart is readable in grayscale. Marker areas show file sizes.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.bench.machine import machine_name
from poets_edge.core.files import replacing
from poets_edge.errors import RuntimeMissingError
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import families
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.label_places import Box, overlap, place_text
from poets_edge.sweep.points import GridPoint
from poets_edge.sweep.results import GridResult
from poets_edge.sweep.trend import trend

_AREA_OF_MB = 40.0
"""Area of a marker per MB of file size, in square points (1 point = 1/72 inch)."""


@dataclass(frozen=True)
class _Style:
    """Appearance of the points and the line of a series.

    Attributes:
        colour: colour, as for matplotlib.
        line: line style, as for matplotlib.
        marker: marker, as for matplotlib; each family has its own.
    """

    colour: str
    line: Any
    marker: str


_PALETTES = (
    ("#d47c00", "#d04a3c", "#932667", "#2a0a52"),
    ("#2fa0a8", "#17808f", "#0b5f73", "#053c4a"),
    ("#000000", "#333333", "#666666", "#999999"),
    ("#7fb069", "#4f8a3c", "#33691e", "#1b3a10"),
)
"""Colours for the series of each family, smallest network first. The lightness changes uniformly within a family, so
that series can be told apart in grayscale. The first family's colours are from matplotlib's inferno colour map."""
_MARKERS = ("o", "s", "D", "^")
_LINES = (":", "-.", "--", "-")

_PUBLISHED = "#9a9a9a"
_QUANTIZATIONS = ("float32", "int8")
_LIMIT = "#b3402a"
_PALE = 0.3
"""Opacity of points outside the limits."""


@dataclass(frozen=True)
class _Axis:
    """Horizontal axis of a column of panels.

    Attributes:
        label: text below the axis.
        of_point: function that returns the value of a point.
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


def draw_chart(result: GridResult, *paths: Path) -> None:
    """Draw the chart of a grid and write it to each path, in the format of the suffix (.png or .svg).

    Raises:
        RuntimeMissingError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeMissingError(
            f"the chart needs matplotlib, which is not installed ({error}). Run: pip install 'poets-edge[train]'"
        ) from None
    # A fixed salt and no date make the output reproducible.
    with matplotlib.rc_context({"svg.hashsalt": "poets_edge", "font.size": 10, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(12, 10.4), layout=None)
        FigureCanvasAgg(figure)
        compose_chart(figure, result)
        for path in paths:
            with replacing(path) as temporary:
                file_format = path.suffix.removeprefix(".")
                figure.savefig(
                    temporary, format=file_format, dpi=150, metadata={"Date": None} if file_format == "svg" else None
                )


def _families(result: GridResult) -> str:
    """Return a phrase with the names of the families of all points, in the order of the registry."""
    present = {point.architecture.family for point in result.points}
    *first, last = (family.name for family in families() if family.name in present)
    return f"{', '.join(first)} and {last}" if first else last


def _device(result: GridResult) -> str:
    """Return the name of the measured device, or "this device"."""
    return str(result.machine.get("host") or "this device")


def compose_chart(figure: Any, result: GridResult) -> None:
    """Draw the chart of a grid on an empty matplotlib figure. Labels of bubbles have the group id `bubble label`."""
    budget = result.budget
    columns = (
        _Axis(
            f"median latency on {_device(result)}, ms (threads: {result.threads}; log scale)",
            lambda point: point.latency.median,
            None if budget.latency is None else (budget.latency, f"limit: {budget.latency:g} ms"),
            _published_ms,
            "published: ImageNet top-1 over ms on a Pixel 3",
        ),
        _Axis(
            "million multiply-accumulates a picture (log scale)",
            lambda point: point.mmacs,
            None,
            lambda architecture, quantization: architecture.mmacs,
            "published: ImageNet top-1",
        ),
    )
    panels = figure.subplots(
        2, 2, sharex="col", sharey=True,
        gridspec_kw={"left": 0.07, "right": 0.935, "top": 0.885, "bottom": 0.155, "hspace": 0.11, "wspace": 0.17},
    )  # fmt: skip
    low, high = _accuracy_range(result.points)
    if budget.accuracy is not None:
        low, high = min(low, 100 * budget.accuracy - 1), max(high, 100 * budget.accuracy + 1)
    for row, quantization in zip(panels, _QUANTIZATIONS, strict=True):
        points = [point for point in result.points if point.quantization == quantization]
        for panel, axis in zip(row, columns, strict=True):
            panel.set_ylim(low, high)
            _draw_panel(panel, axis, points, quantization, result)
    # The positions of labels depend on the limits of the axes, which are known only after drawing.
    figure.draw_without_rendering()
    for row, quantization in zip(panels, _QUANTIZATIONS, strict=True):
        points = [point for point in result.points if point.quantization == quantization]
        for panel, axis in zip(row, columns, strict=True):
            _write_labels(figure, panel, axis, points, result)
    for panel, axis in zip(panels[1], columns, strict=True):
        panel.set_xlabel(axis.label)
    for row in panels:
        row[0].set_ylabel("accuracy on your photos, %")
    halves = sorted(50 * (point.interval[1] - point.interval[0]) for point in result.points)
    figure.text(0.07, 0.965, f"{_families(result)} retrained on your photos", fontsize=16, weight="bold", va="center")
    figure.text(
        0.07, 0.93,
        f"{len(result.labels)} classes, {result.photos_text}; bars: 95 % intervals,"
        f" ±{_range_text(halves[0], halves[-1])} points.\n{machine_name(result.machine)},"
        f" {result.machine['interpreter']} {result.machine['interpreter_version']}"
        + ("" if budget == Budget() else f". Limits: {budget}; models outside of them are pale."),
        fontsize=10, va="center", color="#333333",
    )  # fmt: skip
    _draw_legend(figure, result)


Series = tuple[str, str]
"""Pair (name of a family, name of a series in the family)."""


def _series(architecture: Architecture) -> Series:
    return architecture.family, architecture.series


def _styles() -> dict[Series, _Style]:
    """Return the style of each series in all families, ordered by family and then by network size."""
    styles = {}
    for index, family in enumerate(families()):
        palette, marker = _PALETTES[index % len(_PALETTES)], _MARKERS[index % len(_MARKERS)]
        members = sorted(family.architectures, key=lambda entry: entry.mparams)
        every = tuple(dict.fromkeys(map(_series, members)))
        for rank, series in enumerate(every):
            # The last shade and a solid line belong to the largest network, or to the only one.
            place = rank % len(palette) if len(every) > 1 else 0
            line = _LINES[place] if len(every) > 1 else "-"
            styles[series] = _Style(palette[place], line, marker)
    return styles


def _draw_panel(panel: Any, axis: _Axis, points: Sequence[GridPoint], quantization: str, result: GridResult) -> None:
    panel.set_xscale("log")
    panel.grid(True, which="major", color="#e4e4e4", linewidth=0.8)
    panel.set_axisbelow(True)
    _draw_published(panel, axis, quantization)
    _draw_limits(panel, axis, result.budget)
    styles = _styles()
    members: dict[Series, list[GridPoint]] = defaultdict(list)
    for point in points:
        members[_series(point.architecture)].append(point)
    for series, line in members.items():
        line.sort(key=lambda point: point.architecture.resolution)
        colour = styles[series].colour
        panel.plot(
            [axis.of_point(point) for point in line], [100 * height for height in trend(line)],
            color=colour, linestyle=styles[series].line, linewidth=1.5, zorder=3,
        )  # fmt: skip
        for point in line:
            panel.vlines(
                axis.of_point(point), *(100 * end for end in point.interval), color=colour, linewidth=1,
                alpha=0.55 * _opacity(point, result), zorder=2,
            )  # fmt: skip
    for point in sorted(points, key=lambda point: -point.size):
        x, y = axis.of_point(point), 100 * point.accuracy
        area = _AREA_OF_MB * point.size / 1e6
        style = styles[_series(point.architecture)]
        look = {"color": style.colour, "marker": style.marker, "alpha": _opacity(point, result)}
        panel.scatter([x], [y], s=area, edgecolors="white", linewidths=0.6, zorder=4, **look)
        if point in result.front:
            ring = (math.sqrt(area) + 5) ** 2
            look = {
                "facecolors": "none",
                "edgecolors": "black",
                "marker": style.marker,
                "alpha": _opacity(point, result),
            }
            panel.scatter([x], [y], s=ring, linewidths=1.4, zorder=5, **look)
    _plain_ticks(panel)
    numbers = "32-bit floats" if quantization == "float32" else "8-bit integers"
    title = f"{quantization}: weights and arithmetic in {numbers}"
    panel.set_title(title, loc="left", fontsize=11, weight="bold", pad=6)


def _opacity(point: GridPoint, result: GridResult) -> float:
    """Return the opacity of a point, 0 to 1; points that violate the budget are pale."""
    return _PALE if result.budget.excess(point) else 1.0


def _draw_limits(panel: Any, axis: _Axis, budget: Budget) -> None:
    """Draw and name the limits on latency and accuracy. A limit on the file size is not drawn: it has no axis."""
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


def _draw_published(panel: Any, axis: _Axis, quantization: str) -> None:
    """Draw the published ImageNet accuracies behind the points, with a separate vertical axis on the right."""
    behind = panel.twinx()
    behind.set_zorder(panel.get_zorder() - 1)
    panel.patch.set_visible(False)
    for series, style in _styles().items():
        members = [entry for family in families() for entry in family.architectures if _series(entry) == series]
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


def _published_ms(architecture: Architecture, quantization: str) -> float | None:
    published = architecture.published
    if published is None:
        return None
    return published.pixel3_ms if quantization == "float32" else published.quantized_pixel3_ms


def _accuracy_range(points: Sequence[GridPoint]) -> tuple[float, float]:
    """Return the lower and upper end of the vertical axis, percent."""
    lowest = 100 * min(point.interval[0] for point in points)
    highest = 100 * max(point.interval[1] for point in points)
    margin = max(0.06 * (highest - lowest), 1.0)
    # Limits outside 0 to 100 % leave room for bubbles and labels.
    return max(lowest - margin, -2.0), min(highest + margin, 102.0)


def _range_text(low: float, high: float) -> str:
    """Format a range as `2` or `2 to 3`, in whole numbers, or with one decimal place if both values are below 1."""
    texts = [f"{value:.0f}" if high >= 1 else f"{value:.1f}" for value in (low, high)]
    return texts[0] if texts[0] == texts[1] else " to ".join(texts)


def _plain_ticks(panel: Any) -> None:
    """Label the logarithmic horizontal axis with plain numbers such as 1, 2, 5 and 10 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _write_labels(figure: Any, panel: Any, axis: _Axis, points: Sequence[GridPoint], result: GridResult) -> None:
    """Label each bubble with its resolution, and the bubble of the chosen point with its name."""
    from matplotlib import patheffects

    halo = [patheffects.withStroke(linewidth=2.2, foreground="white")]
    paper, styles = figure.bbox, _styles()
    for point, text, box in _label_boxes(figure, panel, axis, points, result):
        is_chosen = point == result.choice.point
        panel.annotate(
            text, xy=((box[0] + box[2]) / 2 / paper.width, (box[1] + box[3]) / 2 / paper.height),
            xycoords="figure fraction", ha="center", va="center", fontsize=8.6 if is_chosen else 7.6,
            color="black" if is_chosen else styles[_series(point.architecture)].colour,
            weight="bold" if is_chosen else "normal", alpha=max(0.6, _opacity(point, result)), zorder=6,
            path_effects=halo, gid="bubble label",
        )  # fmt: skip


def _label_boxes(
    figure: Any, panel: Any, axis: _Axis, points: Sequence[GridPoint], result: GridResult
) -> list[tuple[GridPoint, str, Box]]:
    """Return triples (point, label, box of the label), where boxes overlap neither each other nor a bubble.

    A bubble without room for a label has none, unless it is the bubble of the chosen point.
    """
    pixels = figure.dpi / 72
    centres = {p: panel.transData.transform((axis.of_point(p), 100 * p.accuracy)) for p in points}
    rings = {p: 3 if p in result.front else 0 for p in points}
    radii = {p: (math.sqrt(_AREA_OF_MB * p.size / 1e6) / 2 + 2 + rings[p]) * pixels for p in points}
    taken = [(x - radii[p], y - radii[p], x + radii[p], y + radii[p]) for p, (x, y) in centres.items()]
    strokes = _strokes(points, centres)
    frame, labels = panel.get_window_extent(), []
    for point in sorted(points, key=lambda p: (p != result.choice.point, bool(result.budget.excess(p)), -p.size)):
        text, width, height = str(point.architecture.resolution), 5.0 * pixels, 8.5 * pixels
        if point == result.choice.point:
            text = f"{point.architecture.name.removeprefix('mobilenet_')}: ship"
            width, height = 5.6 * pixels, 9.5 * pixels
        size = (len(text) * width, height)
        box = place_text(centres[point], radii[point], size, taken, strokes, frame, pixels)
        if point == result.choice.point or not any(overlap(box, other) for other in taken):
            taken.append(box)
            labels.append((point, text, box))
    return labels


def _strokes(points: Sequence[GridPoint], centres: dict[GridPoint, Any]) -> list[tuple[float, float]]:
    """Return positions (x, y), in pixels, along the lines that connect the points in each series."""
    positions = []
    for series in dict.fromkeys(_series(point.architecture) for point in points):
        members = [point for point in points if _series(point.architecture) == series]
        line = sorted(members, key=lambda point: point.architecture.resolution)
        for one, other in itertools.pairwise(line):
            (x0, y0), (x1, y1) = centres[one], centres[other]
            steps = max(int(math.hypot(x1 - x0, y1 - y0) / 4), 1)
            positions += [(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(steps + 1)]
    return positions


def _draw_legend(figure: Any, result: GridResult) -> None:
    from matplotlib.lines import Line2D

    resolutions: dict[Series, set[int]] = defaultdict(set)
    for point in result.points:
        resolutions[_series(point.architecture)].add(point.architecture.resolution)
    lines = [
        Line2D(
            [],
            [],
            color=style.colour,
            # A series with a single resolution is drawn without a line.
            linestyle=style.line if len(resolutions[series]) > 1 else "",
            marker=style.marker,
            markersize=5,
            linewidth=1.8,
            label=series[1],
        )
        for series, style in _styles().items()
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
               markersize=math.sqrt(_AREA_OF_MB * mb))
        for mb in _round_sizes(result.points)
    ]  # fmt: skip
    figure.legend(
        handles=sizes, loc="lower left", bbox_to_anchor=(0.06, 0.008), ncol=len(sizes), frameon=False, fontsize=9,
        title="bubble area = file size;  number = input resolution, px"
        + (";  lines = trend of a network over resolution, level where a fall could be chance" if joined else ""),
        title_fontsize=9, alignment="left", handletextpad=0.8, columnspacing=2.4,
    )  # fmt: skip


def _round_sizes(points: Sequence[GridPoint]) -> list[float]:
    """Return round file sizes for the legend, in MB, within the range of the file sizes of the points."""
    smallest, largest = (f(point.size for point in points) / 1e6 for f in (min, max))
    return [mb for mb in (0.1, 0.3, 1, 3, 10, 30, 100) if 0.7 * smallest <= mb <= 1.2 * largest] or [largest]
