"""Tests of the data for training: photos of classes, background photos and strangers.

The bottlenecks are put into the cache, so the files need not be images, and the tests choose how similar they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import DatasetError, PhotoError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import EMBEDDED, find_weights
from poets_edge.photos.table import UNKNOWN_SIZE, HashedPhoto, HashedPhotos, Photo
from poets_edge.progress import Silent
from poets_edge.training import background as background_module
from poets_edge.training import cluster, look_alikes, vectors
from poets_edge.training import data as data_module
from poets_edge.training.backbone import Backbone, prepare_backbone
from poets_edge.training.background import read_background, read_strangers
from poets_edge.training.bottleneck_cache import BottleneckCache, open_cache
from poets_edge.training.bottlenecks import BackboneCache, vector_key
from poets_edge.training.data import TrainingData, read_data, training_vectors
from poets_edge.training.distort import Distortions
from poets_edge.training.hashed_photos import Hashed, hash_photos
from poets_edge.training.look_alikes import PhotoGroups, find_groups
from poets_edge.training.options import TrainOptions
from tests.recorder import Recorder

ENTRY = architecture("mobilenet_0.25_128")
AXES = np.eye(ENTRY.bottleneck_size, dtype=np.float32)
KNOWN = 30
"""Number of photos in the classes; photo number K has the vector AXES[K]."""


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    folder = tmp_path_factory.mktemp("backbone")
    return prepare_backbone(ENTRY, find_weights(ENTRY, folder, EMBEDDED), folder)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[BottleneckCache]:
    with open_cache(tmp_path / "cache.sqlite") as (opened, _):
        yield opened


@pytest.fixture(scope="module")
def data() -> TrainingData:
    items = [
        HashedPhoto(
            Photo(Path(f"{row}.jpg"), f"{'ab'[row % 2]}/{row}.jpg", "ab"[row % 2]), digest_of(f"known {row}".encode())
        )
        for row in range(KNOWN)
    ]
    return TrainingData.of(items, AXES[:KNOWN], np.zeros(KNOWN, np.int8), ("a", "b"))


def digest_of(contents: bytes) -> bytes:
    return hashlib.sha256(contents).digest()


def write(folder: Path, photos: Mapping[str, tuple[str, Any]], cache: BottleneckCache) -> Path:
    """Write files with the given contents, and put their vectors into the cache; return the folder."""
    for name, (contents, vector) in photos.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(contents)
        cache.put(vector_key(digest_of(contents.encode())), vector)
    return folder


def distinct(count: int) -> dict[str, tuple[str, Any]]:
    """Return photos, each of which resembles no other photo."""
    return {f"n{row:02}.jpg": (f"new {row}", AXES[100 + row]) for row in range(count)}


def copies(count: int) -> dict[str, tuple[str, Any]]:
    """Return copies of photos in the classes, with identical contents."""
    return {f"c{row:02}.jpg": (f"known {row}", AXES[row]) for row in range(count)}


def test_read_background_skips_copies_and_unreadable_photos(
    tmp_path: Path, backbone: Backbone, cache: BottleneckCache, data: TrainingData
) -> None:
    photos = {
        **distinct(22),
        "a/exact.jpg": ("known 7", AXES[7]),
        "b/saved again.jpg": ("other bytes", AXES[8] + 0.3 * AXES[200]),  # cosine 0.96
        "deep/er/similar.jpg": ("another scene", AXES[9] + 0.6 * AXES[201]),  # cosine 0.86
    }
    folder = write(tmp_path / "background", photos, cache)
    (folder / "n99.jpg").write_text("not a photo")
    reporter = Recorder()
    found = read_background(folder, data, backbone, cache, reporter)
    kept = ["deep/er/similar.jpg", *distinct(22)]
    assert [one.photo.name for one in found.photos] == kept
    assert [one.digest for one in found.photos] == [digest_of(photos[name][0].encode()) for name in kept]
    np.testing.assert_array_equal(found.vectors, [photos[name][1] for name in kept])
    unreadable, left_out = reporter.warnings
    assert unreadable.startswith("left out: ") and "n99.jpg" in unreadable
    assert left_out == (
        f"{folder}: 2 of 25 photos show the same as photos of the classes, as a/exact.jpg and b/7.jpg; left out."
    )


def test_read_background_does_not_warn_if_there_are_no_copies(
    tmp_path: Path, backbone: Backbone, cache: BottleneckCache, data: TrainingData
) -> None:
    reporter = Recorder()
    found = read_background(write(tmp_path / "few", distinct(20), cache), data, backbone, cache, reporter)
    assert len(found.photos) == 20 and reporter.warnings == []
    with pytest.raises(DatasetError, match="19 photos of a background that can be read; 20 or more are needed"):
        read_background(write(tmp_path / "less", distinct(19), cache), data, backbone, cache, reporter)


def test_warning_about_a_copy_names_the_most_similar_training_photo(
    tmp_path: Path, backbone: Backbone, cache: BottleneckCache, data: TrainingData
) -> None:
    photos = {**distinct(20), "n98.jpg": ("saved again", AXES[4] + 0.2 * AXES[5])}
    reporter = Recorder()
    read_background(write(tmp_path / "background", photos, cache), data, backbone, cache, reporter)
    assert "1 of 21 photos" in reporter.warnings[0] and "as n98.jpg and a/4.jpg; left out." in reporter.warnings[0]


def test_read_background_finds_identical_files_outside_the_compared_sample(
    tmp_path: Path, backbone: Backbone, cache: BottleneckCache, data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_module, "_MOST_COMPARED", 2)  # of 30, the photos 0 and 15
    photos = {**distinct(20), "x.jpg": ("known 7", AXES[7]), "y.jpg": ("saved again", AXES[15])}
    reporter = Recorder()
    found = read_background(write(tmp_path / "background", photos, cache), data, backbone, cache, reporter)
    assert len(found.photos) == 20 and "2 of 22 photos" in reporter.warnings[0]


@pytest.mark.parametrize(
    ("new", "copied", "accepted"),
    [(20, 2, True), (19, 2, False), (22, 22, True), (21, 22, False)],
)
def test_read_background_rejects_folders_with_many_copies_of_class_photos(
    tmp_path: Path,
    backbone: Backbone,
    cache: BottleneckCache,
    data: TrainingData,
    new: int,
    copied: int,
    accepted: bool,
) -> None:
    """At least 20 photos, and at least half of all photos, must remain after copies are removed."""
    folder = write(tmp_path / "background", {**distinct(new), **copies(copied)}, cache)
    if accepted:
        assert len(read_background(folder, data, backbone, cache, Silent()).photos) == new
        return
    with pytest.raises(DatasetError, match=f"{copied} of {new + copied} photos show the same"):
        read_background(folder, data, backbone, cache, Silent())


def test_strangers_option_accepts_copies_and_small_folders(
    tmp_path: Path, backbone: Backbone, cache: BottleneckCache
) -> None:
    """Strangers are only measured, so the user decides which photos they are."""
    folder = write(tmp_path / "strangers", {**copies(1), "in/deep.jpg": ("new", AXES[99])}, cache)
    (folder / "broken.jpg").write_text("not a photo")
    reporter = Recorder()
    found = read_strangers(folder, backbone, cache, reporter)
    assert [one.photo.name for one in found.photos] == ["c00.jpg", "in/deep.jpg"]
    np.testing.assert_array_equal(found.vectors, AXES[[0, 99]])
    assert len(reporter.warnings) == 1 and "broken.jpg" in reporter.warnings[0]
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        read_strangers(tmp_path / "nowhere", backbone, cache, reporter)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no photo of strangers that can be read"):
        read_strangers(tmp_path / "empty", backbone, cache, reporter)


def options(folder: Path, **changes: Any) -> TrainOptions:
    return TrainOptions(
        image_dir=folder / "photos", architecture=ENTRY, bottleneck_dir=folder / "bottlenecks",
        output_graph=folder / "graph.pb", output_labels=folder / "labels.txt", **changes,
    )  # fmt: skip


def class_photos(folder: Path, names: Sequence[str], cache: BottleneckCache) -> Hashed:
    """Write photos with the given names, whose vectors are successive rows of AXES, and return them with digests."""
    write(folder, {name: (f"photo {name}", AXES[row]) for row, name in enumerate(names)}, cache)
    return hash_photos([Photo(folder / name, name, name.split("/")[0]) for name in names])


def test_read_data_keeps_the_given_groups_of_readable_photos(
    tmp_path: Path, backbone: Backbone, cache: BottleneckCache
) -> None:
    names = [f"{label}/{number}.jpg" for label in "ab" for number in range(20)]
    hashed = class_photos(tmp_path / "photos", names, cache)
    for gone in ("a/3.jpg", "b/19.jpg"):  # hashed, but not decodable and without a cached vector
        (tmp_path / "photos" / gone).write_text(f"changed {gone}")
    hashed = hash_photos(list(hashed.photos))
    groups = PhotoGroups(np.arange(40) // 4)  # 3 and 39 are the last photos of their groups
    reporter = Recorder()
    data, unreadable = read_data(options(tmp_path), hashed, backbone, cache, reporter, groups)
    kept = [name for name in names if name not in ("a/3.jpg", "b/19.jpg")]
    assert list(data.photos.photos.names) == kept and len(unreadable) == len(reporter.warnings) == 2
    np.testing.assert_array_equal(data.vectors, AXES[[row for row in range(40) if row not in (3, 39)]])
    assert data.groups is not None
    by_group = [names.index(name) // 4 for name in kept]
    assert (data.groups.numbers[:, None] == data.groups.numbers).tolist() == np.equal.outer(by_group, by_group).tolist()
    for group in range(10):
        assert len(set(data.sets[np.array(by_group) == group].tolist())) == 1, "a group is in one split"


def test_photos_that_become_unreadable_during_training_are_skipped(
    tmp_path: Path, backbone: Backbone, cache: BottleneckCache
) -> None:
    """Each distorted variant of photo K has the vector AXES[K] + AXES[50 + variant]."""
    names = [f"{label}/{number}.jpg" for label in "ba" for number in range(3)]
    hashed = class_photos(tmp_path / "photos", names, cache)
    data = TrainingData.of(list(hashed.readable), AXES[:6], np.zeros(6, np.int8), ("a", "b"))
    settings = Distortions(flip_left_right=True, variants=2)
    for row, item in enumerate(data.photos):
        if row != 1:
            for number, name in enumerate(settings.names()):
                cache.put(vector_key(item.digest, name), AXES[row] + AXES[50 + number])
    found = training_vectors(options(tmp_path, distortions=settings), data, backbone, cache, Silent())
    rows = [0, 2, 3, 4, 5]
    np.testing.assert_array_equal(found.vectors, np.stack([AXES[row] + AXES[50 + n] for row in rows for n in (0, 1)]))
    assert found.classes.tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0], "the classes are sorted by name"


def test_groups_of_a_sample_are_searched_if_the_whole_data_set_was_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        HashedPhoto(Photo(Path(f"{row}.jpg"), f"a/{row * 7919 % 10007}.jpg", "a"), bytes([row // 2] * 32))
        for row in range(12)
    ]
    data = TrainingData.of(items, AXES[:12], np.zeros(12, np.int8), ("a",))
    rows = np.array([0, 1, 4, 5, 9])
    assert data.sample(rows)[2] is None
    given = replace(data, groups=PhotoGroups(np.arange(12) // 4)).sample(rows)[2]
    assert (
        given is not None
        and np.equal.outer(given.numbers, given.numbers).tolist() == np.equal.outer(rows // 4, rows // 4).tolist()
    )
    assert replace(data, folder=tmp_path).sample(rows)[2] is None, "it was searched when it was read"
    monkeypatch.setattr(data_module, "MAX_EVALUATED", 11)
    assert data.sample(rows)[2] is None
    photos, known, found = replace(data, folder=tmp_path).sample(rows)
    assert [one.photo.name for one in photos] == [items[row].photo.name for row in rows]
    np.testing.assert_array_equal(known.vectors, AXES[rows])
    assert (
        found is not None
        and np.equal.outer(found.numbers, found.numbers).tolist() == np.equal.outer(rows // 2, rows // 2).tolist()
    ), "identical photos are a group"


def test_look_alike_search_is_skipped_for_data_sets_above_the_evaluation_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_alikes, "MAX_EVALUATED", 3)
    items = [HashedPhoto(Photo(Path(f"{row}.jpg"), f"a/{row}.jpg", "a"), bytes(32)) for row in range(4)]
    few, many = HashedPhotos.of(items[:3]), HashedPhotos.of(items)
    assert find_groups(few, AXES[:3], tmp_path / "few").count == 1, "all photos are identical"
    assert find_groups(many, AXES[:4], tmp_path / "many").count == 4
    assert not (tmp_path / "many").exists()


def test_hashed_photos_keep_their_order_and_unreadable_ones_have_errors(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_text("one")
    (tmp_path / "three.jpg").write_text("three!")
    found = hash_photos([Photo(tmp_path / f"{name}.jpg", name, "a") for name in ("one", "two", "three")])
    first, second, third = found[0:3]
    assert isinstance(first, HashedPhoto) and first.digest == digest_of(b"one")
    assert isinstance(third, HashedPhoto) and third.digest == digest_of(b"three!") and found[-1] == third
    assert isinstance(second, PhotoError) and found[1:2] == [second] and list(found.errors) == [1]
    assert found.sizes.tolist() == [3, UNKNOWN_SIZE, 6]
    assert [one.photo.name for one in found.readable] == ["one", "three"]


def test_cluster_starts_no_process_if_all_vectors_are_cached(
    tmp_path: Path, backbone: Backbone, cache: BottleneckCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    def run(tasks: Any, *rest: Any, **others: Any) -> list[Any]:
        started.extend(tasks)
        return []

    monkeypatch.setattr(cluster, "run_in_processes", run)
    hashed = class_photos(tmp_path / "photos", ["a/1.jpg", "b/2.jpg"], cache)
    source = BackboneCache(backbone, cache)
    cluster.compute_on_cluster("local:2", hashed.readable, [source], Silent())
    assert started == []
    (tmp_path / "photos/a/1.jpg").write_text("changed")
    cluster.compute_on_cluster("local:2", hash_photos(list(hashed.photos)).readable, [source], Silent())
    assert started == [[0]]


@pytest.mark.parametrize("large", [0, 1 << 20], ids=["in a file", "in memory"])
def test_vector_table_without_rows_has_the_width_of_its_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(vectors, "LARGE", large)
    assert vectors.VectorTableBuilder(4, 3, tmp_path).finish().shape == (0, 3)


def test_vector_table_returns_selected_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (0, 1 << 20):  # in a file, and in memory
        monkeypatch.setattr(vectors, "LARGE", limit)
        table = vectors.VectorTableBuilder(4, 3, tmp_path)
        table.append(AXES[:2, :3])
        table.append(AXES[2:3, :3])
        finished = table.finish()
        np.testing.assert_array_equal(finished[np.array([2, 0])], [[0, 0, 1], [1, 0, 0]])
        some = vectors.take(vectors.take(finished, np.array([1, 2])), np.array([1]))
        assert some.shape == (1, 3) and some[:].tolist() == [[0, 0, 1]]
