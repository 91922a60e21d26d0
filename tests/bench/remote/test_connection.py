"""Tests of the protocol with a stand-in for the agent's process: requests, answers and their time limits."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench.remote import connection
from poets_edge.bench.remote.answers import Done, Ended, Items
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.limits import LIMITS, Limits
from poets_edge.errors import RemoteError


class Agent:
    """Stand-in for the agent: it records what is written, and sends the given messages.

    Attributes:
        sent: bytes that were written.
        asked: time limits of the reads, as pairs (end of the wait, stated limit).
        answers: messages to send; a function is called, and its result is sent.
    """

    last: Agent

    def __init__(self, host: str, limits: Limits) -> None:
        self.sent, self.closed = b"", False
        self.asked: list[tuple[float, float]] = []
        self.answers: list[Any] = []
        self.waits: list[float] = []
        self.closing: Any = SimpleNamespace(wait=self._wait)
        Agent.last = self

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return True

    def write(self, data: bytes) -> None:
        self.sent += data

    def read_message(self, end: float, seconds: float) -> dict[str, Any]:
        self.asked.append((end, seconds))
        answer = self.answers.pop(0)
        return answer() if callable(answer) else answer  # type: ignore[no-any-return]

    def invalid_answer(self, detail: str) -> RemoteError:
        return RemoteError(f"invalid: {detail}")

    def close(self) -> None:
        self.closed = True

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.sent.splitlines()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    return found


Open = Callable[..., tuple[Connection, Agent]]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setattr(connection, "AgentProcess", Agent)

    def opened(*answers: Any, **settings: Any) -> tuple[Connection, Agent]:
        made = Connection("pi", **settings)
        Agent.last.answers = list(answers)
        Agent.last.sent = b""
        return made, Agent.last

    return opened


def test_connection_sends_its_idle_timeout_and_schedules_heartbeats(
    connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for silence, interval in ((60.0, 10.0), (8.0, 2.0)):
        monkeypatch.setattr(threading.Thread, "start", threading.Thread.run)
        with Connection("pi", silence=silence):
            assert Agent.last.requests() == [{"do": "ping", "silence": silence}] and Agent.last.waits == [interval]
        assert Agent.last.closed


def test_requests_are_numbered_and_answered_within_their_time_limit(connect: Open, clock: SimpleNamespace) -> None:
    items = {"id": 1, "done": True, "items": ["a"]}
    made, agent = connect(items, {"id": 2, "done": True}, limits=Limits(answer=7))
    assert made.ask("have", Items, items=["a", "b"]) == Items(("a",))
    made.ask("fetch", Done, seconds=90, item="x")
    assert agent.requests() == [{"do": "have", "items": ["a", "b"], "id": 1}, {"do": "fetch", "item": "x", "id": 2}]
    assert agent.asked == [(1007.0, 7), (1090.0, 90)]


def test_connection_skips_late_answers_and_rejects_answers_to_unknown_requests(connect: Open) -> None:
    made, _ = connect({"id": 1, "items": ["late"]}, {"id": 2, "items": ["b"]}, {"id": 4, "items": []})
    made._number = 1
    assert made.ask("have", Items) == Items(("b",))
    with pytest.raises(RemoteError, match="invalid: an answer to nothing"):
        made.ask("have", Items)


@pytest.mark.parametrize(
    ("answer", "message", "reason"),
    [
        (
            {"error": "No space left on device", "path": "/x"},
            "pi: /x: No space left on device.",
            "No space left on device",
        ),
        ({"error": "in use.", "path": ""}, "pi: in use.", "in use"),
        ({"error": "e" * 400, "path": None}, f"pi: {'e' * 300}….", "e" * 400),
    ],
)
def test_errors_reported_by_the_device_include_the_path_of_the_file(
    connect: Open, answer: dict[str, Any], message: str, reason: str
) -> None:
    made, _ = connect({"id": 1, **answer})
    with pytest.raises(RemoteError) as raised:
        made.ask("open", Done)
    assert (str(raised.value), raised.value.reason) == (message, reason)


def test_answers_with_an_unexpected_structure_are_refused(connect: Open) -> None:
    for answer in ({"id": 1, "items": 3}, {"id": 1, "line": "x"}, {"id": 1, "error": 3}, {"id": "1"}):
        made, _ = connect(answer)
        with pytest.raises(RemoteError, match="invalid: "):
            made.ask("have", Items)


def test_each_output_line_of_a_program_extends_its_time_limit(connect: Open, clock: SimpleNamespace) -> None:
    def later(message: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        def answer() -> dict[str, Any]:
            clock.now += 50
            return message

        return answer

    ended = {"id": 1, "status": 3, "stderr": ["no"]}
    lines = [later({"id": 1, "line": text}) for text in ("a", "b")]
    made, agent = connect(*lines, later(ended), limits=Limits(program=60))
    assert made.run(["echo", "x"], env={"A": "b"}, text="input") == (Ended(3, ("no",)), ["a", "b"])
    assert agent.asked == [(1060.0, 60), (1110.0, 60), (1160.0, 60)]
    assert agent.requests() == [{"do": "run", "command": ["echo", "x"], "env": {"A": "b"}, "input": "input", "id": 1}]
    taken: list[str] = []
    made, agent = connect({"id": 1, "line": "a"}, ended)
    assert made.run(["x"], line=taken.append, pause=5)[1] == [] and taken == ["a"]
    assert [seconds for _, seconds in agent.asked] == [5, 5]


@pytest.mark.parametrize(("count", "length"), [(10_001, 1), (1, (1 << 16) + 1)])
def test_programs_that_print_too_much_are_stopped(connect: Open, count: int, length: int) -> None:
    line = {"id": 1, "line": "x" * length}
    made, _ = connect(*[line] * count, {"id": 1, "status": 0, "stderr": []})
    with pytest.raises(RemoteError, match="it prints too much"):
        made.run(["yes"])
    line = {"id": 1, "line": "x" * min(length, 1 << 16)}
    made, _ = connect(*[line] * min(count, 10_000), {"id": 1, "status": 0, "stderr": []})
    assert len(made.run(["yes"])[1]) == min(count, 10_000)


def test_files_are_sent_as_a_tar_archive_in_chunks(connect: Open, tmp_path: Path) -> None:
    contents = {"a": b"x" * 100_000, "ö/b": b"small"}
    members = {}
    for number, (name, content) in enumerate(contents.items()):
        members[name] = tmp_path / str(number)
        members[name].write_bytes(content)
    made, agent = connect({"id": 1, "done": True})
    advanced: list[int] = []
    made.send_item("models/1", members, wheels=True, advance=advanced.append)
    line, _, stream = agent.sent.partition(b"\n")
    assert json.loads(line) == {"do": "receive", "item": "models/1", "wheels": True, "id": 1}
    source, parts = io.BytesIO(stream), []
    while size := int(source.readline()):
        assert size <= 1 << 16
        parts.append(source.read(size))
    assert source.read() == b"" and sum(advanced) == sum(map(len, contents.values()))
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    assert found == contents and agent.asked[0][1] == LIMITS.work


def test_connection_is_closed_if_it_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Agent):
        def write(self, data: bytes) -> None:
            raise RemoteError("lost")

    monkeypatch.setattr(connection, "AgentProcess", Broken)
    with pytest.raises(RemoteError, match="lost"):
        Connection("pi")
    assert Agent.last.closed


def test_time_limits_equal_those_stated_in_the_documentation() -> None:
    assert (
        Limits(
            login=180.0,
            silence=15.0,
            taking=120.0,
            answer=15.0,
            work=1800.0,
            fetch=3600.0,
            program=60.0,
            measuring=1200.0,
        )
        == LIMITS
    )
