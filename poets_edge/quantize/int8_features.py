"""Extract the features of an int8 model, which are the input of its last layer, and quantize that layer.

The command `grid` trains cross-validated last layers on these features, so that it can evaluate int8 on all photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError
from poets_edge.quantize.write_detector import remove_detector
from poets_edge.tflite.flatbuffer import operator_code, pack_model, schema, unpack_model

_LEVELS = 127


@dataclass(frozen=True)
class LogitQuantization:
    """Quantization of an int8 model's logits: real = scale * (integer - zero_point)."""

    scale: float
    zero_point: int

    @classmethod
    def covering(cls, logits: npt.NDArray[np.float32]) -> LogitQuantization:
        """Return the finest 8-bit quantization whose range contains 0 and the given logits, float32 of any shape.

        Calibration of an int8 model with these logits would choose the same one.
        """
        low, high = min(float(logits.min()), 0.0), max(float(logits.max()), 0.0)
        scale = max(high - low, 1e-6) / 255
        return cls(scale, round(-128 - low / scale))

    def round(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Round logits to the nearest values that this quantization can represent; return float32 of the same shape."""
        integers = np.clip(np.rint(logits / self.scale) + self.zero_point, -128, 127)
        return np.asarray((integers - self.zero_point) * self.scale, np.float32)


def int8_features(content: bytes) -> bytes:
    """Return a copy of an int8 model without its last fully connected layer and all later layers.

    Args:
        content: an int8 `.tflite` that `export` wrote.

    Returns:
        The bytes of a `.tflite` with the same input, whose output is the input of the removed layer, int8
        [1, bottleneck_size].

    Raises:
        ModelError: the model has no fully connected layer, or the input of the last one is not int8.
    """
    model = unpack_model(content)
    remove_detector(model)
    keep_features(model)
    return pack_model(model)


def keep_features(model: Any) -> None:
    """Remove the last fully connected layer of an int8 model and all later layers; see `int8_features`.

    Args:
        model: a `ModelT` without a detector, changed in place.
    """
    graph, codes = model.subgraphs[0], schema().BuiltinOperator
    kinds = [operator_code(model, operator) for operator in graph.operators]
    dense = [index for index, kind in enumerate(kinds) if kind == codes.FULLY_CONNECTED]
    if not dense or graph.tensors[graph.operators[dense[-1]].inputs[0]].type != schema().TensorType.INT8:
        raise ModelError("an int8 model without a fully connected layer at its end has no features to judge it by.")
    graph.outputs = [graph.operators[dense[-1]].inputs[0]]
    del graph.operators[dense[-1] :]
    model.signatureDefs = []


def keep_output(model: Any, layer: str) -> None:
    """Make the int8 output of a layer the only output of an int8 model.

    Args:
        model: a `ModelT` without a detector, changed in place.
        layer: name of the layer.
    """
    graph = model.subgraphs[0]
    graph.outputs = [[bytes(tensor.name) for tensor in graph.tensors].index(layer.encode())]
    model.signatureDefs = []


def round_weights(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the weights of a last layer, [inputs, classes], rounded to 8 bits with one scale per class, as float32."""
    scale = np.maximum(np.abs(weights).max(axis=0, keepdims=True), np.finfo(np.float32).tiny) / _LEVELS
    return np.asarray(np.rint(weights / scale) * scale, np.float32)
