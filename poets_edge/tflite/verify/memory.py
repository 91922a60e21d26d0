"""Record of the models that were verified on this machine, identified by their checksums and the interpreter.

Each entry is an empty file in the user's cache folder ($XDG_CACHE_HOME/poets_edge/verified, by default under ~/.cache).
If the folder is not writable, or is deleted, models are verified again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from poets_edge.core.paths import cache_folder

RUNTIMES = ("ai_edge_litert", "tflite_runtime")
"""Import names of the interpreter packages, in order of preference."""

_RULES = 4
"""Version of the verification rules. Increase it when they change, so that models are verified again."""


def is_known(content: bytes) -> bool:
    """Return whether a model with the given bytes is recorded as verified on this machine."""
    with contextlib.suppress(OSError, RuntimeError):
        return _note(content).exists()
    return False


def remember(content: bytes) -> None:
    """Record a model with the given bytes as verified; do nothing if the entry cannot be written."""
    with contextlib.suppress(OSError, RuntimeError):
        note = _note(content)
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        note.touch()


def _note(content: bytes) -> Path:
    interpreter = hashlib.sha256(_interpreter().encode()).hexdigest()[:16]
    return cache_folder() / "verified" / f"{hashlib.sha256(content).hexdigest()}-{interpreter}-{_RULES}"


def _interpreter() -> str:
    """Return text that identifies the installed interpreter; "" if there is none.

    The text contains the size and modification time of the package's `interpreter.py`, which change with an upgrade.
    Looking up the version would take as long as an inference.
    """
    for package in RUNTIMES:
        spec = PathFinder.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            with contextlib.suppress(OSError):
                status = os.stat(os.path.join(folder, "interpreter.py"))  # noqa: PTH116, PTH118 - speed
                return f"{package} {status.st_size} {status.st_mtime_ns} {sys.implementation.cache_tag} {_machine()}"
    return ""


def _machine() -> str:
    """Return the machine's architecture, which distinguishes machines that share a home folder; "" on Windows."""
    return os.uname().machine if hasattr(os, "uname") else ""
