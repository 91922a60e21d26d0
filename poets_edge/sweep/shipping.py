"""Copy the model that `grid --ship` chooses, with its labels, to a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from poets_edge.core.files import read_bytes, write_together
from poets_edge.errors import ModelError
from poets_edge.sweep.points import GridPoint
from poets_edge.tflite.labels import join_labels
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model

_LABELS = "labels.txt"


def ship(point: GridPoint, labels: Sequence[str], folder: Path) -> Path:
    """Copy the model of a grid point (an architecture at a quantization) and its labels into a folder.

    Returns:
        The path of the copied model, for example `mobilenet_0.50_160_int8.tflite` in the folder.

    Raises:
        OutputError: a file cannot be written.
    """
    model = folder / _name(point.architecture.name, point.quantization)
    write_together({model: point.model.read_bytes(), folder / _LABELS: join_labels(labels).encode()})
    return model


def remove_shipped(folder: Path) -> None:
    """Remove the model and labels that an earlier run copied, so that an old model is never used with new labels.

    A model is removed if its file name consists of the architecture and quantization stated in its metadata. The labels
    file is removed if its labels are those in the removed model. Other files are kept.
    """
    for file in folder.glob("*.tflite"):
        with contextlib.suppress(OSError, ModelError):  # not a model that `ship` has copied
            metadata = read_metadata(read_model(file))
            training = metadata.facts.get("training")
            architecture = training.get("architecture") if isinstance(training, dict) else None
            if file.name == _name(architecture, metadata.facts.get("quantization")):
                labels = folder / _LABELS
                if labels.is_file() and read_bytes(labels) == join_labels(metadata.labels).encode():
                    labels.unlink()
                file.unlink()


def _name(architecture: object, quantization: object) -> str:
    return f"{architecture}_{quantization}.tflite"
