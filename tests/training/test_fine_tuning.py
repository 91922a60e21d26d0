"""Tests of fine-tuning with synthetic photos and the embedded backbone."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import OutputError, UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import Photo
from poets_edge.quantize.write_model import write_float_model
from poets_edge.training.backbone import Backbone
from poets_edge.training.bottlenecks import HashedPhoto
from poets_edge.training.fine_tuning.choice import compare_scores
from poets_edge.training.fine_tuning.fine_tune import FineTuned, _chosen
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.schedule import Schedule
from poets_edge.training.fine_tuning.tail import backbone_network, read_tail, with_tail
from poets_edge.training.head import Head, HeadOptions
from poets_edge.training.options import TrainOptions
from poets_edge.training.train import train
from tests.codelab import frozen_tgz
from tests.conftest import ROOT, Ran, poets_edge
from tests.needs import need_tensorflow

SMALL = (
    "--architecture", "mobilenet_0.25_128", "--weights", "embedded", "--how_many_training_steps", "200",
    "--distorted_variants", "4",
)  # fmt: skip
TUNED = (*SMALL, "--fine_tune", "2", "--fine_tune_epochs", "3", "--fine_tune_folds", "0")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twenty synthetic photos of each of five flowers."""
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    poets_edge("draw-photos", folder, "--per_class", "20", "-q").ok()
    return folder


