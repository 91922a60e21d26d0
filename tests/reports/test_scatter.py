"""Tests of scatter charts and of the exact coordinates of axes and legends, computed by hand.

The plot area reaches from 72 to 608 units horizontally and from 34 to 254 vertically.
"""

from __future__ import annotations

import base64
import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.errors import ModelError, OutputError
from poets_edge.reports import tensorboard
from poets_edge.reports.charts import Axis, Line, axis_lines, line_chart
from poets_edge.reports.page import check_page
from poets_edge.reports.scatter import Dot, Limit, scatter_chart
from poets_edge.reports.thumbnails import thumbnails

NASTY = '"><script>'
ESCAPED = "&#34;&gt;&lt;script&gt;"


def axis(low: float, high: float, name: str = "axis") -> Axis:
    return Axis(name, low, high, lambda value: f"{value:g}")


def dot(x: float, y: float, **fields: Any) -> Dot:
    found = Dot(
        x=x, y=y, low=y - 0.1, high=y + 0.2, radius=6.0, hue=265, hollow=False, faint=False, tip=f"dot at {x:g}",
        target="row",
    )  # fmt: skip
    return replace(found, **fields)


def chart(*dots: Dot, limits: tuple[Limit, ...] = ()) -> str:
    return str(scatter_chart(dots, limits, axis(0, 10), axis(0, 1), title="title"))


def test_dot_is_drawn_as_a_link_with_an_error_bar() -> None:
    assert chart(dot(2.5, 0.5)).count("<a ") == 1
    assert (
        '<a class="dot" href="#row" style="--hue:265" aria-label="dot at 2.5" data-tip="dot at 2.5">'
        '<line x1="206.0" x2="206.0" y1="166.0" y2="100.0"/><circle cx="206.0" cy="144.0" r="6.0"/></a>'
    ) in chart(dot(2.5, 0.5))
    assert 'class="dot hollow"' in chart(dot(1, 0.5, hollow=True))
    assert 'class="dot hollow pale"' in chart(dot(1, 0.5, hollow=True, faint=True))


def test_pale_and_large_dots_are_drawn_first() -> None:
    """Elements that are drawn later cover earlier ones."""
    dots = [dot(1, 0.5, radius=3.0), dot(2, 0.5, radius=9.0), dot(3, 0.5, radius=2.0, faint=True), dot(4, 0.5)]
    assert re.findall(r'data-tip="dot at (\d)"', chart(*dots)) == ["3", "2", "4", "1"]
    pale = [dot(1, 0.5, radius=3.0, faint=True), dot(2, 0.5, radius=9.0, faint=True)]
    assert re.findall(r'data-tip="dot at (\d)"', chart(*pale)) == ["2", "1"]


def test_labels_are_on_the_side_of_their_dots_towards_the_center() -> None:
    left, right = chart(dot(2, 0.5, label="ship")), chart(dot(8, 0.5, label="ship"))
    assert '<text class="name" x="190.2" y="135.0" text-anchor="start">ship</text>' in left
    assert '<text class="name" x="489.8" y="135.0" text-anchor="end">ship</text>' in right
    assert chart(dot(2, 0.5)).count('class="name"') == 2, "only the names of the axes"


def test_limits_are_lines_across_the_whole_chart() -> None:
    drawn = chart(limits=(Limit(2.5, "limit: 2.5 ms", True), Limit(0.75, "limit: 75 %", False)))
    assert '<line class="limit" x1="206.0" x2="206.0" y1="34.0" y2="254.0"/>' in drawn
    assert '<text class="limit" x="211.0" y="46.0" text-anchor="start">limit: 2.5 ms</text>' in drawn
    assert '<line class="limit" x1="72.0" x2="608.0" y1="89.0" y2="89.0"/>' in drawn
    assert '<text class="limit" x="604.0" y="84.0" text-anchor="end">limit: 75 %</text>' in drawn
    right = chart(limits=(Limit(7.5, "limit", True),))
    assert '<text class="limit" x="469.0" y="46.0" text-anchor="end">limit</text>' in right


@pytest.mark.parametrize(
    ("limit", "line"),
    [
        (Limit(99, "", True), 'x1="608.0" x2="608.0"'), (Limit(-1, "", True), 'x1="72.0" x2="72.0"'),
        (Limit(99, "", False), 'y1="34.0" y2="34.0"'), (Limit(-1, "", False), 'y1="254.0" y2="254.0"'),
    ],
)  # fmt: skip
def test_limits_beyond_an_axis_are_drawn_at_the_edge(limit: Limit, line: str) -> None:
    [drawn] = re.findall(r'<line class="limit"[^>]*>', chart(limits=(limit,)))
    assert line in drawn


def test_limits_are_clipped_to_the_range_of_their_own_axis() -> None:
    x, y = axis(20, 30), axis(2, 6)
    limits = [Limit(10, "", True), Limit(40, "", True), Limit(3, "", False)]
    drawn = str(scatter_chart([dot(25, 4)], limits, x, y, title=""))
    lines = re.findall(r'<line class="limit"[^>]*>', drawn)
    assert ['x1="72.0" x2="72.0"' in lines[0], 'x1="608.0" x2="608.0"' in lines[1]] == [True, True]
    assert 'y1="199.0" y2="199.0"' in lines[2]


