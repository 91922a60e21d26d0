"""Audit a dataset: find faulty photos and labels, and estimate the value of more photos."""

from __future__ import annotations

import numpy as np

from poets_edge.auditing.class_metrics import class_metrics, most_confused_classes
from poets_edge.auditing.leaks import find_leak
from poets_edge.auditing.learning_curve import learning_curve
from poets_edge.auditing.mislabeled import score_labels
from poets_edge.auditing.near_duplicates import NearDuplicates, find_near_duplicates
from poets_edge.auditing.options import AuditOptions
from poets_edge.auditing.orientation import find_rotated
from poets_edge.auditing.outliers import find_outliers, find_unknown
from poets_edge.auditing.photos import AuditPhotos, read_photos
from poets_edge.auditing.report import write_report
from poets_edge.auditing.results import AuditResult, LabelEvaluation
from poets_edge.auditing.thresholds import ScoreCalibration, threshold_effects
from poets_edge.device.temperature import expected_calibration_error
from poets_edge.errors import DatasetError
from poets_edge.photos.folds import NO_FOLD, assign_folds
from poets_edge.photos.split_names import SPLIT_NAMES
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter, Silent
from poets_edge.reports.page import check_page
from poets_edge.training.cross_validation import (
    CrossValidation,
    cross_validate,
    evaluate_folds,
    fit_folds,
    fit_to_training,
)
from poets_edge.training.data import TrainingData
from poets_edge.training.head import train_head
from poets_edge.training.messages import dependence, independence_assumption
from poets_edge.training.temperature_scaling import HeadCalibration, calibrate_head, predict_held_out


def audit(options: AuditOptions, reporter: Reporter | None = None) -> AuditResult:
    """Audit a photo folder, and write an HTML report if `options.report` is set.

    Raises:
        DatasetError: the folder is missing, or fewer than two classes have readable photos.
        WeightsError, RuntimeMissingError, OutputError: as for `train`.
    """
    reporter = reporter or Silent()
    if options.report is not None:
        check_page(options.report)
    photos = read_photos(options, reporter)
    reporter.status(f"looking through {len(photos.photos)} photos")
    duplicates = find_near_duplicates(
        photos.projections, photos.thumbnails, photos.photos.byte_digests, options.bottleneck_dir
    )
    warnings: list[str] = []
    rotated = find_rotated(photos, options, reporter) if options.orientation else []
    result = AuditResult(
        options=options,
        photos=photos,
        near_duplicates=duplicates,
        outliers=(
            *find_outliers(photos, min(options.architecture.size)),
            *rotated,
            *find_unknown(photos, options),
        ),
        leak=find_leak(photos, duplicates, options.head),
        evaluation=_evaluate_labels(options, photos, duplicates, warnings),
        warnings=tuple(warnings),
    )
    for warning in warnings:
        reporter.warn(warning)
    if result.evaluation and result.evaluation.assumption:
        reporter.note(result.evaluation.assumption)
    if options.report is not None:
        write_report(result, options.report)
    return result


def _evaluate_labels(
    options: AuditOptions, photos: AuditPhotos, duplicates: NearDuplicates, warnings: list[str]
) -> LabelEvaluation | None:
    """Evaluate the labels by comparing them with out-of-fold predictions.

    If the user provides a test set, it is evaluated with a head fitted to the training photos. Otherwise all photos are
    evaluated by cross-validation.

    Args:
        warnings: list to which warnings are appended.

    Returns:
        The evaluation, or None if no class has two photos that are not near-duplicates of each other.
    """
    # Near-duplicates get equal digests and therefore the same fold, so that no head is evaluated on copies of its
    # training photos.
    digests = photos.photos.digests.copy()
    for group in duplicates.groups:
        digests[list(group)] = digests[group[0]]
    grouped = HashedPhotos(photos.photos.photos, digests)
    labels, head, groups = photos.labels, options.head, photos.groups.numbers
    try:
        if photos.has_own_test:
            [assigned] = assign_folds(grouped, options.folds, groups=groups)
            folds, assignments = fit_to_training(grouped, photos.vectors, labels, photos.splits, head)
            learned = np.flatnonzero(photos.splits == SPLIT_NAMES.index("training"))
        else:
            folds, assignments = fit_folds(grouped, photos.vectors, labels, head, options.folds, groups)
            assigned, learned = folds, np.arange(len(photos))
    except DatasetError as error:
        warnings.append(str(error))
        return None
    validation = evaluate_folds(grouped, photos.vectors, labels, folds, assignments, groups)
    dependent = None if photos.has_own_test else _dependence(options, photos, validation)
    if dependent:
        warnings.append(dependent)
    warnings += assigned.warnings()
    fold = assignments[0].fold
    rows = np.flatnonzero(fold != NO_FOLD)
    truth = photos.classes[rows]
    return LabelEvaluation(
        cross_validation=validation,
        label_scores=score_labels(photos.data, assigned.assignment, len(labels)),
        classes=tuple(class_metrics(labels, validation.confusion, photos.classes)),
        confused_classes=tuple(most_confused_classes(labels, validation.scored.scores, truth, rows)),
        curve=learning_curve(
            photos.data, fold, labels, validation.right / len(validation.scores), head, rows=learned, groups=groups
        ),
        calibration=_score_calibration(options, photos, validation),
        assumption=independence_assumption(
            photos.groups, dependent, group_by=options.group_by, has_own_test=photos.has_own_test
        ),
    )


def _dependence(options: AuditOptions, photos: AuditPhotos, validation: CrossValidation) -> str | None:
    """Return a warning if the accuracy on new photos is uncertain because the photos are not independent, else None."""
    if not photos.groups.are_dependent:
        return None
    ungrouped = cross_validate(photos.photos, photos.vectors, photos.labels, options.head, options.folds)
    return dependence(photos.groups, validation, ungrouped.accuracy)


def _score_calibration(options: AuditOptions, photos: AuditPhotos, validation: CrossValidation) -> ScoreCalibration:
    """Return how well the scores of a calibrated head match its accuracy, and the effects of score thresholds.

    The head is trained and calibrated here as in `train`. It is evaluated on the test photos if the user chose them,
    otherwise on held-out predictions.

    Args:
        validation: result of the cross-validation; its uncalibrated scores are used if no photos are available for
            calibration.
    """
    grouped = None if photos.groups.are_trivial else photos.groups
    data = TrainingData(photos.photos, photos.vectors, photos.splits, photos.labels, grouped, options.bottleneck_dir)
    head = train_head(
        data.plain("training"), data.labeled(np.zeros(0, np.int64)), len(photos.labels), options.head, lambda *_: None
    )
    head, calibration = calibrate_head(head, data, predict_held_out(data, options.head))
    if calibration is None:
        scores, truth = validation.scored.scores, validation.truth
        error = expected_calibration_error(scores, truth)
        calibration = HeadCalibration(1.0, 1.0, error, error, scores, truth)
    if photos.has_own_test:
        test = data.plain("test")
        return threshold_effects(calibration, head.scores(test.vectors), test.classes, options.target)
    return threshold_effects(calibration, calibration.scores, calibration.truth, options.target)
