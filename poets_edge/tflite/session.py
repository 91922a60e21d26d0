"""Inference on numpy arrays with a model loaded into an interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.tflite.interpreter import open_model
from poets_edge.tflite.read_model import ModelSource, read_model

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TensorInfo:
    """Description of an input or output tensor of a model.

    Attributes:
        index: number by which the interpreter identifies the tensor.
        scale, zero_point: quantization, real = scale * (integer - zero_point); scale is 0 without quantization.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    def dequantize(self, values: Array) -> npt.NDArray[np.float32]:
        """Convert values of this tensor to real numbers, float32 with the same shape."""
        real = values.astype(np.float32)
        if self.scale:
            real = (real - np.float32(self.zero_point)) * np.float32(self.scale)
        return real


class Session:
    """A model loaded into an interpreter, for one thread at a time.

    Attributes:
        interpreter: interpreter object of the runtime package, for functions that `Session` does not offer.
        inputs, outputs: input and output tensors of the model; usually one each.
    """

    def __init__(
        self, model: ModelSource, threads: int = 1, *, accelerate: bool = True, delegate: str | None = None
    ) -> None:
        """Load a model.

        Args:
            threads: number of CPU threads for one inference.
            accelerate: whether to use XNNPACK.
            delegate: path or name of the shared library of a delegate.

        Raises:
            ModelError: the model is missing, damaged, or needs operators that the interpreter lacks.
            RuntimeMissingError: no interpreter is installed, or the delegate cannot be loaded.
        """
        self.interpreter = open_model(read_model(model), threads, accelerate=accelerate, delegate=delegate)
        self.inputs = tuple(map(_tensor_info, self.interpreter.get_input_details()))
        self.outputs = tuple(map(_tensor_info, self.interpreter.get_output_details()))

    def run(self, values: Array, output: int = 0) -> Array:
        """Run one inference and return a copy of one output.

        Args:
            values: array for the first input, with its shape and dtype.
            output: position of the requested output in the attribute `outputs`.
        """
        return self.run_some(values, [output])[0]

    def run_some(self, values: Array, outputs: Sequence[int]) -> list[Array]:
        """Run one inference and return copies of some outputs.

        Args:
            values: array for the first input, with its shape and dtype.
            outputs: positions of the requested outputs in the attribute `outputs`.
        """
        self._invoke(values)
        return [np.asarray(self.interpreter.get_tensor(self.outputs[index].index)) for index in outputs]

    def run_all(self, values: Array) -> list[Array]:
        """Run one inference and return all outputs without copying them.

        The arrays are views of the interpreter's memory. Delete them before the next inference, which otherwise fails.

        Args:
            values: array for the first input, with its shape and dtype.
        """
        self._invoke(values)
        return [self.interpreter.tensor(output.index)() for output in self.outputs]

    def _invoke(self, values: Array) -> None:
        self.interpreter.set_tensor(self.inputs[0].index, values)
        self.interpreter.invoke()


def _tensor_info(details: dict[str, Any]) -> TensorInfo:
    scale, zero_point = details["quantization"]
    return TensorInfo(
        index=int(details["index"]),
        name=str(details["name"]),
        shape=tuple(int(length) for length in details["shape"]),
        dtype=np.dtype(details["dtype"]),
        scale=float(scale),
        zero_point=int(zero_point),
    )
