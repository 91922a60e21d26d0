"""What `doctor` says of a machine, with and without what it looks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poets_edge import doctor
from poets_edge.errors import RuntimeMissingError
from tests.conftest import poets_edge


def test_doctor_names_interpreter_xnnpack_weights_and_jobs(keras_home: Path, tmp_path: Path) -> None:
    found = json.loads(poets_edge("doctor", "--json", cwd=tmp_path).ok().stdout)
    facts = found["facts"]
    assert facts["interpreter"].startswith(("ai_edge_litert", "tflite_runtime"))
    assert facts["XNNPACK"] == "active"
    assert facts["tensorflow"] and int(facts["cores"]) >= 1
    assert "mobilenet_0.50_224" in facts["ImageNet weights"] and "inception_v3" not in facts["ImageNet weights"]
    assert "inception_v3" in facts["not here yet"]
    assert all(job["ready"] for job in found["jobs"] if "watch" not in job["name"])
    text = poets_edge("doctor", cwd=tmp_path).ok().stdout
    assert "XNNPACK" in text and "ready" in text and str(keras_home) in text


def test_doctor_says_what_is_missing_for_which_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> None:
        raise RuntimeMissingError("no TensorFlow Lite interpreter. Run: pip install ai-edge-litert")

    monkeypatch.setattr(doctor, "find_runtime", missing)
    monkeypatch.setattr(doctor, "_version", lambda package: None)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    found = json.loads(poets_edge("doctor", "--json", cwd=tmp_path).ok().stdout)
    missing_for = {job["name"]: job["missing"] for job in found["jobs"]}
    assert "pip install ai-edge-litert" in missing_for["label, evaluate, inspect, benchmark"]
    assert missing_for["TensorBoard"] == "pip install 'poets-edge[train]'"
    assert "pip install ai-edge-litert" in missing_for["watch a camera"]
    assert found["facts"]["tensorflow"] is None and found["facts"]["XNNPACK"] is None
    assert "none yet" in found["facts"]["ImageNet weights"]


def test_doctor_says_what_a_camera_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda module: None)
    found = json.loads(poets_edge("doctor", "--json", cwd=tmp_path).ok().stdout)
    [camera] = (job for job in found["jobs"] if "camera" in job["name"])
    assert not camera["ready"] and "poets-edge[camera]" in camera["missing"] and "picamera2" in camera["missing"]


def test_doctor_promises_no_camera_where_none_is_connected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
