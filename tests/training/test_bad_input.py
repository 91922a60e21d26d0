"""Tests of the errors that `train` reports for unusable photo folders, photos, options and weights."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import poets_edge

FAST = ("--architecture", "mobilenet_0.25_128", "--how_many_training_steps", "20", "--quiet")


@pytest.fixture(autouse=True)
def _weights(keras_home: Path) -> None:
    """Provide the pretrained weights."""


def noise(path: Path, seed: int, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Path:
    """Write an image of random pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (*size[::-1], bands), dtype=np.uint8)
    Image.fromarray(values.squeeze(), mode if bands > 1 else None).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two classes of five photos each."""
    for label in ("left", "right"):
        for number in range(5):
            noise(tmp_path / "photos" / label / f"{number}.png", 10 * number + (label == "right"))
    return tmp_path / "photos"


def record(folder: Path) -> dict[str, dict[str, dict[str, int]]]:
    content: dict[str, dict[str, dict[str, int]]] = json.loads((folder / "tf_files/retrained_graph.json").read_text())
    return content


def test_train_rejects_unusable_photo_folders(tmp_path: Path, photos: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    one = tmp_path / "one"
    shutil.copytree(photos / "left", one / "left")
    loose = tmp_path / "loose"
    shutil.copytree(photos / "left", loose)
    hollow = tmp_path / "hollow"
    (hollow / "left").mkdir(parents=True)
    for folder, said in {
        tmp_path / "nowhere": "no such folder",
        photos / "left/0.png": "a file, not a folder",
        empty: "no class folders",
        one: "two classes or more",
        loose: "one folder a class",
        hollow: "no photos in left",
    }.items():
        poets_edge("train", "--image_dir", folder, *FAST, cwd=tmp_path).failed(str(folder), said)
    assert not (tmp_path / "tf_files/retrained_graph.pb").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--testing_percentage", "101"], "between 0 and 100"),
        (["--testing_percentage", "60", "--validation_percentage", "50"], "leave nothing to train on"),
        (["--how_many_training_steps", "0"], "1 or more"),
        (["--learning_rate", "nan"], "not a finite number"),
        (["--train_batch_size", "0"], "1 or more"),
        (["--validation_batch_size", "-2"], "-1 for all"),
        (["--random_crop", "120"], "between 0 and 100"),
        (["--flip_left_right", "--distorted_variants", "0"], "1 or more"),
        (["--architecture", "mobilenet_0.5_225"], "mobilenet_0.50_224"),
        (["--architecture", "resnet"], "inception_v3"),
        (["--output_graph", "photos/graph.pb"], "inside the photo folder"),
        (["--bottleneck-dir", "photos/left"], "inside the photo folder"),
        (["--final_tensor_name", "a b"], "not a node name"),
    ],
)
def test_train_rejects_invalid_options(photos: Path, tmp_path: Path, flags: list[str], said: str) -> None:
    poets_edge("train", "--image_dir", "photos", "--quiet", *flags, cwd=tmp_path).failed(said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"], "nothing may be written"


def test_unreadable_photos_are_skipped_and_listed(photos: Path, tmp_path: Path) -> None:
    left = photos / "left"
    (left / "text.jpg").write_text("this is no picture")
    (left / "zero.jpg").write_bytes(b"")
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(whole, "JPEG")
    (left / "truncated.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (left / "gone.jpg").symlink_to("nowhere.jpg")
    Image.new("1", (30_000, 30_000)).save(left / "huge.png")
    bad = {"text.jpg", "zero.jpg", "truncated.jpg", "gone.jpg", "huge.png"}
    ran = poets_edge("train", "--image_dir", photos, *FAST, "--json", cwd=tmp_path).ok()
    result = json.loads(ran.stdout)
    assert {Path(line.partition(": ")[0]).name for line in result["unreadable"]} == bad
    assert sum(result["classes"]["left"].values()) == 5
    warned = [line for line in ran.stderr.splitlines() if "left out:" in line]
    assert len(warned) == len(bad)
    poets_edge("train", "--image_dir", photos, *FAST, "--strict", cwd=tmp_path).failed("left/", "Without --strict")


def test_train_reads_all_supported_image_formats(photos: Path, tmp_path: Path) -> None:
    left = photos / "left"
    rgb = Image.open(noise(tmp_path / "one.png", 99))
    rgb.convert("CMYK").save(left / "cmyk.JPG")
    rgb.convert("P").save(left / "palette.png", transparency=3)
    rgb.convert("RGBA").save(left / "alpha.webp")
    rgb.convert("L").save(left / "gray.Jpeg")
    rgb.convert("1").save(left / "bits.tif")
    Image.fromarray(np.random.default_rng(2).integers(0, 65536, (40, 50), dtype=np.uint16)).save(left / "16bit.png")
    frames = [rgb, rgb.rotate(90)]
    rgb.save(left / "moving.gif", save_all=True, append_images=frames)
    rgb.save(left / "moving.webp", save_all=True, append_images=frames)
    rgb.save(left / "old.bmp")
    names = ["with space.png", "quote'\".png", "100%d.png", "smile😀.png", "-rf.png"]
    for number, name in enumerate(names):
        noise(left / name, 1000 + number)
    result = json.loads(poets_edge("train", "--image_dir", photos, *FAST, "--json", cwd=tmp_path).ok().stdout)
    assert result["unreadable"] == []
    assert sum(result["classes"]["left"].values()) == 5 + 9 + len(names)


def test_class_labels_are_folder_names(photos: Path, tmp_path: Path) -> None:
    names = ["向日葵", "Red-Rose", "red_rose", "123", "with space"]
    for name in names:
        shutil.copytree(photos / "left", photos / name)
    poets_edge("train", "--image_dir", photos, *FAST, cwd=tmp_path).ok()
    labels = (tmp_path / "tf_files/retrained_labels.txt").read_text(encoding="utf-8").splitlines()
    assert labels == sorted([*names, "left", "right"])
    poets_edge("export", "--quiet", cwd=tmp_path).ok()
    ran = poets_edge(
        "label", "--graph", "tf_files/retrained_graph.tflite", photos / "left/0.png", "--top", "9", cwd=tmp_path
    )
    assert {line.partition(" (")[0] for line in ran.ok().stdout.splitlines()} == set(labels)


def test_small_and_empty_classes_are_reported(photos: Path, tmp_path: Path) -> None:
    (photos / "empty").mkdir()
    noise(photos / "pair/a.png", 501)
    noise(photos / "pair/b.png", 502)
    ran = poets_edge("train", "--image_dir", photos, *FAST, "--json", cwd=tmp_path).ok()
    classes = json.loads(ran.stdout)["classes"]
    assert "class empty: no photos" in ran.stderr
    assert "class pair: no test photo" in ran.stderr
    assert classes["pair"] == {"training": 2, "validation": 0, "test": 0}
    assert all(count >= 1 for count in classes["left"].values())
    assert "empty" not in classes


def test_duplicate_photos_are_reported(photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "left/0.png", photos / "right/same.png")
    ran = poets_edge("train", "--image_dir", photos, *FAST, cwd=tmp_path).ok()
    assert "teaches both classes: left/0.png" in ran.stderr
    assert "right/same.png" in ran.stderr


def test_symbolic_link_loops_are_skipped_when_subfolders_are_scanned(photos: Path, tmp_path: Path) -> None:
    noise(photos / "left/deeper/6.png", 77)
    (photos / "left/deeper/loop").symlink_to(photos / "left")
    (photos / "left/self").symlink_to("self")
    flat = poets_edge("train", "--image_dir", photos, *FAST, "--json", cwd=tmp_path).ok()
    deep = poets_edge("train", "--image_dir", photos, *FAST, "--json", "--recursive", cwd=tmp_path).ok()
    assert sum(json.loads(flat.stdout)["classes"]["left"].values()) == 5
    assert sum(json.loads(deep.stdout)["classes"]["left"].values()) == 6


def test_damaged_weights_are_rejected(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "models"
    models.mkdir()
    name = "mobilenet_2_5_128_tf_no_top.h5"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "nothing"))
    arguments = ("train", "--image_dir", photos, *FAST, "--model_dir", models)
    (models / name).write_bytes(random.Random(0).randbytes(5000))
    poets_edge(*arguments, cwd=tmp_path).failed(name, "damaged")


def test_damaged_cache_is_moved_aside(photos: Path, tmp_path: Path) -> None:
    poets_edge("train", "--image_dir", photos, *FAST, cwd=tmp_path).ok()
    graph = tmp_path / "tf_files/retrained_graph.pb"
    before = graph.read_bytes()
    [cache] = (tmp_path / "tf_files/bottlenecks").glob("mobilenet_*.sqlite")
    [model] = (tmp_path / "tf_files/bottlenecks").glob("*.tflite")
    for damage in (b"not a database", cache.read_bytes()[:5000]):
        cache.write_bytes(damage)
        model.write_bytes(model.read_bytes()[:1000])
        ran = poets_edge("train", "--image_dir", photos, *FAST, cwd=tmp_path).ok()
        assert graph.read_bytes() == before
    assert "the bottleneck cache was damaged" in ran.stderr or list(cache.parent.glob("*.damaged-*"))


def test_overwritten_cached_vectors_are_computed_again(photos: Path, tmp_path: Path) -> None:
    import sqlite3

    poets_edge("train", "--image_dir", photos, *FAST, cwd=tmp_path).ok()
    graph = tmp_path / "tf_files/retrained_graph.pb"
    before = graph.read_bytes()
    [cache] = (tmp_path / "tf_files/bottlenecks").glob("mobilenet_*.sqlite")
    connection = sqlite3.connect(cache)
    connection.execute("UPDATE bottlenecks SET vector = zeroblob(length(vector))")
    connection.commit()
    connection.close()
    poets_edge("train", "--image_dir", photos, *FAST, cwd=tmp_path).ok()
    assert graph.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can read everything")
def test_photo_without_read_permission_is_skipped(photos: Path, tmp_path: Path) -> None:
    (photos / "left/0.png").chmod(0)
    result = json.loads(poets_edge("train", "--image_dir", photos, *FAST, "--json", cwd=tmp_path).ok().stdout)
    assert len(result["unreadable"]) == 1


def test_changed_photo_gets_a_new_bottleneck(few_flowers: Callable[[int], Path], tmp_path: Path) -> None:
    folder = few_flowers(4)
    poets_edge("train", "--image_dir", folder, *FAST, cwd=tmp_path).ok()
    before = (tmp_path / "tf_files/retrained_graph.pb").read_bytes()
    victim = sorted((folder / "daisy").iterdir())[0]
    rose = sorted((folder / "roses").iterdir())[0].resolve()
    status = victim.stat()
    victim.unlink()
    shutil.copy(rose, victim)
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    poets_edge("train", "--image_dir", folder, *FAST, cwd=tmp_path).ok()
    assert (tmp_path / "tf_files/retrained_graph.pb").read_bytes() != before


def test_train_rejects_unusable_folders_in_the_background_and_strangers_options(tmp_path: Path, photos: Path) -> None:
    train = ("train", photos, *FAST, "--bottleneck-dir", tmp_path / "cache")
    (tmp_path / "few").mkdir()
    for number in range(3):
        noise(tmp_path / f"few/{number}.png", 900 + number)
    copies = tmp_path / "copies"
    for number in range(25):
        label = ("left", "right")[number % 2]
        noise(copies / f"{number}.png", 10 * (number % 5) + (label == "right"))
    for folder, said in {
        tmp_path / "nowhere": "no such folder",
        tmp_path / "few": "3 photos of a background that can be read; 20 or more are needed",
        copies: "25 of 25 photos show the same as photos of the classes",
        photos / "left": "lies inside the photo folder",
    }.items():
        poets_edge(*train, "--background", folder).failed(str(folder), said)
    poets_edge(*train, "--background", copies, "--unknown-rate", "0").failed("--unknown-rate 0")
    (tmp_path / "empty").mkdir()
    poets_edge(*train, "--strangers", tmp_path / "empty").failed("no photo of strangers that can be read")
    poets_edge(*train, "--strangers", photos / "left").failed("--strangers", "lies inside the photo folder")


def test_train_requires_twenty_photos_for_a_detector(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = poets_edge("train", photos, *FAST, "--json").ok()
    assert json.loads(ran.stdout)["unknown"] is None
    assert ran.stderr.count("no detector of unknown photos: ") == 1 and "20 or more" in ran.stderr
    silent = poets_edge("train", photos, *FAST, "--json", "--unknown-rate", "0").ok()
    assert "unknown" not in silent.stderr
