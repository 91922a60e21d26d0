"""Tests of progress output, on a terminal and in a file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from poets_edge.cli import terminal
from poets_edge.cli.terminal import Terminal
from tests.conftest import poets_edge_process

STEPS = 400
SECONDS = 2.0


@dataclass
class Clock:
    """A clock whose time is set by the test."""

    now: float = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    return made


def test_status_prints_a_line_every_few_seconds_to_a_file(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as reporter:
        for step in range(STEPS):
            reporter.status(f"step {step}")
            clock.now += SECONDS * terminal.LINE_SECONDS / STEPS * 10
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 0" and lines[-1] == f"step {STEPS - 1}", "the first and the last are always shown"
    assert 10 * SECONDS <= len(lines) <= 10 * SECONDS + 2


def test_progress_prints_a_line_every_few_seconds_to_a_file(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as reporter, reporter.progress("bottlenecks", STEPS) as advance:
        for _ in range(STEPS):
            clock.now += terminal.LINE_SECONDS / 100
            advance(1)
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) in (5, 6) and "\r" not in shown
    assert shown.endswith(f"\nbottlenecks: 100%, {STEPS} of {STEPS}, 20 s\n")


def test_status_is_shown_before_the_next_note(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Terminal()
    reporter.status("first")
    reporter.status("second")
    reporter.note("note")
    assert capsys.readouterr().err == "first\nsecond\nnote\n"


def test_train_prints_few_progress_lines_to_a_file(tmp_path: Path) -> None:
    poets_edge_process("draw-photos", "photos", "--per-class", "4", cwd=tmp_path).ok()
    embedded = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
    ran = poets_edge_process("train", "photos", *embedded, cwd=tmp_path).ok()
    assert len(ran.stderr.splitlines()) < 60, ran.stderr
    assert sum(line.startswith("step ") for line in ran.stderr.splitlines()) < 20
