"""Rules for the graph in a `.tflite`: operators, types, shapes and sizes of image classifiers.

`check_graph` follows every index, type and shape of a model from input to output, as an interpreter does, and adds up
memory and multiplications. Its argument is a model that `tables.parse` returned and that has only allowed operators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from poets_edge.tflite.verify import shapes
from poets_edge.tflite.verify.catalog import RULES, Rule
from poets_edge.tflite.verify.folding import Integers, fold
from poets_edge.tflite.verify.operators import operator_number
from poets_edge.tflite.verify.schema import OPTIONS
from poets_edge.tflite.verify.shapes import Call, Shape
from poets_edge.tflite.verify.tables import FlawError, UnsupportedError
from poets_edge.tflite.verify.types import (
    DTYPES,
    FLOAT16,
    FLOAT32,
    INT32,
    INTEGERS,
    TYPE_NAMES,
    WEIGHT_TYPES,
    ZERO_POINTS,
    types_fit,
)

MAX_BYTES = 700 << 20
"""Maximum memory for constants, computed tensors and the interpreter's copies, in bytes. Inception V3 needs 350 MB."""
MAX_MULTIPLICATIONS = 20 * 10**9
"""Maximum number of multiplications in one inference. Inception V3 needs 5.7 billion."""
_MAX_LENGTH = 1 << 20
_MAX_RANK = 6
_SCALES = (1e-20, 1e20)
_ACTIVATIONS = (0, 1, 2, 3)
_UNSCALED = frozenset(
    (
        *("CAST", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "GATHER", "SPLIT"),
        *("SPLIT_V", "PACK", "UNPACK", "SHAPE", "REVERSE_V2"),
    )
)
"""Operators that accept 8-bit tensors without a scale."""


@dataclass(frozen=True)
class InferenceCost:
    """Cost of one inference: memory in bytes, and number of multiplications."""

    memory: int
    multiplications: int


def check_graph(model: Mapping[str, Any]) -> InferenceCost:
    """Check the graph of a model (the model must have exactly one), and return the cost of an inference.

    Raises:
        FlawError: an index, type, shape or size is invalid, or an inference would need too much memory or time.
        UnsupportedError: the graph has a feature that is not supported.
    """
    return _Graph(model).check()


