"""Evidence in the graph of a `.tflite` model for the range of its input and the meaning of its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.errors import ModelError
from poets_edge.tflite.first_layers import (
    BlueFirstError,
    InferredNormalization,
    check_channel_order,
    evidence_of_arithmetic,
    evidence_of_quantization,
    evidence_of_weights,
)
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.verify.operators import operator_name
from poets_edge.tflite.verify.schema import MODEL
from poets_edge.tflite.verify.tables import parse

_PASSING = frozenset(
    (
        *("CAST", "QUANTIZE", "DEQUANTIZE", "TRANSPOSE", "RESHAPE", "PAD", "PADV2", "MIRROR_PAD", "RESIZE_BILINEAR"),
        *("RESIZE_NEAREST_NEIGHBOR", "SQUEEZE", "EXPAND_DIMS", "REVERSE_V2", "SLICE", "STRIDED_SLICE"),
    )
)
"""Names of operators whose output has the same range of values as their input, such as reshapes."""
_REVERSING = frozenset(("REVERSE_V2", "SLICE", "STRIDED_SLICE"))
"""Names of operators that may reverse the order of the channels."""
_JOINING = frozenset(("PACK", "CONCATENATION"))
_ARITHMETIC = frozenset(("MUL", "ADD", "SUB", "DIV"))
_WEIGHTED = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D"))
_ACTIVATIONS = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH"}
"""Names of activation functions that can be fused into another operator, by number in `ActivationFunctionType`."""
_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "<u1", 9: "<i1"}


@dataclass(frozen=True)
class OutputSource:
    """Operator that computes an output of a model. The output equals the operator's result * factor + offset."""

    operator: str
    factor: float = 1.0
    offset: float = 0.0


