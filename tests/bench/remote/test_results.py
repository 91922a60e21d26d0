"""Tests of results from devices: messages, streams of chunks, saved rounds, and scores compared with this machine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.bench.benchmark import BenchmarkOptions
from poets_edge.bench.machine import MachineState
from poets_edge.bench.remote import benchmark, installation
from poets_edge.bench.remote.answers import Done
from poets_edge.bench.remote.follower import Follower
from poets_edge.bench.remote.messages import FactsRequest, read_message
from poets_edge.bench.remote.on_device.chunks import ChunkReader, ChunkWriter
from poets_edge.bench.rounds import Round, TimingConfig, read_rounds
from poets_edge.bench.timing import Timing
from poets_edge.device.predictions import Predictions
from poets_edge.errors import ModelError, PoetsEdgeError, RecordError, RemoteError, UsageError
from poets_edge.photos.folder import Photo
from tests.bench.remote.scripted import MACHINE, ScriptedConnection, facts, installed
from tests.recorder import Recorder

RESULT = {"kind": "Result", "warnings": ["hot"]}


class Bars(Recorder):
    """Reporter that records the progress of bars."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    @contextlib.contextmanager
    def progress(self, what: str, total: int, unit: str = "photo") -> Iterator[Any]:
        self.calls.append((what, total, unit))
        yield self.calls.append
        self.calls.append("end")


def follow(*messages: dict[str, Any]) -> tuple[Follower, Bars, tuple[str, ...]]:
    reporter = Bars()
    made = Follower(installed(ScriptedConnection(), messages), reporter)
    return made, reporter, made.run(FactsRequest())


def begin(total: int) -> dict[str, Any]:
    return {"kind": "Begin", "what": "scoring", "total": total, "unit": "photo"}


def advance(amount: int) -> dict[str, Any]:
    return {"kind": "Advance", "amount": amount}


def test_messages_from_a_device_are_shown_with_its_name() -> None:
    made, reporter, warnings = follow(
        MACHINE, begin(5), advance(3), begin(1), {"kind": "End"}, advance(2), {"kind": "End"}, {"kind": "End"},
        {"kind": "Note", "text": "note"}, {"kind": "Warn", "text": "warning"}, {"kind": "Wait"}, begin(7), RESULT,
    )  # fmt: skip
    assert warnings == ("hot",) and made.machine["cores"] == MACHINE["cores"]
    assert reporter.calls == [
        ("pi: scoring", 5, "photo"), 3, ("pi: scoring", 1, "photo"), "end", 2, "end",
        ("pi: scoring", 7, "photo"), "end",
    ]  # fmt: skip
    assert (reporter.notes, reporter.warnings) == (["pi: note"], ["pi: warning"])


def test_device_may_report_up_to_eight_nested_progress_bars() -> None:
    assert follow(MACHINE, *[begin(1)] * 8, RESULT)[1].calls.count("end") == 8


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([begin(5), advance(6)], "progress beyond the end"),
        ([begin(5), advance(3), advance(3)], "progress beyond the end"),
        ([advance(1)], "progress of nothing"),
        ([begin(1)] * 9, "more than 8 nested progress bars"),
        ([{"kind": "Wait"}] * 10_001, "too many messages"),
        ([MACHINE, MACHINE], "the machine, a second time"),
        ([MACHINE, RESULT, {"kind": "Wait"}], "a message after the last"),
        ([{"kind": "PhotoScores", "model": 0, "photo": "p", "scores": [1.0], "distance": None}], "was not requested"),
    ],
)
def test_unexpected_messages_from_a_device_are_refused(messages: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(RemoteError, match=problem):
        follow(*messages)


@pytest.mark.parametrize("messages", [[MACHINE], [RESULT], []])
def test_incomplete_measurements_are_reported(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(RemoteError, match="pi: the measurement ended early there"):
        follow(*messages)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ModelError", ModelError), ("UsageError", UsageError), ("KeyError", PoetsEdgeError),
        ("annotations", PoetsEdgeError),
    ],
)  # fmt: skip
def test_errors_from_a_device_keep_their_type(name: str, kind: type[Exception]) -> None:
    with pytest.raises(PoetsEdgeError, match="pi: damaged") as raised:
        follow({"kind": "Failure", "error": "damaged", "name": name})
    assert type(raised.value) is kind


@pytest.mark.parametrize("changes", [{"cores": 0}, {"cores": 1_000_001}, {"memory_mb": -1}, {"max_frequency_mhz": -1}])
def test_impossible_descriptions_of_a_device_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        read_message(json.dumps({**MACHINE, **changes}))


