"""Tests of `doctor`, on this machine and on machines that lack packages or cameras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from poets_edge.cli import checks as doctor
from poets_edge.tflite.runtimes import install_command, this_system
from tests.conftest import ROOT, poets_edge
from tests.needs import has_tensorflow


def test_doctor_reports_components_of_this_machine_and_missing_requirements(keras_home: Path, tmp_path: Path) -> None:
    found = json.loads(poets_edge("doctor", "--json", cwd=tmp_path).ok().stdout)
    facts = found["facts"]
    assert facts["interpreter"].startswith(("ai_edge_litert", "tflite_runtime"))
    assert facts["XNNPACK"] == "active"
    assert bool(facts["tensorflow"]) == has_tensorflow() and int(facts["cores"]) >= 1
    assert "mobilenet_0.50_224" in facts["ImageNet weights"] and "inception_v3" not in facts["ImageNet weights"]
    assert "inception_v3" in facts["not here yet"]
    unready = [job["name"] for job in found["jobs"] if not job["ready"] and "watch" not in job["name"]]
    assert unready == ([] if has_tensorflow() else ["frozen graphs (.pb) of other programs"])
    text = poets_edge("doctor", cwd=tmp_path).ok().stdout
    assert "XNNPACK" in text and "ready" in text and str(keras_home) in text


def test_doctor_reports_missing_packages_for_each_task(tmp_path: Path) -> None:
    found = on_a_machine_with(tmp_path, "click", "numpy", "PIL", "pillow", "tqdm", "flatbuffers")
    missing_for = {job["name"]: job["missing"] for job in found["jobs"]}
    remedy = install_command(this_system())
    assert remedy and remedy in missing_for["label, evaluate, inspect, benchmark"]
    assert missing_for["TensorBoard"] == "pip install 'poets-edge[train]'"
    assert remedy in missing_for["watch a camera"]
    assert found["facts"]["tensorflow"] is None and found["facts"]["XNNPACK"] is None
    assert "none yet" in found["facts"]["ImageNet weights"]


def test_doctor_reports_packages_that_a_camera_needs(tmp_path: Path) -> None:
    found = on_a_machine_with(
        tmp_path, "click", "numpy", "PIL", "pillow", "tqdm", "flatbuffers", "ai_edge_litert", "backports"
    )
    assert found["facts"]["interpreter"].startswith("ai_edge_litert")
    [camera] = (job for job in found["jobs"] if "camera" in job["name"])
    assert not camera["ready"] and "poets-edge[camera]" in camera["missing"] and "picamera2" in camera["missing"]


def test_doctor_reports_a_missing_camera(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda module: object())
    for devices, ready in (([], False), (["video0"], True)):
        folder = tmp_path / f"dev-{len(devices)}"
        folder.mkdir()
        for name in devices:
            (folder / name).touch()
        monkeypatch.setattr(doctor, "_DEVICES", folder)
        found = json.loads(poets_edge("doctor", "--json", cwd=tmp_path).ok().stdout)
        [camera] = (job for job in found["jobs"] if "camera" in job["name"])
        assert camera["ready"] is ready


def on_a_machine_with(folder: Path, *packages: str) -> Any:
    """Return the output of `doctor --json` on a simulated machine with the given packages only."""
    installed = folder / "installed"
    installed.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name.partition("-")[0].partition(".")[0] in packages:
            (installed / path.name).symlink_to(path)
    ended = subprocess.run(
        [sys.executable, "-S", "-m", "poets_edge", "doctor", "--json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{installed}", "KERAS_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
