"""Tests of `grid` with photos that are added, replaced or removed during the run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from poets_edge.bench.rounds import TimingConfig
from poets_edge.demo.draw import draw_photos
from poets_edge.errors import DatasetError
from poets_edge.nets.architectures import architecture
from poets_edge.photos.split import SplitConfig
from poets_edge.progress import Silent
from poets_edge.sweep.grid import grid
from poets_edge.sweep.options import GridOptions
from poets_edge.training.head import HeadOptions

PER_CLASS = 6
SMALL, LARGE = "mobilenet_0.25_128", "mobilenet_0.25_160"


class Intruder(Silent):
    """Reporter that changes the photo folder when a progress bar starts.

    Args:
        step: beginning of the progress bar's text.
        change: function that changes the folder.
    """

    def __init__(self, step: str, change: Callable[[], object]) -> None:
        self._step = step
        self._change = change

    def progress(self, what: str, total: int, unit: str = "photo") -> AbstractContextManager[Callable[[int], object]]:
        if what.startswith(self._step):
            self._change()
        return super().progress(what, total, unit)


class Listener(Silent):
    """Reporter that collects warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def options(tmp_path: Path, keras_home: Path) -> Callable[..., GridOptions]:
    """Function that returns options of `grid` on synthetic photos, given architectures and a number of folds."""
    draw_photos(tmp_path / "photos", per_class=PER_CLASS)

    def make(*architectures: str, folds: int) -> GridOptions:
        return GridOptions(
            image_dir=tmp_path / "photos",
            architectures=tuple(map(architecture, architectures)),
            output_dir=tmp_path / "grid",
            bottleneck_dir=tmp_path / "bottlenecks",
            model_dir=tmp_path / "models",
            percentages=SplitConfig(testing=40),
            head=HeadOptions(steps=20),
            calibration_count=5,
            folds=folds,
            timing=TimingConfig(seconds=0.01, runs=2, rounds=1),
        )

    return make


def add_photos(folder: Path) -> None:
    """Add a copy of every photo of the class `daisy`."""
    for path in sorted((folder / "daisy").iterdir()):
        shutil.copy(path, path.with_name(f"new_{path.name}"))


@pytest.mark.parametrize("folds", [0, 2])
def test_grid_ignores_photos_that_are_added_during_the_run(options: Callable[..., GridOptions], folds: int) -> None:
    """The saved result of the first architecture is reused, so the second must be trained on the same photos."""
    before = options(SMALL, folds=folds)
    photos = grid(before).points[0].photos
    both = options(SMALL, LARGE, folds=folds)
    result = grid(both, Intruder("retraining", lambda: add_photos(Path(str(both.image_dir)))))
    assert [point.photos for point in result.points] == [photos] * 4
    listener = Listener()
    assert grid(both, listener).points[0].photos > photos, "the next run must use the added photos"
    assert not [text for text in listener.texts if "Export again" in text], "the grid itself exports again"


def test_grid_raises_dataset_error_if_a_photo_is_replaced_during_the_run(options: Callable[..., GridOptions]) -> None:
    wanted = options(SMALL, folds=0)
    first, second, *_ = sorted((Path(str(wanted.image_dir)) / "roses").iterdir())
    with pytest.raises(DatasetError, match=rf"roses/{first.name} changed while the grid was running"):
        grid(wanted, Intruder("bottlenecks", lambda: shutil.copy(second, first)))


def test_grid_raises_dataset_error_if_test_photos_are_removed_during_the_run(
    options: Callable[..., GridOptions],
) -> None:
    wanted = options(SMALL, folds=0)
    grid(wanted)
    both = options(SMALL, LARGE, folds=0)

    def remove_class() -> None:
        for path in sorted((Path(str(both.image_dir)) / "tulips").iterdir()):
            path.unlink()

    with pytest.raises(DatasetError, match=r"tulips/\S+ was removed or replaced while the grid was running"):
        grid(both, Intruder("retraining", remove_class))
