"""Which models have been verified on this machine, by their checksum.

One empty file a model in the user's cache folder ($XDG_CACHE_HOME/poets_edge/verified, by default under ~/.cache).
Where that cannot be written, a model is verified each time. Deleting the folder costs a moment for each model.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

_RULES = 1
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
    cache = os.environ.get("XDG_CACHE_HOME")
    folder = Path(cache) if cache else Path.home() / ".cache"  # RuntimeError where there is no home
    return folder / "poets_edge" / "verified" / f"{hashlib.sha256(content).hexdigest()}-{_RULES}"
