"""The two ways through a classifier, in one step and in two, and where they meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poets_edge.edge.classifier import Classifier, dequantize
from poets_edge.edge.image import fit, read_photo
from tests.conftest import DAISY, FORMS, Trained


@pytest.mark.parametrize("form", FORMS)
def test_preparing_ahead_gives_the_same_scores(form: str, trained: Trained, flowers: Path) -> None:
    classifier = Classifier(trained.model(form))
    pixels = fit(read_photo(flowers / DAISY), classifier.size)
    scores = classifier.score_pixels(pixels)
    assert scores.dtype == np.float32
    assert scores.sum() == pytest.approx(1, abs=0.05)
    assert np.array_equal(classifier.score_values(classifier.input_values(pixels)), scores)
    assert np.array_equal(dequantize(classifier.raw_output(pixels), classifier.output), scores)
