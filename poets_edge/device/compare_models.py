"""Compare models on photos that none of them has learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from poets_edge.device.evaluate import EvaluatedSplit, EvaluateResult, evaluate
from poets_edge.device.paired import Paired, compare_paired
from poets_edge.device.scorer import Scorer
from poets_edge.errors import DatasetError
from poets_edge.photos.address import Location
from poets_edge.photos.split import SplitConfig
from poets_edge.progress import Reporter


def evaluate_together(
    scorers: Sequence[Scorer],
    image_dir: Location,
    *,
    split: EvaluatedSplit | None = None,
    percentages: SplitConfig | None = None,
    recursive: bool = False,
    group_by: str = "",
    strangers: Path | None = None,
    reporter: Reporter | None = None,
) -> list[EvaluateResult]:
    """Evaluate several models with `evaluate`, and restrict the results to the photos that all results contain.

    With the default split, these are photos that none of the models has learned from. The results are in the order of
    the scorers; this order does not affect which photos are evaluated.

    Raises:
        DatasetError: the results have no photo in common.
    """
    results = [
        evaluate(
            scorer,
            image_dir,
            split=split,
            percentages=percentages,
            recursive=recursive,
            group_by=group_by,
            strangers=strangers,
            reporter=reporter,
        )
        for scorer in scorers
    ]
    common = set.intersection(*({photo.name for photo in result.predictions.photos} for result in results))
    if not common:
        raise DatasetError(
            f"{image_dir}: no photo is left that none of the {len(results)} models has learned from. Give other photos,"
            " or evaluate the models one by one."
        )
    return [
        result
        if len(common) == len(result.learned)
        else result.take(np.flatnonzero([photo.name in common for photo in result.predictions.photos]))
        for result in results
    ]


def common_split(results: Sequence[EvaluateResult]) -> EvaluatedSplit:
    """Return the name of the split that the given results have in common.

    If the results have different splits, the name is "validation" if any model has learned from photos that it was
    evaluated on, and otherwise "unseen".
    """
    splits = {result.split for result in results}
    if len(splits) == 1:
        return splits.pop()
    return "validation" if any(result.learned.any() for result in results) else "unseen"


def compare_results(result: EvaluateResult, reference: EvaluateResult) -> Paired:
    """Compare the results of two models on the photos that both models have scored and neither has learned from.

    If there are no such photos, as in an evaluation on the training split, the models are compared on all photos that
    both have scored.

    Raises:
        DatasetError: the results have no photo in common.
    """
    both = [one.correct_by_name(unseen=True) for one in (result, reference)]
    if not both[0].keys() & both[1].keys():
        both = [one.correct_by_name(unseen=False) for one in (result, reference)]
    common = sorted(both[0].keys() & both[1].keys())
    if not common:
        raise DatasetError("no photo was scored with both models: they divide the folder differently.")
    correct, expected = (np.array([one[name] for name in common]) for one in both)
    group_of = result.group_by_name()
    return compare_paired(correct, expected, groups=np.array([group_of[name] for name in common]))
