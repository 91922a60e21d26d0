"""Cross-validation of a training run: whether it is possible, its result, and its warnings."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from poets_edge.errors import DatasetError
from poets_edge.progress import Reporter
from poets_edge.training.cross_validation import CrossValidation, cross_validate, sample_rows
from poets_edge.training.data import TrainingData
from poets_edge.training.fold_heads import MAX_EVALUATED
from poets_edge.training.messages import dependence
from poets_edge.training.options import TrainOptions


@dataclass(frozen=True)
class RunCrossValidation:
    """Cross-validation of a head, in which all photos of a group are in the same fold.

    Attributes:
        result: out-of-fold predictions.
        ungrouped_accuracy: accuracy of a second cross-validation that ignores groups, so that similar photos are in
            different folds; None if few photos are similar.
    """

    result: CrossValidation
    ungrouped_accuracy: float | None = None


def cross_validate_run(options: TrainOptions, data: TrainingData) -> RunCrossValidation | None:
    """Cross-validate the head; return None if this is not requested, or if the head learns from distorted photos.

    Raises:
        DatasetError: no class has two photos that are not copies or variants of each other.
    """
    if not options.folds or options.distortions.active:
        return None
    rows = sample_rows(data.cross_validated_rows, options.head.seed)
    photos, known, groups = data.sample(rows)
    numbers = groups.numbers if groups else None
    result = cross_validate(photos, known.vectors, data.labels, options.head, options.folds, numbers)
    if groups is None or not groups.are_dependent:
        return RunCrossValidation(result)
    ungrouped = cross_validate(photos, known.vectors, data.labels, options.head, options.folds)
    return RunCrossValidation(result, ungrouped.accuracy)


def report_cross_validation(
    running: Future[RunCrossValidation | None],
    options: TrainOptions,
    data: TrainingData,
    reporter: Reporter,
    *,
    backbone_has_learned: bool,
    test_count: int,
) -> CrossValidation | None:
    """Wait for `cross_validate_run`, report its warnings, and return its out-of-fold predictions.

    Args:
        running: the call of `cross_validate_run`, which runs in another thread.
        backbone_has_learned: whether fine-tuning has changed the backbone, to which the result then does not apply.
        test_count: number of test photos, for a message.

    Returns:
        None if cross-validation was not requested, was not possible, or does not apply to the trained model.
    """
    if not options.folds:
        return None
    if backbone_has_learned:
        reporter.note(
            "no cross-validation: the last blocks have learned from every training photo, so no fold can evaluate them."
            f" The accuracy is that of the test set, N = {test_count}."
        )
        return None
    if options.distortions.active:
        reporter.note("no cross-validation: it would need distorted copies of the test photos too.")
        return None
    try:
        done = running.result()
    except DatasetError as error:
        reporter.warn(f"no cross-validation: {error}")
        if line := dependence(data.groups, None, None):
            reporter.warn(line)
        return None
    if done is None:
        return None
    found = done.result
    if line := dependence(data.groups, found, done.ungrouped_accuracy):
        reporter.warn(line)
    if len(data.cross_validated_rows) > MAX_EVALUATED:
        reporter.note(f"cross-validation takes a random {found.count:,} of {len(data.cross_validated_rows):,} photos")
    for remark in found.folds.warnings():
        reporter.warn(remark)
    return found