class _Graph:
    def __init__(self, model: Mapping[str, Any]) -> None:
        graph = model["subgraphs"][0]
        self._buffers = model["buffers"]
        self._codes = [_rule(code) for code in model["operator_codes"]]
        self._tensors = graph["tensors"]
        self._inputs, self._outputs = [int(i) for i in graph["inputs"]], [int(i) for i in graph["outputs"]]
        self._operators = graph["operators"]
        self._shapes = [_shape(tensor) for tensor in self._tensors]
        self._constant = [self._is_constant(index) for index in range(len(self._tensors))]
        self._known: dict[int, Integers] = {}
        """Values of integer tensors that are computed from shapes, by tensor index."""
        self._ready = set(self._inputs)
        self._memory = self._multiplications = 0

    def check(self) -> InferenceCost:
        if not self._inputs or not self._outputs or not self._operators:
            raise FlawError("a graph without input, output or operators")
        for index in [*self._inputs, *self._outputs]:
            if not 0 <= index < len(self._tensors):
                raise FlawError(f"tensor {index} of {len(self._tensors)}")
        if len(self._ready) != len(self._inputs) or any(self._constant[index] for index in self._inputs):
            raise FlawError("an input that is constant, or there twice")
        for index in self._inputs:
            self._check_size(index)
        for index in range(len(self._tensors)):
            self._check_tensor(index)
        for operator in self._operators:
            self._check_operator(operator)
        if not self._ready.issuperset(self._outputs):
            raise FlawError("an output that is not computed")
        if self._memory > MAX_BYTES:
            raise FlawError(f"it would take {self._memory / 1e6:,.0f} MB of memory")
        if self._multiplications > MAX_MULTIPLICATIONS:
            raise FlawError(f"an inference would take {self._multiplications / 1e9:,.0f} billion multiplications")
        return InferenceCost(self._memory, self._multiplications)

    def _check_size(self, index: int) -> None:
        """Raise UnsupportedError if the size of an input tensor is not fixed."""
        signature = [int(length) for length in self._tensors[index]["shape_signature"]]
        if -1 in signature[1:]:
            raise UnsupportedError(
                f"an input without a fixed size ({signature}). Convert it with one, as with"
                " Input(shape=(224, 224, 3)) in Keras."
            )

    def _is_constant(self, index: int) -> bool:
        number = self._tensors[index]["buffer"]
        if number >= len(self._buffers):
            raise FlawError(f"buffer {number} of {len(self._buffers)}")
        return len(self._buffers[number]["data"]) > 0

    def _check_tensor(self, index: int) -> None:
        tensor, shape = self._tensors[index], self._shapes[index]
        if tensor["type"] not in DTYPES:
            name = TYPE_NAMES.get(tensor["type"], "not known")
            raise UnsupportedError(
                f"tensor {index} is of type {tensor['type']} ({name}). Convert it as float32 or int8."
            )
        if tensor["is_variable"] or tensor["sparsity"] is not None or tensor["variant_tensors"]:
            raise FlawError(f"tensor {index} is variable or sparse")
        size = math.prod(shape) * np.dtype(DTYPES[tensor["type"]]).itemsize
        self._memory += size
        if self._constant[index]:
            data = self._buffers[tensor["buffer"]]["data"]
            if len(data) != size:
                raise FlawError(f"tensor {index} has {len(data)} bytes, not {size}")
            # An interpreter keeps a copy in the layout it prefers, and a copy of float16 values as float32.
            self._memory += size * (3 if tensor["type"] == FLOAT16 else 1)
            if tensor["type"] in (FLOAT32, FLOAT16) and not np.isfinite(self._values(index)).all():
                raise FlawError(f"tensor {index} ({tensor['name'][:60]}) holds NaN or infinity")
        _check_quantization(index, tensor, shape)

    def _values(self, index: int) -> Any:
        tensor = self._tensors[index]
        data = memoryview(self._buffers[tensor["buffer"]]["data"])
        return np.frombuffer(data, DTYPES[tensor["type"]])

    def _check_operator(self, operator: Mapping[str, Any]) -> None:
        if operator["opcode_index"] >= len(self._codes):
            raise FlawError(f"operator code {operator['opcode_index']} of {len(self._codes)}")
        rule = self._codes[operator["opcode_index"]]
        try:
            self._check_use(rule, operator)
        except UnsupportedError as error:
            raise UnsupportedError(f"{rule.name}: {error}") from None
        except FlawError as error:
            raise FlawError(f"{rule.name}: {error}") from None

    def _check_use(self, rule: Rule, operator: Mapping[str, Any]) -> None:
        inputs, outputs = [int(i) for i in operator["inputs"]], [int(i) for i in operator["outputs"]]
        others = ("custom_options", "mutating_variable_inputs", "intermediates")
        if any(len(operator[name]) for name in others) or operator["large_custom_options_size"]:
            raise FlawError("options of its own")
        if not rule.inputs[0] <= len(inputs) <= rule.inputs[1] or not outputs:
            raise FlawError(f"{len(inputs)} inputs and {len(outputs)} outputs")
        for position, index in enumerate(inputs):
            omitted = index == -1 and rule.kind == "weights" and position == _bias(rule)
            if not omitted and not (
                0 <= index < len(self._tensors) and (self._constant[index] or index in self._ready)
            ):
                raise FlawError(f"input {index} that is not computed")
        for output in outputs:
            if not 0 <= output < len(self._tensors) or output in self._ready or self._constant[output]:
                raise FlawError(f"output {output} that is not its own")
        options = _options(rule, operator)
        self._check_types(rule, inputs, outputs)
        call = self._call(rule, inputs, options)
        self._set_outputs(rule, call, inputs, outputs)
        self._add_cost(rule, call, outputs[0])

    def _call(self, rule: Rule, inputs: list[int], options: Mapping[str, Any]) -> Call:
        known = {position: self._integers_of(index) for position, index in enumerate(inputs) if index >= 0}
        constants = {
            position: [int(value) for value in values.ravel()]
            for position, values in known.items()
            if values is not None and position in rule.integers
        }
        call = Call([None if index == -1 else self._shapes[index] for index in inputs], constants, options)
        if rule.infer is shapes.elementwise:
            data = [position for position in range(len(inputs)) if position not in rule.integers]
            call = Call([call.shapes[position] for position in data], {}, options)
        return call

    def _integers_of(self, index: int) -> Integers | None:
        """Return the values of an integer tensor, int64, if they are known before an inference; otherwise None."""
        if self._constant[index] and self._tensors[index]["type"] in INTEGERS:
            return np.asarray(self._values(index).reshape(self._shapes[index]), np.int64)
        return self._known.get(index)

    def _set_outputs(self, rule: Rule, call: Call, inputs: list[int], outputs: list[int]) -> None:
        """Infer and store the shapes of an operator's outputs. Raises FlawError if the model declares other shapes."""
        inferred = rule.infer(call)
        results = inferred if isinstance(inferred, list) else [inferred]
        if len(results) != len(outputs):
            raise FlawError(f"{len(inputs)} inputs and {len(outputs)} outputs")
        for output, shape in zip(outputs, results, strict=True):
            declared = self._shapes[output]
            if shape != declared and not _is_free(self._tensors[output], shape):
                raise FlawError(f"an output declared as {list(declared)} that will be {list(shape)}")
            if len(shape) > _MAX_RANK or not all(1 <= length <= _MAX_LENGTH for length in shape):
                raise FlawError(f"a tensor of shape {list(shape)[:8]}")
            itemsize = np.dtype(DTYPES[self._tensors[output]["type"]]).itemsize
            self._memory += max(0, math.prod(shape) - math.prod(declared)) * itemsize
            self._shapes[output] = shape
            self._ready.add(output)
        if self._tensors[outputs[0]]["type"] in INTEGERS:
            values = [None if index == -1 else self._integers_of(index) for index in inputs]
            if (found := fold(rule.name, call, values, results[0])) is not None:
                self._known[outputs[0]] = found

    def _add_cost(self, rule: Rule, call: Call, output: int) -> None:
        shape = self._shapes[output]
        if rule.name == "BATCH_MATMUL":
            self._multiplications += math.prod(shape) * call.shape(0)[-2 if call.options["adj_x"] else -1]
        if rule.kind != "weights":
            return
        weights = call.shape(1)
        each = math.prod(weights[1:3]) if rule.name == "DEPTHWISE_CONV_2D" else math.prod(weights[1:])
        self._multiplications += math.prod(shape) * each
        if rule.name in ("CONV_2D", "TRANSPOSE_CONV") and weights[1:3] != (1, 1):
            # The interpreter copies all windows of the input.
            self._memory += math.prod(shape[:3]) * each * 4

    def _check_types(self, rule: Rule, inputs: list[int], outputs: list[int]) -> None:
        types = [INT32 if index == -1 else self._tensors[index]["type"] for index in inputs]
        results = {self._tensors[output]["type"] for output in outputs}
        allowed = INTEGERS if rule.wide else (INT32,)
        for position in rule.integers:
            if position < len(types) and types[position] not in allowed:
                raise FlawError(f"input {position} is not int32")
        data = {kind for position, kind in enumerate(types) if position not in rule.integers}
        if rule.kind == "weights":
            fits = self._weights_fit(rule, inputs, types, results)
        else:
            fits = len(results) == 1 and types_fit(rule, types, data, next(iter(results)))
        if not fits:
            raise FlawError(f"types {types}, which cannot be combined")
        if rule.name not in _UNSCALED:
            for index in (*inputs, *outputs):
                if index >= 0 and self._tensors[index]["type"] in ZERO_POINTS and not _is_scaled(self._tensors[index]):
                    raise FlawError(f"tensor {index} is of 8 bits and has no scale")

    def _weights_fit(self, rule: Rule, inputs: list[int], types: list[int], results: set[int]) -> bool:
        if not self._constant[inputs[1]] and types[1] != FLOAT32:
            raise FlawError("weights that are computed")
        bias = _bias(rule)
        return any(
            (types[rule.image], types[1], results) == (source, weights, {target})
            and (len(inputs) <= bias or inputs[bias] == -1 or types[bias] == offset)
            for source, weights, offset, target in WEIGHT_TYPES
        )


