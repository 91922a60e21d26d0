"""`audit` of a folder in which somebody removes and replaces photos meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from poets_edge.audit.audit import audit
from poets_edge.audit.options import AuditOptions
from poets_edge.demo.draw import draw_photos
from poets_edge.nets.architectures import architecture
from poets_edge.progress import Silent


class Meddler(Silent):
    """Does something to the folder as soon as a step begins."""

    def __init__(self, step: str, meddle: Callable[[], object]) -> None:
        self._step = step
        self._meddle = meddle

    def status(self, text: str) -> None:
        if self._step in text:
            self._meddle()

    def progress(self, what: str, total: int, unit: str = "photo") -> AbstractContextManager[Callable[[int], object]]:
        self.status(what)
        return super().progress(what, total, unit)


def test_photos_that_go_or_change_while_they_are_read_are_left_out(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw_photos(photos, per_class=6)
    gone, replaced, *_ = sorted((photos / "daisy").iterdir())

    def meddle() -> None:
        gone.unlink()
        shutil.copy(next((photos / "tulips").iterdir()), replaced)

    result = audit(_options(tmp_path), Meddler("bottlenecks", meddle))
    assert [name for name, _ in result.photos.unreadable] == ["daisy/" + path.name for path in (gone, replaced)]
    assert all(reason for _, reason in result.photos.unreadable)
    # What is there now is another photo, and is taken for itself.
    again = audit(_options(tmp_path), Silent())
    assert not again.photos.unreadable and len(again.photos) == 29
    assert any(replaced.name in again.photos.name(row) for group in again.near_duplicates.groups for row in group)


def test_a_folder_that_goes_before_the_page_is_made(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw_photos(photos, per_class=6)
    result = audit(_options(tmp_path), Meddler("looking through", lambda: shutil.rmtree(photos)))
    assert len(result.photos) == 30
    assert "daisy" in (tmp_path / "audit.html").read_text()


def _options(folder: Path) -> AuditOptions:
    return AuditOptions(
        image_dir=folder / "photos",
        architecture=architecture("mobilenet_0.25_128"),
        weights="embedded",
        bottleneck_dir=folder / "bottlenecks",
        report=folder / "audit.html",
    )
