"""Tests of image statistics and their cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.auditing.image_stats import compute_stats, read_stats
from poets_edge.errors import PhotoError
from poets_edge.photos.table import HashedPhoto, Photo
from poets_edge.progress import Silent
from poets_edge.training.bottleneck_cache import open_cache


def test_sharpness_is_the_mean_absolute_laplacian_of_all_four_neighbors() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (192, 192, 1), np.uint8).repeat(3, axis=2)
    pixels[:, 100:] = pixels[:, 100:] // 4  # neither symmetric nor uniform
    gray = pixels[:, :, 0].astype(float)
    total = 0.0
    for row in range(1, 191):
        for column in range(1, 191):
            around = gray[row - 1, column] + gray[row + 1, column] + gray[row, column - 1] + gray[row, column + 1]
            total += abs(4 * gray[row, column] - around)
    found = compute_stats(Image.fromarray(pixels), 192, 192)
    assert found.sharpness == pytest.approx(total / 190**2 / (gray.std() + 1), rel=1e-4)


def hashed(path: Path) -> HashedPhoto:
    photo = Photo(path, f"daisy/{path.name}", "daisy")
    return HashedPhoto(photo, hashlib.sha256(path.read_bytes()).digest())


def test_statistics_from_the_cache_equal_the_computed_ones(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (30, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "1.png")
    photo = hashed(tmp_path / "1.png")
    with open_cache(tmp_path / "looks.sqlite") as (cache, _):
        [(_, computed)] = read_stats([photo], cache, Silent())
    (tmp_path / "1.png").unlink()
    with open_cache(tmp_path / "looks.sqlite") as (cache, _):
        [(_, cached)] = read_stats([photo], cache, Silent())
    assert not isinstance(computed, PhotoError) and not isinstance(cached, PhotoError)
    assert (cached.width, cached.height) == (computed.width, computed.height) == (50, 30)
    np.testing.assert_array_equal(cached.thumbnail, computed.thumbnail)
    for name in ("brightness", "contrast", "colorfulness", "sharpness", "truncated_fraction"):
        assert getattr(cached, name) == pytest.approx(getattr(computed, name), rel=1e-6)


def test_reading_the_statistics_of_a_changed_photo_yields_an_error(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "1.png")
    photo = hashed(tmp_path / "1.png")
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "1.png")
    with open_cache(tmp_path / "looks.sqlite") as (cache, _):
        [(_, found)] = read_stats([photo], cache, Silent())
    assert isinstance(found, PhotoError) and "changed while it was read" in str(found)


def test_error_of_a_photo_that_cannot_be_decoded_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no picture")
    with open_cache(tmp_path / "looks.sqlite") as (cache, _):
        [(_, found)] = read_stats([hashed(tmp_path / "1.png")], cache, Silent())
    assert isinstance(found, PhotoError) and str(found).startswith(f"{tmp_path / '1.png'}: ")


@pytest.mark.parametrize(
    ("error", "message"), [(OSError(5, "Input/output error"), "Input/output error."), (OSError("no disk"), "no disk.")]
)
def test_reading_the_statistics_of_an_unreadable_photo_yields_an_error(
    error: OSError, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "1.png")
    photo = hashed(tmp_path / "1.png")

    def failing(photo: Photo) -> bytes:
        raise error

    monkeypatch.setattr("poets_edge.auditing.image_stats.read_contents", failing)
    with open_cache(tmp_path / "looks.sqlite") as (cache, _):
        [(_, found)] = read_stats([photo], cache, Silent())
    assert isinstance(found, PhotoError) and str(found) == f"{tmp_path / '1.png'}: {message}"