class Graph:
    """Operators, tensors and constants of a verified model."""

    def __init__(self, file: ModelFile) -> None:
        self._path = file.path
        model = parse(file.content, MODEL, "Model", b"TFL3")
        graph = model["subgraphs"][0]
        self._buffers: Sequence[Mapping[str, Any]] = model["buffers"]
        self._tensors: Sequence[Mapping[str, Any]] = graph["tensors"]
        self._names: list[str] = [operator_name(code) for code in model["operator_codes"]]
        self._operators: Sequence[Mapping[str, Any]] = graph["operators"]
        self.inputs, self.outputs = [int(i) for i in graph["inputs"]], [int(i) for i in graph["outputs"]]
        self.names = tuple(str(self._tensors[index]["name"]) for index in (self.inputs[0], self.outputs[0]))

    def input_evidence(self) -> InferredNormalization | None:
        """Infer the range of the first input from the layers that read it; return None if they do not determine it.

        Raises:
            ModelError: the first layers subtract the channel means of photos whose first channel is blue.
        """
        tensor, reordered = self.inputs[0], False
        scale: npt.NDArray[np.float64] = np.ones(1)
        offset: npt.NDArray[np.float64] = np.zeros(1)
        while (operator := self._only_reader(tensor) or self._concatenated(tensor)) is not None:
            name, inputs = self._name(operator), [int(i) for i in operator["inputs"]]
            if name in _ARITHMETIC:
                other = self._constant(inputs[1] if inputs[0] == tensor else inputs[0])
                if other is None or other.size not in (1, 3) or (inputs[0] != tensor and name in ("SUB", "DIV")):
                    break
                values = other.ravel()
                if name in ("MUL", "DIV"):
                    values = 1 / values if name == "DIV" else values
                    scale, offset = scale * values, offset * values
                else:
                    offset = offset - values if name == "SUB" else offset + values
            elif name not in _PASSING | _JOINING:
                break
            reordered = reordered or name in _REVERSING | _JOINING
            tensor = int(operator["outputs"][0])
        if not reordered:
            try:
                check_channel_order(scale, offset)
            except BlueFirstError as error:
                raise ModelError(f"{self._path}: {error}") from None
        found = evidence_of_arithmetic(scale, offset) or self._evidence_of_quantization()
        if found is not None:
            return found
        if operator is None or self._name(operator) not in _WEIGHTED or len(operator["inputs"]) < 3:
            return None
        weights, bias = (self._constant(int(index)) for index in operator["inputs"][1:3])
        if weights is None or bias is None or not (scale == 1).all() or offset.any():
            return None
        outputs_last = self._name(operator) == "DEPTHWISE_CONV_2D"
        return evidence_of_weights(np.moveaxis(weights, -1, 0) if outputs_last else weights, bias.ravel())

    def _evidence_of_quantization(self) -> InferredNormalization | None:
        """Infer the range of the first input from its 8-bit quantization; return None if this is not possible."""
        operator = self._only_reader(self.inputs[0])
        if operator is None or self._name(operator) != "QUANTIZE":
            return None
        tensor = self._tensors[int(operator["outputs"][0])]
        limits = {3: (0, 255), 9: (-128, 127)}.get(tensor["type"])
        quantization = tensor["quantization"]
        if limits is None or not quantization or len(quantization["scale"]) != 1:
            return None
        scale, zero = float(quantization["scale"][0]), int(sum(quantization["zero_point"]))
        return evidence_of_quantization((limits[0] - zero) * scale, (limits[1] - zero) * scale)

    def output_source(self, output: int) -> OutputSource:
        """Return the operator that computes an output, ignoring later conversions, reshapes and scalar arithmetic."""
        tensor = self.outputs[output]
        name, factor, offset = "", 1.0, 0.0
        for operator in reversed(self._operators):
            if tensor not in operator["outputs"]:
                continue
            name, inputs = self._name(operator), [int(i) for i in operator["inputs"]]
            if activation := _ACTIVATIONS.get((operator["options"] or {}).get("activation", 0)):
                name = activation
                break
            if name in _PASSING:
                tensor = inputs[0]
            elif name in _ARITHMETIC and (step := self._step(name, inputs)) is not None:
                tensor, scale, term = step
                factor, offset = factor * scale, offset + factor * term
            else:
                break
        return OutputSource(name, factor, offset)

    def output_size(self, output: int) -> int:
        """Return the number of values in an output."""
        return int(np.prod(self._tensors[self.outputs[output]]["shape"]))

    def _step(self, name: str, inputs: Sequence[int]) -> tuple[int, float, float] | None:
        """Return (tensor, scale, term) if an operator computes tensor * scale + term from one tensor, otherwise None.

        The other input of the operator must be a constant with a single value.

        Args:
            name: name of the operator: "ADD", "SUB", "MUL" or "DIV".
            inputs: indices of its two input tensors.
        """
        for tensor, other in (inputs, inputs[::-1]):
            values = self._constant(other)
            if values is None or not values.size or not (values == values.flat[0]).all():
                continue
            number, first = float(values.flat[0]), tensor == inputs[0]
            if name == "MUL":
                return tensor, number, 0.0
            if name == "DIV":
                return (tensor, 1 / number, 0.0) if first and number else None
            if name == "ADD":
                return tensor, 1.0, number
            return (tensor, 1.0, -number) if first else (tensor, -1.0, number)
        return None

    def _name(self, operator: Mapping[str, Any]) -> str:
        return self._names[int(operator["opcode_index"])]

    def _only_reader(self, tensor: int) -> Mapping[str, Any] | None:
        readers = [operator for operator in self._operators if tensor in operator["inputs"]]
        return readers[0] if len(readers) == 1 else None

    def _concatenated(self, tensor: int) -> Mapping[str, Any] | None:
        """Return the operator that concatenates slices of a tensor, as when channels are reordered, or None.

        Every operator that reads the tensor must be a slice or a reversal, and the result of each must be used only by
        the concatenation; otherwise, None is returned.
        """
        readers = [operator for operator in self._operators if tensor in operator["inputs"]]
        if not readers or any(self._name(operator) not in _REVERSING for operator in readers):
            return None
        following = [self._only_reader(int(operator["outputs"][0])) for operator in readers]
        first = following[0]
        alike = first is not None and self._name(first) in _JOINING and all(one is first for one in following)
        return first if alike else None

    def _constant(self, index: int) -> npt.NDArray[np.float64] | None:
        """Return the values of a constant tensor as real numbers; None for other tensors and unsupported types."""
        if index < 0:
            return None
        tensor = self._tensors[index]
        data = self._buffers[tensor["buffer"]]["data"]
        if not len(data):  # weights in float16 are converted when the model is loaded
            source = next((one for one in self._operators if index in one["outputs"]), None)
            return self._constant(int(source["inputs"][0])) if source and self._name(source) == "DEQUANTIZE" else None
        if tensor["type"] not in _DTYPES:
            return None
        values = np.frombuffer(memoryview(data), _DTYPES[tensor["type"]]).reshape(tensor["shape"]).astype(np.float64)
        quantization = tensor["quantization"]
        if quantization and len(quantization["scale"]):
            shape = [1] * values.ndim
            if len(quantization["scale"]) > 1:
                shape[quantization["quantized_dimension"]] = -1
            zeros = quantization["zero_point"] if len(quantization["zero_point"]) else np.zeros(1)
            values = (values - zeros.reshape(shape)) * quantization["scale"].astype(np.float64).reshape(shape)
        return np.asarray(values, np.float64)
