"""Tests of progress output, on a terminal and in a file."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click
import pytest
import tqdm

from poets_edge.cli import terminal
from poets_edge.cli.terminal import Terminal, output_json
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


def test_status_is_printed_every_few_seconds_if_the_output_is_a_file(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Terminal() as reporter:
        for step in range(STEPS):
            reporter.status(f"step {step}")
            clock.now += SECONDS * terminal.LINE_SECONDS / STEPS * 10
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 0" and lines[-1] == f"step {STEPS - 1}", "the first and the last are always shown"
    assert 10 * SECONDS <= len(lines) <= 10 * SECONDS + 2


def test_progress_is_printed_every_few_seconds_if_the_output_is_a_file(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Terminal() as reporter, reporter.progress("bottlenecks", STEPS) as advance:
        for _ in range(STEPS):
            clock.now += terminal.LINE_SECONDS / 100
            advance(1)
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) in (5, 6) and "\r" not in shown
    assert shown.endswith(f"\nbottlenecks: 100%, {STEPS} of {STEPS}, 20 s\n")


def test_pending_status_is_printed_before_the_next_note(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Terminal()
    reporter.status("first")
    reporter.status("second")
    reporter.note("note")
    assert capsys.readouterr().err == "first\nsecond\nnote\n"


def test_train_prints_few_progress_lines_if_stderr_is_not_a_terminal(tmp_path: Path) -> None:
    poets_edge_process("draw-photos", "photos", "--per-class", "4", cwd=tmp_path).ok()
    embedded = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
    ran = poets_edge_process("train", "photos", *embedded, cwd=tmp_path).ok()
    assert len(ran.stderr.splitlines()) < 60, ran.stderr
    assert sum(line.startswith("step ") for line in ran.stderr.splitlines()) < 20


@dataclass
class Bar:
    """Stand-in for tqdm's bar."""

    settings: dict[str, Any]
    amount: int = 0
    open: bool = False

    def __enter__(self) -> Bar:
        self.open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.open = False

    def update(self, amount: int) -> None:
        self.amount += amount

    def write(self, text: str, file: TextIO) -> None:
        assert file is sys.stderr
        click.echo(f"above the bar: {text}", err=True)


def simulate_terminal(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    """Simulate a terminal with 20 columns; return the list of its progress bars."""
    made: list[Bar] = []

    def bar(**settings: Any) -> Bar:
        made.append(Bar(settings))
        return made[-1]

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((20, 10)))
    monkeypatch.setattr(tqdm, "tqdm", bar)
    return made


def test_status_replaces_the_last_line_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    simulate_terminal(monkeypatch)
    with Terminal() as reporter:
        reporter.status("a very long line of 30 columns")
        reporter.status("tab\there")
        reporter.note("note")
    reporter.warn("last")
    shown = capsys.readouterr().err
    blank, second = " " * 19, "tab\\u0009here".ljust(19)
    assert shown == f"\ra very long line of\r{second}\r{blank}\rnote\n\x1b[33mwarning: \x1b[0mlast\n"


def test_progress_shows_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = simulate_terminal(monkeypatch)
    reporter = Terminal()
    reporter.status("before")
    with reporter.progress("a\nb", 40) as advance:
        advance(3)
        reporter.status("status")
        reporter.warn("disk is nearly full")
        assert bars[0].open and bars[0].amount == 3
    with reporter.progress("download", 7, "B"):
        pass
    reporter.note("after")
    first, second = bars
    assert not first.open
    settings = {name: first.settings[name] for name in ("total", "desc", "unit", "unit_scale", "file", "dynamic_ncols")}
    assert settings == {
        "total": 40, "desc": "a\\u000ab", "unit": "photo", "unit_scale": False, "file": sys.stderr,
        "dynamic_ncols": True,
    }  # fmt: skip
    assert (second.settings["total"], second.settings["unit"], second.settings["unit_scale"]) == (7, "B", True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in lines][-3:] == [
        "above the bar: status", "above the bar: \x1b[33mwarning: \x1b[0mdisk is nearly full", "after",
    ]  # fmt: skip


def test_progress_of_a_download_is_printed_in_megabytes(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal().progress("model.h5", 2_500_000, "B") as advance:
        advance(1_250_000)
        clock.now += 4.9
        advance(250_000)
        clock.now += 0.1
        advance(250_000)
        clock.now += 9
        advance(750_000)
    assert capsys.readouterr().err.splitlines() == [
        "model.h5: 50%, 1.2 of 2.5 MB, 0 s", "model.h5: 70%, 1.8 of 2.5 MB, 5 s", "model.h5: 100%, 2.5 of 2.5 MB, 14 s",
    ]  # fmt: skip


def test_quiet_suppresses_everything_except_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(quiet=True) as reporter:
        reporter.note("note")
        reporter.status("status")
        with reporter.progress("photos", 2) as advance:
            advance(2)
        reporter.warn("a\nb")
    with Terminal() as reporter, reporter.progress("photos", 0) as advance:
        advance(1)
    assert capsys.readouterr().err == "warning: a\\u000ab\n"


def test_messages_name_the_options_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    command = click.Command("c", params=[click.Option(["-t", "--threads", "threads"])])
    with click.Context(command):
        reporter = Terminal()
    reporter.note("use `threads`=2, `top`")
    reporter.status("`threads`")
    reporter.warn("`threads` too high")
    assert capsys.readouterr().err == "use --threads 2, top\n--threads\nwarning: --threads too high\n"


def test_json_results_are_written_or_printed_only_if_requested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, made = tmp_path / "result.json", []

    def result() -> dict[str, Any]:
        made.append(True)
        return {"ä": [1.5]}

    assert not output_json(result, as_json=False, output=None) and not made
    assert not output_json(result, as_json=False, output=file)
    assert capsys.readouterr().out == "" and file.read_text("utf-8") == '{\n "ä": [\n  1.5\n ]\n}\n'
    assert output_json({"b": 1}, as_json=True, output=None) and capsys.readouterr().out == '{\n "b": 1\n}\n'
    assert output_json([], as_json=True, output=file) and file.read_text() == capsys.readouterr().out == "[]\n"
    with pytest.raises(ValueError, match="JSON"):
        output_json([math.nan], as_json=True, output=None)
