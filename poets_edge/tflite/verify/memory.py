"""Which models have been verified on this machine, by their checksum and the interpreter that ran them.

One empty file a model in the user's cache folder ($XDG_CACHE_HOME/poets_edge/verified, by default under ~/.cache).
Where that cannot be written, a model is verified each time. Deleting the folder costs a moment for each model.
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
"""Packages that hold an interpreter, the best first."""

_RULES = 3
"""Raise when what is verified changes: what was verified by other rules is verified again."""


def is_known(content: bytes) -> bool:
    """Whether these bytes have been verified before."""
    with contextlib.suppress(OSError, RuntimeError):
        return _note(content).exists()
    return False


def remember(content: bytes) -> None:
    """Note that these bytes are sound. Where there is no room for that, nothing happens."""
    with contextlib.suppress(OSError, RuntimeError):
        note = _note(content)
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        note.touch()


def _note(content: bytes) -> Path:
    interpreter = hashlib.sha256(_interpreter().encode()).hexdigest()[:16]
    return cache_folder() / "verified" / f"{hashlib.sha256(content).hexdigest()}-{interpreter}-{_RULES}"


def _interpreter() -> str:
    """Tells one installed interpreter from another, without loading it.

    By its file's size and time, which an upgrade changes: to ask for its version takes as long as an inference.
    """
    for package in RUNTIMES:
        spec = PathFinder.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            with contextlib.suppress(OSError):
                status = os.stat(os.path.join(place, "interpreter.py"))  # noqa: PTH116, PTH118 - each label does it
                return f"{package} {status.st_size} {status.st_mtime_ns} {sys.implementation.cache_tag} {_machine()}"
    return ""


def _machine() -> str:
    """A home folder may be shared by machines of several kinds."""
    return os.uname().machine if hasattr(os, "uname") else ""