def _bias(rule: Rule) -> int:
    """Return the index of the bias among the inputs of a layer with weights."""
    return 3 if rule.image == 2 else 2


def _is_free(tensor: Mapping[str, Any], shape: Shape) -> bool:
    """Return whether a tensor may have a shape other than the declared one, according to its shape signature.

    The signature is the shape with -1 for each dimension of variable length.
    """
    signature = tensor["shape_signature"]
    return len(signature) == len(shape) and all(
        declared in (-1, length) for declared, length in zip(signature, shape, strict=True)
    )


def _is_scaled(tensor: Mapping[str, Any]) -> bool:
    return bool(tensor["quantization"] and len(tensor["quantization"]["scale"]))


def _rule(code: Mapping[str, Any]) -> Rule:
    rule = RULES[operator_number(code)]
    if not 1 <= code["version"] <= 64:
        raise FlawError(f"version {code['version']} of {rule.name}")
    return rule


def _shape(tensor: Mapping[str, Any]) -> tuple[int, ...]:
    shape = tuple(int(length) for length in tensor["shape"])
    if len(shape) > _MAX_RANK or not all(1 <= length <= _MAX_LENGTH for length in shape):
        raise FlawError(f"a tensor of shape {list(shape)[:8]}")
    signature = tensor["shape_signature"]
    if len(signature) and (
        len(signature) != len(shape) or any(one not in (-1, other) for one, other in zip(signature, shape, strict=True))
    ):
        raise FlawError("a shape signature that does not fit the shape")
    return shape


