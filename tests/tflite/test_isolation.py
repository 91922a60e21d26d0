"""Tests of device commands while TensorFlow, matplotlib and OpenCV cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import DAISY, ROOT, Trained

_BLOCKED = ("tensorflow", "keras", "matplotlib", "cv2", "picamera2", "tensorboard", "google")
_START = f"""
import sys

for name in {_BLOCKED}:
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
"""
_RUN = _START + "from poets_edge.cli import main; main()"


def _python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("label", "--graph", "MODEL", "PHOTO"),
        ("evaluate", "--graph", "MODEL", "--image_dir", "PHOTOS", "--set", "all"),
        ("inspect", "MODEL"),
        ("watch", "MODEL", "--source", "FRAMES", "--threads", "1"),
        ("benchmark", "MODEL", "--threads", "1", "--min-seconds", "0.05", "--min-runs", "2", "--rounds", "2", "--json"),
        ("doctor",),
        ("--help",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_device_commands_run_without_optional_packages(
    arguments: tuple[str, ...], trained: Trained, flowers: Path, tmp_path: Path
) -> None:
    for label in ("daisy", "roses"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        photo = next((flowers / label).glob("*.jpg"))
        (tmp_path / "photos" / label / photo.name).symlink_to(photo)
    names = {
        "MODEL": trained.model("int8"),
        "PHOTO": flowers / DAISY,
        "PHOTOS": tmp_path / "photos",
        "FRAMES": tmp_path / "photos/daisy",
    }
    ended = _python(_RUN, *(names.get(argument, argument) for argument in arguments))
    assert ended.returncode == 0, ended.stderr
    said = {"benchmark": "latency_ms", "doctor": "poets-edge[camera]", "--help": "Usage"}.get(arguments[0], "daisy")
    assert said in ended.stdout


def test_device_packages_import_no_optional_packages() -> None:
    paths = [path for name in ("device", "tflite") for path in (ROOT / "poets_edge" / name).glob("*.py")]
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if path.stem != "__init__"
    )
    assert len(modules) > 10
    ended = _python(_START + "\n".join(f"import {name}" for name in modules))
    assert ended.returncode == 0, ended.stderr


def test_error_messages_name_missing_packages(trained: Trained, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "clip.gif")
    (tmp_path / "clip.avi").write_bytes(b"RIFF")
    for arguments, remedy in (
        (("train", "--image_dir", tmp_path), "poets-edge[train]"),
        (("export",), "poets-edge[train]"),
        (("label", "--graph", trained.graph, tmp_path / "clip.gif"), "poets-edge[train]"),
        (("watch", trained.model("int8"), "--source", tmp_path / "clip.avi"), "poets-edge[camera]"),
        (("watch", trained.model("int8"), "--camera", "/dev/null"), "poets-edge[camera]"),
    ):
        ended = _python(_RUN, *arguments)
        assert ended.returncode == 1
        assert ended.stderr.strip().splitlines()[-1].startswith("Error: ")
        assert remedy in ended.stderr and "Traceback" not in ended.stderr
