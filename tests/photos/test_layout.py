"""Tests of folder layouts: the interpretation is reported, or an error explains how to resolve an ambiguity."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from poets_edge.errors import DatasetError
from poets_edge.photos.folder import PhotoFolder, scan
from poets_edge.photos.split_names import split_of

_CLASSES = ("daisy", "roses")


def _place(kind: str, folder: Path, names: list[str]) -> Path:
    """Write files, each with its name as its content, into a folder or a zip."""
    if kind == "zip":
        with zipfile.ZipFile(folder / "x.zip", "w") as archive:
            for name in names:
                archive.writestr(name, name)
        return folder / "x.zip"
    for name in names:
        (folder / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "x" / name).write_text(name)
    return folder / "x"


def _photos(*folders: str, count: int = 3) -> list[str]:
    return [f"{folder}/{number}.jpg" for folder in folders for number in range(count)]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_scan_rejects_too_many_classes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many classes are rejected because a confusion matrix of 100,000 classes would need 80 GB."""
    monkeypatch.setattr("poets_edge.photos.folder._MOST_CLASSES", 5)
    six = _place(kind, tmp_path, _photos(*(f"class {number}" for number in range(6)), count=1))
    with pytest.raises(DatasetError, match="6 class folders, and at most 5 classes"):
        scan(six)
    monkeypatch.setattr("poets_edge.photos.folder._MOST_CLASSES", 6)
    assert len(scan(six).classes) == 6


def _in(folder: str, *more: str) -> list[str]:
    return _photos(*(f"{folder}/{label}" for label in (*_CLASSES, *more)))


def _counts(found: PhotoFolder) -> dict[tuple[str, str | None], int]:
    return dict(Counter((photo.label, photo.given_split) for photo in found.photos))


def _expected(*splits: str | None, labels: tuple[str, ...] = _CLASSES) -> dict[tuple[str, str | None], int]:
    return {(label, split): 3 for label in labels for split in splits}


both = pytest.mark.parametrize("kind", ["folder", "zip"])


@both
@pytest.mark.parametrize(
    ("names", "splits", "said"),
    [
        (_in("training_set") + _in("test_set"), ("training", "test"), ""),
        (_in("Training") + _in("Testing"), ("training", "test"), ""),
        (_in("trainSet") + _in("valData") + _in("test2017"), ("training", "validation", "test"), ""),
        (_in("seg_train/seg_train") + _in("seg_test/seg_test"), ("training", "test"), ""),
        (_in("train/images") + _in("val/images"), ("training", "validation"), ""),
        (_in("train"), ("training",), ""),
        (_in("signs_train/signs_train") + _in("signs_test"), ("training", "test"), ""),
        (_in("train.v1") + _in("valid.v1"), ("training", "validation"), ""),
        (
            [*_in("data/train"), *_in("data/val"), "data/logo.png"],
            ("training", "validation"),
            "x/data: left out 1 photo that is not in a class folder",
        ),
        (_in("1/2/3/4/5/6"), (None,), "the photos are taken from x/1/2/3/4/5/6"),
        (_in("train") + _photos("test"), ("training",), "x/test: left out 3 photos without class folders"),
        (
            _in("train") + _photos("test", "images_to_predict"),
            ("training",),
            "x/images_to_predict: left out 3 photos without class folders",
        ),
        (
            _in("seg_train/seg_train") + _photos("seg_pred/seg_pred"),
            ("training",),
            "x/seg_pred: left out 3 photos without class folders",
        ),
        (
            [*_in("train"), "train/1.jpg", "train/2.jpg", *_in("test")],
            ("training", "test"),
            "x/train: left out 2 photos",
        ),
        (_in("flowers"), (None,), "the photos are taken from x/flowers"),
        (_in("flowers/flowers"), (None,), "the photos are taken from x/flowers/flowers"),
        (_photos(*_CLASSES) + _in("flowers"), (None,), "x/flowers: left out 6 photos in daisy, roses"),
        ([*_photos(*_CLASSES), "1.jpg", "2.jpg"], (None,), "x: left out 2 photos that are not in a class folder"),
        (_photos(*_CLASSES, "$RECYCLE.BIN", "#recycle", "lost+found"), (None,), ""),
        (_photos(*_CLASSES, "daisy/wild"), (None,), "x/daisy: left out 3 photos in wild; `recursive` takes them."),
    ],
)
def test_scan_interprets_folder_layouts_and_reports_the_interpretation(
    kind: str, names: list[str], splits: tuple[str | None, ...], said: str, tmp_path: Path
) -> None:
    place = _place(kind, tmp_path, names)
    found = scan(place)
    expected = splits
    if kind == "zip" and not any(name.count("/") < 2 for name in names) and len({n.split("/")[0] for n in names}) == 1:
        expected, said = (None,), ""  # a common folder of all members is not part of their names
    assert _counts(found) == _expected(*expected)
    said = said.replace("x/", f"{place}/").replace("x:", f"{place}:")
    assert any(line.startswith(said) for line in found.warnings()) if said else not found.warnings()
    assert [photo.path for photo in found.photos] == [found.path / photo.name for photo in found.photos]


