"""Small virtual environments in which the project is installed as users install it, cached between runs.

The environments are in a cache folder outside the checkout (in $XDG_CACHE_HOME or ~/.cache). Each contains hashes of
what it was created from: it is created again if the requirements of the wheel or the path of Python change, and its
wheel is replaced if the wheel changes.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT
from tests.needs import missing

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poets-edge-tests"


@contextlib.contextmanager
def cache_to_ourselves() -> Iterator[Path]:
    """Yield the cache folder, locked against other test runs, which might install another checkout in it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield CACHE


@functools.cache
def project_wheel() -> Path:
    """Build the wheel of the project, once per process; return its path."""
    folder = Path(tempfile.mkdtemp(prefix="poets-edge-wheel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _pip(Path(sys.executable), "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    return next(folder.glob("*.whl"))


@functools.cache
def find_python(version: str) -> Path | None:
    """Return a Python of the given version from PATH or pyenv, or None if there is none."""
    minor = version.partition(".")[2]
    for place in (
        shutil.which(f"python{version}"),
        *sorted((Path.home() / ".pyenv/versions").glob(f"3.{minor}.*/bin/python")),
    ):
        if place is not None and _runs(Path(place), version):
            return Path(place)
    return None


def environment(version: str, extra: str = "", without: str = "") -> Path:
    """Return the Python of a virtual environment with the project; skip the test if it cannot be created.

    Must be called inside `cache_to_ourselves`.

    Args:
        extra: extra of the project to install.
        without: package to uninstall afterwards.
    """
    python = find_python(version)
    if python is None:
        missing(f"no Python {version} on this machine")
    wheel = project_wheel()
    home = CACHE / f"python{version}{'-' + extra if extra else ''}"
    stamp = home / "made-from"
    needed = hashlib.sha256(f"{python} {_requirements(wheel)} {without}".encode()).hexdigest()
    made_from = f"{needed}\n{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    before = stamp.read_text() if stamp.is_file() else ""
    if before != made_from:
        stamp.unlink(missing_ok=True)
        inside = home / "bin/python"
        if before.partition("\n")[0] != needed:
            shutil.rmtree(home, ignore_errors=True)
            subprocess.run([python, "-m", "venv", "--without-pip", home], check=True)
            _pip(inside, "install", f"{wheel}[{extra}]" if extra else str(wheel))
            if without:
                _pip(inside, "uninstall", "--yes", without)
        _pip(inside, "install", "--force-reinstall", "--no-deps", "--no-compile", str(wheel))
        stamp.write_text(made_from)
    return home / "bin/python"


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    return [line for line in lines if line.startswith("Requires-Dist:")]


def _pip(python: Path, command: str, *arguments: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, command, "--quiet", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": ""},
    )
    if ended.returncode:
        missing(f"Python packages cannot be installed ({ended.stderr.strip().splitlines()[-1]})")


def _runs(python: Path, version: str) -> bool:
    code = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    ended = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return ended.returncode == 0 and ended.stdout.strip() == version
