"""`evaluate`: a model's accuracy on a folder of labelled photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poets_edge.edge.classifier import Classifier, Scorer
from poets_edge.edge.metrics import Evaluation
from poets_edge.edge.models import is_frozen_graph, open_scorer, stale_line
from poets_edge.edge.paired import Paired, compare_paired
from poets_edge.edge.scored import Scored, score_photos
from poets_edge.errors import DatasetError
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.sketch import overlap, sketch_now
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
    model: Path,
    image_dir: Path,
    *,
    chosen: Chosen | None = None,
    labels: Path | None = None,
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
    scorer = open_scorer(model, labels)
    if isinstance(scorer, Classifier) and (line := stale_line(scorer)):
        reporter.warn(line)
    folder = scan(image_dir, recursive=recursive)
    if chosen is None:
        chosen = "test" if folder.set_folders or percentages or _was_trained_on(folder.photos, scorer, model) else "all"
    photos = _choose(folder.photos, chosen, percentages or _percentages_of(scorer))
    if not photos:
        raise DatasetError(
            f"{image_dir}: no photo is in the {chosen} set. Choose another: `chosen`=all takes every photo."
        )
    # TensorFlow spreads one graph over the cores by itself; an interpreter serves one thread.
    shared = is_frozen_graph(model)
    with reporter.progress("scoring", len(photos)) as advance:
        scored = score_photos(
            photos,
            (lambda: scorer) if not isinstance(scorer, Classifier) else partial(Classifier, scorer.file, labels=labels),
            workers=1 if shared else None,
            advance=advance,
        )
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


def _was_trained_on(photos: Sequence[Photo], scorer: Scorer, model: Path) -> bool:
    """Whether some of these photos have taught, or tuned, the model; taken for granted where it does not say."""
    facts = scorer.metadata.facts if isinstance(scorer, Classifier) else _record_beside(model)
    training = facts.get("training") or facts
    if "photos_sketch" not in training:
        return bool(training.get("classes"))  # trained by version 0.1; models of others know no photos of ours
    return overlap(training["photos_sketch"], sketch_now(photos))


def _record_beside(graph: Path) -> dict[str, Any]:
    from poets_edge.graphs.beside import read_trained

    return read_trained(graph, labels_needed=False).record or {}


def _percentages_of(scorer: Scorer) -> Percentages:
    """The division the model was trained with, so that its test photos are still test photos."""
    known = scorer.metadata.facts.get("percentages") if isinstance(scorer, Classifier) else None
    return Percentages(**known) if known else Percentages()
