"""Tests of the texts of numbers in tables and messages, and of the HTML of results in notebooks."""

from __future__ import annotations

from typing import Any

import pytest

from poets_edge.core.tabular import Tabular
from poets_edge.core.wording import accuracy_text, counted, interval_text, percent


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.875, 1, "87.5 %"),
        (0.8754, 0, "88 %"),
        (1, 1, "100.0 %"),
        (0, 2, "0.00 %"),
        (None, 1, "-"),
        (float("nan"), 1, "-"),
    ],
)
def test_fractions_are_formatted_as_percentages(share: float | None, digits: int, text: str) -> None:
    assert percent(share, digits) == text


def test_interval_text_formats_both_limits_as_percentages() -> None:
    assert interval_text((0.798, 0.925)) == "79.8 to 92.5" and interval_text([0, 1], 0) == "0 to 100"


def test_accuracy_text_contains_accuracy_count_and_interval() -> None:
    assert accuracy_text(0.875, 104, (0.798, 0.925)) == "87.5 % (N = 104, 95 % interval 79.8 to 92.5)"
    for accuracy, photos, interval in ((0.0, 0, (0, 1)), (None, 3, (0, 1)), (0.5, 3, None)):
        assert accuracy_text(accuracy, photos, interval) == "not known (no photos)"


@pytest.mark.parametrize(("number", "text"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos")])
def test_plural_is_used_for_all_numbers_except_one(number: int, text: str) -> None:
    assert counted(number, "photo") == text


class Result(Tabular):
    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows = list(rows)

    def __repr__(self) -> str:
        return "Result(<2>)"

    def rows(self) -> list[dict[str, Any]]:
        return self._rows


def test_results_are_shown_as_an_html_table_with_escaped_texts() -> None:
    found = Result({"a<b": "x<y", "n": 0.123456}, {"a<b": None, "n": 12345.678})
    assert found._repr_html_() == (
        "<p>Result(&lt;2&gt;)</p><table><thead><tr><th>a&lt;b</th><th>n</th></tr></thead><tbody>"
        "<tr><td>x&lt;y</td><td>0.1235</td></tr><tr><td></td><td>1.235e+04</td></tr></tbody></table>"
    )
    assert Result()._repr_html_() == "<p>Result(&lt;2&gt;)</p>"
