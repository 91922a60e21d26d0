"""Tests of the float first convolution of int8 models, whose sums are exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.device.classifier import Classifier
from poets_edge.photos.image import fit, read_photo
from poets_edge.quantize.float_io import exact_floats, for_pixels
from poets_edge.quantize.write_detector import remove_detector
from poets_edge.tflite.flatbuffer import operator_code, pack_model, schema, unpack_model
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model
from poets_edge.tflite.session import Session
from poets_edge.tflite.write_metadata import ModelInfo, with_metadata
from tests.conftest import DAISY, ROSE, Trained
from tests.tflite_tensors import constant_values

_SIZES = st.floats(1e-6, 1e6)


@given(st.integers(0, 2**32 - 1), _SIZES, _SIZES, st.booleans())
def test_sums_of_exact_floats_do_not_depend_on_order(seed: int, weight: float, offset: float, one_large: bool) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, weight, (2, 3, 3, 3))
    if one_large:
        weights[0, 0, 0, 0] *= 1000
    exact_weights, exact_bias = exact_floats(weights, rng.normal(0, offset, 2))
    pixels = rng.choice([-128, 127, 0, 1], 27) / 128  # the largest sums come from the extreme values
    for kernel, bias in zip(exact_weights.reshape(2, -1), exact_bias, strict=True):
        pixels *= np.sign(kernel) if rng.random() < 0.5 else 1
        parts = np.append(pixels * kernel.astype(np.float64), np.float64(bias))
        for _ in range(5):
            rng.shuffle(parts)
            total = np.float32(0)
            for part in parts.astype(np.float32):
                total += part
            assert float(total) == parts.sum()


@given(st.integers(0, 2**32 - 1))
def test_rounding_to_exact_floats_limits_weights_to_eleven_bits_of_precision(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, bias = rng.normal(0, 1, (4, 3, 3, 3)), rng.normal(0, 1, 4)
    exact_weights, exact_bias = exact_floats(weights, bias)
    largest = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    assert (np.abs(exact_weights - weights) <= largest / 2**11).all()
    assert np.abs(exact_bias - bias).max() < 1e-3


def test_rounding_to_exact_floats_preserves_zero_weights() -> None:
    exact_weights, exact_bias = exact_floats(np.zeros((1, 3, 3, 3)), np.zeros(1))
    assert not exact_weights.any() and not exact_bias.any()


@given(st.integers(0, 2**32 - 1))
def test_converting_first_layer_weights_to_pixel_values_preserves_the_output(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, bias, photo = rng.normal(0, 1, (4, 3, 3, 3)), rng.normal(0, 1, 4), rng.integers(0, 256, (3, 3, 3))
    pixel_weights, pixel_bias = for_pixels(weights, bias)
    expected = np.einsum("hwc,ohwc->o", (photo - 127.5) / 127.5, weights) + bias
    assert np.einsum("hwc,ohwc->o", (photo - 128) / 128, pixel_weights) + pixel_bias == pytest.approx(expected)


def test_metadata_added_to_a_model_contains_the_normalization_of_its_input(trained: Trained, tmp_path: Path) -> None:
    """The normalization is derived from the scale of the uint8 input, which may come from TensorFlow's converter."""
    tree = unpack_model(trained.model("int8").read_bytes())
    tree.metadata = []
    photo = tree.subgraphs[0].tensors[tree.subgraphs[0].inputs[0]]
    photo.quantization.scale, photo.quantization.zeroPoint = [1 / 127.5], [127]
    (tmp_path / "other.tflite").write_bytes(with_metadata(pack_model(tree), ModelInfo("other", "for tests", ())))
    assert read_metadata(read_model(tmp_path / "other.tflite")).mean == (127.5,)
    assert read_metadata(read_model(trained.model("int8"))).mean == (128,)


def test_int8_model_has_float_first_layer_and_softmax(trained: Trained) -> None:
    tree, codes = unpack_model(trained.model("int8").read_bytes()), schema().BuiltinOperator
    graph = tree.subgraphs[0]
    remove_detector(tree)
    operators = [operator_code(tree, operator) for operator in graph.operators]
    assert operators[:4] == [codes.DEQUANTIZE, codes.CONV_2D, codes.QUANTIZE, codes.DEPTHWISE_CONV_2D]
    assert operators[-3:] == [codes.DEQUANTIZE, codes.SOFTMAX, codes.QUANTIZE]
    assert set(operators[3:-3]) == {codes.CONV_2D, codes.DEPTHWISE_CONV_2D, codes.MEAN, codes.FULLY_CONNECTED}
    weights = constant_values(tree, graph.tensors[graph.operators[1].inputs[1]])
    assert weights.dtype == np.float32 and len(np.unique(weights)) > 100
    # The operators between them are int8.
    inner = {index for operator in graph.operators[3:-3] for index in operator.outputs}
    assert {graph.tensors[index].type for index in inner} == {schema().TensorType.INT8}


def test_int8_model_accepts_raw_pixels(trained: Trained, flowers: Path) -> None:
    """Pixel values are the input as they are, so programs can ignore the scale of the input tensor."""
    model = Classifier(trained.model("int8"))
    pixels = fit(read_photo(flowers / DAISY), model.size)
    assert np.array_equal(model.input_values(pixels), pixels)


@pytest.mark.parametrize("accelerate", [True, False], ids=["XNNPACK", "plain kernels"])
def test_first_layer_of_an_int8_model_computes_exact_sums(
    trained: Trained, flowers: Path, tmp_path: Path, accelerate: bool
) -> None:
    """Two implementations that sum in different orders return exactly the same values as float64 arithmetic."""
    model = Classifier(trained.model("int8"))
    tree = unpack_model(model.path.read_bytes())
    graph = tree.subgraphs[0]
    convolution = graph.operators[1]
    kernel, bias = (constant_values(tree, graph.tensors[index]).astype(np.float64) for index in convolution.inputs[1:])
    graph.operators, graph.outputs, tree.signatureDefs = graph.operators[:2], convolution.outputs, []
    (tmp_path / "first_layer.tflite").write_bytes(pack_model(tree))
    session = Session(tmp_path / "first_layer.tflite", accelerate=accelerate)
    for name in (DAISY, ROSE):
        values = model.input_values(fit(read_photo(flowers / name), model.size))
        [summed] = session.run(values[None])
        real = (values.astype(np.float64) - model.input.zero_point) * model.input.scale
        padded = np.pad(real, ((0, 1), (0, 1), (0, 0)))  # TensorFlow's SAME at stride 2 and an even size
        patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::2, ::2]
        expected = np.clip(np.einsum("yxchw,ohwc->yxo", patches, kernel) + bias, 0, 6)
        assert len(np.unique(expected)) > 10_000, "the answers must vary"
        assert np.array_equal(summed, expected)


def test_rounding_to_exact_floats_prevents_overflow_if_all_weights_are_rounded_up() -> None:
    """The sum of the weights fits into 24 bits, but not if each of them is rounded up."""
    assert 128 * 27 * 4854.51 < 2**24 < 128 * 27 * 4855
    exact_weights, _ = exact_floats(np.full((1, 3, 3, 3), 4854.51), np.zeros(1))
    assert (exact_weights == 4854.0).all(), "a multiple of 2, with half of the sum in integers"
