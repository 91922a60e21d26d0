"""Memory of this process."""

from __future__ import annotations

import ctypes
import gc
import sys


def release_memory() -> None:
    """Return memory that is no longer used to the operating system, where the C library allows it.

    glibc keeps freed memory of each thread for later requests of that thread. After TensorFlow has trained a network,
    this is some 100 MB.
    """
    gc.collect()  # TensorFlow's functions refer to themselves
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries than glibc do not have it
        if trim is not None:
            trim(0)
