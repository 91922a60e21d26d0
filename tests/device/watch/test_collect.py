"""Tests of `watch --collect`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.watch.collect import CollectOptions, Collector
from poets_edge.errors import OutputError
from poets_edge.progress import Silent
from tests.conftest import Trained, poets_edge
from tests.recorder import Recorder


def scene(number: int, *, noise: float = 0.0, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return an image of a scene; with noise, it is a different frame of this scene."""
    rng = np.random.default_rng(number)
    image = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image) + np.random.default_rng(number + 1000).normal(0, noise, (size[1], size[0], 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def unsure(label: int = 0, score: float = 0.4) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    scores = np.full(3, (1 - score) / 2, np.float32)
    scores[label] = score
    return scores


def kept(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))


def test_collector_saves_each_uncertain_scene_once(tmp_path: Path) -> None:
    collector = Collector(CollectOptions(folder=tmp_path), ("daisy", "roses", "tulips"), Silent())
    for noise in (0, 3, 5):
        collector.add(scene(1, noise=noise), unsure(1))
    collector.add(scene(2), unsure(1, 0.9))
    collector.add(scene(3), unsure(2))
    collector.add(scene(1), unsure(1))
    assert [name.partition("/")[0] for name in kept(tmp_path)] == ["roses", "roses", "tulips"]
    assert collector.kept == 3
    with Image.open(tmp_path / kept(tmp_path)[0]) as image:
        assert image.format == "JPEG" and image.size == (320, 240)


def test_collector_limits_the_number_and_size_of_frames_across_runs(tmp_path: Path) -> None:
    options = CollectOptions(folder=tmp_path, most=3)
    reporter = Recorder()
    for start in (0, 10):
        collector = Collector(options, ("a", "b", "c"), reporter)
        for number in range(start, start + 4):
            collector.add(scene(number, size=(1600, 1200)), unsure())
    assert len(kept(tmp_path)) == 3
    assert len(reporter.warnings) == 2 and "holds 3 collected frames" in reporter.warnings[0]
    for name in kept(tmp_path):
        with Image.open(tmp_path / name) as image:
            assert max(image.size) <= 1024


@pytest.mark.parametrize("label", ["../../etc", "/root", "a/b", "", "..", "con\x00", "x" * 300])
def test_collector_saves_frames_of_every_label_inside_its_folder(tmp_path: Path, label: str) -> None:
    collector = Collector(CollectOptions(folder=tmp_path / "in"), (label,), Silent())
    collector.add(scene(1), np.array([0.3], np.float32))
    assert len(list((tmp_path / "in").glob("*/*.jpg"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_collector_warns_once_about_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OutputError(f"cannot write {path}: No space left on device.")

    reporter = Recorder()
    collector = Collector(CollectOptions(folder=tmp_path), ("a",), reporter)
    monkeypatch.setattr("poets_edge.device.watch.collect.write_bytes", full)
    for number in range(3):
        collector.add(scene(number), np.array([0.3], np.float32))
    assert len(reporter.warnings) == 1 and "No space left" in reporter.warnings[0]


def test_watch_with_the_collect_option_saves_frames_with_low_scores(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(4):
        scene(number // 2, noise=number % 2).save(tmp_path / f"frames/{number}.png")
    watch = ("watch", trained.model("int8"), "--source", tmp_path / "frames", "--threads", "1")
    ran = poets_edge(*watch, "--collect", tmp_path / "unsure", "--below", "1", "--accept-all").ok()
    assert "saved 2 frames" in ran.stderr
    labels = {path.name for path in (tmp_path / "unsure").iterdir()}
    assert labels <= {"daisy", "dandelion", "roses", "sunflowers", "tulips"}
    poets_edge(*watch[:-2], "--collect", tmp_path / "unlike", "--below", "0.01", "--threads", "1").ok()
    assert {path.name for path in (tmp_path / "unlike").iterdir()} == {"unknown"}, "noise is unlike flowers"
    assert len(kept(tmp_path / "unsure")) == 2
    poets_edge(*watch).ok()
    assert len(kept(tmp_path / "unsure")) == 2, "only with --collect"
    poets_edge(*watch, "--below", "0.5").failed("--collect")
    poets_edge(*watch, "--collect", tmp_path / "unsure", "--below", "60").failed("below")
    (tmp_path / "file").write_text("")
    poets_edge(*watch, "--collect", tmp_path / "file").failed("file")


@pytest.mark.parametrize("name", ["daisy", "unknown"])
def test_collector_removes_temporary_files_of_a_killed_watch_process(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / ".collected-20261125-012345-00007.jpg.abcd_123.poets_edge.tmp").write_bytes(b"half a frame")
    (folder / ".mine.tmp").write_bytes(b"of somebody else")
    Collector(CollectOptions(folder=tmp_path), ["daisy"], Silent())
    assert [path.name for path in folder.iterdir()] == [".mine.tmp"]
