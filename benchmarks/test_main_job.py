"""Benchmarks of training and labeling for the README, run by `make benchmark`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.recipes import BARE_LABEL_SCRIPT, KERAS_SCRIPT, bare_loop, keras_recipe
from benchmarks.side_by_side import peak_memory, run_python, side_by_side
from benchmarks.tables import load, publish
from poets_edge.core.parallel import cores
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import scan
from poets_edge.progress import Silent
from poets_edge.training.backbone import Backbone, prepare_backbone
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.bottlenecks import BackboneCache, HashedPhoto, bottlenecks
from poets_edge.training.hashed_photos import hash_photos
from tests.conftest import DAISY, Trained, poets_edge

Rows = list[list[str]]

_COMMAND = "python -m pytest benchmarks/test_main_job.py --benchmark-only -s"


@pytest.fixture(scope="module")
def rows() -> Iterator[Rows]:
    """Yield a list to which the benchmarks in this file append their table rows; publish the table at the end."""
    found = [["what", "ratio", "poets-edge", "the other"]]
    yield found
    if len(found) == 9:
        notes = [f"Medians of contenders that ran in turn. Load average at the end: {load():.1f}."]
        publish("main_job", "The main job", _COMMAND, found, notes)


@pytest.fixture(scope="module")
def backbone(keras_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    entry = architecture("mobilenet_0.50_224")
    return prepare_backbone(entry, find_weights(entry, Path("none")), tmp_path_factory.mktemp("backbone"))


def test_cold_bottlenecks(benchmark: Any, flowers: Path, backbone: Backbone, tmp_path: Path, rows: Rows) -> None:
    """Compare the time for computing the bottlenecks of 1,000 photos, with empty caches, with two other programs.

    One is written as in Keras tutorials; the other is a loop with only Pillow and one interpreter per thread.
    """
    import keras

    photos, size = scan(flowers).photos, backbone.architecture.size
    paths = [photo.file for photo in photos]
    model = keras.applications.MobileNet((*size, 3), alpha=0.5, include_top=False, pooling="avg")
    runs = iter(range(1000))
    found: list[Any] = []

    def ours() -> None:
        with open_cache(tmp_path / f"{next(runs)}.sqlite") as (cache, _):
            hashed = [item for item in hash_photos(photos) if isinstance(item, HashedPhoto)]
            found[:] = [
                result[0]
                for _, result in bottlenecks(hashed, [BackboneCache(backbone, cache)], Silent())
                if isinstance(result, list)
            ]

    others = {
        "Keras recipe": lambda: keras_recipe(flowers, model, size),
        "bare loop": lambda: bare_loop(paths, backbone.model, size, cores()),
    }
    keras_one, bare_one = side_by_side(benchmark, ours, others, rounds=5).values()
    rows += [
        ["bottlenecks of 1,000 photos at 0.50_224, cold, hashed and stored: times as fast as the Keras recipe",
         f"**{keras_one.ratio:.2f}**", f"{keras_one.ours:.2f} s", f"{keras_one.other:.2f} s"],
        ["the same, rate beside a bare loop of Pillow and one interpreter a thread",
         f"**{bare_one.ratio:.2f}**", f"{bare_one.ours:.2f} s", f"{bare_one.other:.2f} s"],
    ]  # fmt: skip
    bare = bare_loop(paths[:50], backbone.model, size, cores())
    np.testing.assert_allclose(np.stack(found[:50]), np.stack([bare[path] for path in paths[:50]]), atol=0.5)


def test_warm_run(benchmark: Any, flowers: Path, trained: Trained, rows: Rows) -> None:
    """Time `poets-edge train` with cached bottlenecks, for 1,000 photos and 4,000 steps."""

    def run() -> None:
        poets_edge("train", "--image_dir", flowers, "--quiet", cwd=trained.folder).ok()

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    what = "`train` with every bottleneck cached: 1,000 photos, 4,000 steps, all of it"
    rows.append([what, "", f"{benchmark.stats.stats.median:.2f} s", ""])


def test_label_as_a_process(benchmark: Any, flowers: Path, trained: Trained, tmp_path: Path, rows: Rows) -> None:
    """Compare time and peak memory of labeling one photo in a new process with those of a minimal script."""
    script = tmp_path / "bare.py"
    script.write_text(BARE_LABEL_SCRIPT)
    photo, labels = flowers / DAISY, trained.folder / "tf_files/retrained_labels.txt"
    ours: list[str | Path] = ["-m", "poets_edge", "label", "--graph", trained.model(), photo]
    bare: list[str | Path] = [script, trained.model(), photo, labels]
    [timed] = side_by_side(
        benchmark, lambda: run_python(*ours), {"bare script": lambda: run_python(*bare)}, rounds=15
    ).values()
    mine, other = peak_memory(ours), peak_memory(bare)
    rows += [
        ["`label` on one photo as a process, time beside a bare script",
         f"**{1 / timed.ratio:.2f}**", f"{timed.ours:.3f} s", f"{timed.other:.3f} s"],
        ["the same, peak memory", f"{mine / other:.2f}", f"{mine:.0f} MB", f"{other:.0f} MB"],
    ]  # fmt: skip


def test_train_and_export(benchmark: Any, flowers: Path, keras_home: Path, tmp_path: Path, rows: Rows) -> None:
    """Compare time and peak memory of training and float32 export, without caches, with those of a Keras program."""
    script, folders = tmp_path / "recipe.py", iter(range(1000))
    script.write_text(KERAS_SCRIPT)
    peaks: list[float] = []

    def ours() -> None:
        folder = tmp_path / f"ours-{next(folders)}"
        folder.mkdir()
        train: list[str | Path] = [
            "-m",
            "poets_edge",
            "train",
            flowers,
            "--architecture",
            "mobilenet_0.50_224",
            "--quiet",
        ]
        export: list[str | Path] = ["-m", "poets_edge", "export", "--quantize", "float32", "--quiet"]
        peaks.append(max(peak_memory(train, cwd=folder), peak_memory(export, cwd=folder)))

    recipe: list[str | Path] = [script, flowers, tmp_path / "keras.tflite"]
    others = {"Keras recipe": lambda: run_python(*recipe, cwd=tmp_path)}
    [timed] = side_by_side(benchmark, ours, others, rounds=3).values()
    rows += [
        ["`train` and `export`, cold, one scored float file: times as fast as the Keras recipe with as many steps",
         f"**{timed.ratio:.2f}**", f"{timed.ours:.2f} s", f"{timed.other:.2f} s"],
        ["the same, peak memory", f"{max(peaks) / (other := peak_memory(recipe, cwd=tmp_path)):.2f}",
         f"{max(peaks):.0f} MB", f"{other:.0f} MB"],
    ]  # fmt: skip


def test_memory_of_a_cold_run(benchmark: Any, flowers: Path, keras_home: Path, tmp_path: Path, rows: Rows) -> None:
    """Compare peak memory of training on 200 and 1,000 photos; it may grow only by the size of the feature vectors."""
    peaks = []
    for count in (40, 200):
        folder = tmp_path / f"photos-{count}"
        for class_folder in sorted(path for path in flowers.iterdir() if path.is_dir()):
            (folder / class_folder.name).mkdir(parents=True)
            for photo in sorted(class_folder.iterdir())[:count]:
                (folder / class_folder.name / photo.name).symlink_to(photo)
        work = tmp_path / f"work-{count}"
        work.mkdir()
        few: list[str | Path] = ["train", "--image_dir", folder, "--quiet", "--how_many_training_steps", "10"]
        poets_edge(*few, cwd=work).ok()
        for cache in (work / "tf_files/bottlenecks").glob("mobilenet_*.sqlite"):
            cache.unlink()
        peaks.append(peak_memory(["-m", "poets_edge", *few], cwd=work))
    few_mb, many_mb = peaks
    what = "peak memory of a cold run: 1,000 photos beside 200"
    rows.append([what, f"{many_mb / few_mb:.2f}", f"{many_mb:.0f} MB", f"{few_mb:.0f} MB"])
    benchmark.pedantic(lambda: None, rounds=1)
