"""Tests of the random models of the fuzzer: their operators are allowed, and run with the inferred shapes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.verify.verify import check
from tools.fuzz.operators import make


@pytest.mark.parametrize("seed", range(60))
def test_random_models_pass_verification_and_their_scores_sum_to_one(seed: int) -> None:
    content = make(Random(seed))
    check(content)
    scores = Classifier(ModelFile(Path("fuzz"), content, verified=True)).score_pixels(np.full((8, 8, 3), 90, np.uint8))
    assert scores.shape == (3,) and scores.sum() == pytest.approx(1, abs=1e-3)
