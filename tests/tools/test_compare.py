"""Tests of the comparison of revisions: which differences it reports, and which commands it runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from poets_edge.cli import COMMANDS
from tools.compare.case import Respelled
from tools.compare.cases import CASES, FIXTURES
from tools.compare.differences import Rules, compare_outputs
from tools.compare.rules import Intended, Volatile, at_or_below, at_path


def differences(
    folder: Path,
    old: dict[str, str],
    new: dict[str, str],
    volatile: Sequence[Volatile] = (),
    intended: Sequence[Intended] = (),
) -> list[str]:
    """Write two sets of outputs, and return their differences as text."""
    for name, files in (("old", old), ("new", new)):
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file).write_text(content)
    return [
        str(found)
        for found in compare_outputs("case", folder / "old", folder / "new", Rules(volatile, intended, set()))
    ]


def in_json(folder: Path, old: Any, new: Any, **rules: Any) -> list[str]:
    """Return the differences between two JSON documents as text, each starting with its path."""
    found = differences(folder, {"a.json": json.dumps(old)}, {"a.json": json.dumps(new)}, **rules)
    return [line.removeprefix("a.json ") for line in found]


def test_equal_outputs_have_no_differences(tmp_path: Path) -> None:
    assert differences(tmp_path, {"a.json": "[1]", "b": "text"}, {"a.json": "[1]", "b": "text"}) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1}, {"a": 2}, "/a: 1 -> 2"),
        ({"a": 1}, {"a": 1.0}, "/a: 1 -> 1.0"),
        ({"a": 1}, {"a": "1"}, "/a: 1 -> 1"),
        ({"a": [1]}, {"a": [1, 2]}, "/a: 1 items -> 2 items"),
        ({"a": {"b": None}}, {"a": {}}, "/a/b: None -> (none)"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "/: keys in the order a, b -> b, a"),
    ],
)
def test_json_differences_name_their_paths(tmp_path: Path, old: Any, new: Any, found: str) -> None:
    assert in_json(tmp_path, old, new) == [found]


def test_missing_and_additional_files_are_reported_as_differences(tmp_path: Path) -> None:
    assert differences(tmp_path, {"a": ""}, {"b": ""}) == ["a: there -> (none)", "b: (none) -> there"]


def test_text_differences_state_line_numbers(tmp_path: Path) -> None:
    assert differences(tmp_path, {"a.txt": "1\n2\n3"}, {"a.txt": "1\n5\n3"}) == ["a.txt line 2: 2 -> 5"]


def test_volatile_values_may_differ_but_not_in_type_or_presence(tmp_path: Path) -> None:
    rules = [Volatile(reason="time", json="/*/ms")]
    assert in_json(tmp_path, [{"ms": 1}], [{"ms": 2.5}], volatile=rules) == []
    for number, other in enumerate(({"ms": "2"}, {})):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        assert in_json(folder, [{"ms": 1}], [other], volatile=rules)


def test_volatile_texts_are_replaced(tmp_path: Path) -> None:
    rules = [Volatile(reason="time", text=r"\d+ ms"), Volatile(reason="cache", file="*.cache", skipped=True)]
    assert differences(tmp_path, {"a": "in 3 ms", "b.cache": ""}, {"a": "in 17 ms"}, volatile=rules) == []


def test_renamed_keys_are_compared_by_value(tmp_path: Path) -> None:
    rules = [Intended(reason="clearer", json="/files/*/old", renamed="new")]
    assert in_json(tmp_path, {"files": [{"old": 1}]}, {"files": [{"new": 1}]}, intended=rules) == []
    (tmp_path / "other").mkdir()
    found = in_json(tmp_path / "other", {"files": [{"old": 1}]}, {"files": [{"new": 2}]}, intended=rules)
    assert found == ["/files/0/new: 1 -> 2"]


def test_renamed_files_are_compared_by_content(tmp_path: Path) -> None:
    rules = [Intended(reason="clearer", file="*.old", renamed="*.new")]
    assert differences(tmp_path, {"a.old": "1"}, {"a.new": "2"}, intended=rules) == ["a.new line 1: 1 -> 2"]


def test_numbers_are_compared_even_if_the_words_around_them_change(tmp_path: Path) -> None:
    rules = [Intended(reason="term", replaced=("right", "correct"))]
    found = differences(
        tmp_path, {"a": "right: 5", "b": "right: 5"}, {"a": "correct: 5", "b": "correct: 6"}, intended=rules
    )
    assert found == ["b line 1: correct: 5 -> correct: 6"]


def test_numbers_are_compared_even_if_the_page_layout_changes(tmp_path: Path) -> None:
    rules = [Intended(reason="layout", file="*.html", figures=True)]
    assert differences(tmp_path, {"a.html": "<b>1.5</b>"}, {"a.html": "<i>is 1.5</i>"}, intended=rules) == []
    (tmp_path / "other").mkdir()
    assert differences(tmp_path / "other", {"a.html": "<b>1.5</b>"}, {"a.html": "<b>2</b>"}, intended=rules)


def test_intended_differences_are_accepted_only_at_their_path(tmp_path: Path) -> None:
    rules = [Intended(reason="fixed", json="/a")]
    assert in_json(tmp_path, {"a": {"b": 1}, "c": 1}, {"a": {"b": 2}, "c": 2}, intended=rules) == ["/c: 1 -> 2"]


def test_path_patterns_support_wildcards() -> None:
    assert at_path("/a/*/b", ("a", 0, "b")) and not at_path("/a/*/b", ("a", "b"))
    assert at_path("/**/b", ("b",)) and at_path("/**/b", ("a", 0, "b"))
    assert at_or_below("/a", ("a", 0)) and not at_or_below("/a", ("b", "a"))


def test_every_command_that_needs_no_server_has_a_comparison_case() -> None:
    lines = [line.new if isinstance(line, Respelled) else line for case in CASES for line in case.lines]
    run = {shlex.split(line.removeprefix("! "))[0] for line in lines}
    assert set(COMMANDS) - run == {"deploy", "fetch-flowers", "studio"}, "they need a server or are one"
    names = [case.name for case in (*CASES, *FIXTURES)]
    assert {name for case in (*CASES, *FIXTURES) for name in case.inputs} <= set(names)
    assert len({case.name for case in CASES}) == len(CASES)
