"""End-to-end tests of `grid` on a few photos and two small architectures, after a run that was killed."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.errors import PhotoError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.folder import scan
from poets_edge.photos.image import read_photo
from poets_edge.progress import Silent
from poets_edge.training.backbone import Backbone, prepare_backbone
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.bottlenecks import BackboneCache, HashedPhoto, bottlenecks
from poets_edge.training.hashed_photos import hash_photos
from tests.conftest import ROOT, Ran, poets_edge

NAMES = ("mobilenet_0.25_128", "mobilenet_0.50_128")
OPTIONS = (
    *(word for name in NAMES for word in ("--architecture", name)),
    "--calibration_photos", "5", "--testing_percentage", "40", "--how_many_training_steps", "200",
    "--min-seconds", "0.05", "--min-runs", "5", "--rounds", "2", "-q",
)  # fmt: skip
PHOTOS_PER_CLASS = 12


@dataclass(frozen=True)
class Grid:
    """Work folder in which one run of `grid` was killed and a second run finished.

    Attributes:
        folder: the work folder.
        photos: photo folder.
        before: modification times, in ns, of the models that were finished before the kill, by architecture.
    """

    folder: Path
    photos: Path
    before: dict[str, int]

    @property
    def output(self) -> Path:
        return self.folder / "tf_files/grid"

    def run(self, *more: str | Path) -> Ran:
        return poets_edge("grid", "--image_dir", self.photos, *OPTIONS, *more, cwd=self.folder)


def finished(output: Path) -> dict[str, int]:
    """Return the modification times, in ns, of the models of finished architectures, by architecture."""
    names = (path.parent.name for path in output.glob("*/result.json"))
    return {name: (output / name / "retrained_graph.tflite").stat().st_mtime_ns for name in names}


def start(folder: Path, photos: Path, *more: str | Path, limit: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "poets_edge", "grid", "--image_dir", photos, *OPTIONS, *more]
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None,
    )


@pytest.fixture(scope="module")
def done(flowers: Path, keras_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    folder = tmp_path_factory.mktemp("grid")
    photos = folder / "flowers"
    for class_folder in sorted(path for path in flowers.iterdir() if path.is_dir()):
        (photos / class_folder.name).mkdir(parents=True)
        for photo in sorted(class_folder.iterdir())[:PHOTOS_PER_CLASS]:
            (photos / class_folder.name / photo.name).symlink_to(photo)
    output = folder / "tf_files/grid"
    running = start(folder, photos)
    end = time.monotonic() + 240
    while not finished(output) and running.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    grid = Grid(folder, photos, finished(output))
    assert grid.before, "no architecture was finished before the kill"
    grid.run().ok()
    return grid


@pytest.fixture(scope="module")
def result(done: Grid) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((done.output / "grid.json").read_text())
    return found


def test_grid_continues_a_killed_run(done: Grid) -> None:
    after = finished(done.output)
    assert set(after) == set(NAMES)
    # The other architecture may have been in progress; then it is trained again.
    first = min(done.before, key=lambda name: done.before[name])
    assert after[first] == done.before[first]


def test_grid_evaluates_each_architecture_at_each_quantization(done: Grid, result: dict[str, Any]) -> None:
    points = {(point["architecture"], point["quantization"]): point for point in result["points"]}
    assert set(points) == {(name, quantization) for name in NAMES for quantization in ("float32", "int8")}
    for point in points.values():
        assert point["size"] == Path(done.folder, point["model"]).stat().st_size
        assert point["photos"] == 5 * PHOTOS_PER_CLASS, "each point must be evaluated on all photos"
        assert point["accuracy"] == pytest.approx(sum(point["right"]) / point["judgments"] / point["photos"])
        assert point["interval95"][0] <= point["accuracy"] <= point["interval95"][1]
        assert 0 < point["latency_ms"]["median"] <= point["latency_ms"]["p90"]
        assert point["photos_per_second"] > 0
    best = max(points.values(), key=lambda point: point["accuracy"])
    assert best["accuracy"] > 0.5, "the accuracy of random predictions for five classes is 0.2"
    small, large = points[NAMES[0], "float32"], points[NAMES[1], "float32"]
    assert small["published_imagenet_top1"] == 41.5
    assert large["published_pixel3_ms"] == 3.0
    assert small["mparams"] * 4 == pytest.approx(small["size"] / 1e6, rel=0.1)


def test_grid_compares_models_photo_by_photo(done: Grid, result: dict[str, Any]) -> None:
    best = max(result["points"], key=lambda point: point["accuracy"])
    for point in result["points"]:
        paired = point["beside_best"]
        differ = [one - other for one, other in zip(point["right"], best["right"], strict=True)]
        assert (paired["worse"], paired["better"]) == (sum(d < 0 for d in differ), sum(d > 0 for d in differ))
    assert result["folds"] == 5
    assert result["seconds"]["judging"] > 0
    table = done.run().ok().stdout
    assert "vs. best" in table
    assert f"{5 * PHOTOS_PER_CLASS} photos (5-fold cross-validation)" in table


def test_grid_without_folds_agrees_with_evaluate(done: Grid) -> None:
    strangers = done.folder / "strangers"
    strangers.mkdir()
    for photo in sorted((done.photos / "roses").iterdir())[:4]:
        (strangers / photo.name).symlink_to(photo.resolve())
    ran = done.run("--folds", "0", "--strangers", strangers, "--json").ok()
    point = json.loads(ran.stdout)["points"][1]
    arguments = ("--graph", point["model"], "--image_dir", done.photos, "--strangers", strangers, "--json")
    found = json.loads(poets_edge("evaluate", *arguments, cwd=done.folder).ok().stdout)
    assert (found["correct"], found["photos"]) == (sum(point["right"]), point["photos"])
    unknown = found["unknown"]
    assert point["strangers"] == unknown["strangers"] and point["strangers"]["photos"] == 4
    assert point["unknown"] == {field: unknown[field] for field in point["unknown"]}
    assert "test photos" in (done.output / "report.html").read_text()
    done.run().ok()  # other tests need the cross-validated report


def test_grid_caches_int8_features(done: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: object) -> None:
        raise AssertionError(f"{source} was decoded again")

    monkeypatch.setattr("poets_edge.training.bottlenecks.read_photo", fail)
    ran = done.run("--folds", "50", "--json").ok()
    assert f"uses {PHOTOS_PER_CLASS} folds instead of 50" in ran.stderr
    assert json.loads(ran.stdout)["folds"] == PHOTOS_PER_CLASS
    done.run().ok()


def test_grid_reuses_finished_work(done: Grid) -> None:
    before = (done.output / "latency.jsonl").read_bytes()
    first = (done.output / "chart.svg").read_bytes()
    ran = done.run("--json").ok()
    assert json.loads(ran.stdout)["seconds"]["measuring"] < 2
    assert (done.output / "latency.jsonl").read_bytes() == before
    assert (done.output / "chart.svg").read_bytes() == first


def test_train_reuses_the_bottlenecks_of_grid(done: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: object) -> None:
        raise AssertionError(f"{source} was decoded again")

    monkeypatch.setattr("poets_edge.training.bottlenecks.read_photo", fail)
    arguments = ("--image_dir", done.photos, "--architecture", NAMES[0], "--how_many_training_steps", "10", "-q")
    poets_edge("train", *arguments, "--output_graph", "other/g.pb", cwd=done.folder).ok()


def test_each_photo_is_decoded_once_for_all_architectures(
    done: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def counting(source: bytes, *, name: str) -> Image.Image:
        decoded.append(name)
        return read_photo(source, name=name)

    monkeypatch.setattr("poets_edge.training.bottlenecks.read_photo", counting)
    photos = [item for item in hash_photos(scan(done.photos).photos[:6]) if isinstance(item, HashedPhoto)]
    wanted = [architecture(name) for name in NAMES]
    folder = done.folder / "tf_files/bottlenecks"
    backbones = [prepare_backbone(one, find_weights(one, tmp_path), folder) for one in wanted]
    with open_cache(tmp_path / "0") as (first, _), open_cache(tmp_path / "1") as (second, _):
        places = [BackboneCache(backbone, cache) for backbone, cache in zip(backbones, (first, second), strict=True)]
        found = [vectors for _, vectors in bottlenecks(photos, places, Silent())]
    assert len(decoded) == len(photos)
    assert all(isinstance(v, list) and [len(x) for x in v] == [256, 512] for v in found)


def test_bottlenecks_are_equal_whether_architectures_run_separately_or_together(
    done: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photos include one that cannot be decoded and one that was changed after hashing."""
    monkeypatch.setattr("poets_edge.training.bottlenecks.cores", lambda: 1)  # results in batches of eight photos
    photos = shutil.copytree(done.photos, tmp_path / "photos")
    hashed = [item for item in hash_photos(scan(photos).photos) if isinstance(item, HashedPhoto)]
    assert len(hashed) >= 4 * 8
    broken, changed = hashed[3], hashed[9]
    broken.photo.file.write_bytes(b"not a picture")
    shutil.copyfile(hashed[20].photo.file, changed.photo.file)
    folder = done.folder / "tf_files/bottlenecks"
    backbones = [prepare_backbone(one, find_weights(one, tmp_path), folder) for one in map(architecture, NAMES)]

    def vectors(name: str, *wanted: Backbone) -> list[tuple[bytes, Any]]:
        with ExitStack() as stack:
            caches = [stack.enter_context(open_cache(tmp_path / name / one.cache_file.name))[0] for one in wanted]
            places = [BackboneCache(backbone, cache) for backbone, cache in zip(wanted, caches, strict=True)]
            return [(photo.digest, found) for photo, found in bottlenecks(hashed, places, Silent())]

    both, alone = vectors("both", *backbones), [vectors("alone", one) for one in backbones]
    for row, (digest, found) in enumerate(both):
        for column, of_one in enumerate(alone):
            assert of_one[row][0] == digest
            if row == 3:
                assert isinstance(found, PhotoError) and isinstance(of_one[row][1], PhotoError)
            else:
                np.testing.assert_array_equal(found[column], of_one[row][1][0])
    assert both[9][0] == both[20][0] == hashed[20].digest != changed.digest


