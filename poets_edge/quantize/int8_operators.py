"""Append int8 operators to the graph of a `.tflite`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.nets.layers import Layer
from poets_edge.nets.network import Parameters
from poets_edge.quantize.write_int8 import INT8_VERSIONS, QuantParams, add_int8_parameters, weight_scales
from poets_edge.quantize.write_model import LEVELS, layer_operator
from poets_edge.tflite.flatbuffer import add_constant, add_tensor, new_operator, quant_params, schema

_VERSION = 2
"""Version of the operators that `Int8Writer.append` writes; it is the first one that accepts int8."""


class Int8Writer:
    """Writer that appends constants, and int8 operators with outputs of shape [1, size], to a `.tflite` model.

    Attributes:
        params: quantization of each tensor that was added or read, by tensor index.
    """

    def __init__(self, model: Any, prefix: str) -> None:
        """Create a writer that modifies a `ModelT` in place.

        Args:
            model: the `ModelT`.
            prefix: first part of the names of new tensors.
        """
        self._model, self._graph, self._prefix = model, model.subgraphs[0], prefix
        self.params: dict[int, QuantParams] = {}

    def read(self, tensor: int) -> int:
        """Look up the quantization of an existing int8 tensor, so that new operators can read it.

        Args:
            tensor: index of the tensor.

        Returns:
            `tensor`, so that the call can be used as an argument.
        """
        quantization = self._graph.tensors[tensor].quantization
        self.params[tensor] = QuantParams(np.float32(quantization.scale[0]), int(quantization.zeroPoint[0]))
        return tensor

    def tensor(self, name: str, size: int, params: QuantParams) -> int:
        """Add an int8 tensor of shape [1, size] for the output of an operator, and return its index."""
        found = add_tensor(
            self._graph,
            name.encode(),
            (1, size),
            schema().TensorType.INT8,
            quant_params(params.scale, params.zero_point),
        )
        self.params[found] = params
        return found

    def find(self, name: str) -> int:
        """Return the index of a tensor that this object has added, given its name without the prefix."""
        return [tensor.name for tensor in self._graph.tensors].index(f"{self._prefix}{name}".encode())

    def constant(self, name: str, value: float, params: QuantParams) -> int:
        """Add an int8 constant of shape [1, 1], and return the index of its tensor."""
        integer = np.array([[np.clip(np.rint(value / params.scale) + params.zero_point, -128, 127)]], np.int8)
        quantization = quant_params(params.scale, params.zero_point)
        return add_constant(self._model, f"{self._prefix}{name}".encode(), integer, quantization)

    def append(self, code: str, name: str, inputs: Sequence[int], size: int, params: QuantParams, **fields: Any) -> int:
        """Append an operator, and return the index of its output tensor.

        Args:
            code: name of the operator in the `.tflite` schema, such as "MUL".
            params: quantization of the output.
            fields: values of the operator's options.
        """
        found = self.tensor(f"{self._prefix}{name}", size, params)
        kind, options = getattr(schema().BuiltinOperator, code), _OPTIONS.get(code, "")
        self._graph.operators.append(new_operator(self._model, kind, _VERSION, inputs, [found], options, **fields))
        return found

    def maximum(self, name: str, source: int) -> int:
        """Append an operator that computes the maximum of a tensor; return the index of the result, [1, 1]."""
        axis = add_constant(self._model, f"{self._prefix}{name}/axis".encode(), np.array([1], np.int32))
        return self.append("REDUCE_MAX", name, [source, axis], 1, self.params[source], keepDims=True)

    def mean(self, name: str, source: int, size: int, params: QuantParams) -> int:
        """Append an operator that averages a tensor over height and width; return the index of the result, [1, size].

        Args:
            params: quantization of the result.
        """
        axes = add_constant(self._model, f"{self._prefix}{name}/axes".encode(), np.array([1, 2], np.int32))
        return self.append("MEAN", name, [source, axes], size, params)

    def dense(
        self,
        name: str,
        source: int,
        kernel: npt.NDArray[Any],
        bias: npt.ArrayLike,
        params: QuantParams,
        *,
        mean_input: npt.NDArray[np.float64] | None = None,
    ) -> int:
        """Append a fully connected layer, and return the index of its output tensor.

        Args:
            kernel: weights, [inputs, outputs].
            bias: [outputs].
            params: quantization of the output.
            mean_input: mean of the layer's input over calibration photos, [inputs]; the bias is then corrected so that
                rounding the weights does not change the mean of the output. None for no correction.
        """
        output = self.tensor(f"{self._prefix}{name}", kernel.shape[1], params)
        return self.dense_into(output, source, kernel, bias, mean_input=mean_input)

    def dense_into(
        self,
        output: int,
        source: int,
        kernel: npt.NDArray[Any],
        bias: npt.ArrayLike,
        *,
        mean_input: npt.NDArray[np.float64] | None = None,
    ) -> int:
        """Append a fully connected layer that writes to the tensor `output`, and return `output`; see `dense`."""
        layer = Layer(self._graph.tensors[output].name.decode(), "dense", ("",), kernel.shape[1])
        weights = Parameters(np.asarray(kernel, np.float32), np.asarray(bias, np.float32))
        if mean_input is not None:
            scales = weight_scales(layer, weights, self.params[source].scale)
            error = kernel - np.clip(np.rint(weights.kernel / scales), -LEVELS, LEVELS) * scales
            weights = replace(weights, bias=np.asarray(weights.bias + mean_input @ error, np.float32))
        inputs = [source, *add_int8_parameters(self._model, layer, weights, self.params[source])]
        self._graph.operators.append(layer_operator(self._model, layer, INT8_VERSIONS["dense"], inputs, output))
        return output


_OPTIONS = {
    "CONCATENATION": "ConcatenationOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MUL": "MulOptions",
    "REDUCE_MAX": "ReducerOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
}
