"""Tests of the queue of lines from a device, and of their parsing and validation."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench.remote.answers import Ended, Facts, parse_line
from poets_edge.bench.remote.inbox import Inbox, LineReader
from poets_edge.core.json_objects import from_json
from poets_edge.errors import RecordError
from tests.bench.remote.scripted import facts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    return found


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
def test_parse_line_rejects_lines_that_are_invalid_or_would_need_too_much_memory(
    line: str | bytes, is_read: bool
) -> None:
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


def test_last_nonblank_line_of_program_output_is_found() -> None:
    assert Ended(1, ("first", "  last  ", " ", "")).last_words == "last"
    assert Ended(1, ("x" * 300,)).last_words == "x" * 200 and Ended(1, ()).last_words == "no message"
