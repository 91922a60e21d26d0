"""Tests of the reporters of the library."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import tqdm.auto

from poets_edge.progress import Progress, Silent


def test_progress_prints_messages_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet, expected in ((False, "a note\na state\nwarning: hot\n"), (True, "warning: hot\n")):
        reporter = Progress(quiet)
        reporter.note("a note")
        reporter.status("a state")
        reporter.warn("hot")
        shown = capsys.readouterr()
        assert (shown.out, shown.err) == ("", expected)


@pytest.mark.parametrize(
    ("quiet", "total", "unit", "disabled", "scaled"),
    [(False, 3, "photo", False, False), (True, 3, "photo", True, False), (False, 0, "photo", True, False),
     (False, 10**6, "B", False, True)],
)  # fmt: skip
def test_progress_shows_a_bar_with_its_unit(
    monkeypatch: pytest.MonkeyPatch, quiet: bool, total: int, unit: str, disabled: bool, scaled: bool
) -> None:
    made: list[dict[str, Any]] = []
    moved: list[int] = []

    class Bar:
        def __init__(self, **settings: Any) -> None:
            made.append(settings)

        def __enter__(self) -> Any:
            return SimpleNamespace(update=moved.append)

        def __exit__(self, *_: object) -> None:
            moved.append(-1)

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    with Progress(quiet).progress("reading", total, unit) as advance:
        advance(2)
    [settings] = made
    assert (settings["total"], settings["desc"], settings["unit"]) == (total, "reading", unit)
    assert (settings["disable"], settings["unit_scale"]) == (disabled, scaled)
    assert moved == [2, -1]


def test_silent_reporter_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Silent()
    reporter.note("a")
    reporter.status("b")
    reporter.warn("c")
    with reporter.progress("d", 3) as advance:
        advance(1)
    sys.stderr.flush()
    assert capsys.readouterr() == ("", "")
