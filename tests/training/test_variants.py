"""Tests of the search for variants of photos, such as those that data augmentation writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from poets_edge.photos.folder import Photo
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.training import variants as module
from poets_edge.training.look_alikes import find_groups
from poets_edge.training.variants import find_variants

Vectors = npt.NDArray[np.float32]


def augmented(photos: int, each: int, similarity: float) -> Vectors:
    """Return unit vectors of variants, `each` per photo; variants of a photo have about the given similarity."""
    rng = np.random.default_rng(0)
    originals = np.repeat(rng.standard_normal((photos, 64)), each, axis=0)
    spread = np.sqrt(1 / similarity - 1) * rng.standard_normal(originals.shape)
    return unit(originals + spread)


def unit(vectors: npt.NDArray[np.float64]) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("each", [2, 3, 8, 20])
def test_pairs_of_augmented_copies_of_one_photo_are_found(each: int) -> None:
    photos = np.repeat(np.arange(100), each)
    found = find_variants(augmented(100, each, 0.8), photos % 2)
    assert len(found.rows) > 0.8 * len(photos)
    assert (photos[found.pairs[:, 0]] == photos[found.pairs[:, 1]]).all()
    assert len(np.unique(found.pairs)) > 0.8 * len(photos) and (found.similarities >= 0.7).all()


@pytest.mark.parametrize("similarity", [0.2, 0.8])
def test_no_augmented_copies_are_found_if_similar_photos_differ_in_class(similarity: float) -> None:
    """Similar photos are in random classes, or photos are not similar."""
    classes = np.random.default_rng(1).integers(0, 2, 300) if similarity > 0.5 else np.repeat(np.arange(100), 3) % 2
    assert not len(find_variants(augmented(100, 3, similarity), classes).rows)


def test_no_augmented_copies_are_found_if_later_neighbors_predict_classes_as_well() -> None:
    """Photos of each class are similar to each other, and only a little more to their nearest neighbor."""
    classes = np.arange(200) % 4
    means = np.linalg.qr(np.random.default_rng(2).standard_normal((64, 4)))[0].T
    vectors = unit(means[classes] + 0.5 * augmented(100, 2, 0.8))
    assert not len(find_variants(vectors, classes).rows)


@pytest.mark.parametrize(("photos", "found"), [(40, True), (6, False)])
def test_search_for_augmented_copies_requires_enough_photos_per_class(photos: int, found: bool) -> None:
    classes = np.repeat(np.arange(photos), 2) % 2
    assert bool(len(find_variants(augmented(photos, 2, 0.85), classes).rows)) is found


@pytest.mark.parametrize("photos", [0, 1, 2])
def test_no_augmented_copies_are_found_among_two_photos_or_fewer(photos: int) -> None:
    assert not len(find_variants(np.ones((photos, 3), np.float32), np.zeros(photos, np.int64)).pairs)


def test_variant_search_in_a_sample_finds_the_pairs_of_the_full_search(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, classes = augmented(100, 3, 0.8), np.repeat(np.arange(100), 3) % 2
    whole = find_variants(vectors, classes)
    monkeypatch.setattr(module, "_SAMPLE", 100)
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 7)
    assert find_variants(vectors, classes).pairs.tolist() == whole.pairs.tolist()


def test_photos_of_few_objects_without_augmented_copies_are_reported_as_repetitive() -> None:
    """Photos of one object have a similarity of about 0.4 in the first case, and of about 0 in the second."""
    objects = np.repeat(np.arange(40), 12)
    for similarity in (0.4, 0.001):
        found = find_variants(augmented(40, 12, similarity), objects % 4)
        assert found.are_repetitive is (similarity > 0.1) and not len(found.pairs)


def test_variants_of_a_photo_are_grouped(tmp_path: Path) -> None:
    """Most pairs have a similarity between 0.7 and 0.8, so they would not be grouped as look-alikes."""
    photos = HashedPhotos.of(
        [
            HashedPhoto(Photo(Path(f"{row}.jpg"), f"{row // 3 % 2}/{row * 7919 % 10007}.jpg", str(row // 3 % 2)),
                        row.to_bytes(32, "big"))
            for row in range(300)
        ]
    )  # fmt: skip
    found = find_groups(photos, augmented(100, 3, 0.75), tmp_path)
    assert found.are_dependent and not found.are_divided
    assert 100 <= found.count < 180
