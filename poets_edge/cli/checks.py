"""Checks for `poets-edge doctor`: installed packages, and missing requirements of each task.

TensorFlow and OpenCV are detected without importing them.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from poets_edge.core.parallel import cores
from poets_edge.core.paths import BOTTLENECKS, MODELS
from poets_edge.device.watch.cameras.picamera import is_installed, picamera2_problem
from poets_edge.errors import PoetsEdgeError, RuntimeMissingError
from poets_edge.nets.architectures import known_architectures
from poets_edge.nets.keras_source import keras_folder
from poets_edge.nets.weights import EMBEDDED_ARCHITECTURE, local_weights
from poets_edge.tflite.interpreter import find_runtime, is_accelerated
from poets_edge.tflite.session import Session

_PROBE = Path(__file__).parent.with_name("tflite") / "probe.tflite"
_EXTRA = "pip install 'poets-edge[train]'"
_DEVICES = Path("/dev")
_VIDEO = "pip install 'poets-edge[camera]'"
_WEB = "pip install 'poets-edge[web]'"
_TENSORFLOW = "pip install 'poets-edge[tensorflow]'"
_CAMERA = "pip install 'poets-edge[camera]'; for a Raspberry Pi's own camera: sudo apt install python3-picamera2"


@dataclass(frozen=True)
class Fact:
    """A property of this machine, such as the version of a component; `value` is None if the component is missing."""

    name: str
    value: str | None


@dataclass(frozen=True)
class Job:
    """A task for which poets_edge is used. `missing` states what it still requires; None if nothing is missing."""

    name: str
    missing: str | None


@dataclass(frozen=True)
class Diagnosis:
    """Description of this machine, such as the versions of its components, and what is missing for each task."""

    facts: tuple[Fact, ...]
    jobs: tuple[Job, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as a JSON-compatible dictionary."""
        return {
            "facts": {fact.name: fact.value for fact in self.facts},
            "jobs": [{**asdict(job), "ready": job.missing is None} for job in self.jobs],
        }


def diagnose() -> Diagnosis:
    """Inspect this machine, including the caches in the current folder, and return the diagnosis."""
    runtime, problem = _runtime()
    packages = {name: _version(name) for name in ("tensorflow", "tensorboard", "h5py", "matplotlib")}
    found = [entry.name for entry in known_architectures() if local_weights(entry, MODELS)]
    absent = [entry.name for entry in known_architectures() if entry.name not in found]
    facts = [
        Fact("Python", f"{platform.python_version()}, {platform.machine()}, {platform.system()}"),
        Fact("cores", str(cores())),
        Fact("interpreter", runtime),
        Fact("XNNPACK", _xnnpack() if runtime else None),
        *(Fact(name, value) for name, value in packages.items()),
        Fact("embedded weights", EMBEDDED_ARCHITECTURE),
        Fact("ImageNet weights", ", ".join(found) or "none yet; train fetches what it needs"),
        Fact("not here yet", ", ".join(absent) or "none"),
        Fact("weights are in", f"{MODELS} or {keras_folder()}"),
        Fact("bottleneck cache", _cache(BOTTLENECKS)),
    ]
    untrainable = None if all(packages[name] for name in ("tensorboard", "h5py")) else _EXTRA
    jobs = [
        Job("label, evaluate, inspect, benchmark", problem),
        Job("watch a video", problem or (None if _is_there("cv2") else _VIDEO)),
        Job("watch a camera", problem or _camera()),
        Job("train, export, quickstart, grid", problem or untrainable),
        Job("frozen graphs (.pb) of other programs", None if packages["tensorflow"] else _TENSORFLOW),
        Job("TensorBoard", None if packages["tensorboard"] else _EXTRA),
        Job("web page for phones (QR code, HTTPS)", None if _is_there("cryptography") and _is_there("segno") else _WEB),
        Job("charts", None if packages["matplotlib"] else _EXTRA),
    ]
    return Diagnosis(tuple(facts), tuple(jobs))


def _runtime() -> tuple[str | None, str | None]:
    """Return the name and version of the TensorFlow Lite interpreter, as one string, and an error message.

    The string is None if no interpreter is installed; otherwise, the error message is None.
    """
    try:
        runtime = find_runtime()
    except RuntimeMissingError as error:
        return None, str(error)
    return f"{runtime.name} {runtime.version}", None


def _xnnpack() -> str:
    try:
        active = is_accelerated(Session(_PROBE).interpreter)
    except PoetsEdgeError as error:
        return f"not known ({error})"
    return "active" if active else "not active: models run several times slower than they could"


def _camera() -> str | None:
    """Return a message if no camera can be used, with the reason or with what to install; otherwise None."""
    problem = picamera2_problem()
    if not _is_there("cv2") and (problem or not is_installed()):
        return problem or _CAMERA
    # On other systems a camera is detected only by opening it.
    if platform.system() == "Linux" and not list(_DEVICES.glob("video*")):
        return f"no camera is connected (no {_DEVICES}/video*)"
    return None


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # its import is blocked
        return False


def _version(package: str) -> str | None:
    for name in (package, f"{package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _cache(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
    return f"{folder}, {size / 1e6:.1f} MB" if size else f"{folder}, empty"
