"""Evaluate the unknown-photo detector, which finds photos that are unlike the training photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.core.wording import accuracy_text, interval_text, percent
from poets_edge.device.metrics import Evaluation, wilson_interval
from poets_edge.device.predictions import Predictions, score_models, score_photos
from poets_edge.device.scorer import Scorer
from poets_edge.errors import DatasetError
from poets_edge.photos.folder import Photo, photo_files
from poets_edge.progress import Reporter
from poets_edge.tflite.distance import LIMIT

Distances = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Refused:
    """Number of photos that an unknown-photo detector has classified as unknown.

    Attributes:
        refused: number of photos classified as unknown.
        photos: number of all photos that the detector has classified.
    """

    refused: int
    photos: int

    @staticmethod
    def of(distances: Distances) -> Refused:
        """Construct an instance from the distance of each photo from the training photos, [photos].

        Photos with a distance above 1 are counted as unknown.
        """
        return Refused(int((distances > LIMIT).sum()), len(distances))

    @property
    def share(self) -> float | None:
        """Fraction of photos that are classified as unknown, 0 to 1; None if there are no photos."""
        return self.refused / self.photos if self.photos else None

    def __str__(self) -> str:
        share = f"{percent(self.share)}, 95 % interval {interval_text(wilson_interval(self.refused, self.photos))}"
        return f"{self.refused} of {self.photos} photos ({share})"

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and the fraction of unknown photos with its 95 % interval, as JSON-compatible values."""
        return {
            "refused": self.refused,
            "photos": self.photos,
            "share": self.share,
            "interval95": list(wilson_interval(self.refused, self.photos)),
        }


@dataclass(frozen=True)
class UnknownEvaluation:
    """Evaluation of an unknown-photo detector on photos that belong to a class and photos that belong to none.

    Attributes:
        known: number of photos that belong to a class, and how many of them are classified as unknown.
        answered: accuracy, recall and confusion matrix for the photos in `known` that are not classified as unknown.
        strangers: number of photos that belong to no class, and how many of them are classified as unknown; None if
            there are none.
    """

    known: Refused
    answered: Evaluation
    strangers: Refused | None = None

    def lines(self) -> list[str]:
        """Return the evaluation as lines of text for users."""
        found = [f"unknown: {self.known}; accuracy on the others {_accuracy(self.answered)}"]
        return found + ([f"strangers: {self.strangers} are unknown"] if self.strangers else [])

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON-compatible values."""
        return {
            **self.known.to_json(),
            "answered": self.answered.to_json(),
            "strangers": self.strangers.to_json() if self.strangers else None,
        }


def evaluate_unknown(
    predictions: Predictions, labels: tuple[str, ...], strangers: Predictions | None = None
) -> UnknownEvaluation | None:
    """Evaluate a model's unknown-photo detector; return None if the model has no such detector.

    Args:
        predictions: predictions for photos that belong to a class.
        labels: the model's labels.
        strangers: predictions for photos that belong to no class; None if there are none.
    """
    if predictions.distances is None:
        return None
    answered = predictions.take(np.flatnonzero(predictions.distances <= LIMIT))
    found = None if strangers is None else strangers.distances
    return UnknownEvaluation(
        Refused.of(predictions.distances),
        answered.evaluation(labels),
        None if found is None else Refused.of(found),
    )


def _accuracy(found: Evaluation) -> str:
    return accuracy_text(found.accuracy if found.count else None, found.count, found.interval)


def score_strangers(scorer: Scorer, folder: Path, reporter: Reporter) -> Predictions:
    """Score photos that belong to no class of the model, in a folder and its subfolders.

    Raises:
        DatasetError: the model has no unknown-photo detector, the folder does not exist, or no photo in it can be
            read.
    """
    if not scorer.has_detector:
        raise DatasetError(
            "the model has no detector of unknown photos, so `strangers` cannot be counted. Train and export it again."
        )
    photos = stranger_photos(folder)
    detection = (scorer.facts.get("training") or scorer.facts).get("unknown") or {}
    if background := detection.get("background_photos"):
        reporter.warn(
            f"the detector has learned from {background} photos of a background, which the model does not recognize: if"
            " they are among the strangers, it rejects fewer of new ones."
        )
    with reporter.progress("scoring strangers", len(photos)) as advance:
        found = score_photos(photos, scorer.clone, advance=advance)
    _check_readable(folder, found, reporter)
    return found


def count_strangers(models: Sequence[Path], folder: Path, reporter: Reporter) -> dict[Path, Refused | None]:
    """Count the photos in a folder and its subfolders that each `.tflite` file classifies as unknown.

    The photos must belong to no class of the models. Each photo is read once. The result for a file without an
    unknown-photo detector is None.

    Raises:
        DatasetError: the folder does not exist, or no photo in it can be read.
    """
    photos = stranger_photos(folder)
    with reporter.progress("scoring strangers", len(photos)) as advance:
        found = score_models(photos, {str(model): model for model in models}, advance=advance)
    _check_readable(folder, found[str(models[0])], reporter)
    distances = {model: found[str(model)].distances for model in models}
    return {model: None if values is None else Refused.of(values) for model, values in distances.items()}


def stranger_photos(folder: Path) -> list[Photo]:
    """Return the photos in a folder and its subfolders, whose names are not class names, with an empty label.

    Raises:
        DatasetError: the folder does not exist.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder. Give one with photos that belong to no class: `strangers`")
    files, _ = photo_files(folder, recursive=True)
    return [Photo(path, path.relative_to(folder).as_posix(), "") for path in files]


def _check_readable(folder: Path, found: Predictions, reporter: Reporter) -> None:
    """Warn about each unreadable photo. Raises DatasetError if no photo could be read."""
    for problem in found.unreadable:
        reporter.warn(f"left out: {problem}")
    if not len(found.photos):
        raise DatasetError(f"{folder}: no photo of strangers that can be read.")