@both
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (_photos("train", "test"), "Put the photos of each class into a folder: x/test/daisy"),
        (_photos("train", "test", "images_to_predict"), "hold photos, and no class folders"),
        *(
            (_photos(*names), "hold photos, and no class folders")
            for names in (
                ("images", "masks"),
                ("images", "test"),
                ("train/images", "train/masks"),
                ("JPEGImages", "SegmentationClass"),
                ("train-jpg", "test-jpg"),
                ("cats_train", "cats_test"),
            )
        ),
        (_photos("images/train", "masks/train"), "x/images/train: holds photos, and no class folders"),
        (
            _photos("trainA", "trainB", "testA", "testB"),
            "a class. Put the folder of each class into the folder of its split: x/test/A",
        ),
        (_photos("dogs_val", "cats_train", "dogs_train"), "of its split: x/train/cats instead of cats_train"),
        (_in("train") + _photos("bus", "car"), "To train on the classes in train, name it: x/train"),
        (_in("test") + _photos("daisy", "roses"), "Put the others into a folder named train, next to test"),
        (_in("train") + _in("training"), "train, training are one split by their names"),
        (
            _in("animal") + _photos("plant"),
            "To take them as one class, add `recursive`; to take each as a class, name x/animal",
        ),
        (
            _photos(*(f"{one}/{split}" for one in _CLASSES for split in ("train", "test"))),
            "Put the splits above the classes",
        ),
        (
            _photos("Daisy", "daisy", "roses"),
            "'Daisy' and 'daisy' differ only in case or spaces. If they",
        ),
        (_in("fold1") + _in("fold2"), "If fold1, fold2 are splits, name them train, val and test. To take them as"),
        (_in("data/train") + _photos("docs"), "Name that folder: x/data"),
        (
            [*_photos("train/train"), "logo.png"],
            "holds photos, and no class folders. Put the photos of each class into a folder",
        ),
        pytest.param(
            _photos("daisy", "daisy ", "roses"),
            "'daisy' and 'daisy ' differ only in case or spaces. If they",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows ignores spaces at the end of a name"),
        ),
    ],
)
def test_scan_explains_how_to_resolve_an_ambiguous_layout(
    kind: str, names: list[str], said: str, tmp_path: Path
) -> None:
    place = _place(kind, tmp_path, names)
    with pytest.raises(DatasetError) as error:
        scan(place)
    assert said.replace("x/", f"{place}/") in str(error.value)


