"""Tests of the search for near-duplicates, compared with brute force and with hand-made pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from poets_edge.auditing import near_duplicates as module
from poets_edge.auditing.near_duplicates import NearDuplicates, find_near_duplicates

Thumbnail = npt.NDArray[np.uint8]


def scene(seed: int, cells: int = 7) -> Image.Image:
    """Return a picture of gray shapes, 256 x 256 pixels; more `cells` per side are finer details."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (cells, cells), np.uint8)
    return Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)


def thumbnail(image: Image.Image) -> Thumbnail:
    return np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BILINEAR))


def found(images: list[Image.Image], similarity: float = 0.8) -> tuple[tuple[int, ...], ...]:
    """Return the groups of near-duplicates among pictures; any two bottlenecks have the given similarity."""
    count = len(images)
    vectors = math.sqrt(1 - similarity) * np.eye(count, count + 1)
    vectors[:, count] = math.sqrt(similarity)
    digests = np.array([bytes([row + 1]) * 32 for row in range(count)], "S32")
    thumbnails = np.stack([thumbnail(image) for image in images])
    return find_near_duplicates(vectors.astype(np.float32), thumbnails, digests, Path()).groups


def cropped(image: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    return image.crop((left, top, 256 - right, 256 - bottom))


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((90, 70)),
        lambda image: image.point([value // 2 for value in range(256)]),
        lambda image: cropped(image, 13, 13, 13, 13),
        lambda image: cropped(image, 0, 0, 12, 12),
        lambda image: cropped(image, 0, 12, 0, 0),
        lambda image: cropped(image, 12, 0, 0, 0),
        ImageOps.mirror,
    ],
)
def test_altered_copies_are_near_duplicates(change: Callable[[Image.Image], Image.Image]) -> None:
    image = scene(1)
    assert found([scene(2), image, scene(3), change(image)]) == ((1, 3),)


@pytest.mark.parametrize(
    "change", [ImageOps.flip, lambda image: image.rotate(90), lambda image: cropped(image, 60, 60, 60, 60)]
)
def test_strongly_altered_copies_are_not_near_duplicates(change: Callable[[Image.Image], Image.Image]) -> None:
    assert found([scene(1), change(scene(1)), scene(4)]) == ()


def test_mirrored_copies_require_similar_bottlenecks() -> None:
    image = scene(1)
    assert found([image, ImageOps.mirror(image)], 0.76) == ((0, 1),)
    assert found([image, ImageOps.mirror(image)], 0.74) == ()
    assert found([image, image], 0.2) == ((0, 1),), "copies have similar thumbnails"
    assert found([image, image], 0.1) == ()


def test_identical_files_are_near_duplicates_without_comparison() -> None:
    blank = np.zeros((4, 32, 32), np.uint8)
    digests = np.array([b"a" * 32, b"b" * 32, b"a" * 32, b"c" * 32], "S32")
    assert find_near_duplicates(np.eye(4, dtype=np.float32), blank, digests, Path()).groups == ((0, 2),)


def test_only_the_first_of_several_identical_files_is_compared_with_other_photos() -> None:
    image = scene(1)
    thumbnails = np.stack([thumbnail(one) for one in (image, image, scene(2), image.resize((90, 70)))])
    digests = np.array([b"a" * 32, b"a" * 32, b"b" * 32, b"c" * 32], "S32")
    vectors = np.ones((4, 1), np.float32)
    assert find_near_duplicates(vectors, thumbnails, digests, Path()).groups == ((0, 1, 3),)


def test_noise_does_not_make_blank_pictures_match() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, (32, 32), np.uint8)
    one, other = 120 + noise, 90 + noise
    assert not module._match(one[None].astype(np.uint8), other[None].astype(np.uint8), np.ones(1, np.float32))[0]
    strong = np.asarray(thumbnail(scene(1)))
    assert module._match(strong[None], strong[None], np.zeros(1, np.float32))[0]


@pytest.mark.parametrize(("size", "count"), [(8, 28), (9, 8), (2, 1)])
def test_large_groups_of_duplicates_are_listed_as_pairs_with_their_first_photo(size: int, count: int) -> None:
    group = tuple(range(10, 10 + size))
    pairs = list(NearDuplicates((group,)).pairs())
    assert len(pairs) == count and pairs[0] == (10, 11)
    assert size <= 8 or all(first == 10 for first, _ in pairs)


def test_candidate_pairs_have_at_least_the_minimum_similarity() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 2))
    coarse = rng.normal(size=(40, 4))
    vectors, coarse = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (vectors, coarse))
    similarity = vectors @ vectors.T
    total = similarity + coarse @ coarse.T
    expected = {(a, b) for a in range(40) for b in range(a + 1, 40) if total[a, b] >= 1.15 or similarity[a, b] >= 0.75}
    ranking = np.maximum(total, similarity + 1.15 - 0.75)
    kept = {
        (a, b) for a, b in expected if sum(ranking[a, other] > ranking[a, b] for one, other in expected if one == a) < 6
    }
    pairs = set()
    for rows, deep in module._candidate_pairs(vectors.astype(np.float32), coarse.astype(np.float32)):
        pairs |= {(int(a), int(b)) for a, b in rows}
        assert deep == pytest.approx(similarity[rows[:, 0], rows[:, 1]], abs=1e-5)
    assert pairs == kept and len(kept) < len(expected)


