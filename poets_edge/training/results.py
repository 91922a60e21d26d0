"""Result of `train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.tabular import Tabular
from poets_edge.core.wording import percent
from poets_edge.device.metrics import Evaluation
from poets_edge.device.predictions import Mistake
from poets_edge.photos.split_names import SplitName
from poets_edge.training.cross_validation import CrossValidation
from poets_edge.training.fine_tuning.fine_tune import FineTuned
from poets_edge.training.head import Step
from poets_edge.training.look_alikes import PhotoGroups
from poets_edge.training.record import Duplicate
from poets_edge.training.temperature_scaling import HeadCalibration
from poets_edge.training.unknown import UnknownDetection


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainResult(Tabular):
    """Result of `train`.

    Attributes:
        graph, labels_file, record, report: paths of the written files; `report` is None if no report was requested.
        labels: class names, in the order of the model's outputs.
        table: number of photos, by class and then by split.
        test, validation: evaluation of the finished head on all photos of the test and the validation split.
        steps: results of the evaluations during training.
        misclassified: misclassified test photos, the most confident mistakes first.
        unreadable: error message for each photo that could not be read and was skipped.
        duplicates: groups of identical photos in different splits or classes.
        digests: SHA-256 (hexadecimal) of each photo that was used, by name.
        cross_validated: out-of-fold evaluation: each photo is scored by a head that did not learn from it. None if it
            was not requested or is not possible.
        calibration: temperature scaling of the head; None if it was not requested or is not possible.
        fine_tuned: result of fine-tuning; None if only the head was trained.
        dependence: warning that the photos are not independent of each other, which makes the accuracy on new photos
            uncertain; otherwise None.
        assumption: note that the accuracies assume independent photos; None if `dependence` is given, or if the user
            specified the groups or the test photos.
        has_own_test: whether the user chose the test photos by putting them into a separate folder; cross-validation
            then uses only the training and validation photos.
        groups: photos that stay together in splits and folds; None if each photo is a group.
        unrelated_test: evaluation on the photos in the user's own test set that share no group with training or
            validation photos; None if no test photo shares a group with them.
        unknown: the fitted unknown-photo detector; None if it was not requested or is not possible.
    """

    graph: Path
    labels_file: Path
    record: Path
    labels: tuple[str, ...]
    table: dict[str, dict[SplitName, int]]
    test: Evaluation
    validation: Evaluation
    steps: tuple[Step, ...]
    misclassified: tuple[Mistake, ...]
    unreadable: tuple[str, ...]
    duplicates: tuple[Duplicate, ...]
    digests: Mapping[str, str]
    report: Path | None = None
    cross_validated: CrossValidation | None = None
    dependence: str | None = None
    assumption: str | None = None
    calibration: HeadCalibration | None = None
    fine_tuned: FineTuned | None = None
    has_own_test: bool = False
    groups: PhotoGroups | None = None
    unrelated_test: Evaluation | None = None
    unknown: UnknownDetection | None = None

    def outcome(self) -> dict[str, Any]:
        """Return the results, without file paths, as JSON-compatible values, which are equal for identical runs."""
        return {
            "labels": list(self.labels),
            "classes": self.table,
            "fine_tuning": self.fine_tuned.to_json() if self.fine_tuned else None,
            "unreadable": list(self.unreadable),
            "duplicates": [duplicate.to_json() for duplicate in self.duplicates],
            "steps": [dict(vars(step)) for step in self.steps],  # asdict takes 17 times as long
            "validation": self.validation.to_json(),
            "test": self.test.to_json(),
            "cross_validation": self.cross_validated.to_json() if self.cross_validated else None,
            "own_test_set": self.has_own_test,
            "groups": self.groups.to_json() if self.groups else None,
            "calibration": self.calibration.to_json() if self.calibration else None,
            "unknown": self.unknown.to_json() if self.unknown else None,
            "misclassified": [mistake.to_json() for mistake in self.misclassified],
        }

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-compatible values, including the paths of the written files."""
        return {
            "graph": str(self.graph),
            "labels_file": str(self.labels_file),
            "record": str(self.record),
            "report": str(self.report) if self.report else None,
            **self.outcome(),
            "assumption": self.assumption,
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return a dictionary for each class with its photo counts and recalls, for `pandas.DataFrame(run.rows())`."""
        return [
            {
                "class": label,
                **{str(split): count for split, count in self.table[label].items()},
                "test_recall": self.test.recall(label),
                "validation_recall": self.validation.recall(label),
            }
            for label in self.labels
        ]

    def __repr__(self) -> str:
        photos = sum(sum(counts.values()) for counts in self.table.values())
        accuracy = f"test accuracy {percent(self.test.accuracy)}"
        if self.cross_validated and not self.has_own_test:
            accuracy += f", cross-validated {percent(self.cross_validated.accuracy)}"
        return f"<{type(self).__name__} {self.graph}: {len(self.labels)} classes, {photos} photos, {accuracy}>"
