"""Tests of messages about photos that a model has learned from, and of groups of photos in an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.device.dependence import photo_groups
from poets_edge.device.evaluate import EvaluateResult
from poets_edge.device.metrics import Evaluation
from poets_edge.device.overlap import TrainingOverlap, copies_warning, overlap_lines
from poets_edge.device.predictions import Predictions
from poets_edge.photos.known_photos import UNCHECKED, KnownPhotos
from poets_edge.photos.table import Photo, PhotoTable


def evaluation(correct: int, photos: int) -> Evaluation:
    return Evaluation(("a", "b"), np.array([[correct, photos - correct], [0, 0]]), 0.5)


HELD_OUT: dict[str, Any] = {"photos": 400, "accuracy": 0.744, "interval95": [0.699, 0.785]}
TEST: dict[str, Any] = {"photos": 72, "accuracy": 0.722, "interval95": [0.610, 0.812]}


def test_copied_photos_are_suspected_if_the_accuracy_exceeds_cross_validation() -> None:
    facts = {"training": {"cross_validation": HELD_OUT}, "test": TEST}
    line = copies_warning(evaluation(336, 400), facts)
    assert line is not None and "84.0 % of 400 photos" in line and "in cross-validation (74.4 %, 69.9 to 78.5)" in line
    assert copies_warning(evaluation(320, 400), facts) is None, "the intervals overlap"
    assert copies_warning(evaluation(100, 400), facts) is None, "less accurate"
    assert copies_warning(evaluation(0, 0), facts) is None


def test_copied_photos_warning_prefers_the_users_test_set_to_cross_validation() -> None:
    record = {"cross_validation": HELD_OUT, "own_test_set": True, "test": TEST}
    assert copies_warning(evaluation(336, 400), record) is None
    line = copies_warning(evaluation(360, 400), record)
    assert line is not None and "on its own test photos (72.2 %, 61.0 to 81.2)" in line


@pytest.mark.parametrize("facts", [{}, {"training": None, "test": None}, {"test": {**TEST, "accuracy": None}}])
def test_no_copied_photos_are_suspected_without_a_known_held_out_accuracy(facts: dict[str, Any]) -> None:
    assert copies_warning(evaluation(400, 400), facts) is None


def test_overlap_warning_states_that_no_training_photo_was_recognized() -> None:
    known = KnownPhotos.of(np.zeros((1, 32), np.uint8), np.array([0], np.int8))
    found = TrainingOverlap.of(np.full(20, -1, np.int8), known, {})
    assert found.unrecognized_warning == (
        "none of the 20 photos is a file of the training run; copies that were saved again are not recognized"
    )
    assert TrainingOverlap.of(np.array([0, 1, 2], np.int8), known, {}).unrecognized_warning is None, (
        "all photos are recognized"
    )
    assert TrainingOverlap.of(np.array([-1], np.int8), None, {}).unrecognized_warning is None, (
        "its warning states that it is unknown"
    )


@pytest.mark.parametrize(
    ("splits", "evaluated", "lines"),
    [
        ([2, 2], [0, 1], []),
        (
            [0, 0, 1],
            [0, 1],
            ["the model was trained on 2 and validated on 1 of 3 photos: expect it to be less accurate"],
        ),
        (
            [0, 2, -1],
            [1, 2],
            ["the model was trained on 1 of 3 photos", "1 of the 3 photos are not files of the training"],
        ),
        ([0, 2], [0, 1], ["the model was trained on 1 of 2 photos; on the other 1: 0.0 % (N = 1"]),
        (
            [-1, -1],
            [0, 1],
            ["none of the 2 photos is a file of the training run; copies that were saved again are not"],
        ),
    ],
)
def test_overlap_lines_count_the_photos_that_the_model_has_learned_from(
    splits: list[int], evaluated: list[int], lines: list[str]
) -> None:
    known = KnownPhotos.of(np.zeros((1, 32), np.uint8), np.array([0], np.int8))
    overlap = TrainingOverlap.of(np.array(splits, np.int8), known, {})
    learned = np.isin(np.array(splits)[evaluated], (0, 1))
    found = overlap_lines(overlap, learned, evaluation(0, 1) if 0 < learned.sum() < len(learned) else None)
    assert [line[: len(start)] for line, start in zip(found, lines, strict=True)] == lines


def test_overlap_warning_counts_photos_outside_the_sample_of_known_photos() -> None:
    digests = np.random.default_rng(0).integers(0, 256, (70_000, 32), dtype=np.uint8)
    known = KnownPhotos.of(digests, np.zeros(70_000, np.int8)).for_model()
    found = TrainingOverlap.of(np.array([UNCHECKED, UNCHECKED, -1], np.int8), known, {})
    assert found.unchecked == 2 and found.unrecognized_warning is not None
    assert found.unrecognized_warning.endswith("and 2 are outside the sample of files that the model keeps")


def table(*names: str) -> PhotoTable:
    return PhotoTable.of([Photo(Path(name), name, name.split("/")[0]) for name in names])


def test_copies_and_sequences_of_photos_are_grouped() -> None:
    photos = table("a/film1_frame_001.jpg", "a/film1_frame_002.jpg", "a/x.jpg", "b/y.jpg", "a/film2_frame_001.jpg")
    digests = np.arange(5, dtype=np.uint8).repeat(32).reshape(5, 32)
    digests[3] = digests[2]
    groups = photo_groups(photos, digests, None)
    assert groups is not None
    assert [groups[0] == groups[1], groups[2] == groups[3], len(set(groups.tolist()))] == [True, True, 3]
    assert photo_groups(table("a/x.jpg", "b/y.jpg"), digests[:2], None) is None


def test_recorded_groups_of_test_photos_take_precedence_over_names() -> None:
    digests = np.arange(6, dtype=np.uint8).repeat(32).reshape(6, 32)
    splits, groups = np.array([2, 2, 2, 0], np.int8), np.array([7, 7, 9, 9])
    known = KnownPhotos.of(digests[:4], splits, groups)
    photos = table(
        "a/f_frame_1.jpg", "a/z.jpg", "a/f_frame_2.jpg", "b/h_frame_1.jpg", "b/g_frame_1.jpg", "b/g_frame_2.jpg"
    )
    found = photo_groups(photos, digests, known)
    assert found is not None
    assert found[0] == found[1] != found[2], "as in the training run, in spite of the names"
    assert found[4] == found[5] and len(set(found.tolist())) == 4


def test_evaluation_of_grouped_photos_has_a_wider_interval() -> None:
    photos = [Photo(Path("1"), "1", "a")] * 40
    scores = np.repeat(np.eye(2, dtype=np.float32)[[0, 0, 0, 1]], 10, axis=0)
    alone, grouped = (
        Predictions(photos, scores, (), groups=groups).evaluation(("a", "b")) for groups in (None, np.arange(40) // 10)
    )
    assert alone.accuracy == grouped.accuracy == 0.75
    assert grouped.interval[0] < alone.interval[0] - 0.2 and grouped.interval[1] > alone.interval[1]
    taken = Predictions(photos, scores, (), groups=np.arange(40) // 10).take(np.arange(5, 40))
    assert taken.groups is not None and taken.groups.tolist() == (np.arange(5, 40) // 10).tolist()


@pytest.mark.parametrize(("evidence", "count"), [("contents", 2), ("sample", 2), ("names", 2), ("unknown", None)])
def test_learned_count_is_none_if_the_training_photos_are_unknown(evidence: Any, count: int | None) -> None:
    result = EvaluateResult(
        split="all",
        excluded=0,
        labels=("a", "b"),
        evaluation=evaluation(2, 3),
        predictions=Predictions([], np.zeros((0, 2), np.float32), ()),
        learned=np.array([True, False, True]),
        overlap=TrainingOverlap(photos=3, training=2, evidence=evidence),
    )
    assert result.learned_count == count
