"""Tests of reading photos for training: digests, vectors and their caches, with stand-ins for the networks."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.core.parallel import run_chunks
from poets_edge.errors import DatasetError, PhotoError
from poets_edge.nets.architectures import architecture
from poets_edge.photos.folder import Photo
from poets_edge.photos.open_photo import read_contents
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.photos.table import UNKNOWN_SIZE, HashedPhoto, HashedPhotos
from poets_edge.progress import Silent
from poets_edge.training import backbone as backbone_module
from poets_edge.training import bottlenecks as module
from poets_edge.training import cross_validated_run, data
from poets_edge.training import hashed_photos as hashing
from poets_edge.training.backbone import Backbone, prepare_backbone
from poets_edge.training.bottleneck_cache import BottleneckCache, open_cache
from poets_edge.training.bottlenecks import Batch, bottleneck_batches, bottlenecks
from poets_edge.training.cache_folder import caches
from poets_edge.training.cross_validated_run import cross_validate_run
from poets_edge.training.cross_validation import CrossValidation
from poets_edge.training.data import TrainingData, read_data
from poets_edge.training.distort import Distortions, distort
from poets_edge.training.hashed_photos import hash_photos
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.options import TrainOptions

ENTRY = architecture("mobilenet_0.25_128")
GRAYS = (10, 40, 70, 100, 130, 160, 190)


class Lines(Silent):
    """Reporter that stores warnings and progress."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bars: list[list[Any]] = []

    def warn(self, text: str) -> None:
        self.lines.append(text)

    @contextlib.contextmanager
    def progress(self, what: str, total: int, unit: str = "") -> Iterator[Callable[[int], None]]:
        bar: list[Any] = [what, total, 0]
        self.bars.append(bar)

        def advance(count: int) -> None:
            bar[2] += count

        yield advance


