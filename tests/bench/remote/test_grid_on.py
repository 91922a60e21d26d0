"""Tests of `grid --on` and `grid --latency`, which use the latencies of another device."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bench.remote.sshd import SshServer
from tests.conftest import Ran, poets_edge

OPTIONS = (
    "--architecture", "mobilenet_0.25_128", "--calibration-photos", "5", "--testing_percentage", "40",
    "--how_many_training_steps", "100", "--min-seconds", "0.05", "--min-runs", "5", "--rounds", "2",
)  # fmt: skip


@dataclass(frozen=True)
class Work:
    """A folder in which `grid --on` has run, and its output."""

    folder: Path
    photos: Path
    ran: Ran

    def grid(self, *more: str | Path) -> Ran:
        return poets_edge("grid", self.photos, *OPTIONS, "--quiet", *more, cwd=self.folder)

    def model(self, quantization: str) -> Path:
        [found] = (self.folder / "tf_files/grid/mobilenet_0.25_128").glob(
            "*_int8.tflite" if quantization == "int8" else "*graph.tflite"
        )
        return found


@pytest.fixture(scope="module")
def work(device: SshServer, flowers: Path, keras_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Work:
    from tests.bench.remote.sshd import ssh_configured

    folder = tmp_path_factory.mktemp("grid-on")
    photos = folder / "photos"
    for class_folder in sorted(path for path in flowers.iterdir() if path.is_dir()):
        (photos / class_folder.name).mkdir(parents=True)
        for photo in sorted(class_folder.iterdir())[:8]:
            shutil.copy(photo, photos / class_folder.name)
    with ssh_configured(folder, device):
        ran = poets_edge("grid", photos, *OPTIONS, "--on", "pi", cwd=folder).ok()
    return Work(folder, photos, ran)


def test_grid_on_uses_latencies_measured_on_the_device(work: Work, pi: SshServer) -> None:
    assert "pi: measuring" in work.ran.stderr
    assert "pi" in work.ran.stdout
    found = json.loads((work.folder / "tf_files/grid/grid.json").read_text())
    assert found["machine"]["host"] == "pi"
    assert all(point["latency_ms"]["median"] > 0 for point in found["points"]) and len(found["points"]) == 2
    for text in ("report.html", "chart.svg"):
        assert "pi" in (work.folder / "tf_files/grid" / text).read_text()
    again = poets_edge("grid", work.photos, *OPTIONS, "--on", "pi", cwd=work.folder).ok()
    assert "pi: measuring" not in again.stderr, "what was measured there is not measured again"


def _measured(work: Work, change: Callable[[dict[str, Any]], None] = lambda found: None) -> Path:
    """Return a result file of `benchmark` after changing its contents with `change`."""
    file = work.folder / "device.json"
    if not file.exists():
        models = [work.model("float32"), work.model("int8")]
        quick = ("--threads", "1", "--min-seconds", "0.05", "--min-runs", "5", "--rounds", "2")
        poets_edge("benchmark", *models, *quick, "--output", file, "--quiet").ok()
    found = json.loads(file.read_text())
    change(found)
    changed = work.folder / "changed.json"
    changed.write_text(json.dumps(found))
    return changed


def _scale(found: dict[str, Any], **factors: float) -> None:
    for entry in found["results"]:
        for turn in entry["rounds"]:
            turn["samples_ms"] = [sample * factors[entry["quantization"]] for sample in turn["samples_ms"]]


def test_grid_latency_uses_times_from_a_result_file(work: Work) -> None:
    def slow_float(found: dict[str, Any]) -> None:
        found["machine"]["board"] = "Phone 9"
        _scale(found, float32=1000.0, int8=1.0)

    def slow_int8(found: dict[str, Any]) -> None:
        _scale(found, float32=1.0, int8=1000.0)

    for change, wanted in ((slow_float, "int8"), (slow_int8, "float32")):
        ran = work.grid("--latency", _measured(work, change), "--max-latency", "50ms", "--ship").ok()
        assert f"Ship mobilenet_0.25_128 {wanted}" in ran.stdout
        [shipped] = (work.folder / "tf_files/grid/ship").glob("*.tflite")
        assert shipped.name == f"mobilenet_0.25_128_{wanted}.tflite"


def test_grid_latency_skips_models_without_measurements(work: Work) -> None:
    def phone(found: dict[str, Any]) -> None:
        found["results"] = [entry for entry in found["results"] if entry["quantization"] == "int8"]
        for entry in found["results"]:
            entry["sha256"] = "another file of the same kind"
            for turn in entry["rounds"]:
                del turn["decode_ms"]

    ran = work.grid("--latency", _measured(work, phone)).ok()
    assert "left out, because the file has no latencies of them: mobilenet_0.25_128 float32" in ran.stderr
    assert "mobilenet_0.25_128  float32" not in ran.stdout


def test_grid_latency_rejects_result_files_with_unusable_times(work: Work, tmp_path: Path) -> None:
    def emulated(found: dict[str, Any]) -> None:
        found["machine"]["emulated"] = True

    def others(found: dict[str, Any]) -> None:
        for entry in found["results"]:
            entry["architecture"], entry["sha256"] = "mobilenet_1.0_224", ""

    def other_device(found: dict[str, Any]) -> None:
        found["machine"]["board"] = "Phone 9"

    work.grid("--latency", _measured(work, emulated)).failed("emulator")
    work.grid("--latency", _measured(work, others)).failed("contains no latencies of these models")
    work.grid("--latency", _measured(work), "--threads", "2").failed("--threads 2", "latencies for --threads 1 only")
    work.grid("--latency", _measured(work), "--on", "pi").failed("--on", "--latency", "give one")
    work.grid("--latency", tmp_path / "none.json").failed("none.json")
    first = work.folder / "device.json"
    work.grid("--latency", first, "--latency", _measured(work, other_device)).failed("Phone 9", "Give files of")
    work.grid("--on", "nobody.invalid").failed("nobody.invalid: ssh cannot log in")
