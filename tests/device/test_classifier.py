"""The two ways through a classifier, in one step and in two, and where they meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.photos.image import fit, read_photo
from poets_edge.tflite.flatbuffer import read_tree, schema, write_tree
from tests.conftest import DAISY, QUANTIZATIONS, Trained


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_preparing_ahead_gives_the_same_scores(quantization: str, trained: Trained, flowers: Path) -> None:
    classifier = Classifier(trained.model(quantization))
    pixels = fit(read_photo(flowers / DAISY), classifier.size)
    scores = classifier.score_pixels(pixels)
    assert scores.dtype == np.float32
    assert scores.sum() == pytest.approx(1, abs=0.05)
    assert np.array_equal(classifier.score_values(classifier.input_values(pixels)), scores)
    assert np.array_equal(classifier.output.dequantize(classifier.raw_output(pixels)), scores)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"),
    [("uint8", 1 / 127.5, 127), ("uint8", 1 / 64, 128), ("int8", 1 / 127.5, -1), ("uint8", 1 / 128, 128)],
)
def test_pixels_are_quantized_as_a_foreign_model_says(
    trained: Trained, flowers: Path, tmp_path: Path, dtype: str, scale: float, zero_point: int
) -> None:
    """A model without metadata is taken for a MobileNet: its input stands for (pixel - 127.5) / 127.5."""
    tree = read_tree(trained.model("int8").read_bytes())
    tree.metadata = []
    photo = tree.subgraphs[0].tensors[tree.subgraphs[0].inputs[0]]
    photo.type = {"uint8": schema().TensorType.UINT8, "int8": schema().TensorType.INT8}[dtype]
    photo.quantization.scale, photo.quantization.zeroPoint = [scale], [zero_point]
    (tmp_path / "foreign.tflite").write_bytes(write_tree(tree))
    model = Classifier(tmp_path / "foreign.tflite", unlabelled=True)
    pixels = fit(read_photo(flowers / DAISY), model.size)
    real = (pixels.astype(np.float64) - 127.5) / 127.5
    limits = np.iinfo(dtype)
    expected = np.clip(real / scale + zero_point, limits.min, limits.max)
    values = model.input_values(pixels)
    assert values.dtype == dtype and len(np.unique(values)) > 100
    assert np.abs(values - expected).max() <= 0.5 + 1e-4