def test_grid_recomputes_damaged_cache_rows_before_cross_validation(done: Grid) -> None:
    saved = done.output / NAMES[0] / "result.json"
    before = saved.read_text()
    (floats,) = (done.folder / "tf_files/bottlenecks").glob(f"{NAMES[0]}-*.sqlite")
    for cache in (floats, done.output / NAMES[0] / "int8_features.sqlite"):
        with closing(sqlite3.connect(cache)) as connection:
            connection.execute("UPDATE bottlenecks SET crc = crc + 1 WHERE rowid % 10 = 0")
            connection.commit()
            assert connection.total_changes >= 5
    saved.write_text(json.dumps({**json.loads(before), "cross_validation": None}))
    done.run().ok()
    assert saved.read_text() == before


def test_grid_report_has_no_external_resources(done: Grid, result: dict[str, Any]) -> None:
    assert (done.output / "chart.png").read_bytes().startswith(b"\x89PNG")
    page = (done.output / "report.html").read_text()
    assert "<svg" in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    for name in NAMES:
        assert page.count(f"<td>{name}</td>") == 2
    chosen = next(
        p for p in result["points"] if f"{p['architecture']} {p['quantization']}" == result["choice"]["point"]
    )
    saved = json.loads((done.output / chosen["architecture"] / "result.json").read_text())
    evaluated = saved["cross_validation"]["models"][chosen["quantization"]]
    mistakes, confusion = evaluated["mistakes"], evaluated["confusion"]
    assert len(mistakes) == sum(map(sum, confusion)) - sum(row[place] for place, row in enumerate(confusion))
    assert all(count == int(count) for row in confusion for count in row)
    assert page.count("data:image/jpeg") == min(len(mistakes), 24)
    assert "could be equal" in page
    assert result["choice"]["reason"].split(":")[0] in page


