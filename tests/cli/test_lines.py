"""Tests of lines written to pipes, of the handling of signals, of the streams, and of the list of caches."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.cli import streams
from poets_edge.cli.lines import Lines
from poets_edge.cli.stop_signals import StopSignals
from poets_edge.cli.streams import _ErrorScreen as ErrorScreen
from poets_edge.cli.streams import _Screen, _wrapped, guarded
from tests.conftest import poets_edge

pytestmark = pytest.mark.skipif(os.name == "nt", reason="requires pipes and signals of Unix")


@contextlib.contextmanager
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Context manager that replaces standard output by a pipe, and yields functions that fill and read it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    stdout = SimpleNamespace(flush=lambda: None, fileno=lambda: writing)
    monkeypatch.setattr(sys, "stdout", stdout)

    def fill() -> None:
        os.set_blocking(writing, False)
        try:
            while True:
                os.write(writing, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writing, True)

    def read() -> bytes:
        found = b""
        try:
            while data := os.read(reading, 1 << 16):
                found += data
        except BlockingIOError:
            pass
        return found

    try:
        yield SimpleNamespace(fill=fill, read=read)
    finally:
        monkeypatch.undo()
        os.close(reading)
        os.close(writing)


def test_full_pipe_drops_all_but_the_newest_output_line_of_a_live_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with piped(monkeypatch) as pipe:
        lines = Lines(live=True, stopped=lambda: False)
        lines.put("first")
        assert pipe.read() == b"first\n"
        pipe.fill()
        for text in ("second", "third"):
            lines.put(text)
        assert set(pipe.read()) == {ord("x")}
        lines.flush()
        lines.flush()
        assert pipe.read() == b"third\n"


def test_output_line_is_written_completely_to_a_pipe_that_accepts_only_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = os.write
    with piped(monkeypatch) as pipe:
        lines = Lines(live=True, stopped=lambda: False)
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
        lines.put("a longer line")
        assert pipe.read() == b"a longer line\n"


def test_output_for_a_file_source_waits_while_the_pipe_is_full_unless_watch_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("poets_edge.cli.lines.TICK_SECONDS", 0.001)
    asked: list[bool] = []
    with piped(monkeypatch) as pipe:

        def stopped() -> bool:
            asked.append(True)
            if len(asked) == 2:
                pipe.read()
            return len(asked) > 5

        lines = Lines(live=False, stopped=stopped)
        pipe.fill()
        lines.put("first")
        assert pipe.read() == b"first\n" and len(asked) == 2
        pipe.fill()
        lines.put("second")
        assert len(asked) > 5 and b"second" not in pipe.read()


def test_first_signal_requests_a_stop_and_the_second_interrupts() -> None:
    def handle(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGTERM, handle)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stopped:
            assert not stopped() and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM):
                assert signal.getsignal(number) == stopped._ask
            stopped._ask(signal.SIGTERM, None)
            assert stopped()
            with pytest.raises(KeyboardInterrupt):
                stopped._ask(signal.SIGTERM, None)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is handle and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, ignored)


def written(kind: type[_Screen], text: str, encoding: str = "utf-8") -> bytes:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding)
    with guarded():  # registers the error handler
        screen = _wrapped(stream, kind)
    screen.write(text)
    screen.flush()
    found = buffer.getvalue()
    screen.detach()  # type: ignore[attr-defined]
    stream.detach()
    return found


def test_control_characters_that_could_alter_the_screen_are_escaped() -> None:
    controls = "a\tb\nc\x00\x1b\x7f\x80\x85\x9b\x9f\xa0\u2028\u202e\u2066\u2069"
    escapes = "a\tb\nc\\u0000\\u001b\\u007f\\u0080\\u0085\\u009b\\u009f\xa0\\u2028\\u202e\\u2066\\u2069"
    assert written(_Screen, controls) == escapes.encode()
    assert written(_Screen, "ä€\udcff", "latin-1") == b"\xe4\\u20ac\\udcff"
    assert written(_Screen, "ä\U0001f600", "ascii") == b"\\u00e4\\ud83d\\ude00"


def test_stderr_stream_keeps_progress_bars_and_removes_passwords() -> None:
    assert written(ErrorScreen, "\r50%\x1b[2J\r") == b"\r50%\\u001b[2J\r"
    assert written(ErrorScreen, "\x1b[33mwarning: \x1b[0mred\x1b[33m\n") == b"\x1b[33mwarning: \x1b[0mred\\u001b[33m\n"
    assert written(ErrorScreen, "\x1b[A50%\x1b[A") == b"\x1b[A50%\\u001b[A"
    for hostile in ("\x1b[2J", "\x1b]0;title\x07", "\x1b[33mred"):
        assert b"\x1b" not in written(ErrorScreen, hostile)
    shown = written(ErrorScreen, "Error: https://me:secret@host/x.zip: no such file\n")
    assert b"secret" not in shown and b"host/x.zip: no such file" in shown


def test_closed_standard_streams_are_replaced_with_the_null_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise, the next file that is opened, such as a photo, would get the number of the stream."""
    closed = {0, 2}
    opened: list[Any] = []

    def fstat(descriptor: int) -> None:
        if descriptor in closed:
            raise OSError(errno.EBADF, "closed")

    monkeypatch.setattr(streams, "os", SimpleNamespace(
        fstat=fstat, open=lambda *given: opened.append(given), devnull=os.devnull, O_RDWR=os.O_RDWR
    ))  # fmt: skip
    streams._open_closed()
    assert opened == [(os.devnull, os.O_RDWR)] * 2


def test_cache_command_lists_and_removes_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = [
        SimpleNamespace(name="net-1", kind="bottlenecks", rows=30, size=2_400_000),
        SimpleNamespace(name="net-2", kind="activations", rows=None, size=1_150_000),
    ]
    asked: Any = []
    monkeypatch.setattr("poets_edge.training.cache_folder.caches", lambda folder: caches)
    monkeypatch.setattr(
        "poets_edge.training.cache_folder.remove_caches", lambda folder, names: asked.append(names) or caches[1:]
    )
    listed = poets_edge("cache", "--bottleneck-dir", "b", cwd=tmp_path).ok().stdout.splitlines()
    assert [" ".join(line.split()) for line in listed] == [
        "name kind rows MB", "net-1 bottlenecks 30 2.4", "net-2 activations damaged 1.1", "in all 3.5 MB in b",
    ]  # fmt: skip
    shown = json.loads(poets_edge("cache", "--bottleneck-dir", "b", "--json", cwd=tmp_path).ok().stdout)
    assert shown == {
        "folder": "b",
        "caches": [
            {"name": "net-1", "kind": "bottlenecks", "rows": 30, "bytes": 2_400_000},
            {"name": "net-2", "kind": "activations", "rows": None, "bytes": 1_150_000},
        ],
    }
    removed = poets_edge("cache", "--remove", "net-2", "--json", cwd=tmp_path).ok().stdout
    assert list(json.loads(removed)) == ["folder", "removed"] and asked.pop() == ("net-2",)
    removed = poets_edge("cache", "--bottleneck-dir", "b", "--remove", "net-2", cwd=tmp_path).ok().stdout
    assert removed.splitlines()[-1] == "removed 1.1 MB from b" and asked == [("net-2",)]
    caches.clear()
    assert poets_edge("cache", "--bottleneck-dir", "b", cwd=tmp_path).ok().stdout == "nothing in b\n"
