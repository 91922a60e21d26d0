"""Saved result for one architecture (exported models and their evaluations), so that a stopped run can be continued.

Users can edit the result file, so `read_result` validates all fields and the checksums of the models. An architecture
whose result is missing, damaged or computed from different inputs is trained again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.files import read_bytes, sha256_of, write_text
from poets_edge.core.json_checks import COUNT, SHA256, SHARE, Check, OneOf, Optional, check, parse_json
from poets_edge.device.predictions import Mistake
from poets_edge.errors import RecordError
from poets_edge.nets.architecture import Architecture
from poets_edge.progress import Reporter
from poets_edge.quantize.convert import Quantization

FILE = "result.json"
"""File name of the saved result in an architecture's folder."""
INT8_BACKBONE = "int8_features.tflite"
"""File name, in an architecture's folder, of the int8 model without its last layer."""
QUANTIZATIONS: tuple[Quantization, ...] = ("float32", "int8")
"""Quantizations with which each architecture in a grid is exported."""

_FILE_NAME = Check(str, "the name of a file", lambda name: name not in ("", ".", "..") and not set(name) & set("/\\\0"))
_EVALUATION = {
    "correct": [COUNT],
    "repeats": Check(int, "1 or more", lambda value: value > 0),
    "confusion": [[float]],
    "mistakes": [{"photo": str, "answer": str, "score": float}],
    "agreement": Optional(SHARE),
    "unknown": Optional(COUNT),
}
_EVALUATIONS = {
    "photos": [str],
    "groups": Optional([COUNT]),
    "folds": COUNT,
    "requested_folds": COUNT,
    "warnings": [str],
    "models": dict.fromkeys(QUANTIZATIONS, _EVALUATION),
}
_RESULT = {
    "key": str,
    "labels": [str],
    "models": [{"quantization": OneOf(QUANTIZATIONS), "file": _FILE_NAME, "size": COUNT, "sha256": SHA256}],
    "int8_backbone_sha256": SHA256,
    "warnings": [str],
    "assumption": Optional(str),
    "test": Optional(_EVALUATIONS),
    "cross_validation": Optional(_EVALUATIONS),
}


@dataclass(frozen=True)
class MistakeRecord:
    """A misclassified photo in a saved result.

    Attributes:
        photo: path relative to the photo folder.
        answer: predicted label.
        score: score of the predicted label, 0 to 1.
    """

    photo: str
    answer: str
    score: float