def test_stream_of_chunks_ends_with_an_empty_chunk() -> None:
    file, heard = io.BytesIO(), []
    writer = ChunkWriter(file.write)  # type: ignore[arg-type]
    assert [writer.write(data) for data in (b"abc", b"", b"defgh")] == [3, 0, 5]
    writer.end()
    assert file.getvalue() == b"3\nabc5\ndefgh0\n"
    file.write(b"next request")
    file.seek(0)
    reader = ChunkReader(file, lambda: heard.append(True))
    assert [reader.read(2) for _ in range(4)] == [b"ab", b"c", b"de", b"fg"]
    reader.drain()
    assert reader.read() == b"" and file.read() == b"next request" and len(heard) == 5


@pytest.mark.parametrize("content", [b"", b"5\n", b"5\nabc"])
def test_truncated_chunks_are_an_error(content: bytes) -> None:
    with pytest.raises(EOFError):
        ChunkReader(io.BytesIO(content), lambda: None).drain()


def predictions(rows: dict[str, list[float]]) -> Predictions:
    photos = [Photo(Path(name), name, "a") for name in rows]
    return Predictions(photos, np.array([*rows.values()], np.float32).reshape(-1, 2), ())


HERE = predictions({"1": [0.75, 0.25], "2": [0.25, 0.75], "3": [0.5, 0.5]})
MODEL = Path("folder/m.tflite")


@pytest.mark.parametrize(
    ("there", "check", "warnings"),
    [
        ({"1": [0.75, 0.25], "2": [0.25, 0.75], "3": [0.5, 0.5]}, (3, 1.0, 0.0), []),
        ({"1": [0.75, 0.25], "2": [0.25, 0.75], "3": [0.50005, 0.49995]}, (3, 1.0, 5e-5), []),
        (
            {"2": [0.25, 0.75], "1": [0.75, 0.25]}, (2, 1.0, 0.0), ["pi: could not read 1 of 3 photos."],
        ),
        (
            {"1": [0.75, 0.25], "2": [0.375, 0.625], "3": [0.5, 0.5]}, (3, 1.0, 0.125),
            ["pi, m.tflite: scores differ from this machine's by up to 0.125; 0 of 3 photos get another answer there."],
        ),
        (
            {"1": [0.75, 0.25], "2": [0.25, 0.75], "3": [0.49996, 0.50004]}, (3, 2 / 3, 4e-5),
            ["pi, m.tflite: scores differ from this machine's by up to 0.000; 1 of 3 photos get another answer there."],
        ),
        ({}, (0, 0.0, 0.0), ["pi: could not read 3 of 3 photos."]),
    ],
)  # fmt: skip
def test_scores_from_a_device_are_compared_with_those_from_this_machine(
    there: dict[str, list[float]], check: tuple[int, float, float], warnings: list[str]
) -> None:
    reporter = Recorder()
    found = benchmark._check(installed(ScriptedConnection()), MODEL, predictions(there), HERE, reporter)
    assert (found.photos, found.agreement, found.difference) == pytest.approx(check, abs=1e-7)
    assert reporter.warnings == warnings


def test_host_names_of_one_machine_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boot").write_text("b2\n")
    monkeypatch.setattr(benchmark, "_BOOT", tmp_path / "boot")
    devices: Any = [
        SimpleNamespace(host=host, facts=SimpleNamespace(boot=boot))
        for host, boot in (("p", "b1"), ("q", ""), ("r", ""), ("s", "b1"), ("t", "b2"))
    ]
    reporter = Recorder()
    benchmark._warn_same_device(devices, reporter)
    assert reporter.warnings == [
        "p and s are one machine.", "t is this machine; without a host the same is measured without a copy.",
    ]  # fmt: skip


@pytest.mark.parametrize(("age", "kept"), [(86_000, True), (87_000, False), (-87_000, False)])
def test_saved_rounds_are_deleted_after_a_day(tmp_path: Path, age: int, kept: bool) -> None:
    timing = Timing(
        load_ms=1, first_ms=1, warm_up_runs=20, steady=True, samples_ms=(1.0,), accelerated=True, state=MachineState()
    )
    saved = Round(stamp="s", sha256="d", threads=1, number=0, timing=timing)
    file = tmp_path / "measuring/rounds.jsonl"
    log = benchmark._open_log(file, Recorder())
    log.add(saved)
    assert list(read_rounds(file, Recorder())) == [saved]
    os.utime(file, (time.time() - age,) * 2)
    benchmark._open_log(file, Recorder())
    assert file.exists() is kept
    assert benchmark._open_log(None, Recorder()) is not None


def test_duplicate_hosts_and_unreadable_models_are_refused_before_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "Connection", None)
    options = BenchmarkOptions(models=(MODEL,))
    with pytest.raises(UsageError, match="host pi is given twice"):
        benchmark.benchmark_on(options, ["pi", "other", "pi"])
    with pytest.raises(ModelError, match=r"m\.tflite"):
        benchmark.benchmark_on(options, ["pi"])


