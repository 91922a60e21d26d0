"""Requirements of tests beyond the project itself.

A test whose requirement is missing is skipped, with a line that names it. On CI (`CI` is set) it fails, as does every
other test that is skipped for a reason that is not in SKIPS_ON_CI.
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
"""Reasons for which a test may be skipped on CI: the machine differs, but lacks nothing."""


def missing(reason: str) -> NoReturn:
    """Skip the test; on CI, which must have everything, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI must have it")
    pytest.skip(reason)


def need_module(name: str) -> ModuleType:
    """Import a module of a package that only tests need."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"{name.partition('.')[0]} is not installed (pip install --editable '.[camera,dev,web]')")


def has_tensorflow() -> bool:
    """Whether TensorFlow, and Keras with it, is installed."""
    return importlib.util.find_spec("tensorflow") is not None


def need_tensorflow() -> None:
    """Go on only where TensorFlow is installed. The marker `tensorflow` asks the same."""
    if not has_tensorflow():
        missing("TensorFlow is not installed (pip install --editable '.[tensorflow]')")
