"""Export a model for custom classification in Frigate, as `model.tflite` and `labelmap.txt`.

Frigate passes a crop of 224 x 224 RGB pixels to a uint8 input, divides the uint8 scores by their sum, and ignores the
best label if its score is below `threshold` in its configuration, 0.8 by default. The int8 files that poets_edge writes
have uint8 inputs and outputs. If the model detects unknown photos, they get the label `none`, which Frigate never
assigns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.device.predictions import score_models
from poets_edge.errors import ModelError
from poets_edge.exporting.annotate import remove_metadata
from poets_edge.exporting.export import prepare_export
from poets_edge.exporting.generated_files import check_generated, write_generated
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.results import ExportedFile
from poets_edge.progress import Reporter, Silent
from poets_edge.quantize.unknown_label import with_unknown_label
from poets_edge.tflite.flatbuffer import pack_model, unpack_model
from poets_edge.tflite.labels import join_labels
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata

SIZE = (224, 224)
"""Height and width, in pixels, of the images that Frigate passes to a model."""
THRESHOLD = 0.8
"""Default value of `threshold` in the configuration of Frigate."""
NONE = "none"
"""Label that Frigate never assigns to an object."""
_MODEL, _LABELS = "model.tflite", "labelmap.txt"


@dataclass(frozen=True, kw_only=True)
class FrigateExport:
    """Model and labels that were exported for Frigate.

    An unknown photo gets the label "none".

    Attributes:
        model: the file `model.tflite`, with its evaluation on the test photos, in which the label "none" counts as an
            error. The comparison with float32 was made before "none" was added to the labels.
        labelmap: path of the labels file, which has one label per line, in the order of the outputs.
        assigned: fraction of the test photos to which Frigate assigns a label, because the best score is at least 0.8
            (THRESHOLD) and its label is not "none"; None if there are no test photos.
        assigned_correct: fraction of the assigned labels that are correct; None if no label is assigned.
    """

    model: ExportedFile
    labelmap: Path
    labels: tuple[str, ...]
    assigned: float | None
    assigned_correct: float | None

    def to_json(self) -> dict[str, Any]:
        """Return a description of the exported files as a JSON-compatible dictionary."""
        return {
            "labels": list(self.labels),
            "labelmap": str(self.labelmap),
            "files": [self.model.to_json()],
            "threshold": THRESHOLD,
            "assigned": self.assigned,
            "assigned_correct": self.assigned_correct,
        }


def export_for_frigate(options: ExportOptions, folder: Path, reporter: Reporter | None = None) -> FrigateExport:
    """Convert a graph to int8, evaluate it on the test photos, and write `model.tflite` and `labelmap.txt`.

    Args:
        options: options of the export; `quantizations`, `float_io` and `output_dir` are set by this function.
        folder: folder for the two files.

    Raises:
        ModelError: the input of the graph is not 224 x 224 pixels.
        OutputError: the folder contains files with these names that this function has not written, such as a model that
            Frigate trained.
        PoetsEdgeError: other errors, as for `export`.
    """
    check_generated(folder, (_MODEL, _LABELS))
    options = replace(options, quantizations=("int8",), float_io=False, output_dir=folder)
    prepared = prepare_export(options, reporter or Silent())
    if prepared.size != SIZE:
        raise ModelError(
            f"{options.graph}: takes {prepared.size[1]} x {prepared.size[0]} pixels, and Frigate passes"
            f" {SIZE[1]} x {SIZE[0]}. Train an architecture that ends in _224, such as mobilenet_0.50_224."
        )
    [file], [content], labels = prepared.result.files, prepared.contents, prepared.result.labels
    file = replace(file, path=folder / _MODEL)
    if NONE not in labels:
        file, content, labels = _with_none(file, content, labels)
    write_generated(folder, {_MODEL: content, _LABELS: join_labels(labels).encode()})
    assigned, correct = _assigned(file, labels)
    return FrigateExport(
        model=file, labelmap=folder / _LABELS, labels=labels, assigned=assigned, assigned_correct=correct
    )


def _with_none(
    file: ExportedFile, content: bytes, labels: tuple[str, ...]
) -> tuple[ExportedFile, bytes, tuple[str, ...]]:
    """Replace a model's unknown-photo detector with an additional label "none", and evaluate the model again.

    Args:
        file: exported file with its evaluation.
        content: bytes of the file.
        labels: names of the classes, in the order of the model's outputs.

    Returns:
        The new file, content and labels; the arguments if the model has no detector.
    """
    metadata = read_metadata(ModelFile(file.path, content))
    if metadata.distance_output is None:
        return file, content, labels
    labels = (*labels, NONE)
    info = ModelInfo(metadata.name, metadata.description, labels)
    model = unpack_model(content)
    remove_metadata(model)
    body = with_metadata(with_unknown_label(pack_model(model)), info)
    scored = file.scored
    if scored is not None:
        signed = ModelFile(file.path, with_files(body, info, metadata.facts))
        scored = score_models(scored.photos, {"int8": signed})["int8"]
        file = replace(file, scored=scored, evaluation=scored.evaluation(labels))
    facts = {**metadata.facts, "test": file.evaluation.to_json() if file.evaluation else None}
    content = with_files(body, info, facts)
    return replace(file, size=len(content)), content, labels


def _assigned(file: ExportedFile, labels: tuple[str, ...]) -> tuple[float | None, float | None]:
    """Return the fraction of test photos that get a label, and the fraction of these labels that are correct.

    Both are None if there are no test photos; the second is None if no photo gets a label.
    """
    if file.scored is None:
        return None, None
    scores = file.scored.scores / file.scored.scores.sum(axis=1, keepdims=True)
    best = scores.argmax(axis=1)
    assigned = (scores.max(axis=1).round(2) >= THRESHOLD) & (np.array(labels)[best] != NONE)
    correct = file.scored.correct(labels)[assigned]
    return float(assigned.mean()), float(correct.mean()) if correct.size else None