class Cache:
    """Cache in memory with the methods of `BottleneckCache`."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Any] = {}
        self.damage: list[str] = []

    def get_many(self, keys: Any) -> list[Any]:
        return [self.rows.get(key) for key in keys]

    def missing(self, keys: Any) -> list[bytes]:
        return [key for key in keys if key not in self.rows]

    def put(self, key: bytes, vector: Any) -> None:
        self.rows[key] = vector

    def take_damage(self) -> list[str]:
        found, self.damage = self.damage, []
        return found


@dataclass
class Source:
    """Stand-in for a network, whose vectors consist of the mean gray value and the size of the image."""

    name: str
    size: tuple[int, int]
    cache: Any = field(default_factory=Cache)
    computed: list[int] = field(default_factory=list)

    def key(self, digest: bytes, variant: str) -> bytes:
        return digest + variant.encode()

    def extractor(self) -> Any:
        def vector(pixels: Any) -> Any:
            self.computed.append(round(float(pixels.mean())))
            return np.array([pixels.mean(), *pixels.shape[:2]], np.float32)

        return vector


@pytest.fixture
def photos(tmp_path: Path) -> list[HashedPhoto]:
    """Photos of different gray values."""
    found = []
    for gray in GRAYS:
        path = tmp_path / "a" / f"{gray}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), (gray,) * 3).save(path)
        found.append(HashedPhoto(Photo(path, f"a/{gray}.png", "a"), hashlib.sha256(path.read_bytes()).digest()))
    return found


def batches(photos: list[HashedPhoto], sources: list[Source], reporter: Any = None, *rest: Any) -> list[Batch]:
    return list(bottleneck_batches(HashedPhotos.of(photos), sources, reporter or Silent(), *rest))


def test_vectors_are_cached_and_ordered_by_source_and_variant(photos: list[HashedPhoto]) -> None:
    sources = [Source("small", (4, 6)), Source("large", (8, 8))]

    def render(image: Any, size: tuple[int, int], variant: str, digest: bytes) -> Any:
        assert hashlib.sha256(Path(by_digest[digest]).read_bytes()).digest() == digest
        return np.asarray(image.resize(size[::-1])) + np.uint8(1 if variant == "brighter" else 0)

    by_digest = {photo.digest: str(photo.photo.path) for photo in photos}
    [batch] = batches(photos, sources, None, ("plain", "brighter"), render)
    for gray, vectors in zip(GRAYS, batch.vectors, strict=True):
        assert not isinstance(vectors, PhotoError)
        assert [one.tolist() for one in vectors] == [[gray, 4, 6], [gray + 1, 4, 6], [gray, 8, 8], [gray + 1, 8, 8]]
    assert batch.changed == {} and all(len(source.cache.rows) == 14 for source in sources)
    del sources[1].cache.rows[photos[2].digest + b"brighter"]
    for source in sources:
        source.computed.clear()
    [again] = batches(photos, sources, None, ("plain", "brighter"), render)
    assert [source.computed for source in sources] == [[], [GRAYS[2] + 1]], "only what is missing"
    assert [one.tolist() for one in again.vectors[2]] == [one.tolist() for one in batch.vectors[2]]  # type: ignore[union-attr]


def test_vectors_of_a_changed_photo_are_recomputed_for_all_sources(photos: list[HashedPhoto]) -> None:
    sources = [Source("small", (4, 4)), Source("large", (8, 8))]
    batches(photos, sources)
    del sources[1].cache.rows[photos[3].digest + module.PLAIN.encode()]
    old = dict(sources[0].cache.rows)
    Image.new("RGB", (20, 10), (222,) * 3).save(str(photos[3].photo.path))
    new = hashlib.sha256(Path(str(photos[3].photo.path)).read_bytes()).digest()
    [batch] = batches(photos, sources)
    assert [one[0] for one in batch.vectors[3]] == [222, 222]  # type: ignore[union-attr]
    assert batch.changed == {3: new}
    for source in sources:
        assert source.cache.rows[new + module.PLAIN.encode()][0] == 222
    assert {key: sources[0].cache.rows[key] for key in old} == old, "the vector of the old contents is kept"
    pairs = list(bottlenecks(photos, sources, Silent()))
    assert [photo.digest for photo, _ in pairs] == [
        new if row == 3 else photo.digest for row, photo in enumerate(photos)
    ]


def test_photos_are_read_in_batches_with_one_progress_bar(
    photos: list[HashedPhoto], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PHOTOS_PER_BATCH", 6)
    sources, reporter = [Source("small", (4, 4)), Source("large", (8, 8))], Lines()
    for gray in (10, 190):
        for source in sources:
            index = GRAYS.index(gray)
            source.cache.put(photos[index].digest + module.PLAIN.encode(), np.array([gray, 0, 0], np.float32))
    Path(str(photos[4].photo.path)).write_bytes(b"no picture")
    found = batches(photos, sources, reporter)
    assert [len(batch.photos) for batch in found] == [3, 3, 1]
    flat = [vectors for batch in found for vectors in batch.vectors]
    assert [isinstance(one, PhotoError) or one[1][0] for one in flat] == [10, 40, 70, 100, True, 160, 190]
    assert reporter.bars == [["bottlenecks, 2 architectures", 5, 5]], "the number of photos to decode"
    reporter = Lines()
    sources[1].cache.damage = ["a vector was damaged"]
    batches(photos[:4], sources[1:], reporter)
    assert reporter.lines == ["a vector was damaged"] and reporter.bars == []
    batches(
        photos[:4], [Source("third", (4, 4))], reporter, ("x",), lambda image, size, name, digest: np.zeros((1, 1, 3))
    )
    assert reporter.bars == [["bottlenecks, third, distorted", 4, 4]]


def test_number_of_interpreters_is_limited_over_all_networks(
    photos: list[HashedPhoto], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def spy(items: Any, make: Any, compute: Any, *, workers: int, at_once: int, **rest: Any) -> Any:
        asked.append((workers, at_once))
        return run_chunks(items, make, compute, workers=1, at_once=at_once, **rest)

    monkeypatch.setattr(module, "run_chunks", spy)
    monkeypatch.setattr(module, "cores", lambda: 40)
    for most, number in ((12, 1), (12, 3), (2, 3), (1000, 1)):
        monkeypatch.setattr(module, "_MAX_INTERPRETERS", most)
        batches(photos, [Source(str(n), (4, 4)) for n in range(number)])
    assert [workers for workers, _ in asked] == [12, 4, 1, 40] and {together for _, together in asked} == {1}


def test_extractor_normalizes_pixels_as_the_network_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run(pixels: Any) -> list[Any]:
        seen.append(pixels.copy())
        return [np.arange(5.0)]

    session = SimpleNamespace(
        inputs=[SimpleNamespace(shape=(1, 2, 2, 3))], outputs=[SimpleNamespace(shape=(1, 5))],
        run=run,
    )  # fmt: skip
    monkeypatch.setattr(module, "Session", lambda model: session)
    extractor = module.Extractor(Path("m.tflite"))
    found = extractor(np.array([[[0, 51, 102], [153, 204, 255]]] * 2, np.uint8))
    assert extractor.shape == (5,) and found.tolist() == [0, 1, 2, 3, 4] and found.dtype == np.float32
    expected = (np.array([0, 51, 102, 153, 204, 255]) - 127.5) / 127.5
    assert seen[0].reshape(2, 6) == pytest.approx(np.array([expected, expected]), abs=0.005)


def test_damaged_cache_is_reported_once() -> None:
    rows: Any = SimpleNamespace(set_aside=[Path("a.damaged")], damaged=3)
    cache = BottleneckCache(rows)
    first, second = cache.take_damage()
    assert "moved to a.damaged" in first and second.startswith("3 results")
    assert cache.take_damage() == []
    rows.damaged = 1
    assert len(cache.take_damage()) == 1


def test_cached_vectors_are_returned_unchanged(tmp_path: Path) -> None:
    vector = np.arange(7, dtype=np.float32)
    with open_cache(tmp_path / "c.sqlite") as (cache, moved):
        cache.put(b"k", vector[::-1])
        [found, absent] = cache.get_many([b"k", b"x"])
        assert found is not None and found.tolist() == vector[::-1].tolist() and absent is None and moved is None
        assert cache.get(b"k") is not None and cache.missing([b"x", b"k"]) == [b"x"]


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that prepares a backbone from weights with a given checksum; returns it and whether it was built."""

    def prepare(digest: str) -> tuple[Backbone, bool]:
        count = len(written)
        backbone = prepare_backbone(ENTRY, SimpleNamespace(digest=digest), tmp_path)  # type: ignore[arg-type]
        return backbone, len(written) > count

    written: list[Any] = []

    def network(entry: Any, weights: Any) -> Any:
        written.append(weights.digest)
        return weights.digest

    monkeypatch.setattr(backbone_module, "read_backbone", network)
    monkeypatch.setattr(backbone_module, "graph_of", lambda read: read)
    monkeypatch.setattr(backbone_module, "serialize", lambda graph: f"graph of {graph}".encode())
    monkeypatch.setattr(backbone_module, "write_float_model", lambda read: f"model of {read}".encode())
    return prepare


