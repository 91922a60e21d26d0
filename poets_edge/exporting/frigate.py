"""Export of a model for the custom classification of Frigate, which finds it as `model.tflite` and `labelmap.txt`.

Frigate passes a crop of 224 x 224 RGB pixels to a uint8 input, divides the uint8 scores by their sum, and ignores a
best score below `threshold` in its configuration, 0.8 by default. A full-int8 file with uint8 ends is read in this way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poets_edge.errors import ModelError
from poets_edge.exporting.export import ExportOptions, prepare_export
from poets_edge.exporting.results import ExportedFile
from poets_edge.progress import Reporter, Silent
from poets_edge.tflite.labels import join_labels

SIZE = (224, 224)
"""Height and width of the images that Frigate passes to a model."""
THRESHOLD = 0.8
"""Default of `threshold` in Frigate's configuration."""
_MODEL, _LABELS = "model.tflite", "labelmap.txt"


@dataclass(frozen=True, kw_only=True)
class FrigateExport:
    """Model and labels as Frigate reads them.

    Attributes:
        model: the file `model.tflite`, with its evaluation on the test photos.
        labelmap: path of the labels file, one label per line in the order of the outputs.
        assigned: fraction of the test photos whose best score reaches `THRESHOLD`; None without test photos.
        assigned_correct: fraction of these that have the correct label; None if there are none.
    """

    model: ExportedFile
    labelmap: Path
    labels: tuple[str, ...]
    assigned: float | None
    assigned_correct: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the export as a JSON-compatible dictionary."""
        return {
            "labels": list(self.labels),
            "labelmap": str(self.labelmap),
            "files": [self.model.to_json()],
            "threshold": THRESHOLD,
            "assigned": self.assigned,
            "assigned_correct": self.assigned_correct,
        }


def export_for_frigate(options: ExportOptions, folder: Path, reporter: Reporter | None = None) -> FrigateExport:
    """Convert a graph to full-int8, evaluate it on the test photos, and write `model.tflite` and `labelmap.txt`.

    Args:
        options: options of the export; `quantizations`, `input_type` and `output_dir` are set by this function.
        folder: folder for the two files.

    Raises the exceptions of `export`, and ModelError if the graph does not take images of 224 x 224 pixels.
    """
    options = replace(options, quantizations=("full-int8",), input_type="uint8", output_dir=folder)
    prepared = prepare_export(options, reporter or Silent())
    if prepared.size != SIZE:
        raise ModelError(
            f"{options.graph}: takes {prepared.size[1]} x {prepared.size[0]} pixels, and Frigate passes"
            f" {SIZE[1]} x {SIZE[0]}. Train an architecture that ends in _224, such as mobilenet_0.50_224."
        )
    [file], [content], labels = prepared.result.files, prepared.contents, prepared.result.labels
    file = replace(file, path=folder / _MODEL)
    prepared.write({file.path: content, folder / _LABELS: join_labels(labels).encode()})
    assigned, correct = _assigned(file, labels)
    return FrigateExport(
        model=file, labelmap=folder / _LABELS, labels=labels, assigned=assigned, assigned_correct=correct
    )


def _assigned(file: ExportedFile, labels: tuple[str, ...]) -> tuple[float | None, float | None]:
    """Return the fraction of test photos with a score of `THRESHOLD` or more, and the fraction of these correct."""
    if file.scored is None:
        return None, None
    best = file.scored.scores.max(axis=1) / file.scored.scores.sum(axis=1)
    assigned = best.round(2) >= THRESHOLD
    correct = file.scored.correct(labels)[assigned]
    return float(assigned.mean()), float(correct.mean()) if correct.size else None
