"""Tests of signals: Ctrl-C during imports, and termination of helper processes with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto.types_pb2 import DT_INT32

from poets_edge.errors import RuntimeMissingError
from poets_edge.nets.graphdef import constant, find_node, operation, serialize
from poets_edge.nets.tensorflow import load_tensorflow
from tests.conftest import ROOT, poets_edge
from tests.graphs import small_graph

pytestmark = pytest.mark.skipif(os.name == "nt", reason="requires POSIX signals")

INTERRUPTED_IMPORT = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
    import time; time.sleep(5)
except KeyboardInterrupt:
    {what}
"""
"""Source of a module that turns a KeyboardInterrupt into another error, as native packages do."""


def start(*arguments: str | Path, cwd: Path, path: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "poets_edge", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, filter(None, (path, ROOT))))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A graph that only TensorFlow can run, and a photo next to it."""
    graph = small_graph(("daisy", "roses"))
    reshape = operation("same", "Reshape", ["head/logits", "shape"])
    reshape.attr["Tshape"].type = DT_INT32
    graph.node.extend([constant("shape", np.array([1, 2], np.int32)), reshape])
    find_node(graph, "final_result").input[0] = "same"
    (tmp_path / "it.pb").write_bytes(serialize(graph))
    (tmp_path / "it_labels.txt").write_text("daisy\nroses\n")
    Image.new("RGB", (20, 20), "yellow").save(tmp_path / "photo.png")
    return tmp_path


@pytest.mark.parametrize("what", ["raise ImportError('initialization failed')", "raise SystemError('odd')", "pass"])
def test_interrupt_prints_one_line_even_if_the_import_raises_another_error(foreign: Path, what: str) -> None:
    (foreign / "fake").mkdir()
    (foreign / "fake/tensorflow.py").write_text(INTERRUPTED_IMPORT.format(what=what))
    ended = start("label", "it.pb", "photo.png", cwd=foreign, path=foreign / "fake")
    out, err = ended.communicate(timeout=60)
    assert (ended.returncode, out, err.strip()) == (130, "", "Stopped.")


def test_import_error_of_a_broken_tensorflow_package_is_reported(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (foreign / "fake").mkdir()
    (foreign / "fake/tensorflow.py").write_text("raise ImportError('no such library')")
    monkeypatch.syspath_prepend(str(foreign / "fake"))
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with pytest.raises(RuntimeMissingError, match="no such library"):
        load_tensorflow("this")


@pytest.mark.tensorflow
def test_interrupt_while_tensorflow_loads_prints_one_line(foreign: Path) -> None:
    process = start("label", "it.pb", "photo.png", cwd=foreign)
    _until(lambda: "_pywrap_tensorflow" in _maps(process.pid) or "libtensorflow" in _maps(process.pid))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "Stopped.")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_interrupted_grid_ends_its_helper_processes(tmp_path: Path, keras_home: Path, number: signal.Signals) -> None:
    poets_edge("draw-photos", tmp_path / "photos", "--per_class", "3", "--quiet").ok()
    flags = ("--architecture", "mobilenet_0.25_128", "--architecture", "mobilenet_0.50_128", "--quiet")
    process = start("grid", "photos", *flags, cwd=tmp_path)
    _until(lambda: len(_children(process.pid, "poets_edge.sweep.training_worker")) > 0)
    helpers = _children(process.pid, "poets_edge.sweep")
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode in (-number, 130)
    _until(lambda: not any(_alive(pid) for pid in helpers))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_interrupted_benchmark_ends_its_worker_processes(tmp_path: Path, number: signal.Signals) -> None:
    model = ROOT / "tests/corpus/seeds/seed_graph.tflite"
    process = start("benchmark", model, "--min-seconds", "60", "--rounds", "1", "--quiet", cwd=tmp_path)
    _until(lambda: len(_children(process.pid, "poets_edge.bench.worker")) > 0)
    workers = _children(process.pid, "poets_edge.bench.worker")
    process.send_signal(number)
    process.communicate(timeout=30)
    _until(lambda: not any(_alive(pid) for pid in workers))


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGPROF,
        "the terminal closes",
        "two signals",
    ],
)
def test_interrupted_watch_ends_its_running_commands(tmp_path: Path, how: signal.Signals | str) -> None:
    """Commands that were started in a shell are ended, too."""
    import fcntl
    import pty
    import termios

    model = ROOT / "tests/corpus/seeds/seed_graph.tflite"
    labels = poets_edge("inspect", model, "--json").ok().stdout
    assert "tulips" in labels
    Image.new("RGB", (32, 32), "yellow").save(tmp_path / "photo.png")
    found = poets_edge("label", model, tmp_path / "photo.png").ok().stdout.split()[0]
    run = f"sleep 77 & echo $! > {tmp_path}/pid; wait"
    if how == "two signals":  # a command that does not end when it is asked to
        run = f"trap '' TERM; {run}"
    with (tmp_path / "photo.png").open("rb") as photo:
        picture = Image.open(photo).convert("RGB")
        picture.save(tmp_path / "photo.jpg", quality=95)
    terminal, inside = pty.openpty()

    def take_terminal() -> None:
        # nohup, background jobs and MediaPipe (SIGPROF) ignore signals, and this is inherited.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPROF):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        fcntl.ioctl(inside, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "poets_edge", "watch", model, "--source", "-", "--threads", "1", "--smooth", "1"),
            *("--on-label", found, "--run", run, "--shell", "--hold", "1", "--keep-all"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=inside,
        stderr=inside,
        preexec_fn=take_terminal,
    )
    os.close(inside)
    assert process.stdin is not None
    process.stdin.write((tmp_path / "photo.jpg").read_bytes())
    process.stdin.flush()
    _until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text().strip()))
    started = int((tmp_path / "pid").read_text())
    if how == "the terminal closes":
        os.close(terminal)
        process.wait(20)
    elif how == "two signals":
        process.send_signal(signal.SIGTERM)
        time.sleep(0.7)
        process.send_signal(signal.SIGTERM)
        assert process.wait(1) == 130
    else:
        assert isinstance(how, signal.Signals)
        process.send_signal(how)
        assert process.wait(20) == 0
    if how != "the terminal closes":
        os.close(terminal)
    process.stdin.close()
    _until(lambda: not _alive(started), seconds=5)


def test_watch_under_nohup_ignores_sighup(tmp_path: Path) -> None:
    model = ROOT / "tests/corpus/seeds/seed_graph.tflite"
    Image.new("RGB", (32, 32), "yellow").save(tmp_path / "photo.jpg")
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "poets_edge", "watch", model, "--source", "-", "--threads", "1", "--keep-all"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None and process.stdout is not None
    photo = (tmp_path / "photo.jpg").read_bytes()
    process.stdin.write(photo)
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out after a minute"
        time.sleep(0.02)


def _maps(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


def _children(pid: int, module: str) -> list[int]:
    found = []
    for task in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = task.read_text().rpartition(")")[2].split()
            command = task.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and module.encode() in command:
            found.append(int(task.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
