"""Tests that generated photos are reproducible, written atomically, and not classifiable by color histograms."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from poets_edge.demo import draw
from poets_edge.demo.draw import draw_photo, draw_photos
from poets_edge.demo.flowers import HEADS
from poets_edge.errors import OutputError, UsageError
from poets_edge.photos.folder import PhotoFolder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> PhotoFolder:
    return draw_photos(tmp_path_factory.mktemp("drawn") / "photos")


def test_sixty_different_photos_are_drawn_per_class(drawn: PhotoFolder) -> None:
    assert drawn.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert len(drawn.photos) == 300
    assert len({hashlib.sha256(photo.file.read_bytes()).digest() for photo in drawn.photos}) == 300
    for photo in drawn.photos:
        with Image.open(photo.file) as image:
            assert image.format == "JPEG"
            assert 180 <= min(image.size) <= max(image.size) <= 320


def test_drawn_photo_is_determined_by_the_seed(drawn: PhotoFolder) -> None:
    files = {photo.name: photo.file for photo in drawn.photos}
    for label in HEADS:
        content = files[f"{label}/{label}-007.jpg"].read_bytes()
        assert draw_photo(label, 7) == content
        assert draw_photo(label, 7, seed=1) != content


def test_generated_photos_cannot_be_classified_by_color_histograms(drawn: PhotoFolder) -> None:
    truth = np.array([drawn.classes.index(photo.label) for photo in drawn.photos])
    for bins in (4, 8):
        histograms = np.array([_histogram(photo.file, bins) for photo in drawn.photos])
        for name, classify in (("nearest neighbor", _nearest), ("softmax", _softmax)):
            accuracy = _both_ways(histograms, truth, classify)
            assert accuracy < 0.45, f"{name} over {bins} levels of red, green and blue is right on {accuracy:.0%}"


def test_photos_are_not_drawn_into_a_folder_with_files(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(OutputError, match="it already contains something"):
        draw_photos(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(UsageError):
        draw_photos(tmp_path / "none", per_class=0)
    with pytest.raises(UsageError):
        draw_photos(tmp_path / "none", seed=-1)


def test_drawn_photos_are_removed_if_drawing_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(label: str, number: int, seed: int) -> bytes:
        if number == 2:
            raise KeyboardInterrupt
        return b""

    monkeypatch.setattr(draw, "draw_photo", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_photos(tmp_path / "photos", per_class=3)
    assert list(tmp_path.iterdir()) == []


Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _histogram(path: Path, bins: int) -> Floats:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    counts, _ = np.histogramdd(pixels, bins=(bins,) * 3, range=((0, 256),) * 3)
    return np.sqrt(counts.ravel() / len(pixels))


def _both_ways(features: Floats, truth: Ints, classify: object) -> float:
    assert callable(classify)
    halves = np.arange(len(truth)) % 2
    right = [
        (classify(features[halves != h], truth[halves != h], features[halves == h]) == truth[halves == h])
        for h in (0, 1)
    ]
    return float(np.concatenate(right).mean())


def _nearest(known: Floats, truth: Ints, asked: Floats) -> Ints:
    distances = ((asked[:, None] - known[None]) ** 2).sum(axis=2)
    return np.asarray(truth[distances.argmin(axis=1)])


def _softmax(known: Floats, truth: Ints, asked: Floats) -> Ints:
    weights = np.zeros((known.shape[1], 5))
    for _ in range(300):
        scores = np.exp(known @ weights)
        weights -= 3.0 * known.T @ (scores / scores.sum(axis=1, keepdims=True) - np.eye(5)[truth]) / len(known)
    return np.asarray((asked @ weights).argmax(axis=1))
