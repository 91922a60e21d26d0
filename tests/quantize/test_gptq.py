"""Tests that compare GPTQ with Optimal Brain Surgeon, and its Hessian with outputs of TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poets_edge.quantize import gptq
from tests import yardstick

Floats = npt.NDArray[Any]

SEEDS = st.integers(0, 2**32 - 1)


def correlated_inputs(rng: np.random.Generator, samples: int, inputs: int) -> Floats:
    """Return random inputs that resemble those of a layer: correlated and not negative."""
    causes = rng.normal(size=(samples, max(inputs // 4, 1)))
    return np.maximum(causes @ rng.normal(size=(causes.shape[1], inputs)) + 0.1 * rng.normal(size=(samples, inputs)), 0)


def hessian_of(inputs: Floats) -> Floats:
    return np.asarray(inputs.T @ inputs, np.float32)


def rounded(weights: Floats, hessian: Floats) -> Floats:
    """Round weights with GPTQ as a single group, [inputs, outputs]."""
    return np.asarray(gptq._round(weights[None].astype(np.float32), hessian[None])[0], np.float64)


def to_nearest(weights: Floats) -> Floats:
    """Round each weight to the nearest 8-bit value, as a converter does."""
    step = np.abs(weights).max(axis=0) / 127
    return np.asarray(np.rint(weights / step) * step)


def by_definition(weights: Floats, hessian: Floats) -> Floats:
    """Round with Optimal Brain Surgeon: round the weights of each input, and adjust those of the remaining inputs."""
    left, hessian = weights.astype(np.float64), hessian.astype(np.float64)
    hessian = hessian + np.eye(len(hessian)) * 0.01 * np.diag(hessian).mean()
    inverse, step = np.linalg.inv(hessian), np.abs(left).max(axis=0) / 127
    largest = np.abs(left).argmax(axis=0)
    result = np.empty_like(left)
    for i in range(len(left)):
        level = np.clip(np.rint(left[i] / step), -127, 127)
        level = np.where(largest == i, np.sign(weights[i]) * 127, level)
        result[i] = level * step
        error = (left[i] - result[i]) / inverse[i, i]
        left -= inverse[:, i, None] * error[None, :]
        inverse = inverse - np.outer(inverse[:, i], inverse[i]) / inverse[i, i]
    return result


@given(SEEDS, st.integers(1, 150), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_rounded_weights_are_multiples_of_the_8_bit_step(seed: int, inputs: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(inputs, outputs)).astype(np.float32)
    found = rounded(weights, hessian_of(correlated_inputs(rng, 50, inputs)))
    largest = np.abs(weights).max(axis=0)
    assert np.abs(found).max(axis=0) == pytest.approx(largest, rel=1e-6)
    levels = found / (largest / 127)
    assert np.abs(levels - np.rint(levels)).max() < 1e-3
    # The grid can be derived from the rounded weights.
    assert to_nearest(found) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("inputs", [5, 64, 65, 150], ids=lambda count: f"{count} inputs")
def test_gptq_rounding_agrees_with_optimal_brain_surgeon(inputs: int) -> None:
    """Layers with more than 64 inputs are rounded in several batches of inputs."""
    rng = np.random.default_rng(inputs)
    weights, hessian = rng.normal(size=(inputs, 20)), hessian_of(correlated_inputs(rng, 400, inputs))
    found, defined = rounded(weights, hessian), by_definition(weights, hessian)
    # A weight halfway between two levels may be rounded either way, which changes the weights after it.
    same = np.isclose(found, defined, atol=1e-6).all(axis=0)
    assert same.mean() >= 0.9


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_weights_are_rounded_to_nearest_if_inputs_are_uncorrelated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(30, 4)).astype(np.float32)
    found = rounded(weights, np.diag(rng.uniform(0.1, 10, 30)).astype(np.float32))
    # A weight halfway between two levels may be rounded either way.
    decided = np.abs(weights / (np.abs(weights).max(axis=0) / 127) % 1 - 0.5) > 1e-4
    assert decided.sum() >= 115
    assert found[decided] == pytest.approx(to_nearest(weights)[decided], abs=1e-5)


@pytest.mark.parametrize("inputs", [9, 128])
def test_gptq_halves_the_output_error_of_rounding_to_nearest(inputs: int) -> None:
    rng = np.random.default_rng(0)
    weights, seen = rng.normal(size=(inputs, 50)), correlated_inputs(rng, 1000, inputs)

    def error(of: Floats) -> float:
        return float(((seen @ (of - weights)) ** 2).mean())

    assert error(rounded(weights, hessian_of(seen))) < 0.5 * error(to_nearest(weights))


def test_groups_of_weights_are_rounded_independently() -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(3, 9, 1)).astype(np.float32)
    hessians = np.stack([hessian_of(correlated_inputs(rng, 50, 9)) for _ in range(3)])
    together = gptq._round(weights, hessians)
    for group in range(3):
        np.testing.assert_array_equal(together[group], rounded(weights[group], hessians[group]).astype(np.float32))


def test_rounding_handles_inputs_and_weights_that_are_all_zero() -> None:
    rng = np.random.default_rng(2)
    weights, seen = rng.normal(size=(20, 3)), correlated_inputs(rng, 50, 20)
    seen[:, 5:9] = 0
    weights[:, 1] = 0
    for hessian in (hessian_of(seen), np.zeros((20, 20), np.float32)):
        found = rounded(weights, hessian)
        assert np.isfinite(found).all() and not found[:, 1].any()


@pytest.mark.parametrize("depthwise", [False, True], ids=["ordinary", "depthwise"])
def test_hessian_of_several_photos_is_the_sum_over_photos(depthwise: bool) -> None:
    rng = np.random.default_rng(5)
    hessian = gptq.Hessian(gptq.GptqLayer(np.ones((3, 3, 4, 1), np.float32), depthwise, (1, 1), "SAME"))
    photos = rng.normal(size=(3, 20, 16, 4)).astype(np.float32)
    samples = [hessian.samples(photo, hessian.positions(photo.shape, rng)) for photo in photos]
    each = [hessian.products([photo]) for photo in samples]
    np.testing.assert_allclose(hessian.products(samples), sum(each), rtol=1e-4, atol=1e-3)
    assert not np.allclose(each[0], each[1])


@pytest.mark.parametrize("depthwise", [False, True], ids=["ordinary", "depthwise"])
@pytest.mark.parametrize(("padding", "stride"), [("SAME", 1), ("SAME", 2), ("VALID", 2)])
def test_hessian_predicts_the_sum_of_squared_outputs_of_a_convolution(
    depthwise: bool, padding: str, stride: int
) -> None:
    """For a convolution with weights w and Hessian H, w'Hw must be the sum of its squared outputs."""
    tf = yardstick.tensorflow()
    rng = np.random.default_rng(3)
    pictures = rng.normal(size=(3, 11, 8, 4)).astype(np.float32)  # fewer outputs each than are sampled
    weights = rng.normal(size=(3, 3, 4, 1)).astype(np.float32)
    hessian = gptq.Hessian(gptq.GptqLayer(weights, depthwise, (stride, stride), padding))
    for picture in pictures:
        hessian.add(picture, rng)
    convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
    outputs = convolve(pictures, weights, [1, stride, stride, 1], padding).numpy().astype(np.float64)
    grouped = weights[..., 0].reshape(9, 4).T if depthwise else weights.reshape(1, -1)
    squares = np.einsum("gi,gij,gj->g", grouped, hessian.sums, grouped)
    assert squares == pytest.approx((outputs**2).sum(axis=(0, 1, 2)), rel=1e-4)


