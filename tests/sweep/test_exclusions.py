"""Tests of `grid` with a list of photos to exclude or to assign to another class."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
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
from poets_edge.sweep.photo_snapshot import take_snapshot
from poets_edge.training.head import HeadOptions

PER_CLASS = 6
CLASSES = 5
NETWORK = architecture("mobilenet_0.25_128")


@pytest.fixture
def options(tmp_path: Path) -> GridOptions:
    draw_photos(tmp_path / "photos", per_class=PER_CLASS)
    return GridOptions(
        image_dir=tmp_path / "photos",
        architectures=(NETWORK,),
        output_dir=tmp_path / "grid",
        bottleneck_dir=tmp_path / "bottlenecks",
        weights="embedded",
        percentages=SplitConfig(testing=40),
        head=HeadOptions(steps=20),
        calibration_count=5,
        folds=2,
        timing=TimingConfig(seconds=0.01, runs=2, rounds=1),
    )


@pytest.fixture
def exclude(tmp_path: Path, options: GridOptions) -> Callable[..., GridOptions]:
    """Function that returns options with a list that excludes one photo and assigns another photo to a different
    class."""

    def make() -> GridOptions:
        [left_out, moved] = (min((tmp_path / "photos" / name).iterdir()) for name in ("daisy", "roses"))
        listed = {"leave_out": [f"daisy/{left_out.name}"], "belongs_to": {f"roses/{moved.name}": "tulips"}}
        (tmp_path / "exclude.json").write_text(json.dumps(listed))
        return replace(options, exclude=tmp_path / "exclude.json")

    return make


def class_counts(options: GridOptions) -> Counter[str]:
    return Counter(photo.label for photo in take_snapshot(options, Silent()).folder.photos)


def test_snapshot_applies_the_list_of_exclusions(options: GridOptions, exclude: Callable[..., GridOptions]) -> None:
    assert class_counts(exclude()) == {"daisy": 5, "dandelion": 6, "roses": 5, "sunflowers": 6, "tulips": 7}
    assert set(class_counts(options).values()) == {PER_CLASS}


def test_snapshot_refuses_a_missing_list_of_exclusions(options: GridOptions, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"missing\.json"):
        take_snapshot(replace(options, exclude=tmp_path / "missing.json"), Silent())


def test_grid_does_not_evaluate_excluded_photos(options: GridOptions, exclude: Callable[..., GridOptions]) -> None:
    def photos(chosen: GridOptions) -> int:
        return grid(chosen).points[0].photos

    assert photos(options) == PER_CLASS * CLASSES
    assert photos(exclude()) == PER_CLASS * CLASSES - 1, "an earlier result for all photos is not used"
    record = json.loads((options.folder(NETWORK) / "retrained_graph.json").read_text())
    assert len(record["exclude"]["leave_out"]) == len(record["exclude"]["belongs_to"]) == 1