def test_grid_with_the_ship_option_copies_the_chosen_model_and_its_labels(done: Grid, result: dict[str, Any]) -> None:
    ran = done.run("--max-size", "0.5MB", "--ship").ok()
    assert "mobilenet_0.25_128 int8" in ran.stdout
    (model,) = (done.output / "ship").glob("*.tflite")
    assert model.name == "mobilenet_0.25_128_int8.tflite"
    assert (done.output / "ship/labels.txt").read_text().split() == result["labels"]
    photo = scan(done.photos).photos[0].file
    poets_edge("label", "--graph", model, photo).ok()


def test_grid_fails_if_no_model_is_within_the_budget(done: Grid) -> None:
    ran = done.run("--max-size", "10kB", "--ship")
    ran.failed("none of the 4 points", "The nearest is mobilenet_0.25_128 int8", "MB")
    assert not list((done.output / "ship").glob("*")), "the files of an earlier choice must be removed"
    assert "The nearest is mobilenet" in (done.output / "report.html").read_text()
    assert "mobilenet_0.50_128" in ran.stdout, "the table must be printed nevertheless"


def test_grid_keeps_finished_architectures_if_the_disk_is_full(done: Grid, tmp_path: Path) -> None:
    # Only the larger graph exceeds the limit of the file size.
    stopped = start(done.folder, done.photos, "--output_dir", tmp_path / "grid", limit=2_000_000)
    _, err = stopped.communicate(timeout=240)
    assert stopped.returncode == 1, err
    assert "Traceback" not in err
    assert "cannot write" in err
    assert "1 of 2 architectures are finished and kept" in err
    before = finished(tmp_path / "grid")
    assert set(before) == {NAMES[0]}
    ran = done.run("--output_dir", tmp_path / "grid").ok()
    assert finished(tmp_path / "grid")[NAMES[0]] == before[NAMES[0]]
    assert NAMES[1] in ran.stdout


def test_grid_reports_invalid_arguments_and_folders(done: Grid, tmp_path: Path) -> None:
    grid = ("grid", "--image_dir", done.photos)
    poets_edge(*grid, "--architecture", "mobilenet_0.3_128").failed("mobilenet_0.3_128", "Nearest")
    poets_edge(*grid, "--threads", "0").failed("--threads")
    poets_edge(*grid, "--folds", "1").failed("--folds must be 2 or more")
    poets_edge(*grid, "--testing_percentage", "0").failed("--testing-percentage 0")
    poets_edge(*grid, "--max-latency", "soon").failed("--max-latency soon", "20ms")
    poets_edge(*grid, "--output_dir", done.photos / "grid").failed("grid")
    poets_edge("grid", "--image_dir", tmp_path / "none").failed("none", "no such folder")
    for name in ("daisy", "roses"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "broken" / name / f"{number}.jpg").write_bytes(b"not a picture")
    broken = poets_edge("grid", "--image_dir", tmp_path / "broken", *OPTIONS, cwd=done.folder)
    broken.failed("none of its 6 photos can be read")
