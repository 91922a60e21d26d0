"""Fixtures: synthetic photos, and the graph trained on their folder, for comparison with other sources of photos."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import poets_edge
from tests.photos.archive_files import trained


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere") / "photos"
    poets_edge("draw-photos", folder, "--per_class", "8", "--quiet").ok()
    for path in [*folder.glob("*/*.jpg")]:  # or they would be read again: they could change within the clock's tick
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return folder


@pytest.fixture(scope="module")
def alone(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return trained(photos, tmp_path_factory.mktemp("alone"))