def test_backbone_is_built_once_for_each_checksum_of_its_weights(built: Any) -> None:
    first, is_new = built("one")
    assert is_new and first.graph.read_bytes() == b"graph of one" and first.model.read_bytes() == b"model of one"
    assert built("one") == (first, False)
    second, is_new = built("two")
    assert is_new and second.model != first.model and second.graph != first.graph and second.digest != first.digest
    assert first.cache_file == first.model.with_suffix(".sqlite") and first.cache_file != second.cache_file
    names = {cache.name for cache in caches(first.graph.parent)}
    assert names == {first.model.stem, second.model.stem}, "its files are listed as caches"
    assert json.loads(first.graph.with_suffix(".json").read_text()) == {
        "graph": hashlib.sha256(b"graph of one").hexdigest(), "model": hashlib.sha256(b"model of one").hexdigest()
    }  # fmt: skip


def test_backbone_files_are_written_before_their_checksums(built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed program leaves no part of a file, and no checksums of missing files."""
    written: list[str] = []
    for name in ("write_bytes", "write_text"):
        write = getattr(backbone_module, name)

        def recorded(path: Path, content: Any, write: Any = write) -> None:
            write(path, content)
            written.append(path.suffix)

        monkeypatch.setattr(backbone_module, name, recorded)
    built("one")
    assert sorted(written[:2]) == [".pb", ".tflite"] and written[2:] == [".json"]


@pytest.mark.parametrize("suffix", [".pb", ".tflite", ".json"])
@pytest.mark.parametrize("content", [b"damaged", None])
def test_damaged_backbone_is_built_again(built: Any, suffix: str, content: bytes | None) -> None:
    backbone, _ = built("one")
    path = backbone.graph.with_suffix(suffix)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert built("one") == (backbone, True) and built("one") == (backbone, False)
    assert backbone.graph.read_bytes() == b"graph of one" and backbone.model.read_bytes() == b"model of one"


def test_files_are_hashed_again_only_if_they_have_changed_or_if_requested(
    photos: list[HashedPhoto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "PHOTOS_PER_BATCH", 3)
    read: list[str] = []

    def reading(photo: Photo) -> bytes:
        read.append(photo.name)
        return read_contents(photo)

    monkeypatch.setattr(hashing, "read_contents", reading)
    paths = [Path(str(photo.photo.path)) for photo in photos]
    later = SimpleNamespace(time=lambda: max(path.stat().st_ctime for path in paths) + 60)
    monkeypatch.setattr("poets_edge.training.hashed_photos.time", later)
    table = [photo.photo for photo in photos] + [Photo(tmp_path / "gone.png", "a/gone.png", "a")]
    first = hash_photos(table, tmp_path / "cache")
    assert sorted(read) == sorted(photo.name for photo in table)
    assert [bytes(row) for row in first.digests] == [*[photo.digest for photo in photos], bytes(32)]
    sizes = [path.stat().st_size for path in paths]
    assert first.sizes.tolist() == [*sizes, UNKNOWN_SIZE] and list(first.errors) == [7]
    read.clear()
    Image.new("RGB", (31, 17), (250, 0, 0)).save(paths[4])
    again = hash_photos(table, tmp_path / "cache")
    assert sorted(read) == [table[4].name, "a/gone.png"], "the digests of the others are known"
    new = hashlib.sha256(paths[4].read_bytes()).digest()
    assert [bytes(row) for row in again.digests[:7]] == [new if n == 4 else one.digest for n, one in enumerate(photos)]
    read.clear()
    hash_photos(table, tmp_path / "cache", rehash=True)
    assert len(read) == 8
    assert isinstance(again[-1], PhotoError) and isinstance(again[7], PhotoError) and len(again[5:]) == 3
    assert [photo.photo.name for photo in again.readable] == [photo.photo.name for photo in photos]


def options(folder: Path, **changes: Any) -> TrainOptions:
    return TrainOptions(
        image_dir=folder / "photos", architecture=ENTRY, bottleneck_dir=folder / "bottlenecks",
        output_graph=folder / "graph.pb", output_labels=folder / "labels.txt", **changes,
    )  # fmt: skip


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that reads photos named `names` in batches of four; the first value of a vector is the row number."""

    def read(names: list[str], reporter: Any = None, broken: tuple[int, ...] = (), **rest: Any) -> Any:
        items = [Photo(tmp_path / name, name, name.split("/")[0], rest.get("splits", {}).get(name)) for name in names]
        digests = np.array([[row + 1] * 32 for row in range(len(names))], np.uint8)
        photos = HashedPhotos.of([HashedPhoto(photo, bytes(row)) for photo, row in zip(items, digests, strict=True)])
        errors = {row: PhotoError(f"{names[row]}: unreadable") for row in rest.get("errors", ())}
        hashed = hashing.Hashed(photos.photos, digests, np.zeros(len(names), np.int64), errors)
        left = [row for row in range(len(names)) if row not in errors]

        def found(files: HashedPhotos, *others: Any) -> Iterator[Any]:
            assert len(files) == len(left)
            for start in range(0, len(files), 4):
                rows = left[start : start + 4]
                vectors: list[Any] = [
                    PhotoError(f"{names[row]}: broken") if row in broken
                    else [np.eye(1, ENTRY.bottleneck_size, dtype=np.float32)[0] * row]
                    for row in rows
                ]  # fmt: skip
                changed = {rows.index(row): bytes([99]) * 32 for row in rest.get("changed", ()) if row in rows}
                yield SimpleNamespace(photos=rows, vectors=vectors, changed=changed)

        monkeypatch.setattr(data, "bottleneck_batches", found)
        chosen = options(tmp_path, **rest.get("options", {}))
        nothing: Any = None
        return read_data(chosen, hashed, nothing, nothing, reporter or Silent(), rest.get("groups"))

    return read


NAMES = [f"{label}/{number}.jpg" for label in ("ash", "beech") for number in range(6)]


def test_rows_of_vectors_and_digests_belong_to_their_photos(reading: Any) -> None:
    reporter = Lines()
    found, problems = reading(NAMES, reporter, broken=(2, 9), errors=(1,), changed=(5, 10))
    kept = [row for row in range(12) if row not in (1, 2, 9)]
    assert list(found.photos.photos.names) == [NAMES[row] for row in kept]
    assert found.vectors[:][:, 0].tolist() == kept and found.labels == ("ash", "beech")
    assert found.photos.digests[:, 0].tolist() == [99 if row in (5, 10) else row + 1 for row in kept]
    assert list(problems) == ["ash/1.jpg: unreadable", "ash/2.jpg: broken", "beech/3.jpg: broken"]
    assert reporter.lines == [f"left out: {problem}" for problem in problems]


def test_strict_reading_raises_every_kind_of_photo_error(reading: Any) -> None:
    for kind in ("broken", "errors"):
        with pytest.raises(PhotoError, match=r"ash/3\.jpg: .* \(Without `strict` it would be left out\.\)"):
            reading(NAMES, options={"strict": True}, **{kind: (3,)})


def test_fewer_than_two_classes_or_a_class_without_training_photos_is_an_error(reading: Any) -> None:
    with pytest.raises(DatasetError, match=r"found only 'ash'\."):
        reading(NAMES[:6])
    with pytest.raises(DatasetError, match=r"found none\."):
        reading(NAMES, broken=tuple(range(12)))
    splits: dict[str, Any] = {name: "training" if name.startswith("ash") else "validation" for name in NAMES}
    with pytest.raises(DatasetError, match="class beech: no photo for training, and 6 in beech"):
        reading(NAMES, splits=splits)
    splits["beech/2.jpg"] = "training"
    found, _ = reading(NAMES, splits=splits)
    assert np.bincount(found.sets).tolist()[SPLIT_NAMES.index("training")] == 7


def test_groups_are_kept_only_if_a_group_has_several_photos(reading: Any) -> None:
    found, _ = reading(NAMES, groups=PhotoGroups(np.arange(12)))
    assert found.groups is None
    found, _ = reading(NAMES, groups=PhotoGroups(np.arange(12) // 2))
    assert found.groups is not None and found.groups.count == 6


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that cross-validates photos in given groups; returns the result and the groups of each call."""

    def run(groups: PhotoGroups | None, **changes: Any) -> tuple[Any, list[Any]]:
        calls: list[Any] = []

        def validate(photos: Any, vectors: Any, labels: Any, head: Any, folds: int, numbers: Any = None) -> Any:
            calls.append((folds, None if numbers is None else numbers.tolist()))
            return SimpleNamespace(accuracy=0.8 if numbers is not None else 0.9)

        monkeypatch.setattr(cross_validated_run, "cross_validate", validate)
        items = [HashedPhoto(Photo(Path(name), name, name[0]), bytes([row]) * 32) for row, name in enumerate(NAMES)]
        given = TrainingData.of(items, np.zeros((12, 3), np.float32), np.zeros(12, np.int8), ("a", "b"))
        return cross_validate_run(options(Path("x"), **changes), replace(given, groups=groups)), calls

    return run


def test_cross_validation_of_dependent_photos_is_repeated_with_groups_ignored(validated: Any) -> None:
    numbers = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    dependent = PhotoGroups(numbers, alike=0.9, are_repetitive=True)
    assert dependent.are_dependent
    found, calls = validated(dependent, folds=4)
    assert calls == [(4, [0] * 4 + [4] * 4 + [8] * 4), (4, None)], "groups are numbered by their first photos"
    assert found.result.accuracy == 0.8 and found.ungrouped_accuracy == 0.9
    found, calls = validated(None, folds=4)
    assert calls == [(4, None)] and found.result.accuracy == 0.9 and found.ungrouped_accuracy is None
    few = PhotoGroups(np.arange(12))
    assert not few.are_dependent
    found, calls = validated(few, folds=4)
    assert len(calls) == 1 and found.ungrouped_accuracy is None and found.groups is not None


def test_cross_validation_is_skipped_without_folds_or_with_distortions(validated: Any) -> None:
    for changes in ({"folds": 0}, {"distortions": Distortions(flip_left_right=True)}):
        found, calls = validated(PhotoGroups(np.arange(12) // 4), **changes)
        assert calls == [] and found.result is None and found.groups is not None


def test_scores_of_repeats_are_averaged_and_groups_widen_the_interval() -> None:
    items = [HashedPhoto(Photo(Path(name), name, name.split("/")[0]), bytes(32)) for name in NAMES[:8]]
    photos = HashedPhotos.of(items).photos.in_classes(("ash", "beech"))
    first = np.array([[0.9, 0.1]] * 6 + [[0.4, 0.6]] * 2, np.float32)
    second = np.array([[0.2, 0.8]] * 2 + [[0.6, 0.4]] * 4 + [[0.2, 0.8]] * 2, np.float32)
    folds: Any = SimpleNamespace(count=3, requested=5)
    alone = CrossValidation(("ash", "beech"), folds, photos, np.stack([first, second]))
    assert alone.scored.scores[[0, 3, 7]] == pytest.approx(np.array([[0.55, 0.45], [0.75, 0.25], [0.3, 0.7]]))
    assert alone.right.tolist() == [1, 1, 2, 2, 2, 2, 2, 2] and alone.accuracy == pytest.approx(14 / 16)
    assert alone.confusion.tolist() == [[5, 1], [0, 2]] and alone.truth.tolist() == [0] * 6 + [1] * 2
    written = alone.to_json()
    assert written["not_always_right"] == [
        {"photo": f"ash/{n}.jpg", "right": 1, "answer": "ash", "score": pytest.approx(0.55)} for n in (0, 1)
    ]
    assert written["confusion"] == [[5, 1], [0, 2]] and written["interval95"] == list(alone.interval)
    assert written["recall"] == {"ash": 5 / 6, "beech": 1.0} and written["repeats"] == 2
    assert (written["folds"], written["folds_wanted"], written["photos"]) == (3, 5, 8)
    third = np.array([[0.6, 0.4], *first[1:].tolist()], np.float32)
    fourth = np.array([[0.1, 0.9], *second[1:].tolist()], np.float32)
    changed = replace(alone, scores=np.stack([third, fourth])).to_json()["not_always_right"][0]
    assert (changed["answer"], changed["score"]) == ("beech", pytest.approx(0.65)), "of the mean scores"
    grouped = replace(alone, groups=np.array([0, 0, 1, 1, 1, 2, 2, 2]))
    assert grouped.interval[0] < alone.interval[0] and grouped.scored.groups is grouped.groups
    empty = replace(grouped, photos=photos.take(np.zeros(0, np.int64)), scores=np.zeros((2, 0, 2), np.float32),
                    groups=np.zeros(0, np.int64))  # fmt: skip
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
        assert empty.count == 0 and len(empty.interval) == 2


def test_distortions_do_not_change_between_versions() -> None:
    """Cached vectors of distorted photos would otherwise belong to other images."""
    image = Image.fromarray(np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3).astype(np.uint8))
    settings = Distortions(random_brightness=50)
    gray = Image.new("RGB", (40, 40), (100,) * 3)
    found = [int(distort(gray, (4, 4), settings, name, bytes(32))[0, 0, 0]) for name in settings.names()[:4]]
    for value, name in zip(found, settings.names(), strict=False):
        seed = int.from_bytes(hashlib.sha256(bytes(32) + name.encode()).digest()[:8], "big")
        rng = np.random.default_rng(seed)
        rng.uniform(size=3)  # the scale and the position of the window
        assert value == pytest.approx(100 * rng.uniform(0.5, 1.5), abs=0.51)
    crop = Distortions(random_crop=50, random_scale=20)
    assert distort(image, (8, 12), crop, crop.names()[0], b"1" * 32).shape == (8, 12, 3)


def test_class_without_a_readable_photo_is_excluded(reading: Any) -> None:
    found, problems = reading([*NAMES, "cedar/0.jpg", "cedar/1.jpg"], broken=(12, 13))
    assert found.labels == ("ash", "beech") and len(found.photos) == 12 and len(problems) == 2
