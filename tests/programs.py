"""Installation of the system programs that tests need, such as mosquitto, if the user has permission."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.needs import missing

_DEBIAN = {
    "fish": "fish",
    "mosquitto": "mosquitto",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
}
"""Debian package that contains each program."""


def need_programs(*names: str) -> None:
    """Install programs if they are missing; skip the test if they cannot be installed."""
    lacking = sorted({_DEBIAN[name] for name in names if find_program(name) is None})
    if not lacking:
        return
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        missing(f"no {', '.join(lacking)} on this machine")
    with Path("/run/lock/poets-edge-apt").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install = ["apt-get", "-q", "install", "-y", "--no-install-recommends", *lacking]
        # Prevent the package from starting the system's server.
        settings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (["apt-get", "-q", "update"], install):
            ended = subprocess.run(command, capture_output=True, text=True, env=settings)
        if ended.returncode:
            missing(f"cannot install {', '.join(lacking)} ({ended.stderr.strip().splitlines()[-1]})")


def find_program(name: str) -> str | None:
    """Return the path of a program in PATH, /usr/sbin or /sbin; None if the program is not installed."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def free_port() -> int:
    """Return a TCP port on the loopback interface that no program uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
