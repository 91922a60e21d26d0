"""The app built once for all tests, from a copy of its sources, with real models inside."""

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
BUILD_SECONDS = 1500  # the first build on a machine fetches some 600 MB
_PHOTOS = 60


@dataclass(frozen=True)
class Built:
    """A finished build: where, and what it printed."""

    app: Path
    out: Path
    printed: str

    @property
    def apk(self) -> Path:
        return self.out / "poets-edge-demo.apk"


def copy_app(folder: Path) -> Path:
    """The app's sources as a checkout has them, without a model."""
    return Path(shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("assets", "__pycache__", ".*cache")))


def build(app: Path, out: Path, *arguments: str | Path) -> Built:
    """Run build.py as a user does; fails the test if it fails."""
    command = [sys.executable, str(app / "build.py"), "--out", str(out), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return Built(app, out, ended.stdout)


@pytest.fixture(scope="session")
def tools() -> None:
    """Skips where the app cannot be built: no Java, no Maven, or Android's tools neither there nor installable."""
    may_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
    absent = [
        program
        for program in ("javac", "mvn", "aapt", "zipalign", "apksigner", "dexdump")
        if shutil.which(program) is None
    ]
    if absent and not may_install:
        missing(f"the Android build needs {', '.join(absent)}")


@pytest.fixture(scope="session")
def vectors(trained: Trained, flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Python answers on real photos, with a model in each quantization."""
    folder = tmp_path_factory.mktemp("vectors")
    photos = sorted(flowers.glob("*/*.jpg"))
    for quantization in QUANTIZATIONS:
        write_vectors(trained.model(quantization), photos[:: len(photos) // _PHOTOS], folder / quantization)
    return folder


@pytest.fixture(scope="session")
def built(tools: None, trained: Trained, vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """`build.py` from end to end: JVM tests against `vectors`, then an APK with the int8 model."""
    folder = tmp_path_factory.mktemp("app")
    app = copy_app(folder / "android_demo")
    install_model(trained.model("int8"), app)
    return build(app, folder / "out", "--vectors", vectors)
