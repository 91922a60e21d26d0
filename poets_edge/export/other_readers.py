"""Models that readers outside Python can run: the Android app and the web page, which know one kind of classifier."""

from __future__ import annotations

from pathlib import Path

from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError

_TYPES = ("float32", "uint8", "int8")


def open_for_other_readers(model: Path, reader: str) -> Classifier:
    """Open a model that takes one RGB picture of fixed size, in types that the app and the page know.

    Args:
        reader: who is to run it, for error messages: "the app".

    Raises:
        ModelError: it is missing or damaged, or not such a model.
    """
    classifier = Classifier(model)  # one input, one output, one RGB picture, labels that fit
    # Dimensions that may change show as -1 in the signature, and as 1 in the shape.
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
