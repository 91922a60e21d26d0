"""Tests of the photos and groups of photos that `grid` uses, and of the reuse of saved results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import PhotoError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import EMBEDDED, find_weights
from poets_edge.nets.weights_file import Weights
from poets_edge.photos.exclude import Exclusions
from poets_edge.photos.folder import PhotoFolder
from poets_edge.photos.split import SplitConfig
from poets_edge.photos.table import HashedPhoto, HashedPhotos, Photo, PhotoTable
from poets_edge.progress import Silent
from poets_edge.sweep import training, training_worker
from poets_edge.sweep.budget import Budget
from poets_edge.sweep.int8_backbone import int8_vector_key
from poets_edge.sweep.options import GridOptions
from poets_edge.sweep.photo_snapshot import PhotoSnapshot
from poets_edge.sweep.training_tasks import TrainingTask
from poets_edge.sweep.validation_worker import ValidationTask, ValidationWorker
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.bottlenecks import vector_key
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.hashed_photos import Hashed, hash_photos
from poets_edge.training.head import HeadOptions
from poets_edge.training.look_alikes import PhotoGroups

ENTRY = architecture("mobilenet_0.25_128")


def snapshot(*photos: Photo, errors: tuple[int, ...] = ()) -> PhotoSnapshot:
    """Return a snapshot of photos; the photos in the rows `errors` cannot be read."""
    table = PhotoTable.of(photos)
    digests = np.arange(32 * len(photos), dtype=np.uint8).reshape(-1, 32)
    failed = {row: PhotoError("gone") for row in errors}
    return PhotoSnapshot(
        PhotoFolder(Path("photos"), table), Hashed(table, digests, np.ones(len(photos), np.int64), failed)
    )


def test_cross_validated_photos_are_readable_and_not_in_the_users_test_set() -> None:
    names = [f"{number}.jpg" for number in range(6)]
    plain = [Photo(Path(name), name, "a") for name in names]
    assert snapshot(*plain, errors=(2,)).cross_validated_rows.tolist() == [0, 1, 2, 3, 4]
    splits: Any = ("training", "test", "validation", None, "test", "training")
    given = [replace(photo, given_split=split) for photo, split in zip(plain, splits, strict=True)]
    chosen = snapshot(*given, errors=(0,))
    rows = chosen.cross_validated_rows
    assert [chosen.readable[row].photo.name for row in rows.tolist()] == ["2.jpg", "3.jpg", "5.jpg"]


def test_result_is_saved_under_a_key_that_depends_on_every_input_of_training(tmp_path: Path) -> None:
    options = GridOptions(image_dir=tmp_path / "photos", architectures=(ENTRY, architecture("mobilenet_0.50_160")))
    photos = snapshot(*(Photo(Path(f"{number}.jpg"), f"a/{number}.jpg", "a") for number in range(3)))
    weights = find_weights(ENTRY, tmp_path, EMBEDDED)

    def key(changed: PhotoSnapshot = photos, used: Weights = weights, **changes: Any) -> str:
        return training._key(replace(options, **changes), changed, used)

    digests = photos.hashed.digests.copy()
    digests[2, 0] ^= 1
    keys = [
        key(), key(percentages=SplitConfig(testing=20)), key(percentages=SplitConfig(validation=20)),
        key(head=HeadOptions(steps=99)), key(head=HeadOptions(seed=1)), key(calibration_count=99),
        key(group_by="parent"), key(architectures=options.architectures[::-1]), key(fine_tuning=FineTuning(blocks=1)),
        key(fine_tuning=FineTuning(blocks=2)), key(replace(photos, exclusions=Exclusions(frozenset({"a/9.jpg"})))),
        key(replace(photos, hashed=Hashed(photos.hashed.photos, digests, photos.hashed.sizes, {}))),
        key(snapshot(*photos.folder.photos, errors=(1,))),
        key(used=replace(weights, digest=hashlib.sha256(b"others").hexdigest())),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    for changes in (
        {"folds": 3},
        {"threads": 2},
        {"budget": Budget(latency=1.0)},
        {"fine_tuning": FineTuning(epochs=3)},
    ):
        assert key(**changes) == keys[0], "does not change the trained models"


def group_numbers(folder: Path, contents: Sequence[tuple[str, str]]) -> list[int]:
    """Return the group numbers of files, given as pairs (class, text); only the texts "one" and "two" are photos."""
    backbone = prepare_backbone(ENTRY, find_weights(ENTRY, folder, EMBEDDED), folder)
    photos = []
    with open_cache(backbone.cache_file) as (cache, _):
        for row, (label, text) in enumerate(contents):
            name = f"{label}/{row * 7919 % 10007}.jpg"
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
            photos.append(Photo(folder / name, name, label))
            if text in ("one", "two"):
                vector = np.eye(ENTRY.bottleneck_size, dtype=np.float32)[len(text) * ord(text[0]) % 100]
                cache.put(vector_key(hashlib.sha256(text.encode()).digest()), vector)
    options = GridOptions(
        image_dir=folder / "photos", architectures=(ENTRY,), weights=EMBEDDED, bottleneck_dir=folder, model_dir=folder
    )
    shot = PhotoSnapshot(PhotoFolder(folder, PhotoTable.of(photos)), hash_photos(photos))
    numbers: list[int] = training.find_photo_groups(options, shot, Silent()).numbers.tolist()
    return numbers


def test_each_photo_that_cannot_be_decoded_is_its_own_group(tmp_path: Path) -> None:
    numbers = group_numbers(tmp_path, [("a", "no photo"), ("a", "one"), ("a", "one"), ("b", "two")])
    expected = [[one == other for other in (0, 1, 1, 3)] for one in (0, 1, 1, 3)]
    assert np.equal.outer(numbers, numbers).tolist() == expected


def test_cross_validation_of_int8_models_uses_int8_features(tmp_path: Path) -> None:
    """The int8 features of each class are the float32 bottlenecks of the other class, so all predictions differ."""
    rng, classes = np.random.default_rng(0), np.array([0] * 6 + [1] * 6 + [2] + [0])
    items = [
        HashedPhoto(Photo(Path(f"{row}.jpg"), f"{'abc'[label]}/{row}.jpg", "abc"[label]), bytes([row] * 32))
        for row, label in enumerate(classes.tolist())
    ]
    vectors = (np.eye(3, 16)[classes] + 0.02 * rng.standard_normal((14, 16))).astype(np.float32)
    features = (np.eye(3, 16)[[1, 0, 2]][classes] + 0.02 * rng.standard_normal((14, 16))).astype(np.float32)
    with open_cache(tmp_path / "floats") as (floats, _), open_cache(tmp_path / "ints") as (ints, _):
        for row, item in enumerate(items):
            floats.put(vector_key(item.digest), vectors[row])
            if row != 13:  # not in both caches
                ints.put(int8_vector_key(item.digest, "model"), features[row])
    worker = ValidationWorker(
        photos=HashedPhotos.of(items), groups=np.arange(14) * 10, head=HeadOptions(steps=400), folds=3
    )
    found = worker(
        ValidationTask(float_cache=tmp_path / "floats", int8_cache=tmp_path / "ints", int8_backbone_sha256="model")
    )
    assert found.photos == tuple(item.photo.name for item in items[:12]), "the only photo of a class is in no fold"
    assert found.groups == tuple(range(0, 120, 10)) and (found.folds, found.requested_folds) == (3, 3)
    float32, int8 = found.models["float32"], found.models["int8"]
    assert float32.correct == (float32.repeats,) * 12 and int8.correct == (0,) * 12
    assert (float32.agreement, int8.agreement) == (1.0, 0.0)


def test_groups_of_decodable_photos_are_numbered_by_their_rows(tmp_path: Path) -> None:
    contents = [("a", "one"), ("b", "bad"), ("a", "two"), ("b", "two"), ("a", "worse"), ("b", "one")]
    assert group_numbers(tmp_path, contents) == [0, 1, 2, 2, 4, 0]


def test_cross_validation_with_fewer_folds_than_requested_is_reported(tmp_path: Path) -> None:
    """A fourth of the int8 features are those of the other class."""
    rng, classes = np.random.default_rng(0), np.arange(16) % 2
    items = [
        HashedPhoto(Photo(Path(f"{row}.jpg"), f"{'ab'[label]}/{row}.jpg", "ab"[label]), bytes([row] * 32))
        for row, label in enumerate(classes.tolist())
    ]
    shown = np.where(np.arange(16) < 4, 1 - classes, classes)
    vectors, features = (
        (np.eye(2, 8)[of] + 0.02 * rng.standard_normal((16, 8))).astype(np.float32) for of in (classes, shown)
    )
    with open_cache(tmp_path / "floats") as (floats, _), open_cache(tmp_path / "ints") as (ints, _):
        for row, item in enumerate(items):
            floats.put(vector_key(item.digest), vectors[row])
            ints.put(int8_vector_key(item.digest, "model"), features[row])
    worker = ValidationWorker(
        photos=HashedPhotos.of(items), groups=np.arange(16), head=HeadOptions(steps=400), folds=50
    )
    task = ValidationTask(float_cache=tmp_path / "floats", int8_cache=tmp_path / "ints", int8_backbone_sha256="model")
    found = worker(task)
    assert (found.folds, found.requested_folds) == (8, 50) and "8 folds instead of 50" in found.warnings[0]
    int8 = found.models["int8"]
    assert int8.agreement == 0.75 and int8.correct == (0,) * 4 + (int8.repeats,) * 12 and int8.unknown is None
    assert int8.confusion == ((6, 2), (2, 6)) and len(int8.mistakes) == 4


def test_validation_excludes_photos_without_both_float_and_int8_features(tmp_path: Path) -> None:
    items = [
        HashedPhoto(Photo(Path(f"{row}.jpg"), f"{'ab'[row % 2]}/{row}.jpg", "ab"[row % 2]), bytes([row] * 32))
        for row in range(8)
    ]
    with open_cache(tmp_path / "floats") as (floats, _), open_cache(tmp_path / "ints") as (ints, _):
        for row, item in enumerate(items):
            if row != 0:
                floats.put(vector_key(item.digest), np.eye(2, 8, dtype=np.float32)[row % 2])
            if row != 3:
                ints.put(int8_vector_key(item.digest, "model"), np.eye(2, 8, dtype=np.float32)[row % 2])
    worker = ValidationWorker(photos=HashedPhotos.of(items), groups=np.arange(8), head=HeadOptions(steps=100), folds=2)
    task = ValidationTask(float_cache=tmp_path / "floats", int8_cache=tmp_path / "ints", int8_backbone_sha256="model")
    assert worker(task).photos == tuple(items[row].photo.name for row in (1, 2, 4, 5, 6, 7))


def test_trained_architecture_is_exported_and_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = GridOptions(
        image_dir=tmp_path / "photos", architectures=(ENTRY,), output_dir=tmp_path / "grid", calibration_count=17
    )
    photos = snapshot(Photo(Path("1.jpg"), "a/1.jpg", "a"))
    folder = options.folder(ENTRY)
    folder.mkdir(parents=True)
    asked: dict[str, Any] = {}

    def train(*arguments: Any, hashed: Any, groups: Any) -> Any:
        asked.update(trained=arguments[0], hashed=hashed, groups=groups)
        for text in ("b", "a", "b"):
            arguments[3].warn(text)
        return SimpleNamespace(labels=("a", "b"), digests={}, assumption="no two photos")

    def export(given: Any, reporter: Any, *, photos: Any, images: Any) -> Any:
        asked.update(exported=given)
        files = []
        for kind in ("float32", "int8"):
            (folder / f"{kind}.tflite").write_text(kind)
            files.append(
                SimpleNamespace(path=folder / f"{kind}.tflite", quantization=kind, size=len(kind), scored=None)
            )
        return SimpleNamespace(files=tuple(files))

    monkeypatch.setattr(training_worker, "train_photos", train)
    monkeypatch.setattr(training_worker, "export_graph", export)
    monkeypatch.setattr(training_worker, "int8_features", lambda content: b"backbone of " + content)
    groups = PhotoGroups(np.zeros(1, np.int64))
    found = training_worker.TrainingWorker(options, photos)(TrainingTask(ENTRY, "key", groups))
    assert found is not None and (found.key, found.labels, found.warnings, found.test) == (
        "key",
        ("a", "b"),
        ("b", "a"),
        None,
    )
    assert found.assumption == "no two photos"
    assert asked["groups"] is groups and asked["hashed"] is photos.hashed and asked["trained"].architecture == ENTRY
    assert asked["exported"].calibration_count == 17 and asked["exported"].quantizations == ("float32", "int8")
    assert (folder / "int8_features.tflite").read_bytes() == b"backbone of int8"
    assert found.int8_backbone_sha256 == hashlib.sha256(b"backbone of int8").hexdigest()
    assert [(one.quantization, one.size, one.sha256) for one in found.models] == [
        (kind, len(kind), hashlib.sha256(kind.encode()).hexdigest()) for kind in ("float32", "int8")
    ]
