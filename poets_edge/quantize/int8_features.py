"""An int8 model -> the part of it up to its pooled features: what its last layer sees, as it sees it.

The grid judges int8 on as many photos as float32: heads that have not seen a photo answer it from these features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError
from poets_edge.tflite.flatbuffer import builtin, read_tree, schema, write_tree

_WEIGHT_STEPS = 127
"""Of an 8-bit weight to either side of zero."""


@dataclass(frozen=True)
class LogitSteps:
    """How an int8 model rounds its logits: step and zero point of the 8-bit integers."""

    scale: float
    zero_point: int

    @classmethod
    def spanning(cls, logits: npt.NDArray[np.float32]) -> LogitSteps:
        """The steps with which the converter spans the logits that it saw when calibrating."""
        low, high = min(float(logits.min()), 0.0), max(float(logits.max()), 0.0)
        scale = max(high - low, 1e-6) / 255
        return cls(scale, round(-128 - low / scale))

    def round(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The logits that the integers stand for, float32 of the same shape."""
        steps = np.clip(np.rint(logits / self.scale) + self.zero_point, -128, 127)
        return np.asarray((steps - self.zero_point) * self.scale, np.float32)


def int8_features(model: bytes) -> bytes:
    """Cut off the last layer.

    Args:
        model: a `.tflite` that `export` wrote as int8.

    Returns:
        A `.tflite` with the same input whose output is the last layer's input, int8 [1, bottleneck_size].

    Raises:
        ModelError: the model does not end in a fully connected layer of 8-bit integers.
    """
    tree = read_tree(model)
    graph, codes = tree.subgraphs[0], schema().BuiltinOperator
    last = [place for place, operator in enumerate(graph.operators) if builtin(tree, operator) == codes.FULLY_CONNECTED]
    if not last or graph.tensors[graph.operators[last[-1]].inputs[0]].type != schema().TensorType.INT8:
        raise ModelError("an int8 model without a fully connected layer at its end has no features to judge it by.")
    graph.outputs = [graph.operators[last[-1]].inputs[0]]
    del graph.operators[last[-1] :]
    tree.signatureDefs = []
    return write_tree(tree)


def round_weights(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A last layer's weights, float32 [inputs, classes], as the converter rounds them: 8 bits, a scale a class."""
    scale = np.maximum(np.abs(weights).max(axis=0, keepdims=True), np.finfo(np.float32).tiny) / _WEIGHT_STEPS
    return np.asarray(np.rint(weights / scale) * scale, np.float32)
