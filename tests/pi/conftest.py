"""Emulated Raspberry Pis take minutes: these tests run in CI and by `make test-pi`, and skip elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip them, unless somebody asked for them."""
    named = any(Path(argument.partition("::")[0]).resolve().is_relative_to(_HERE) for argument in config.args)
    if named or os.environ.get("CI"):
        return
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.skip(reason="an emulated Raspberry Pi takes minutes: make test-pi"))
