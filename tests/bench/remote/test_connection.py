"""Tests of the protocol with a stand-in for the ssh process: requests, answers, time limits and queues."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench.remote import agent_process, connection, ssh
from poets_edge.bench.remote.agent_process import AgentProcess, shown
from poets_edge.bench.remote.agent_program import START
from poets_edge.bench.remote.answers import Done, Ended, Facts, Items, parse_line, shortened
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.inbox import Inbox, LineReader
from poets_edge.bench.remote.limits import LIMITS, Limits
from poets_edge.bench.remote.on_device.agent import BEAT
from poets_edge.bench.remote.ssh import SSH_VARIABLE, check_host, ended_error, ssh_command
from poets_edge.core.json_objects import from_json
from poets_edge.errors import RecordError, RemoteError, UsageError
from tests.bench.remote.scripted import facts


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


def test_connection_sends_the_silence_limit_and_heartbeats(connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_answers_to_earlier_requests_are_skipped_and_unrequested_answers_refused(connect: Open) -> None:
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


def test_items_are_sent_as_a_tar_archive_in_chunks(connect: Open, tmp_path: Path) -> None:
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


def test_time_limits_are_those_in_the_documentation() -> None:
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


def guarded(heard: float, writing: float | None) -> str:
    """Return why the connection is ended, given when the device was last heard and when the pending write began."""
    problems: list[str] = []
    process: Any = SimpleNamespace(
        closing=SimpleNamespace(wait=lambda seconds, left=[1, 0]: not left.pop(0)), _writing=writing,
        _reader=SimpleNamespace(heard=heard), _limits=Limits(silence=15, taking=120), _give_up=problems.append,
    )  # fmt: skip
    AgentProcess._guard(process)
    return problems[0] if problems else ""


def test_connection_ends_if_the_device_is_silent_or_accepts_no_data(clock: SimpleNamespace) -> None:
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
        ["debug1: x", "Warning: Permanently added", "Permission denied.", "", "debug2"],
    )
    with pytest.raises(RemoteError, match=r"pi: ssh cannot log in \(Permission denied\)\. Try: ssh pi"):
        lost.read_message(1000.0, 9.0)


def test_listener_skips_heartbeats_and_the_output_of_the_login_shell() -> None:
    taken: list[bytes] = []
    lines = [b"Welcome", b"  poets-edge agent 1\r", b'{"id": 1}', BEAT.rstrip(), b"x"]
    made = process()
    made._inbox = SimpleNamespace(put=taken.append, close=lambda: taken.append(b"closed"))
    made._reader = SimpleNamespace(read_all=lambda take: [take(line) for line in lines] != [])
    made._listen()
    assert taken == [b'{"id": 1}', b"x", b"closed"] and made._ready.is_set() and not made.killed


@pytest.mark.parametrize(("lines", "problem"), [(5 * (1 << 20), "its login shell prints without end"), (0, "")])
def test_listener_limits_the_output_of_the_login_shell(lines: int, problem: str) -> None:
    made = process()
    made._reader = SimpleNamespace(read_all=lambda take: take(b"x" * lines) or True)
    made._listen()
    assert made._problem == problem
    made._reader = SimpleNamespace(read_all=lambda take: False)
    made._problem = ""
    made._listen()
    assert made._problem == "sends a line of more than 16 MB" and made.killed


def test_data_is_written_in_blocks_with_a_start_time_recorded_for_each(
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


def test_text_from_the_device_is_truncated() -> None:
    assert shown("x" * 300) == "x" * 300 and shown("x" * 301) == "x" * 300 + "…"
    assert shortened("x" * 4096) == "x" * 4096 and shortened("x" * 4097) == "x" * 4095 + "…"


def test_adding_to_a_full_inbox_waits_until_lines_are_taken() -> None:
    inbox = Inbox(most_bytes=10)
    for line in (b"12345", b"123456"):  # the second line makes it full
        inbox.put(line)
    adding = threading.Thread(target=inbox.put, args=(b"third",), daemon=True)
    adding.start()
    adding.join(0.05)
    assert adding.is_alive()
    assert inbox.get(0) == b"12345"
    adding.join(20)
    assert not adding.is_alive() and (inbox.get(0), inbox.get(0), inbox.get(0)) == (b"123456", b"third", None)
    for _ in range(5):  # bytes that were read are not counted again
        inbox.put(b"123456")
        assert inbox.get(0) == b"123456"
    inbox.put(b"1" * 50)  # an empty queue takes a line of any length
    blocked = threading.Thread(target=inbox.put, args=(b"lost",), daemon=True)
    blocked.start()
    assert not inbox.ended
    inbox.close()
    blocked.join(20)
    assert not blocked.is_alive() and not inbox.ended and inbox.get(0) == b"1" * 50 and inbox.ended
    assert inbox.get(5) is None, "a closed queue does not wait"
    inbox.put(b"late")
    assert inbox.get(0) is None


class Blocks:
    """Stream that returns the given blocks."""

    def __init__(self, *blocks: bytes) -> None:
        self._blocks = [*blocks, b""]

    def read1(self, size: int) -> bytes:
        assert size == 1 << 16
        return self._blocks.pop(0)


def test_lines_are_assembled_from_blocks_up_to_a_maximum_length(clock: SimpleNamespace) -> None:
    taken: list[bytes] = []
    stream: Any = Blocks(b"one\ntw", b"o\n\nthr", b"ee", b"\nrest")
    reader = LineReader(stream, longest=6)
    clock.now += 5
    assert reader.read_all(taken.append) and taken == [b"one", b"two", b"", b"three"]
    assert reader.heard == 1005.0
    stream = Blocks(b"12345\n123", b"456", b"7", b"never read\n")
    taken.clear()
    assert not LineReader(stream, longest=6).read_all(taken.append) and taken == [b"12345"]


@pytest.mark.parametrize(
    ("line", "is_read"),
    [
        (b"[" * 1 + b"[]," * 99_998 + b"[]]", True),
        (b"[" * 1 + b"[]," * 100_000 + b"[]]", False),
        ("[" + "0," * 1_600_000 + "0]", True),
        ("[" + "0," * 1_600_001 + "0]", False),
        ("{}", True),
        ('"é"', False),
        ("{", False),
    ],
    ids=["containers", "too many containers", "values", "too many values", "empty", "not ASCII", "truncated"],
)
def test_lines_are_parsed_only_if_they_need_little_memory(line: str | bytes, is_read: bool) -> None:
    if is_read:
        assert parse_line(line) is not None
    else:
        with pytest.raises(RecordError):
            parse_line(line)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("bits", 16), ("uid", -1), ("time", 1.1e12), ("folder", "x/y"), ("executable", ""), ("state", "other?"),
        ("python", [3, -1, 0]), ("python", [3, 1_000_001, 0]), ("free", -1), ("free", 2.0**63), ("host", "x" * 4097),
        ("usual", 1), ("versions", {"numpy": 3}), ("older", ["x"] * 10_001), ("folder", "/" + "x" * 4096),
    ],
)  # fmt: skip
def test_description_of_a_device_is_validated(field: str, bad: Any) -> None:
    honest = json.loads(json.dumps({**vars(facts()), "time": 0.0}))
    assert from_json(Facts, honest) == facts()
    with pytest.raises(RecordError):
        from_json(Facts, {**honest, field: bad})


def test_last_words_are_the_last_nonblank_line_of_program_output() -> None:
    assert Ended(1, ("first", "  last  ", " ", "")).last_words == "last"
    assert Ended(1, ("x" * 300,)).last_words == "x" * 200 and Ended(1, ()).last_words == "no message"


@pytest.mark.parametrize("host", ["pi", "pi@host", "ssh://pi@host:22", "a" * 300])
def test_check_host_accepts_valid_ssh_destinations(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b", "a\n", "a\x7f", "a" * 301])
def test_check_host_refuses_text_that_is_not_an_ssh_destination(host: str) -> None:
    with pytest.raises(UsageError, match="expected an SSH destination"):
        check_host(host)


def test_check_host_refuses_and_hides_a_password() -> None:
    for host in ("me:s3cret@pi", "ssh://me:s3cret@pi"):
        with pytest.raises(UsageError, match="host 'pi': without the password") as raised:
            check_host(host)
        assert "s3cret" not in str(raised.value)


def test_ssh_is_started_with_timeouts_and_without_forwarding(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: Any = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **pipes: commands.append(command) or sorted(pipes))
    monkeypatch.setenv(SSH_VARIABLE, "ssh -F 'my file'")
    assert ssh.start_ssh("pi") == ["stderr", "stdin", "stdout"]  # type: ignore[comparison-overlap]
    [command] = commands
    options = (
        "ConnectTimeout=15",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
        "RemoteCommand=none",
        "ClearAllForwardings=yes",
    )
    assert command == [
        "ssh",
        "-F",
        "my file",
        "-T",
        *(word for one in options for word in ("-o", one)),
        "--",
        "pi",
        START,
    ]
    monkeypatch.delenv(SSH_VARIABLE)
    assert ssh_command() == ["ssh"]

    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr(subprocess, "Popen", missing)
    with pytest.raises(RemoteError, match=r"ssh cannot be started here \(No such file\)"):
        ssh.start_ssh("pi")


@pytest.mark.parametrize(
    ("status", "last", "logged_in", "problem", "message"),
    [
        (97, "Python 3.9", False, "", "pi: no Python 3.10 to 3.13 there (Python 3.9)."),
        (97, "x", True, "is silent", "pi: no Python 3.10 to 3.13 there (x)."),
        (None, "x", True, "is silent", "pi: the device is silent; the connection was ended."),
        (255, "broken pipe", True, "", "pi: the connection was lost (broken pipe)."),
        (255, "", True, "", "pi: the connection was lost."),
        (255, "denied", False, "", "pi: ssh cannot log in (denied). Try: ssh pi"),
        (255, "", False, "", "pi: ssh cannot log in (no reason given)."),
        (1, "", False, "", "pi: its shell cannot start a program (status 1)."),
        (1, "sh: x", False, "", "pi: its shell cannot start a program (sh: x)."),
    ],
)
def test_error_explains_why_the_connection_ended(
    status: int | None, last: str, logged_in: bool, problem: str, message: str
) -> None:
    assert str(ended_error("pi", status, last, logged_in=logged_in, problem=problem)).startswith(message)


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
