"""Tests of `audit` with photos that are removed or replaced during the run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from poets_edge.auditing.audit import audit
from poets_edge.auditing.options import AuditOptions
from poets_edge.demo.draw import draw_photos
from poets_edge.nets.architectures import architecture
from poets_edge.progress import Silent


class Intruder(Silent):
    """Reporter that calls `change` when a status or progress text contains `step`."""

    def __init__(self, step: str, change: Callable[[], object]) -> None:
        self._step = step
        self._change = change

    def status(self, text: str) -> None:
        if self._step in text:
            self._change()

    def progress(self, what: str, total: int, unit: str = "photo") -> AbstractContextManager[Callable[[int], object]]:
        self.status(what)
        return super().progress(what, total, unit)


def test_audit_skips_photos_that_are_removed_or_replaced_during_the_run(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw_photos(photos, per_class=6)
    gone, replaced, *_ = sorted((photos / "daisy").iterdir())

    def change() -> None:
        gone.unlink()
        shutil.copy(next((photos / "tulips").iterdir()), replaced)

    result = audit(_options(tmp_path), Intruder("bottlenecks", change))
    assert [name for name, _ in result.photos.unreadable] == ["daisy/" + path.name for path in (gone, replaced)]
    assert all(reason for _, reason in result.photos.unreadable)
    # The next run includes the replaced photo with its new contents.
    again = audit(_options(tmp_path), Silent())
    assert not again.photos.unreadable and len(again.photos) == 29
    assert any(replaced.name in again.photos.name(row) for group in again.near_duplicates.groups for row in group)


def test_audit_writes_its_report_even_if_the_folder_is_removed_during_the_run(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw_photos(photos, per_class=6)
    result = audit(_options(tmp_path), Intruder("looking through", lambda: shutil.rmtree(photos)))
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
