"""Tests of the JSON forms of calibration, groups, comparisons and fine-tuning, in which every value is different."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poets_edge.device.paired import compare_paired
from poets_edge.training.fine_tuning.choice import Comparison
from poets_edge.training.fine_tuning.fine_tune import FineTuned
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.trainer import Epoch
from poets_edge.training.head import Head
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.series import SeriesLoss
from poets_edge.training.temperature_scaling import HeadCalibration


def test_json_of_a_calibration_states_the_threshold_for_95_percent() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]], np.float32)
    found = HeadCalibration(2.0, 2.5, 0.2, 0.1, scores, np.array([0, 1, 0])).to_json()
    assert found == {
        "temperature": 2.0, "fitted": 2.5, "before": 0.2, "after": 0.1, "photos": 3, "threshold": pytest.approx(0.61),
    }  # fmt: skip


def test_json_of_photo_groups_states_how_photos_depend_on_each_other() -> None:
    numbers = np.array([0, 0, 2, 2, 4])
    assert PhotoGroups(numbers, 0.5).to_json() == {"groups": 3, "alike": 0.5, "divided": False}
    full = PhotoGroups(numbers, 0.25, are_divided=True, series=SeriesLoss(0.9, 0.7)).to_json()
    assert full == {"groups": 3, "alike": 0.25, "divided": True, "series": {"accuracy": 0.9, "held_out": 0.7}}
    assert PhotoGroups(numbers, are_repetitive=True).to_json()["repetitive"] is True


PAIRED = compare_paired(np.array([1, 1, 0, 1]), np.array([0, 1, 1, 0]))
COMPARISON = Comparison(
    correct=3, frozen_correct=2, paired=PAIRED, cross_entropy=0.5, frozen_cross_entropy=0.75, p_value=0.03
)


def test_json_of_a_comparison_contains_the_results_of_both_significance_tests() -> None:
    assert COMPARISON.to_json() == {
        **PAIRED.to_json(), "cross_entropy": 0.5, "frozen_cross_entropy": 0.75, "cross_entropy_p_value": 0.03,
    }  # fmt: skip
    assert PAIRED.to_json()["p_value"] == 1.0 and PAIRED.to_json()["gain"] == 25.0


def test_json_of_fine_tuning_contains_its_options_epochs_and_choice() -> None:
    graph: Any = None
    head = Head(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
    epochs = (Epoch(1, 0.5, 1.0, 0.25, 2.0), Epoch(2, 0.75, 0.5, None, None), Epoch(3, 0.8, 0.4, 0.5, 0.6))
    options = FineTuning(blocks=2, epochs=3, learning_rate=0.125, folds=4)
    found = FineTuned(
        graph, head, np.zeros((1, 2), np.float32), epochs, 2, "frozen", COMPARISON, "kept", (), ("crop-1 0",), options
    ).to_json()
    assert found == {
        "blocks": 2, "epochs": 3, "batch_size": 32, "learning_rate": 0.125, "weight_decay": 0.01,
        "label_smoothing": 0.1, "averaging": 0.99, "folds": 4, "views": ("crop-1 0",), "chosen_epoch": 2,
        "written": "frozen", "against_frozen": COMPARISON.to_json(), "verdict": "kept",
        "epochs_run": [
            {
                "epoch": one.epoch, "train_accuracy": one.train_accuracy,
                "train_cross_entropy": one.train_cross_entropy, "validation_accuracy": one.validation_accuracy,
                "validation_cross_entropy": one.validation_cross_entropy,
            }
            for one in epochs
        ],
    }  # fmt: skip
