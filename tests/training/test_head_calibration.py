"""Tests of the calibration of a head on synthetic bottlenecks, against the steps written out here."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poets_edge.device.temperature import (
    best_temperature,
    cross_entropy,
    expected_calibration_error,
    temperature_spread,
    threshold_for,
    with_temperature,
)
from poets_edge.photos.folds import NO_FOLD
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.training import temperature_scaling as module
from poets_edge.training.data import TrainingData
from poets_edge.training.fold_heads import fold_heads
from poets_edge.training.head import Head, HeadOptions, LabeledVectors
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.temperature_scaling import (
    HeadCalibration,
    HeldOutPredictions,
    calibrate_head,
    predict_held_out,
)
from tests.training.test_unknown import draw, training_data

TRAINING, VALIDATION, TEST = (SPLIT_NAMES.index(name) for name in ("training", "validation", "test"))


def photos(groups: PhotoGroups | None = None) -> TrainingData:
    """Return 90 noisy photos of three classes: 60 for training, 12 for validation and 18 for testing."""
    bottlenecks, classes = draw(30)
    rng = np.random.default_rng(1)
    bottlenecks = (bottlenecks + rng.standard_normal(bottlenecks.shape) * 1.5).astype(np.float32)
    sets = rng.permutation(np.repeat([TRAINING, VALIDATION, TEST], [60, 12, 18])).astype(np.int8)
    return replace(training_data(bottlenecks, classes, sets), groups=groups)


def shrunk(fitted: float, scores: Any, truth: Any, groups: Any = None) -> float:
    logarithm = math.log(fitted)
    errors = (1 if fitted >= 1 else 2) * temperature_spread(scores, truth, fitted, groups)
    return math.exp(math.copysign(max(0, abs(logarithm) - errors), logarithm))


@pytest.mark.parametrize("grouped", [False, True])
def test_held_out_predictions_cover_training_and_validation_photos(grouped: bool) -> None:
    numbers = np.arange(90) // 3
    data = photos(PhotoGroups(numbers) if grouped else None)
    found = predict_held_out(data, HeadOptions(steps=500))
    assert found is not None
    rows = np.concatenate([np.flatnonzero(data.sets == one) for one in (TRAINING, VALIDATION)])
    assert found.truth.tolist() == (rows // 30).tolist() and len(found.scores) == len(found.fold) == 72
    assert sorted(set(found.fold.tolist())) == list(range(5))
    learned = np.flatnonzero(data.sets == TRAINING)
    some = np.append(learned, np.flatnonzero(data.sets == VALIDATION)[:1])
    fold = np.where(data.sets[some] == TRAINING, NO_FOLD, 0)
    known = LabeledVectors(data.vectors[some], some // 30)
    [[alone]] = fold_heads(known, [fold], 3, HeadOptions(steps=500))
    assert found.solved.logits(known.vectors) == pytest.approx(alone.logits(known.vectors), abs=0.15)
    if grouped:
        assert found.groups is not None
        together = np.equal.outer(found.groups, found.groups)
        assert together.tolist() == np.equal.outer(numbers[rows], numbers[rows]).tolist()
        assert not (together & (found.fold[:, None] != found.fold)).any(), "a group is in one fold"
    else:
        assert found.groups is None


def trained(data: TrainingData, factor: float) -> tuple[Head, HeldOutPredictions]:
    """Return a head whose logits are `factor` times those of the solver's head, and the held-out predictions."""
    held_out = predict_held_out(data, HeadOptions(steps=2000))
    assert held_out is not None
    return Head(held_out.solved.weights * np.float32(factor), held_out.solved.biases * np.float32(factor)), held_out


