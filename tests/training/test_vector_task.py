"""Tests of the task that computes bottlenecks on another machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from poets_edge.photos.normalization import BACKBONE
from poets_edge.tflite.model_file import ModelFile
from poets_edge.training.vector_task import PhotoFile, compute_vectors
from tests.tiny_model import SIDE, color_model

MODEL = ModelFile(Path("colors.tflite"), color_model(normalization=BACKBONE))


def photo(path: Path, color: tuple[int, int, int]) -> PhotoFile:
    Image.new("RGB", (20, 10), color).save(path)
    return PhotoFile(str(path), hashlib.sha256(path.read_bytes()).digest())


def test_no_vectors_are_computed_for_photos_that_are_damaged_missing_or_changed(tmp_path: Path) -> None:
    red, blue, changed = (
        photo(tmp_path / f"{name}.png", color)
        for name, color in (("red", (255, 0, 0)), ("blue", (0, 0, 255)), ("changed", (0, 255, 0)))
    )
    photo(Path(changed.path), (9, 9, 9))
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    damaged = PhotoFile(str(tmp_path / "damaged.png"), hashlib.sha256((tmp_path / "damaged.png").read_bytes()).digest())
    missing = PhotoFile(str(tmp_path / "missing.png"), b"0" * 32)
    found = compute_vectors([red, changed, damaged, missing, blue], [MODEL, MODEL], [(SIDE, SIDE)] * 2)
    assert (found.photo_count, found.digests) == (5, (red.digest, blue.digest))
    for vectors in found.vectors:
        np.testing.assert_allclose(vectors, [[1, -1, -1], [-1, -1, 1]], atol=1e-6)


def test_no_vectors_are_computed_if_no_photo_is_readable(tmp_path: Path) -> None:
    found = compute_vectors([PhotoFile(str(tmp_path / "missing.png"), b"0" * 32)], [MODEL], [(SIDE, SIDE)])
    assert (found.photo_count, found.digests, [len(one) for one in found.vectors]) == (1, (), [0])
