"""`audit`: what is wrong with a folder of photos, and what more photos would bring."""

from __future__ import annotations

import numpy as np

from poets_edge.audit.balance import class_balance, confusions
from poets_edge.audit.leaks import find_leak
from poets_edge.audit.learning_curve import learning_curve
from poets_edge.audit.near_duplicates import NearDuplicates, find_near_duplicates
from poets_edge.audit.options import AuditOptions
from poets_edge.audit.orientation import find_turned
from poets_edge.audit.outliers import find_oddities
from poets_edge.audit.photos import AuditPhotos, read_photos
from poets_edge.audit.report import write_report
from poets_edge.audit.results import AuditResult, Judgement
from poets_edge.audit.suspects import find_suspects
from poets_edge.audit.thresholds import calibrate
from poets_edge.errors import DatasetError
from poets_edge.photos.folds import NOT_JUDGED
from poets_edge.photos.table import HashedPhotos
from poets_edge.progress import Reporter, Silent
from poets_edge.train.cross_validation import divide, judge


def audit(options: AuditOptions, reporter: Reporter | None = None) -> AuditResult:
    """Look through a folder of photos; with `options.report`, write the page that shows what was found.

    Raises:
        DatasetError: the folder is missing, or fewer than two classes have photos that can be read.
        WeightsError, RuntimeMissingError, OutputError: as for `train`.
    """
    reporter = reporter or Silent()
    photos = read_photos(options, reporter)
    reporter.status(f"looking through {len(photos.photos)} photos")
    duplicates = find_near_duplicates(photos.directions, photos.thumbnails, photos.photos.marks, options.bottleneck_dir)
    remarks: list[str] = []
    turned = find_turned(photos, options, reporter) if options.orientation else []
    result = AuditResult(
        options,
        photos,
        duplicates,
        (*find_oddities(photos, min(options.architecture.size)), *turned),
        find_leak(photos, duplicates, options.percentages, options.head),
        _judge(options, photos, duplicates, remarks),
        tuple(remarks),
    )
    for remark in remarks:
        reporter.warn(remark)
    if options.report is not None:
        write_report(result, options.report)
    return result


def _judge(
    options: AuditOptions, photos: AuditPhotos, duplicates: NearDuplicates, remarks: list[str]
) -> Judgement | None:
    # Near-duplicates stay in one fold: a head must not have learned from the copy of what it judges.
    digests = photos.photos.digests.copy()
    for group in duplicates.groups:
        digests[list(group)] = digests[group[0]]
    marked = HashedPhotos(photos.photos.photos, digests)
    labels, head = photos.labels, options.head
    try:
        folds, divisions = divide(marked, photos.vectors, labels, head, options.folds)
    except DatasetError as error:
        remarks.append(str(error))
        return None
    remarks += folds.remarks()
    found = judge(marked, photos.vectors, labels, folds, divisions)
    fold = divisions[0].fold
    judged = np.flatnonzero(fold != NOT_JUDGED)
    repeats, truth = len(found.scores), photos.classes[judged]
    return Judgement(
        judged,
        found,
        find_suspects(photos.data, fold, len(labels)),
        tuple(class_balance(labels, found.confusion, photos.classes)),
        tuple(confusions(labels, found.scored.scores, truth, judged)),
        learning_curve(photos.data, fold, labels, found.right / repeats, head),
        calibrate(
            found.scores.reshape(-1, len(labels)),
            np.tile(truth, repeats),
            np.tile(fold[judged], repeats),
            options.target,
        ),
    )