@both
def test_scan_merges_class_names_that_differ_in_case_between_splits(kind: str, tmp_path: Path) -> None:
    place = _place(kind, tmp_path, _photos("train/Daisy", "train/roses", "test/daisy", "test/roses"))
    found = scan(place)
    assert found.classes == ("Daisy", "roses") and _counts(found)["Daisy", "test"] == 3
    assert found.warnings() == [f"{place}/test/daisy: taken as the class Daisy."]


@both
def test_scan_merges_class_names_with_composed_and_decomposed_accents(kind: str, tmp_path: Path) -> None:
    found = scan(_place(kind, tmp_path, _photos("café", "cafe\u0301", "roses")))
    assert _counts(found) == {("café", None): 6, ("roses", None): 3}


@both
def test_recursive_scan_includes_photos_in_nested_folders(kind: str, tmp_path: Path) -> None:
    place = _place(kind, tmp_path, [*_photos("animal/cat/2024", "animal/dog"), *_photos("plant")])
    assert _counts(scan(place, recursive=True)) == {("animal", None): 6, ("plant", None): 3}


@both
def test_scan_accepts_classes_whose_names_contain_train_and_test(kind: str, tmp_path: Path) -> None:
    names = ("bus station", "test station", "test tube", "train station")
    assert scan(_place(kind, tmp_path, _photos(*names))).classes == names


@both
@pytest.mark.parametrize("name", ["test", "masks", "images_2"])
def test_scan_warns_about_a_class_with_an_unusual_name(kind: str, name: str, tmp_path: Path) -> None:
    found = scan(_place(kind, tmp_path, _photos("daisy", "roses", name)))
    assert found.classes == tuple(sorted(("daisy", "roses", name)))
    assert any(line.startswith(f"class {name} is named like photos without a class") for line in found.warnings())


@pytest.mark.parametrize("name", ["daisy (1)", "daisy - Copy", "Daisy_aug", "daisy-resized"])
def test_scan_warns_about_a_class_named_like_a_copy_of_another(name: str, tmp_path: Path) -> None:
    place = _place("folder", tmp_path, _photos("daisy", "roses", "tulips (1)", name))
    [warning] = scan(place).warnings()
    assert warning.startswith(f"class {name} is named like a copy of {name[:5]}. If")


def test_scan_warns_about_classes_that_are_named_like_splits_of_one_class(tmp_path: Path) -> None:
    names = ("box_test", "box_train", "gallery", "test tube")
    warnings = scan(_place("folder", tmp_path, _photos(*names))).warnings()
    assert [line.partition(". If")[0] for line in warnings] == [
        "class box_test is named like a split of box",
        "class box_train is named like a split of box",
    ]


@both
def test_scan_counts_files_that_are_not_photos_by_kind(kind: str, tmp_path: Path) -> None:
    names = [
        *_photos("daisy", "roses"),
        "daisy/a.txt",
        "roses/b.TXT",
        "roses/c.mp4",
        "daisy/Thumbs.db",
        "LICENSE",
    ]
    place = _place(kind, tmp_path, [*names, "daisy/README", *(["Icon\r"] if kind == "zip" else [])])
    assert scan(place).warnings() == [f"{place}: left out 4 files that are not photos: 2 .txt, 1 .mp4, 1 no suffix."]


@pytest.mark.parametrize(
    ("name", "split"),
    [("Train", "training"), ("val", "validation"), ("testing_data", "test"), ("test1", "test"), ("contest", None),
     ("images", None), ("train station", None), ("daisy", None), ("eval", "test"), ("dev", "validation"),
     ("train test", None), ("valid", "validation"), ("Validation Set 2", "validation"), ("training", "training"),
     ("trainset", "training"), ("testing", "test"), ("evaluation", "test"), ("set", None), ("traindaisy", None)],
)  # fmt: skip
def test_common_names_of_split_folders_are_recognized(name: str, split: str | None) -> None:
    assert split_of(name) == split


