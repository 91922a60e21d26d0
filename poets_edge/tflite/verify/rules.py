"""Rules for the content of a `.tflite`: operators, types, shapes and sizes of image classifiers.

`check_model` follows every index, type and shape of a model from input to output, as an interpreter does, and adds up
memory and multiplications. Its argument is a model as returned by `tables.parse`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poets_edge.tflite.verify import shapes
from poets_edge.tflite.verify.answers import other_answer
from poets_edge.tflite.verify.schema import OPTIONS
from poets_edge.tflite.verify.shapes import Call, Infer
from poets_edge.tflite.verify.tables import FlawError, OtherNetworkError

FLOAT32, FLOAT16, INT32, UINT8, INT64, INT8 = 0, 1, 2, 3, 4, 9
_DTYPES = {FLOAT32: "<f4", FLOAT16: "<f2", INT32: "<i4", UINT8: "<u1", INT64: "<i8", INT8: "<i1"}
_ZERO_POINTS = {UINT8: (0, 255), INT8: (-128, 127)}
_DATA = (FLOAT32, INT8, UINT8)

MAX_BYTES = 700 << 20
"""Maximum memory of constants, computed tensors and the interpreter's copies, in bytes. Inception V3 needs 350 MB."""
MAX_MULTIPLICATIONS = 20 * 10**9
"""Maximum number of multiplications of one inference. Inception V3 needs 5.7 billion."""
_MAX_LENGTH = 1 << 20
_MAX_RANK = 6
_SCALES = (1e-20, 1e20)
_ACTIVATIONS = (0, 1, 2, 3)


@dataclass(frozen=True)
class Rule:
    """Constraints on the use of an operator.

    Attributes:
        name: name in TensorFlow Lite's `BuiltinOperator`.
        infer: function that returns the shape of the output.
        inputs: (minimum, maximum) number of inputs.
        options: name of the operator's table of options; "" if it has none.
        bare: whether the table of options may be missing.
        kind: rule for the types of tensors: "same" if all are equal, "weights", "quantize" or "dequantize".
        integers: positions of the inputs that must be int32.
    """

    name: str
    infer: Infer
    inputs: tuple[int, int] = (1, 1)
    options: str = ""
    bare: bool = False
    kind: str = "same"
    integers: tuple[int, ...] = ()


RULES: Mapping[int, Rule] = {
    0: Rule("ADD", shapes.elementwise, (2, 2), "AddOptions"),
    1: Rule("AVERAGE_POOL_2D", shapes.pooling, options="Pool2DOptions"),
    2: Rule("CONCATENATION", shapes.concatenation, (1, 64), "ConcatenationOptions"),
    3: Rule("CONV_2D", shapes.convolution, (2, 3), "Conv2DOptions", kind="weights"),
    4: Rule("DEPTHWISE_CONV_2D", shapes.depthwise_convolution, (2, 3), "DepthwiseConv2DOptions", kind="weights"),
    6: Rule("DEQUANTIZE", shapes.elementwise, options="DequantizeOptions", bare=True, kind="dequantize"),
    9: Rule("FULLY_CONNECTED", shapes.fully_connected, (2, 3), "FullyConnectedOptions", kind="weights"),
    14: Rule("LOGISTIC", shapes.elementwise),
    17: Rule("MAX_POOL_2D", shapes.pooling, options="Pool2DOptions"),
    18: Rule("MUL", shapes.elementwise, (2, 2), "MulOptions"),
    19: Rule("RELU", shapes.elementwise),
    20: Rule("RELU_N1_TO_1", shapes.elementwise),
    21: Rule("RELU6", shapes.elementwise),
    22: Rule("RESHAPE", shapes.reshape, (1, 2), "ReshapeOptions", bare=True, integers=(1,)),
    25: Rule("SOFTMAX", shapes.elementwise, options="SoftmaxOptions"),
    28: Rule("TANH", shapes.elementwise),
    34: Rule("PAD", shapes.pad, (2, 2), "PadOptions", bare=True, integers=(1,)),
    39: Rule("TRANSPOSE", shapes.transpose, (2, 2), "TransposeOptions", bare=True, integers=(1,)),
    40: Rule("MEAN", shapes.mean, (2, 2), "ReducerOptions", integers=(1,)),
    41: Rule("SUB", shapes.elementwise, (2, 2), "SubOptions"),
    42: Rule("DIV", shapes.elementwise, (2, 2), "DivOptions"),
    43: Rule("SQUEEZE", shapes.squeeze, options="SqueezeOptions"),
    55: Rule("MAXIMUM", shapes.elementwise, (2, 2), "MaximumMinimumOptions", bare=True),
    57: Rule("MINIMUM", shapes.elementwise, (2, 2), "MaximumMinimumOptions", bare=True),
    114: Rule("QUANTIZE", shapes.elementwise, options="QuantizeOptions", bare=True, kind="quantize"),
    117: Rule("HARD_SWISH", shapes.elementwise, options="HardSwishOptions", bare=True),
}
"""Rules for the operators of MobileNets, Inception and similar networks, by their number in `BuiltinOperator`."""

