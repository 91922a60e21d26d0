"""Tests of the checks of `doctor`, with simulated packages, cameras and caches."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from poets_edge.cli import checks
from poets_edge.cli.checks import diagnose
from poets_edge.errors import ModelError, RuntimeMissingError

EXTRA, WEB, VIDEO = (f"pip install 'poets-edge[{name}]'" for name in ("train", "web", "camera"))
FULL = {"tensorflow": "2.20.0", "tensorboard": "2.19.0", "h5py": "3.1", "matplotlib": "3.9"}


@dataclass
class Computer:
    """Simulated computer. `modules` can be imported; `packages` maps the installed packages to their versions."""

    modules: set[str] = field(default_factory=lambda: {"cv2", "cryptography", "segno"})
    packages: dict[str, str] = field(default_factory=lambda: dict(FULL))
    runtime: bool = True
    accelerated: bool = True
    picamera: str | None = None
    picamera_installed: bool = False
    system: str = "Linux"


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Computer:
    made = Computer()

    def find_runtime() -> SimpleNamespace:
        if not made.runtime:
            raise RuntimeMissingError("no interpreter")
        return SimpleNamespace(name="ai_edge_litert", version="2.0")

    def version(name: str) -> str:
        if name not in made.packages:
            raise PackageNotFoundError(name)
        return made.packages[name]

    def find_spec(module: str) -> object:
        if module == "blocked":
            raise ValueError
        return object() if module in made.modules else None

    (tmp_path / "dev").mkdir()
    for name, value in (
        ("find_runtime", find_runtime), ("version", version), ("find_spec", find_spec), ("cores", lambda: 3),
        ("_DEVICES", tmp_path / "dev"), ("BOTTLENECKS", tmp_path / "bottlenecks"), ("MODELS", Path("models")),
        ("keras_folder", lambda: Path("keras")), ("picamera2_problem", lambda: made.picamera),
        ("is_installed", lambda: made.picamera_installed), ("Session", lambda path: SimpleNamespace(interpreter=path)),
        ("is_accelerated", lambda interpreter: made.accelerated and interpreter.name == "probe.tflite"),
        ("local_weights", lambda entry, folder: folder == Path("models") and entry.name == "inception_v3"),
    ):  # fmt: skip
        monkeypatch.setattr(checks, name, value)
    monkeypatch.setattr(platform, "system", lambda: made.system)
    return made


def facts() -> dict[str, str | None]:
    return {fact.name: fact.value for fact in diagnose().facts}


def missing() -> dict[str, str | None]:
    return {job.name: job.missing for job in diagnose().jobs}


def test_doctor_facts_describe_the_computer(computer: Computer, tmp_path: Path) -> None:
    found = facts()
    assert found.pop("Python") == f"{platform.python_version()}, {platform.machine()}, Linux"
    others = (found.pop("not here yet") or "").split(", ")
    assert "inception_v3" not in others and "mobilenet_0.50_224" in others
    assert found == {
        "cores": "3", "interpreter": "ai_edge_litert 2.0", "XNNPACK": "active", **FULL,
        "embedded weights": "mobilenet_0.25_128", "ImageNet weights": "inception_v3",
        "weights are in": "models or keras", "bottleneck cache": f"{tmp_path / 'bottlenecks'}, empty",
    }  # fmt: skip
    (tmp_path / "bottlenecks/below").mkdir(parents=True)
    for name, size in (("a", 2_400_000), ("b", 1_000_000), ("below/c", 5_000_000)):
        (tmp_path / "bottlenecks" / name).write_bytes(bytes(size))
    computer.accelerated = False
    found = facts()
    assert found["bottleneck cache"] == f"{tmp_path / 'bottlenecks'}, 3.4 MB"
    assert found["XNNPACK"] == "not active: models run several times slower than they could"


def test_use_of_xnnpack_is_unknown_if_the_probe_fails(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise ModelError("damaged")

    monkeypatch.setattr(checks, "Session", fail)
    assert facts()["XNNPACK"] == "not known (damaged)"


def test_versions_include_those_of_the_cpu_packages(computer: Computer) -> None:
    del computer.packages["tensorflow"], computer.packages["h5py"]
    computer.packages["tensorflow-cpu"] = "2.19.1"
    found = facts()
    assert (found["tensorflow"], found["h5py"]) == ("2.19.1", None)


@pytest.mark.parametrize(
    ("package", "jobs"),
    [
        ("tensorflow", {"frozen graphs (.pb) of other programs": "pip install 'poets-edge[tensorflow]'"}),
        ("tensorboard", {"train, export, quickstart, grid": EXTRA, "TensorBoard": EXTRA}),
        ("h5py", {"train, export, quickstart, grid": EXTRA}),
        ("matplotlib", {"charts": EXTRA}),
        ("cryptography", {"web page for phones (QR code, HTTPS)": WEB}),
        ("segno", {"web page for phones (QR code, HTTPS)": WEB}),
        ("cv2", {"watch a video": VIDEO, "watch a camera": checks._CAMERA}),
        ("", {}),
    ],
)
def test_unavailable_tasks_are_listed_with_the_package_that_they_lack(
    computer: Computer, tmp_path: Path, package: str, jobs: dict[str, str]
) -> None:
    (tmp_path / "dev/video0").touch()
    computer.packages.pop(package, None)
    computer.modules.discard(package)
    assert {name: text for name, text in missing().items() if text is not None} == jobs


def test_tasks_that_run_models_require_an_interpreter(computer: Computer, tmp_path: Path) -> None:
    (tmp_path / "dev/video0").touch()
    computer.runtime = False
    computer.packages.clear()
    found = missing()
    assert {name for name, text in found.items() if text == "no interpreter"} == {
        "label, evaluate, inspect, benchmark", "watch a video", "watch a camera", "train, export, quickstart, grid",
    }  # fmt: skip
    assert facts()["XNNPACK"] is None and facts()["interpreter"] is None


def _with(**changes: object) -> Callable[[Computer], None]:
    def change(computer: Computer) -> None:
        for name, value in changes.items():
            setattr(computer, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_with(), "no camera is connected"),
        (_with(system="Darwin"), None),
        (_with(picamera="libcamera is broken"), "no camera is connected"),
        (_with(modules=set(), picamera="libcamera is broken", system="Darwin"), "libcamera is broken"),
        (_with(modules=set(), system="Darwin"), checks._CAMERA),
        (_with(modules=set(), picamera_installed=True, system="Darwin"), None),
        (_with(modules=set(), picamera_installed=True), "no camera is connected"),
    ],
)
def test_camera_check_reports_a_missing_camera_or_package(
    computer: Computer, change: Callable[[Computer], None], expected: str | None
) -> None:
    change(computer)
    found = missing()["watch a camera"]
    assert found is None if expected is None else str(found).startswith(expected)


def test_blocked_modules_count_as_missing(computer: Computer) -> None:
    assert checks._is_there("cv2") and not checks._is_there("blocked")