@pytest.mark.parametrize("depthwise", [False, True], ids=["ordinary", "depthwise"])
def test_bias_correction_restores_the_mean_outputs(depthwise: bool) -> None:
    tf = yardstick.tensorflow()
    rng = np.random.default_rng(6)
    pictures = rng.uniform(0, 2, (3, 11, 8, 4)).astype(np.float32)  # fewer outputs each than are sampled
    weights = rng.normal(size=(3, 3, 4, 1 if depthwise else 5)).astype(np.float32)
    hessian = gptq.Hessian(gptq.GptqLayer(weights, depthwise, (2, 2), "SAME"))
    for picture in pictures:
        hessian.add(picture, rng)
    rounded = (np.rint(weights * 2) / 2).astype(np.float32)
    convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
    before, after = (
        convolve(pictures, kernel, [1, 2, 2, 1], "SAME").numpy().mean(axis=(0, 1, 2)) for kernel in (weights, rounded)
    )
    assert np.abs(before - after).max() > 0.3
    np.testing.assert_allclose(after + hessian.bias_correction(rounded), before, atol=1e-5)


@pytest.mark.parametrize(("kernel", "strides"), [((3, 2), (2, 1)), ((1, 3), (1, 2)), ((2, 3), (1, 1))])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_hessian_samples_are_the_input_patches_of_a_non_square_kernel(
    kernel: tuple[int, int], strides: tuple[int, int], padding: str
) -> None:
    """The samples must equal the windows of the padded image, in row-major order."""
    layer = gptq.GptqLayer(np.zeros((*kernel, 2, 4), np.float32), False, strides, padding)
    pixels = np.random.default_rng(0).normal(size=(7, 5, 2)).astype(np.float32)
    counts, before, after = [], [], []
    for length, window, stride in zip((7, 5), kernel, strides, strict=True):
        count = -(-length // stride) if padding == "SAME" else (length - window) // stride + 1
        zeros = max((count - 1) * stride + window - length, 0)
        counts.append(count)
        before.append(zeros // 2)
        after.append(zeros - zeros // 2)
    padded = np.pad(pixels, ((before[0], after[0]), (before[1], after[1]), (0, 0)))
    expected = [
        padded[row * strides[0] :, column * strides[1] :][: kernel[0], : kernel[1]].ravel()
        for row in range(counts[0])
        for column in range(counts[1])
    ]
    found = gptq.Hessian(layer).samples(pixels, np.arange(counts[0] * counts[1]))
    np.testing.assert_array_equal(found, np.stack(expected))


def test_gptq_never_rounds_a_weight_above_the_largest_weight() -> None:
    """The second input is about a tenth of the first, so GPTQ would raise its weight from 126.4 to more than 127."""
    rng = np.random.default_rng(0)
    first, third = rng.normal(size=(2, 500))
    inputs = np.stack([first, first / 10 + rng.normal(size=500) / 1000, third], axis=1)
    weights = np.array([[0.45], [126.4], [127.0]])
    hessian = hessian_of(inputs)
    assert rounded(weights, hessian).ravel().tolist() == [0, 127, 127]
    np.testing.assert_allclose(rounded(weights, hessian), by_definition(weights, hessian))


@pytest.mark.parametrize(
    ("shape", "depthwise", "possible"),
    [((3, 3, 8, 1), True, True), ((3, 3, 8, 2), True, False), ((1, 1, 1248, 4), False, True),
     ((1, 1, 1249, 4), False, False), ((3, 3, 139, 4), False, False)],
)  # fmt: skip
def test_gptq_can_round_layers_with_one_output_per_channel_or_a_small_hessian(
    shape: tuple[int, ...], depthwise: bool, possible: bool
) -> None:
    layer = gptq.GptqLayer(np.zeros(shape, np.float32), depthwise, (1, 1), "SAME")
    assert layer.can_be_rounded() == possible
