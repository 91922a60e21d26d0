"""Tests of the process that runs the agent, with a stand-in for ssh: reading, writing and time limits."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench.remote import agent_process
from poets_edge.bench.remote.agent_process import AgentProcess, shown
from poets_edge.bench.remote.answers import shortened
from poets_edge.bench.remote.limits import Limits
from poets_edge.bench.remote.on_device.agent import BEAT
from poets_edge.bench.remote.ssh import SSH_VARIABLE
from poets_edge.errors import RemoteError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    return found


def guarded(heard: float, writing: float | None) -> str:
    """Return why the connection is ended, given when the device was last heard and when the pending write began."""
    problems: list[str] = []
    process: Any = SimpleNamespace(
        closing=SimpleNamespace(wait=lambda seconds, left=[1, 0]: not left.pop(0)), _writing=writing,
        _reader=SimpleNamespace(heard=heard), _limits=Limits(silence=15, taking=120), _give_up=problems.append,
    )  # fmt: skip
    AgentProcess._guard(process)
    return problems[0] if problems else ""


def test_connection_times_out_if_the_device_sends_or_accepts_no_data(clock: SimpleNamespace) -> None:
    assert guarded(985.0, None) == "" and guarded(999.0, 880.0) == ""
    assert guarded(984.9, None) == "has been silent for 15 s"
    assert guarded(999.0, 879.9) == "has not accepted data for 120 s"


def process(*lines: bytes | None, **changes: Any) -> Any:
    """Return an agent process whose queue yields the given lines; None simulates a wait in which no line arrives."""
    left = list(lines)
    made: Any = AgentProcess.__new__(AgentProcess)
    killed: list[bool] = []
    made.__dict__.update(
        _host="pi", _limits=Limits(), _problem="", _said=[], _ready=threading.Event(), killed=killed,
        _inbox=SimpleNamespace(get=lambda seconds: left.pop(0), ended=not left, close=lambda: None),
        _ssh=SimpleNamespace(kill=lambda: killed.append(True), wait=lambda seconds: 255), **changes,
    )  # fmt: skip
    return made


def test_messages_are_read_until_the_time_limit(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    made = process(None, b'{"id": 1}', b"[]", b"\xff", None)
    assert made.read_message(1000.0, 9.0) == {"id": 1} and not made.killed
    with pytest.raises(RemoteError, match=r"pi: its answer is not valid \(no JSON object\)"):
        made.read_message(1000.0, 9.0)
    with pytest.raises(RemoteError, match="not a message of this program"):
        made.read_message(1000.0, 9.0)
    assert made.killed == [True, True]
    late = process(b'{"id": 1}')
    with pytest.raises(RemoteError, match="pi: the device has not answered for 9 s; the connection was ended"):
        late.read_message(999.9, 9.0)
    lost = process(None)
    lost._inbox.ended, lost._said = (
        True,
        ["debug1: x", "Warning: Permanently added", "Welcome.", "Permission denied.", "", "debug2"],
    )
    with pytest.raises(RemoteError, match=r"pi: ssh cannot log in \(Permission denied\)\. Try: ssh pi"):
        lost.read_message(1000.0, 9.0)


def test_reason_of_a_failed_login_may_precede_other_messages_of_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho Permission denied. >&2\necho debug1: bye >&2\nexit 255\n")
    program.chmod(0o700)
    monkeypatch.setenv(SSH_VARIABLE, str(program))
    with pytest.raises(RemoteError, match=r"ssh cannot log in \(Permission denied\)"):
        AgentProcess("pi", Limits())


def test_listener_skips_heartbeats_and_the_output_of_the_login_shell() -> None:
    taken: list[bytes] = []
    lines = [b"Welcome", b"  poets-edge agent 1\r", b'{"id": 1}', BEAT.rstrip(), b"x"]
    made = process()
    made._inbox = SimpleNamespace(put=taken.append, close=lambda: taken.append(b"closed"))
    made._reader = SimpleNamespace(read_all=lambda take: [take(line) for line in lines] != [])
    made._listen()
    assert taken == [b'{"id": 1}', b"x", b"closed"] and made._ready.is_set() and not made.killed


@pytest.mark.parametrize(("lines", "problem"), [(5 * (1 << 20), "its login shell prints without end"), (0, "")])
def test_output_of_the_login_shell_is_limited(lines: int, problem: str) -> None:
    made = process()
    made._reader = SimpleNamespace(read_all=lambda take: take(b"x" * lines) or True)
    made._listen()
    assert made._problem == problem
    made._reader = SimpleNamespace(read_all=lambda take: False)
    made._problem = ""
    made._listen()
    assert made._problem == "sends a line of more than 16 MB" and made.killed


def test_write_sends_data_in_blocks_and_records_the_start_time_of_each_block(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    blocks: list[int] = []
    made = process()
    made._writing = None

    def write(data: bytes) -> None:
        assert made._writing == 1000.0
        blocks.append(len(data))
        if len(blocks) == 4:
            raise BrokenPipeError

    made._ssh = SimpleNamespace(stdin=SimpleNamespace(write=write, flush=lambda: None), wait=lambda seconds: 1)
    made._ready.set()
    made.write(b"x" * (2 * (1 << 16) + 5))
    assert blocks == [1 << 16, 1 << 16, 5] and made._writing is None
    with pytest.raises(RemoteError, match="pi: the connection was lost"):
        made.write(b"x")
    assert made._writing is None


def test_long_text_from_the_device_is_truncated() -> None:
    assert shown("x" * 300) == "x" * 300 and shown("x" * 301) == "x" * 300 + "…"
    assert shortened("x" * 4096) == "x" * 4096 and shortened("x" * 4097) == "x" * 4095 + "…"


def test_wait_for_the_agent_has_a_time_limit(clock: SimpleNamespace) -> None:
    made = process()
    made._ssh.poll = lambda: None

    def wait(seconds: float) -> bool:
        clock.now += 100
        return False

    made._ready = SimpleNamespace(wait=wait)
    with pytest.raises(RemoteError, match="pi: logged in, but the shell there has not answered for 180 s"):
        made._await_agent()
    assert clock.now == 1200.0 and agent_process._END_SECONDS == 5.0
