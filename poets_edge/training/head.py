"""Train the new last layer: softmax regression on bottlenecks, as in TensorFlow's `retrain.py`.

The head is trained by plain stochastic gradient descent on the mean cross entropy. For each element of a batch, a class
is drawn uniformly and then a photo of that class, so all classes have equal weight. In numpy, 4,000 steps of 100
vectors take a fraction of a second; loading TensorFlow alone takes several seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.core.arguments import check_fields
from poets_edge.errors import TrainingError, UsageError
from poets_edge.training.vectors import Vectors, apply, pick

MANY_VALIDATION = 1000
"""Validation sets of at least this many photos are evaluated on random batches, and smaller sets in full."""
_MIN_RATE, _MAX_RATE = 1e-30, 1000.0
"""Smallest and largest accepted learning rate; the reciprocal of the rate must fit into float32."""

Matrix = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Head:
    """Classification head, which computes softmax(bottleneck @ weights + biases).

    Attributes:
        weights: float32 [bottleneck_size, classes].
        biases: float32 [classes].
    """

    weights: Matrix
    biases: Matrix

    def logits(self, bottlenecks: Vectors) -> Matrix:
        """Return the inputs of the softmax, float32 [photos, classes]."""
        return apply(lambda part: np.asarray(part @ self.weights + self.biases, np.float32), bottlenecks)

    def scores(self, bottlenecks: Vectors) -> Matrix:
        """Return the probabilities of the classes, float32 [photos, classes]."""
        return apply(lambda part: softmax(part @ self.weights + self.biases), bottlenecks)

    def losses(self, photos: LabeledVectors) -> Matrix:
        """Return the cross entropy of each photo, -ln(score of the true class), float32 [photos]."""
        scores = self.scores(photos.vectors)
        return np.asarray(-np.log(np.maximum(scores[np.arange(len(scores)), photos.classes], np.float32(1e-12))))


@dataclass(frozen=True)
class LabeledVectors:
    """Bottlenecks with their classes.

    Attributes:
        vectors: bottlenecks, float32 [photos, bottleneck_size].
        classes: class number of each photo, int64 [photos].
    """

    vectors: Vectors
    classes: Indices


@dataclass(frozen=True, kw_only=True)
class HeadOptions:
    """Options for training a head; all but `seed` and `early_stop` are flags of TensorFlow's `retrain.py`.

    Attributes:
        steps: number of training steps.
        learning_rate: learning rate of gradient descent.
        train_batch_size: number of training photos per step.
        validation_batch_size: number of validation photos that are drawn for each evaluation if there are at least
            1,000, or -1 for all; smaller sets are evaluated in full.
        eval_step_interval: number of steps between evaluations.
        seed: seed of the random batches.
        early_stop: return the head with the lowest validation cross entropy instead of the last one.
    """

    steps: int = 4000
    learning_rate: float = 0.01
    train_batch_size: int = 100
    validation_batch_size: int = 100
    eval_step_interval: int = 10
    seed: int = 0
    early_stop: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("steps", "train_batch_size", "eval_step_interval"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be 1 or more, not {getattr(self, name)}.")
        if self.validation_batch_size < 1 and self.validation_batch_size != -1:
            raise UsageError(
                f"`validation_batch_size` must be 1 or more, or -1 for all, not {self.validation_batch_size}."
            )
        if not _MIN_RATE <= self.learning_rate <= _MAX_RATE:
            raise UsageError(
                f"`learning_rate` must be from {_MIN_RATE:g} to {_MAX_RATE:g}, not {self.learning_rate:g}."
            )
        if self.seed < 0:
            raise UsageError(f"`seed` must be 0 or more, not {self.seed}.")


@dataclass(frozen=True)
class Step:
    """Result of an evaluation after a training step. Validation values are None if there are no validation photos."""

    step: int
    train_accuracy: float
    train_cross_entropy: float
    validation_accuracy: float | None
    validation_cross_entropy: float | None


def train_head(
    training: LabeledVectors,
    validation: LabeledVectors,
    class_count: int,
    options: HeadOptions,
    on_step: Callable[[Step, Head], None],
    on_update: Callable[[int, Head], None] | None = None,
) -> Head:
    """Train a head from scratch.

    Args:
        training: training photos.
        validation: validation photos; may be empty.
        class_count: number of classes.
        options: options of the training.
        on_step: called with the result of each evaluation and a copy of the head, every `eval_step_interval` steps and
            after the last step.
        on_update: called after each step with the number of completed steps and the head, whose arrays later steps
            modify.

    Returns:
        The head after the last step, or with `early_stop` the one with the lowest validation cross entropy. Results are
        bit-identical on one machine.

    Raises:
        TrainingError: training diverged.
    """
    # Two streams, so that the size of the validation batch does not affect the training.
    training_rng, validation_rng = (np.random.default_rng([options.seed, stream]) for stream in range(2))
    draw = class_balanced_drawer(training.classes, class_count, training_rng)
    weights = _initial_weights(training.vectors.shape[1], class_count, training_rng)
    biases = np.zeros(class_count, np.float32)
    rate = np.float32(options.learning_rate / options.train_batch_size)
    identity = np.eye(class_count, dtype=np.float32)
    best: tuple[float, Head] | None = None
    for step in range(options.steps):
        chosen = draw(options.train_batch_size)
        batch, truth = pick(training.vectors, chosen), training.classes[chosen]
        probabilities = softmax(batch @ weights + biases)
        # d(cross entropy)/d(logits) = p - y (Bishop, Pattern Recognition and Machine Learning, eq. 4.109).
        gradient = (probabilities - identity[truth]) * rate
        weights -= batch.T @ gradient
        biases -= gradient.sum(axis=0)
        last = step + 1 == options.steps
        if step % options.eval_step_interval == 0 or last:
            head = Head(weights.copy(), biases.copy())
            _check_finite(head, step, options)
            result = _evaluate(step, head, batch, truth, validation, options.validation_batch_size, validation_rng)
            on_step(result, head)
            loss = result.validation_cross_entropy
            if loss is not None and (best is None or loss < best[0]):
                best = loss, head
        if on_update:
            on_update(step + 1, Head(weights, biases))
    return best[1] if options.early_stop and best is not None else Head(weights, biases)


def _check_finite(head: Head, step: int, options: HeadOptions) -> None:
    if not (np.isfinite(head.weights).all() and np.isfinite(head.biases).all()):
        raise TrainingError(
            f"training diverged by step {step}: `learning_rate` {options.learning_rate:g} is too large. Try"
            f" {HeadOptions.learning_rate:g}, the default."
        )


def class_balanced_drawer(classes: Indices, class_count: int, rng: np.random.Generator) -> Callable[[int], Indices]:
    """Return a function that draws n random row numbers, each from the rows of a class that is drawn uniformly."""
    order = np.argsort(classes, kind="stable")
    counts = np.bincount(classes, minlength=class_count)
    present = np.flatnonzero(counts)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))[present]
    sizes = counts[present].astype(np.float64)

    def draw(n: int) -> Indices:
        chosen = rng.integers(len(present), size=n)
        rows: Indices = order[starts[chosen] + (rng.random(n) * sizes[chosen]).astype(np.int64)]
        return rows

    return draw


def _evaluate(
    step: int,
    head: Head,
    batch: Matrix,
    truth: Indices,
    validation: LabeledVectors,
    validation_batch_size: int,
    rng: np.random.Generator,
) -> Step:
    train_accuracy, train_loss = _measure(head, batch, truth)
    if not len(validation.classes):
        return Step(step, train_accuracy, train_loss, None, None)
    vectors, classes = validation.vectors, validation.classes
    if validation_batch_size != -1 and len(classes) >= MANY_VALIDATION:
        chosen = rng.integers(len(classes), size=validation_batch_size)
        vectors, classes = pick(vectors, chosen), classes[chosen]
    return Step(step, train_accuracy, train_loss, *_measure(head, vectors, classes))


def _measure(head: Head, vectors: Vectors, classes: Indices) -> tuple[float, float]:
    scores = head.scores(vectors)
    of_truth = np.maximum(scores[np.arange(len(classes)), classes], np.float32(1e-12))
    return float((scores.argmax(axis=1) == classes).mean()), float(-np.log(of_truth).mean())


def _initial_weights(rows: int, columns: int, rng: np.random.Generator) -> Matrix:
    # Normal with standard deviation 0.001, redrawn beyond two of these, as truncated_normal in the original.
    weights = rng.standard_normal((rows, columns))
    while (outside := np.abs(weights) > 2).any():
        weights[outside] = rng.standard_normal(int(outside.sum()))
    return (weights * 0.001).astype(np.float32)


def softmax(logits: Matrix) -> Matrix:
    """Return the softmax of logits over the classes, float32 [photos, classes]."""
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)