@pytest.fixture(scope="module")
def tuned(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """A folder in which fine-tuning has run, and its output. It is shared by tests and must not be changed."""
    need_tensorflow()
    work = tmp_path_factory.mktemp("tuned")
    return work, poets_edge("train", photos, *TUNED, cwd=work).ok()


def graph(work: Path) -> bytes:
    return (work / "tf_files/retrained_graph.pb").read_bytes()


def record(work: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((work / "tf_files/retrained_graph.json").read_text())
    return found


def activations(work: Path) -> int:
    """Count the cached activations."""
    for file in (work / "tf_files/bottlenecks").glob("*.activations.sqlite"):
        with closing(sqlite3.connect(file)) as connection:
            try:
                return int(connection.execute("SELECT count(*) FROM activations").fetchone()[0])
            except sqlite3.OperationalError:
                return 0
    return 0


def library(photos: Path, work: Path, tuning: FineTuning) -> Any:
    """Call `train` as a library, with caches and outputs in `work`."""
    return train(
        TrainOptions(
            image_dir=photos, architecture=architecture("mobilenet_0.25_128"), weights="embedded",
            output_graph=work / "retrained_graph.pb", output_labels=work / "retrained_labels.txt",
            bottleneck_dir=work / "bottlenecks", model_dir=work / "models", summaries_dir=work / "summaries",
            head=HeadOptions(steps=200), fine_tuning=tuning,
        )
    )  # fmt: skip


def test_train_reports_and_records_fine_tuning(tuned: tuple[Path, Ran]) -> None:
    work, ran = tuned
    facts = record(work)
    tuning = facts["fine_tuning"]
    assert [epoch["epoch"] for epoch in tuning["epochs_run"]] == [1, 2, 3] and facts["steps"]
    [verdict] = [line for line in ran.stdout.splitlines() if line.startswith("fine-tuned ")]
    assert "photos right (of validation and test)" in verdict and f"The {tuning['written']} one is written" in verdict
    assert tuning["verdict"] == verdict
    pair = tuning["against_frozen"]
    validated = facts["validation"]["photos"]
    assert validated == sum(row["validation"] for row in facts["classes"].values())
    assert pair["photos"] == validated + facts["test"]["photos"]
    training = sum(row["training"] for row in facts["classes"].values())
    assert activations(work) == 4 * training + validated
    assert "epoch   3 of 3" in ran.stderr and "MB in" in ran.stderr
    summaries = work / "tf_files/training_summaries/mobilenet_0.25_128"
    assert {path.parent.name for path in summaries.rglob("events*")} == {
        "train", "validation", "fine_tuning_train", "fine_tuning_validation",
    }  # fmt: skip
    assert not list((work / "tf_files/bottlenecks").glob("*.checkpoint*")), "nothing is left to go on from"


def test_fine_tuned_model_is_not_cross_validated(tuned: tuple[Path, Ran]) -> None:
    work, ran = tuned
    if record(work)["fine_tuning"]["written"] == "fine-tuned":
        assert record(work)["cross_validation"] is None
        assert f"N = {record(work)['test']['photos']}" in ran.stderr
    else:
        assert record(work)["cross_validation"] is not None


def test_exports_agree_with_the_fine_tuned_graph(tuned: tuple[Path, Ran], tmp_path: Path) -> None:
    work, _ = tuned
    exported = poets_edge("export", "--all", "--json", "--output_dir", tmp_path, cwd=work).ok()
    files = {file["quantization"]: file for file in json.loads(exported.stdout)["files"]}
    assert set(files) == {"float32", "float16", "dynamic", "int8"}
    assert files["float32"]["test"]["correct"] == record(work)["test"]["correct"]
    assert files["int8"]["agreement_with_float"] >= 0.7


def test_second_run_uses_cached_activations_and_writes_an_identical_graph(
    photos: Path, tuned: tuple[Path, Ran], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(tuned[0], work)
    before = activations(work)
    other = poets_edge("train", photos, *TUNED, "--fine_tune_epochs", "1", cwd=work).ok()
    assert "to compute" not in other.stderr and activations(work) == before
    assert len(record(work)["fine_tuning"]["epochs_run"]) == 1
    poets_edge("train", photos, *TUNED, cwd=work).ok()
    assert graph(work) == graph(tuned[0]) and record(work) == record(tuned[0])
    poets_edge("train", photos, *SMALL, cwd=work).ok()
    assert record(work)["fine_tuning"] is None
    assert not list((work / "tf_files/training_summaries").rglob("fine_tuning*")), "curves of another run"


def test_damaged_activations_are_computed_again(photos: Path, tuned: tuple[Path, Ran], tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(tuned[0], work)
    [file] = (work / "tf_files/bottlenecks").glob("*.activations.sqlite")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE activations SET vector = zeroblob(length(vector)) WHERE rowid % 3 = 0")
    poets_edge("train", photos, *TUNED, cwd=work).ok()
    assert graph(work) == graph(tuned[0])


def _start(photos: Path, work: Path, limit: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "poets_edge", "train", photos, *TUNED],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=limit,
    )


def test_killed_fine_tuning_is_resumed_and_writes_an_identical_graph(
    photos: Path, tuned: tuple[Path, Ran], tmp_path: Path
) -> None:
    checkpoints = tmp_path / "tf_files/bottlenecks"
    moments: tuple[Callable[[], bool], ...] = (
        lambda: activations(tmp_path) >= 40,
        lambda: bool(list(checkpoints.glob("*.checkpoint.npz"))),
    )
    for moment in moments:
        process = _start(photos, tmp_path)
        while not moment() and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert list(checkpoints.glob("*.checkpoint.npz")), "it was killed between two epochs"
    ended = poets_edge("train", photos, *TUNED, cwd=tmp_path).ok()
    assert "continues after epoch" in ended.stderr and "to compute" not in ended.stderr
    assert graph(tmp_path) == graph(tuned[0]) and record(tmp_path) == record(tuned[0])


def test_fine_tuning_reports_a_full_disk_in_one_line_and_resumes(
    photos: Path, tuned: tuple[Path, Ran], tmp_path: Path
) -> None:
    poets_edge("train", photos, *SMALL, cwd=tmp_path).ok()
    process = _start(photos, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, 1_200_000)))
    _, stderr = process.communicate(timeout=120)
    lines = [line for line in stderr.decode().splitlines() if line.startswith("Error: ")]
    assert process.returncode == 1 and len(lines) == 1 and "activations.sqlite" in lines[0], stderr.decode()
    assert "Traceback" not in stderr.decode()
    kept = activations(tmp_path)
    assert 0 < kept < activations(tuned[0])
    poets_edge("train", photos, *TUNED, cwd=tmp_path).ok()
    assert graph(tmp_path) == graph(tuned[0])


def test_insufficient_disk_space_is_reported_before_computing_activations(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(OutputError, match=r"activations of \d+ kB take \d+ MB, and 1 MB are free"):
        library(photos, tmp_path, FineTuning(blocks=2))


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        (["--fine_tune", "14"], ["--fine-tune must be 13 or less"]),
        (["--fine_tune", "-1"], ["--fine-tune must be 0 or more"]),
        (["--fine_tune", "2", "--fine_tune_epochs", "0"], ["--fine-tune-epochs must be 1 or more"]),
        (["--fine_tune", "2", "--architecture", "inception_v3"], ["inception_v3", "MobileNet"]),
    ],
)
def test_train_rejects_invalid_fine_tuning_flags(
    photos: Path, tmp_path: Path, flags: list[str], fragments: list[str]
) -> None:
    poets_edge("train", photos, *SMALL, *flags, cwd=tmp_path).failed(*fragments)
    assert not (tmp_path / "tf_files").exists()


