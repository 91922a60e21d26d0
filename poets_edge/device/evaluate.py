"""Accuracy of a model on a folder of labelled photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from poets_edge.core.tabular import Tabular
from poets_edge.core.wording import counted
from poets_edge.device.classifier import Classifier, Scorer
from poets_edge.device.metrics import Evaluation
from poets_edge.device.paired import Paired, compare_paired
from poets_edge.device.predictions import Predictions, score_photos
from poets_edge.device.staleness import stale_line
from poets_edge.errors import DatasetError
from poets_edge.photos.address import Location
from poets_edge.photos.exclude import exclusions_of_training
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.minhash import overlap, sketch_now
from poets_edge.photos.split import SplitConfig, SplitName
from poets_edge.photos.split import split as assign_splits
from poets_edge.progress import Reporter, Silent

EvaluatedSplit: TypeAlias = SplitName | Literal["all"]


@dataclass(frozen=True, kw_only=True)
class EvaluateResult(Tabular):
    """The accuracy of a model on a folder of labelled photos.

    Attributes:
        split: the split that was evaluated.
        excluded: number of the folder's photos that are in other splits.
        labels: the model's labels.
        evaluation: accuracy, recall and confusion matrix.
        predictions: scores of the model for each photo.
    """

    split: EvaluatedSplit
    excluded: int
    labels: tuple[str, ...]
    evaluation: Evaluation
    predictions: Predictions

    def rows(self) -> list[dict[str, Any]]:
        """Return number of photos and recall of each class, for `pandas.DataFrame(result.rows())`."""
        photos = self.evaluation.confusion.sum(axis=1)
        return [
            {"class": label, "photos": int(count), "recall": self.evaluation.recall(label)}
            for label, count in zip(self.evaluation.labels, photos, strict=True)
        ]

    def __repr__(self) -> str:
        return f"<EvaluateResult: {100 * self.accuracy:.1f} % of {self.evaluation.count} photos ({self.split})>"

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0 to 1."""
        return self.evaluation.accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy."""
        return self.evaluation.interval

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-compatible values, as printed by `evaluate --json`."""
        return {
            "set": self.split,
            "left_out": self.excluded,
            "labels": list(self.labels),
            **self.evaluation.to_json(),
            "unreadable": list(self.predictions.unreadable),
            "misclassified": [mistake.to_json() for mistake in self.predictions.misclassified(self.labels)],
        }


def evaluate(
    scorer: Scorer,
    image_dir: Location,
    *,
    split: EvaluatedSplit | None = None,
    percentages: SplitConfig | None = None,
    recursive: bool = False,
    reporter: Reporter | None = None,
) -> EvaluateResult:
    """Score the photos of a folder and compare the answers with the names of their class folders.

    If `image_dir` is the folder that the model was trained on, the exclusions and label corrections of the training
    apply to its photos.

    Args:
        image_dir: folder, archive or address with one folder of photos per class.
        split: "training", "validation" or "test", assigned as `train` assigns them, or "all"; by default "test" for
            the folder that the model was trained on, and "all" for any other folder.
        percentages: sizes of the splits; by default the sizes used in training, if they are known, else 10 and 10.
        recursive: include photos in subfolders of the class folders.

    Raises:
        DatasetError: no photo of the split can be read, or a class is not among the model's labels.
        ModelError, RuntimeMissingError: the model cannot be run.
    """
    reporter = reporter or Silent()
    if isinstance(scorer, Classifier) and (line := stale_line(scorer)):
        reporter.warn(line)
    folder = scan(image_dir, recursive=recursive)
    exclusions = exclusions_of_training(scorer.facts.get("training") or scorer.facts, folder.photos.names)
    needs_origin = bool(exclusions) or (split is None and not folder.set_folders and not percentages)
    trained_on = needs_origin and _was_trained_on(folder.photos, scorer.facts)
    if trained_on and exclusions:
        folder = exclusions.apply(folder)
        reporter.note(
            f"as at training, {counted(len(exclusions.leave_out), 'photo')} excluded and"
            f" {len(exclusions.belongs_to)} counted as another class"
        )
    if split is None:
        split = "test" if folder.set_folders or percentages or trained_on else "all"
    photos = _photos_of(split, folder.photos, percentages or _percentages_of(scorer.facts))
    if not photos:
        raise DatasetError(
            f"{image_dir}: no photo is in the {split} set. Choose another: `split`=all takes every photo."
        )
    with reporter.progress("scoring", len(photos)) as advance:
        predictions = score_photos(photos, scorer.clone, advance=advance)
    for problem in predictions.unreadable:
        reporter.warn(f"left out: {problem}")
    if not predictions.photos:
        raise DatasetError(f"{image_dir}: no photo of the {split} set can be read.")
    return EvaluateResult(
        split=split,
        excluded=len(folder.photos) - len(photos),
        labels=scorer.labels,
        evaluation=predictions.evaluation(scorer.labels),
        predictions=predictions,
    )


def compare_results(result: EvaluateResult, reference: EvaluateResult) -> Paired:
    """Compare the results of two models on the photos that both have scored.

    Raises:
        DatasetError: the results have no photo in common.
    """
    correct, expected = (
        dict(zip((photo.name for photo in one.predictions.photos), one.predictions.correct(one.labels), strict=True))
        for one in (result, reference)
    )
    common = sorted(correct.keys() & expected.keys())
    if not common:
        raise DatasetError("no photo was scored with both models: they divide the folder differently.")
    return compare_paired(np.array([correct[name] for name in common]), np.array([expected[name] for name in common]))


def _photos_of(split: EvaluatedSplit, photos: Sequence[Photo], percentages: SplitConfig) -> list[Photo]:
    if split == "all":
        return list(photos)
    splits = assign_splits(photos, percentages)
    return [photo for photo in photos if splits[photo.name] == split]


def _was_trained_on(photos: Sequence[Photo], facts: Mapping[str, Any]) -> bool:
    """Return whether the model was trained on some of the photos, according to its facts."""
    training = facts.get("training") or facts
    if "photos_sketch" not in training:
        return bool(training.get("classes"))  # version 0.1 recorded only the classes; foreign models have none
    return overlap(training["photos_sketch"], sketch_now(photos))


def _percentages_of(facts: Mapping[str, Any]) -> SplitConfig:
    """Return the split sizes used in a model's training; the default sizes if they are unknown."""
    known = facts.get("percentages")
    return SplitConfig(**known) if known else SplitConfig()
