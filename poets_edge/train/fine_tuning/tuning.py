"""The last blocks and the head, trained together epoch by epoch, and which epoch's weights are kept."""

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
from poets_edge.train.bottlenecks import PLAIN, HashedPhoto
from poets_edge.train.fine_tuning import checkpoint
from poets_edge.train.fine_tuning.activations import Activation, Activations, View
from poets_edge.train.fine_tuning.options import FineTuning
from poets_edge.train.fine_tuning.schedule import Schedule
from poets_edge.train.fine_tuning.tail import Tail
from poets_edge.train.fine_tuning.trainer import Epoch, Trainer, numbers_of, with_numbers
from poets_edge.train.head import Head

Indices = npt.NDArray[np.int64]

_FORMAT = 2
"""Raise it when the code below, or what it calls, trains something else from the same inputs."""


class DivergedError(Exception):
    """The loss is no longer a number."""

    def __init__(self, epochs: tuple[Epoch, ...]) -> None:
        """Args: epochs: those before, in which it was one."""
        super().__init__(f"its loss was no longer a number in epoch {len(epochs) + 1}")
        self.epochs = epochs


@dataclass(frozen=True)
class Judges:
    """The validation photos, as they are: PLAIN views, and their classes as int64 [photos]."""

    photos: Sequence[HashedPhoto]
    classes: Indices

    @property
    def views(self) -> list[View]:
        return [View(photo, PLAIN) for photo in self.photos]


@dataclass(frozen=True)
class Tuned:
    """The result.

    Attributes:
        tail, head: the averaged weights of the epoch that was kept.
        epochs: all of them.
        chosen: the one that was kept, counted from 1.
    """

    tail: Tail
    head: Head
    epochs: tuple[Epoch, ...]
    chosen: int


def tune(
    start: tuple[Tail, Head], schedule: Schedule, judges: Judges, activations: Activations, options: FineTuning,
    folder: Path, reporter: Reporter,
) -> tuple[Tuned, Path]:  # fmt: skip
    """Train from `start` on, or go on from where an equal run was killed.

    Args:
        activations: all that the schedule and the judges ask for.
        folder: where the checkpoint is kept.

    Returns:
        The result, and its checkpoint, to be removed once all is written.

    Raises:
        DivergedError: the loss is no longer a number.
        OutputError: the checkpoint cannot be written.
        PhotoError: see `Activations.read`.
    """
    trainer = Trainer(*start, options, schedule.steps)
    path = folder / f"{activations.file.name.partition('.activations')[0]}-{_key(start, schedule, judges, options)}"
    path = path.with_name(path.name + checkpoint.SUFFIX)
    done: tuple[Epoch, ...] = ()
    kept, chosen = start, 0
    if (earlier := checkpoint.load(path)) is not None:
        trainer.restore(earlier.state)
        done, chosen, kept = earlier.epochs, earlier.chosen, with_numbers(start[0], earlier.kept)
        reporter.note(f"fine-tuning goes on after epoch {len(done)}, where an earlier run was stopped.")
    shown = schedule.steps * schedule.batch
    with reporter.progress("fine-tuning", options.epochs * shown) as advance:
        advance(len(done) * shown)
        for number in range(len(done), options.epochs):
            accuracy, loss = _one_epoch(trainer, schedule, number, activations, advance)
            now = trainer.averaged()
            if not math.isfinite(loss) or not all(np.isfinite(array).all() for array in numbers_of(*now)):
                raise DivergedError(done)
            epoch = Epoch(number + 1, accuracy, loss, *_judge(trainer, judges, activations, schedule.batch))
            done = (*done, epoch)
            if _keep(done, len(judges.photos)):
                kept, chosen = now, epoch.epoch
            checkpoint.save(path, checkpoint.Progress(done, chosen, trainer.state(), numbers_of(*kept)))
            reporter.note(_line(epoch, options.epochs))
    return Tuned(*kept, done, chosen), path


def _one_epoch(
    trainer: Trainer, schedule: Schedule, number: int, activations: Activations, advance: Callable[[int], object]
) -> tuple[float, float]:
    """Accuracy and mean cross entropy over the epoch's batches, or up to where training came apart."""
    right, losses = 0, []

    def read(batch: tuple[list[View], Indices], _: None) -> tuple[Activation, Indices]:
        return activations.read(batch[0]), batch[1]

    # One thread reads the next batches while TensorFlow is busy with this one.
    for _, (batch, classes) in run_parallel(schedule.epoch(number), lambda: None, read, workers=1):
        loss, answered = trainer.train(batch, classes)
        losses.append(loss)
        if not math.isfinite(loss):
            break
        right += answered
        advance(len(classes))
    return right / (schedule.steps * schedule.batch), float(np.mean(losses))


def _judge(trainer: Trainer, judges: Judges, activations: Activations, batch: int) -> tuple[float | None, float | None]:
    """Accuracy and cross entropy on the validation photos."""
    if not judges.photos:
        return None, None
    views = judges.views
    scores = np.concatenate(
        [trainer.scores(activations.read(views[start : start + batch])) for start in range(0, len(views), batch)]
    )
    of_truth = np.maximum(scores[np.arange(len(views)), judges.classes], np.float32(1e-12))
    return float((scores.argmax(axis=1) == judges.classes).mean()), float(-np.log(of_truth).mean())


def _line(epoch: Epoch, epochs: int) -> str:
    line = (
        f"epoch {epoch.epoch:>3} of {epochs}   train {epoch.train_accuracy:6.1%}"
        f"   cross entropy {epoch.train_cross_entropy:.4f}"
    )
    if epoch.validation_accuracy is not None:
        line += f"   validation {epoch.validation_accuracy:6.1%}   cross entropy {epoch.validation_cross_entropy:.4f}"
    return line


def _keep(done: Sequence[Epoch], photos: int) -> bool:
    """Whether the last epoch is the one to keep so far.

    Kept is the last epoch that is no more than one standard error below the best ("one standard error rule": Breiman
    et al., Classification and Regression Trees, 1984, 3.4.3). On a hundred photos the highest of many accuracies is
    mostly luck, and at the end of a cosine the weights have settled; an early epoch is taken only where later ones
    truly lose.
    """
    accuracies = [epoch.validation_accuracy for epoch in done if epoch.validation_accuracy is not None]
    if not accuracies:
        return True
    best = max(accuracies)
    return accuracies[-1] >= best - math.sqrt(best * (1 - best) / photos) - 1e-9


def _key(start: tuple[Tail, Head], schedule: Schedule, judges: Judges, options: FineTuning) -> str:
    """Names everything that the result follows from, but for the machine."""
    inputs = [
        _FORMAT,
        version("tensorflow"),
        asdict(options),
        schedule.seed,
        [*schedule.views, *schedule.whole],
        schedule.whole_from,
        [photo.digest.hex() for photo in (*schedule.photos, *judges.photos)],
        [*schedule.classes.tolist(), *judges.classes.tolist()],
        hashlib.sha256(b"".join(array.tobytes() for array in numbers_of(*start))).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