def _check_quantization(index: int, tensor: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    quantization = tensor["quantization"]
    scales = quantization["scale"] if quantization else ()
    zeros = quantization["zero_point"] if quantization else ()
    if not len(scales):
        return
    if not all(_SCALES[0] <= scale <= _SCALES[1] for scale in scales):
        raise FlawError(f"tensor {index} has an invalid scale")
    low, high = ZERO_POINTS.get(tensor["type"], (0, 0))
    if len(zeros) not in (0, len(scales)) or not all(low <= zero <= high for zero in zeros):
        raise FlawError(f"tensor {index} has an invalid zero point")
    axis = quantization["quantized_dimension"]
    if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
        raise FlawError(f"tensor {index} has {len(scales)} scales for a shape of {list(shape)}")


def _options(rule: Rule, operator: Mapping[str, Any]) -> Mapping[str, Any]:
    options: Mapping[str, Any] | None = operator["options"]
    if operator["options_2_type"] or (operator["options_type"] and options is None):
        raise FlawError("options of another operator")
    if options is None:
        if rule.options and not rule.bare:
            raise FlawError("no options")
        return {}
    if OPTIONS[operator["options_type"]] != rule.options:
        raise FlawError("options of another operator")
    if options.get("activation", 0) not in _ACTIVATIONS:
        raise FlawError(f"activation {options['activation']}")
    beta = options.get("beta", 1.0)
    if not (math.isfinite(beta) and 0 < beta < 1e6):
        raise FlawError(f"beta {beta}")
    return options
