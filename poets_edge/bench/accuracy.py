"""Accuracy of the models in a benchmark, measured on the same photos for all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.credentials import without_user_info
from poets_edge.device.compare_models import common_split
from poets_edge.device.evaluate import EvaluatedSplit, EvaluateResult
from poets_edge.device.metrics import Evaluation
from poets_edge.device.overlap import TrainingOverlap, overlap_lines
from poets_edge.device.predictions import Predictions
from poets_edge.device.unknown import UnknownEvaluation, evaluate_unknown
from poets_edge.photos.address import Location, photo_path
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model


@dataclass(frozen=True, kw_only=True)
class ScoreCheck:
    """Comparison of a model's scores on another device with its scores on this machine.

    Attributes:
        photos: number of compared photos, that is, of photos that both machines could read.
        agreement: fraction of the compared photos, 0 to 1, for which both machines predict the same label.
        difference: maximum absolute difference between the scores from the two machines.
    """

    photos: int
    agreement: float
    difference: float


@dataclass(frozen=True, kw_only=True)
class ModelAccuracy:
    """Accuracy of one model in a benchmark.

    Attributes:
        evaluation: accuracy and related measures on the evaluated photos.
        agreement: fraction of the photos, 0 to 1, for which the model predicts the same label as the float32 model
            exported from the same trained graph; None if the benchmark does not include the float32 model.
        overlap: counts of the photos in the whole folder that the model was trained or validated on.
        learned: number of evaluated photos, which are some or all of those in the folder, that the model was trained
            or validated on; None if this is not known.
        overlap_lines: sentences that describe the overlap to the user.
        unknown: evaluation of the unknown-photo detector; None if the model has no detector.
        check: comparison of the scores on the device with those on this machine; None if this machine was measured.
    """

    evaluation: Evaluation
    agreement: float | None
    overlap: TrainingOverlap
    learned: int | None = None
    overlap_lines: tuple[str, ...] = ()
    unknown: UnknownEvaluation | None = None
    check: ScoreCheck | None = None

    def to_json(self) -> dict[str, Any]:
        checked = {"checked": asdict(self.check)} if self.check else {}
        learned = {"learned_from": self.overlap.to_json(), "learned": self.learned}
        unknown = {"unknown": self.unknown.to_json()} if self.unknown else {}
        return {**self.evaluation.to_json(), "agreement_with_float": self.agreement, **learned, **unknown, **checked}


@dataclass(frozen=True, kw_only=True)
class EvaluatedPhotos:
    """Photos on which a benchmark measured the accuracy of all models.

    Attributes:
        image_dir: folder, archive or web address with the photos.
        split: split that contains the photos; "unseen" for photos that no model is known to have been trained on.
        names: names of the photos, relative to `image_dir`.
    """

    image_dir: Location
    split: EvaluatedSplit
    names: tuple[str, ...]

    @staticmethod
    def of(image_dir: Location | None, results: Sequence[EvaluateResult]) -> EvaluatedPhotos | None:
        """Return the photos that were evaluated for `results`; None if `image_dir` is None or `results` is empty.

        All results must be of the same photos.
        """
        if image_dir is None or not results:
            return None
        return EvaluatedPhotos(
            image_dir=image_dir,
            split=common_split(results),
            names=tuple(photo.name for photo in results[0].predictions.photos),
        )

    def __str__(self) -> str:
        """Return a description of the photos, such as `the test set of flower_photos, N = 87`."""
        which = {
            "all": "all photos",
            "unseen": "photos that no model is known to have learned from",
        }.get(self.split, f"the {self.split} set")
        return f"{which} of {without_user_info(str(self.image_dir))}, N = {len(self.names)}"

    def to_json(self) -> dict[str, Any]:
        """Return the folder, the split and the names of the photos as JSON-compatible values."""
        return {
            "image_dir": without_user_info(str(self.image_dir)),
            "set": self.split,
            "photos": list(self.names),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> EvaluatedPhotos:
        """Create an `EvaluatedPhotos` from the JSON values that `to_json` returned; they are not validated here."""
        return EvaluatedPhotos(
            image_dir=photo_path(value["image_dir"]), split=value["set"], names=tuple(value["photos"])
        )


def accuracy_of(
    predictions: Mapping[Path, Predictions], evaluations: Mapping[Path, EvaluateResult]
) -> dict[Path, ModelAccuracy]:
    """Return the accuracy of each model on the measured device, keyed by model file.

    Args:
        predictions: predictions of each model, made on the measured device; the accuracy is computed from them.
        evaluations: result of evaluating each model on this machine, which provides the labels and the number of
            photos that the model has learned from.
    """
    found = {}
    for model, scores in predictions.items():
        twin = _float_twin(model, evaluations)
        agreement = scores.agreement(predictions[twin]) if twin else None
        result = evaluations[model]
        found[model] = ModelAccuracy(
            evaluation=scores.evaluation(result.labels),
            agreement=agreement,
            overlap=result.overlap,
            learned=result.learned_count,
            overlap_lines=overlap_lines(result.overlap, result.learned, result.unseen),
            unknown=evaluate_unknown(scores, result.labels),
        )
    return found


def _float_twin(model: Path, evaluations: Mapping[Path, EvaluateResult]) -> Path | None:
    """Return the float32 model exported from the same trained graph as `model`; None if `evaluations` lacks it."""
    facts = {path: read_metadata(read_model(path)).facts for path in evaluations}
    graphs = {path: (found.get("training") or {}).get("graph_sha256") for path, found in facts.items()}
    twins = (path for path, found in facts.items() if found.get("quantization") == "float32")
    return next((path for path in twins if graphs[path] and graphs[path] == graphs[model]), None)
