"""Convert Keras models and SavedModels to frozen graphs for export, and determine their labels and input range."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.device.model_labels import read_labels
from poets_edge.errors import ModelError, PhotoError
from poets_edge.exporting.held_out import ExportPhotos, calibration_photos
from poets_edge.exporting.options import ExportOptions
from poets_edge.nets.frozen import FrozenGraph
from poets_edge.photos.image import Pixels, fit
from poets_edge.photos.normalization import parse_input_range
from poets_edge.photos.open_photo import open_photo
from poets_edge.photos.table import Photo, PhotoTable, class_numbers
from poets_edge.progress import Reporter
from poets_edge.quantize.tensorflow_model import TensorFlowModel, find_input_range, freeze, load_model

LABELS_FILE = "labels.txt"
"""Name of the labels file that Teachable Machine writes next to a model."""

_SHOWN_PHOTOS = 200
"""Maximum number of photos on which the accuracies with different input ranges are compared."""


def frozen_model(options: ExportOptions, photos: ExportPhotos | None, reporter: Reporter) -> FrozenGraph:
    """Convert a Keras model or SavedModel to a frozen graph with labels, whose input values range from -1 to 1.

    The labels are read from the file `options.labels`, by default `labels.txt` next to the model. If neither exists,
    they are the classes of the photos in alphabetical order, as in Keras. By default, the input range is derived from
    the model, or from the accuracy on the photos.

    Args:
        options: options of the export; `graph` is the path of the model.
        photos: photos with known classes.

    Raises:
        ModelError: the model cannot be read, or its labels or input range cannot be determined.
        RuntimeMissingError: TensorFlow is not installed.
        UsageError: the input range is malformed.
    """
    normalization = None if options.input_range is None else parse_input_range(options.input_range)
    model = load_model(options.graph, options.input_size)
    names = _labels(model, options.labels, photos, reporter)
    pixels, classes = _shown(model, [*photos.training, *photos.test] if photos else [], names)
    if normalization is None:
        normalization, evidence = find_input_range(model, pixels, classes)
        reporter.note(f"input range {normalization.short}: {evidence}")
    return freeze(model, normalization, names, pixels)


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
        raise ModelError(f"{model.path}: no labels. Give a text file with one label per line: `labels`")
    if len(names) != model.outputs:
        raise ModelError(f"{source}: {len(names)} labels, but {model.path} has {model.outputs} outputs.")
    return names


def _shown(
    model: TensorFlowModel, photos: Sequence[Photo], labels: tuple[str, ...]
) -> tuple[list[Pixels], npt.NDArray[np.int64]]:
    """Return up to 200 photos, resized to the model's input and balanced among classes, and their class indices."""
    pixels, shown = [], []
    for photo in calibration_photos(photos, _SHOWN_PHOTOS):
        try:
            pixels.append(fit(open_photo(photo), model.size))
        except PhotoError:  # reported when the files are evaluated
            continue
        shown.append(photo)
    return pixels, class_numbers(shown, labels)
