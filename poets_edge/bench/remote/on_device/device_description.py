"""Description of a device: its system, user, Python and free disk space, and the state of the program's folder.

This module runs on the device with the standard library only; see `agent.py`.
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any

from poets_edge.bench.remote.on_device.own_files import in_home
from poets_edge.bench.remote.on_device.own_folder import NAME, OwnFolder, older_deployment


def describe_device(kind: str, folder: str, packages: Sequence[str]) -> dict[str, Any]:
    """Return a description of this device, with the keys of `answers.Facts`.

    Args:
        kind: default for `folder`: "cache" for the user's cache folder, "data" for the data folder (XDG Base Directory
            Specification).
        folder: parent of the program's folder, absolute or relative to the home folder; "" for the default.
        packages: names of the Python packages whose versions are included; the version of a missing package is None.
    """
    usual = _usual_folder(kind)
    parent = in_home(folder) if folder else os.path.dirname(usual)
    own = os.path.join(os.path.realpath(parent), NAME)
    return {
        "python": list(sys.version_info[:3]),
        "executable": sys.executable,
        "bits": 8 * struct.calcsize("P"),
        "machine": platform.machine(),
        "system": platform.system(),
        "libc": _libc(),
        "host": platform.node(),
        "home": os.path.expanduser("~"),
        "user": _user(),
        "uid": os.getuid(),
        "config": os.environ.get("XDG_CONFIG_HOME"),
        "runtime": os.environ.get("XDG_RUNTIME_DIR"),
        "boot": _read_text("/proc/sys/kernel/random/boot_id"),
        "time": time.time(),
        "folder": own,
        "usual": own == os.path.join(os.path.realpath(os.path.dirname(_usual_folder("data"))), NAME),
        "state": OwnFolder(own).state,
        "older": [path for place in dict.fromkeys((parent, own)) for path in older_deployment(place)],
        "free": shutil.disk_usage(_existing(own)).free,
        "writable": os.access(_existing(own), os.W_OK),
        "versions": {name: _version(name) for name in packages},
    }


def _usual_folder(kind: str) -> str:
    variable, usual = {"cache": ("XDG_CACHE_HOME", "~/.cache"), "data": ("XDG_DATA_HOME", "~/.local/share")}[kind]
    return os.path.join(os.path.expanduser(os.environ.get(variable) or usual), NAME)


def _existing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return ""


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
