"""Tests of the training of a head, compared step by step with gradient descent written out in the tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.errors import TrainingError, UsageError
from poets_edge.training.head import (
    Head,
    HeadOptions,
    Indices,
    LabeledVectors,
    Matrix,
    Step,
    class_balanced_drawer,
    softmax,
    train_head,
)

CLASSES = np.array([2, 0, 0, 0, 0, 0, 0, 0, 4, 4, 0, 0])
"""Class numbers of twelve photos: nine are in class 0, two in class 4 and one in class 2."""


def vectors(classes: Indices, size: int = 5, seed: int = 0) -> LabeledVectors:
    rng = np.random.default_rng(seed)
    return LabeledVectors(rng.random((len(classes), size)).astype(np.float32), classes)


def trained(
    training: LabeledVectors, validation: LabeledVectors, options: HeadOptions, class_count: int = 3
) -> tuple[Head, list[tuple[Step, Head]]]:
    seen: list[tuple[Step, Head]] = []
    head = train_head(training, validation, class_count, options, lambda step, head: seen.append((step, head)))
    return head, seen


def cross_entropy(scores: Matrix, classes: Indices) -> float:
    return float(np.mean([-np.log(row[number]) for row, number in zip(scores, classes, strict=True)]))


def test_class_balanced_sampling_draws_all_classes_equally_often() -> None:
    draw = class_balanced_drawer(CLASSES, 5, np.random.default_rng(0))
    rows = draw(30_000)
    assert np.bincount(CLASSES[rows], minlength=5) / 30_000 == pytest.approx([1 / 3, 0, 1 / 3, 0, 1 / 3], abs=0.01)
    shares = np.bincount(rows, minlength=len(CLASSES)) / 30_000
    of_class = {0: 1 / 27, 2: 1 / 3, 4: 1 / 6}
    assert shares == pytest.approx([of_class[int(number)] for number in CLASSES], abs=0.01)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 40), st.integers(0, 3))
def test_class_balanced_sampling_returns_valid_row_numbers(classes: list[int], count: int, seed: int) -> None:
    rows = class_balanced_drawer(np.array(classes), 5, np.random.default_rng(seed))(count)
    assert len(rows) == count and rows.min() >= 0 and rows.max() < len(classes)


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_head_training_performs_a_step_of_gradient_descent(rate: float) -> None:
    """Each class has one photo, so a batch is determined by its number of photos from the first class."""
    data = vectors(np.array([0, 1]))
    empty = LabeledVectors(data.vectors[:0], data.classes[:0])
    options = HeadOptions(steps=1, train_batch_size=4, seed=1)
    start, _ = trained(data, empty, replace(options, learning_rate=1e-30), class_count=2)
    head, _ = trained(data, empty, replace(options, learning_rate=rate), class_count=2)
    candidates = []
    for firsts in range(5):
        batch, truth = data.vectors[[0] * firsts + [1] * (4 - firsts)], np.eye(2)[[0] * firsts + [1] * (4 - firsts)]
        gradient = (softmax(np.asarray(batch @ start.weights, np.float32)) - truth) / 4
        candidates.append((start.weights - rate * batch.T @ gradient, -rate * gradient.sum(axis=0)))
    distances = [np.abs(head.weights - weights).max() + np.abs(head.biases - b).max() for weights, b in candidates]
    assert min(distances) < 1e-6 < sorted(distances)[1]


def test_head_training_starts_with_weights_from_a_truncated_normal_distribution() -> None:
    data = vectors(np.arange(3), size=40_000)
    empty = LabeledVectors(data.vectors[:0], data.classes[:0])
    start, _ = trained(data, empty, HeadOptions(steps=1, learning_rate=1e-30))
    assert np.abs(start.weights).max() <= 0.002
    assert start.weights.std() == pytest.approx(0.00088, abs=0.000006)  # of a normal distribution cut at 2 deviations


def test_head_training_evaluates_at_intervals_and_at_the_end() -> None:
    training, validation = vectors(np.arange(30) % 3), vectors(np.arange(20) % 3, seed=1)
    options = HeadOptions(steps=25, eval_step_interval=10, validation_batch_size=-1, learning_rate=0.5)
    head, seen = trained(training, validation, options)
    assert [step.step for step, _ in seen] == [0, 10, 20, 24]
    assert (seen[-1][1].weights == head.weights).all()
    for step, of_step in seen:
        scores = of_step.scores(validation.vectors)
        assert step.validation_accuracy == pytest.approx((scores.argmax(axis=1) == validation.classes).mean())
        assert step.validation_cross_entropy == pytest.approx(cross_entropy(scores, validation.classes), rel=1e-5)


def test_head_training_evaluates_the_training_batch_after_the_step() -> None:
    data = vectors(np.array([0, 1, 1, 1]))
    empty = LabeledVectors(data.vectors[:0], data.classes[:0])
    _, seen = trained(data, empty, HeadOptions(steps=1, train_batch_size=1, learning_rate=1.0), class_count=2)
    [(step, head)] = seen
    scores = head.scores(data.vectors)
    losses = [cross_entropy(scores[[row]], data.classes[[row]]) for row in range(4)]
    assert any(step.train_cross_entropy == pytest.approx(loss, rel=1e-5) for loss in losses)
    assert step.validation_accuracy is None and step.validation_cross_entropy is None


def test_early_stop_returns_the_head_with_the_lowest_validation_loss() -> None:
    rng = np.random.default_rng(0)
    training = LabeledVectors(rng.random((6, 30)).astype(np.float32), np.arange(6) % 3)
    validation = LabeledVectors(rng.random((40, 30)).astype(np.float32), rng.integers(0, 3, 40))
    options = HeadOptions(steps=200, learning_rate=1.0, validation_batch_size=-1, early_stop=True)
    head, seen = trained(training, validation, options)
    losses = [step.validation_cross_entropy or 0.0 for step, _ in seen]
    assert losses.index(min(losses)) < len(losses) - 1, "the example must overfit"
    assert (head.weights == seen[losses.index(min(losses))][1].weights).all()
    last, _ = trained(training, validation, replace(options, early_stop=False))
    assert (last.weights == seen[-1][1].weights).all()


def test_validation_batch_size_does_not_change_the_head() -> None:
    training, validation = vectors(np.arange(30) % 3), vectors(np.arange(20) % 3, seed=1)
    heads = [trained(training, validation, HeadOptions(steps=30, validation_batch_size=size))[0] for size in (1, 7, -1)]
    assert (heads[0].weights == heads[1].weights).all() and (heads[1].weights == heads[2].weights).all()


@given(st.permutations(range(4)))
def test_permuting_classes_permutes_head_scores(order: list[int]) -> None:
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32))
    inputs = rng.random((9, 6)).astype(np.float32)
    permuted = Head(head.weights[:, order], head.biases[order])
    assert permuted.scores(inputs) == pytest.approx(head.scores(inputs)[:, order], abs=1e-6)
    assert head.scores(inputs).sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert softmax(head.logits(inputs)) == pytest.approx(head.scores(inputs), abs=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 0}, {"train_batch_size": 0}, {"eval_step_interval": 0}, {"validation_batch_size": 0},
        {"validation_batch_size": -2}, {"learning_rate": 0.0}, {"learning_rate": 1e-320},
        {"learning_rate": 1000.1}, {"seed": -1},
    ],
)  # fmt: skip
def test_head_options_reject_values_beyond_their_limits(fields: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        HeadOptions(**fields)  # type: ignore[arg-type]
    HeadOptions(steps=1, train_batch_size=1, eval_step_interval=1, validation_batch_size=-1, learning_rate=1000.0)


@pytest.mark.parametrize(("photos", "is_drawn"), [(999, False), (1000, True)])
def test_validation_batches_are_sampled_for_a_thousand_photos_or_more(photos: int, is_drawn: bool) -> None:
    """The accuracy on a batch of one photo is 0 or 1; the accuracy on all photos is between 0 and 1."""
    rng = np.random.default_rng(0)
    validation = LabeledVectors(rng.random((photos, 5)).astype(np.float32), rng.integers(0, 3, photos))
    _, seen = trained(vectors(np.arange(30) % 3), validation, HeadOptions(steps=30, validation_batch_size=1))
    assert all((step.validation_accuracy in (0.0, 1.0)) == is_drawn for step, _ in seen)
    _, seen = trained(vectors(np.arange(30) % 3), validation, HeadOptions(steps=30, validation_batch_size=-1))
    assert all(step.validation_accuracy not in (0.0, 1.0) for step, _ in seen)


def test_head_losses_are_cross_entropies_of_photos() -> None:
    head = Head(np.array([[1.0, 0.0], [0.0, 100.0]], np.float32), np.array([0.5, 0.0], np.float32))
    photos = LabeledVectors(np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]], np.float32), np.array([0, 1, 0]))
    expected = [np.log1p(np.exp(-2.5)), 0, -np.log(1e-12)]  # e^-99.5 counts as 1e-12
    assert head.losses(photos) == pytest.approx(expected, abs=1e-5)


def test_head_training_limits_the_cross_entropy_of_confident_mistakes() -> None:
    training = LabeledVectors(np.array([[50.0, 0.0], [0.0, 50.0]], np.float32), np.array([0, 1]))
    swapped = LabeledVectors(training.vectors, np.array([1, 0]))
    options = HeadOptions(steps=20, learning_rate=1.0)
    _, seen = trained(training, swapped, options, class_count=2)
    assert seen[-1][0].validation_cross_entropy == pytest.approx(-np.log(1e-12), rel=1e-5)
    assert (seen[-1][0].train_accuracy, seen[-1][0].validation_accuracy) == (1.0, 0.0)


def test_head_training_reports_every_update() -> None:
    data = vectors(np.arange(6) % 3)
    updates: list[tuple[int, Matrix]] = []
    head = train_head(
        data,
        LabeledVectors(data.vectors[:0], data.classes[:0]),
        3,
        HeadOptions(steps=3, eval_step_interval=100),
        lambda step, head: None,
        lambda step, head: updates.append((step, head.weights.copy())),
    )
    assert [step for step, _ in updates] == [1, 2, 3]
    assert (updates[-1][1] == head.weights).all() and (updates[0][1] != updates[1][1]).any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_head_training_raises_an_error_for_non_finite_weights() -> None:
    data = LabeledVectors(np.full((4, 2), 1e38, np.float32), np.array([0, 1, 0, 1]))
    with pytest.raises(TrainingError, match="training diverged by step 0: `learning_rate` 1000 is too large"):
        trained(data, LabeledVectors(data.vectors[:0], data.classes[:0]), HeadOptions(learning_rate=1000.0))


def test_trained_head_depends_on_the_seed() -> None:
    data = vectors(np.arange(30) % 3)
    empty = LabeledVectors(data.vectors[:0], data.classes[:0])
    one, again, other = (trained(data, empty, HeadOptions(steps=5, seed=seed))[0].weights for seed in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_head_options_have_the_defaults_of_retrain_py() -> None:
    options = HeadOptions()
    assert (options.steps, options.learning_rate, options.eval_step_interval) == (4000, 0.01, 10)
    assert (options.train_batch_size, options.validation_batch_size) == (100, 100)
    assert options.seed == 0 and not options.early_stop
