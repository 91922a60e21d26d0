"""Photos at the sizes of models: decoded at most once, as long as there is room for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poets_edge.errors import PhotoError
from poets_edge.photos.folder import scan
from poets_edge.photos.image import fit, open_photo
from poets_edge.photos.image_cache import Pictures
from poets_edge.photos.table import Photo

SMALL, LARGE = (128, 128), (160, 160)


@pytest.fixture
def photos(flowers: Path) -> list[Photo]:
    return list(scan(flowers).photos[:3])


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Photo]:
    """The photos that were decoded, in order."""
    found: list[Photo] = []

    def counting(photo: Photo) -> object:
        found.append(photo)
        return open_photo(photo)

    monkeypatch.setattr("poets_edge.photos.image_cache.open_photo", counting)
    return found


def test_all_sizes_are_made_of_one_decoding(photos: list[Photo], decoded: list[Photo]) -> None:
    shown = Pictures().at(photos[0], [SMALL, LARGE])
    assert len(decoded) == 1
    for size, pixels in shown.items():
        np.testing.assert_array_equal(pixels, fit(open_photo(photos[0]), size))


def test_nothing_is_kept_unless_there_is_room(photos: list[Photo], decoded: list[Photo]) -> None:
    pictures = Pictures()
    for _ in range(2):
        pictures.at(photos[0], [SMALL])
    assert len(decoded) == 2


def test_the_first_are_kept_as_long_as_there_is_room(photos: list[Photo], decoded: list[Photo]) -> None:
    pictures = Pictures(2 * SMALL[0] * SMALL[1] * 3)
    first = [pictures.at(photo, [SMALL])[SMALL] for photo in photos]
    again = [pictures.at(photo, [SMALL])[SMALL] for photo in photos]
    assert decoded == [*photos, photos[2]]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_photo_that_cannot_be_read_is_an_error_each_time(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    photo, pictures = Photo(tmp_path / "broken.jpg", "broken.jpg", "rose"), Pictures(1 << 20)
    for _ in range(2):
        with pytest.raises(PhotoError, match=r"broken\.jpg"):
            pictures.at(photo, [SMALL])
