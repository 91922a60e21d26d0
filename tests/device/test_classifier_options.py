"""Tests of how `Classifier` passes on its options, and of the highest score that a quantized output can represent."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from poets_edge.device import classifier as module
from poets_edge.device.classifier import Classifier
from poets_edge.progress import Silent
from poets_edge.tflite.scores import ScoreFormat
from poets_edge.tflite.session import Session
from tests.conftest import ROOT

INT8 = ROOT / "tests/corpus/seeds/seed_graph_int8.tflite"


def test_clones_and_pickled_copies_use_the_threads_and_the_delegate_of_the_classifier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[tuple[int, str | None]] = []

    def open_session(file: Any, threads: int, *, accelerate: bool, delegate: str | None) -> Session:
        opened.append((threads, delegate))
        return Session(file, threads, accelerate=accelerate)

    monkeypatch.setattr(module, "Session", open_session)
    classifier = Classifier(INT8, threads=2, delegate="libaccelerator.so")
    classifier.clone()
    pickle.loads(pickle.dumps(classifier))
    assert opened == [(2, "libaccelerator.so")] * 3


def test_evaluate_method_passes_its_arguments_to_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("poets_edge.device.evaluate.evaluate", lambda *found, **named: given.append((*found, named)))
    classifier, reporter = Classifier(INT8), Silent()
    classifier.evaluate("photos", split="all", recursive=True, reporter=reporter)
    assert given == [(classifier, Path("photos"), {"split": "all", "recursive": True, "reporter": reporter})]


@pytest.mark.parametrize(
    ("low", "high", "highest"), [(0, 1, 255 / 256), (0, 2, 255 / 512), (-1, 1, 511 / 512), (0.5, 1.5, 127 / 256)]
)
def test_highest_score_of_a_quantized_output_is_scaled_to_the_score_range(
    low: float, high: float, highest: float
) -> None:
    classifier = Classifier(INT8)  # its largest value is 255/256
    classifier.score_format = ScoreFormat("probabilities", low, high)
    assert classifier.highest_score == pytest.approx(highest)
