"""Tests of `train` on valid photos: reproducibility, distortions, outputs and record."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Ran, poets_edge

SMALL = ("--architecture", "mobilenet_0.25_128", "--how_many_training_steps", "100")


@pytest.fixture
def folder(few_flowers: Callable[[int], Path], keras_home: Path) -> Path:
    """A folder with a hundred real photos."""
    return few_flowers(20)


def train(folder: Path, cwd: Path, *flags: str) -> Ran:
    return poets_edge("train", "--image_dir", folder, *SMALL, *flags, cwd=cwd).ok()


def graph(cwd: Path) -> bytes:
    return (cwd / "tf_files/retrained_graph.pb").read_bytes()


def vectors(cwd: Path) -> int:
    [cache] = (cwd / "tf_files/bottlenecks").glob("mobilenet_*.sqlite")
    with closing(sqlite3.connect(cache)) as connection:
        return int(connection.execute("SELECT count(*) FROM bottlenecks").fetchone()[0])


def test_train_with_the_same_seed_writes_an_identical_graph(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path, "--seed", "3")
    first, record = graph(tmp_path), (tmp_path / "tf_files/retrained_graph.json").read_bytes()
    train(folder, tmp_path, "--seed", "3")
    assert graph(tmp_path) == first
    assert (tmp_path / "tf_files/retrained_graph.json").read_bytes() == record
    train(folder, tmp_path, "--seed", "4")
    assert graph(tmp_path) != first


def test_graph_does_not_depend_on_the_spelling_of_the_folder_path(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path)
    first = graph(tmp_path)
    train(Path("..") / tmp_path.name / folder.name, tmp_path)
    assert graph(tmp_path) == first


@pytest.mark.parametrize(
    "flags",
    [["--flip_left_right"], ["--random_crop", "10"], ["--random_scale", "20"], ["--random_brightness", "30"]],
    ids=lambda flags: flags[0],
)
def test_distorted_variants_are_computed_once_and_only_for_training_photos(
    folder: Path, tmp_path: Path, flags: list[str]
) -> None:
    train(folder, tmp_path)
    plain = graph(tmp_path)
    photos = vectors(tmp_path)
    ran = train(folder, tmp_path, *flags, "--distorted_variants", "2", "--json")
    assert "distorted" in ran.stderr
    classes = json.loads(ran.stdout)["classes"]
    training = sum(counts["training"] for counts in classes.values())
    # Half of the mirrored copies equal the photo, and are computed as well, since a copy is identified by its number.
    assert vectors(tmp_path) == photos + 2 * training
    distorted = graph(tmp_path)
    assert distorted != plain
    again = train(folder, tmp_path, *flags, "--distorted_variants", "2")
    assert "bottlenecks" not in again.stderr
    assert graph(tmp_path) == distorted


def test_label_command_accepts_intermediate_graphs(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path, "--intermediate_store_frequency", "40", "--intermediate_output_graphs_dir", "between")
    assert sorted(path.name for path in (tmp_path / "between").iterdir()) == [
        "intermediate_40.pb",
        "intermediate_80.pb",
    ]
    labels = tmp_path / "tf_files/retrained_labels.txt"
    photo = next((folder / "daisy").iterdir())
    ran = poets_edge("label", "--graph", tmp_path / "between/intermediate_80.pb", "--labels", labels, photo)
    assert "(score = " in ran.ok().stdout


def test_train_lists_misclassified_photos_and_applies_the_test_batch_size(folder: Path, tmp_path: Path) -> None:
    ran = train(folder, tmp_path, "--print_misclassified_test_images", "--how_many_training_steps", "1")
    wrong = [line for line in ran.stdout.splitlines() if "answered" in line]
    record = json.loads((tmp_path / "tf_files/retrained_graph.json").read_text())
    assert len(wrong) == len(record["misclassified"]) == record["test"]["photos"] - record["test"]["correct"] > 0
    train(folder, tmp_path, "--test_batch_size", "3")
    assert json.loads((tmp_path / "tf_files/retrained_graph.json").read_text())["test"]["photos"] == 3


def test_train_accepts_empty_test_and_validation_splits_and_an_output_name(folder: Path, tmp_path: Path) -> None:
    flags = ("--testing_percentage", "0", "--validation_percentage", "0", "--final_tensor_name", "flower")
    ran = train(folder, tmp_path, *flags, "--json")
    assert json.loads(ran.stdout)["test"] == json.loads(ran.stdout)["validation"]
    assert json.loads(ran.stdout)["test"]["accuracy"] is None
    assert "validation" not in next(line for line in ran.stderr.splitlines() if line.startswith("step"))
    poets_edge("export", "--quiet", cwd=tmp_path).ok()
    photo = next((folder / "daisy").iterdir())
    poets_edge("label", "--graph", "tf_files/retrained_graph.tflite", photo, cwd=tmp_path).ok()
    poets_edge("label", "--graph", "tf_files/retrained_graph.pb", photo, cwd=tmp_path).ok()


def test_record_contains_options_photos_and_results(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path)
    record = json.loads((tmp_path / "tf_files/retrained_graph.json").read_text())
    assert {"versions", "weights", "architecture", "head", "percentages", "classes", "sets", "steps"} <= set(record)
    assert {"test", "validation", "misclassified", "unreadable", "duplicates", "graph_sha256"} <= set(record)
    assert len(record["steps"]) == 11
    assert sum(len(names) for names in record["sets"].values()) == 100
    low, high = record["test"]["interval95"]
    assert low < record["test"]["accuracy"] <= high
    assert sum(map(sum, record["test"]["confusion"])) == record["test"]["photos"]