def test_most_similar_pairs_are_kept_for_each_photo() -> None:
    first = np.array([4, 2, 4, 4, 4, 4, 4, 4, 4])
    similarity = np.array([0.1, 0.5, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], np.float32)
    assert module._most_similar(first, similarity).tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_coarse_thumbnail_is_the_normalized_mean_of_each_four_by_four_pixel_cell() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32), np.uint8)
    cells = [
        [image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean() for column in range(8)] for row in range(8)
    ]
    expected = np.array(cells).ravel() - np.mean(cells)
    assert module._coarse(image)[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("fraction", "place", "first", "last"), [(1.0, 0.0, 0, 31), (0.9, 0.0, -0.05, 27.85), (0.9, 1.0, 3.15, 31.05)]
)
def test_sampling_matrix_crops_and_resamples_a_row_of_pixels(
    fraction: float, place: float, first: float, last: float
) -> None:
    """The sampled line contains the positions of its pixels, so the result shows where the samples are."""
    sampled = module._sampler(fraction, place) @ np.arange(32)
    expected = np.linspace(first, last, 32)
    assert sampled == pytest.approx(np.clip(expected, 0, 31), abs=1e-4)


def test_crops_keep_90_or_95_percent_of_both_sides_or_95_percent_of_one_side() -> None:
    def scale(sampler: npt.NDArray[np.float32]) -> float:
        places = sampler @ np.arange(32)
        return round(float(places[16] - places[15]), 2)

    windows = [(scale(down), scale(across)) for down, across in module._windows()]
    assert windows.count((0.95, 0.95)) == windows.count((0.9, 0.9)) == 9
    assert windows.count((1.0, 1.0)) == 1 and windows.count((0.95, 1.0)) == windows.count((1.0, 0.95)) == 3
    assert len(windows) == 25
    center = [one @ np.arange(32) for one in module._FIRST_WINDOWS[1]]
    assert [place.mean() for place in center] == pytest.approx([15.5, 15.5], abs=0.01)


def test_local_contrast_subtracts_the_mean_of_five_by_five_pixels() -> None:
    image = np.random.default_rng(0).random((1, 32, 32)).astype(np.float32)
    contrast = module._local_contrast(image)[0]
    assert (module._mean_of_five() == module._MEAN_OF_FIVE).all()
    assert module._mean_of_five()[[0, 10, 10, 31], [2, 8, 7, 31]] == pytest.approx([1 / 3, 1 / 5, 0, 1 / 3])
    assert contrast[10, 20] == pytest.approx(image[0, 10, 20] - image[0, 8:13, 18:23].mean(), abs=1e-5)
    assert contrast[0, 31] == pytest.approx(image[0, 0, 31] - image[0, 0:3, 29:32].mean(), abs=1e-5)


def test_mirrored_match_requires_similar_bottlenecks_and_coarse_thumbnails() -> None:
    image = thumbnail(scene(1))[None]
    mirrored = image[:, :, ::-1]
    assert module._match(image, mirrored, np.array([0.75], np.float32)).tolist() == [True]
    assert module._match(image, mirrored, np.array([0.74], np.float32)).tolist() == [False]


@pytest.mark.parametrize(("correlation", "similar"), [(0.68, False), (0.72, True), (0.95, True)])
def test_coarse_comparison_rejects_thumbnails_whose_cell_means_do_not_correlate(
    correlation: float, similar: bool
) -> None:
    """`correlation` is the correlation of the cell means of the two thumbnails."""
    rng = np.random.default_rng(0)
    first, second = np.linalg.qr(np.c_[np.ones(64), rng.standard_normal((64, 2))])[0][:, 1:].T
    mixed = correlation * first + math.sqrt(1 - correlation**2) * second
    a, b = (np.kron((128 + 300 * one).reshape(8, 8), np.ones((4, 4)))[None].round() for one in (first, mixed))
    assert module._correlate_coarsely(a.astype(np.uint8), b.astype(np.uint8)).tolist() == [similar]


def test_near_duplicates_do_not_depend_on_the_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bottlenecks of the first pair are too different for a mirrored copy, those of the other pair are similar."""
    image, other = scene(1), scene(5)
    pictures = [image, image.resize((90, 70)), other, ImageOps.mirror(other)]
    vectors = np.array([[1, 0, 0, 0], [0.3, 0.954, 0, 0], [0, 0, 1, 0], [0, 0, 0.8, 0.6]], np.float32)
    digests = np.array([bytes([row + 1]) * 32 for row in range(4)], "S32")
    thumbnails = np.stack([thumbnail(one) for one in pictures])
    for at_once in (512, 1):
        monkeypatch.setattr(module, "_PAIRS_AT_ONCE", at_once)
        assert find_near_duplicates(vectors, thumbnails, digests, Path()).groups == ((0, 1), (2, 3))


def test_either_of_two_near_duplicates_may_be_a_crop_of_the_other() -> None:
    """The details are so fine that the pictures correlate only if the larger one is cropped."""
    image = scene(1, cells=12)
    for pair in ([image, cropped(image, 13, 13, 13, 13)], [cropped(image, 13, 13, 13, 13), image]):
        assert found(pair) == ((0, 1),)
