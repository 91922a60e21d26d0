"""Tests of the layering rule: each package imports only packages below it, at the top of the file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from poets_edge.bench.remote.wheels import DEVICE_LAYERS
from poets_edge.demo.draw import draw_photo
from tests.conftest import ROOT
from tests.layers import (
    DEFERRED,
    IMPORT_WHEN_CALLED,
    LAYERS,
    Import,
    file_imports,
    module_path,
    package_imports,
)

DEVICE_COMMANDS = ("label", "watch", "evaluate", "inspect", "benchmark", "compare", "doctor", "deploy")
"""Commands that work without the optional dependencies of the package."""

_RANKS = {name: rank for rank, names in enumerate(reversed(LAYERS)) for name in names}


def _upward(found: Import) -> bool:
    if not found.layer or found.layer == found.importer_layer:
        return False
    return _RANKS[found.layer] >= _RANKS[found.importer_layer]


def test_every_package_has_a_layer() -> None:
    names = {
        path.stem
        for path in (ROOT / "poets_edge").iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))
    }
    assert names - {"__init__", "__pycache__"} == set(_RANKS)


def test_packages_import_only_packages_in_lower_layers() -> None:
    assert not [str(found) for found in package_imports() if _upward(found)]


def test_imports_are_at_the_top_of_the_file() -> None:
    deferred: dict[str, set[str]] = {}
    for found in package_imports():
        if not found.at_top and found.layer and found.importer_layer not in IMPORT_WHEN_CALLED:
            deferred.setdefault(found.importer, set()).add(found.module)
    assert deferred == DEFERRED


@pytest.mark.parametrize(
    "statement",
    [
        "from poets_edge.training.options import TrainOptions",
        "import poets_edge.nets.layers",
        "def later() -> None:\n    from poets_edge.training import head",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from poets_edge.training.head import Head",
    ],
)
def test_layer_check_detects_upward_imports(statement: str, tmp_path: Path) -> None:
    package = tmp_path / "poets_edge"
    shutil.copytree(ROOT / "poets_edge", package, ignore=shutil.ignore_patterns("*.npz", "*.xz", "__pycache__"))
    path = package / "device/metrics.py"
    path.write_text(path.read_text(encoding="utf-8") + f"\n{statement}\n", encoding="utf-8")
    assert [found.importer for found in package_imports(package) if _upward(found)] == ["device/metrics.py"]


@pytest.mark.parametrize("command", DEVICE_COMMANDS)
def test_device_commands_import_only_device_layers(command: str) -> None:
    waiting, seen = [f"poets_edge.cli.{command}"], set[str]()
    while waiting:
        path = module_path(waiting.pop())
        assert path is not None
        for found in file_imports(path):
            if found.at_top and found.layer and found.module not in seen:
                assert found.layer in DEVICE_LAYERS | IMPORT_WHEN_CALLED, str(found)
                seen.add(found.module)
                waiting.append(found.module)


def test_label_command_imports_only_required_packages(tmp_path: Path) -> None:
    """Check all modules that a run of `label` imports, including lazy imports."""
    (tmp_path / "labels.txt").write_text("\n".join(map(str, range(256))))  # the probe has as many outputs
    (tmp_path / "photo.jpg").write_bytes(draw_photo("daisy", 0))
    probe = ROOT / "poets_edge/tflite/probe.tflite"
    arguments = (
        "label",
        probe,
        tmp_path / "photo.jpg",
        "--labels",
        tmp_path / "labels.txt",
        "--top",
        "1",
        "--input-range=-1:1",
    )
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "poets_edge", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0 and ended.stdout, ended.stderr[-2000:]
    loaded = set(re.findall(r"^import time: .*\|\s+(\S+)$", ended.stderr, re.MULTILINE))
    assert "poets_edge.device.classifier" in loaded
    layers = {name.split(".")[1] for name in loaded if name.startswith("poets_edge.")}
    assert layers <= DEVICE_LAYERS | IMPORT_WHEN_CALLED | {"__main__"}
    assert not loaded & {"tensorflow", "keras", "matplotlib", "h5py", "tensorboard", "cv2", "sqlite3", "hypothesis"}
