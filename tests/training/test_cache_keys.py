"""Tests of the training caches when the preprocessing, the photos or the weights change."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.errors import PhotoError, UsageError, WeightsError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import EMBEDDED_FILE
from poets_edge.nets.weights_file import Weights
from poets_edge.photos.digests import open_digests
from poets_edge.photos.folder import Photo
from poets_edge.photos.image import Pixels
from poets_edge.photos.table import HashedPhoto
from poets_edge.progress import Silent
from poets_edge.sweep.int8_backbone import int8_vector_key
from poets_edge.training.backbone import prepare_backbone
from poets_edge.training.bottleneck_cache import BottleneckCache, Vector, open_cache
from poets_edge.training.bottlenecks import PLAIN, bottlenecks, vector_key
from poets_edge.training.cache_folder import caches, remove_caches
from poets_edge.training.fine_tuning.activations import View
from poets_edge.training.fine_tuning.encoding import ChannelEncoding, Relu6Encoding
from poets_edge.training.hashed_photos import hash_photos

PREPROCESSING = (
    "poets_edge.training.bottlenecks.PREPROCESSING",
    "poets_edge.training.fine_tuning.activations.PREPROCESSING",
    "poets_edge.sweep.int8_backbone.PREPROCESSING",
)


class MeanColor:
    """A source of vectors that computes mean colors and counts its calls."""

    name, size = "mean color", (4, 6)

    def __init__(self, cache: BottleneckCache) -> None:
        self.cache, self.calls = cache, 0

    def key(self, digest: bytes, variant: str) -> bytes:
        return vector_key(digest, variant)

    def extractor(self) -> Callable[[Pixels], Vector]:
        def mean(pixels: Pixels) -> Vector:
            self.calls += 1
            assert pixels.shape == (4, 6, 3)
            return np.asarray(pixels.reshape(-1, 3).mean(axis=0), np.float32)

        return mean


@pytest.fixture
def photos(tmp_path: Path) -> list[HashedPhoto]:
    """A red, a green and a blue photo; the first and the last have equal sizes in bytes."""
    for name, color in (("0", (200, 0, 0)), ("1", (0, 200, 0)), ("2", (0, 0, 200))):
        Image.new("RGB", (20, 10), color).save(tmp_path / f"{name}.png")
    found = hash_photos([Photo(tmp_path / f"{n}.png", f"x/{n}.png", "x") for n in range(3)])
    return [one for one in found if isinstance(one, HashedPhoto)]


def colors(photos: list[HashedPhoto], source: MeanColor) -> list[list[int]]:
    found = bottlenecks(photos, [source], Silent())
    return [list(map(round, vectors[0].tolist())) for _, vectors in found if not isinstance(vectors, PhotoError)]


def test_bottlenecks_are_computed_once_for_each_version_of_preprocessing(
    photos: list[HashedPhoto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [[200, 0, 0], [0, 200, 0], [0, 0, 200]]
    with open_cache(tmp_path / "cache.sqlite") as (cache, _):
        source = MeanColor(cache)
        assert colors(photos, source) == expected and source.calls == 3
        assert colors(photos[::-1], source) == expected[::-1] and source.calls == 3
        monkeypatch.setattr(PREPROCESSING[0], "another-1")
        assert colors(photos, source) == expected and source.calls == 6


def test_bottleneck_of_a_changed_photo_is_cached_under_its_new_digest(
    photos: list[HashedPhoto], tmp_path: Path
) -> None:
    with open_cache(tmp_path / "cache.sqlite") as (cache, _):
        Image.new("RGB", (20, 10), (0, 0, 90)).save(tmp_path / "0.png")
        [(photo, _), *_] = bottlenecks(photos, [MeanColor(cache)], Silent())
        assert photo.digest == hashlib.sha256((tmp_path / "0.png").read_bytes()).digest()
        assert cache.get(vector_key(photos[0].digest)) is None
        vector = cache.get(vector_key(photo.digest))
        assert vector is not None and vector.round().tolist() == [0, 0, 90]


def test_cached_vectors_of_a_changed_photo_are_computed_again(photos: list[HashedPhoto], tmp_path: Path) -> None:
    with open_cache(tmp_path / "cache.sqlite") as (cache, _):
        source = MeanColor(cache)
        colors(photos, source)
        Image.new("RGB", (20, 10), (0, 0, 90)).save(tmp_path / "0.png")
        [(_, vectors), *_] = bottlenecks(photos, [source], Silent(), (PLAIN, "another variant"))
        assert not isinstance(vectors, PhotoError)
        assert [vector.round().tolist() for vector in vectors] == [[0, 0, 90]] * 2


def test_every_cache_key_depends_on_photo_variant_and_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> list[bytes]:
        one, other = (HashedPhoto(Photo(Path("x"), "x", "x"), bytes([n] * 32)) for n in (1, 2))
        return [
            vector_key(one.digest), vector_key(other.digest), vector_key(one.digest, "distorted"),
            *(View(one, "crop").key(encoding) for encoding in (Relu6Encoding(), ChannelEncoding())),
            View(other, "crop").key(Relu6Encoding()), View(one, "whole").key(Relu6Encoding()),
            int8_vector_key(one.digest, "a" * 64), int8_vector_key(other.digest, "a" * 64),
            int8_vector_key(one.digest, "b" * 64),
        ]  # fmt: skip

    before = keys()
    for place in PREPROCESSING:
        monkeypatch.setattr(place, "another-1")
    assert len({*before, *keys()}) == 2 * len(before)


def test_weights_changed_after_hashing_are_rejected(tmp_path: Path) -> None:
    entry = architecture("mobilenet_0.25_128")
    content = EMBEDDED_FILE.read_bytes()
    (tmp_path / "weights.npz").write_bytes(content)
    weights = Weights(tmp_path / "weights.npz", hashlib.sha256(content).hexdigest())
    with np.load(EMBEDDED_FILE) as stored:
        arrays = [stored[name] for name in stored.files]
    np.savez(tmp_path / "weights.npz", *[array * np.float32(2) for array in arrays])
    with pytest.raises(WeightsError, match="has changed"):
        prepare_backbone(entry, weights, tmp_path / "bottlenecks")
    assert not list(tmp_path.glob("bottlenecks/*.tflite"))


def test_backbone_is_named_after_weights_and_architecture(tmp_path: Path) -> None:
    content = EMBEDDED_FILE.read_bytes()
    weights = Weights(EMBEDDED_FILE, hashlib.sha256(content).hexdigest())
    first = prepare_backbone(architecture("mobilenet_0.25_128"), weights, tmp_path)
    assert prepare_backbone(architecture("mobilenet_0.25_128"), weights, tmp_path) == first
    modified = first.model.stat().st_mtime_ns
    first.graph.write_bytes(first.graph.read_bytes() + b"\0")
    again = prepare_backbone(architecture("mobilenet_0.25_128"), weights, tmp_path)
    assert again == first and first.model.stat().st_mtime_ns > modified, "a damaged file is built again"
    assert weights.digest not in first.digest and first.cache_file.name.startswith("mobilenet_0.25_128-")


def test_list_of_caches_omits_databases_from_other_programs(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "photos.sqlite")) as other:
        other.execute("CREATE TABLE albums (name TEXT)")
        other.commit()
    before = (tmp_path / "photos.sqlite").read_bytes()
    with open_digests(tmp_path, Silent()):
        assert caches(tmp_path) == []
    with pytest.raises(UsageError, match="no cache named 'photos'"):
        remove_caches(tmp_path, ["photos"])
    assert (tmp_path / "photos.sqlite").read_bytes() == before


@pytest.mark.parametrize("name", ["photos.sqlite", "invoice-0123456789abcdef.json", "birds-0123456789abcdef.tflite"])
def test_list_of_caches_omits_user_files_with_similar_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine, encrypted")
    assert caches(tmp_path) == []
    with pytest.raises(UsageError, match="no cache named"):
        remove_caches(tmp_path, [name.partition(".")[0]])
    assert (tmp_path / name).read_bytes() == b"mine, encrypted"


def test_cache_of_look_alike_groups_is_listed_and_removed(tmp_path: Path) -> None:
    with open_cache(tmp_path / "groups.sqlite") as (cache, _):
        cache.put(b"key", np.ones(3, np.float32))
    [found] = caches(tmp_path)
    assert (found.name, found.kind, found.rows) == ("groups", "groups", 1)
    assert [each.name for each in remove_caches(tmp_path, ["groups"])] == ["groups"] and caches(tmp_path) == []