_WEIGHT_TYPES = {
    (FLOAT32, FLOAT32, FLOAT32, FLOAT32),
    (FLOAT32, INT8, FLOAT32, FLOAT32),
    (INT8, INT8, INT32, INT8),
    (UINT8, UINT8, INT32, UINT8),
}
"""Allowed types of (input, weights, bias, output)."""
_CONVERSIONS = {
    "dequantize": {(source, FLOAT32) for source in (FLOAT16, INT8, UINT8)},
    "quantize": {(source, target) for source in (FLOAT32, INT8, UINT8) for target in (INT8, UINT8)},
}


@dataclass(frozen=True)
class InferenceCost:
    """Cost of one inference: bytes of memory, and multiplications."""

    memory: int
    multiplications: int


def check_model(model: Mapping[str, Any]) -> InferenceCost:
    """Check a model that `tables.parse` returned, and return the cost of an inference. Raises FlawError."""
    if model["version"] != 3:
        raise FlawError(f"version {model['version']} of the format, not 3")
    if len(model["subgraphs"]) != 1:
        raise FlawError(f"{len(model['subgraphs'])} graphs in it, not one")
    for buffer in model["buffers"]:
        if buffer["offset"] or buffer["size"]:
            raise FlawError("a buffer beyond the end")
    for entry in model["metadata"]:
        if not entry["name"] or entry["buffer"] >= len(model["buffers"]):
            raise FlawError("metadata that lead nowhere")
    if any(not 0 <= index < len(model["buffers"]) for index in model["metadata_buffer"]):
        raise FlawError("metadata that lead nowhere")
    _check_signatures(model)
    _check_operators(model)
    return _Graph(model).check()


def _check_signatures(model: Mapping[str, Any]) -> None:
    tensors = len(model["subgraphs"][0]["tensors"])
    for signature in model["signature_defs"]:
        tensor_maps = [*signature["inputs"], *signature["outputs"]]
        if signature["subgraph_index"] or not signature["signature_key"]:
            raise FlawError("a signature of no graph")
        if any(entry["tensor_index"] >= tensors or not entry["name"] for entry in tensor_maps):
            raise FlawError("a signature that leads nowhere")


def _check_operators(model: Mapping[str, Any]) -> None:
    """Raise OtherNetworkError for operators that image classifiers do not have, naming the kind of network if known."""
    unknown = [name for code in model["operator_codes"] if (name := _unknown_operator(code))]
    if not unknown:
        return
    known_kind = next((_OTHER_NETWORKS[name] for name in unknown if name in _OTHER_NETWORKS), None)
    raise OtherNetworkError(
        known_kind
        or other_answer(_output_shapes(model["subgraphs"][0]))
        or f"no image classifier: it holds the operator {unknown[0][:60]}, which none needs."
    )