@both
def test_scan_recognizes_photos_by_content(kind: str, tmp_path: Path) -> None:
    jpeg, tiff, text = b"\xff\xd8\xff\xe0" + bytes(20), b"II*\0" + bytes(20), b"BM is not a bitmap here"
    files = {f"daisy/1{suffix}": jpeg for suffix in (".jpg", ".jfif", ".JPE", ".avif", ".data", "")}
    files |= {"daisy/scan": tiff, "daisy/raw.NEF": tiff, "daisy/notes": text, "roses/1.jpg": jpeg, "roses/pipe": b""}
    place = _place(kind, tmp_path, [*files])
    if kind == "zip":
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            (place / name).write_bytes(content)
    found = scan(place)
    assert _counts(found) == {("daisy", None): 7, ("roses", None): 1}
    assert found.warnings() == [f"{place}: left out 3 files that are not photos: 2 no suffix, 1 .nef."]


@both
@pytest.mark.parametrize(("inside", "accepted"), [(2, False), (3, True)])
def test_scan_treats_a_folder_as_a_split_if_most_of_its_photos_are_in_subfolders(
    kind: str, inside: int, accepted: bool, tmp_path: Path
) -> None:
    """`train` holds two photos, and two or three more in a class folder: a class of its own, or a split."""
    names = [*_photos("train", count=2), *_photos("train/a", count=inside - 1), *_photos("train/b", count=1)]
    place = _place(kind, tmp_path, [*names, *_photos("test/a", "test/b", count=1)])
    if accepted:
        found = scan(place)
        assert _counts(found) == {("a", "training"): 2, ("b", "training"): 1, ("a", "test"): 1, ("b", "test"): 1}
    else:
        with pytest.raises(DatasetError, match=r"split folders|mixed"):
            scan(place)


@both
def test_scan_rejects_a_nested_copy_of_the_class_folders_with_an_additional_class(kind: str, tmp_path: Path) -> None:
    copy = _place(kind, tmp_path, [*_photos("a", "b"), *_photos("data/a", "data/b")])
    found = scan(copy)
    assert _counts(found) == {("a", None): 3, ("b", None): 3}
    assert any("left out 6 photos in a, b, which are next to it as well" in note for note in found.notes)
    (tmp_path / "other").mkdir()
    partly = _place(kind, tmp_path / "other", [*_photos("a", "b"), *_photos("data/a", "data/c")])
    with pytest.raises(DatasetError, match="holds photos only in its folders a, c"):
        scan(partly)


def test_scan_reports_only_class_folders_without_photos_as_empty(tmp_path: Path) -> None:
    place = _place("folder", tmp_path, [*_photos("a", "b"), *_photos("data/a", "data/b")])
    (place / "empty").mkdir()
    assert scan(place).empty_classes == ("empty",)


def test_scan_states_how_to_join_two_spellings_of_a_class(tmp_path: Path) -> None:
    place = _place("folder", tmp_path, _photos("Daisy", "daisy", "roses"))
    with pytest.raises(DatasetError) as error:
        scan(place)
    assert f"move the photos: mv {place}/daisy/* {place}/Daisy/ && rmdir {place}/daisy" in str(error.value)


def test_messages_name_at_most_five_folders_and_count_the_others(tmp_path: Path) -> None:
    inside = [f"daisy/{number}" for number in range(8)]
    place = _place("folder", tmp_path, [*_photos("daisy", "roses"), *_photos(*inside, count=1)])
    [note] = scan(place).notes
    assert note.endswith("left out 8 photos in 0, 1, 2, 3, 4 and 3 more; `recursive` takes them.")


@both
def test_percent_signs_in_folder_names_are_preserved(kind: str, tmp_path: Path) -> None:
    """Only addresses are percent-encoded."""
    names = ("100%25 wool", "50% silk", "a%2Fb")
    found = scan(_place(kind, tmp_path, _photos(*names)))
    assert found.classes == names and sorted(found.photos.names) == sorted(_photos(*names))