def record_mistakes(mistakes: Iterable[Mistake]) -> tuple[MistakeRecord, ...]:
    """Return `MistakeRecord` objects for misclassified photos; they contain photo names instead of file paths."""
    return tuple(MistakeRecord(mistake.photo.name, mistake.answer, mistake.score) for mistake in mistakes)


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Evaluation of one model on labeled photos.

    The attribute `photos` of `Evaluations`, which contains the evaluations of several models, lists the photos.

    Attributes:
        correct: number of correct predictions for each photo, 0 to `repeats`.
        repeats: number of predictions per photo; more than 1 after repeated cross-validation.
        confusion: number of photos by true class (row) and predicted class (column). The predictions are made from
            scores averaged over the repeats.
        mistakes: misclassified photos, most confident first.
        agreement: fraction of predictions equal to those of the float32 model; None if not known.
        unknown: number of photos that the model's detector classifies as unknown; None after cross-validation, or if
            the model has no detector.
    """

    correct: tuple[int, ...]
    repeats: int
    confusion: tuple[tuple[float, ...], ...]
    mistakes: tuple[MistakeRecord, ...]
    agreement: float | None
    unknown: int | None = None

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> EvaluationResult:
        """Construct an evaluation from a validated JSON value that `dataclasses.asdict` created."""
        return EvaluationResult(
            correct=tuple(value["correct"]),
            repeats=value["repeats"],
            confusion=tuple(map(tuple, value["confusion"])),
            mistakes=tuple(MistakeRecord(**mistake) for mistake in value["mistakes"]),
            agreement=value["agreement"],
            unknown=value["unknown"],
        )


@dataclass(frozen=True, kw_only=True)
class Evaluations:
    """Evaluations of all models of one architecture on the same photos.

    Attributes:
        photos: paths of the evaluated photos relative to the photo folder.
        groups: group number of each photo; None if each photo forms its own group.
        folds: number of cross-validation folds; 0 if the photos are the test set.
        requested_folds: number of folds specified in the options; `folds` is smaller if a class has too few photos.
        warnings: warnings from cross-validation, one sentence each.
        models: evaluation of the model at each quantization.
    """

    photos: tuple[str, ...]
    groups: tuple[int, ...] | None = None
    folds: int = 0
    requested_folds: int = 0
    warnings: tuple[str, ...] = ()
    models: Mapping[Quantization, EvaluationResult]

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Evaluations:
        """Construct the evaluations from a validated JSON value that `dataclasses.asdict` created."""
        return Evaluations(
            photos=tuple(value["photos"]),
            groups=tuple(value["groups"]) if value["groups"] is not None else None,
            folds=value["folds"],
            requested_folds=value["requested_folds"],
            warnings=tuple(value["warnings"]),
            models={name: EvaluationResult.from_json(value["models"][name]) for name in QUANTIZATIONS},
        )


@dataclass(frozen=True, kw_only=True)
class GridModel:
    """Exported model of an architecture at one quantization.

    Attributes:
        path: `.tflite` file.
        size: file size, bytes.
        sha256: SHA-256 of the file, hexadecimal.
    """

    architecture: Architecture
    quantization: Quantization
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ArchitectureResult:
    """Exported models of one architecture, with their evaluations.

    Attributes:
        key: SHA-256 of all inputs to training and export, hexadecimal.
        labels: class names, sorted.
        models: the float32 model and the int8 model.
        int8_backbone_sha256: SHA-256 of the int8 model without its last layer, hexadecimal.
        warnings: warnings from training and export, one sentence each.
        assumption: sentence that says that the confidence intervals assume independent photos; None if the assumption
            was checked or does not matter (see `poets_edge.training.results.TrainResult`).
        test: evaluations on the test set; None if no test photo can be read.
        cross_validation: evaluations on all photos; None before cross-validation.
    """

    key: str
    labels: tuple[str, ...]
    models: tuple[GridModel, ...]
    int8_backbone_sha256: str
    warnings: tuple[str, ...]
    test: Evaluations | None
    assumption: str | None = None
    cross_validation: Evaluations | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON-compatible dictionary."""
        return {
            "key": self.key,
            "labels": list(self.labels),
            "models": [
                {
                    "quantization": model.quantization,
                    "file": model.path.name,
                    "size": model.size,
                    "sha256": model.sha256,
                }
                for model in self.models
            ],
            "int8_backbone_sha256": self.int8_backbone_sha256,
            "warnings": list(self.warnings),
            "assumption": self.assumption,
            "test": asdict(self.test) if self.test else None,
            "cross_validation": asdict(self.cross_validation) if self.cross_validation else None,
        }

    @staticmethod
    def from_json(value: Any, architecture: Architecture, folder: Path) -> ArchitectureResult:
        """Validate JSON values and convert them to a result.

        Args:
            folder: folder that contains the models.

        Raises:
            RecordError: a field is missing or has the wrong type; the message names the field.
        """
        fields = check(value, _RESULT)
        return ArchitectureResult(
            key=fields["key"],
            labels=tuple(fields["labels"]),
            models=tuple(
                GridModel(
                    architecture=architecture,
                    quantization=model["quantization"],
                    path=folder / model["file"],
                    size=model["size"],
                    sha256=model["sha256"],
                )
                for model in fields["models"]
            ),
            int8_backbone_sha256=fields["int8_backbone_sha256"],
            warnings=tuple(fields["warnings"]),
            assumption=fields["assumption"],
            test=Evaluations.from_json(fields["test"]) if fields["test"] else None,
            cross_validation=Evaluations.from_json(fields["cross_validation"]) if fields["cross_validation"] else None,
        )

    def write(self, folder: Path) -> None:
        """Write the result to `result.json` in the architecture's folder. Raises OutputError if this fails."""
        write_text(folder / FILE, json.dumps(self.to_json(), ensure_ascii=True, allow_nan=False) + "\n")


def read_result(
    folder: Path, architecture: Architecture, key: str, reporter: Reporter | None = None
) -> ArchitectureResult | None:
    """Return the saved result of an architecture, or None if it must be trained again.

    Args:
        folder: the architecture's folder.
        key: required value of `ArchitectureResult.key`.
        reporter: receives a warning if the result file is damaged.

    Returns:
        The saved result; None if the result file is missing, damaged or has a different key, or if a model file was
        changed or removed.
    """
    path = folder / FILE
    try:
        value = parse_json(read_bytes(path))
        if check(value, {"key": str})["key"] != key:
            return None
        result = ArchitectureResult.from_json(value, architecture, folder)
        files = {model.path: model.sha256 for model in result.models}
        files[folder / INT8_BACKBONE] = result.int8_backbone_sha256
        return result if all(sha256_of(file) == digest for file, digest in files.items()) else None
    except OSError:
        return None
    except RecordError as error:
        if reporter:
            reporter.warn(f"{path}: {error}. This architecture is trained again.")
        return None
