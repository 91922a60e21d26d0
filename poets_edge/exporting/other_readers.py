"""Open models for the Android app and the web page, which support fewer kinds of models than the Python package."""

from __future__ import annotations

from pathlib import Path

from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError
from poets_edge.exporting.annotate import annotated
from poets_edge.tflite.model_file import ModelFile

_TYPES = ("float32", "uint8", "int8")


def open_for_other_readers(
    model: Path, reader: str, *, labels: Path | None = None, input_range: str | None = None
) -> Classifier:
    """Open a model for the Android app or the web page, and check that its inputs and outputs are supported there.

    The input must be one RGB image of fixed size. The model in the returned classifier contains labels and
    normalization, since the app and the page read both from the model.

    Args:
        reader: name of the app or page in error messages, for example "the app".
        labels: labels file that replaces the labels of the model.
        input_range: input values for the pixel values 0 and 255, such as "-1:1"; for models that do not specify them.

    Raises:
        ModelError: the model is missing, damaged or not supported.
        UsageError: the input range contradicts the model.
    """
    given = Classifier(model, labels=labels, input_range=input_range)
    content, _ = annotated(given, antialias=given.metadata.antialias)
    unchanged = content == given.file.content
    classifier = given if unchanged else Classifier(ModelFile(given.path, content))
    # A dynamic dimension is -1 in the signature and 1 in the shape.
    (details,) = classifier.session.interpreter.get_input_details()
    signature = [int(size) for size in details["shape_signature"]]
    if -1 in signature:
        raise ModelError(f"{model}: its input has no fixed size ({signature}). Export it again, with a batch of 1.")
    if classifier.input.shape[3] != 3:
        shape = list(classifier.input.shape)
        raise ModelError(f"{model}: its input is {shape}; {reader} takes RGB pixels, [1, height, width, 3].")
    outputs = classifier.session.outputs
    if len(outputs) != 1 + classifier.has_detector:
        raise ModelError(f"{model}: has {len(outputs)} outputs; {reader} takes one, and the distance of a detector.")
    for tensor in (classifier.input, *outputs):
        if tensor.dtype.name not in _TYPES:
            raise ModelError(f"{model}: {tensor.name} is {tensor.dtype}; {reader} takes {', '.join(_TYPES)}.")
    return classifier
