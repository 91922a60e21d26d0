"""Tests of photo folders with split folders (train/, val/, test/) that contain class folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from poets_edge.demo.draw import draw_photos
from poets_edge.photos.folder import scan
from poets_edge.photos.split import SplitConfig, split
from tests.conftest import poets_edge


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """Photo folder with nine photos per class in `train` and three in `Valid`."""
    draw_photos(tmp_path / "drawn", per_class=12)
    for photo in scan(tmp_path / "drawn").photos:
        number = int(photo.file.stem.rpartition("-")[2])
        target = tmp_path / "divided" / ("Valid" if number % 4 == 0 else "train") / photo.label / photo.file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo.file, target)
    return tmp_path / "divided"


def test_split_preserves_split_folders_and_fills_missing_splits(divided: Path) -> None:
    found = scan(divided)
    assert found.set_folders == ("Valid", "train") and len(found.classes) == 5
    sets = split(found.photos, SplitConfig(testing=20, validation=10))
    for name, chosen in sets.items():
        assert (chosen == "validation") is name.startswith("Valid/"), name
    tested = [name for name, chosen in sets.items() if chosen == "test"]
    assert len(tested) >= 5 and all(name.startswith("train/") for name in tested), (
        "a split without a folder must be filled"
    )


def test_photos_in_the_test_folder_form_the_test_split(divided: Path) -> None:
    (divided / "Valid").rename(divided / "test")
    sets = split(scan(divided).photos, SplitConfig(testing=50, validation=0))
    assert all((chosen == "test") is name.startswith("test/") for name, chosen in sets.items())


@pytest.mark.parametrize("names", [("train",), ("train", "daisies")])
def test_scan_accepts_class_folders_named_like_splits(names: tuple[str, ...], tmp_path: Path) -> None:
    draw_photos(tmp_path / "drawn", per_class=1)
    photo = next((tmp_path / "drawn/daisy").iterdir())
    for name in names:
        (tmp_path / "photos" / name).mkdir(parents=True)
        shutil.copy(photo, tmp_path / "photos" / name / "photo.jpg")
    assert scan(tmp_path / "photos").classes == tuple(sorted(names))
    assert scan(tmp_path / "photos").set_folders == ()


def test_train_export_and_evaluate_use_split_folders(divided: Path, tmp_path: Path) -> None:
    backbone = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded")
    ran = poets_edge("train", divided, *backbone, "--how_many_training_steps", "200", "--json", cwd=tmp_path).ok()
    assert "sets as divided by the folders Valid, train" in ran.stderr
    trained = json.loads(ran.stdout)
    assert trained["labels"] == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
    assert all(counts["validation"] == 3 for counts in trained["classes"].values())
    poets_edge("export", "--quantize", "int8", "-q", cwd=tmp_path).ok()
    model = tmp_path / "tf_files/retrained_graph_int8.tflite"
    found = json.loads(poets_edge("evaluate", model, divided, "--set", "validation", "--json").ok().stdout)
    assert found["photos"] == 15


def test_train_export_and_evaluate_accept_split_folders_inside_folders_of_the_same_name(
    divided: Path, tmp_path: Path
) -> None:
    """Public data sets have folders such as `seg_train/seg_train/daisy`, and spell a class differently in one split."""
    for old, new in (("train", "seg_train"), ("Valid", "seg_test")):
        (tmp_path / "outer" / new).mkdir(parents=True)
        (divided / old).rename(tmp_path / "outer" / new / new)
    (tmp_path / "outer/seg_test/seg_test/daisy").rename(tmp_path / "outer/seg_test/seg_test/Daisy")
    place = tmp_path / "outer"
    backbone = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded")
    ran = poets_edge("train", place, *backbone, "--how_many_training_steps", "100", "--json", cwd=tmp_path).ok()
    assert all(counts["test"] == 3 for counts in json.loads(ran.stdout)["classes"].values())
    assert "taken as the class daisy" in ran.stderr
    exported = json.loads(poets_edge("export", "--quantize", "int8", "--json", "-q", cwd=tmp_path).ok().stdout)
    assert exported["files"][0]["test"]["photos"] == 15
    model = tmp_path / "tf_files/retrained_graph_int8.tflite"
    assert json.loads(poets_edge("evaluate", model, place, "--json").ok().stdout)["photos"] == 15


def test_train_rejects_a_class_without_training_photos(divided: Path, tmp_path: Path) -> None:
    (divided / "train/tulips").rename(divided / "Valid/lilies")
    ran = poets_edge("train", divided, "--weights", "embedded", "--architecture", "mobilenet_0.25_128", cwd=tmp_path)
    ran.failed("class lilies: no photo for training, and 9 in Valid/lilies")


def test_class_that_is_empty_in_only_one_split_is_not_reported(tmp_path: Path) -> None:
    for name in ("train/daisy/1.jpg", "train/roses/1.jpg", "test/roses/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for name in ("test/Daisy", "train/tulips", "test/tulips"):
        (tmp_path / name).mkdir()
    assert scan(tmp_path).empty_classes == ("tulips",)


def test_class_name_that_contains_the_word_photos_is_accepted_inside_split_folders(tmp_path: Path) -> None:
    for name in ("train/rose photos/1.jpg", "test/rose photos/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    found = [(photo.label, photo.given_split) for photo in scan(tmp_path).photos]
    assert found == [("rose photos", "test"), ("rose photos", "training")]


@pytest.mark.parametrize("above", ["", "train/"])
def test_files_other_than_photos_in_subfolders_of_class_folders_are_counted(above: str, tmp_path: Path) -> None:
    names = [f"{above}daisy/1.jpg", f"{above}daisy/notes/a.txt", f"{above}daisy/b.txt", f"{above}roses/1.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert f"{tmp_path}: left out 2 files that are not photos: 2 .txt." in scan(tmp_path).notes
