"""Tests of the agent's main loop, run in this process: requests, heartbeats, silence and exit."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench.remote.on_device import agent as module
from poets_edge.bench.remote.on_device import device_description
from poets_edge.bench.remote.on_device.agent import BEAT, MARKER, Agent

pytestmark = pytest.mark.skipif(os.name == "nt", reason="agents run on Unix")


class ExitedError(BaseException):
    """Raised where the agent would end the process."""


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevent the agent from ending the process, replacing signal handlers and starting threads."""

    def leave(status: int) -> None:
        assert status == 0
        raise ExitedError

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)


@pytest.fixture
def _without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)


def serve(*requests: dict[str, Any] | bytes) -> list[dict[str, Any]]:
    """Return the answers of an agent to lines that are sent to its standard input."""
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in requests]
    answers = io.StringIO()
    with pytest.raises(ExitedError):
        Agent(io.BytesIO(b"".join(lines)), answers).serve()
    return [json.loads(line) for line in answers.getvalue().splitlines()]


@pytest.mark.usefixtures("_without_threads")
def test_agent_answers_requests_in_order_until_its_input_ends() -> None:
    ping = {"do": "ping", "silence": 9.0}
    answers = serve({**ping, "id": 1}, ping, {"do": "nonsense", "id": 2}, {**ping, "id": 3})
    assert [answer["id"] for answer in answers] == [1, 2, 3] and all(answer["done"] for answer in answers)
    assert "do_nonsense" in answers[1]["error"] and "error" not in answers[2]


@pytest.mark.usefixtures("_without_threads")
def test_agent_exits_if_the_data_after_a_request_are_truncated(tmp_path: Path) -> None:
    opened = {"do": "open", "id": 1, "folder": str(tmp_path / "poets-edge"), "adopt": False, "alone": False}
    receive = {"do": "receive", "id": 2, "item": "models/00aa", "wheels": False}
    assert [answer["id"] for answer in serve(opened, receive, b"9\nabc")] == [1]
    assert not list((tmp_path / "poets-edge").rglob("00aa"))


@pytest.mark.usefixtures("_without_threads")
def test_agent_exits_on_signals_that_end_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: dict[int, Any] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    serve()
    assert set(handlers) == {signal.SIGHUP, signal.SIGTERM, signal.SIGINT}
    for number, handler in handlers.items():
        with pytest.raises(ExitedError):
            handler(number, None)


class Partial:
    """Stand-in for a partially received item."""

    def __init__(self, discarded: list[bool]) -> None:
        self._discarded = discarded

    def discard(self) -> None:
        self._discarded.append(True)


def test_end_of_session_kills_programs_and_removes_incomplete_transfers(tmp_path: Path) -> None:
    agent = Agent(io.BytesIO(), io.StringIO())
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True)
    discarded: list[bool] = []
    agent._children.add(child)
    partial: Any = Partial(discarded)
    agent._staging.add(partial)
    with pytest.raises(ExitedError):
        agent.end()
    assert child.wait(20) == -signal.SIGKILL and discarded == [True]


def test_agent_exits_if_it_receives_no_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    agent = Agent(io.BytesIO(), io.StringIO())
    with pytest.raises(ExitedError):
        agent._watch()
    assert clock[0] == 1000 + module.SILENCE
    agent._silence = 2.0
    agent._heard()
    with pytest.raises(ExitedError):
        agent._watch()
    assert clock[0] == 1002 + module.SILENCE


def test_receiving_a_chunk_of_a_transfer_resets_the_idle_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit for silence must not end a long transfer over a slow connection."""
    clock = [1000.0]
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    sent = content.getvalue()
    chunks = b"".join(b"512\n" + sent[start : start + 512] for start in range(0, len(sent), 512)) + b"0\n"
    agent = Agent(io.BytesIO(chunks), io.StringIO())
    agent.do_open({"folder": str(tmp_path / "poets-edge"), "adopt": False, "alone": False})
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    clock[0] += 50
    agent.do_receive({"item": "models/00aa", "wheels": False})
    assert agent._last == 1050.0


def test_agent_sends_heartbeats_between_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [3]

    def sleep(seconds: float) -> None:
        assert seconds == 3
        left[0] -= 1
        if left[0] < 0:
            raise ExitedError

    answers = io.StringIO()
    agent = Agent(io.BytesIO(), answers)
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep))
    with pytest.raises(ExitedError):
        agent._beat()
    assert answers.getvalue() == 3 * BEAT.decode()


@pytest.mark.usefixtures("_without_threads")
def test_fetch_request_unpacks_the_downloaded_wheels(tmp_path: Path) -> None:
    program = (
        "import sys, zipfile\n"
        "with zipfile.ZipFile(sys.argv[1] + '/thing-1-py3-none-any.whl', 'w') as wheel:\n"
        "    for name in ('thing/', 'thing/a.py', 'thing-1.data/purelib/b.py', 'thing-1.data/scripts/c'):\n"
        "        wheel.writestr(name, name)\n"
    )
    folder = tmp_path / "poets-edge"
    opened = {"do": "open", "id": 1, "folder": str(folder), "adopt": False, "alone": False}
    command = [sys.executable, "-S", "-c", program, "{}"]
    answers = serve(opened, {"do": "fetch", "id": 2, "item": "packages/00aa", "command": command})
    assert [answer.get("error") for answer in answers] == [None, None]
    item = folder / "packages/00aa"
    found = {path.relative_to(item).as_posix() for path in item.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(".")} == {"thing/a.py", "b.py"}


def test_main_writes_the_start_marker_and_redirects_all_other_output_to_stderr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If $HOME does not exist, because the shell has garbled its name, the current folder is used."""
    read, write = os.pipe()
    saved = os.dup(1), os.dup(2)
    monkeypatch.setenv("HOME", "/no such folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    monkeypatch.setattr(module, "Agent", lambda requests, answers: SimpleNamespace(serve=answers.close))
    os.dup2(write, 1)
    try:
        module.main()
        assert os.path.samestat(os.fstat(1), os.fstat(2))
    finally:
        for number, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(write)
    with os.fdopen(read, "rb") as file:
        assert file.read() == f"\n{MARKER}\n".encode()
    assert os.environ["HOME"] == str(tmp_path)


def test_text_of_a_missing_file_is_an_empty_string(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(" id\n")
    assert (
        device_description._read_text(str(tmp_path / "x")) == "id"
        and device_description._read_text(str(tmp_path / "y")) == ""
    )
