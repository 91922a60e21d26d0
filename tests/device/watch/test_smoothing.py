"""Tests of averaged scores and of saved frames at boundary values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.scorer import ModelOutput
from poets_edge.device.watch.collect import CollectOptions, Collector
from poets_edge.device.watch.prediction import Smoother
from poets_edge.errors import UsageError
from poets_edge.progress import Silent


def test_smoother_returns_the_mean_of_the_last_frames() -> None:
    smoother = Smoother(3)
    scores = np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 1], [1, 0]], np.float32)
    frames = [ModelOutput(of_frame, distance) for of_frame, distance in zip(scores, (1, 3, 2, 0.1, 0.6), strict=True)]
    found = [smoother.add(frame) for frame in frames]
    means = np.array([[1, 0], [0.5, 0.5], [0.5, 0.5], [1 / 6, 5 / 6], [0.5, 0.5]])
    np.testing.assert_allclose([one.scores for one in found], means, rtol=1e-6)
    assert [one.distance for one in found] == pytest.approx([1, 2, 2, 1.7, 0.9])
    assert [one.unknown for one in found] == [False, True, True, True, False]
    assert all(one.scores.dtype == np.float32 for one in found)
    smoother.reset()
    assert smoother.add(frames[1]) is frames[1]


def test_smoother_returns_no_distance_if_the_model_has_none() -> None:
    smoother = Smoother(2)
    for number in range(3):
        assert smoother.add(ModelOutput(np.array([number, 1], np.float32))).distance is None


def test_smoother_with_one_frame_returns_the_output_for_that_frame() -> None:
    smoother = Smoother(1)
    for scores in ([1.0, 0.0], [0.25, 0.75]):
        output = ModelOutput(np.array(scores, np.float32), 0.5)
        assert smoother.add(output) is output


def test_collector_saves_unknown_frames_in_a_separate_folder(tmp_path: Path) -> None:
    for labels, folder in ((("daisy",), "unknown"), (("unknown",), "unknown (unlike the training photos)")):
        collector = Collector(CollectOptions(folder=tmp_path / labels[0]), labels, Silent())
        collector.add(scene(1), np.array([0.99], np.float32), unknown=True)
        collector.add(scene(2), np.array([0.99], np.float32))
        assert [path.parent.name for path in (tmp_path / labels[0]).rglob("*.jpg")] == [folder]


def scene(number: int) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
    return Image.fromarray(pixels).resize((64, 48), Image.Resampling.NEAREST)


@pytest.mark.parametrize(("score", "kept"), [(0.49, 1), (0.5, 0), (0.51, 0)])
def test_collector_saves_only_frames_with_scores_below_the_threshold(score: float, kept: int, tmp_path: Path) -> None:
    collector = Collector(CollectOptions(folder=tmp_path, below=0.5), ("roses", "daisy"), Silent())
    collector.add(scene(0), np.array([score - 0.01, score], np.float64).astype(np.float32))
    assert collector.kept == kept
    assert [path.parent.name for path in tmp_path.rglob("*.jpg")] == ["daisy"] * kept, "in the folder of its best label"


def test_collector_saves_at_most_the_configured_number_of_frames(tmp_path: Path) -> None:
    for _ in range(2):
        collector = Collector(CollectOptions(folder=tmp_path, most=3), ("daisy",), Silent())
        for number in range(5):
            collector.add(scene(number), np.array([0.3], np.float32))
    assert len([*tmp_path.rglob("*.jpg")]) == 3


def test_collector_ignores_changes_in_brightness(tmp_path: Path) -> None:
    collector = Collector(CollectOptions(folder=tmp_path), ("daisy",), Silent())
    dark = scene(1).point(lambda value: value // 2)
    bright = dark.point(lambda value: value + 60)
    for image, kept in ((dark, 1), (bright, 1), (scene(2), 2), (dark, 3)):
        collector.add(image, np.array([0.3], np.float32))
        assert collector.kept == kept


@pytest.mark.parametrize(("below", "most"), [(0.0, 1), (1.01, 1), (-1, 1), (0.5, 0)])
def test_collect_options_reject_values_out_of_range(below: float, most: int, tmp_path: Path) -> None:
    CollectOptions(folder=tmp_path, below=1, most=1)
    with pytest.raises(UsageError, match=r"`below`|`most`"):
        CollectOptions(folder=tmp_path, below=below, most=most)
