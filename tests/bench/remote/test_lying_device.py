"""Tests with devices that send wrong data: a stand-in for ssh sends one line that violates the agent's protocol."""

from __future__ import annotations

import base64
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.remote import connection
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.limits import Limits
from poets_edge.bench.remote.ssh import SSH_VARIABLE
from poets_edge.errors import UsageError
from tests.bench.remote.conftest import QUICK
from tests.conftest import ROOT, Ran, poets_edge
from tools.fuzz import devices

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in runs on Unix")

Measure = Callable[..., Ran]
_LIMITS = Limits(login=3, silence=2, taking=3, answer=3, work=3, fetch=3, program=3, measuring=3)


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Run `benchmark --on` with a device that violates the protocol as the arguments specify."""
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "seed_graph.tflite").write_bytes((ROOT / "tests/corpus/seeds/seed_graph.tflite").read_bytes())
    monkeypatch.setattr(connection, "LIMITS", _LIMITS)  # restored in the end, whatever `prepare` sets
    devices.prepare(seeds, tmp_path)
    monkeypatch.setattr(connection, "LIMITS", _LIMITS)
    honest = json.loads((seeds / "device.json").read_bytes())

    def run(action: str = "replace", data: bytes = b"", at: int = -1, **changes: Any) -> Ran:
        plan = {**honest, "deployed": False, "status": 0, "inner": False, "action": action, "at": at}
        plan |= {"data": base64.b64encode(data).decode(), **changes}
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        command = [sys.executable, "-S", "-E", str(ROOT / "tools/fuzz/fake_device.py"), str(tmp_path / "plan.json")]
        monkeypatch.setenv(SSH_VARIABLE, shlex.join(command))
        begun = time.monotonic()
        ran = poets_edge("benchmark", seeds / "seed_graph.tflite", *QUICK, "--on", "pi", "--json")
        assert time.monotonic() - begun < 60
        return ran

    return run


def test_connection_rejects_an_ssh_command_with_an_unclosed_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SSH_VARIABLE, "ssh -F 'file")
    with pytest.raises(UsageError, match=f"{SSH_VARIABLE}.*No closing quotation"):
        Connection("pi")


def test_benchmark_on_accepts_the_results_of_an_honest_simulated_device(measure: Measure) -> None:
    found = json.loads(measure().ok().stdout)
    assert [len(entry["rounds"]) for entry in found["results"]] == [2]


@pytest.mark.parametrize(
    ("action", "data", "words"),
    [
        ("replace", b"\xff\n", "its answer is not valid"),
        ("replace", b"[" * 100_000 + b"\n", "its answer is not valid"),
        ("replace", b'{"id": ' + b"9" * 400 + b', "done": true}\n', "its answer is not valid"),
        ("replace", b'{"id": 5, "error": {}}\n', "its answer is not valid"),
        ("flood", b"x" * 1000, "more than 16 MB"),
        ("flood", b'{"id": 0, "line": "x"}\n', "has not answered for 3 s"),
        ("flood", b'{"beat": true}\n', "has not answered for 3 s"),
        ("trickle", b"", "has not answered for 3 s"),
        ("mute", b"", "has been silent for 2 s"),
        ("beats only", b"", "has not answered for 3 s"),
        ("end", b"", "the connection was lost"),
    ],
)
def test_benchmark_on_reports_missing_or_malformed_device_answers_in_one_line(
    measure: Measure, action: str, data: bytes, words: str
) -> None:
    measure(action, data, at=4).failed("pi: ", words)


@pytest.mark.parametrize("data", [b"", b"noise\n"])
def test_benchmark_on_gives_up_if_login_output_never_ends(measure: Measure, data: bytes) -> None:
    measure("flood", data or b"x" * 1000, at=1).failed("pi: ")


def test_benchmark_on_rejects_rounds_that_it_did_not_request(measure: Measure) -> None:
    measure(sha256="0" * 64).failed("a round that was not requested")
    measure("twice", at=10).failed("pi: its answer is not valid")


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("facts", "python", [3, 11]),
        ("facts", "time", 10**60),
        ("facts", "folder", "relative"),
        ("facts", "older", ["x"] * 20_000),
        ("machine", "cores", 0),
        ("machine", "cpu", "x" * 5000),
        ("timing", "samples_ms", [1e-300, 1e300]),
        ("timing", "samples_ms", [10**400]),
        ("timing", "decode_ms", []),
        ("timing", "decode_ms", None),
        ("timing", "resize_ms", [1.0]),
        ("timing", "state", {"throttled": 5}),
    ],
)
def test_benchmark_on_rejects_values_out_of_range_from_a_device(
    measure: Measure, tmp_path: Path, part: str, field: str, value: Any
) -> None:
    honest = json.loads((tmp_path / "seeds/device.json").read_bytes())[part]
    measure(**{part: {**honest, field: value}}).failed("pi: its answer is not valid")


def test_benchmark_on_limits_the_number_of_messages_from_a_device(measure: Measure) -> None:
    line = b'{"kind": "Warn", "text": "x"}'
    measure("flood", line, at=8, inner=True).failed("too many messages")
