"""Fixtures: small projects of drawn photos."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from poets_edge.demo.draw import draw_photos
from tests.studio.client import StudioClient, running


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six photos for each of five classes. Read-only."""
    folder = tmp_path_factory.mktemp("drawn") / "flowers"
    draw_photos(folder, per_class=6)
    return folder


@pytest.fixture
def flowers(drawn_photos: Path, tmp_path: Path) -> Path:
    """A project with drawn photos, for one test."""
    return Path(shutil.copytree(drawn_photos, tmp_path / "flowers"))


@pytest.fixture(scope="module")
def studio(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioClient]:
    """A running studio, for the tests of one file that do not change its photos."""
    folder = tmp_path_factory.mktemp("studio") / "flowers"
    shutil.copytree(drawn_photos, folder)
    with running(folder) as client:
        yield client
