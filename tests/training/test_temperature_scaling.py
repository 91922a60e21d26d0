"""Tests of temperature scaling, from the head to the int8 file: scores are calibrated, predictions unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.demo.draw import draw_photos
from poets_edge.device.predictions import score_model
from poets_edge.device.temperature import (
    best_temperature,
    expected_calibration_error,
    reliability,
    with_temperature,
)
from poets_edge.photos.folder import scan
from tests.conftest import poets_edge

EMBEDDED = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128", "-q")


def drawn_scores(count: int, sharpness: float) -> tuple[Any, Any]:
    """Return random scores of a given sharpness, float32 [count, 4], and their true classes, int64 [count]."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 1.5, (count, 4))
    scores = np.exp(logits)
    scores /= scores.sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(4, p=row) for row in scores])
    return with_temperature(scores.astype(np.float32), 1 / sharpness), truth


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_best_temperature_recovers_the_scale_of_the_logits(sharpness: float) -> None:
    scores, truth = drawn_scores(6000, sharpness)
    temperature = best_temperature(scores, truth)
    assert temperature == pytest.approx(sharpness, rel=0.06)
    calibrated = with_temperature(scores, temperature)
    assert (calibrated.argmax(axis=1) == scores.argmax(axis=1)).all()
    assert expected_calibration_error(calibrated, truth) < 0.02
    if sharpness != 1:
        assert expected_calibration_error(scores, truth) > 0.08
    assert sum(part.count for part in reliability(scores, truth)) == len(truth)


def test_best_temperature_of_few_photos_is_near_one() -> None:
    sure = np.array([[0.99, 0.01], [0.01, 0.99]], np.float32)
    assert 0.5 < best_temperature(sure, np.array([0, 1])) <= 1
    assert best_temperature(sure[:0], np.zeros(0, np.int64)) == 1
    assert np.isnan(expected_calibration_error(sure[:0], np.zeros(0, np.int64)))
    assert best_temperature(np.array([[1.0, 0.0]], np.float32), np.array([1])) > 1  # a score of 0 for the truth


def test_calibration_applies_to_all_exports_and_does_not_change_predictions(tmp_path: Path) -> None:
    draw_photos(tmp_path / "drawn/train", per_class=40)
    draw_photos(tmp_path / "drawn/test", per_class=20, seed=3)
    draw_photos(tmp_path / "unseen", per_class=40, seed=7)
    records, scores = {}, {}
    truth = np.arange(5).repeat(40)
    unseen = scan(tmp_path / "unseen").photos
    for name in ("--calibrated", "--not-calibrated"):
        poets_edge("train", tmp_path / "drawn", *EMBEDDED, name, "--folds", "0", cwd=tmp_path).ok()
        poets_edge("export", "--quantize", "float32", "--quantize", "int8", "-q", cwd=tmp_path).ok()
        records[name] = json.loads((tmp_path / "tf_files/retrained_graph.json").read_text())
        for form in ("", "_int8"):
            scores[name, form] = score_model(unseen, tmp_path / f"tf_files/retrained_graph{form}.tflite").scores
    how = records["--calibrated"]["calibration"]
    assert how["temperature"] != 1 and how["photos"] > 100
    assert records["--not-calibrated"]["calibration"] is None
    for key in ("correct", "confusion"):
        assert records["--calibrated"]["test"][key] == records["--not-calibrated"]["test"][key]
    with_it, without = (scores[name, ""] for name in ("--calibrated", "--not-calibrated"))
    assert (with_it.argmax(axis=1) == without.argmax(axis=1)).all()
    np.testing.assert_allclose(with_it, with_temperature(without, how["temperature"]), atol=1e-4)
    # The scores of the int8 file are as calibrated as those of the float32 file.
    means = {key: float(value.max(axis=1).mean()) for key, value in scores.items()}
    change = means["--calibrated", ""] - means["--not-calibrated", ""]
    assert abs(change) > 0.01
    assert abs(means["--calibrated", "_int8"] - means["--calibrated", ""]) < 0.6 * abs(change)
    error = expected_calibration_error(scores["--calibrated", "_int8"], truth)
    assert error <= expected_calibration_error(scores["--not-calibrated", "_int8"], truth) + 0.01
