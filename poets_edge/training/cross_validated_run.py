"""Cross-validation of a training run: whether it is possible, its result, and its warnings."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace

from poets_edge.errors import DatasetError
from poets_edge.progress import Reporter
from poets_edge.training.cross_validation import CrossValidation, cross_validate, sample_rows
from poets_edge.training.data import TrainingData
from poets_edge.training.fold_heads import MAX_EVALUATED
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.messages import dependence
from poets_edge.training.options import TrainOptions


@dataclass(frozen=True)
class RunCrossValidation:
    """Cross-validation of the head of a training run, with all photos of a group in the same fold.

    Attributes:
        groups: groups of the photos; None if each photo is a group.
        result: out-of-fold predictions; None if cross-validation was not requested, was not possible, or does not apply
            to the trained model.
        ungrouped_accuracy: accuracy of a second cross-validation that ignores groups, so similar photos are in
            different folds; None if few photos are similar.
        has_own_test: whether the user chose the test photos.
    """

    groups: PhotoGroups | None
    result: CrossValidation | None = None
    ungrouped_accuracy: float | None = None
    has_own_test: bool = False

    @property
    def dependence(self) -> str | None:
        """Warning that the accuracy on new photos is uncertain, because photos depend on each other.

        It is None if no photos seem to depend on each other, or if holding out groups of them hardly changes the
        accuracy.
        """
        return dependence(self.groups, self.result, self.ungrouped_accuracy, has_own_test=self.has_own_test)


def cross_validate_run(options: TrainOptions, data: TrainingData) -> RunCrossValidation:
    """Cross-validate the head if this was requested and the head does not learn from distorted photos.

    Otherwise, `result` in the returned object is None.

    Raises:
        DatasetError: no class has two independent photos, that is, photos in different groups.
    """
    if not options.folds or options.distortions.active:
        return RunCrossValidation(data.groups)
    rows = sample_rows(data.cross_validated_rows, options.head.seed)
    photos, known, groups = data.sample(rows)
    numbers = groups.numbers if groups else None
    result = cross_validate(photos, known.vectors, data.labels, options.head, options.folds, numbers)
    if groups is None or not groups.are_dependent:
        return RunCrossValidation(groups, result)
    ungrouped = cross_validate(photos, known.vectors, data.labels, options.head, options.folds)
    return RunCrossValidation(groups, result, ungrouped.accuracy)


def finish_cross_validation(
    running: Future[RunCrossValidation],
    options: TrainOptions,
    data: TrainingData,
    reporter: Reporter,
    *,
    backbone_has_learned: bool,
    test_count: int,
) -> RunCrossValidation:
    """Wait for `cross_validate_run`, report its warnings, and return its result.

    Args:
        running: future of the call of `cross_validate_run` in another thread.
        backbone_has_learned: whether fine-tuning has changed the backbone; the result then does not apply to the model.
        test_count: number of test photos, for a message.
    """
    finished = RunCrossValidation(data.groups)
    if options.folds and backbone_has_learned:
        reporter.note(
            "no cross-validation: the last blocks have learned from every training photo, so no fold can evaluate them."
            f" The accuracy is that of the test set, N = {test_count}."
        )
    elif options.folds and options.distortions.active:
        reporter.note("no cross-validation: it would need distorted copies of the test photos too.")
    elif options.folds:
        try:
            finished = running.result()
        except DatasetError as error:
            reporter.warn(f"no cross-validation: {error}")
    finished = replace(finished, has_own_test=data.has_own_test)
    if line := finished.dependence:
        reporter.warn(line)
    if found := finished.result:
        if len(data.cross_validated_rows) > MAX_EVALUATED:
            reporter.note(
                f"cross-validation takes a random {found.count:,} of {len(data.cross_validated_rows):,} photos"
            )
        for remark in found.folds.warnings():
            reporter.warn(remark)
    return finished
