"""`--cluster`: shards that workers write give the bits of one process, whoever dies; no SQLite on a network drive."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from poets_edge.core import mounts
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.train import shards
from poets_edge.train.backbone import prepare_backbone
from poets_edge.train.bottlenecks import Extractor
from poets_edge.train.shards import Shards, shard_path, write_shard
from tests.conftest import ROOT, poets_edge
from tools.cluster_workers import workers_of

FEW = ("--how_many_training_steps", "50", "--weights", "embedded", "--architecture", "mobilenet_0.25_128")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "photos"
    poets_edge("draw-photos", folder, "--per_class", "40", "--quiet").ok()
    (folder / "roses/broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def alone(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """The graph that one process trains, and what it says is left out."""
    folder = tmp_path_factory.mktemp("alone")
    told = poets_edge("train", "--image_dir", photos, *FEW, cwd=folder).ok().stderr
    return (folder / "tf_files/retrained_graph.pb").read_bytes(), _left_out(told)


def _left_out(told: str) -> str:
    return next(line for line in told.splitlines() if "left out" in line)


def graph(folder: Path) -> bytes:
    return (folder / "tf_files/retrained_graph.pb").read_bytes()


def start(
    folder: Path, photos: Path, cluster: str, *, photos_a_task: int = 16, patience: int = 2, dask_gives_up: str = "15s"
) -> subprocess.Popen[str]:
    arguments = ["train", "--image_dir", str(photos), *FEW, "--cluster", cluster]
    code = (
        "import sys\nfrom poets_edge.cli import main\nfrom poets_edge.train import cluster\n"
        f"cluster.VECTORS, cluster._PATIENCE = {photos_a_task}, {patience}\n"
        f"sys.argv = ['poets-edge', *{arguments!r}]\nmain()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT"] = dask_gives_up
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=-3, text=True
    )


def test_processes_give_the_bits_of_one(photos: Path, alone: tuple[bytes, str], tmp_path: Path) -> None:
    process = start(tmp_path, photos, "local:2")
    told = process.communicate(timeout=240)[1]
    assert process.returncode == 0, told
    assert graph(tmp_path) == alone[0] and _left_out(told) == alone[1]
    assert "2 workers" in told and "http://127.0.0.1:" in told
    # What the workers have written serves everyone.
    [folder] = (tmp_path / "tf_files/bottlenecks").glob("*.shards")
    assert len(Shards(folder)) == 200
    again = poets_edge("train", "--image_dir", photos, *FEW, cwd=tmp_path).ok()
    assert graph(tmp_path) == alone[0] and "Traceback" not in again.stderr
    listed = json.loads(poets_edge("cache", "--json", cwd=tmp_path).ok().stdout)
    [row] = [one for one in listed["caches"] if one["kind"] == "bottlenecks"]
    assert row["rows"] == 200
    poets_edge("cache", "--remove", row["name"], cwd=tmp_path).ok()
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_workers_are_killed(photos: Path, alone: tuple[bytes, str], tmp_path: Path) -> None:
    process = start(tmp_path, photos, "local:2", photos_a_task=4)
    killed, seen, chance = 0, 0, random.Random(0)
    while process.poll() is None and killed < 5:
        done = len(list((tmp_path / "tf_files/bottlenecks").glob("*.shards/*.shard")))
        workers = workers_of(process.pid)
        if done > seen and workers:  # the workers have begun, and some task is under way
            os.kill(chance.choice(workers), signal.SIGKILL)
            killed, seen = killed + 1, done
        time.sleep(0.02)
    told = process.communicate(timeout=240)[1]
    assert process.returncode == 0 and killed, told
    assert graph(tmp_path) == alone[0]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_workers_that_nobody_brings_back_are_one_line(photos: Path, tmp_path: Path) -> None:
    process = start(tmp_path, photos, "local:1", photos_a_task=4)
    assert process.stderr is not None
    while "1 workers" not in (line := process.stderr.readline()):
        assert line, "it ended before it was connected"
    while process.poll() is None:  # also those that are just starting
        for worker in workers_of(process.pid):
            os.kill(worker, signal.SIGKILL)
        time.sleep(0.2)
    told = process.communicate(timeout=60)[1]
    last = told.strip().splitlines()[-1]
    assert process.returncode == 1 and "Traceback" not in told, told
    assert "every worker" in last and "run again" in last


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_worker_that_is_slow_to_start_is_waited_for(photos: Path, alone: tuple[bytes, str], tmp_path: Path) -> None:
    process = start(tmp_path, photos, "local:1", photos_a_task=4, patience=30, dask_gives_up="1s")
    assert process.stderr is not None
    while "1 workers" not in (line := process.stderr.readline()):
        assert line, "it ended before it was connected"
    [killed] = workers_of(process.pid)
    os.kill(killed, signal.SIGKILL)
    while not (started := [worker for worker in workers_of(process.pid) if worker != killed]):
        time.sleep(0.01)
    os.kill(started[0], signal.SIGSTOP)  # before the scheduler knows of it
    time.sleep(3)  # longer than Dask alone would wait
    os.kill(started[0], signal.SIGCONT)
    told = process.communicate(timeout=240)[1]
    assert process.returncode == 0, told
    assert graph(tmp_path) == alone[0]


@pytest.fixture
def scheduler() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A scheduler without workers; the tests start what they need."""
    code = (
        "import asyncio\nfrom distributed import Scheduler\nasync def main():\n"
        "    async with Scheduler(host='127.0.0.1', port=0, dashboard_address='127.0.0.1:0') as s:\n"
        "        print(s.address, flush=True)\n        await s.finished()\nasyncio.run(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=-3, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip(), process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_lost_scheduler_is_one_line(
    photos: Path, tmp_path: Path, scheduler: tuple[str, subprocess.Popen[str]]
) -> None:
    address, process = scheduler
    run = start(tmp_path, photos, address)
    assert run.stderr is not None
    while "0 workers" not in (line := run.stderr.readline()):
        assert line, "it ended before it was connected"
    process.kill()
    told = run.communicate(timeout=120)[1]
    last = told.strip().splitlines()[-1]
    assert run.returncode == 1 and "Traceback" not in told, told
    assert last.startswith("Error: ") and "--cluster" in last and "run again" in last