@pytest.mark.tensorflow
def test_diverged_fine_tuning_writes_the_frozen_backbone(photos: Path, tmp_path: Path) -> None:
    frozen = library(photos, tmp_path / "frozen", FineTuning())
    apart = library(photos, tmp_path / "apart", FineTuning(blocks=1, epochs=2, learning_rate=1e30, folds=0))
    assert "no longer a number" in apart.fine_tuned.verdict and apart.fine_tuned.written == "frozen"
    assert apart.graph.read_bytes() == frozen.graph.read_bytes()
    assert apart.test.to_json() == frozen.test.to_json()
    worse = library(photos, tmp_path / "apart", FineTuning(blocks=1, epochs=2, learning_rate=1e4, folds=0))
    assert worse.fine_tuned.written == "frozen" and "The frozen one is written" in worse.fine_tuned.verdict
    assert worse.graph.read_bytes() == frozen.graph.read_bytes()


@pytest.mark.tensorflow
def test_fine_tuning_accepts_a_class_of_two_photos(photos: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    shutil.copytree(photos, few)
    for path in sorted((few / "roses").iterdir())[2:]:
        path.unlink()
    poets_edge("train", few, *SMALL, "--fine_tune", "1", "--fine_tune_epochs", "2", cwd=tmp_path).ok()


def test_frozen_network_is_kept_unless_the_fine_tuned_one_is_significantly_better() -> None:
    frozen: Any = FineTuned(
        None, Head(np.zeros((2, 2), np.float32), np.zeros(2, np.float32)), np.zeros((1, 2), np.float32), (), 0,
        "frozen", None, "", (), (), FineTuning(),
    )  # fmt: skip
    good = np.tile(np.array([0.9, 0.1], np.float32), (90, 1))
    bad, truth = good.copy(), np.zeros(90, np.int64)
    bad[:10] = good[:10, ::-1]

    def written(after: Any, before: Any) -> FineTuned:
        compared = compare_scores(after, before, truth), "of validation and test"
        return _chosen(replace(frozen, written="fine-tuned"), frozen, compared)

    better = written(good, bad)
    assert better.written == "fine-tuned"
    assert better.verdict.startswith("fine-tuned 90, frozen 80 of 90 photos right (of validation and test): gains")
    assert better.verdict.endswith("The fine-tuned one is written (epoch 0).")
    for after, before in ((bad, good), (good, good)):
        kept = written(after, before)
        assert kept.written == "frozen" and "The frozen one is written." in kept.verdict
        assert kept.comparison is not None


@pytest.mark.tensorflow
@pytest.mark.parametrize("folds", [2, None])
def test_fine_tuning_in_folds_evaluates_every_photo_outside_the_test_set(
    folds: int | None, photos: Path, tmp_path: Path
) -> None:
    """By default, two folds are used here, because the difference on twenty photos is not significant."""
    found = library(photos, tmp_path, FineTuning(blocks=1, epochs=2, folds=folds))
    expected = sum(sets["training"] + sets["validation"] for sets in found.table.values())
    assert found.fine_tuned.comparison.paired.photos == expected
    assert "cross-fitted in 2 folds" in found.fine_tuned.verdict
    assert not list((tmp_path / "bottlenecks").glob("*.checkpoint*"))


def test_epochs_balance_classes_and_alternate_between_variants_of_a_photo() -> None:
    photos = [HashedPhoto(Photo(Path(f"{n}.jpg"), "x", f"{n}.jpg"), bytes([n])) for n in range(50)]
    classes = np.array([0] * 40 + [1] * 10)
    crops, whole = ("a", "b", "c"), ("plain", "mirrored")
    schedule = Schedule(photos=photos, classes=classes, views=crops, whole=whole, whole_from=6, batch_size=8, seed=1)
    shown: dict[int, list[str]] = {n: [] for n in range(50)}
    for epoch in range(6):
        batches = list(schedule.epoch(epoch))
        counts = Counter(int(number) for _, numbers in batches for number in numbers)
        assert counts == {0: 24, 1: 24}
        for views, _ in batches:
            assert len(views) == 8
            for view in views:
                shown[view.photo.digest[0]].append(view.name)
    assert {len(names) for n, names in shown.items() if n >= 40} <= set(range(12, 19)), "2.4 times an epoch"
    assert all(max(Counter(names).values()) - min(Counter(names).values()) <= 3 for names in list(shown.values())[40:])
    assert set(itertools.chain.from_iterable(shown.values())) == set(crops)
    assert {view.name for epoch in (6, 7) for views, _ in schedule.epoch(epoch) for view in views} == set(whole)
    again = [view.name for views, _ in schedule.epoch(3) for view in views]
    assert again == [view.name for views, _ in schedule.epoch(3) for view in views]
    other = dataclasses.replace(schedule, seed=2)
    assert again != [view.name for views, _ in other.epoch(3) for view in views]


def test_fine_tuning_rejects_invalid_options() -> None:
    for bad in ({"learning_rate": 0.0}, {"batch_size": 0}, {"label_smoothing": 1.0}):
        with pytest.raises(UsageError):
            FineTuning(**bad)


def test_activation_caches_are_listed_and_removed_by_name(tuned: tuple[Path, Ran], tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(tuned[0], work)
    folder = work / "tf_files/bottlenecks"
    (folder / "holiday.sqlite").write_bytes(b"somebody else's")
    listed = json.loads(poets_edge("cache", "--json", cwd=work).ok().stdout)["caches"]
    found = [each for each in listed if each["kind"] not in ("digests", "groups")]
    bottlenecks, kept = sorted(found, key=lambda each: str(each["kind"]), reverse=True)
    assert kept["name"] == f"{bottlenecks['name']}-last2" and bottlenecks["rows"] == 100
    assert kept["rows"] == activations(work) and kept["bytes"] > kept["rows"] * 4 * 4 * 128
    poets_edge("cache", "--remove", "last2", cwd=work).failed("no cache named 'last2'", kept["name"])
    removed = poets_edge("cache", "--remove", kept["name"], cwd=work).ok()
    assert "removed" in removed.stdout and not list(folder.glob("*last2*"))
    poets_edge("cache", "--remove", bottlenecks["name"], "--remove", "photos", "--remove", "groups", cwd=work).ok()
    assert [path.name for path in folder.iterdir()] == ["holiday.sqlite"]
    assert "nothing in" in poets_edge("cache", cwd=work).ok().stdout


def test_replacing_the_tail_of_a_backbone_with_itself_does_not_change_the_model(
    photos: Path, tuned: tuple[Path, Ran]
) -> None:
    [graph_file] = (tuned[0] / "tf_files/bottlenecks").glob("*.pb")
    entry = architecture("mobilenet_0.25_128")
    network = backbone_network(Backbone(entry, "", graph_file, graph_file.with_suffix(".tflite")))
    for blocks in (1, 3, 13):
        tail = read_tail(network, blocks, entry.name)
        assert len(tail.convolutions) == 2 * blocks - 1 and tail.convolutions[0].kind == "convolution"
        assert write_float_model(with_tail(network, tail)) == write_float_model(network)
    with pytest.raises(UsageError, match="13 or less"):
        read_tail(network, 14, entry.name)


@pytest.mark.tensorflow
def test_codelab_weights_are_fine_tuned(photos: Path, keras_home: Path, tmp_path: Path) -> None:
    archive = frozen_tgz(architecture("mobilenet_0.25_128"), tmp_path)
    flags = (*SMALL[:2], "--how_many_training_steps", "100", "--distorted_variants", "1", "--weights", archive)
    tuning = ("--fine_tune", "1", "--fine_tune_epochs", "1", "--fine_tune_folds", "0")
    ran = poets_edge("train", photos, *flags, *tuning, cwd=tmp_path).ok()
    assert "photos right (of validation and test)" in ran.stdout