@pytest.mark.parametrize(("alone", "needed"), [(False, 170), (True, 20)])
def test_packages_are_not_installed_without_enough_free_space(alone: bool, needed: int) -> None:
    wanted: Any = SimpleNamespace(alone=alone)
    system: Any = SimpleNamespace(name="Darwin", machine="arm64")
    for free, problem in (
        (needed * 1_000_000 - 1, f"{needed} MB are needed"),
        (needed * 1_000_000, "has no pip to try with"),
    ):
        connection: Any = ScriptedConnection()
        with pytest.raises(RemoteError, match=problem):
            installation._install_packages(connection, system, wanted, facts(free=free), "packages/1", Recorder())


@pytest.mark.parametrize("alone", [False, True])
def test_packages_are_downloaded_by_the_device_if_this_machine_cannot(alone: bool) -> None:
    wanted: Any = SimpleNamespace(alone=alone, requirements=["numpy<3", "pillow"])
    connection: Any = ScriptedConnection({"fetch": Done()})
    found = facts(versions={"pip": "24.0"})
    installation._fetch_on_device(connection, wanted, found, "packages/1", RemoteError("pi: offline."))
    [(do, request)] = connection.asked
    options = ["--quiet", "--disable-pip-version-check", "--dest", "{}", "--only-binary=:all:"]
    assert (do, request["item"]) == ("fetch", "packages/1")
    assert request["command"] == [
        "/usr/bin/python3", "-m", "pip", "download", *options, *(["--no-deps"] if alone else []), "numpy<3", "pillow",
    ]  # fmt: skip
    connection = ScriptedConnection({"fetch": RemoteError("pi: ERROR: no route", reason="ERROR: no route")})
    with pytest.raises(RemoteError, match=r"offline\. The device cannot download them either \(no route\)"):
        installation._fetch_on_device(connection, wanted, found, "packages/1", RemoteError("pi: offline."))


def test_saved_rounds_are_reused_only_by_runs_with_the_same_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "cache_folder", lambda: tmp_path)
    (tmp_path / "a.tflite").write_bytes(b"a")
    (tmp_path / "b.tflite").write_bytes(b"b")

    def log_file(
        model: str = "a.tflite", image_dir: str = "", threads: tuple[int, ...] = (), **changes: Any
    ) -> Path | None:
        device: Any = SimpleNamespace(**{"host": "pi", "folder": "/f", "items": ("program/1",), **changes})
        timing = changes.get("timing", TimingConfig())
        options = BenchmarkOptions(models=(tmp_path / model,), threads=threads, timing=timing)
        return benchmark._log_file(device, options, [tmp_path / model], image_dir)

    assert log_file() == log_file() and str(log_file()).startswith(f"{tmp_path}/measuring/")
    different: list[dict[str, Any]] = [
        {}, {"model": "b.tflite"}, {"image_dir": "/photos/1"}, {"host": "nano"}, {"folder": "/g"},
        {"items": ("program/2",)}, {"timing": TimingConfig(seconds=13.0)},
    ]  # fmt: skip
    assert len({log_file(**changes) for changes in different}) == len(different)
    assert log_file(threads=(1, 2)) == log_file(), "rounds are kept for each number of threads"


def test_saved_rounds_are_removed_when_a_device_has_been_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rounds.jsonl"
    passed: list[Any] = []

    def measure_rounds(device: object, models: object, **settings: Any) -> Any:
        file.touch()
        passed.append((models, settings))
        if len(passed) == 2:
            raise RemoteError("pi: lost")
        return SimpleNamespace(machine=MACHINE, variants=(), stamp="s", warnings=("hot",), outputs={})

    monkeypatch.setattr(benchmark, "_send_files", lambda device, kind, members, _: f"/{kind}" if members else "")
    monkeypatch.setattr(benchmark, "_log_file", lambda *_: file)
    monkeypatch.setattr(benchmark, "_open_log", lambda file, _: f"log of {file.name}")
    monkeypatch.setattr(benchmark, "measure_rounds", measure_rounds)
    options = BenchmarkOptions(
        models=(MODEL, Path("n.tflite"), MODEL), threads=(1, 2), labels=Path("l"), input_range="0:1"
    )
    reporter = Recorder()
    device: Any = installed(ScriptedConnection())
    found = benchmark._benchmark(device, options, {}, reporter)
    assert not file.exists() and (found.host, found.machine, found.warnings) == ("pi", MACHINE, ("hot",))
    assert reporter.warnings == ["pi: hot"]
    [(models, settings)] = passed
    assert models == (MODEL, Path("n.tflite")), "equal models are measured once"
    assert settings == {
        "threads": (1, 2), "config": options.timing, "log": "log of rounds.jsonl", "reporter": reporter,
        "image_dir": "", "labels": "/labels/labels.txt", "input_range": "0:1", "photos": [], "widths": (),
    }  # fmt: skip
    with pytest.raises(RemoteError):
        benchmark._benchmark(device, options, {}, reporter)
    assert file.exists(), "for the next run"