@pytest.mark.parametrize("address", ["local:0", "local:x", "somewhere"])
def test_what_is_no_address(photos: Path, tmp_path: Path, address: str) -> None:
    poets_edge("train", "--image_dir", photos, *FEW, "--cluster", address, cwd=tmp_path).failed("--cluster", "local:2")


def test_nobody_answers(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.train.cluster._SECONDS_TO_CONNECT", 1)
    command = ("train", "--image_dir", photos, *FEW, "--cluster", "tcp://127.0.0.1:9")
    poets_edge(*command, cwd=tmp_path).failed("--cluster", "no Dask scheduler answers")


def test_on_a_network_drive_there_is_no_sqlite(
    photos: Path, alone: tuple[bytes, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    kept = tmp_path / "the drive/bottlenecks"
    place = str(tmp_path.resolve() / "the drive").replace(" ", r"\040")
    table.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / {place} rw,noatime shared:1 - nfs4 server:/x rw\n")
    monkeypatch.setattr(mounts, "_MOUNTS", table)
    arguments = ("train", "--image_dir", photos, *FEW, "--bottleneck_dir", kept)
    told = poets_edge(*arguments, cwd=tmp_path).ok().stderr
    assert "network file system (nfs4)" in told and graph(tmp_path) == alone[0]
    assert not list(kept.glob("*.sqlite*")), "SQLite's log does not work there"
    [folder] = kept.glob("*.shards")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    poets_edge(*arguments, cwd=tmp_path).ok()
    assert graph(tmp_path) == alone[0]
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}, "nothing is computed again"
    assert mounts.network_type(tmp_path) is None


def test_a_damaged_shard_is_set_aside(tmp_path: Path) -> None:
    keys = [number.to_bytes(4, "big") * 8 for number in range(10)]
    vectors = list(np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32))
    for part in (keys[:5], keys[5:]):
        write_shard(shard_path(tmp_path, part), part, [vectors[keys.index(key)] for key in part])
    found = Shards(tmp_path)
    assert all((a == b).all() for a, b in zip(found.read_many(keys), vectors, strict=True) if a is not None)
    assert found.missing([*keys, b"x" * 32]) == [b"x" * 32] and len(found) == 10
    first, second = shard_path(tmp_path, keys[:5]), shard_path(tmp_path, keys[5:])
    first.write_bytes(first.read_bytes()[:-1] + b"?")
    second.write_bytes(second.read_bytes()[:-1])
    found = Shards(tmp_path)
    assert found.missing(keys) == keys[5:], "what is cut short is seen at once"
    assert found.read_many(keys) == [None] * 10 and found.set_aside == [first.with_suffix(".damaged")]
    assert not first.exists() and shards.SUFFIX not in found.set_aside[0].name


def test_a_profiler_that_looks_at_frames_does_not_stop_a_worker(tmp_path: Path) -> None:
    """Each Dask worker has one; the interpreter refuses to run while a frame holds a view of its memory."""
    wanted = architecture("mobilenet_0.25_128")
    extract = Extractor(prepare_backbone(wanted, find_weights(wanted, Path("embedded")), tmp_path).model)
    pixels = np.random.default_rng(0).integers(256, size=(128, 128, 3), dtype=np.uint8)
    undisturbed, done = extract(pixels), threading.Event()

    def look() -> None:
        held: deque[object] = deque(maxlen=100)
        while not done.is_set():
            held.append(sys._current_frames())

    # Often enough to be between any two lines of Python.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    profiler = threading.Thread(target=look)
    profiler.start()
    try:
        assert all((extract(pixels) == undisturbed).all() for _ in range(500))
    finally:
        done.set()
        profiler.join()
        sys.setswitchinterval(interval)
