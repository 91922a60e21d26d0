"""Validation of models for the Android app and the web page, which support fewer kinds of models than Python."""

from __future__ import annotations

from pathlib import Path

from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError
from poets_edge.tflite.verify.answers import other_answer

_TYPES = ("float32", "uint8", "int8")


def open_for_other_readers(model: Path, reader: str) -> Classifier:
    """Open a model whose input is one RGB image of fixed size and whose types the app and the web page support.

    Args:
        reader: name of the reader in error messages, for example "the app".

    Raises:
        ModelError: the model is missing, damaged or not supported by the reader.
    """
    classifier = Classifier(model, unlabelled=True)  # checks for one input (an RGB image) and one output
    if not classifier.labels:
        problem = other_answer([classifier.output.shape]) or (
            f"no labels inside, and {reader} needs them there. Models that poets-edge export writes have them."
        )
        raise ModelError(f"{model}: {problem}")
    # A dynamic dimension is -1 in the signature and 1 in the shape.
    (details,) = classifier.session.interpreter.get_input_details()
    signature = [int(size) for size in details["shape_signature"]]
    if -1 in signature:
        raise ModelError(f"{model}: its input has no fixed size ({signature}). Export it again, with a batch of 1.")
    for tensor in (classifier.input, classifier.output):
        if tensor.dtype.name not in _TYPES:
            raise ModelError(f"{model}: {tensor.name} is {tensor.dtype}; {reader} takes {', '.join(_TYPES)}.")
    for numbers in (classifier.metadata.mean, classifier.metadata.std):
        if len(numbers) not in (0, 1, 3):
            raise ModelError(f"{model}: its normalization has {len(numbers)} numbers; an RGB picture needs 1 or 3.")
    return classifier
