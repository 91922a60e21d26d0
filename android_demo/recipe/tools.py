"""Running other programs, and installing the ones that are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from recipe.project import BuildError

_PACKAGES = {
    "javac": "default-jdk-headless",
    "mvn": "maven",
    "aapt": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "dexdump": "dexdump",
}
"""Debian package of each program."""


def run(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Run a program to its end and return what it printed. Raises BuildError with its last lines if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise BuildError(f"{words[0]} failed:\n{done.stdout[-6000:].rstrip()}")
    return done.stdout


def ensure_tools() -> None:
    """Install the programs this build calls, where apt-get may do it. Raises BuildError where it may not."""
    packages = [package for program, package in _PACKAGES.items() if shutil.which(program) is None]
    if not packages:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BuildError(f"programs are missing. Run: sudo {' '.join(install)}")
    say(f"installing {' '.join(packages)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    import fcntl  # here: only where apt-get is

    # The Raspberry Pi tests of this project install packages too, perhaps at this moment, and apt has one lock.
    with Path("/run/lock/poets-edge-apt").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            run(install)
        except BuildError:  # a bare machine has no package lists yet, or old ones
            run(["apt-get", "update"])
            run(install)


def say(message: str) -> None:
    """Report progress."""
    print(message, file=sys.stderr, flush=True)
