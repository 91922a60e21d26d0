"""Tests of the output shapes of operators on arrays, with numpy as the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.tflite.verify import array_shapes as shapes
from poets_edge.tflite.verify.shapes import Call, Infer, Shape
from poets_edge.tflite.verify.tables import FlawError, UnsupportedError

IMAGE = (1, 6, 4, 8)
"""Shape of an image whose height, width and number of channels differ."""


def call(*inputs: Shape | None, constants: Mapping[int, Sequence[int]] | None = None, **options: Any) -> Call:
    return Call(inputs, constants or {}, options)


def masks(begin: int = 0, end: int = 0, shrink: int = 0, **other: Any) -> dict[str, Any]:
    options = {"begin_mask": begin, "end_mask": end, "shrink_axis_mask": shrink}
    return {**options, "ellipsis_mask": 0, "new_axis_mask": 0, "offset": False, **other}


def strided(begins: Sequence[int], ends: Sequence[int], steps: Sequence[int], **options: Any) -> Call:
    count = (len(begins),)
    return call((7, 5), count, count, count, constants={1: begins, 2: ends, 3: steps}, **masks(**options))


ARRAY = np.zeros((7, 5))
VALUES = np.zeros((3, 4, 5))


@pytest.mark.parametrize(
    ("infer", "arguments", "expected"),
    [
        (shapes.broadcast_shape, call((4, 1, 3), (5, 1)), (4, 5, 3)),
        (shapes.broadcast_shape, call((2, 1, 3, 1, 2)), (2, 1, 3, 1, 2)),
        (shapes.prelu, call(IMAGE, (1, 1, 8)), IMAGE),
        (shapes.equal_shapes, call((4, 3), (4, 3), (4, 3)), (4, 3)),
        (shapes.select, call((4, 3), (4, 3), (4, 3)), (4, 3)),
        (shapes.expand_dims, call((4, 3), (), constants={1: [1]}), np.expand_dims(np.zeros((4, 3)), 1).shape),
        (shapes.expand_dims, call((4, 3), (), constants={1: [-1]}), np.expand_dims(np.zeros((4, 3)), -1).shape),
        (shapes.pack, call((4, 3), (4, 3), values_count=2, axis=-1), np.stack([np.zeros((4, 3))] * 2, -1).shape),
        (shapes.pack, call((4, 3), (4, 3), values_count=2, axis=0), (2, 4, 3)),
        (shapes.unpack, call((4, 3, 5), axis=1, num=3), [(4, 5)] * 3),
        (shapes.unpack, call((4, 3, 5), axis=-1, num=5), [(4, 3)] * 5),
        (
            shapes.split,
            call((), (4, 6), constants={0: [-1]}, num_splits=3),
            [part.shape for part in np.split(np.zeros((4, 6)), 3, -1)],
        ),
        (
            shapes.split_v,
            call((4, 7), (3,), (), constants={1: [1, 4, 2], 2: [1]}, num_splits=3),
            [part.shape for part in np.split(np.zeros((4, 7)), [1, 5], 1)],
        ),
        (
            shapes.split_v,
            call((9, 2), (3,), (), constants={1: [2, -1, 4], 2: [0]}, num_splits=3),
            [(2, 2), (3, 2), (4, 2)],
        ),
        (
            shapes.take,
            call(VALUES.shape, (2, 3), constants={1: [0, 3, 1, 2, 3, 0]}, axis=1, batch_dims=0),
            VALUES.take([[0, 3, 1], [2, 3, 0]], axis=1).shape,
        ),
        (shapes.take, call(VALUES.shape, (), constants={1: [4]}, axis=-1, batch_dims=0), VALUES.take(4, -1).shape),
        (shapes.slice_of, call((7, 5), (2,), (2,), constants={1: [2, 1], 2: [4, -1]}), ARRAY[2:6, 1:].shape),
        (shapes.slice_of, call((7, 5), (2,), (2,), constants={1: [0, 0], 2: [7, 5]}), ARRAY.shape),
        (shapes.strided_slice, strided([1, 4], [6, 0], [2, -1]), ARRAY[1:6:2, 4:0:-1].shape),
        (shapes.strided_slice, strided([1, 1], [2, 2], [2, 3], begin=1, end=2), ARRAY[:2:2, 1::3].shape),
        (shapes.strided_slice, strided([1, 1], [2, 2], [2, 3], begin=2, end=1), ARRAY[1::2, :2:3].shape),
        (shapes.strided_slice, strided([-7, -2], [0, 0], [1, 1], end=1, shrink=2), ARRAY[-7:, -2].shape),
        (shapes.strided_slice, strided([6], [0], [1], shrink=1), ARRAY[6].shape),
        (shapes.strided_slice, strided([0], [100], [1]), ARRAY[0:100].shape),
        (shapes.tile, call((3, 4), (2,), constants={1: [2, 5]}), np.tile(np.zeros((3, 4)), (2, 5)).shape),
        (shapes.broadcast_to, call((4, 1), (3,), constants={1: [2, 4, 3]}), (2, 4, 3)),
        (shapes.fill, call((2,), (), constants={0: [4, 3]}), (4, 3)),
        (shapes.fill, call((2,), (1,), constants={0: [4, 3]}), (4, 3)),
        (shapes.shape_of, call(IMAGE), (4,)),
        (shapes.resize, call(IMAGE, (2,), constants={1: [9, 5]}), (1, 9, 5, 8)),
        (shapes.space_to_depth, call(IMAGE, block_size=2), (1, 3, 2, 32)),
        (shapes.depth_to_space, call(IMAGE, block_size=2), (1, 12, 8, 2)),
        (
            shapes.space_to_batch,
            call(IMAGE, (2,), (2, 2), constants={1: [2, 3], 2: [1, 3, 0, 2]}),
            (6, 5, 2, 8),
        ),
        (
            shapes.batch_to_space,
            call((12, 6, 4, 8), (2,), (2, 2), constants={1: [2, 3], 2: [1, 3, 0, 2]}),
            (2, 8, 10, 8),
        ),
        (
            shapes.batch_matmul,
            call((5, 1, 2, 3), (4, 3, 7), adj_x=False, adj_y=False),
            np.matmul(np.zeros((5, 1, 2, 3)), np.zeros((4, 3, 7))).shape,
        ),
        (shapes.batch_matmul, call((3, 2), (7, 3), adj_x=True, adj_y=True), (2, 7)),
        (
            shapes.transpose_convolution,
            call((4,), (16, 3, 2, 8), IMAGE, constants={0: [1, 13, 12, 16]}, stride_h=2, stride_w=3, padding=1),
            (1, 13, 12, 16),
        ),
        (shapes.arg_max, call(VALUES.shape, (), constants={1: [-2]}), VALUES.argmax(-2).shape),
        (shapes.along_axis, call(VALUES.shape, (2,), constants={1: [0, -1]}), VALUES.shape),
        (
            shapes.mirror_pad,
            call((3, 4), (2, 2), constants={1: [2, 1, 0, 3]}, mode=0),
            np.pad(np.zeros((3, 4)), ((2, 1), (0, 3)), "reflect").shape,
        ),
        (
            shapes.mirror_pad,
            call((3, 4), (2, 2), constants={1: [3, 1, 0, 4]}, mode=1),
            np.pad(np.zeros((3, 4)), ((3, 1), (0, 4)), "symmetric").shape,
        ),
    ],
)
def test_shape_functions_return_the_output_shapes_of_operators(
    infer: Infer, arguments: Call, expected: Shape | list[Shape]
) -> None:
    found = infer(arguments)
    assert found == expected
    shapes_found = found if isinstance(found, list) else [found]
    assert all(type(length) is int for shape in shapes_found for length in shape)  # a float would pass the comparison


@pytest.mark.parametrize(
    ("infer", "arguments", "expected"),
    [
        (shapes.split, call((), (4, 1024), constants={0: [1]}, num_splits=1024), [(4, 1)] * 1024),
        (shapes.unpack, call((1024, 3), axis=0, num=1024), [(3,)] * 1024),
        (shapes.strided_slice, strided([0], [7], [8192]), (1, 5)),
        (shapes.strided_slice, strided([-1], [0], [-8192]), (1, 5)),
        (shapes.strided_slice, strided([-7], [0], [1], shrink=1), (5,)),
        (shapes.strided_slice, strided([0], [0], [1], shrink=1), (5,)),
        (shapes.split, call((), (4, 6, 3), constants={0: [1]}, num_splits=1), [(4, 6, 3)]),
        (shapes.slice_of, call((7, 5), (2,), (2,), constants={1: [2, 4], 2: [1, -1]}), (1, 1)),
        (shapes.broadcast_to, call((4, 1), (2,), constants={1: [4, 3]}), (4, 3)),
        (shapes.broadcast_to, call((4,), (3,), constants={1: [2, 3, 4]}), (2, 3, 4)),
        (shapes.tile, call((3, 4), (2,), constants={1: [1, 1024]}), (3, 4096)),
        (shapes.fill, call((3,), (), constants={0: [1 << 10, 1 << 10, 1 << 10]}), (1 << 10, 1 << 10, 1 << 10)),
        (shapes.fill, call((4,), (), constants={0: [1, 1, 1, (1 << 20) - 1]}), (1, 1, 1, (1 << 20) - 1)),
        (shapes.resize, call(IMAGE, (2,), constants={1: [1, 8192]}), (1, 1, 8192, 8)),
        (shapes.resize, call(IMAGE, (2,), constants={1: [8192, 1]}), (1, 8192, 1, 8)),
        (shapes.space_to_depth, call(IMAGE, block_size=1), IMAGE),
        (shapes.space_to_depth, call((1, 2048, 1024, 1), block_size=1024), (1, 2, 1, 1 << 20)),
        (shapes.space_to_batch, call(IMAGE, (2,), (2, 2), constants={1: [1, 1], 2: [0, 0, 0, 0]}), IMAGE),
        (
            shapes.space_to_batch,
            call((1, 1, 1, 1), (2,), (2, 2), constants={1: [1024, 1024], 2: [1023, 0, 0, 1023]}),
            (1 << 20, 1, 1, 1),
        ),
        (
            shapes.space_to_batch,
            call((1, 1, 1, 1), (2,), (2, 2), constants={1: [1, 1], 2: [8192, 8192, 8192, 8192]}),
            (1, 16385, 16385, 1),
        ),
        (shapes.space_to_batch, call(IMAGE, (2,), (2, 2), constants={1: [1, 3], 2: [0, 0, 4, 1]}), (3, 6, 3, 8)),
        (shapes.batch_to_space, call(IMAGE, (2,), (2, 2), constants={1: [1, 1], 2: [5, 0, 0, 3]}), (1, 1, 1, 8)),
        (shapes.batch_matmul, call((2, 3), (5, 4, 3, 2), adj_x=False, adj_y=False), (5, 4, 2, 2)),
        (shapes.batch_matmul, call((4, 3, 2), (4, 7, 3), adj_x=True, adj_y=True), (4, 2, 7)),
        (
            shapes.mirror_pad,
            call((2, 3, 4), (3, 2), constants={1: [0, 0, 0, 0, 3, 3]}, mode=0),
            (2, 3, 10),
        ),
    ],
)
def test_shape_functions_accept_values_at_their_limits(
    infer: Infer, arguments: Call, expected: Shape | list[Shape]
) -> None:
    assert infer(arguments) == expected


@pytest.mark.parametrize(
    ("infer", "arguments", "message"),
    [
        (shapes.broadcast_shape, call((1, 2, 1, 3, 4), (4,)), "inputs of rank 5"),
        (shapes.prelu, call((1, 6, 1, 8), (4, 8)), "slopes"),
        (shapes.equal_shapes, call((4, 3), (3,)), "different shapes"),
        (shapes.select, call((4, 3), (4, 3), (4, 1)), "different shapes"),
        (shapes.select, call((4, 1), (4, 3), (4, 3)), "different shapes"),
        (shapes.expand_dims, call((4, 3), (), constants={1: [3]}), "axis 3 of 3"),
        (shapes.expand_dims, call((4, 3), (2,), constants={1: [0, 1]}), "2 values, not 1"),
        (shapes.pack, call((4, 3), (4, 3), values_count=3, axis=0), "3 inputs declared, and 2 there"),
        (shapes.pack, call((4, 3), (4, 3), values_count=2, axis=3), "axis 3 of 3"),
        (shapes.unpack, call((4, 3), axis=1, num=2), "2 parts of 3"),
        (shapes.unpack, call((1025, 3), axis=0, num=1025), "1025 parts"),
        (shapes.split, call((), (4, 6), constants={0: [1]}, num_splits=4), "6 values in 4 parts"),
        (shapes.split, call((), (4, 6), constants={0: [1]}, num_splits=0), "6 values in 0 parts"),
        (shapes.split, call((), (4, 2050), constants={0: [1]}, num_splits=1025), "in 1025 parts"),
        (
            shapes.split_v,
            call((4, 7), (2,), (), constants={1: [3, 4], 2: [1]}, num_splits=3),
            "7 values in parts",
        ),
        (
            shapes.split_v,
            call((4, 7), (2,), (), constants={1: [3, 3], 2: [1]}, num_splits=2),
            "7 values in parts",
        ),
        (
            shapes.split_v,
            call((4, 7), (2,), (), constants={1: [7, -1], 2: [1]}, num_splits=2),
            "7 values in parts",
        ),
        (
            shapes.split_v,
            call((4, 7), (3,), (), constants={1: [-1, -1, 9], 2: [1]}, num_splits=3),
            "7 values in parts",
        ),
        (shapes.take, call((4, 3), (1,), constants={1: [3]}, axis=1, batch_dims=0), "out of range"),
        (shapes.take, call((4, 3), (1,), constants={1: [-1]}, axis=1, batch_dims=0), "out of range"),
        (shapes.take, call((4, 3), (1,), constants={1: [0]}, axis=1, batch_dims=1), "for each batch"),
        (shapes.slice_of, call((7, 5), (2,), (2,), constants={1: [2, 1], 2: [6, 1]}), "a slice of 6 from 2 of 7"),
        (shapes.slice_of, call((7, 5), (2,), (2,), constants={1: [-1, 1], 2: [1, 1]}), "a slice of 1 from -1"),
        (shapes.slice_of, call((7, 5), (2,), (2,), constants={1: [7, 1], 2: [-1, 1]}), "a slice of -1 from 7"),
        (shapes.slice_of, call((7, 5), (1,), (1,), constants={1: [0], 2: [1]}), "1 values, not 2"),
        (shapes.strided_slice, strided([0], [1], [1], ellipsis_mask=1), "new axes"),
        (shapes.strided_slice, strided([0], [1], [1], new_axis_mask=1), "new axes"),
        (shapes.strided_slice, strided([0], [1], [1], offset=True), "new axes"),
        (shapes.strided_slice, strided([], [], []), "0 dimensions of 2"),
        (shapes.strided_slice, strided([0, 0, 0], [1, 1, 1], [1, 1, 1]), "3 dimensions of 2"),
        (shapes.strided_slice, strided([0, 0], [1], [1, 1]), "2 dimensions of 2"),
        (shapes.strided_slice, strided([3], [3], [1]), "an empty slice"),
        (shapes.strided_slice, strided([0], [5], [0]), "a step of 0"),
        (shapes.strided_slice, strided([0], [5], [8193]), "a step of 8193"),
        (shapes.strided_slice, strided([7], [0], [1], shrink=1), "a position outside"),
        (shapes.strided_slice, strided([-8], [0], [1], shrink=1), "a position outside"),
        (shapes.strided_slice, strided([1], [0], [2], shrink=1), "a position outside"),
        (shapes.tile, call((3, 4), (2,), constants={1: [2, 0]}), "repeats"),
        (shapes.tile, call((3, 4), (2,), constants={1: [2, 1025]}), "repeats"),
        (shapes.broadcast_to, call((4, 2), (2,), constants={1: [4, 3]}), "broadcast to"),
        (shapes.broadcast_to, call((1, 4, 2), (2,), constants={1: [4, 2]}), "broadcast to"),
        (shapes.broadcast_to, call((1,), (2,), constants={1: [4, 0]}), r"an array of shape \[4, 0\]"),
        (shapes.broadcast_to, call((1,), (5,), constants={1: [1, 1, 1, 1, 1]}), "an array of shape"),
        (shapes.fill, call((1,), (2,), constants={0: [4]}), "several values"),
        (shapes.fill, call((1,), (), constants={0: [1 << 20]}), "an array of shape"),
        (shapes.fill, call((3,), (), constants={0: [1 << 19, 1 << 11, 2]}), "an array of shape"),
        (shapes.resize, call(IMAGE, (2,), constants={1: [0, 5]}), "resized to 0 x 5"),
        (shapes.resize, call(IMAGE, (2,), constants={1: [9, 8193]}), "resized to 9 x 8193"),
        (shapes.resize, call((6, 4, 8), (2,), constants={1: [9, 5]}), "rank 4"),
        (shapes.space_to_depth, call(IMAGE, block_size=4), "6 x 4 pixels in blocks of 4"),
        (shapes.space_to_depth, call((1, 4, 6, 8), block_size=4), "4 x 6 pixels in blocks of 4"),
        (shapes.space_to_depth, call(IMAGE, block_size=0), "blocks of 0 pixels"),
        (shapes.depth_to_space, call(IMAGE, block_size=4), "8 channels in blocks of 4"),
        (shapes.depth_to_space, call(IMAGE, block_size=1025), "blocks of 1025 pixels"),
        (
            shapes.space_to_batch,
            call(IMAGE, (2,), (2, 2), constants={1: [4, 2], 2: [0, 0, 0, 0]}),
            "padding",
        ),
        (
            shapes.space_to_batch,
            call(IMAGE, (2,), (2, 2), constants={1: [2, 3], 2: [0, 0, 0, 0]}),
            "padding",
        ),
        (
            shapes.space_to_batch,
            call(IMAGE, (2,), (2, 2), constants={1: [2, 2], 2: [-2, 0, 0, 0]}),
            "blocks",
        ),
        (
            shapes.space_to_batch,
            call(IMAGE, (2,), (2, 2), constants={1: [0, 2], 2: [0, 0, 0, 0]}),
            "blocks",
        ),
        (
            shapes.batch_to_space,
            call((5, 6, 4, 8), (2,), (2, 2), constants={1: [2, 2], 2: [0, 0, 0, 0]}),
            "crops",
        ),
        (
            shapes.batch_to_space,
            call((4, 6, 4, 8), (2,), (2, 2), constants={1: [2, 2], 2: [6, 6, 0, 0]}),
            "crops",
        ),
        (
            shapes.batch_to_space,
            call((4, 6, 4, 8), (2,), (2, 2), constants={1: [2, 2], 2: [0, 0, 4, 4]}),
            "crops",
        ),
        (shapes.batch_matmul, call((2, 3), (2, 3), adj_x=False, adj_y=False), "do not fit each other"),
        (shapes.batch_matmul, call((3,), (3, 2), adj_x=False, adj_y=False), "other ranks"),
        (shapes.batch_matmul, call((2, 3), (1, 1, 1, 3, 2), adj_x=False, adj_y=False), "other ranks"),
        (shapes.batch_matmul, call((2, 2, 3), (3, 3, 2), adj_x=False, adj_y=False), "do not fit each other"),
        (
            shapes.transpose_convolution,
            call((4,), (16, 3, 2, 7), IMAGE, constants={0: [1, 13, 11, 16]}, stride_h=2, stride_w=3, padding=1),
            "do not fit the channels",
        ),
        (
            shapes.transpose_convolution,
            call((4,), (16, 3, 2, 8), IMAGE, constants={0: [1, 15, 11, 16]}, stride_h=2, stride_w=3, padding=1),
            "does not fit the input",
        ),
        (
            shapes.transpose_convolution,
            call((4,), (16, 3, 2, 8), IMAGE, (8,), constants={0: [1, 13, 11, 16]}, stride_h=2, stride_w=3, padding=1),
            "bias",
        ),
        (shapes.arg_max, call(VALUES.shape, (), constants={1: [3]}), "axis 3 of 3"),
        (shapes.along_axis, call(VALUES.shape, (1,), constants={1: [-4]}), "axis -4 of 3"),
        (shapes.mirror_pad, call((3, 4), (2, 2), constants={1: [3, 0, 0, 0]}, mode=0), "padding"),
        (shapes.mirror_pad, call((3, 4), (2, 2), constants={1: [0, 0, 0, 5]}, mode=1), "padding"),
        (shapes.mirror_pad, call((3, 4), (2, 2), constants={1: [-1, 0, 0, 0]}, mode=1), "padding"),
        (shapes.mirror_pad, call((3, 4), (2, 2), constants={1: [0, 0, 0, 0]}, mode=2), "padding"),
        (shapes.mirror_pad, call((3, 4), (1, 2), constants={1: [0, 0]}, mode=0), "padding"),
    ],
)
def test_shape_functions_refuse_invalid_inputs_and_options(infer: Infer, arguments: Call, message: str) -> None:
    with pytest.raises(FlawError, match=message):
        infer(arguments)


def test_tile_operator_with_input_dependent_repetitions_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="depends on the photo"):
        shapes.tile(call((3, 4), (2,)))


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(-12, 12), st.integers(-12, 12)),
    st.tuples(st.integers(-12, 12), st.integers(-12, 12)),
    st.tuples(st.sampled_from([-3, -2, -1, 1, 2, 3]), st.sampled_from([-2, -1, 1, 2])),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_strided_slice_agrees_with_numpy(
    shape: tuple[int, int],
    begin: tuple[int, int],
    end: tuple[int, int],
    step: tuple[int, int],
    begin_mask: int,
    end_mask: int,
) -> None:
    cuts = tuple(
        slice(None if begin_mask >> i & 1 else begin[i], None if end_mask >> i & 1 else end[i], step[i])
        for i in range(2)
    )
    expected = np.zeros(shape)[cuts].shape
    arguments = call(
        shape, (2,), (2,), (2,), constants={1: begin, 2: end, 3: step}, **masks(begin=begin_mask, end=end_mask)
    )
    if 0 in expected:
        with pytest.raises(FlawError, match="an empty slice"):
            shapes.strided_slice(arguments)
    else:
        assert shapes.strided_slice(arguments) == expected
