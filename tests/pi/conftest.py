"""Skip tests on emulated Raspberry Pis, which take minutes, unless shared photos exist or `make test-pi` runs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import HAS_SHARED

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests in this folder if there are no shared photos, unless the tests are requested or run in CI."""
    named = any(Path(argument.partition("::")[0]).resolve().is_relative_to(_HERE) for argument in config.args)
    if named or HAS_SHARED or os.environ.get("CI"):
        return
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.skip(reason="an emulated Raspberry Pi takes minutes: make test-pi"))
