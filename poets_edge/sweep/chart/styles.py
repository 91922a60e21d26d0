"""Colors, markers, line styles and sizes of the points and lines in a chart.

Families are distinguished by color and marker. The series within a family (networks of different width or depth) are
distinguished by shade and line style, so that the chart is readable in grayscale. Marker areas show file sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import families
from poets_edge.sweep.points import GridPoint
from poets_edge.sweep.results import GridResult

AREA_OF_MB = 40.0
"""Area of a marker per MB of file size, in square points (1 point = 1/72 inch)."""

_PALETTES = (
    ("#d47c00", "#d04a3c", "#932667", "#2a0a52"),
    ("#2fa0a8", "#17808f", "#0b5f73", "#053c4a"),
    ("#000000", "#333333", "#666666", "#999999"),
    ("#7fb069", "#4f8a3c", "#33691e", "#1b3a10"),
)
"""Colors for the series of each family, smallest network first. The lightness changes uniformly within a family, so
that series can be told apart in grayscale. The first family's colors are from matplotlib's inferno color map."""
_MARKERS = ("o", "s", "D", "^")
_LINES = (":", "-.", "--", "-")
_PALE = 0.3
"""Opacity of the bubbles of models that violate the budget."""

Series = tuple[str, str]
"""Pair (name of a family, name of a series in the family)."""


@dataclass(frozen=True)
class Style:
    """Appearance of the bubbles and the trend line of a series of networks.

    Attributes:
        color: color, as for matplotlib.
        line: line style, as for matplotlib.
        marker: marker, as for matplotlib; each family has its own.
    """

    color: str
    line: Any
    marker: str


def series_of(architecture: Architecture) -> Series:
    """Return an architecture's family, and its series: the networks of the family that differ only in input size."""
    return architecture.family, architecture.series


def series_styles() -> dict[Series, Style]:
    """Return the style of each series in all families, ordered by family and then by network size."""
    styles = {}
    for index, family in enumerate(families()):
        palette, marker = _PALETTES[index % len(_PALETTES)], _MARKERS[index % len(_MARKERS)]
        members = sorted(family.architectures, key=lambda entry: entry.mparams)
        every = tuple(dict.fromkeys(map(series_of, members)))
        for rank, series in enumerate(every):
            # The last shade and a solid line belong to the largest network, or to the only one.
            place = rank % len(palette) if len(every) > 1 else 0
            line = _LINES[place] if len(every) > 1 else "-"
            styles[series] = Style(palette[place], line, marker)
    return styles


def opacity(point: GridPoint, result: GridResult) -> float:
    """Return the opacity of a model's bubble, 0 to 1; bubbles of models that violate the budget are pale."""
    return _PALE if result.budget.violations(point) else 1.0