def _output_shapes(graph: Mapping[str, Any]) -> list[Sequence[int]]:
    """Return the shapes of a graph's outputs, without outputs that refer to missing tensors."""
    return [graph["tensors"][index]["shape"] for index in graph["outputs"] if 0 <= index < len(graph["tensors"])]


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
        for index in range(len(self._tensors)):
            self._check_tensor(index)
        for operator in self._operators:
            self._check_operator(operator)
        if not self._ready.issuperset(self._outputs):
            raise FlawError("an output that nothing computes")
        if self._memory > MAX_BYTES:
            raise FlawError(f"it would take {self._memory / 1e6:,.0f} MB of memory")
        if self._multiplications > MAX_MULTIPLICATIONS:
            raise FlawError(f"an inference would take {self._multiplications / 1e9:,.0f} billion multiplications")
        return InferenceCost(self._memory, self._multiplications)

    def _is_constant(self, index: int) -> bool:
        number = self._tensors[index]["buffer"]
        if number >= len(self._buffers):
            raise FlawError(f"buffer {number} of {len(self._buffers)}")
        return len(self._buffers[number]["data"]) > 0

    def _check_tensor(self, index: int) -> None:
        tensor, shape = self._tensors[index], self._shapes[index]
        if tensor["type"] not in _DTYPES:
            raise FlawError(f"tensor {index} is of type {tensor['type']}, which no classifier needs")
        if tensor["is_variable"] or tensor["sparsity"] is not None or tensor["variant_tensors"]:
            raise FlawError(f"tensor {index} is variable or sparse")
        size = math.prod(shape) * np.dtype(_DTYPES[tensor["type"]]).itemsize
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
        return np.frombuffer(data, _DTYPES[tensor["type"]])

    def _check_operator(self, operator: Mapping[str, Any]) -> None:
        if operator["opcode_index"] >= len(self._codes):
            raise FlawError(f"operator code {operator['opcode_index']} of {len(self._codes)}")
        rule = self._codes[operator["opcode_index"]]
        try:
            self._check_use(rule, operator)
        except FlawError as error:
            raise FlawError(f"{rule.name}: {error}") from None

    def _check_use(self, rule: Rule, operator: Mapping[str, Any]) -> None:
        inputs, outputs = [int(i) for i in operator["inputs"]], [int(i) for i in operator["outputs"]]
        others = ("custom_options", "mutating_variable_inputs", "intermediates")
        if any(len(operator[name]) for name in others) or operator["large_custom_options_size"]:
            raise FlawError("options of its own")
        if not rule.inputs[0] <= len(inputs) <= rule.inputs[1] or len(outputs) != 1:
            raise FlawError(f"{len(inputs)} inputs and {len(outputs)} outputs")
        for position, index in enumerate(inputs):
            omitted = index == -1 and rule.kind == "weights" and position == 2
            if not omitted and not (
                0 <= index < len(self._tensors) and (self._constant[index] or index in self._ready)
            ):
                raise FlawError(f"input {index} that nothing computes")
        if not 0 <= outputs[0] < len(self._tensors) or outputs[0] in self._ready or self._constant[outputs[0]]:
            raise FlawError(f"output {outputs[0]} that is not its own")
        options = _options(rule, operator)
        self._check_types(rule, inputs, outputs[0])
        constants = {
            position: [int(value) for value in self._values(inputs[position])]
            for position in rule.integers
            if position < len(inputs) and self._constant[inputs[position]]
        }
        call = Call([None if index == -1 else self._shapes[index] for index in inputs], constants, options)
        data = [position for position in range(len(inputs)) if position not in rule.integers]
        if rule.infer is shapes.elementwise:
            call = Call([call.shapes[position] for position in data], {}, options)
        shape = rule.infer(call)
        if shape != self._shapes[outputs[0]]:
            raise FlawError(f"an output declared as {list(self._shapes[outputs[0]])} that will be {list(shape)}")
        self._ready.add(outputs[0])
        if rule.kind == "weights":
            weights = self._shapes[inputs[1]]
            each = math.prod(weights[1:3]) if rule.name == "DEPTHWISE_CONV_2D" else math.prod(weights[1:])
            self._multiplications += math.prod(shape) * each
            if rule.name == "CONV_2D" and weights[1:3] != (1, 1):  # the interpreter copies all windows of the input
                self._memory += math.prod(shape[:3]) * each * 4

    def _check_types(self, rule: Rule, inputs: list[int], output: int) -> None:
        types = [INT32 if index == -1 else self._tensors[index]["type"] for index in inputs]
        result = self._tensors[output]["type"]
        for position in rule.integers:
            if position < len(types) and types[position] != INT32:
                raise FlawError(f"input {position} is not int32")
        if rule.kind in _CONVERSIONS:
            fits = (types[0], result) in _CONVERSIONS[rule.kind]
        elif rule.kind == "weights":
            if not self._constant[inputs[1]] and types[1] != FLOAT32:
                raise FlawError("weights that are computed")
            fits = any(
                (types[0], types[1], result) == (source, weights, target)
                and (len(inputs) < 3 or inputs[2] == -1 or types[2] == bias)
                for source, weights, bias, target in _WEIGHT_TYPES
            )
        else:
            data = {kind for position, kind in enumerate(types) if position not in rule.integers}
            fits = data == {result} and result in _DATA
        if not fits:
            raise FlawError(f"types {types} that do not go together")


_OTHER_NETWORKS = {
    "edgetpu-custom-op": "compiled for a Coral Edge TPU, which is not used here. Use the .tflite it was compiled from.",
    "TFLite_Detection_PostProcess": "an object detector. Only image classifiers are run here.",
}
"""Sentences that describe other networks, by a custom operator that only they have."""


def _unknown_operator(code: Mapping[str, Any]) -> str:
    """Return the name of an operator that is not among RULES; "" if it is among them."""
    known = _number(code) in RULES and not code["custom_code"]
    return "" if known else code["custom_code"] or f"number {_number(code)}"


def _number(code: Mapping[str, Any]) -> int:
    # The deprecated field holds numbers below 127; the new one, if written, is equal or larger.
    return int(max(code["code"], code["deprecated_code"]))


def _rule(code: Mapping[str, Any]) -> Rule:
    rule = RULES[_number(code)]
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
        if tensor["type"] in _ZERO_POINTS:
            raise FlawError(f"tensor {index} is of 8 bits and has no scale")
        return
    if not all(_SCALES[0] <= scale <= _SCALES[1] for scale in scales):
        raise FlawError(f"tensor {index} has a scale that makes no sense")
    low, high = _ZERO_POINTS.get(tensor["type"], (0, 0))
    if len(zeros) not in (0, len(scales)) or not all(low <= zero <= high for zero in zeros):
        raise FlawError(f"tensor {index} has a zero point that makes no sense")
    axis = quantization["quantized_dimension"]
    if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
        raise FlawError(f"tensor {index} has {len(scales)} scales for a shape of {list(shape)}")


def _options(rule: Rule, operator: Mapping[str, Any]) -> Mapping[str, Any]:
    options: Mapping[str, Any] | None = operator["options"]
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
