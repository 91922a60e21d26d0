"""Run other programs, and install missing ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from recipe.project import BuildError

_PROGRAMS = Path(__file__).with_name("programs.json")
"""File with the Debian package of each program, as a JSON object; the studio of poets_edge also reads it."""

SHORT_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options of `java` for programs that run for seconds, which end before a second compilation of their code pays off."""
JAVAC = ("javac", *(f"-J{option}" for option in SHORT_JVM))
APKSIGNER = ("apksigner", *(f"-J{option.removeprefix('-')}" for option in SHORT_JVM))
"""Commands with the options in their own spelling; `run` passes the options to Maven, too."""


def run(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Run a program and return its output. Raises BuildError with the end of the output if the program fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, "MAVEN_OPTS": " ".join([*SHORT_JVM, os.environ.get("MAVEN_OPTS", "")])},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise BuildError(f"{words[0]} failed:\n{done.stdout[-6000:].rstrip()}")
    return done.stdout


def ensure_tools() -> None:
    """Install missing programs with apt-get, as root. Raises BuildError if this is not possible."""
    programs = json.loads(_PROGRAMS.read_bytes())
    packages = [package for program, package in programs.items() if shutil.which(program) is None]
    if not packages:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BuildError(f"programs are missing. Run: sudo {' '.join(install)}")
    say(f"installing {' '.join(packages)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    import fcntl  # does not exist on systems without apt-get

    # The Raspberry Pi tests of this project also install packages, possibly at the same time.
    with Path("/run/lock/poets-edge-apt").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            run(install)
        except BuildError:  # the package lists are missing or outdated
            run(["apt-get", "update"])
            run(install)


def say(message: str) -> None:
    """Print a progress message to stderr."""
    print(message, file=sys.stderr, flush=True)
