"""Tests of the parts of the embedded backbone's training that do not require PyTorch; see tools/train_embedded.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poets_edge.nets.weights import EMBEDDED_FILE
from tools.embedded.evaluate import last_layer_accuracy
from tools.embedded.package import package
from tools.embedded.teacher import area_weights, crop_box


def test_crop_boxes_cover_at_least_30_percent_of_the_picture() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        left, top, right, bottom = crop_box(rng, 144, 120)
        assert 0 <= left < right <= 144 and 0 <= top < bottom <= 120
        assert (right - left) * (bottom - top) >= 0.299 * 144 * 120


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 4), (4, 4), (7, 4), (4, 3)])
def test_area_weights_give_every_input_the_same_total_weight(inputs: int, outputs: int) -> None:
    weights = area_weights(inputs, outputs)
    assert weights.sum(axis=1) == pytest.approx(np.ones(outputs))
    assert weights.sum(axis=0) == pytest.approx(np.full(inputs, outputs / inputs))


def test_last_layer_accuracy_is_near_chance_for_noise_and_1_for_separable_features() -> None:
    rng = np.random.default_rng(0)
    classes = np.arange(200) % 5
    noise = rng.normal(size=(200, 20)).astype(np.float32)
    assert last_layer_accuracy(noise, classes) < 0.35
    assert last_layer_accuracy(np.eye(5, dtype=np.float32)[classes] * 3, classes) == 1.0


def test_packaging_reproduces_the_embedded_weights_file(tmp_path: Path) -> None:
    with np.load(EMBEDDED_FILE) as stored:
        arrays = [stored[f"arr_{index}"].astype(np.float32) for index in range(len(stored.files))]
    np.savez(tmp_path / "student.npz", *arrays)
    assert package(tmp_path / "student.npz", tmp_path / "again.npz") == EMBEDDED_FILE.stat().st_size
    # Not the bytes of the file: releases of Python write the headers of its members differently.
    with np.load(tmp_path / "again.npz") as again, np.load(EMBEDDED_FILE) as stored:
        assert again.files == stored.files
        for name in stored.files:
            assert again[name].dtype == stored[name].dtype and again[name].tobytes() == stored[name].tobytes(), name
    arrays[0] = arrays[0] * np.float32(1e6)
    np.savez(tmp_path / "student.npz", *arrays)
    with pytest.raises(ValueError, match="too large for float16"):
        package(tmp_path / "student.npz", tmp_path / "again.npz")
