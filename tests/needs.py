"""Requirements of tests beyond the project itself.

A test whose requirement is missing is skipped, with a message that names the requirement. On CI (if `CI` is set), the
test fails, as does every test that is skipped for a reason that is not in SKIPS_ON_CI.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType
from typing import NoReturn

import pytest

SKIPS_ON_CI = frozenset(
    {
        "root can read everything",
        "this machine has a camera",
        "one core",
        "one folder on this file system",
        "mounting a file system requires root",
    }
)
"""Reasons for which a test may be skipped on CI: properties of the machine, rather than missing requirements."""


def missing(reason: str) -> NoReturn:
    """Skip the test; on CI, where all requirements must be installed, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI must have it")
    pytest.skip(reason)


def need_module(name: str) -> ModuleType:
    """Return an imported module; if it is not installed, skip the test or, on CI, fail it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"{name.partition('.')[0]} is not installed (pip install --editable '.[camera,dev,web]')")


def has_tensorflow() -> bool:
    """Return whether TensorFlow, which includes Keras, is installed."""
    return importlib.util.find_spec("tensorflow") is not None


def need_tensorflow() -> None:
    """Skip the test, or fail it on CI, if TensorFlow is not installed; the marker `tensorflow` has the same effect."""
    if not has_tensorflow():
        missing("TensorFlow is not installed (pip install --editable '.[tensorflow]')")
