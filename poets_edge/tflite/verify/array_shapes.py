"""Shapes of the outputs of operators that slice, join, repeat and resize arrays.

The functions complement those in `shapes`. A function for an operator with several outputs returns a list of shapes.
"""

from __future__ import annotations

import math

from poets_edge.tflite.verify.shapes import Call, Shape, axis_of, check_bias, elementwise, windows
from poets_edge.tflite.verify.tables import FlawError

_MAX_SIDE = 1 << 13
"""Upper limit for the sides of a resized image, for the step of a slice, and for padding or cropping at an edge."""
_MAX_PARTS = 1 << 10
"""Upper limit for the number of parts that an array is split into, for the number of times that it is repeated along a
dimension, and for the sides of a block of pixels."""
_BROADCAST_RANK = 4
"""Maximum rank of broadcast arrays; the kernels of some operators read out of bounds for higher ranks."""


def broadcast_shape(call: Call) -> Shape:
    """Return the shape to which the inputs are broadcast.

    Raises:
        FlawError: there are several inputs, and the shape has a rank above 4.
    """
    result = elementwise(call)
    if len(result) > _BROADCAST_RANK and len(call.shapes) > 1:
        raise FlawError(f"inputs of rank {len(result)}")
    return result


def prelu(call: Call) -> Shape:
    """Return the output shape of a PReLU, which equals its input shape."""
    shape = call.shape(0)
    if broadcast_shape(call) != shape:
        raise FlawError("slopes that do not fit the input")
    return shape


def equal_shapes(call: Call) -> Shape:
    """Return the shape that all inputs have. Raises FlawError if their shapes differ."""
    if any(call.shape(index) != call.shape(0) for index in range(len(call.shapes))):
        raise FlawError("inputs of different shapes")
    return call.shape(0)


def select(call: Call) -> Shape:
    """Return the output shape of an elementwise selection between two inputs of equal shape."""
    shape = call.shape(1)
    if call.shape(2) != shape or call.shape(0) != shape:
        raise FlawError("inputs of different shapes")
    return shape


def expand_dims(call: Call) -> Shape:
    """Return the output shape of an operator that inserts a dimension of length 1 into the shape of its input."""
    shape = call.shape(0)
    [axis] = _integers(call, 1, 1)
    place = axis_of(axis, len(shape) + 1)
    return *shape[:place], 1, *shape[place:]


def pack(call: Call) -> Shape:
    """Return the output shape of an operator that stacks its inputs along a new dimension."""
    shape = equal_shapes(call)
    if call.options["values_count"] != len(call.shapes):
        raise FlawError(f"{call.options['values_count']} inputs declared, and {len(call.shapes)} there")
    place = axis_of(call.options["axis"], len(shape) + 1)
    return *shape[:place], len(call.shapes), *shape[place:]


def unpack(call: Call) -> list[Shape]:
    """Return the output shapes of an operator that unstacks its input along a dimension, which is removed."""
    shape = call.shape(0)
    place = axis_of(call.options["axis"], len(shape))
    if call.options["num"] != shape[place] or shape[place] > _MAX_PARTS:
        raise FlawError(f"{call.options['num']} parts of {shape[place]}")
    return [(*shape[:place], *shape[place + 1 :])] * shape[place]


