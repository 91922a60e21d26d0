"""Tests of cross-validation: its heads agree with those of `train`, and each photo is predicted out of fold."""

from __future__ import annotations

import json
import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from poets_edge.auditing.learning_curve import learning_curve
from poets_edge.device.metrics import independent_count, wilson_interval
from poets_edge.photos.folds import NO_FOLD, Folds
from poets_edge.photos.table import HashedPhoto, HashedPhotos, Photo
from poets_edge.training.cross_validation import CrossValidation, FoldAssignment
from poets_edge.training.fold_heads import fold_heads, training_rows
from poets_edge.training.head import Head, HeadOptions, Indices, LabeledVectors, Matrix, train_head
from tests.conftest import poets_edge

EMBEDDED = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded", "--how_many_training_steps", "200", "-q")
PER_CLASS = 8


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose subfolder `photos` contains synthetic photos of five classes."""
    folder = tmp_path_factory.mktemp("drawn")
    poets_edge("draw-photos", folder / "photos", "--per_class", str(PER_CLASS), "-q").ok()
    return folder


def clouds(spread: float, count: int = 400, size: int = 64, classes: int = 4) -> LabeledVectors:
    """Return positive vectors of several classes; the larger the spread, the more the classes overlap."""
    rng = np.random.default_rng(1)
    truth = np.arange(count) % classes
    centers = rng.random((classes, size))
    return LabeledVectors(
        np.abs(centers[truth] + spread * rng.standard_normal((count, size))).astype(np.float32), truth
    )


def accuracy(scores: Matrix, data: LabeledVectors) -> float:
    return float((scores.argmax(axis=1) == data.classes).mean())


def cross_validated(data: LabeledVectors, fold: Indices, options: HeadOptions | None = None) -> Matrix:
    [heads] = fold_heads(data, [fold], 4, options or HeadOptions())
    return FoldAssignment(fold, tuple(heads)).scores(data.vectors)


def test_photos_in_a_fold_are_predicted_by_a_head_trained_without_them() -> None:
    rng = np.random.default_rng(0)
    # More features than photos: a head answers every photo it has learned right, and others by chance.
    noise = LabeledVectors(rng.random((200, 300)).astype(np.float32), rng.integers(0, 4, 200))
    fold, options = np.arange(200) % 5, HeadOptions(steps=100_000)
    [heads] = fold_heads(noise, [fold], 4, options)
    learned = LabeledVectors(noise.vectors[fold != 0], noise.classes[fold != 0])
    assert accuracy(heads[0].scores(learned.vectors), learned) > 0.95
    assert accuracy(cross_validated(noise, fold, options), noise) == pytest.approx(0.25, abs=0.1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_fold_heads_do_not_depend_on_the_number_of_cores() -> None:
    data, folds = clouds(0.3), [np.arange(400) % 5, np.arange(400) // 80]
    everything = os.sched_getaffinity(0)
    by_all = fold_heads(data, folds, 4, HeadOptions())
    os.sched_setaffinity(0, {min(everything)})
    try:
        by_one = fold_heads(data, folds, 4, HeadOptions())
    finally:
        os.sched_setaffinity(0, everything)
    for one, other in zip(chain(*by_all), chain(*by_one), strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
        np.testing.assert_array_equal(one.biases, other.biases)


@pytest.mark.parametrize("options", [HeadOptions(steps=1000), HeadOptions(steps=1000, learning_rate=0.1)])
def test_fold_heads_trained_together_agree_with_heads_trained_separately(options: HeadOptions) -> None:
    data = clouds(spread=1.0)
    fold = np.arange(len(data.classes)) // 4 % 5
    empty = LabeledVectors(data.vectors[:0], data.classes[:0])

    def stepped(number: int) -> Head:
        training = LabeledVectors(data.vectors[fold != number], data.classes[fold != number])
        return train_head(training, empty, 4, options, lambda step, head: None)

    trained = FoldAssignment(fold, tuple(stepped(number) for number in range(5))).scores(data.vectors)
    found = cross_validated(data, fold, options)
    assert 0.5 < accuracy(trained, data) < 0.95
    assert accuracy(found, data) == pytest.approx(accuracy(trained, data), abs=0.02)
    assert (found.argmax(axis=1) == trained.argmax(axis=1)).mean() > 0.93


def test_heads_of_folds_give_equal_weight_to_each_class() -> None:
    data = clouds(spread=1.0)
    few = np.flatnonzero((data.classes != 0) | (np.arange(len(data.classes)) < 60))
    uneven = LabeledVectors(data.vectors[few], data.classes[few])
    rare = uneven.classes == 0
    assert rare.sum() == 15
    found = cross_validated(uneven, np.arange(len(few)) % 5, HeadOptions(steps=200))
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    # Counted by photos, a class of 15 among 315 would never be the answer of a head so little trained.
    assert (found.argmax(axis=1) == 0).mean() > 0.04


def test_photo_without_a_fold_is_used_to_train_every_head() -> None:
    data = clouds(spread=0.5)
    fold = np.where(data.classes == 3, NO_FOLD, np.arange(len(data.classes)) % 3)
    [heads] = fold_heads(data, [fold], 4, HeadOptions())
    assert len(heads) == 3
    for head in heads:
        assert (head.scores(data.vectors[data.classes == 3]).argmax(axis=1) == 3).mean() > 0.9
    assert len(FoldAssignment(fold, tuple(heads)).scores(data.vectors)) == (data.classes != 3).sum()


def test_heads_are_trained_on_a_stratified_sample_of_a_large_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("training.fold_heads", "auditing.learning_curve"):
        monkeypatch.setattr(f"poets_edge.{module}.MAX_EVALUATED", 80)
    data, fold = clouds(spread=0.5), np.arange(400) % 5
    assert np.bincount(data.classes[training_rows(data.classes, np.arange(400))]).tolist() == [20] * 4
    assert np.bincount(data.classes[training_rows(data.classes, np.flatnonzero(data.classes < 2))]).tolist() == [40] * 2
    [heads] = fold_heads(data, [fold], 4, HeadOptions())
    answers = FoldAssignment(fold, tuple(heads)).scores(data.vectors).argmax(axis=1)
    assert (answers == data.classes).mean() > 0.9
    right = (answers == data.classes).astype(np.float64)
    curve = learning_curve(data, fold, ("a", "b", "c", "d"), right, HeadOptions())
    assert [point.photos for point in curve.points] == [16, 26, 38, 51, 64]
    assert [one.photos for one in curve.forecasts] == [600, 800, 1200, 1600]


def test_fold_heads_fitted_in_parts_agree_with_heads_fitted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    data, folds = clouds(spread=1.0), [np.arange(400) % 5, np.arange(400) // 4 % 7]
    together = fold_heads(data, folds, 4, HeadOptions())
    assert [len(heads) for heads in together] == [5, 7]
    monkeypatch.setattr("poets_edge.training.fold_heads._MAX_LOGITS", 400 * 4 * 5)
    for one, other in zip(together, fold_heads(data, folds, 4, HeadOptions()), strict=True):
        for head, alone in zip(one, other, strict=True):
            assert head.scores(data.vectors) == pytest.approx(alone.scores(data.vectors), abs=0.02)


def test_train_reports_cross_validation_of_all_photos(drawn: Path) -> None:
    ran = poets_edge("train", "--image_dir", "photos", *EMBEDDED, "--json", cwd=drawn).ok()
    evaluated = json.loads(ran.stdout)["cross_validation"]
    assert evaluated["folds"] == 5
    assert evaluated["photos"] == 5 * PER_CLASS
    wrong = sum(evaluated["repeats"] - photo["right"] for photo in evaluated["not_always_right"])
    assert evaluated["accuracy"] == pytest.approx(1 - wrong / evaluated["photos"] / evaluated["repeats"])
    assert evaluated["interval95"][0] < evaluated["accuracy"] < evaluated["interval95"][1]
    assert evaluated == json.loads((drawn / "tf_files/retrained_graph.json").read_text())["cross_validation"]
    text = poets_edge("train", "--image_dir", "photos", *EMBEDDED, cwd=drawn).ok().stdout
    lines = text.splitlines()
    [place] = [index for index, line in enumerate(lines) if line.startswith("test accuracy ")]
    expected = f"cross-validated accuracy {100 * evaluated['accuracy']:.1f} % (N = {5 * PER_CLASS}"
    assert lines[place + 1].startswith(expected)


def test_folds_option_is_checked_and_limited_by_class_size(drawn: Path) -> None:
    without = poets_edge("train", "--image_dir", "photos", *EMBEDDED, "--folds", "0", "--json", cwd=drawn).ok()
    assert json.loads(without.stdout)["cross_validation"] is None
    many = poets_edge("train", "--image_dir", "photos", *EMBEDDED, "--folds", "50", cwd=drawn).ok()
    assert "cross-validated accuracy" in many.stdout
    assert f"uses {PER_CLASS} folds instead of 50" in many.stderr
    poets_edge("train", "--image_dir", "photos", *EMBEDDED, "--folds", "1", cwd=drawn).failed("folds", "2 or more")


def test_train_skips_cross_validation_for_distortions_and_single_photo_classes(drawn: Path, tmp_path: Path) -> None:
    distorted = poets_edge(
        "train", "--image_dir", "photos", *EMBEDDED[:-1], "--flip_left_right", "--distorted_variants", "1", cwd=drawn
    ).ok()
    assert "cross-validated" not in distorted.stdout
    assert "no cross-validation" in distorted.stderr
    for label in ("daisy", "roses"):
        (tmp_path / "two" / label).mkdir(parents=True)
        source = sorted((drawn / "photos" / label).iterdir())[0]
        (tmp_path / "two" / label / source.name).symlink_to(source)
    single = poets_edge("train", "--image_dir", tmp_path / "two", *EMBEDDED, cwd=drawn).ok()
    assert "no cross-validation: no class has two photos" in single.stderr


def test_equal_predictions_in_several_repeats_do_not_change_the_interval() -> None:
    """Of 30 photos in 15 groups, 24 are classified correctly; 0.8 is the fraction of correct predictions."""
    items = [HashedPhoto(Photo(Path(str(row)), f"a/{row}", "a"), bytes([row]) * 32) for row in range(30)]
    photos, groups = HashedPhotos.of(items).photos, np.arange(30) // 2
    correct = ~np.isin(np.arange(30), (0, 1, 7, 12, 13, 20))
    scores = np.where(correct[:, None], (0.9, 0.1), (0.2, 0.8)).astype(np.float32)
    folds = Folds(np.arange(30) % 5, 5, 5, "")
    count = independent_count(correct, groups)
    assert 5 < count < 29
    for repeats in (1, 4):
        found = CrossValidation(("a", "b"), folds, photos, np.stack([scores] * repeats), groups)
        assert found.accuracy == pytest.approx(0.8)
        assert found.interval == pytest.approx(wilson_interval(0.8 * count, count))
