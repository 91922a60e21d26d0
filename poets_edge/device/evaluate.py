"""Accuracy of models on a folder of labeled photos.

An accuracy is representative of new photos only if the model has not learned from the photos that it is measured on.
A model that `train` made contains digests of the photos in its training run (see `poets_edge.photos.known_photos`), so
these photos are recognized even if they were renamed or moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from poets_edge.core.tabular import Tabular
from poets_edge.core.wording import counted
from poets_edge.device.chance import chance_warning
from poets_edge.device.classifier import Classifier
from poets_edge.device.dependence import photo_groups
from poets_edge.device.metrics import Evaluation
from poets_edge.device.overlap import (
    TrainingOverlap,
    copies_warning,
    is_learned,
    photos_of_model,
    splits_of,
    was_trained_on,
)
from poets_edge.device.predictions import Predictions, score_chosen
from poets_edge.device.scorer import Scorer
from poets_edge.device.staleness import stale_line
from poets_edge.device.unknown import UnknownEvaluation, evaluate_unknown, score_strangers
from poets_edge.errors import DatasetError
from poets_edge.photos.address import Location
from poets_edge.photos.exclude import Exclusions, exclusions_of_training
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.groups import check_group_by
from poets_edge.photos.known_photos import UNCHECKED, KnownPhotos
from poets_edge.photos.split import SplitConfig
from poets_edge.photos.split import split as assign_splits
from poets_edge.photos.split_names import SPLIT_NAMES, SplitName
from poets_edge.photos.table import PhotoTable, Rows, SplitNumbers
from poets_edge.progress import Reporter, Silent

EvaluatedSplit: TypeAlias = SplitName | Literal["unseen", "all"]

_TRAINING, _VALIDATION, _TEST = (SPLIT_NAMES.index(name) for name in ("training", "validation", "test"))


@dataclass(frozen=True, kw_only=True)
class EvaluateResult(Tabular):
    """The accuracy of a model on a folder of labeled photos.

    Attributes:
        split: the split that was evaluated; "unseen" for photos that the model has not learned from.
        excluded: number of the folder's photos that were not evaluated.
        labels: the model's labels.
        evaluation: accuracy, recall and confusion matrix.
        predictions: scores of the model for each evaluated photo.
        learned: whether the model was trained or validated on each evaluated photo, bool [photos].
        overlap: how many photos in the folder the model was trained on, and how many it was validated on.
        strangers: predictions for the photos that belong to no class; None if there are none.
    """

    split: EvaluatedSplit
    excluded: int
    labels: tuple[str, ...]
    evaluation: Evaluation
    predictions: Predictions
    learned: npt.NDArray[np.bool_]
    overlap: TrainingOverlap
    strangers: Predictions | None = None

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per class, with its number of photos and recall, for `pandas.DataFrame(result.rows())`."""
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
        """95 % Wilson confidence interval for the accuracy, (low, high)."""
        return self.evaluation.interval

    @property
    def learned_count(self) -> int | None:
        """Number of evaluated photos that the model has learned from; None if the model does not store its photos."""
        return None if self.overlap.evidence == "unknown" else int(self.learned.sum())

    @property
    def unseen(self) -> Evaluation | None:
        """Evaluation on the photos that the model has not learned from.

        It is None if the model has learned from all evaluated photos, or from none of them.
        """
        return (
            self.take(np.flatnonzero(~self.learned)).evaluation if 0 < self.learned.sum() < len(self.learned) else None
        )

    @property
    def unknown(self) -> UnknownEvaluation | None:
        """Evaluation of the model's unknown-photo detector; None if the model has no such detector."""
        return evaluate_unknown(self.predictions, self.labels, self.strangers)

    def take(self, rows: Rows) -> EvaluateResult:
        """Return a result that contains only the evaluated photos with the given row indices."""
        predictions = self.predictions.take(rows)
        return replace(
            self,
            excluded=self.excluded + len(self.learned) - len(rows),
            evaluation=predictions.evaluation(self.labels),
            predictions=predictions,
            learned=self.learned[rows],
        )

    def correct_by_name(self, *, unseen: bool) -> dict[str, bool]:
        """Return a dict that maps the name of each photo to whether it was classified correctly.

        Args:
            unseen: whether to omit photos that the model has learned from.
        """
        correct = self.predictions.correct(self.labels).tolist()
        return {
            photo.name: right
            for photo, right, learned in zip(self.predictions.photos, correct, self.learned.tolist(), strict=True)
            if not (unseen and learned)
        }

    def group_by_name(self) -> dict[str, int]:
        """Return a dict that maps the name of each photo to its group number."""
        groups = np.arange(len(self.learned)) if self.predictions.groups is None else self.predictions.groups
        return {photo.name: group for photo, group in zip(self.predictions.photos, groups.tolist(), strict=True)}

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-compatible values, as printed by `evaluate --json`."""
        unseen = self.unseen
        return {
            "set": self.split,
            "left_out": self.excluded,
            "learned_from": self.overlap.to_json(),
            "labels": list(self.labels),
            **self.evaluation.to_json(),
            **({"unseen": unseen.to_json()} if unseen else {}),
            **({"unknown": self.unknown.to_json()} if self.unknown else {}),
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
    group_by: str = "",
    strangers: Path | None = None,
    reporter: Reporter | None = None,
) -> EvaluateResult:
    """Score the photos in a folder and compare the predicted labels with the names of the class folders.

    Photos that the model was trained or validated on are recognized by their contents and, unless `split` requests
    them, are not evaluated. If no photos remain, those that the model was validated on are evaluated.

    Photos that were excluded from training are not evaluated, and label corrections from training are applied.

    Args:
        image_dir: folder, archive or URL with one folder of photos per class.
        split: "training", "validation" or "test", according to subfolders, to `percentages` or to the photo digests
            in the model; "unseen", the photos that the model has not learned from; or "all". By default "test" if
            the folder has subfolders train/, val/ and test/ or `percentages` is given, and otherwise "unseen".
        percentages: percentages of test and validation photos; by default, those used in training, or 10 and 10 if
            these are unknown.
        recursive: whether to include photos in subfolders of the class folders.
        group_by: definition of groups of related photos, which widen the interval of the accuracy: "parent", a regular
            expression, or a .csv file, as for `train`; empty to find groups by contents, names and EXIF times.
        strangers: folder of photos that belong to no class; the result states how many of them the model classifies as
            unknown.

    Raises:
        DatasetError: no photo of the split can be read, the model has learned from all of them, or a class is not among
            the model's labels; or `strangers` is given, but the model has no detector, or no photo in that
            folder can be read.
        UsageError: `group_by` is invalid, or assigns no photo to a group.
        ModelError, RuntimeMissingError: the model cannot be run.
    """
    reporter = reporter or Silent()
    check_group_by(group_by)
    of_strangers = None if strangers is None else score_strangers(scorer, strangers, reporter)
    if isinstance(scorer, Classifier) and (line := stale_line(scorer)):
        reporter.warn(line)
    for remark in scorer.remarks:
        reporter.note(remark)
    folder, known = scan(image_dir, recursive=recursive), photos_of_model(scorer)
    for line in folder.warnings():
        reporter.warn(line)
    exclusions = exclusions_of_training(scorer.facts.get("training") or scorer.facts, folder.photos.names)
    by_name = known is None and was_trained_on(folder.photos, scorer.facts)
    if by_name and exclusions:
        folder = exclusions.apply(folder)
        reporter.note(_exclusions_line(exclusions))
    divided = bool(folder.set_folders or percentages or by_name)
    wanted: EvaluatedSplit = split or ("test" if divided else "unseen" if known else "all")
    photos, of_name = _candidates(folder.photos, wanted, percentages or _percentages_of(scorer.facts), known, divided)
    if not photos:
        raise DatasetError(
            f"{image_dir}: no photo is in the {wanted} set. Choose another: `split`=all takes every photo."
        )

    def choose(photo: Photo, digest: bytes) -> bool:
        if known is None or (split is not None and wanted != "unseen" and not of_name):
            return True
        number = known.split(digest)
        if of_name:
            return (SPLIT_NAMES[number] if number >= 0 else of_name[photo.name]) == wanted
        return number != _TRAINING

    with reporter.progress("scoring", len(photos)) as advance:
        found = score_chosen(photos, scorer.clone, choose, advance=advance)
    for problem in found.predictions.unreadable:
        reporter.warn(f"left out: {problem}")
    groups = photo_groups(PhotoTable.of(found.predictions.photos), found.digests, known, group_by)
    predictions = replace(found.predictions, groups=groups)
    splits, skipped = splits_of(found.digests, known), splits_of(found.skipped, known)
    if known and exclusions and (np.append(splits, skipped) >= 0).any():
        predictions, rows = _apply(exclusions, predictions)
        splits = splits[rows]
        reporter.note(_exclusions_line(exclusions))
    overlap = TrainingOverlap.of(np.append(splits, skipped), known, scorer.facts)
    if split is None or split == "unseen":
        rows, wanted = _unseen(splits, wanted, overlap)
    else:
        rows = np.arange(len(splits))
    if not len(rows):
        raise DatasetError(_nothing_left(image_dir, wanted, overlap))
    if line := overlap.warning:
        reporter.warn(line)
    evaluated = predictions.take(rows)
    new = evaluated.take(np.flatnonzero(splits[rows] < 0))
    if known is not None and (line := copies_warning(new.evaluation(scorer.labels), scorer.facts)):
        reporter.warn(line)
    evaluation = evaluated.evaluation(scorer.labels)
    if isinstance(scorer, Classifier) and not scorer.facts and (line := chance_warning(evaluation)):
        reporter.warn(line)
    return EvaluateResult(
        split=wanted,
        excluded=len(folder.photos) - len(rows) - len(predictions.unreadable),
        labels=scorer.labels,
        evaluation=evaluation,
        predictions=evaluated,
        learned=is_learned(splits[rows]),
        overlap=overlap,
        strangers=of_strangers,
    )


def _candidates(
    photos: PhotoTable, wanted: EvaluatedSplit, config: SplitConfig, known: KnownPhotos | None, divided: bool
) -> tuple[Sequence[Photo], Mapping[str, SplitName]]:
    """Return the photos that have to be hashed to find the split `wanted`, and a mapping from photo names to splits.

    The mapping applies to photos that are not recognized by their digests as photos of the training run. It is empty if
    `wanted` is "unseen" or "all", or if the names alone determine the split, so that exactly its photos are returned.

    Args:
        photos: all photos in the folder.
        wanted: requested split.
        config: percentages with which photos are assigned to splits.
        known: digests of the photos in the model's training run; None if the model does not contain them.
        divided: whether the folder has split folders or the user has specified the percentages.
    """
    if wanted not in SPLIT_NAMES:
        return photos, {}
    of_name = assign_splits(photos, config)
    if divided or known is None:
        return [photo for photo in photos if of_name[photo.name] == wanted], {}
    return photos, of_name


def _unseen(
    splits: SplitNumbers, wanted: EvaluatedSplit, overlap: TrainingOverlap
) -> tuple[npt.NDArray[np.int64], EvaluatedSplit]:
    """Return the row indices of the photos that the model has not learned from, and the name of their split.

    If the model has learned from all photos, the indices of the validation photos are returned.
    """
    unseen = ~is_learned(splits)
    if overlap:
        unseen &= splits != UNCHECKED
    if not unseen.any():
        return np.flatnonzero(splits == _VALIDATION), "validation"
    if wanted == "unseen":
        wanted = "test" if (splits[unseen] == _TEST).all() else "unseen" if overlap else "all"
    return np.flatnonzero(unseen), wanted


def _nothing_left(image_dir: Location, wanted: EvaluatedSplit, overlap: TrainingOverlap) -> str:
    if overlap:
        return (
            f"{image_dir}: the model was {overlap}, so none is left to evaluate it on. Give photos that it has not"
            " learned from; `split`=all evaluates it on these, which says little about new ones."
        )
    return f"{image_dir}: no photo of the {wanted} set can be read."


def _apply(exclusions: Exclusions, predictions: Predictions) -> tuple[Predictions, Rows]:
    """Return the predictions without excluded photos and with corrected labels, and their row indices in `predictions`.

    Args:
        exclusions: photos that were excluded from training, and label corrections.
        predictions: predictions for all evaluated photos.
    """
    rows = np.flatnonzero([photo.name not in exclusions.leave_out for photo in predictions.photos])
    kept = predictions.take(rows)
    of = exclusions.belongs_to
    return replace(kept, photos=tuple(replace(one, label=of.get(one.name, one.label)) for one in kept.photos)), rows


def _exclusions_line(exclusions: Exclusions) -> str:
    return (
        f"as at training, {counted(len(exclusions.leave_out), 'photo')} excluded and"
        f" {len(exclusions.belongs_to)} counted as another class"
    )


def _percentages_of(facts: Mapping[str, Any]) -> SplitConfig:
    """Return the split percentages that a model was trained with, or the defaults if they are unknown."""
    known = facts.get("percentages")
    return SplitConfig(**known) if known else SplitConfig()
