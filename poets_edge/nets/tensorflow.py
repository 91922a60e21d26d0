"""Import TensorFlow without its start-up messages."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from poets_edge.core.interrupts import preserved_interrupts
from poets_edge.errors import RuntimeMissingError
from poets_edge.tflite.interpreter import silent_stderr


def load_tensorflow(job: str) -> Any:
    """Import and return TensorFlow without its start-up messages; the first import takes a few seconds.

    Args:
        job: the task that needs TensorFlow, for the error message.

    Raises:
        RuntimeMissingError: TensorFlow is not installed.
    """
    if loaded := sys.modules.get("tensorflow"):
        return loaded
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    # One operation at a time, on all cores, needs less memory and takes the same time.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    try:
        with preserved_interrupts(swallowed=True), silent_stderr():
            return importlib.import_module("tensorflow")
    except ImportError as error:
        raise RuntimeMissingError(
            f"{job} needs TensorFlow, which is not installed ({error}). Run: pip install 'poets-edge[tensorflow]'"
        ) from None
