"""Retraining and exporting for `grid`, one architecture at a time, in a helper process.

Much of it uses one core, so `grid` keeps several of these processes busy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poets_edge.core.files import write_bytes
from poets_edge.export.export import ExportOptions, export_graph
from poets_edge.export.results import ExportedFile
from poets_edge.grid.checkpoints import Answer
from poets_edge.grid.validation import FEATURES
from poets_edge.nets.architectures import architecture
from poets_edge.nets.weights import find_weights
from poets_edge.photos.address import photo_path
from poets_edge.photos.image_cache import Pictures
from poets_edge.photos.split import Percentages
from poets_edge.progress import Silent
from poets_edge.quantize.convert import Quantization
from poets_edge.quantize.int8_features import int8_features
from poets_edge.train.backbone import prepare_backbone
from poets_edge.train.fine_tuning.options import FineTuning
from poets_edge.train.head import HeadOptions
from poets_edge.train.options import TrainOptions
from poets_edge.train.train import train

GRAPH = "retrained_graph.pb"
QUANTIZATIONS: tuple[Quantization, ...] = ("float32", "int8")
"""The quantizations that a grid exports of each architecture."""

_MOST_PIXELS = 100_000_000
"""Bytes of pixels that a process keeps: 260 photos at the four sizes."""


class _Warnings(Silent):
    """A reporter that keeps the warnings, for the parent to tell each of them once."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def warn(self, text: str) -> None:
        self.kept.append(text)


def pixel_cache() -> Pictures:
    """Return an empty cache for the photos that calibrate and evaluate the exported files."""
    return Pictures(_MOST_PIXELS)


def do(question: Answer, pictures: Pictures) -> Answer:
    """Build a backbone, or retrain and export one whose bottlenecks are cached: what `question["task"]` says.

    Args:
        pictures: of the photos that calibrate and judge the exported files, which are the same for each architecture.

    Raises:
        PoetsEdgeError: as `prepare_backbone`, `train` and `export` do.
    """
    if question["task"] == "backbone":
        wanted = architecture(question["architecture"])
        prepare_backbone(wanted, find_weights(wanted, Path(question["model_dir"])), Path(question["bottleneck_dir"]))
        return {}
    return _retrain(question, pictures)


def _retrain(question: Answer, pictures: Pictures) -> Answer:
    folder, warnings = Path(question["folder"]), _Warnings()
    options = TrainOptions(
        image_dir=photo_path(question["image_dir"]),
        architecture=architecture(question["architecture"]),
        output_graph=folder / GRAPH,
        output_labels=folder / "retrained_labels.txt",
        bottleneck_dir=Path(question["bottleneck_dir"]),
        model_dir=Path(question["model_dir"]),
        summaries_dir=folder / "training_summaries",
        percentages=Percentages(**question["percentages"]),
        head=HeadOptions(**question["head"]),
        recursive=question["recursive"],
        with_report=False,
        folds=0,  # `poets_edge.grid.validation_worker` does it, for int8 too
        runs_dir=None,
        fine_tuning=FineTuning(**question["fine_tuning"]),
    )
    trained = train(options, warnings)
    exported = export_graph(
        ExportOptions(
            graph=options.output_graph, quantizations=QUANTIZATIONS, calibration_count=question["calibration_count"]
        ),
        warnings,
        pictures=pictures,
    )
    [int8] = [file.path for file in exported.files if file.quantization == "int8"]
    write_bytes(folder / FEATURES, int8_features(int8.read_bytes()))
    return {
        "labels": list(trained.labels),
        "photos": dict(trained.digests),
        "files": [_file(file, trained.labels) for file in exported.files],
        "warnings": list(dict.fromkeys(warnings.kept)),
    }


def _file(file: ExportedFile, labels: tuple[str, ...]) -> dict[str, Any]:
    scored = file.scored
    return {
        "quantization": file.quantization,
        "file": file.path.name,
        "size": file.size,
        "test": None
        if scored is None
        else {
            "right": scored.right(labels).astype(int).tolist(),
            "judgments": 1,
            "confusion": scored.evaluation(labels).confusion.tolist(),
            "mistakes": [[one.photo.name, one.answer, one.score] for one in scored.misclassified(labels)],
            "agreement_with_float": file.agreement,
        },
    }
