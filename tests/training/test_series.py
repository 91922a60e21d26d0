"""Tests of the search for series, which are photos of one object with consecutive names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from poets_edge.photos.folder import Photo
from poets_edge.photos.table import HashedPhoto, HashedPhotos
from poets_edge.training import series as module
from poets_edge.training.look_alikes import find_groups
from poets_edge.training.series import find_series

Vectors = npt.NDArray[np.float32]
CLASSES = np.arange(4).repeat(36)
NAMES = [f"{number}/IMG_{row}.jpg" for row, number in enumerate(CLASSES)]


def objects(size: int, spread: float = 1.0) -> Vectors:
    """Return unit vectors of four classes with 36 photos each; every `size` successive photos show one object."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((144 // size, 24)).repeat(size, axis=0) + spread * rng.standard_normal((144, 24))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def without(vectors: Vectors, photo: int, held_out: npt.NDArray[np.int64]) -> bool:
    """Return whether a ridge regression fitted without the held-out photos classifies a photo correctly."""
    rest = np.setdiff1d(np.arange(len(vectors)), held_out)
    inputs = np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1).astype(np.float64)
    weights = np.diag(np.full(len(rest), 1 / 36))
    penalty = module._PENALTY * np.trace(inputs.T @ inputs / 36) / inputs.shape[1]
    left = inputs[rest].T @ weights @ inputs[rest] + penalty * np.eye(inputs.shape[1])
    fitted = np.linalg.solve(left, inputs[rest].T @ weights @ np.eye(4)[CLASSES[rest]])
    return bool((inputs[photo] @ fitted).argmax() == CLASSES[photo])


def test_series_result_contains_the_accuracy_if_neighboring_photos_are_held_out() -> None:
    vectors = objects(6)
    found = find_series(vectors, CLASSES, NAMES)
    assert found is not None
    expected = []
    for window in (2, 4):
        starts = [36 * (row // 36) + min(max(row % 36 - window, 0), 35 - 2 * window) for row in range(144)]
        sets = [np.arange(start, start + 2 * window + 1) for start in starts]
        expected.append(np.mean([without(vectors, row, held_out) for row, held_out in enumerate(sets)]))
    assert found.held_out == pytest.approx(min(expected))
    assert found.accuracy - found.held_out > 0.2


def test_series_with_random_names_are_not_found() -> None:
    order = np.random.default_rng(1).permutation(36)
    names = [f"{row // 36}/{order[row % 36]}.jpg" for row in range(144)]
    assert find_series(objects(6), CLASSES, names) is None


@pytest.mark.parametrize("vectors", [objects(1), np.repeat(objects(36, 0.5)[::36], 36, axis=0) + 0.1 * objects(1)])
def test_independent_photos_are_not_a_series(vectors: Vectors) -> None:
    """Either classes are not recognizable, or all photos of a class are similar."""
    assert find_series(vectors, CLASSES, NAMES) is None


def test_numbers_in_the_names_of_a_series_are_compared_by_value() -> None:
    """As texts, IMG_10 would be between IMG_1 and IMG_2, so that fewer photos of an object were held out."""
    by_value = find_series(objects(6), CLASSES, NAMES)
    padded = [f"{number}/IMG_{row:03}.jpg" for row, number in enumerate(CLASSES)]
    assert by_value is not None and by_value == find_series(objects(6), CLASSES, padded)


def test_series_are_ordered_by_capture_time_if_all_times_are_known() -> None:
    names = [f"{row // 36}/{place}.jpg" for row, place in enumerate(np.random.default_rng(1).permutation(144))]
    times = np.arange(144.0)
    assert find_series(objects(6), CLASSES, names, times) == find_series(objects(6), CLASSES, NAMES)
    times[0] = np.nan
    assert find_series(objects(6), CLASSES, names, times) is None


def test_series_are_found_in_a_sample_of_a_large_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SAMPLE", 72)
    monkeypatch.setattr(module, "_PHOTOS_AT_ONCE", 5)
    assert find_series(objects(6), CLASSES, NAMES) is not None


@pytest.mark.parametrize("photos", [0, 1, 6])
def test_series_search_requires_a_minimum_number_of_photos(photos: int) -> None:
    assert find_series(objects(6)[:photos], CLASSES[:photos], NAMES[:photos]) is None


def test_series_are_reported_and_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = HashedPhotos.of(
        [HashedPhoto(Photo(Path(name), name, name[0]), row.to_bytes(32, "big")) for row, name in enumerate(NAMES)]
    )
    found = find_groups(photos, objects(6), tmp_path)
    assert found.series is not None and found.are_dependent and not found.are_trivial
    monkeypatch.setattr("poets_edge.training.look_alikes.find_series", None)
    assert find_groups(photos, objects(6), tmp_path).series == found.series
