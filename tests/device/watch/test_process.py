"""Tests of `watch` as a process: stopping, slow readers, replaced models, hanging commands, memory use."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poets_edge.cli.watch import command
from poets_edge.device.classifier import Classifier
from tests.conftest import ROOT, Trained
from tests.frames import jpeg, photos_of

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]


@pytest.fixture(scope="module")
def model(trained: Trained) -> Path:
    return trained.model("int8")


@pytest.fixture(scope="module")
def daisy(model: Path, flowers: Path) -> bytes:
    return _beyond_doubt(model, flowers, "daisy")


@pytest.fixture(scope="module")
def rose(model: Path, flowers: Path) -> bytes:
    return _beyond_doubt(model, flowers, "roses")


def _beyond_doubt(model: Path, flowers: Path, label: str) -> bytes:
    classifier = Classifier(model)
    index = classifier.labels.index(label)
    frames = (jpeg(photo) for photo in sorted((flowers / label).glob("*.jpg")))
    return next(frame for frame in frames if classifier.scores(frame)[index] > 0.95)


_EACH = ("--smooth", "1", "--keep-all")
"""Options with which `watch` prints one line per frame."""


@pytest.fixture
def start(model: Path) -> Iterator[Start]:
    """Yield a function that starts `watch` on standard input; kill its processes afterwards."""
    started: list[Process] = []

    def begin(*arguments: str | Path, model: Path = model) -> Process:
        process = subprocess.Popen(
            [sys.executable, "-m", "poets_edge", "watch", model, "--threads", "1", "--source", "-", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]
        process.wait()


def _feed(process: Process, *frames: bytes) -> None:
    assert process.stdin is not None
    for frame in frames:
        process.stdin.write(frame)
    process.stdin.flush()


def _line(process: Process) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def _warning(process: Process, fragment: str) -> str:
    """Read stderr up to the first line that contains `fragment`, and return this line."""
    assert process.stderr is not None
    for line in process.stderr:
        if fragment.encode() in line:
            return line.decode()
    raise AssertionError(f"the program ended without saying {fragment!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_stops_cleanly_while_it_waits_for_frames(start: Start, daisy: bytes, number: signal.Signals) -> None:
    process = start()
    _feed(process, daisy)
    assert b"daisy" in _line(process)
    process.send_signal(number)
    begun = time.monotonic()
    assert process.wait(10) == 0
    assert time.monotonic() - begun < 3
    assert process.stderr is not None
    assert process.stderr.read().decode().splitlines()[-1].startswith("1 frames labeled")


def test_watch_keeps_up_with_a_live_source_when_its_output_is_not_read(start: Start, daisy: bytes) -> None:
    process = start("--json", "--every-frame")
    _feed(process, daisy)
    first = json.loads(_line(process))
    # More lines than a pipe holds, without a reader: writing blocks unless `watch` takes more frames.
    for _ in range(1500):
        _feed(process, daisy)
    time.sleep(1.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert process.stdout is not None
    lines = [json.loads(line) for line in process.stdout.read().splitlines()]
    assert first["frame"] == 1 and lines[-1]["frame"] <= 1501
    assert [line["frame"] for line in lines] == sorted({line["frame"] for line in lines}), "whole lines, in order"


def test_watch_with_keep_all_waits_for_a_slow_reader_and_can_be_stopped(start: Start, daisy: bytes) -> None:
    process = start("--json", "--every-frame", "--keep-all")
    feeder = os.fork()
    if feeder == 0:  # it hangs as soon as everything is full, so it has to be a process of its own
        with contextlib.suppress(BrokenPipeError):
            _feed(process, *[daisy] * 3000)
        os._exit(0)
    try:
        assert json.loads(_line(process))["frame"] == 1
        time.sleep(2)
        numbers = [json.loads(_line(process))["frame"] for _ in range(500)]
        assert numbers == list(range(2, 502)), "no line is lost"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        os.kill(feeder, signal.SIGKILL)
        os.waitpid(feeder, 0)


def test_watch_ends_when_its_output_is_closed(start: Start, daisy: bytes) -> None:
    process = start("--every-frame")
    _feed(process, daisy)
    _line(process)
    assert process.stdout is not None
    process.stdout.close()
    with contextlib.suppress(BrokenPipeError):
        for _ in range(100):
            _feed(process, daisy)
            time.sleep(0.02)
    assert process.wait(10) != 0
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


def test_watch_warns_about_a_replaced_model_and_continues_with_the_loaded_one(
    start: Start, trained: Trained, daisy: bytes, tmp_path: Path
) -> None:
    model = tmp_path / "model.tflite"
    shutil.copy(trained.model("float32"), model)
    process = start("--json", "--every-frame", "--keep-all", "--smooth", "1", model=model)
    _feed(process, daisy)
    before = json.loads(_line(process))
    # Overwritten in place, as by cp and scp, with shorter content.
    model.write_bytes(b"\0" * 1000)
    time.sleep(1.2)
    _feed(process, daisy)
    after = json.loads(_line(process))
    assert (after["label"], after["score"]) == (before["label"], before["score"])
    assert "stays in use" in _warning(process, "model.tflite has changed")
    model.unlink()
    time.sleep(1.2)
    _feed(process, daisy)
    assert json.loads(_line(process))["score"] == before["score"]
    assert "stays in use" in _warning(process, "model.tflite is gone")


def _python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


def test_watch_ends_a_hanging_command_with_its_children(
    start: Start, daisy: bytes, rose: bytes, tmp_path: Path
) -> None:
    # The command ignores SIGTERM and has a child; both must be ended.
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"os.fork(); open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    )
    process = start("--on-label", "daisy", "--run", _python(code), "--hold", "1", "--run-limit", "0.7", *_EACH)
    _feed(process, daisy)
    assert "is still running after 0.7 s; stopping it" in _warning(process, "the command")
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    _until(lambda: not any(_alive(pid) for pid in pids))
    _feed(process, rose, daisy)
    _until(lambda: len((tmp_path / "pids").read_text().split()) == 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_watch_warns_about_a_failed_command(start: Start, daisy: bytes) -> None:
    process = start("--on-label", "daisy", "--run", _python("raise SystemExit(7)"), "--hold", "1")
    _feed(process, daisy)
    assert "failed with status 7" in _warning(process, "the command")
    assert b"daisy" in _line(process), "and the watch goes on"


def test_watch_ends_a_running_command_when_it_stops(start: Start, daisy: bytes, tmp_path: Path) -> None:
    run = f"echo $$ $POETS_EDGE_LABEL $POETS_EDGE_SCORE > {tmp_path}/facts; echo from the command; exec sleep 60"
    process = start("--json", "--on-label", "daisy", "--run", run, "--shell", "--hold", "1")
    _feed(process, daisy)
    _warning(process, "from the command")
    pid, label, score = (tmp_path / "facts").read_text().split()
    assert label == "daisy" and 0.9 < float(score) <= 1
    process.send_signal(signal.SIGINT)
    _warning(process, "is still running; stopping it")
    assert process.wait(10) == 0
    assert not _alive(int(pid))
    assert process.stdout is not None
    assert all(line.startswith(b"{") for line in process.stdout), "what a command prints is no result"


def test_watch_expands_no_variables_in_a_command_without_shell(start: Start, daisy: bytes, tmp_path: Path) -> None:
    (tmp_path / "go").mkdir()
    run = f"touch '{tmp_path}/go/$HOME' {tmp_path}/go/a;b"
    process = start("--on-label", "daisy", "--run", run, "--hold", "1")
    _feed(process, daisy)
    _until(lambda: (tmp_path / "go/a;b").exists())
    assert sorted(path.name for path in (tmp_path / "go").iterdir()) == ["$HOME", "a;b"]


def test_watch_memory_is_constant_over_20_000_frames(flowers: Path, tmp_path: Path) -> None:
    # The smallest model keeps the test short; its 256 outputs serve as the scores of 256 labels.
    probe, labels = ROOT / "poets_edge/tflite/probe.tflite", tmp_path / "labels.txt"
    labels.write_text("\n".join(map(str, range(256))))
    frames = [jpeg(photo, (64, 48)) for photo in photos_of(flowers, 4)]
    stream = tmp_path / "long.mjpeg"
    stream.write_bytes(b"".join(frames) * 1000)
    arguments = ("watch", probe, "--labels", labels, "--input-range", "-1:1", "--source", "-", "--every-frame")
    with stream.open("rb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "poets_edge", *arguments, "--json", "--threads", "1"],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    sizes = {}
    with process:
        assert process.stdout is not None
        for number, _ in enumerate(process.stdout, 1):
            if number % 1000 == 0 and number < 20_000:
                sizes[number] = _resident(process.pid)
    assert process.returncode == 0 and number == 20_000
    assert sizes[19_000] - sizes[2_000] < 1.0, f"MB resident after so many frames: {sizes}"


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it has not come to be within ten seconds")


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_systemd_unit_starts_an_existing_command() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "docs/poets-edge-watch.service")
    program, name, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert (Path(program).name, name) == ("poets-edge", "watch")
    context = command.make_context("watch", arguments)
    assert context.params["model"].suffix == ".tflite" and context.params["as_json"]
    assert unit["Service"]["ProtectSystem"] == "strict"
    assert unit["Service"]["ReadWritePaths"] == f"-{context.params['collect']}", "it can write the frames it collects"
    assert unit["Service"]["Restart"] == "on-failure" and unit["Install"]["WantedBy"] == "multi-user.target"
