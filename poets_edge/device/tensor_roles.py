"""Find the input of a model, and its outputs for the scores and the distance from the training photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from poets_edge.errors import ModelError
from poets_edge.tflite.metadata import Metadata
from poets_edge.tflite.session import TensorInfo


def only_input(tensors: Sequence[TensorInfo], path: Path) -> TensorInfo:
    """Return the input tensor of a model. Raises ModelError if the model does not have exactly one input."""
    if len(tensors) != 1:
        raise ModelError(f"{path}: has {len(tensors)} inputs; an image classifier has one.")
    return tensors[0]


def score_output(tensors: Sequence[TensorInfo], metadata: Metadata, labels: Sequence[str], path: Path) -> int:
    """Return the index of the model's output that contains the scores.

    Raises:
        ModelError: the model has several outputs, and neither its metadata nor the number of labels determines which
            one contains the scores.
    """
    if metadata.score_output is not None and metadata.score_output < len(tensors):
        return metadata.score_output
    if len(tensors) == 1:
        return 0
    fitting = [number for number, tensor in enumerate(tensors) if math.prod(tensor.shape) == len(labels)]
    if len(fitting) == 1:
        return fitting[0]
    shapes = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in tensors[:4])
    raise ModelError(
        f"{path}: has {len(tensors)} outputs ({shapes}), and nothing tells which holds the scores: its metadata name no"
        " labels file, and not just one output has as many values as there are labels. Convert it with the scores"
        " as its only output."
    )


def distance_output(tensors: Sequence[TensorInfo], metadata: Metadata) -> int | None:
    """Return the index of the output with the distance from the training photos; None if there is no such output.

    The result is None for models from other programs, in which an output named "distance" may mean something else.
    """
    index = metadata.distance_output
    if not metadata.facts or index is None or index >= len(tensors) or math.prod(tensors[index].shape) != 1:
        return None
    return index
