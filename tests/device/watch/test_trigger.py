"""Tests of `Trigger`: start, environment and end of its command."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.device.watch import trigger as trigger_module
from poets_edge.device.watch.trigger import Command, Trigger
from poets_edge.errors import UsageError
from poets_edge.progress import Silent
from tests.recorder import Recorder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="of POSIX shells")


def starts(labels: Sequence[str], hold: int, folder: Path) -> int:
    """Return how often the command for daisies is started if each command ends before the next frame."""
    log = folder / "log"
    log.write_text("")
    trigger = Trigger("daisy", Command(f"echo started >> '{log}'", shell=True), hold, Silent())
    for label in labels:
        trigger.observe(label, 0.9)
        trigger.close(lambda: False)
    return len(log.read_text().splitlines())


@pytest.mark.parametrize(
    ("frames", "hold", "expected"),
    [
        ("ddd", 3, 1),
        ("dd", 3, 0),
        ("ddxdd", 3, 0),
        ("ddxddd", 3, 1),
        ("dddd", 2, 1),
        ("ddxdd", 2, 2),
        ("dxdxd", 1, 3),
        ("xxx", 1, 0),
    ],
)
def test_trigger_starts_its_command_once_after_enough_consecutive_frames(
    frames: str, hold: int, expected: int, tmp_path: Path
) -> None:
    assert starts([{"d": "daisy", "x": "tulips"}[frame] for frame in frames], hold, tmp_path) == expected


def test_command_receives_the_label_and_its_score(tmp_path: Path) -> None:
    text = f"printf '%s %s' \"$POETS_EDGE_LABEL\" \"$POETS_EDGE_SCORE\" > '{tmp_path}/given'"
    trigger = Trigger("ox-eye daisy", Command(text, shell=True), 1, Silent())
    trigger.observe("ox-eye daisy", 0.123456789)
    trigger.close(lambda: False)
    assert (tmp_path / "given").read_text() == "ox-eye daisy 0.12346"


def test_running_command_is_not_started_again(tmp_path: Path) -> None:
    warnings = Recorder()
    trigger = Trigger("daisy", Command("sleep 30"), 1, warnings)
    for label in ("daisy", "tulips", "daisy"):
        trigger.observe(label, 0.9)
    assert warnings.warnings == ["the command 'sleep 30' is still running; not started again"]
    trigger.close(lambda: True)
    assert warnings.warnings[1:] == ["the command 'sleep 30' is still running; stopping it"]


def test_command_is_killed_after_its_time_limit() -> None:
    warnings = Recorder()
    trigger = Trigger("daisy", Command("sleep 30", limit=0.05), 1, warnings)
    began = time.monotonic()
    trigger.observe("daisy", 0.9)
    trigger.close(lambda: False)
    assert time.monotonic() - began < 10
    assert warnings.warnings == ["the command 'sleep 30' is still running after 0.05 s; stopping it"]


def test_command_is_not_killed_before_its_time_limit() -> None:
    warnings = Recorder()
    trigger = Trigger("daisy", Command("sleep 0.2", limit=20), 1, warnings)
    trigger.observe("daisy", 0.9)
    trigger.close(lambda: False)
    assert warnings.warnings == []


def test_command_without_time_limit_is_not_killed() -> None:
    warnings = Recorder()
    trigger = Trigger("daisy", Command("sleep 0.05", limit=0), 1, warnings)
    trigger.observe("daisy", 0.9)
    trigger.close(lambda: False)
    assert warnings.warnings == []


def test_command_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command ignores SIGTERM, so it is sent SIGKILL after the grace period."""
    monkeypatch.setattr(trigger_module, "_GRACE_SECONDS", 0.05)
    warnings = Recorder()
    ignoring = f"trap '' TERM; touch '{tmp_path}/ready'; while :; do sleep 0.01; done"
    trigger = Trigger("daisy", Command(ignoring, shell=True, limit=0.01), 1, warnings)
    trigger.observe("daisy", 0.9)
    while not (tmp_path / "ready").exists():
        time.sleep(0.001)
    began = time.monotonic()
    trigger.close(lambda: time.monotonic() > began + 20)
    assert time.monotonic() - began < 10
    assert warnings.warnings == [f"the command {ignoring!r} is still running after 0.01 s; stopping it"]


def test_command_has_two_seconds_to_end_after_its_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    signals: list[tuple[float, int, int]] = []
    process = SimpleNamespace(pid=77, poll=lambda: None, returncode=None)
    monkeypatch.setattr(trigger_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: process)
    monkeypatch.setattr(os, "killpg", lambda pid, number: signals.append((clock[0], pid, number)))
    trigger = Trigger("daisy", Command("true", limit=60.0), 1, Silent())
    trigger.observe("daisy", 0.9)
    for clock[0] in (159.9, 160.1, 161.0, 162.0, 162.1):
        trigger.poll()
    assert signals == [(160.1, 77, signal.SIGTERM), (162.1, 77, signal.SIGKILL)]
    process.poll = lambda: -9
    trigger.poll()


@pytest.mark.parametrize(
    ("text", "warning"), [("exit 3", "failed with status 3"), ("kill -9 $$", "was ended by signal 9"), ("true", "")]
)
def test_failure_of_a_command_is_reported(text: str, warning: str) -> None:
    warnings = Recorder()
    trigger = Trigger("daisy", Command(text, shell=True), 1, warnings)
    trigger.observe("daisy", 0.9)
    trigger.close(lambda: False)
    assert warnings.warnings == ([f"the command {text!r} {warning}"] if warning else [])


def test_trigger_rejects_an_invalid_hold_argument_and_commands_that_cannot_run() -> None:
    with pytest.raises(UsageError, match="`hold` must be 1 or more"):
        Trigger("daisy", Command("true"), 0, Silent())
    for text, message in (("no-such-program", "no such program"), ("", "no such program"), ("say 'x", "quot")):
        with pytest.raises(UsageError, match=message):
            Trigger("daisy", Command(text), 1, Silent())
    assert Command("a 'b c'", shell=True).arguments() == ["/bin/sh", "-c", "a 'b c'"]
    assert Command("echo 'b c' $HOME").arguments() == ["echo", "b c", "$HOME"]


def test_command_runs_in_its_own_session_detached_from_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The results on stdout and the input of `watch` are not touched by a command."""
    started: list[tuple[list[str], dict[str, Any]]] = []

    class Process:
        pid, returncode = 1, 0

        def __init__(self, command: list[str], **settings: Any) -> None:
            started.append((command, settings))

        def poll(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(trigger_module, "_END_WITH_PARENT", ["setpriv", "--"])
    Trigger("daisy", Command("echo 'a b' c"), 1, Silent()).observe("daisy", 0.123456)
    Trigger("daisy", Command("echo $HOME", shell=True), 1, Silent()).observe("daisy", 1.0)
    [(command, settings), (shell, _)] = started
    assert command == ["setpriv", "--", "echo", "a b", "c"] and shell[2:] == ["/bin/sh", "-c", "echo $HOME"]
    assert (settings["stdin"], settings["stdout"], settings["start_new_session"]) == (subprocess.DEVNULL, 2, True)
    assert settings["env"] == {**os.environ, "POETS_EDGE_LABEL": "daisy", "POETS_EDGE_SCORE": "0.12346"}
