"""Fixtures: the app, built once for all tests from a copy of its sources, with real models."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from poets_edge.exporting.android import install_model, write_vectors
from tests.conftest import QUANTIZATIONS, ROOT, Trained
from tests.needs import missing

DEMO = ROOT / "android_demo"
BUILD_SECONDS = 1500  # the first build on a machine downloads 600 MB
_PHOTOS = 50


@dataclass(frozen=True)
class Built:
    """A finished build: its folder and its output."""

    app: Path
    out: Path
    printed: str

    @property
    def apk(self) -> Path:
        return self.out / "poets-edge-demo.apk"


def copy_app(folder: Path) -> Path:
    """Copy the app's sources, as in a checkout, without a model."""
    return Path(shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("assets", "__pycache__", ".*cache")))


def build(app: Path, out: Path, *arguments: str | Path) -> Built:
    """Run build.py; fail the test if the build fails."""
    command = [sys.executable, str(app / "build.py"), "--out", str(out), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return Built(app, out, ended.stdout)


@pytest.fixture(scope="session")
def tools() -> None:
    """Skip the test if Java, Maven or Android's tools are missing and cannot be installed."""
    may_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
    absent = [
        program
        for program in ("javac", "mvn", "aapt", "zipalign", "apksigner", "dexdump")
        if shutil.which(program) is None
    ]
    if absent and not may_install:
        missing(f"the Android build needs {', '.join(absent)}")


@pytest.fixture(scope="session")
def vectors(trained: Trained, trained_lite: Trained, flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test vectors from Python on real photos, for a model in each quantization and for an EfficientNet-Lite."""
    folder = tmp_path_factory.mktemp("vectors")
    photos = sorted(flowers.glob("*/*.jpg"))
    for quantization in QUANTIZATIONS:
        write_vectors(trained.model(quantization), photos[:: len(photos) // _PHOTOS], folder / quantization)
    for quantization in ("float32", "int8"):
        chosen = photos[:: len(photos) // _PHOTOS]
        write_vectors(trained_lite.model(quantization), chosen, folder / f"{quantization}-efficientnet-lite")
    return folder


@pytest.fixture(scope="session")
def built(tools: None, trained: Trained, vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A complete run of `build.py`: JVM tests with `vectors`, then an APK with the int8 model."""
    folder = tmp_path_factory.mktemp("app")
    app = copy_app(folder / "android_demo")
    install_model(trained.model("int8"), app)
    return build(app, folder / "out", "--vectors", vectors)
