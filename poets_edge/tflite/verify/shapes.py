"""Infer the output shapes of operators from their input shapes.

An interpreter computes these shapes itself and allocates memory for them, regardless of the shapes in the model's
file. A file that declares other shapes is therefore refused. Shapes are tuples of ints; images are [batch, height,
width, channels], as in TensorFlow Lite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poets_edge.tflite.verify.tables import FlawError, UnsupportedError

Shape = tuple[int, ...]

_MAX_PIXELS = 1 << 12
"""Maximum stride, dilation, padding or filter length, in pixels."""


@dataclass(frozen=True)
class Call:
    """Inputs and options of one operator in a model.

    Attributes:
        shapes: shapes of the inputs, in order; None for an omitted input.
        constants: values of the integer inputs that are known before an inference, by position.
        options: fields of the operator's table of options.
    """

    shapes: Sequence[Shape | None]
    constants: Mapping[int, Sequence[int]]
    options: Mapping[str, Any] = field(default_factory=dict)

    def shape(self, index: int = 0, rank: int | None = None) -> Shape:
        """Return the shape of an input. Raises FlawError if the input is omitted or does not have the given rank."""
        shape = self.shapes[index]
        if shape is None or (rank is not None and len(shape) != rank):
            raise FlawError(f"an input of rank {rank} is wanted, and there is {shape}")
        return shape

    def constant(self, index: int) -> Sequence[int]:
        """Return the values of an integer input. Raises UnsupportedError if they are not known before an inference."""
        if index not in self.constants:
            raise UnsupportedError(
                "a shape that depends on the photo. Convert the model with a fixed batch of 1 and a fixed size."
            )
        return self.constants[index]


def convolution(call: Call) -> Shape:
    """Return the output shape of a convolution."""
    batch, height, width, channels = call.shape(0, 4)
    outputs, kernel_height, kernel_width, filter_channels = call.shape(1, 4)
    if channels % filter_channels or outputs % (channels // filter_channels):
        raise FlawError("weights that do not fit the channels")
    check_bias(call, outputs)
    return batch, *windows(call.options, (height, width), (kernel_height, kernel_width)), outputs


def depthwise_convolution(call: Call) -> Shape:
    """Return the output shape of a depthwise convolution."""
    batch, height, width, channels = call.shape(0, 4)
    one, kernel_height, kernel_width, outputs = call.shape(1, 4)
    if one != 1 or outputs % channels or call.options["depth_multiplier"] not in (0, outputs // channels):
        raise FlawError("weights that do not fit the channels")
    check_bias(call, outputs)
    return batch, *windows(call.options, (height, width), (kernel_height, kernel_width)), outputs


def pooling(call: Call) -> Shape:
    """Return the output shape of a pooling layer."""
    batch, height, width, channels = call.shape(0, 4)
    kernel = call.options["filter_height"], call.options["filter_width"]
    if not all(1 <= length <= _MAX_PIXELS for length in kernel):
        raise FlawError(f"a window of {kernel} pixels")
    return batch, *windows(call.options, (height, width), kernel), channels


def fully_connected(call: Call) -> Shape:
    """Return the output shape of a fully connected layer."""
    outputs, inputs = call.shape(1, 2)
    shape = call.shape(0)
    if call.options["weights_format"] or not shape or math.prod(shape) % inputs:
        raise FlawError("weights that do not fit the input")
    check_bias(call, outputs)
    if call.options["keep_num_dims"]:
        if shape[-1] != inputs:
            raise FlawError("weights that do not fit the input")
        return *shape[:-1], outputs
    return math.prod(shape) // inputs, outputs


def elementwise(call: Call) -> Shape:
    """Return the output shape of an elementwise operator: the shape to which its inputs are broadcast."""
    result: Shape = ()
    for index in range(len(call.shapes)):
        shape = call.shape(index)
        rank = max(len(shape), len(result))
        pairs = list(zip((1,) * (rank - len(shape)) + shape, (1,) * (rank - len(result)) + result, strict=True))
        if any(one != other and 1 not in (one, other) for one, other in pairs):
            raise FlawError("inputs that do not fit each other")
        result = tuple(max(pair) for pair in pairs)
    return result


def concatenation(call: Call) -> Shape:
    """Return the output shape of a concatenation."""
    first = call.shape(0)
    axis = axis_of(call.options["axis"], len(first))
    total = 0
    for index in range(len(call.shapes)):
        shape = call.shape(index, len(first))
        if any(
            one != other for position, (one, other) in enumerate(zip(shape, first, strict=True)) if position != axis
        ):
            raise FlawError("inputs that do not fit each other")
        total += shape[axis]
    return *first[:axis], total, *first[axis + 1 :]


def reshape(call: Call) -> Shape:
    """Return the output shape of a reshape."""
    given = call.constant(1) if len(call.shapes) > 1 else call.options.get("new_shape", ())
    wanted = [int(length) for length in given]  # not int32, whose products overflow
    count = math.prod(call.shape(0))
    if wanted.count(-1) == 1:
        known = math.prod(length for length in wanted if length != -1)
        wanted[wanted.index(-1)] = count // known if known > 0 else 0
    if any(length < 1 for length in wanted) or math.prod(wanted) != count:
        raise FlawError(f"{count} values reshaped to {wanted}")
    return tuple(wanted)


def pad(call: Call) -> Shape:
    """Return the output shape of a PAD operator, which extends a tensor at its edges."""
    shape, amounts = call.shape(0), call.constant(1)
    if call.shape(1) != (len(shape), 2) or not all(0 <= amount <= _MAX_PIXELS for amount in amounts):
        raise FlawError("invalid padding")
    return tuple(length + amounts[2 * i] + amounts[2 * i + 1] for i, length in enumerate(shape))


def mean(call: Call) -> Shape:
    """Return the output shape of a reduction, such as a mean."""
    shape = call.shape(0)
    axes = {axis_of(axis, len(shape)) for axis in call.constant(1)}
    if call.options["keep_dims"]:
        return tuple(1 if index in axes else length for index, length in enumerate(shape))
    return tuple(length for index, length in enumerate(shape) if index not in axes)


def squeeze(call: Call) -> Shape:
    """Return the output shape of a squeeze operator, which removes dimensions of length 1."""
    shape = call.shape(0)
    given = {axis_of(axis, len(shape)) for axis in call.options["squeeze_dims"]}
    if any(shape[axis] != 1 for axis in given):
        raise FlawError("an axis that cannot be squeezed")
    axes = given or set(range(len(shape)))
    return tuple(length for index, length in enumerate(shape) if length != 1 or index not in axes)


def transpose(call: Call) -> Shape:
    """Return the output shape of a transposition."""
    shape, order = call.shape(0), list(call.constant(1))
    if sorted(order) != list(range(len(shape))):
        raise FlawError("axes in an invalid order")
    return tuple(shape[axis] for axis in order)


Infer = Callable[[Call], "Shape | list[Shape]"]
"""Function that returns the shape of an operator's single output, or a list of the shapes of its several outputs."""


