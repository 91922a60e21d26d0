"""What tests need beyond the project itself, and what becomes of them where it is not there.

They skip, with a line that names what is missing. On CI (`CI` is set) everything must be there, so they fail.
"""

from __future__ import annotations

import importlib.util
import os

import pytest


def missing(reason: str) -> None:
    """Skip the test; on CI, which must have everything, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI must have it")
    pytest.skip(reason)


def has_tensorflow() -> bool:
    """Whether TensorFlow, and Keras with it, is installed."""
    return importlib.util.find_spec("tensorflow") is not None


def need_tensorflow() -> None:
    """Go on only where TensorFlow is installed. The marker `tensorflow` asks the same."""
    if not has_tensorflow():
        missing("TensorFlow is not installed (pip install --editable '.[tensorflow]')")
