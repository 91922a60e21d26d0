"""Copy the sources of the Android app from a checkout of poets_edge, and build the app as an APK."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import poets_edge
from poets_edge.core.json_checks import DictOf, check, parse_json
from poets_edge.errors import OutputError
from poets_edge.exporting.android import DEFAULT_APP
from poets_edge.studio import messages

APP = Path(poets_edge.__file__).parents[1] / DEFAULT_APP
"""Folder with the sources of the Android app. It exists in a checkout of poets_edge, but not in an installed
package."""
_PROGRAMS = APP / "recipe/programs.json"
"""JSON file that maps each program needed for the build to the Debian package that provides it."""
_BUILT = ("build", ".gradle", ".kotlin", "__pycache__", ".idea", "local.properties")
"""Names of files and folders that are created by building the app; `app_sources` does not copy them."""
_BUILD_SECONDS = 900


def app_sources(folder: Path) -> Path:
    """Copy the sources of the Android app, without build outputs, to a new folder, and return the folder."""
    return Path(shutil.copytree(APP, folder, ignore=shutil.ignore_patterns(*_BUILT)))


def missing_sources() -> str:
    """Return a one-line reason why the sources of the Android app cannot be copied; "" if they can be copied."""
    return "" if APP.is_dir() else messages.APP_NEEDS_CHECKOUT


def missing_programs() -> str:
    """Return a line with the command that installs programs missing for the build of the app; "" if none is missing."""
    programs = check(parse_json(_PROGRAMS.read_bytes()), DictOf(str))
    packages = [package for program, package in programs.items() if shutil.which(program) is None]
    command = f"sudo apt-get install {' '.join(packages)}"
    return messages.NOT_INSTALLED.format(command=command) if packages else ""


def build_app(app: Path, out: Path) -> Path:
    """Build the Android app, verify the APK, and return the path of the APK.

    Args:
        app: folder with the sources of the app, in which a model has been installed.
        out: folder for the output of the build.

    Raises:
        OutputError: the build failed, for example because a library cannot be downloaded, or took too long.
    """
    command = [sys.executable, str(app / "build.py"), "apk", "--out", str(out)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise OutputError(messages.APP_TOO_SLOW.format(seconds=_BUILD_SECONDS)) from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "rror" in line] or done.stderr.splitlines()
        raise OutputError(messages.APP_NOT_BUILT.format(reason=" ".join(lines[:2])[:300] or messages.NO_MESSAGE))
    return Path(done.stdout.strip().splitlines()[-1])
