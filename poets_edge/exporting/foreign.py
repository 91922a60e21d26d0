"""Keras models and SavedModels as sources of an export: labels, range of the input, and evidence for both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.device.classifier import read_labels
from poets_edge.errors import ModelError, PhotoError
from poets_edge.exporting.held_out import ExportPhotos, calibration_photos
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.photos.image import Pixels, fit, open_photo
from poets_edge.photos.table import Photo, PhotoTable, class_numbers
from poets_edge.progress import Reporter
from poets_edge.quantize.tensorflow_model import InputRange, TensorFlowModel, find_input_range, freeze, load_model

LABELS_FILE = "labels.txt"
"""Name of the labels file next to a model, as Teachable Machine writes it."""

_SHOWN_PHOTOS = 200
"""Number of photos by whose classes the range of the input is found."""


def frozen_model(
    path: Path, labels: Path | None, photos: ExportPhotos | None, input_range: InputRange | None, reporter: Reporter
) -> FrozenGraph:
    """Return a Keras model or SavedModel as a frozen graph with labels, which takes values from -1 to 1.

    Args:
        labels: labels file; by default `labels.txt` next to the model, or the classes of the photos in alphabetical
            order, which Keras assigns.
        photos: photos of known class.
        input_range: range of the model's input; by default found in the model, or by the accuracy on the photos.

    Raises:
        ModelError: the model cannot be read, or nothing tells its labels or the range of its input.
        RuntimeMissingError: TensorFlow is not installed.
    """
    model = load_model(path)
    names = _labels(model, labels, photos, reporter)
    pixels, classes = _shown(model, [*photos.training, *photos.test] if photos else [], names)
    if input_range is None:
        input_range, evidence = find_input_range(model, pixels, classes)
        reporter.note(f"input range {input_range}: {evidence}")
    return freeze(model, input_range, names, pixels)


def _labels(
    model: TensorFlowModel, given: Path | None, photos: ExportPhotos | None, reporter: Reporter
) -> tuple[str, ...]:
    beside = model.path.with_name(LABELS_FILE)
    file = given or (beside if beside.is_file() else None)
    if file is not None:
        names, source = read_labels(file), str(file)
    elif photos is not None:
        names, source = PhotoTable.of([*photos.training, *photos.test]).present, "the class folders"
        reporter.note(f"labels: the class folders in alphabetical order, as Keras assigns them: {', '.join(names)}")
    else:
        raise ModelError(f"{model.path}: no labels. Give a text file with one label a line: `labels`")
    if len(names) != model.outputs:
        raise ModelError(f"{source}: {len(names)} labels, but {model.path} has {model.outputs} outputs.")
    return names


def _shown(
    model: TensorFlowModel, photos: Sequence[Photo], labels: tuple[str, ...]
) -> tuple[list[Pixels], npt.NDArray[np.int64]]:
    """Return up to 200 photos at the model's size, balanced among the classes, with the indices of their classes."""
    pixels, shown = [], []
    for photo in calibration_photos(photos, _SHOWN_PHOTOS):
        try:
            pixels.append(fit(open_photo(photo), model.size))
        except PhotoError:  # reported when the files are evaluated
            continue
        shown.append(photo)
    return pixels, class_numbers(shown, labels)