def test_frozen_graph_is_drawn_without_its_large_constants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    @contextlib.contextmanager
    def opened(folder: Path) -> Iterator[Any]:
        yield SimpleNamespace(add_graph=lambda graph: shown.append((folder, graph)))

    monkeypatch.setattr(tensorboard, "event_file", opened)
    monkeypatch.setattr(tensorboard, "read_frozen_graph", lambda model: SimpleNamespace(graph=f"graph of {model.name}"))
    monkeypatch.setattr(tensorboard, "without_large_constants", lambda graph: f"small {graph}")
    for name in ("m.pb", "M.PB"):
        tensorboard.write_tensorboard_graph(Path(name), tmp_path)
    assert shown == [(tmp_path, "small graph of m.pb"), (tmp_path, "small graph of M.PB")]
    with pytest.raises(ModelError, match=r"m\.tflite: TensorBoard draws frozen graphs only"):
        tensorboard.write_tensorboard_graph(Path("m.tflite"), tmp_path)


def test_thumbnail_of_a_repeated_photo_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Path] = []

    def thumbnail(path: Path) -> str:
        drawn.append(path)
        return path.name

    monkeypatch.setattr("poets_edge.reports.thumbnails._thumbnail", thumbnail)
    one, two = Path("one.jpg"), Path("two.jpg")
    assert thumbnails(iter([one, two, one, one])) == {one: "one.jpg", two: "two.jpg"}
    assert sorted(drawn) == [one, two]


def test_texts_of_a_scatter_chart_are_escaped() -> None:
    named = dot(1, 0.5, tip=NASTY, target=NASTY, label=NASTY)
    drawn = str(scatter_chart([named], [Limit(1, NASTY, True)], axis(0, 10, NASTY), axis(0, 1, NASTY), title=NASTY))
    assert "<script>" not in drawn and drawn.count(ESCAPED) == 8


def test_texts_of_a_line_chart_are_escaped() -> None:
    nasty = Axis(NASTY, 0, 1, lambda value: NASTY)
    lines = [Line(NASTY, [(0, 0)], dots=True), Line("other", [(0, 0)])]
    assert "<script>" not in str(line_chart(lines, nasty, nasty, title=NASTY))


def test_axes_have_grid_lines_and_labels_at_their_ticks() -> None:
    drawn = axis_lines(axis(0, 10, "x"), axis(0, 1, "y"))
    assert '<line class="grid" x1="72.0" x2="608.0" y1="210.0" y2="210.0"/>' in drawn
    assert '<text class="tick" x="64.0" y="214.0" text-anchor="end">0.2</text>' in drawn
    assert '<line class="grid" x1="179.2" x2="179.2" y1="34.0" y2="254.0"/>' in drawn
    assert '<text class="tick" x="179.2" y="273.0" text-anchor="middle">2</text>' in drawn
    assert drawn[-2:] == [
        '<text class="name" x="608.0" y="292.0" text-anchor="end">x</text>', '<text class="name" x="0" y="15">y</text>',
    ]  # fmt: skip
    assert len(drawn) == 2 * 6 + 2 * 6 + 2


def test_photo_counts_are_drawn_above_their_dots() -> None:
    drawn = str(line_chart([Line("", [(5, 0.5)], dots=True, counts=[3])], axis(0, 10), axis(0, 1), title=""))
    assert '<text class="count" x="340.0" y="135.0">3</text>' in drawn
    assert '<circle class="main" cx="340.0" cy="144.0" r="4"><title>5: 0.5, 3 photos</title></circle>' in drawn


@pytest.mark.parametrize(
    ("low", "high", "step"), [(0, 4, 1), (0, 7, 2), (0, 12.4, 2), (0, 12.6, 5), (0, 5, 1), (0, 6.2, 1)]
)
def test_tick_spacing_is_at_least_16_percent_of_the_axis(low: float, high: float, step: float) -> None:
    ticks = axis(low, high).tick_values()
    assert ticks[1] - ticks[0] == pytest.approx(step) and ticks[0] == 0


def test_axis_of_a_single_value_has_a_tick() -> None:
    assert list(axis(2, 2).tick_values()) == [2]


def decoded(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_thumbnails_have_a_longer_side_of_220_pixels(tmp_path: Path) -> None:
    wide, tall, small, bad = (tmp_path / f"{name}.png" for name in ("wide", "tall", "small", "bad"))
    Image.fromarray(np.full((200, 400, 3), (200, 40, 40), np.uint8)).save(wide)
    Image.new("RGB", (50, 550)).save(tall)
    Image.new("RGB", (30, 20)).save(small)
    bad.write_bytes(b"no picture")
    found = thumbnails([wide, tall, small, bad, tmp_path / "missing.png", wide])
    assert list(found) == [wide, tall, small, bad, tmp_path / "missing.png"], "each photo once"
    assert [decoded(found[path]).size for path in (wide, tall, small)] == [(220, 110), (20, 220), (30, 20)]
    assert found[bad] == found[tmp_path / "missing.png"] == ""
    assert decoded(found[wide]).getpixel((100, 50)) == pytest.approx((200, 40, 40), abs=4)
    expected = io.BytesIO()
    Image.new("RGB", (30, 20)).save(expected, "JPEG", quality=72)
    assert base64.b64decode(found[small].partition(",")[2]) == expected.getvalue()


@pytest.mark.parametrize(
    ("content", "replaceable"),
    [
        (b"", True), (b'<!doctype html><meta name="generator" content="poets_edge 0.2">', True),
        (b" " * 3000 + b'<meta name="generator" content="poets_edge 0.1">', True), (b"<!doctype html>mine", False),
        (b'<meta name="generator" content="other">', False), (b"\xff\xd8\xff", False),
    ],
)  # fmt: skip
def test_only_pages_written_by_poets_edge_are_replaced(content: bytes, replaceable: bool, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    check_page(path)
    path.write_bytes(content)
    if replaceable:
        check_page(path)
    else:
        with pytest.raises(OutputError, match=r"page\.html: not a page that poets_edge has written"):
            check_page(path)
    assert path.read_bytes() == content
