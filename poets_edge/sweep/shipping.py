"""Copy the model that `grid --ship` chooses, with its labels, to a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poets_edge.exporting.generated_files import check_generated, remove_generated, write_generated
from poets_edge.sweep.points import GridPoint
from poets_edge.tflite.labels import join_labels

_LABELS = "labels.txt"


def check_shipping(folder: Path) -> None:
    """Raise OutputError if a folder has a labels file that `ship` did not write, or that was edited afterwards."""
    check_generated(folder, [_LABELS])


def ship(point: GridPoint, labels: Sequence[str], folder: Path) -> Path:
    """Copy the model of a grid point (an architecture at a quantization) and its labels into a folder.

    Returns:
        The path of the copied model, for example `mobilenet_0.50_160_int8.tflite` in the folder.

    Raises:
        OutputError: a file cannot be written, or would replace a file that this function has not written.
    """
    name = f"{point.architecture.name}_{point.quantization}.tflite"
    write_generated(folder, {name: point.model.read_bytes(), _LABELS: join_labels(labels).encode()})
    return folder / name


def remove_shipped(folder: Path) -> None:
    """Remove the model and labels that an earlier run copied, so that an old model is never used with new labels.

    Files that `ship` did not write, or that were changed after it wrote them, are not removed.

    Raises:
        OutputError: the list of copied files cannot be written.
    """
    remove_generated(folder, [".tflite", ".txt"])
