"""Tests of the warning about models that are not better than guessing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.chance import chance_warning
from poets_edge.device.classifier import Classifier
from poets_edge.device.metrics import Evaluation
from tests.conftest import poets_edge
from tests.recorder import Recorder
from tests.tiny_model import COLORS, color_model


@pytest.mark.parametrize(
    ("confusion", "baseline"),
    [
        ([[12, 28], [28, 12]], "50.0 %"),
        ([[22, 18], [18, 22]], "50.0 %"),  # 55 %, but the interval begins at 44 %
        ([[90, 0], [10, 0]], "90.0 %"),
        ([[30, 10], [10, 30]], ""),
        ([[5, 5], [0, 0]], ""),
        ([[0, 0], [0, 0]], ""),
    ],
)
def test_chance_warning_compares_the_interval_with_the_most_frequent_class(
    confusion: list[list[int]], baseline: str
) -> None:
    found = chance_warning(Evaluation(("a", "b"), np.array(confusion), 1.0))
    assert (f"always answering a ({baseline})" in found) if baseline else found == ""


def test_evaluate_warns_if_the_labels_of_a_model_are_in_the_wrong_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outputs of the model are the means of red, green and blue."""
    (tmp_path / "x.tflite").write_bytes(color_model())
    for number, label in enumerate(COLORS):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for shade in range(8):
            color = np.roll([200 + shade, 10 * shade, 0], number).tolist()
            Image.new("RGB", (8, 8), tuple(color)).save(tmp_path / "photos" / label / f"{shade}.png")
    for labels, said in ((COLORS, False), ((*COLORS[1:], COLORS[0]), True)):
        (tmp_path / "labels.txt").write_text("\n".join(labels))
        model = Classifier(tmp_path / "x.tflite", labels=labels, input_range="0:1")
        assert (model.evaluate(tmp_path / "photos").accuracy < 0.2) == said
        options = ("--labels", tmp_path / "labels.txt", "--input-range", "0:1")
        ran = poets_edge("evaluate", tmp_path / "x.tflite", tmp_path / "photos", *options).ok()
        assert ("is not significantly better than always answering" in ran.stderr) == said
        assert not said or "another order than the outputs, or the input range is wrong" in ran.stderr
    monkeypatch.setattr(Classifier, "facts", {"quantization": "float32"})  # exported by this program
    reporter = Recorder()
    model.evaluate(tmp_path / "photos", reporter=reporter)
    assert not any("always answering" in warning for warning in reporter.warnings)
