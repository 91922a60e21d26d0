"""Result of `train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poets_edge.device.metrics import Evaluation
from poets_edge.photos.split import SetName
from poets_edge.train.cross_validation import CrossValidation
from poets_edge.train.fine_tuning.fine_tune import FineTuned
from poets_edge.train.head import Step
from poets_edge.train.record import Duplicate
from poets_edge.train.temperature_scaling import HeadCalibration


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The result of `train`.

    Attributes:
        graph, labels_file, record, report: the files written; no report where none was wanted.
        test, validation: the finished head on those sets (all photos of the validation set).
        table: photos of each class in each set.
        misclassified: wrongly answered test photos as (name, answer, score), the surest first.
        unreadable: one line a photo that was left out.
        duplicates: identical photos in different sets or classes.
        cross_validation: every photo judged by a head that did not learn from it; None where that was not wanted or
            cannot be done.
        calibration: what makes the head's scores mean what they say; None where that was not wanted or cannot be done.
        digests: SHA-256 of each photo that took part, by name, hexadecimal.
        fine_tuned: what became of the last blocks; None where they were not to be trained.
    """

    graph: Path
    labels_file: Path
    record: Path
    labels: tuple[str, ...]
    table: dict[str, dict[SetName, int]]
    test: Evaluation
    validation: Evaluation
    steps: tuple[Step, ...]
    misclassified: tuple[tuple[str, str, float], ...]
    unreadable: tuple[str, ...]
    duplicates: tuple[Duplicate, ...]
    digests: Mapping[str, str]
    report: Path | None = None
    cross_validation: CrossValidation | None = None
    calibration: HeadCalibration | None = None
    fine_tuned: FineTuned | None = None
