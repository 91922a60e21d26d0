"""Wheels of this program and of the packages that it requires, for the processor and Python version of a device.

The agent unpacks the wheels on the device, which requires Python but no internet access, pip or venv.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import poets_edge
from poets_edge.core.files import scratch_folder
from poets_edge.errors import RemoteError
from poets_edge.tflite.runtimes import System

DEVICE_LAYERS = frozenset({"bench", "device", "tflite", "photos", "core", "progress", "errors"})
"""Packages and modules of poets_edge that a device needs in addition to `api` and `cli`."""

_NAME = "poets_edge"
_DEVICE_PARTS = DEVICE_LAYERS | {"api", "cli", "__init__", "__main__", "py"}
"""Names, without suffix, of the files and folders in the wheel for a device; "py" stands for the file `py.typed`."""
_OLDEST_GLIBC = 17
"""Minor version of glibc in manylinux_2_17, the oldest platform tag of the required packages (PEP 600)."""
_FIXED_TIME = (2020, 1, 1, 0, 0, 0)
_RUNTIMES = ("ai-edge-litert", "tflite-runtime")
_WITHOUT_WHEELS = {"armv7l": ("numpy", "pillow")}
"""Packages that have no wheels for a processor, keyed by processor. The operating system must provide them."""


@dataclass(frozen=True)
class Needs:
    """Packages to download for a device.

    Attributes:
        requirements: requirement specifiers for pip.
        alone: whether to download only the packages, without their dependencies.
        system: packages that the operating system of the device must provide.
    """

    requirements: tuple[str, ...]
    alone: bool
    system: tuple[str, ...]


def required_packages(system: System, runtime: str, *, own: tuple[str, ...] = ()) -> Needs:
    """Return the packages that the program needs on a device.

    Args:
        runtime: name of the package with the TFLite interpreter.
        own: packages that are not downloaded, because the device must use the versions from its operating system, on
            which the camera library depends.
    """
    without = {*_WITHOUT_WHEELS.get(system.machine, ()), *own}
    wanted = {package_name(text): text.partition(";")[0].strip() for text in _own_requirements()}
    for name in _RUNTIMES:
        text = wanted.pop(name, name)
        if name == runtime:
            wanted[name] = text
    if runtime == "tflite-runtime":
        wanted["numpy"] = "numpy<2"  # its compiled parts need it
    kept = tuple(text for name, text in wanted.items() if name not in without)
    # Without a wheel of numpy, pip could not resolve the dependencies of the interpreter.
    return Needs(kept, bool(_WITHOUT_WHEELS.get(system.machine)), tuple(sorted(without)))


def extra_needs(name: str) -> Needs:
    """Return the packages in the group of optional dependencies (extra) `name` of this program.

    They are downloaded without their dependencies, so none may have any; and all must be pure Python.
    """
    wanted = tuple(text.partition(";")[0].strip() for text in _requirements() if _is_extra(text, name))
    if not wanted:
        raise RemoteError(f"the installation here does not know the extra [{name}]. Install it again.")
    return Needs(wanted, alone=True, system=())


def package_name(text: str) -> str:
    """Return the normalized package name (PEP 503) from a requirement or from the file name of a wheel."""
    match = re.match(r"[A-Za-z0-9._]+(?:-[A-Za-z][A-Za-z0-9._]*)*", text)
    return re.sub(r"[-_.]+", "-", match[0] if match else text).lower()


def _own_requirements() -> list[str]:
    return [text for text in _requirements() if "extra ==" not in text]


def _is_extra(text: str, name: str) -> bool:
    return re.search(rf"""extra == ['"]{re.escape(name)}['"]""", text) is not None


def _requirements() -> list[str]:
    try:
        return requires(_NAME) or []
    except PackageNotFoundError:
        raise RemoteError(
            "poets_edge runs from a folder here, so what it needs is not known. Install it: pip install poets-edge"
        ) from None


def own_wheel(folder: Path) -> Path:
    """Pack the parts of this program that a device needs into a reproducible wheel, and return its path."""
    package = Path(poets_edge.__file__).parent
    info = f"{_NAME}-{poets_edge.__version__}.dist-info"
    wheel = folder / f"{_NAME}-{poets_edge.__version__}-py3-none-any.whl"
    members = {
        f"{_NAME}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file()
        and path.suffix != ".pyc"
        and not path.name.startswith(".")
        and path.relative_to(package).parts[0].partition(".")[0] in _DEVICE_PARTS
    }
    members[f"{info}/METADATA"] = _metadata().encode()
    members[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: poets-edge\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[f"{info}/entry_points.txt"] = b"[console_scripts]\npoets-edge = poets_edge.cli:main\n"
    members[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*members, f"{info}/RECORD"]).encode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _FIXED_TIME), content, zipfile.ZIP_DEFLATED)
    return wheel


def _metadata() -> str:
    with contextlib.suppress(PackageNotFoundError):
        if text := distribution(_NAME).read_text("METADATA"):
            return re.sub(r"(?m)^Version: .*$", f"Version: {poets_edge.__version__}", text, count=1)
    return f"Metadata-Version: 2.1\nName: poets-edge\nVersion: {poets_edge.__version__}\n"


@contextlib.contextmanager
def fetched(system: System, wanted: Needs) -> Iterator[list[Path]]:
    """Download wheels for a device with this machine's pip, and yield their paths. The files are removed afterwards.

    The wheels stay in pip's cache, so they need not be downloaded again for a second device of the same kind.

    Raises:
        RemoteError: this machine has no pip or no network, or a wheel does not exist; `reason` is pip's message.
    """
    with scratch_folder() as folder:
        major, minor = system.python
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--dest", str(folder), "--only-binary=:all:", "--implementation", "cp"]
        command += ["--python-version", f"{major}.{minor}"]
        command += [word for abi in (f"cp{major}{minor}", "abi3", "none") for word in ("--abi", abi)]
        command += [word for tag in platform_tags(system) for word in ("--platform", tag)]
        command += ["--no-deps"] if wanted.alone else []
        ended = subprocess.run(
            [*command, *wanted.requirements],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONPATH": ""},
        )
        if ended.returncode:
            reason = (ended.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("ERROR: ")
            raise RemoteError(f"wheels for {system.machine} cannot be fetched here ({reason}).", reason=reason)
        left_out = set(wanted.system)
        yield sorted(path for path in folder.glob("*.whl") if package_name(path.name.split("-")[0]) not in left_out)


def platform_tags(system: System) -> list[str]:
    """Return the platform tags of wheels that run on a system, newest first: PEP 600 tags, followed by legacy tags."""
    newest = max(system.libc_version[1], _OLDEST_GLIBC)
    tags = [f"manylinux_2_{minor}_{system.machine}" for minor in range(newest, _OLDEST_GLIBC - 1, -1)]
    return [*tags, f"manylinux2014_{system.machine}", f"linux_{system.machine}"]


def digest_of(*parts: str | bytes) -> str:
    """Return a digest of strings and bytes, 16 hexadecimal digits. Strings may contain surrogate escapes (PEP 383)."""
    sums = [hashlib.sha256(os.fsencode(part)).hexdigest() for part in parts]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:16]
