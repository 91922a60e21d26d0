"""Tests of the wheel that is sent to devices: its content, and the commands that run from it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from poets_edge.bench.remote.wheels import DEVICE_LAYERS, own_wheel
from tests.bench.remote.conftest import FlowerModel
from tests.conftest import Ran

COUNTED = ("--threads", "1", "--min-seconds", "0.05", "--min-runs", "2", "--rounds", "1")


@pytest.fixture(scope="module")
def device_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the unpacked wheel, as on a device."""
    folder = tmp_path_factory.mktemp("device")
    with zipfile.ZipFile(own_wheel(tmp_path_factory.mktemp("wheel"))) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture
def run_copy(device_copy: Path, tmp_path: Path) -> Callable[..., Ran]:
    """Function that runs a command with the unpacked wheel, in a folder outside this repository."""

    def run(*arguments: str | Path) -> Ran:
        ended = subprocess.run(
            [sys.executable, "-m", "poets_edge", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(device_copy), "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run


def test_wheel_contains_only_the_packages_that_a_device_needs(device_copy: Path) -> None:
    parts = {path.stem for path in (device_copy / "poets_edge").iterdir()}
    assert parts == DEVICE_LAYERS | {"api", "cli", "__init__", "__main__", "py"}
    assert sum(path.stat().st_size for path in device_copy.rglob("*") if path.is_file()) < 1_500_000


def test_wheel_is_reproducible(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert own_wheel(first).read_bytes() == own_wheel(second).read_bytes()


def test_device_commands_run_from_the_wheel(run_copy: Callable[..., Ran], flower_model: FlowerModel) -> None:
    photo = next(flower_model.photos.glob("daisy/*.jpg"))
    model = flower_model.int8
    assert "(score = " in run_copy("label", model, photo).ok().stdout
    assert "(score = " in run_copy("watch", model, "--source", photo.parent).ok().stdout
    assert "accuracy" in run_copy("evaluate", model, flower_model.photos, "--split", "all", "--json").ok().stdout
    benchmark = ("benchmark", model, *COUNTED, "--image-dir", flower_model.photos, "--split", "all", "--json")
    assert "latency_ms" in run_copy(*benchmark).ok().stdout
    assert "int8" in run_copy("inspect", model).ok().stdout


def test_commands_that_the_wheel_lacks_report_the_missing_package(run_copy: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "graph.pb").write_bytes(b"a graph")
    for command in (("train", tmp_path), ("doctor",), ("label", tmp_path / "graph.pb", "photo.jpg")):
        run_copy(*command).failed("holds only what a device needs", "pip install 'poets-edge[train]'")
