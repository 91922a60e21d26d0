"""Tests of output shapes against TensorFlow's definitions, with images that are not square."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from poets_edge.tflite.verify import shapes
from poets_edge.tflite.verify.shapes import Call, Infer, Shape
from poets_edge.tflite.verify.tables import FlawError

SAME, VALID = 0, 1


def call(*inputs: Shape | None, constants: Mapping[int, Sequence[int]] | None = None, **options: Any) -> Call:
    return Call(inputs, constants or {}, options)


def window(
    padding: int = VALID, stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1)
) -> dict[str, Any]:
    return {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h": dilation[0],
        "dilation_w": dilation[1],
    }


def positions(length: int, filter_length: int, stride: int, dilation: int, padding: int) -> int:
    """Count the positions of a window by trying each of them."""
    if padding == SAME:
        return len(range(0, length, stride))
    reach = max(tap * dilation for tap in range(filter_length))
    return sum(1 for start in range(0, length, stride) if start + reach < length)


@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from([SAME, VALID]),
)
def test_output_size_depends_on_stride_dilation_and_padding(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: int
) -> None:
    expected = tuple(positions(*sides, padding) for sides in zip(size, kernel, stride, dilation, strict=True))
    assume(all(expected))
    options = window(padding, stride, dilation)
    assert shapes.convolution(call((1, *size, 3), (8, *kernel, 3), **options)) == (1, *expected, 8)
    depthwise = call((1, *size, 3), (1, *kernel, 6), **options, depth_multiplier=2)
    assert shapes.depthwise_convolution(depthwise) == (1, *expected, 6)
    if dilation == (1, 1):
        pool = call((1, *size, 3), **options, filter_height=kernel[0], filter_width=kernel[1])
        assert shapes.pooling(pool) == (1, *expected, 3)


def test_convolution_shape_accounts_for_dilation() -> None:
    """A 3 x 3 kernel with dilation (2, 3) covers 5 x 7 pixels."""
    options = window(VALID, (2, 1), (2, 3))
    assert shapes.convolution(call((1, 10, 12, 4), (8, 3, 3, 4), **options)) == (1, 3, 6, 8)
    with pytest.raises(FlawError, match="window larger than the picture"):
        shapes.convolution(call((1, 10, 6, 4), (8, 3, 3, 4), **options))
    assert shapes.convolution(call((1, 10, 7, 4), (8, 3, 3, 4), **options)) == (1, 3, 1, 8)


@pytest.mark.parametrize(
    ("infer", "arguments", "expected"),
    [
        (shapes.fully_connected, call((1, 12), (5, 12), (5,), weights_format=0, keep_num_dims=False), (1, 5)),
        (shapes.fully_connected, call((2, 3, 4), (5, 4), weights_format=0, keep_num_dims=True), (2, 3, 5)),
        (shapes.fully_connected, call((2, 3, 4), (5, 4), None, weights_format=0, keep_num_dims=False), (6, 5)),
        (shapes.elementwise, call((1, 7, 5, 3), (3,)), (1, 7, 5, 3)),
        (shapes.elementwise, call((7, 1), (1, 5)), (7, 5)),
        (shapes.elementwise, call((3,), (1, 7, 5, 3)), (1, 7, 5, 3)),
        (shapes.concatenation, call((1, 7, 5, 3), (1, 7, 5, 4), axis=3), (1, 7, 5, 7)),
        (shapes.concatenation, call((1, 7, 5, 3), (1, 2, 5, 3), axis=-3), (1, 9, 5, 3)),
        (shapes.reshape, call((1, 7, 5, 3), (2,), constants={1: [1, 105]}), (1, 105)),
        (shapes.reshape, call((1, 7, 5, 3), (2,), constants={1: [-1, 15]}), (7, 15)),
        (shapes.reshape, call((1, 7, 5, 3), (3,), constants={1: [5, -1, 3]}), (5, 7, 3)),
        (shapes.reshape, call((1, 7, 5, 3), new_shape=[-1]), (105,)),
        (shapes.reshape, call((1, 7, 5, 3), new_shape=[1, -1, 1]), (1, 105, 1)),
        (shapes.reshape, call((1, 7, 5, 3), new_shape=[35, 3]), (35, 3)),
        (shapes.pad, call((1, 7, 5, 3), (4, 2), constants={1: [0, 0, 1, 2, 3, 4, 0, 0]}), (1, 10, 12, 3)),
        (shapes.mean, call((1, 7, 5, 3), (2,), constants={1: [1, 2]}, keep_dims=False), (1, 3)),
        (shapes.mean, call((1, 7, 5, 3), (2,), constants={1: [-3, 2]}, keep_dims=True), (1, 1, 1, 3)),
        (shapes.mean, call((1, 7, 5, 3), (1,), constants={1: [1]}, keep_dims=False), (1, 5, 3)),
        (shapes.squeeze, call((1, 7, 1, 3), squeeze_dims=[]), (7, 3)),
        (shapes.squeeze, call((1, 7, 1, 3), squeeze_dims=[2]), (1, 7, 3)),
        (shapes.squeeze, call((1, 7, 1, 3), squeeze_dims=[-4]), (7, 1, 3)),
        (shapes.transpose, call((1, 7, 5, 3), (4,), constants={1: [0, 3, 1, 2]}), (1, 3, 7, 5)),
    ],
)
def test_shape_functions_return_the_output_shape_of_operators(infer: Infer, arguments: Call, expected: Shape) -> None:
    assert infer(arguments) == expected


@pytest.mark.parametrize(
    ("infer", "arguments", "message"),
    [
        (shapes.convolution, call((1, 7, 5), (8, 3, 3, 3), **window()), "rank 4"),
        (shapes.convolution, call((1, 7, 5, 4), (8, 3, 3, 3), **window()), "do not fit the channels"),
        (shapes.convolution, call((1, 7, 5, 6), (7, 3, 3, 3), **window()), "do not fit the channels"),
        (shapes.convolution, call((1, 7, 5, 3), (8, 3, 3, 3), (7,), **window()), "bias"),
        (shapes.convolution, call((1, 7, 5, 3), (8, 3, 3, 3), (1, 8), **window()), "bias"),
        (shapes.convolution, call((1, 7, 5, 3), (8, 3, 3, 3), **window(stride=(0, 1))), "stride, dilation"),
        (shapes.convolution, call((1, 7, 5, 3), (8, 3, 3, 3), **window(SAME, stride=(1, 4097))), "stride, dilation"),
        (shapes.convolution, call((1, 7, 5, 3), (8, 3, 3, 3), **window(SAME, dilation=(1, 0))), "stride, dilation"),
        (shapes.convolution, call((1, 7, 5, 3), (8, 3, 3, 3), **window(2)), "padding"),
        (
            shapes.depthwise_convolution,
            call((1, 7, 5, 3), (2, 3, 3, 3), **window(), depth_multiplier=1),
            "do not fit the channels",
        ),
        (
            shapes.depthwise_convolution,
            call((1, 7, 5, 3), (1, 3, 3, 6), **window(), depth_multiplier=1),
            "do not fit the channels",
        ),
        (
            shapes.depthwise_convolution,
            call((1, 7, 5, 3), (1, 3, 3, 4), **window(), depth_multiplier=0),
            "do not fit the channels",
        ),
        (shapes.pooling, call((1, 7, 5, 3), **window(), filter_height=0, filter_width=2), "a window of"),
        (shapes.pooling, call((1, 7, 5, 3), **window(SAME), filter_height=2, filter_width=4097), "a window of"),
        (shapes.pooling, call((1, 7, 5, 3), **window(), filter_height=2, filter_width=6), "larger than the picture"),
        (shapes.fully_connected, call((1, 13), (5, 12), weights_format=0, keep_num_dims=False), "do not fit"),
        (shapes.fully_connected, call((4, 3), (5, 12), weights_format=0, keep_num_dims=True), "do not fit"),
        (shapes.fully_connected, call((1, 12), (5, 12), weights_format=1, keep_num_dims=False), "do not fit"),
        (shapes.fully_connected, call((1, 12), (5, 12), (4,), weights_format=0, keep_num_dims=False), "bias"),
        (shapes.elementwise, call((1, 7, 5, 3), (4,)), "do not fit each other"),
        (shapes.concatenation, call((1, 7, 5, 3), (1, 7, 4, 3), axis=3), "do not fit each other"),
        (shapes.concatenation, call((1, 7, 5, 3), (1, 7, 5, 3), axis=4), "axis 4 of 4"),
        (shapes.concatenation, call((1, 7, 5, 3), (1, 7, 5, 3), axis=-5), "axis -5 of 4"),
        (shapes.reshape, call((1, 7, 5, 3), (2,), constants={1: [1, 104]}), "105 values"),
        (shapes.reshape, call((1, 7, 5, 3), (2,), constants={1: [-1, 4]}), "105 values"),
        (shapes.reshape, call((1, 7, 5, 3), (2,), constants={1: [-1, -1]}), "105 values"),
        (shapes.reshape, call((1, 7, 5, 3), (2,), constants={1: [-1, 0]}), "105 values"),
        (shapes.reshape, call((1, 7, 5, 3), (3,), constants={1: [-5, -7, 3]}), "105 values"),
        (shapes.reshape, call((1, 7, 5, 3), (2,)), "depends on the photo"),
        (shapes.pad, call((1, 7, 5, 3), (4, 2), constants={1: [0, 0, -1, 2, 3, 4, 0, 0]}), "padding"),
        (shapes.pad, call((1, 7, 5, 3), (4, 2), constants={1: [0, 0, 0, 4097, 3, 4, 0, 0]}), "padding"),
        (shapes.pad, call((1, 7, 5, 3), (3, 2), constants={1: [0, 0, 1, 2, 3, 4]}), "padding"),
        (shapes.mean, call((1, 7, 5, 3), (1,), constants={1: [4]}, keep_dims=False), "axis 4 of 4"),
        (shapes.mean, call((1, 7, 5, 3), (1,), keep_dims=False), "depends on the photo"),
        (shapes.squeeze, call((1, 7, 1, 3), squeeze_dims=[1]), "cannot be squeezed"),
        (shapes.squeeze, call((1, 7, 1, 3), squeeze_dims=[4]), "axis 4 of 4"),
        (shapes.transpose, call((1, 7, 5, 3), (4,), constants={1: [0, 3, 1, 1]}), "axes in an invalid order"),
        (shapes.transpose, call((1, 7, 5, 3), (4,), constants={1: [0, 3, 1, 4]}), "axes in an invalid order"),
        (shapes.transpose, call((1, 7, 5, 3), (3,), constants={1: [0, 2, 1]}), "axes in an invalid order"),
    ],
)
def test_shape_functions_refuse_invalid_inputs_and_options(infer: Infer, arguments: Call, message: str) -> None:
    with pytest.raises(FlawError, match=message):
        infer(arguments)


@given(st.permutations([0, 1, 2, 3]), st.lists(st.integers(1, 5), min_size=4, max_size=4))
def test_transpose_and_pad_agree_with_numpy(order: list[int], lengths: list[int]) -> None:
    array = np.zeros(lengths)
    assert shapes.transpose(call(tuple(lengths), (4,), constants={1: order})) == array.transpose(order).shape
    amounts = [*lengths, *order]
    padded = np.pad(array, np.reshape(amounts, (4, 2)))
    assert shapes.pad(call(tuple(lengths), (4, 2), constants={1: amounts})) == padded.shape