@pytest.mark.parametrize(("factor", "grouped"), [(3.0, False), (0.05, False), (3.0, True)])
def test_temperature_is_fitted_to_rescaled_held_out_scores(factor: float, grouped: bool) -> None:
    groups = PhotoGroups(np.arange(90) // 3)
    data = photos(groups if grouped else None)
    head, held_out = trained(data, factor)
    scores, truth = with_temperature(held_out.scores, 1 / factor), held_out.truth
    of = held_out.groups
    temperature = shrunk(best_temperature(scores, truth), scores, truth, of)
    crossed = scores.copy()
    for number in range(5):
        others = held_out.fold != number
        fitted = best_temperature(scores[others], truth[others])
        one = shrunk(fitted, scores[others], truth[others], of[others] if of is not None else None)
        crossed[~others] = with_temperature(scores[~others], one)
    assert cross_entropy(crossed, truth) < cross_entropy(scores, truth)
    calibrated, found = calibrate_head(head, data, held_out)
    assert found is not None and found.fitted == pytest.approx(best_temperature(scores, truth), rel=1e-3)
    assert found.temperature == pytest.approx(temperature, rel=2e-3) and found.photos == 72
    assert (found.temperature > 1) is (factor > 1)
    assert calibrated.weights == pytest.approx(head.weights / found.temperature, rel=1e-4)
    assert calibrated.biases == pytest.approx(head.biases / found.temperature, rel=1e-4, abs=1e-6)
    assert found.before == pytest.approx(expected_calibration_error(scores, truth), abs=1e-3)
    assert found.after == pytest.approx(expected_calibration_error(crossed, truth), abs=0.02)
    assert found.scores == pytest.approx(crossed, abs=2e-3) and found.truth.tolist() == truth.tolist()
    assert found.threshold == threshold_for(found.scores, truth, 0.95)
    assert found.threshold == found.to_json()["threshold"] and found.to_json()["photos"] == 72


def test_head_calibration_leaves_the_head_unchanged_if_scaling_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    data = photos()
    head, held_out = trained(data, 3.0)
    for name, result in (("_is_safe", False), ("cross_entropy", 1.0)):
        with monkeypatch.context() as changed:
            changed.setattr(module, name, lambda *rest, result=result: result)
            found_head, found = calibrate_head(head, data, held_out)
        assert found_head is head and found is not None and found.temperature == 1 and found.fitted > 1.5
        assert found.before == found.after
        assert found.scores == pytest.approx(with_temperature(held_out.scores, 1 / 3), abs=2e-3)
    assert calibrate_head(head, data, None) == (head, None)


@pytest.mark.parametrize("grouped", [False, True])
def test_fine_tuned_network_is_calibrated_only_on_validation_photos(
    grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = photos(PhotoGroups(np.arange(90) // 5) if grouped else None)
    head, held_out = trained(data, 8.0)
    rows: list[int] = []

    def divided(head: Head, temperature: float, vectors: Any) -> tuple[Head, float]:
        rows.append(len(vectors))
        return head, temperature

    monkeypatch.setattr(module, "_divided", divided)
    _, found = calibrate_head(head, data, held_out, backbone_has_learned=True)
    validation = np.flatnonzero(data.sets == VALIDATION)
    assert found is not None and found.photos == 12 and found.truth.tolist() == (validation // 30).tolist()
    scores = head.scores(data.vectors[validation])
    assert found.fitted == pytest.approx(best_temperature(scores, validation // 30), rel=1e-3)
    assert rows in ([], [30]), "the answers for validation and test photos must not change"
    empty = replace(data, sets=np.where(data.sets == VALIDATION, TEST, data.sets).astype(np.int8))
    assert calibrate_head(head, empty, held_out, backbone_has_learned=True) == (head, None)
    rows.clear()
    calibrate_head(head, data, held_out)
    assert rows == [90]


def test_temperature_divisor_is_increased_if_rounding_changes_a_prediction() -> None:
    calls: list[Any] = []
    head = Head(np.array([[1.0, 2.0]], np.float32), np.zeros(2, np.float32))
    original = Head.logits

    def logits(self: Head, vectors: Any) -> Any:
        calls.append(float(self.weights[0, 1]))
        answers = original(self, vectors)
        return answers[:, ::-1] if 1 < len(calls) < 4 else answers

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(Head, "logits", logits)
        divided, used = module._divided(head, 2.0, np.ones((1, 1), np.float32))
    assert used == pytest.approx(2 * 1.001**2) and divided.weights[0, 1] == pytest.approx(2 / used)
    assert calls == pytest.approx([2, 1, 1 / 1.001, 1 / 1.001**2])


def test_equality_and_repr_of_calibrations_ignore_the_scores() -> None:
    found = HeadCalibration(
        temperature=1.5, fitted=1.6, before=0.1, after=0.05, scores=np.ones((2, 3), np.float32), truth=np.zeros(2, int)
    )
    assert found == replace(found, scores=np.zeros((4, 3), np.float32), truth=np.ones(4, int)) and found.photos == 2
    assert repr(found) == "HeadCalibration(temperature=1.5, fitted=1.6, before=0.1, after=0.05)"
