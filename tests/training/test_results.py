"""Tests of the result of `train`: its JSON form, its table of classes, and its representation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.device.metrics import Evaluation
from poets_edge.device.predictions import Mistake
from poets_edge.photos.folder import Photo
from poets_edge.training.head import Step
from poets_edge.training.record import Duplicate
from poets_edge.training.results import TrainResult

LABELS = ("rose", "daisy")
TEST = Evaluation(LABELS, np.array([[3, 1], [2, 2]]), 0.25)
VALIDATION = Evaluation(LABELS, np.array([[1, 0], [4, 5]]), 0.75)


def stand_in(name: str, **values: Any) -> Any:
    return SimpleNamespace(to_json=lambda: f"JSON of {name}", **values)


RESULT = TrainResult(
    graph=Path("out/graph.pb"), labels_file=Path("out/labels.txt"), record=Path("out/graph.json"), labels=LABELS,
    table={
        "rose": {"training": 10, "validation": 1, "test": 4}, "daisy": {"training": 20, "validation": 9, "test": 4},
    },
    test=TEST, validation=VALIDATION, steps=(Step(0, 0.5, 1.5, None, None), Step(9, 0.75, 1.0, 0.6, 0.9)),
    misclassified=(Mistake(Photo(Path("p/rose/1.jpg"), "rose/1.jpg", "rose"), "daisy", 0.9),),
    unreadable=("rose/9.jpg: damaged",),
    duplicates=(Duplicate(("rose/2.jpg", "daisy/2.jpg"), ("training", "test"), ("rose", "daisy")),),
    digests={"rose/1.jpg": "00"},
)  # fmt: skip


def test_training_run_json_contains_every_result() -> None:
    full = replace(
        RESULT, report=Path("out/graph.html"), cross_validated=stand_in("folds"), calibration=stand_in("temperature"),
        fine_tuned=stand_in("tuning"), has_own_test=True, groups=stand_in("groups"), unknown=stand_in("detector"),
        assumption="no two photos show one object",
    )  # fmt: skip
    assert full.to_json() == {
        "graph": "out/graph.pb",
        "labels_file": "out/labels.txt",
        "record": "out/graph.json",
        "report": "out/graph.html",
        "labels": ["rose", "daisy"],
        "classes": RESULT.table,
        "fine_tuning": "JSON of tuning",
        "unreadable": ["rose/9.jpg: damaged"],
        "duplicates": [
            {"names": ["rose/2.jpg", "daisy/2.jpg"], "sets": ["training", "test"], "labels": ["rose", "daisy"]}
        ],
        "steps": [
            {
                "step": 0, "train_accuracy": 0.5, "train_cross_entropy": 1.5, "validation_accuracy": None,
                "validation_cross_entropy": None,
            },
            {
                "step": 9, "train_accuracy": 0.75, "train_cross_entropy": 1.0, "validation_accuracy": 0.6,
                "validation_cross_entropy": 0.9,
            },
        ],
        "validation": VALIDATION.to_json(),
        "test": TEST.to_json(),
        "cross_validation": "JSON of folds",
        "own_test_set": True,
        "groups": "JSON of groups",
        "calibration": "JSON of temperature",
        "unknown": "JSON of detector",
        "misclassified": [RESULT.misclassified[0].to_json()],
        "assumption": "no two photos show one object",
    }  # fmt: skip


def test_json_of_a_training_run_has_null_for_results_that_it_lacks() -> None:
    found = RESULT.to_json()
    optional = ("report", "fine_tuning", "cross_validation", "groups", "calibration", "unknown", "assumption")
    assert {name: found[name] for name in optional} == dict.fromkeys(optional) and found["own_test_set"] is False
    assert not {"graph", "labels_file", "record", "report", "assumption"} & set(RESULT.outcome())


def test_rows_of_a_training_run_state_counts_and_recalls_of_each_class() -> None:
    assert RESULT.rows() == [
        {"class": "rose", "training": 10, "validation": 1, "test": 4, "test_recall": 0.75, "validation_recall": 1.0},
        {
            "class": "daisy", "training": 20, "validation": 9, "test": 4, "test_recall": 0.5,
            "validation_recall": pytest.approx(5 / 9),
        },
    ]  # fmt: skip


def test_repr_of_a_training_run_omits_cross_validation_if_the_user_has_a_test_set() -> None:
    assert repr(RESULT) == "<TrainResult out/graph.pb: 2 classes, 48 photos, test accuracy 62.5 %>"
    crossed = replace(RESULT, cross_validated=stand_in("folds", accuracy=0.875))
    assert repr(crossed).endswith("test accuracy 62.5 %, cross-validated 87.5 %>")
    assert repr(replace(crossed, has_own_test=True)).endswith("test accuracy 62.5 %>"), "of the user's own test photos"
