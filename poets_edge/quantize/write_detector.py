"""Write the unknown-photo detector as operators of a `.tflite`.

These operators use float32 arithmetic, because the squares of small differences need more than 8 bits. Full-int8 files
use `write_int8_detector` instead. In quantized files, the projection, which has most of the detector's weights, is
stored in half precision.

In a small network, each additional operator takes noticeable time. The offsets of the projections are therefore not
added by an operator, but merged into the linear terms (see `_without_offsets`).

Int8 layers change the mean of a bottleneck, mostly because their rounded weights have errors of nonzero mean. In an
int8 file, the first operator of the detector adds the mean difference between the float and the int8 bottlenecks of
calibration photos. The rest of the file, and thus the scores, are not affected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.nets.detector import EPSILON, Detector
from poets_edge.tflite.distance import DISTANCE
from poets_edge.tflite.flatbuffer import add_constant, add_tensor, new_operator, quant_params, schema

_PREFIX = "detector/"

UINT8_SCALE = np.float32(2 / 127)
"""Scale of a distance that is rounded to uint8. The limit for known photos, 1.0, lies halfway between the integers 63
and 64, so that rounding never changes whether a photo is unknown."""


def add_detector(
    model: Any,
    bottleneck: int,
    detector: Detector,
    *,
    inner: int | None = None,
    half: bool,
    quantized: bool = False,
    shift: npt.NDArray[np.float32] | None = None,
) -> int:
    """Append the operators that compute the distance from the training photos; return the index of the output tensor.

    Args:
        model: a `ModelT`, changed in place.
        detector: weights of the unknown-photo detector.
        bottleneck: index of the float32 tensor with the bottleneck, [1, bottleneck_size].
        inner: index of the float32 tensor with the output of the inner layer that the detector reads, a layer in the
            middle of a fine-tuned backbone, [1, height, width, channels]; None if it reads only the bottleneck.
        half: whether to store the projections in half precision.
        quantized: whether to round the distance to uint8 with UINT8_SCALE, for models with uint8 scores.
        shift: values to add to the bottleneck, float32 [bottleneck_size]; None to add nothing.

    Returns:
        The index of the tensor DISTANCE, [1, 1].
    """
    write = _Writer(model)
    detector = _without_offsets(detector)
    size = len(detector.projection)
    if shift is not None:
        terms = [bottleneck, write.constant("shift", shift[None])]
        bottleneck = write.append("ADD", "shifted", terms, size, "AddOptions")
    scaled = write.project("", bottleneck, detector.projection, half)
    directions = len(detector.quadratic)
    if detector.inner is not None:
        assert inner is not None, "the detector has an inner layer"
        axes = write.constant("inner_axes", np.array([1, 2], np.int32))
        mean = write.append("MEAN", "inner_mean", [inner, axes], len(detector.inner.weights), "ReducerOptions")
        parts = [scaled, write.project("inner_", mean, detector.inner.weights, half)]
        scaled = write.append("CONCATENATION", "both", parts, directions, "ConcatenationOptions", axis=1)
    scaled_squares = write.append("MUL", "scaled_squares", [scaled, scaled], directions, "MulOptions")
    quadratic = write.constant("quadratic", detector.quadratic[None])
    curvature = write.dense("curvature", scaled_squares, quadratic, [0])
    linear = write.constant("linear", np.ascontiguousarray(detector.linear.T))
    classes = write.dense("classes", scaled, linear, detector.biases)
    axis = write.constant("axis", np.array([1], np.int32))
    nearest = write.append("REDUCE_MAX", "nearest", [classes, axis], 1, "ReducerOptions", keepDims=True)
    relu = schema().ActivationFunctionType.RELU
    name = DISTANCE if not quantized else f"{_PREFIX}distance"
    distance = write.append(
        "SUB",
        "from_classes" if detector.has_background else name,
        [curvature, nearest],
        1,
        "SubOptions",
        fusedActivationFunction=relu,
    )
    if detector.has_background:
        background = write.constant("background", detector.background[None])
        other = write.dense("to_background", scaled, background, detector.background_bias)
        distance = write.append("MAXIMUM", name, [distance, other], 1, "MaximumMinimumOptions")
    if not quantized:
        return distance
    params = quant_params(UINT8_SCALE)
    whole = add_tensor(model.subgraphs[0], DISTANCE.encode(), (1, 1), schema().TensorType.UINT8, params)
    write.operator("QUANTIZE", [distance], whole)
    return whole


def _without_offsets(detector: Detector) -> Detector:
    """Return an equivalent detector whose offsets are zero.

    With projections x, offsets o and y = x + o, the distance y**2 @ q - max(y @ L + b) equals
    x**2 @ q - max(x @ L' + b'), where L' = L - 2 * q * o and b' = b + o @ L - o**2 @ q.
    """
    names = ("offsets", "quadratic", "linear", "background")
    offsets, quadratic, linear, background = (getattr(detector, name).astype(np.float64) for name in names)
    changed = {
        "offsets": np.zeros_like(offsets),
        "linear": linear - 2 * (quadratic * offsets)[:, None],
        "biases": detector.biases.astype(np.float64) + offsets @ linear - offsets**2 @ quadratic,
        "background_bias": detector.background_bias.astype(np.float64) + offsets @ background,
    }
    return replace(detector, **{name: values.astype(np.float32) for name, values in changed.items()})


def remove_detector(model: Any) -> None:
    """Remove the operators, the output and the constants that `add_detector` has added to a model.

    Args:
        model: a `ModelT`, changed in place.
    """
    graph = model.subgraphs[0]
    names = [bytes(tensor.name).decode(errors="replace") for tensor in graph.tensors]
    own = {index for index, name in enumerate(names) if name.startswith(_PREFIX) or name == DISTANCE}
    graph.operators = [operator for operator in graph.operators if own.isdisjoint(operator.outputs)]
    graph.outputs = [index for index in graph.outputs if index not in own]
    for index in own:
        model.buffers[graph.tensors[index].buffer].data = None


class _Writer:
    """Writer that appends float32 operators and constants, with names that begin with _PREFIX, to a `.tflite`."""

    def __init__(self, model: Any) -> None:
        self._model, self._graph = model, model.subgraphs[0]

    def constant(self, name: str, values: npt.NDArray[Any]) -> int:
        return add_constant(self._model, f"{_PREFIX}{name}".encode(), values)

    def half(self, name: str, values: npt.NDArray[np.float32]) -> int:
        """Add a half-precision constant and its conversion to float32; return the index of the float32 tensor."""
        stored = self.constant(f"{name}16", values.astype(np.float16))
        wide = add_tensor(self._graph, f"{_PREFIX}{name}".encode(), values.shape, schema().TensorType.FLOAT32)
        self.operator("DEQUANTIZE", [stored], wide, version=3)  # version 3 accepts float16
        return wide

    def project(self, prefix: str, vector: int, projection: npt.NDArray[np.float32], half: bool) -> int:
        """Append the operators that project a vector and divide the result by the vector's length.

        Args:
            prefix: first part of the names of the new tensors.
            vector: index of the tensor with the vector, float32 [1, size].
            projection: float32 [size, directions].
            half: whether to store the projection in half precision.

        Returns:
            The index of the tensor with the result, float32 [1, directions].
        """
        size, directions = projection.shape
        squares = self.append("MUL", f"{prefix}squares", [vector, vector], size, "MulOptions")
        ones = self.constant(f"{prefix}ones", np.ones((1, size), np.float32))
        length = self.append("SQRT", f"{prefix}length", [self.dense(f"{prefix}sum", squares, ones, [EPSILON])], 1)
        transposed = np.ascontiguousarray(projection.T)
        store = self.half if half else self.constant
        weights = store(f"{prefix}projection", transposed)
        projected = self.dense(f"{prefix}projected", vector, weights, np.zeros(directions))
        return self.append("DIV", f"{prefix}scaled", [projected, length], directions, "DivOptions")

    def dense(self, name: str, source: int, weights: int, bias: npt.ArrayLike) -> int:
        """Append a fully connected layer, and return the index of its output tensor.

        Args:
            weights: index of the tensor with the weights, [outputs, inputs].
        """
        outputs = int(self._graph.tensors[weights].shape[0])
        added = self.constant(f"{name}/bias", np.asarray(bias, np.float32))
        return self.append("FULLY_CONNECTED", name, [source, weights, added], outputs, "FullyConnectedOptions")

    def append(self, code: str, name: str, inputs: Sequence[int], size: int, options: str = "", **fields: Any) -> int:
        """Append an operator whose output is float32 [1, size]; return the index of the output tensor."""
        name = name if name == DISTANCE or "/" in name else f"{_PREFIX}{name}"
        found = add_tensor(self._graph, name.encode(), (1, size), schema().TensorType.FLOAT32)
        self.operator(code, inputs, found, 1, options, **fields)
        return found

    def operator(
        self, code: str, inputs: Sequence[int], output: int, version: int = 1, options: str = "", **fields: Any
    ) -> None:
        """Append an operator whose output is an existing tensor."""
        kind = getattr(schema().BuiltinOperator, code)
        self._graph.operators.append(new_operator(self._model, kind, version, inputs, [output], options, **fields))
