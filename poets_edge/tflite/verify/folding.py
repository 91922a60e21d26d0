"""Compute the integers that a model derives from tensor shapes.

If the batch size is not fixed, Keras flattens an image with SHAPE, STRIDED_SLICE, PACK and RESHAPE. The integers that
these operators return are known before an inference, because the shape of the input is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.tflite.verify.array_shapes import slice_positions
from poets_edge.tflite.verify.shapes import Call, axis_of

Integers = npt.NDArray[np.int64]

_MOST = 64
"""Maximum number of integers in a tensor that `fold` reads or returns."""


def fold(name: str, call: Call, values: Sequence[Integers | None], result: tuple[int, ...]) -> Integers | None:
    """Return the integers that an operator would output, without running the model.

    None is returned if they cannot be determined: a required input is unknown, the operator is not supported, a tensor
    has more than `_MOST` integers, or a result does not fit into 32 bits.

    Args:
        name: name of the operator.
        call: shapes of the operator's inputs, and its options.
        values: values of the inputs; None for an input whose values are unknown.
        result: shape of the output.
    """
    if name == "SHAPE":
        return np.array(call.shape(0), np.int64)
    if name not in _FOLDS or any(value is None or value.size > _MOST for value in values):
        return None
    with np.errstate(all="ignore"):
        found = _FOLDS[name](call, [value for value in values if value is not None])
    return found.reshape(result) if found.size <= _MOST and abs(found).max(initial=0) < 1 << 31 else None


def _strided_slice(call: Call, values: Sequence[Integers]) -> Integers:
    count = len(call.constant(1))
    index = tuple(slice_positions(call, place, length) for place, length in enumerate(values[0].shape[:count]))
    return values[0][np.ix_(*index)] if index else values[0]


def _floor_divide(call: Call, values: Sequence[Integers]) -> Integers:
    return np.where(values[1] == 0, 0, values[0] // np.where(values[1] == 0, 1, values[1]))


def _truncating_divide(call: Call, values: Sequence[Integers]) -> Integers:
    quotients = _floor_divide(call, [np.abs(values[0]), np.abs(values[1])])
    return quotients * np.sign(values[0]) * np.sign(values[1])


def _product(call: Call, values: Sequence[Integers]) -> Integers:
    axes = tuple(axis_of(int(axis), values[0].ndim) for axis in values[1].ravel())
    return np.asarray(np.prod(values[0], axis=axes), np.int64)


_FOLDS: Mapping[str, Callable[[Call, Sequence[Integers]], Any]] = {
    "STRIDED_SLICE": _strided_slice,
    "PACK": lambda call, values: np.stack(values, axis=call.options["axis"]),
    "CONCATENATION": lambda call, values: np.concatenate(values, axis=call.options["axis"]),
    "GATHER": lambda call, values: np.take(values[0], values[1], axis=call.options["axis"]),
    "CAST": lambda call, values: values[0],
    "RESHAPE": lambda call, values: values[0],
    "SQUEEZE": lambda call, values: values[0],
    "EXPAND_DIMS": lambda call, values: values[0],
    "ADD": lambda call, values: values[0] + values[1],
    "SUB": lambda call, values: values[0] - values[1],
    "MUL": lambda call, values: values[0] * values[1],
    "DIV": _truncating_divide,
    "FLOOR_DIV": _floor_divide,
    "MAXIMUM": lambda call, values: np.maximum(values[0], values[1]),
    "MINIMUM": lambda call, values: np.minimum(values[0], values[1]),
    "REDUCE_PROD": _product,
}