def split(call: Call) -> list[Shape]:
    """Return the output shapes of SPLIT, which splits its second input into equal parts along a dimension.

    The first input specifies the dimension.
    """
    shape = call.shape(1)
    [axis] = _integers(call, 0, 1)
    place, parts = axis_of(axis, len(shape)), call.options["num_splits"]
    if not 1 <= parts <= _MAX_PARTS or shape[place] % parts:
        raise FlawError(f"{shape[place]} values in {parts} parts")
    return [(*shape[:place], shape[place] // parts, *shape[place + 1 :])] * parts


def split_v(call: Call) -> list[Shape]:
    """Return the output shapes of SPLIT_V, which splits its first input along a dimension into given lengths."""
    shape, lengths = call.shape(0), list(call.constant(1))
    [axis] = _integers(call, 2, 1)
    place = axis_of(axis, len(shape))
    if lengths.count(-1) == 1:
        lengths[lengths.index(-1)] = shape[place] - sum(lengths) - 1
    if call.options["num_splits"] != len(lengths) or sum(lengths) != shape[place] or min(lengths, default=0) < 1:
        raise FlawError(f"{shape[place]} values in parts of {lengths[:8]}")
    return [(*shape[:place], length, *shape[place + 1 :]) for length in lengths]


def take(call: Call) -> Shape:
    """Return the output shape of GATHER, which selects slices of an input at constant indices along one dimension."""
    shape, indices = call.shape(0), call.constant(1)
    if call.options["batch_dims"]:
        raise FlawError("indices for each batch")
    place = axis_of(call.options["axis"], len(shape))
    if not all(0 <= index < shape[place] for index in indices):
        raise FlawError("an index out of range")
    return *shape[:place], *call.shape(1), *shape[place + 1 :]


def slice_of(call: Call) -> Shape:
    """Return the output shape of SLICE, which cuts a block with a given start and size from its first input."""
    shape = call.shape(0)
    begins, sizes = _integers(call, 1, len(shape)), _integers(call, 2, len(shape))
    result = []
    for length, begin, size in zip(shape, begins, sizes, strict=True):
        wanted = length - begin if size == -1 else size
        if begin < 0 or wanted < 1 or begin + wanted > length:
            raise FlawError(f"a slice of {size} from {begin} of {length}")
        result.append(wanted)
    return tuple(result)


def strided_slice(call: Call) -> Shape:
    """Return the output shape of a strided slice, whose bit masks can leave limits open or remove dimensions."""
    shape, options = call.shape(0), call.options
    if options["ellipsis_mask"] or options["new_axis_mask"] or options["offset"]:
        raise FlawError("a slice with new axes")
    count = len(call.constant(1))
    if not 1 <= count <= len(shape) or not len(call.constant(2)) == len(call.constant(3)) == count:
        raise FlawError(f"a slice of {count} dimensions of {len(shape)}")
    result = []
    for place, length in enumerate(shape):
        if place >= count:
            result.append(length)
            continue
        positions = slice_positions(call, place, length)
        if not positions:
            raise FlawError("an empty slice")
        if not options["shrink_axis_mask"] >> place & 1:
            result.append(len(positions))
    return tuple(result)


def slice_positions(call: Call, place: int, length: int) -> range:
    """Return the positions that a strided slice selects along one dimension."""
    options, step = call.options, call.constant(3)[place]
    if not 1 <= abs(step) <= _MAX_SIDE:
        raise FlawError(f"a step of {step}")
    begin, end = int(call.constant(1)[place]), int(call.constant(2)[place])
    if options["shrink_axis_mask"] >> place & 1:
        at = begin + length if begin < 0 else begin
        if not 0 <= at < length or step != 1:
            raise FlawError("a position outside")
        return range(at, at + 1)
    first = None if options["begin_mask"] >> place & 1 else begin
    last = None if options["end_mask"] >> place & 1 else end
    return range(length)[first:last:step]


def tile(call: Call) -> Shape:
    """Return the output shape of an operator that repeats its input along its dimensions."""
    shape = call.shape(0)
    repeats = _integers(call, 1, len(shape))
    if not all(1 <= count <= _MAX_PARTS for count in repeats):
        raise FlawError(f"{repeats} repeats")
    return tuple(length * count for length, count in zip(shape, repeats, strict=True))


def broadcast_to(call: Call) -> Shape:
    """Return the shape to which an input is broadcast."""
    shape, wanted = call.shape(0), _positive(tuple(int(length) for length in call.constant(1)))
    padded = (1,) * (len(wanted) - len(shape)) + shape
    if len(shape) > len(wanted) or any(one not in (1, other) for one, other in zip(padded, wanted, strict=True)):
        raise FlawError(f"{shape} broadcast to {wanted}")
    return wanted


def fill(call: Call) -> Shape:
    """Return the shape of an array that is filled with one value."""
    if call.shape(1) not in ((), (1,)):
        raise FlawError("several values to fill an array with")
    return _positive(tuple(int(length) for length in call.constant(0)))


def shape_of(call: Call) -> Shape:
    """Return the output shape of the SHAPE operator, (rank of the input,)."""
    return (len(call.shape(0)),)


def resize(call: Call) -> Shape:
    """Return the output shape of an operator that resizes an image."""
    batch, _, _, channels = call.shape(0, 4)
    height, width = _integers(call, 1, 2)
    if not (1 <= height <= _MAX_SIDE and 1 <= width <= _MAX_SIDE):
        raise FlawError(f"an image resized to {height} x {width}")
    return batch, height, width, channels


def space_to_depth(call: Call) -> Shape:
    """Return the output shape of SPACE_TO_DEPTH, which moves each block of pixels into the channels of one pixel."""
    batch, height, width, channels = call.shape(0, 4)
    block = _block(call)
    if height % block or width % block:
        raise FlawError(f"{height} x {width} pixels in blocks of {block}")
    return batch, height // block, width // block, channels * block * block


def depth_to_space(call: Call) -> Shape:
    """Return the output shape of DEPTH_TO_SPACE, which moves the channels of each pixel into a block of pixels."""
    batch, height, width, channels = call.shape(0, 4)
    block = _block(call)
    if channels % (block * block):
        raise FlawError(f"{channels} channels in blocks of {block}")
    return batch, height * block, width * block, channels // (block * block)


def space_to_batch(call: Call) -> Shape:
    """Return the output shape of SPACE_TO_BATCH_ND, which distributes the pixels of each block to separate images.

    Dilated convolutions are computed in this way.
    """
    batch, height, width, channels = call.shape(0, 4)
    (rows, columns), (top, bottom, left, right) = _blocks(call)
    height, width = height + top + bottom, width + left + right
    if height % rows or width % columns:
        raise FlawError("invalid padding")
    return batch * rows * columns, height // rows, width // columns, channels


def batch_to_space(call: Call) -> Shape:
    """Return the output shape of BATCH_TO_SPACE_ND, which merges the images of a batch into blocks of pixels."""
    batch, height, width, channels = call.shape(0, 4)
    (rows, columns), (top, bottom, left, right) = _blocks(call)
    height, width = height * rows - top - bottom, width * columns - left - right
    if batch % (rows * columns) or height < 1 or width < 1:
        raise FlawError("invalid crops")
    return batch // (rows * columns), height, width, channels


def batch_matmul(call: Call) -> Shape:
    """Return the output shape of a matrix product over the last two dimensions."""
    left, right = call.shape(0), call.shape(1)
    if not 2 <= len(left) <= _BROADCAST_RANK or not 2 <= len(right) <= _BROADCAST_RANK:
        raise FlawError("matrices of other ranks")
    rows, inner = (left[-1], left[-2]) if call.options["adj_x"] else left[-2:]
    others, columns = (right[-1], right[-2]) if call.options["adj_y"] else right[-2:]
    if inner != others:
        raise FlawError("matrices that do not fit each other")
    batches = elementwise(Call([left[:-2], right[:-2]], {}))
    return *batches, rows, columns


def transpose_convolution(call: Call) -> Shape:
    """Return the output shape of a transposed convolution, which is the value of its first input."""
    wanted = _integers(call, 0, 4)
    outputs, kernel_height, kernel_width, channels = call.shape(1, 4)
    batch, height, width, input_channels = call.shape(2, 4)
    if any(length < 1 for length in wanted) or wanted[0] != batch or wanted[3] != outputs or channels != input_channels:
        raise FlawError("weights that do not fit the channels")
    if windows(call.options, (wanted[1], wanted[2]), (kernel_height, kernel_width)) != (height, width):
        raise FlawError("an output that does not fit the input")
    check_bias(call, outputs, 3)
    return tuple(wanted)


def arg_max(call: Call) -> Shape:
    """Return the output shape of an argmax along a dimension, which is removed."""
    shape = call.shape(0)
    [axis] = _integers(call, 1, 1)
    place = axis_of(axis, len(shape))
    return *shape[:place], *shape[place + 1 :]


def along_axis(call: Call) -> Shape:
    """Return the output shape of CUMSUM or REVERSE_V2: the shape of the first input. The second input contains axes."""
    shape = call.shape(0)
    for axis in call.constant(1):
        axis_of(axis, len(shape))
    return shape


def mirror_pad(call: Call) -> Shape:
    """Return the output shape of a MIRROR_PAD operator, which reflects the values of its input at the edges."""
    shape, amounts = call.shape(0), call.constant(1)
    offset = 0 if call.options["mode"] else 1
    if call.shape(1) != (len(shape), 2) or call.options["mode"] not in (0, 1):
        raise FlawError("invalid padding")
    if any(not 0 <= amount <= shape[index // 2] - offset for index, amount in enumerate(amounts)):
        raise FlawError("invalid padding")
    return tuple(length + amounts[2 * i] + amounts[2 * i + 1] for i, length in enumerate(shape))


def _integers(call: Call, index: int, count: int) -> list[int]:
    values = [int(value) for value in call.constant(index)]
    if len(values) != count:
        raise FlawError(f"{len(values)} values, not {count}")
    return values


def _positive(shape: Shape) -> Shape:
    if len(shape) > _BROADCAST_RANK or not all(1 <= length < 1 << 20 for length in shape) or math.prod(shape) > 1 << 30:
        raise FlawError(f"an array of shape {list(shape)[:8]}")
    return shape


def _block(call: Call) -> int:
    block = int(call.options["block_size"])
    if not 1 <= block <= _MAX_PARTS:
        raise FlawError(f"blocks of {block} pixels")
    return block


def _blocks(call: Call) -> tuple[list[int], list[int]]:
    sides, edges = _integers(call, 1, 2), _integers(call, 2, 4)
    if not all(1 <= side <= _MAX_PARTS for side in sides) or not all(0 <= edge <= _MAX_SIDE for edge in edges):
        raise FlawError("invalid blocks")
    return sides, edges
