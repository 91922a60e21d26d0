"""Tests of `ImageCache`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poets_edge.errors import PhotoError
from poets_edge.photos.folder import scan
from poets_edge.photos.image import fit
from poets_edge.photos.image_cache import ImageCache
from poets_edge.photos.interpolation import interpolate
from poets_edge.photos.open_photo import open_photo
from poets_edge.photos.table import Photo

SMALL, LARGE = (128, 128), (160, 160)


@pytest.fixture
def photos(flowers: Path) -> list[Photo]:
    return list(scan(flowers).photos[:3])


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Photo]:
    """List of the decoded photos, in order."""
    found: list[Photo] = []

    def counting(photo: Photo) -> object:
        found.append(photo)
        return open_photo(photo)

    monkeypatch.setattr("poets_edge.photos.image_cache.open_photo", counting)
    return found


def test_image_cache_decodes_each_photo_once_for_all_sizes(photos: list[Photo], decoded: list[Photo]) -> None:
    shown = ImageCache().at(photos[0], [SMALL, LARGE])
    assert len(decoded) == 1
    for size, pixels in shown.items():
        np.testing.assert_array_equal(pixels, fit(open_photo(photos[0]), size))


def test_image_cache_stores_nothing_by_default(photos: list[Photo], decoded: list[Photo]) -> None:
    images = ImageCache()
    for _ in range(2):
        images.at(photos[0], [SMALL])
    assert len(decoded) == 2


def test_image_cache_stores_photos_until_its_limit_is_reached(photos: list[Photo], decoded: list[Photo]) -> None:
    images = ImageCache(2 * SMALL[0] * SMALL[1] * 3)
    first = [images.at(photo, [SMALL])[SMALL] for photo in photos]
    again = [images.at(photo, [SMALL])[SMALL] for photo in photos]
    assert decoded == [*photos, photos[2]]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_image_cache_raises_an_error_on_every_access_to_an_unreadable_photo(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    photo, images = Photo(tmp_path / "broken.jpg", "broken.jpg", "rose"), ImageCache(1 << 20)
    for _ in range(2):
        with pytest.raises(PhotoError, match=r"broken\.jpg"):
            images.at(photo, [SMALL])


def test_image_cache_distinguishes_images_resized_with_and_without_antialiasing(
    photos: list[Photo], decoded: list[Photo]
) -> None:
    cache = ImageCache(10 << 20)
    first, second = (cache.at(photos[0], [SMALL], antialias=kind)[SMALL] for kind in (True, False))
    image = open_photo(photos[0])
    np.testing.assert_array_equal(first, fit(image, SMALL))
    np.testing.assert_array_equal(second, interpolate(image, SMALL))
    assert (first != second).any() and len(decoded) == 2
    for kind, expected in ((False, second), (True, first)):
        np.testing.assert_array_equal(cache.at(photos[0], [SMALL], antialias=kind)[SMALL], expected)
    assert len(decoded) == 2


def test_image_cache_stores_images_up_to_its_size_limit(photos: list[Photo], decoded: list[Photo]) -> None:
    """An image of 128 x 128 pixels has 49,152 bytes, so two fit into 98,304 bytes."""
    cache = ImageCache(2 * 3 * 128 * 128)
    for _ in range(2):
        for photo in photos:
            cache.at(photo, [SMALL])
    assert decoded == [*photos, photos[2]]
