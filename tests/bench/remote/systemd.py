"""A real systemd user instance and journal in a mount namespace, for the tests of `deploy`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.needs import missing

_SYSTEMD = Path("/lib/systemd/systemd")


@contextlib.contextmanager
def user_systemd(folder: Path, home: Path) -> Iterator[tuple[str, ...]]:
    """Start systemd for the current user with a different home folder, and yield a login shell in its namespace.

    Skip the test if this machine cannot run a second systemd.
    """
    if os.name != "posix" or os.geteuid() != 0:
        missing("a systemd beside the machine's own needs root")
    if not _SYSTEMD.exists():
        if shutil.which("apt-get") is None:
            missing("no systemd on this machine")
        with Path("/run/lock/poets-edge-apt").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run(["apt-get", "-q", "update"], capture_output=True)
            subprocess.run(
                ["apt-get", "-q", "install", "-y", "--no-install-recommends", "systemd"], capture_output=True
            )
    runtime = folder / "runtime"
    runtime.mkdir(parents=True)
    home.mkdir(parents=True, exist_ok=True)
    start = folder / "start"
    start.write_text(
        "set -e\nmount -t tmpfs run /run/systemd || { mkdir -p /run/systemd; mount -t tmpfs run /run/systemd; }\n"
        "mkdir -p /run/systemd/system /run/log\nmount -t tmpfs log /run/log\n"
        f"/lib/systemd/systemd-journald > '{folder}/journald' 2>&1 &\necho $! > '{folder}/journald-pid'\n"
        f"exec env -i HOME='{home}' XDG_RUNTIME_DIR='{runtime}' PATH=/usr/bin:/bin SYSTEMD_LOG_TARGET=console"
        f" {_SYSTEMD} --user\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["unshare", "-m", "sh", start], stdout=log, stderr=log, start_new_session=True)
    inside = ("nsenter", "-m", "-t", str(process.pid))
    settings = ("env", f"XDG_RUNTIME_DIR={runtime}")
    try:
        for _ in range(100):
            asked = subprocess.run([*inside, *settings, "systemctl", "--user", "daemon-reload"], capture_output=True)
            if asked.returncode == 0 or process.poll() is not None:
                break
            time.sleep(0.1)
        if asked.returncode:
            missing(f"no systemd can run here: {(folder / 'log').read_text()[-300:]}")
        yield (*inside, *settings, "/bin/sh", "-c")
    finally:
        subprocess.run([*inside, *settings, "systemctl", "--user", "exit"], capture_output=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((folder / "journald-pid").read_text()), 15)
