"""Reader of the constant tensors in a `.tflite` model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.tflite.flatbuffer import schema


def constant_values(model: Any, tensor: Any) -> npt.NDArray[Any]:
    """Return the values of a constant int8, int32, float16 or float32 tensor, as an array of its shape."""
    types = schema().TensorType
    dtype = {types.INT8: "<i1", types.INT32: "<i4", types.FLOAT16: "<f2", types.FLOAT32: "<f4"}[tensor.type]
    return np.asarray(np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype).reshape(tensor.shape))
