"""Fixtures for studio tests: small projects with synthetic photos."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from poets_edge.demo.draw import draw_photos
from tests.studio.client import StudioClient, running


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with six synthetic photos for each of five classes. Tests must not change it."""
    folder = tmp_path_factory.mktemp("drawn") / "flowers"
    draw_photos(folder, per_class=6)
    return folder


@pytest.fixture
def flowers(drawn_photos: Path, tmp_path: Path) -> Path:
    """Project with synthetic photos, which a test may change."""
    return Path(shutil.copytree(drawn_photos, tmp_path / "flowers"))


@pytest.fixture(scope="module")
def studio(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioClient]:
    """Running studio that the tests in one file share. They must leave its photos unchanged."""
    folder = tmp_path_factory.mktemp("studio") / "flowers"
    shutil.copytree(drawn_photos, folder)
    with running(folder) as client:
        yield client
