"""Normalization of a model's input, and how it is determined.

Only `decide_input_range` determines the normalization of a `.tflite` model. It never guesses: if the
normalization can be neither read nor inferred, it raises a ModelError that names the option to set.

| model | normalization |
|---|---|
| written by poets_edge | read from its metadata |
| with uint8 input, or with int8 input and a scale | the integers are the pixels (uint8) or the pixels minus 128 (int8); the metadata are ignored, as in MediaPipe, the Task Library and ML Kit |
| with standard metadata | read from its metadata |
| any other, if `input_range` is given | as given; for the models above, `input_range` must agree with the model |
| written by the codelab "TensorFlow for Poets" or by Ultralytics | as these programs define it |
| any other | inferred from its first layers; ModelError if that fails |
"""  # noqa: E501 - a table

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poets_edge.errors import ModelError, UsageError
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT, Normalization
from poets_edge.tflite.metadata import Metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import TensorInfo

_CODELAB_NAMES = ("input", "final_result")
_QUANTIZATION_STEPS = 2
"""Maximum difference, in quantization steps, between a range that the user specifies and that of a quantized input."""


@dataclass(frozen=True)
class InputRange:
    """Normalization of a model's input.

    Attributes:
        evidence: how the normalization was determined, a phrase for messages such as "its metadata" or "as given".
        inferred: whether the normalization was inferred rather than specified; users should then be informed.
    """

    normalization: Normalization
    evidence: str
    inferred: bool = False

    def __str__(self) -> str:
        return f"{self.normalization} ({self.evidence})"


def decide_input_range(
    file: ModelFile, metadata: Metadata, tensor: TensorInfo, given: Normalization | None = None
) -> InputRange:
    """Determine the normalization of a model's input.

    Args:
        tensor: the model's input tensor.
        given: normalization that the user has specified; None if the user has specified none.

    Raises:
        ModelError: the normalization is neither given nor specified by the model, and cannot be inferred from it.
        UsageError: the given normalization contradicts the model.
    """
    known = _known(metadata, tensor)
    if known is not None:
        if given is not None:
            _check(known, given, file, tensor)
        return known if metadata.facts or tensor.dtype.kind in "iu" else _compared(known, file)
    if given is not None:
        _check_limits(given, file, tensor)
        return _compared(InputRange(given, "as given"), file)
    found = _inferred(file, metadata)
    if found is None:
        ranges = "-128:127" if tensor.dtype == np.int8 else "-1:1, 0:1 or 0:255"
        raise ModelError(
            f"{file.path}: it does not specify its input range. Specify it: `input_range`={ranges}. To store it in the"
            " model: poets-edge annotate"
        )
    return found


def _known(metadata: Metadata, tensor: TensorInfo) -> InputRange | None:
    """Return the normalization specified by the model's metadata or its input tensor; None if neither specifies it."""
    stored = Normalization(metadata.mean, metadata.std) if metadata.mean else None
    if metadata.facts:
        return InputRange(stored or BACKBONE, "its metadata" if stored else "written by poets_edge")
    if tensor.dtype.kind in "iu" and not tensor.scale:
        if tensor.dtype == np.int8:
            return None
        return InputRange(RAW, f"its input is {tensor.dtype} without a scale: pixels unchanged")
    if tensor.dtype in (np.uint8, np.int8):
        lowest = np.iinfo(tensor.dtype).min
        whole = Normalization((float(tensor.zero_point - lowest),), (1 / tensor.scale,))
        return InputRange(
            whole,
            f"its input is {tensor.dtype} of scale {tensor.scale:.6g} and zero point {tensor.zero_point}: pixels"
            f" {'minus 128' if lowest else 'unchanged'}",
        )
    return InputRange(stored, "its metadata") if stored else None


def _compared(specified: InputRange, file: ModelFile) -> InputRange:
    """Compare a specified normalization with the model's first layers, and return it.

    If the layers contradict it, the normalization is still returned, but `evidence` mentions the contradiction, and
    `inferred` is set so that users are informed.
    """
    # Loaded only for foreign models: the import takes as long as an inference.
    from poets_edge.tflite.graph_evidence import Graph

    try:
        evidence = Graph(file).input_evidence()
    except ModelError:
        contradiction = "its first layers subtract the means of blue, green and red, in this order"
    else:
        if evidence is None or evidence.normalization.is_close(specified.normalization):
            return specified
        contradiction = f"{evidence.reason}, as for {evidence.normalization.short}"
    return InputRange(specified.normalization, f"{specified.evidence}, although {contradiction}", inferred=True)


def _inferred(file: ModelFile, metadata: Metadata) -> InputRange | None:
    if metadata.author == "Ultralytics":
        return InputRange(UNIT, "written by Ultralytics, whose networks take 0 to 1", inferred=True)
    # Loaded only for foreign models without metadata: the import takes as long as an inference.
    from poets_edge.tflite.graph_evidence import Graph

    graph = Graph(file)
    if evidence := graph.input_evidence():
        return InputRange(evidence.normalization, evidence.reason, inferred=True)
    if graph.names == _CODELAB_NAMES:
        return InputRange(BACKBONE, "its input and output have the names of the codelab", inferred=True)
    return None


def _check(known: InputRange, given: Normalization, file: ModelFile, tensor: TensorInfo) -> None:
    """Raise UsageError if a given normalization contradicts the normalization of the model."""
    if known.normalization.is_close(given):
        return
    if tensor.scale:
        step = max(abs(one - other) for one, other in _ends(known.normalization, given)) / tensor.scale
        if step <= _QUANTIZATION_STEPS:
            return
    raise UsageError(
        f"`input_range` {given.short}: {file.path} takes {known}. Leave it out, or replace it in the model: poets-edge"
        " annotate"
    )


def _check_limits(given: Normalization, file: ModelFile, tensor: TensorInfo) -> None:
    """Raise UsageError if an integer input cannot represent all values of the given input range."""
    if tensor.dtype.kind not in "iu":
        return
    scale, limits = tensor.scale or 1.0, np.iinfo(tensor.dtype)
    low, high = ((limit - tensor.zero_point) * scale for limit in (limits.min, limits.max))
    step = _QUANTIZATION_STEPS * scale
    if any(first < low - step or last > high + step for first, last in given.ranges):
        raise UsageError(
            f"`input_range` {given.short}: the input of {file.path} is {tensor.dtype}, with values from {low:.4g} to"
            f" {high:.4g} only."
        )


def _ends(one: Normalization, other: Normalization) -> list[tuple[float, float]]:
    """Return pairs of corresponding limits of two input ranges: for each channel, the lower, then the upper limits."""
    first, second = (3 // len(item.ranges) * item.ranges for item in (one, other))
    return [pair for a, b in zip(first, second, strict=True) for pair in zip(a, b, strict=True)]
