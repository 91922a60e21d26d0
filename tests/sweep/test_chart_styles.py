"""Tests of the opacity of bars, the size of rings and the axes in the chart of a grid."""

from __future__ import annotations

import math

import pytest

from poets_edge.sweep.budget import Budget
from poets_edge.sweep.chart.styles import AREA_OF_MB, series_styles
from tests.sweep.test_chart_places import LARGE, SMALL, figure_of, result_of


def test_chart_panels_share_an_axis_for_measured_but_not_for_published_accuracies() -> None:
    """The axis of published accuracies is gray, since it belongs to the gray lines behind the bubbles."""
    figure = figure_of(result_of(SMALL, LARGE))
    panels, published = figure.axes[:4], figure.axes[4:]
    shared = panels[0].get_shared_y_axes()
    assert len(published) == 4 and all(shared.joined(panels[0], panel) for panel in panels)
    for axis in published:
        latencies = [list(line.get_xdata()) for line in axis.lines]
        assert latencies and latencies == [sorted(line) for line in latencies], "from left to right"
        assert not shared.joined(panels[0], axis) and axis.get_ylim() == (25, 75)
        assert {label.get_color() for label in (*axis.get_yticklabels(), axis.yaxis.label)} == {"#9a9a9a"}


def test_bars_of_models_outside_the_budget_are_paler() -> None:
    """A bar is the confidence interval of a model; it is as pale as its bubble."""
    from matplotlib.collections import LineCollection

    panel = figure_of(result_of(SMALL, LARGE, budget=Budget(latency=5.0))).axes[2]
    bars = [one for one in panel.collections if isinstance(one, LineCollection)]
    opacities = {float(bar.get_segments()[0][0][0]): bar.get_alpha() for bar in bars}
    assert opacities == {1.0: pytest.approx(0.55), 8.0: pytest.approx(0.55 * 0.3)}


def test_ring_around_a_model_on_the_pareto_front_is_five_points_wider_than_its_bubble() -> None:
    from matplotlib.collections import PathCollection

    panel = figure_of(result_of(SMALL, LARGE)).axes[2]
    markers = [one for one in panel.collections if isinstance(one, PathCollection)]
    rings = sorted(float(one.get_sizes()[0]) for one in markers if not len(one.get_facecolor()))
    expected = [(math.sqrt(AREA_OF_MB * one.size / 1e6) + 5) ** 2 for one in (SMALL, LARGE)]
    assert rings == pytest.approx(expected)


def test_network_families_with_a_single_series_are_drawn_with_a_solid_line() -> None:
    styles = series_styles()
    families = [family for family, _ in styles]
    first = {family: style.line for (family, _), style in reversed(styles.items())}
    assert {first[family] for family in families if families.count(family) == 1} == {"-"}
    assert {first[family] for family in families if families.count(family) > 1} == {":"}