def windows(options: Mapping[str, Any], size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
    """Return the number of vertical and of horizontal positions of a kernel on an image, (rows, columns)."""
    found = []
    for length, window, side in zip(size, kernel, "hw", strict=True):
        stride, dilation = options[f"stride_{side}"], options.get(f"dilation_{side}", 1)
        if not (1 <= stride <= _MAX_PIXELS and 1 <= dilation <= _MAX_PIXELS) or options["padding"] not in (0, 1):
            raise FlawError("an invalid stride, dilation or padding")
        covered = (window - 1) * dilation + 1 if options["padding"] else 1
        if covered > length:
            raise FlawError("a window larger than the picture")
        found.append((length - covered) // stride + 1)
    return found[0], found[1]


def check_bias(call: Call, outputs: int, index: int = 2) -> None:
    """Raise FlawError if the bias, an optional input, does not have one value for each output channel."""
    if len(call.shapes) > index and call.shapes[index] is not None and call.shapes[index] != (outputs,):
        raise FlawError("a bias that does not fit the weights")


def axis_of(axis: int, rank: int) -> int:
    """Convert an axis, which may be negative, to a non-negative index. Raises FlawError if it is out of range."""
    if not -rank <= axis < rank:
        raise FlawError(f"axis {axis} of {rank}")
    return int(axis) % rank
