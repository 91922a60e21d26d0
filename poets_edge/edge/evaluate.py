"""`evaluate`: a model's accuracy on a folder of labelled photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from poets_edge.edge.classifier import Classifier, Scorer
from poets_edge.edge.metrics import Evaluation
from poets_edge.edge.models import is_frozen_graph, open_scorer
from poets_edge.edge.scored import Scored, score_photos
from poets_edge.errors import DatasetError
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.split import Percentages, SetName, split
from poets_edge.progress import Reporter, Silent

Chosen = SetName | Literal["all"]


@dataclass(frozen=True)
class EvaluateResult:
    """What `evaluate` found: the figures, the raw scores, and the set they are about."""

    chosen: Chosen
    labels: tuple[str, ...]
    evaluation: Evaluation
    scored: Scored


def evaluate(
    model: Path,
    image_dir: Path,
    *,
    chosen: Chosen = "test",
    labels: Path | None = None,
    percentages: Percentages | None = None,
    recursive: bool = False,
    reporter: Reporter | None = None,
) -> EvaluateResult:
    """Score the photos of a folder and compare with their folders' names.

    Args:
        chosen: the set to score, divided as `train` divides; "all" takes every photo, also those it learned from.
        percentages: shares of the sets; by default those the model was trained with, else 10 and 10.

    Raises:
        DatasetError: no photo of the set can be read, or a class is not among the model's labels.
        ModelError, RuntimeMissingError: the model cannot be run.
    """
    reporter = reporter or Silent()
    scorer = open_scorer(model, labels)
    photos = _choose(scan(image_dir, recursive=recursive).photos, chosen, percentages or _percentages_of(scorer))
    if not photos:
        raise DatasetError(
            f"{image_dir}: no photo is in the {chosen} set. Choose another: `chosen`=all takes every photo."
        )
    # TensorFlow spreads one graph over the cores by itself; an interpreter serves one thread.
    shared = is_frozen_graph(model)
    with reporter.progress("scoring", len(photos)) as advance:
        scored = score_photos(
            photos,
            (lambda: scorer) if shared else (lambda: open_scorer(model, labels)),
            workers=1 if shared else None,
            advance=advance,
        )
    for trouble in scored.unreadable:
        reporter.warn(f"left out: {trouble}")
    if not scored.photos:
        raise DatasetError(f"{image_dir}: no photo of the {chosen} set can be read.")
    return EvaluateResult(chosen, scorer.labels, scored.evaluation(scorer.labels), scored)


def _choose(photos: tuple[Photo, ...], chosen: Chosen, percentages: Percentages) -> list[Photo]:
    if chosen == "all":
        return list(photos)
    sets = split(photos, percentages)
    return [photo for photo in photos if sets[photo.name] == chosen]


def _percentages_of(scorer: Scorer) -> Percentages:
    """The division the model was trained with, so that its test photos are still test photos."""
    known = scorer.metadata.facts.get("percentages") if isinstance(scorer, Classifier) else None
    return Percentages(**known) if known else Percentages()
