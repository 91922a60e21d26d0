"""Tests of docs/library.md: examples, type checks of its script, and completeness."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import poets_edge
from poets_edge.bench.benchmark import BenchmarkOptions
from poets_edge.bench.rounds import TimingConfig
from poets_edge.device.watch import sources, watch
from poets_edge.device.watch.frames import FrameSource, folder_source
from poets_edge.sweep.options import GridOptions
from tests.bench.remote.conftest import device as device
from tests.bench.remote.conftest import pi as pi
from tests.bench.remote.sshd import SshServer
from tests.conftest import ROOT

PAGE = (ROOT / "docs/library.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(900)
def test_library_page_examples_run_in_order(
    few_flowers: Callable[[int], Path], keras_home: Path, pi: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = few_flowers(12)
    folder.rename(tmp_path / "flower_photos")
    photo = next((tmp_path / "flower_photos/daisy").iterdir())
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    monkeypatch.chdir(tmp_path)

    def camera(_: str) -> FrameSource:
        return folder_source(tmp_path / "flower_photos/daisy")

    quick = TimingConfig(seconds=0.2, runs=5, rounds=2)
    for options in (BenchmarkOptions, GridOptions):
        monkeypatch.setitem(options.__init__.__kwdefaults__, "timing", quick)  # type: ignore[arg-type]
    monkeypatch.setattr(sources, "open_camera", camera)
    monkeypatch.setattr(watch, "open_camera", camera)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block.replace("pi@raspberrypi.local", "pi"), "docs/library.md", "exec"), names)
    assert (tmp_path / "small/retrained_graph_int8.tflite").exists()


def test_library_page_script_passes_mypy(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("\n".join(BLOCKS), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", [name for name in poets_edge.__all__ if name != "__version__"])
def test_library_page_describes_every_public_name(name: str) -> None:
    described = re.findall(r"^::: poets_edge[\w.]*\.(\w+)$", PAGE, flags=re.MULTILINE)
    module = poets_edge._MODULES[name]
    assert name in described or module == "poets_edge.errors"
