"""Tests of training that is killed, runs out of disk space, or runs twice at once."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, poets_edge

ARGUMENTS = ("--architecture", "mobilenet_0.25_128", "--how_many_training_steps", "300", "--seed", "7")
RESULTS = ("retrained_graph.pb", "retrained_labels.txt", "retrained_graph.json")


@pytest.fixture(autouse=True)
def _weights(keras_home: Path) -> None:
    """Provide the pretrained weights."""


def start(folder: Path, cwd: Path, limit: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
    cwd.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "poets_edge", "train", "--image_dir", folder, *ARGUMENTS],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=limit,
    )


def results(cwd: Path) -> list[bytes]:
    return [(cwd / "tf_files" / name).read_bytes() for name in RESULTS]


def vectors(cwd: Path) -> int:
    """Count the bottlenecks in the cache."""
    import contextlib
    import sqlite3

    for cache in (cwd / "tf_files/bottlenecks").glob("mobilenet_*.sqlite"):
        with contextlib.closing(sqlite3.connect(cache)) as connection, contextlib.suppress(sqlite3.OperationalError):
            return int(connection.execute("SELECT count(*) FROM bottlenecks").fetchone()[0])
    return 0


def test_killed_run_is_resumed_and_writes_an_identical_graph(
    few_flowers: Callable[[int], Path], tmp_path: Path
) -> None:
    folder = few_flowers(60)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed.mkdir()
    poets_edge("train", "--image_dir", folder, *ARGUMENTS, cwd=undisturbed).ok()
    # The first run is killed while the backbone is built, the others after a number of stored bottlenecks.
    for stored in (None, 20, 150, 299):
        process = start(folder, killed)
        if stored is None:
            time.sleep(2.5)
        else:
            while vectors(killed) < stored and process.poll() is None:
                time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert vectors(killed) >= (stored or 0), "what was computed is kept"
    poets_edge("train", "--image_dir", folder, *ARGUMENTS, cwd=killed).ok()
    assert results(killed) == results(undisturbed)


def test_concurrent_runs_share_a_cache(few_flowers: Callable[[int], Path], tmp_path: Path) -> None:
    folder = few_flowers(40)
    runs = [start(folder, tmp_path / "both") for _ in range(2)]
    for run in runs:
        _, stderr = run.communicate(timeout=120)
        assert run.returncode == 0, stderr.decode()
    alone = tmp_path / "alone"
    alone.mkdir()
    poets_edge("train", "--image_dir", folder, *ARGUMENTS, cwd=alone).ok()
    assert results(tmp_path / "both") == results(alone)
    assert vectors(tmp_path / "both") == vectors(alone) > 190


@pytest.mark.parametrize(
    ("largest", "prepared", "what"),
    [(300_000, 0, "mobilenet"), (200_000, 2, "sqlite"), (500_000, 60, "retrained_graph.pb")],
    ids=["backbone", "bottlenecks", "graph"],
)
def test_train_reports_a_full_disk_in_one_line_and_resumes(
    few_flowers: Callable[[int], Path], tmp_path: Path, largest: int, prepared: int, what: str
) -> None:
    """A run on `prepared` photos per class has no limit; in the next run, files can have at most `largest` bytes."""
    folder, work = few_flowers(60), _made(tmp_path / "work")
    if prepared:
        photos = folder if prepared == 60 else few_flowers(prepared)
        poets_edge("train", "--image_dir", photos, *ARGUMENTS, cwd=work).ok()
        (work / "tf_files/retrained_graph.pb").unlink()
    process = start(folder, work, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)))
    _, stderr = process.communicate(timeout=120)
    lines = [line for line in stderr.decode().splitlines() if line.startswith("Error: ")]
    assert process.returncode == 1, "the limit was not reached"
    assert len(lines) == 1 and "cannot write" in lines[0] and what in lines[0], stderr.decode()
    assert "Traceback" not in stderr.decode()
    assert not list(work.rglob("*.tmp")), "no half files stay"
    poets_edge("train", "--image_dir", folder, *ARGUMENTS, cwd=work).ok()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
