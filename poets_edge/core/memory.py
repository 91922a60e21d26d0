"""Release unused memory of this process."""

from __future__ import annotations

import ctypes
import gc
import sys


def release_memory() -> None:
    """Return unused memory to the operating system; do nothing if the C library does not support this.

    glibc does not return the memory that a thread has freed, but keeps it for the thread; after TensorFlow has trained
    a network, it keeps about 100 MB.
    """
    gc.collect()  # TensorFlow's functions refer to themselves
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries than glibc do not have it
        if trim is not None:
            trim(0)
