"""`evaluate`: a model's accuracy on a folder of labelled photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poets_edge.device.classifier import Classifier, Scorer
from poets_edge.device.metrics import Evaluation
from poets_edge.device.paired import Paired, compare_paired
from poets_edge.device.predictions import Scored, score_photos
from poets_edge.device.staleness import stale_line
from poets_edge.errors import DatasetError
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.minhash import overlap, sketch_now
from poets_edge.photos.split import Percentages, SetName, split
from poets_edge.progress import Reporter, Silent

Chosen = SetName | Literal["all"]


@dataclass(frozen=True)
class EvaluateResult:
    """The result of `evaluate`.

    Attributes:
        chosen: the set that was scored.
        left_out: photos of the folder that are in other sets.
        scored: the raw scores.
    """

    chosen: Chosen
    left_out: int
    labels: tuple[str, ...]
    evaluation: Evaluation
    scored: Scored


def evaluate(
    scorer: Scorer,
    image_dir: Path,
    *,
    chosen: Chosen | None = None,
    percentages: Percentages | None = None,
    recursive: bool = False,
    reporter: Reporter | None = None,
) -> EvaluateResult:
    """Score the photos of a folder and compare with their folders' names.

    Args:
        chosen: the set to score, divided as `train` divides; "all" takes every photo, also those it learned from. By
            default the test set of the folder that the model was trained on, and all of any other folder.
        percentages: shares of the sets; by default those the model was trained with, else 10 and 10.

    Raises:
        DatasetError: no photo of the set can be read, or a class is not among the model's labels.
        ModelError, RuntimeMissingError: the model cannot be run.
    """
    reporter = reporter or Silent()
    if isinstance(scorer, Classifier) and (line := stale_line(scorer)):
        reporter.warn(line)
    folder = scan(image_dir, recursive=recursive)
    if chosen is None:
        chosen = "test" if folder.set_folders or percentages or _was_trained_on(folder.photos, scorer.facts) else "all"
    photos = _choose(folder.photos, chosen, percentages or _percentages_of(scorer.facts))
    if not photos:
        raise DatasetError(
            f"{image_dir}: no photo is in the {chosen} set. Choose another: `chosen`=all takes every photo."
        )
    with reporter.progress("scoring", len(photos)) as advance:
        scored = score_photos(photos, scorer.clone, advance=advance)
    for trouble in scored.unreadable:
        reporter.warn(f"left out: {trouble}")
    if not scored.photos:
        raise DatasetError(f"{image_dir}: no photo of the {chosen} set can be read.")
    left_out = len(folder.photos) - len(photos)
    return EvaluateResult(chosen, left_out, scorer.labels, scored.evaluation(scorer.labels), scored)


def compare_results(result: EvaluateResult, reference: EvaluateResult) -> Paired:
    """Two models by the photos that both have answered, which are test photos of both where sets were scored.

    Raises:
        DatasetError: they have no photo in common.
    """
    right, expected = (
        dict(zip((photo.name for photo in one.scored.photos), one.scored.right(one.labels), strict=True))
        for one in (result, reference)
    )
    common = sorted(right.keys() & expected.keys())
    if not common:
        raise DatasetError("no photo was scored with both models: they divide the folder differently.")
    return compare_paired(np.array([right[name] for name in common]), np.array([expected[name] for name in common]))


def _choose(photos: Sequence[Photo], chosen: Chosen, percentages: Percentages) -> list[Photo]:
    if chosen == "all":
        return list(photos)
    sets = split(photos, percentages)
    return [photo for photo in photos if sets[photo.name] == chosen]


def _was_trained_on(photos: Sequence[Photo], facts: Mapping[str, Any]) -> bool:
    """Return whether some of these photos were training or validation photos; True where the model does not say."""
    training = facts.get("training") or facts
    if "photos_sketch" not in training:
        return bool(training.get("classes"))  # trained by version 0.1; foreign models have not seen photos of ours
    return overlap(training["photos_sketch"], sketch_now(photos))


def _percentages_of(facts: Mapping[str, Any]) -> Percentages:
    """Return the split sizes that a model was trained with, so that its test photos are still test photos."""
    known = facts.get("percentages")
    return Percentages(**known) if known else Percentages()
