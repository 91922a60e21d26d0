"""Draw the results of `grid`: accuracy plotted against latency (left) and multiply-accumulates (right).

The panels in the top row show the float32 models, those in the bottom row the int8 models.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poets_edge.bench.machine import machine_name
from poets_edge.core.files import replacing
from poets_edge.errors import RuntimeMissingError
from poets_edge.nets.architectures import families
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.chart.labels import write_labels
from poets_edge.sweep.chart.legend import draw_legend
from poets_edge.sweep.chart.panel import PanelAxis, draw_panel, published_ms
from poets_edge.sweep.points import GridPoint
from poets_edge.sweep.results import GridResult

_QUANTIZATIONS = ("float32", "int8")


def draw_chart(result: GridResult, *paths: Path) -> None:
    """Draw the results of `grid` and write the chart to each path, as PNG or SVG according to the suffix of the path.

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


def compose_chart(figure: Any, result: GridResult) -> None:
    """Draw the results of `grid` on an empty matplotlib figure. Labels of bubbles have the group id `bubble label`."""
    budget = result.budget
    columns = (
        PanelAxis(
            f"median latency on {_device(result)}, ms (threads: {result.threads}; log scale)",
            lambda point: point.latency.median,
            None if budget.latency is None else (budget.latency, f"limit: {budget.latency:g} ms"),
            published_ms,
            "published: ImageNet top-1 over ms on a Pixel 3",
        ),
        PanelAxis(
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
            draw_panel(panel, axis, points, quantization, result)
    # The positions of labels depend on the limits of the axes, which are known only after drawing.
    figure.draw_without_rendering()
    for row, quantization in zip(panels, _QUANTIZATIONS, strict=True):
        points = [point for point in result.points if point.quantization == quantization]
        for panel, axis in zip(row, columns, strict=True):
            write_labels(figure, panel, axis, points, result)
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
    draw_legend(figure, result)


def _families(result: GridResult) -> str:
    """Return the architecture families of all models as a phrase, such as `A, B and C`, in a fixed order."""
    present = {point.architecture.family for point in result.points}
    *first, last = (family.name for family in families() if family.name in present)
    return f"{', '.join(first)} and {last}" if first else last


def _device(result: GridResult) -> str:
    """Return the host name of the measured device, or "this device" if latencies were measured on this computer."""
    return str(result.machine.get("host") or "this device")


def _accuracy_range(points: Sequence[GridPoint]) -> tuple[float, float]:
    """Return the lower and the upper end of the accuracy axis, in percent."""
    lowest = 100 * min(point.interval[0] for point in points)
    highest = 100 * max(point.interval[1] for point in points)
    margin = max(0.06 * (highest - lowest), 1.0)
    # Limits outside 0 to 100 % leave room for bubbles and labels.
    return max(lowest - margin, -2.0), min(highest + margin, 102.0)


def _range_text(low: float, high: float) -> str:
    """Format a range as `2` or `2 to 3`, in whole numbers, or with one decimal place if both values are below 1."""
    texts = [f"{value:.0f}" if high >= 1 else f"{value:.1f}" for value in (low, high)]
    return texts[0] if texts[0] == texts[1] else " to ".join(texts)
