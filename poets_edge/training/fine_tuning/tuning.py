"""Train the fine-tuned layers, called the tail, together with the head, and choose the epoch with the best weights."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.core.parallel import run_parallel
from poets_edge.progress import Reporter
from poets_edge.training.bottlenecks import PLAIN, HashedPhoto
from poets_edge.training.fine_tuning import checkpoint
from poets_edge.training.fine_tuning.activations import Activation, Activations, View
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.schedule import Schedule
from poets_edge.training.fine_tuning.tail import Tail
from poets_edge.training.fine_tuning.trainer import Epoch, Trainer, weights_of, with_weights
from poets_edge.training.head import Head

Indices = npt.NDArray[np.int64]

_FORMAT = 3
"""Version of the training procedure; increase it when a code change alters the weights for identical inputs."""


class DivergedError(Exception):
    """Raised if training diverges, that is, if the loss or a weight is not finite."""

    def __init__(self, epochs: tuple[Epoch, ...]) -> None:
        """Create the error.

        Args:
            epochs: results of the epochs before the one that diverged.
        """
        super().__init__(f"its loss was no longer a number in epoch {len(epochs) + 1}")
        self.epochs = epochs


@dataclass(frozen=True)
class ValidationSet:
    """Validation photos, which are evaluated without distortion.

    Attributes:
        photos: the photos.
        classes: class number of each photo, int64 [photos].
    """

    photos: Sequence[HashedPhoto]
    classes: Indices

    @property
    def views(self) -> list[View]:
        """The validation photos, without augmentation."""
        return [View(photo, PLAIN) for photo in self.photos]


@dataclass(frozen=True)
class Tuned:
    """Result of fine-tuning.

    Attributes:
        tail, head: final blocks and head, with the moving average of the weights at the end of the chosen epoch.
        epochs: results of all epochs.
        chosen: number of the chosen epoch, from 1.
    """

    tail: Tail
    head: Head
    epochs: tuple[Epoch, ...]
    chosen: int


def tune(
    start: tuple[Tail, Head], schedule: Schedule, validation: ValidationSet, activations: Activations,
    options: FineTuning, folder: Path, reporter: Reporter,
) -> tuple[Tuned, Path]:  # fmt: skip
    """Fine-tune the final blocks and the head, resuming from the checkpoint of an identical interrupted run, if any.

    Args:
        start: final blocks (the tail) and head to start from.
        activations: cache of the activations for all views (distorted variants of the training photos) in the schedule
            and for the validation photos.
        folder: folder for the checkpoint.

    Returns:
        The result, and the path of its checkpoint, which is to be removed when all outputs are written.

    Raises:
        DivergedError: the loss or a weight is not finite.
        OutputError: the checkpoint cannot be written.
        PhotoError: a photo whose activations are not in the cache has changed since it was hashed.
    """
    assert options.epochs is not None, "resolve the options first"
    trainer = Trainer(*start, options, schedule.steps)
    path = folder / f"{activations.file.name.partition('.activations')[0]}-{_key(start, schedule, validation, options)}"
    path = path.with_name(path.name + checkpoint.SUFFIX)
    done: tuple[Epoch, ...] = ()
    best, chosen = start, 0
    if (earlier := checkpoint.load(path)) is not None:
        trainer.restore(earlier.state)
        done, chosen, best = earlier.epochs, earlier.chosen, with_weights(start[0], earlier.best)
        reporter.note(f"fine-tuning continues after epoch {len(done)}, where an earlier run was stopped.")
    shown = schedule.steps * schedule.batch
    with reporter.progress("fine-tuning", options.epochs * shown) as advance:
        advance(len(done) * shown)
        for number in range(len(done), options.epochs):
            accuracy, loss = _one_epoch(trainer, schedule, number, activations, advance)
            now = trainer.averaged()
            if not math.isfinite(loss) or not all(np.isfinite(array).all() for array in weights_of(*now)):
                raise DivergedError(done)
            epoch = Epoch(number + 1, accuracy, loss, *_validate(trainer, validation, activations, schedule.batch))
            done = (*done, epoch)
            if _is_best(done, len(validation.photos)):
                best, chosen = now, epoch.epoch
            checkpoint.save(path, checkpoint.Checkpoint(done, chosen, trainer.state(), weights_of(*best)))
            reporter.note(_line(epoch, options.epochs))
    return Tuned(*best, done, chosen), path


def _one_epoch(
    trainer: Trainer, schedule: Schedule, number: int, activations: Activations, advance: Callable[[int], object]
) -> tuple[float, float]:
    """Train for one epoch; return the training accuracy and the mean cross entropy of the batches.

    The epoch ends early if training diverges.
    """
    correct, losses = 0, []

    def read(batch: tuple[list[View], Indices], _: None) -> tuple[Activation, Indices]:
        return activations.read(batch[0]), batch[1]

    # One thread reads the next batches while TensorFlow is busy with this one.
    for _, (batch, classes) in run_parallel(schedule.epoch(number), lambda: None, read, workers=1):
        loss, correct_in_batch = trainer.train(batch, classes)
        losses.append(loss)
        if not math.isfinite(loss):
            break
        correct += correct_in_batch
        advance(len(classes))
    return correct / (schedule.steps * schedule.batch), float(np.mean(losses))


def _validate(
    trainer: Trainer, validation: ValidationSet, activations: Activations, batch: int
) -> tuple[float | None, float | None]:
    """Return the accuracy and mean cross entropy on the validation photos; both are None if there are no photos."""
    if not validation.photos:
        return None, None
    views = validation.views
    scores = np.concatenate(
        [trainer.scores(activations.read(views[start : start + batch])) for start in range(0, len(views), batch)]
    )
    of_truth = np.maximum(scores[np.arange(len(views)), validation.classes], np.float32(1e-12))
    return float((scores.argmax(axis=1) == validation.classes).mean()), float(-np.log(of_truth).mean())


def _line(epoch: Epoch, epochs: int) -> str:
    line = (
        f"epoch {epoch.epoch:>3} of {epochs}   train {epoch.train_accuracy:6.1%}"
        f"   cross entropy {epoch.train_cross_entropy:.4f}"
    )
    if epoch.validation_accuracy is not None:
        line += f"   validation {epoch.validation_accuracy:6.1%}   cross entropy {epoch.validation_cross_entropy:.4f}"
    return line


def _is_best(done: Sequence[Epoch], photos: int) -> bool:
    """Return whether the last epoch is the best one so far.

    The best epoch is the last one whose accuracy is within one standard error of the highest ("one standard error
    rule": Breiman et al., Classification and Regression Trees, 1984, 3.4.3). On a hundred photos the highest of many
    accuracies is mostly luck, and at the end of a cosine schedule the weights have settled; an early epoch is used only
    if later ones are significantly worse.
    """
    accuracies = [epoch.validation_accuracy for epoch in done if epoch.validation_accuracy is not None]
    if not accuracies:
        return True
    best = max(accuracies)
    return accuracies[-1] >= best - math.sqrt(best * (1 - best) / photos) - 1e-9


def _key(start: tuple[Tail, Head], schedule: Schedule, validation: ValidationSet, options: FineTuning) -> str:
    """Return a checksum of all inputs that determine the result of fine-tuning on a given machine."""
    inputs = [
        _FORMAT,
        version("tensorflow"),
        asdict(options),
        schedule.seed,
        [*schedule.views, *schedule.whole],
        schedule.whole_from,
        [photo.digest.hex() for photo in (*schedule.photos, *validation.photos)],
        [*schedule.classes.tolist(), *validation.classes.tolist()],
        hashlib.sha256(b"".join(array.tobytes() for array in weights_of(*start))).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
