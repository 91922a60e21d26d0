"""Terminate helper processes when their parent ends, even if the parent is killed."""

from __future__ import annotations

import contextlib
import os

from poets_edge.core.credentials import helper_variables

_PARENT = "POETS_EDGE_PARENT"
_LOOK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def helper_environment() -> dict[str, str]:
    """Return the environment for a helper process.

    It is the environment of this process with two additions: the id of this process, and the stored passwords for web
    servers.
    """
    return {**os.environ, **helper_variables(), _PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """End the current helper process when its parent ends, or immediately if the parent has already ended.

    On Linux the kernel sends a signal; on other systems a thread checks the parent twice a second.
    """
    import ctypes
    import signal
    import threading
    import time

    said = os.environ.pop(_PARENT, "")
    # On Windows the parent is the launcher that starts the Python of a virtual environment.
    parent = int(said) if said.isdecimal() and os.name == "posix" else os.getppid()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=look, daemon=True).start()
