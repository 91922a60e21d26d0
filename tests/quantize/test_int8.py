"""Tests of scales, zero points, 8-bit weights and biases of int8 models against values computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poets_edge.errors import ModelError
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Network, Parameters, checked
from poets_edge.quantize.activation_statistics import calibrate
from poets_edge.quantize.int8_features import LogitQuantization, int8_features, round_weights
from poets_edge.quantize.write_int8 import QuantParams, can_be_int8, weight_scales, write_int8_model
from poets_edge.quantize.write_model import file_order, kernel_scales, quantize_kernel, write_float_model
from poets_edge.tflite.flatbuffer import schema, unpack_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from tests.conftest import ROOT
from tests.tflite_tensors import constant_values

SIZE = (8, 6)
LAYERS = (
    Layer("first", "convolution", (INPUT,), 4, (3, 3), 2, activation="relu6"),
    Layer("depth", "depthwise", ("first",), 4, (3, 3)),
    Layer("point", "convolution", ("depth",), 3, (1, 1)),
    Layer("pool", "max_pool", ("point",), 0, (2, 2), 2, "VALID"),
    Layer("mean", "mean", ("pool",)),
    Layer("logits", "dense", ("mean",), 2),
    Layer("scores", "softmax", ("logits",)),
)
RANGES = {
    "first": (0.0, 5.1),
    "depth": (-1.0, 4.1),
    "point": (-2.0, 3.0),
    "pool": (-1.0, 3.1),
    "mean": (-0.5, 2.0),
    "logits": (1.0, 10.2),
}


def network() -> Network:
    """Return a small network, in which all weights for one output of the last convolution are zero."""
    rng = np.random.default_rng(0)
    parameters = {
        "first": Parameters(rng.normal(size=(3, 3, 3, 4)).astype(np.float32), np.zeros(4, np.float32)),
        "depth": Parameters(
            (rng.normal(size=(3, 3, 4, 1)) * [[1], [10], [100], [1000]]).astype(np.float32),
            np.array([1, -2, 3, -4], np.float32),
        ),
        "point": Parameters(rng.normal(size=(1, 1, 4, 3)).astype(np.float32), np.array([0.5, 0, -0.25], np.float32)),
        "logits": Parameters(np.array([[1, -2], [0.5, 4], [-3, 1]], np.float32), np.array([0.1, -7], np.float32)),
    }
    parameters["point"].kernel[..., 1] = 0
    return checked(SIZE, LAYERS, parameters)


def tensors(content: bytes) -> tuple[Any, dict[str, Any]]:
    tree = unpack_model(content)
    return tree, {tensor.name.decode(): tensor for tensor in tree.subgraphs[0].tensors}


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (-1, 3, 4 / 255, -64),  # -128 + 63.75
        (0.5, 2, 2 / 255, -128),
        (-3, -1, 3 / 255, 127),
        (-1, 1.04, 0.008, -3),
        (0, 0, 1, -128),
        (0, 6, 6 / 255, -128),
    ],
)
def test_quantization_parameters_cover_the_range_and_zero(
    low: float, high: float, scale: float, zero_point: int
) -> None:
    found = QuantParams.over(low, high)
    assert found.scale == np.float32(scale) and found.zero_point == zero_point


@given(st.floats(-1e4, 1e4), st.floats(0.01, 1e4))
def test_quantization_parameters_represent_both_ends_of_the_range_within_half_a_step(low: float, width: float) -> None:
    high = low + width
    found = QuantParams.over(low, high)
    for end in (low, high, 0):
        integer = np.clip(np.rint(end / found.scale) + found.zero_point, -128, 127)
        assert abs((integer - found.zero_point) * float(found.scale) - end) <= 1.001 * found.scale / 2 + 1e-6 * abs(end)


def test_shared_quantization_covers_the_ranges_of_all_layers_that_share_it() -> None:
    """A pooling layer and a mean have the same scale as their input."""
    tree, _ = tensors(write_int8_model(network(), RANGES))
    found = {
        tensor.name.decode(): (list(tensor.quantization.scale), list(tensor.quantization.zeroPoint))
        for tensor in tree.subgraphs[0].tensors
        if tensor.type == schema().TensorType.INT8 and len(tensor.shape) in (2, 4) and b"/" not in tensor.name
    }
    shared = QuantParams.over(-2.0, 3.1)
    expected = {
        "first": QuantParams.over(0, 5.1),
        "depth": QuantParams.over(-1, 4.1),
        **dict.fromkeys(("point", "pool", "mean"), shared),
        "logits": QuantParams.over(0, 10.2),
    }
    assert found == {name: ([params.scale], [params.zero_point]) for name, params in expected.items()}


def test_quantization_scales_of_biases_are_products_of_input_and_weight_scales() -> None:
    net = network()
    tree, found = tensors(write_int8_model(net, RANGES))
    for name, source, axis in (("depth", "first", 3), ("point", "depth", 0), ("logits", "mean", 0)):
        weights = net.parameters[name]
        kernel = np.moveaxis(weights.kernel, -1, 0) if name != "logits" else weights.kernel.T
        # One row for each output.
        rows = (kernel[0].reshape(-1, 4).T if name == "depth" else kernel.reshape(len(kernel), -1)).astype(np.float64)
        largest = np.abs(rows).max(axis=1)
        scales = np.where(largest > 0, largest, 1) / 127
        tensor, bias = found[f"{name}/kernel"], found[f"{name}/bias"]
        np.testing.assert_allclose(tensor.quantization.scale, scales, rtol=1e-6)
        assert tensor.quantization.quantizedDimension == axis and not np.any(tensor.quantization.zeroPoint)
        integers = constant_values(tree, tensor)
        listed = integers[0].reshape(-1, 4).T if name == "depth" else integers.reshape(len(integers), -1)
        assert np.abs(listed - rows / scales[:, None]).max() <= 0.5 + 1e-4
        assert (np.abs(listed).max(axis=1) == np.where(largest > 0, 127, 0)).all()
        source_scale = float(found[source].quantization.scale[0])
        np.testing.assert_allclose(bias.quantization.scale, source_scale * scales, rtol=1e-6)
        steps = weights.bias / (source_scale * scales)
        assert np.abs(constant_values(tree, bias) - steps).max() <= 0.5 + 1e-3 * np.abs(steps).max()
    point = found["point/kernel"].quantization.scale
    assert point[1] == np.float32(1 / 127), "the scale of an output without weights must not be 0"


def test_weight_scales_are_large_enough_for_32_bit_biases() -> None:
    layer = Layer("point", "convolution", ("x",), 2, (1, 1))
    weights = Parameters(np.full((1, 1, 3, 2), 1e-6, np.float32), np.array([1000.0, 0.001], np.float32))
    found = weight_scales(layer, weights, np.float32(0.001))
    assert found[0] == pytest.approx(1000 / (0.001 * 2**30), rel=1e-6)
    assert found[1] == pytest.approx(1e-6 / 127, rel=1e-6)


def test_int8_model_has_uint8_or_float_input_and_output() -> None:
    """uint8 inputs represent n / 128 - 1, and uint8 scores n / 256. Float inputs are first rounded to 8 bits."""
    types = schema().TensorType
    tree, found = tensors(write_int8_model(network(), RANGES))
    graph = tree.subgraphs[0]
    [photo], [scores] = ([graph.tensors[index] for index in indices] for indices in (graph.inputs, graph.outputs))
    assert (photo.type, list(photo.shape)) == (types.UINT8, [1, 8, 6, 3])
    assert (list(photo.quantization.scale), list(photo.quantization.zeroPoint)) == ([1 / 128], [128])
    assert (scores.type, scores.name, list(scores.shape)) == (types.UINT8, b"scores", [1, 2])
    assert (list(scores.quantization.scale), list(scores.quantization.zeroPoint)) == ([1 / 256], [0])
    tree, found = tensors(write_int8_model(network(), RANGES, float_io=True))
    graph = tree.subgraphs[0]
    assert [graph.tensors[index].type for index in (*graph.inputs, *graph.outputs)] == [types.FLOAT32] * 2
    assert list(found["rounded"].quantization.scale) == [1 / 128]
    assert list(found["rounded"].quantization.zeroPoint) == [0]


def test_first_layer_is_adapted_to_the_normalization_of_its_input() -> None:
    """A pixel n becomes n / 127.5 - 1 in the network and in float models, and n / 128 - 1 in uint8 models."""
    kernel = network().parameters["first"].kernel.transpose(3, 0, 1, 2)
    found = {}
    for float_io in (False, True):
        tree, by_name = tensors(write_int8_model(network(), RANGES, float_io=float_io))
        found[float_io] = [constant_values(tree, by_name[f"first_layer/{part}"]) for part in ("kernel", "bias")]
    integers = quantize_kernel(kernel, 0)
    rounded = integers.values * integers.scales[:, None, None, None]
    np.testing.assert_allclose(found[True][0], rounded, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(found[False][0], found[True][0] * (128 / 127.5), atol=4e-4)
    assert np.abs(found[False][0] - found[True][0]).max() > 2e-3
    assert not found[True][1].any()
    np.testing.assert_allclose(found[False][1], 0.5 / 127.5 * rounded.sum(axis=(1, 2, 3)), atol=1e-4)


@pytest.mark.parametrize("float_io", [False, True])
def test_int8_model_agrees_with_the_float_model_within_quantization_error(float_io: bool) -> None:
    """The ranges are calibrated on the images that are compared. One step of the logits is 1/255 of their range."""
    net = network()
    net.parameters["depth"].kernel[:] /= np.array([1, 10, 100, 1000], np.float32)[:, None]
    pictures = [np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8) for seed in range(8)]
    ranges = calibrate(net, pictures, workers=1).ranges
    reference = Session(ModelFile(ROOT / "float", write_float_model(net, also=["logits"])))
    model = Session(ModelFile(ROOT / "int8", write_int8_model(net, ranges, float_io=float_io)))
    differences, varied = [], []
    for picture in pictures:
        real = (picture[None].astype(np.float32) - 127.5) / 127.5
        scores, _ = (np.array(values) for values in reference.run_all(real))
        found = model.outputs[0].dequantize(model.run(real if float_io else picture[None]))
        differences.append(np.abs(found - scores).max())
        varied.append(scores[0, 0])
    assert np.ptp(varied) > 0.2 and max(differences) < 0.05


def test_calibration_returns_the_smallest_and_largest_output_of_each_layer() -> None:
    net = network()
    pictures = [np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8) for seed in range(7)]
    found = calibrate(net, pictures, workers=2)
    names = [layer.name for layer in net.layers[:-1]]
    session = Session(ModelFile(ROOT / "float", write_float_model(net, also=names)))
    seen: dict[str, list[Any]] = {name: [] for name in names}
    for picture in pictures:
        real = (picture[None].astype(np.float64) / 127.5 - 1).astype(np.float32)
        outputs = [np.array(values) for values in session.run_all(real)]
        for name, values in zip(names, outputs[1:], strict=True):
            seen[name].append(values)
    assert set(found.ranges) == set(names) and set(found.kernels) == {"first", "depth", "point"}
    for name in names:
        stacked = np.stack(seen[name])
        low, high = found.ranges[name]
        assert low == pytest.approx(min(0, stacked.min()), rel=1e-4, abs=1e-4), name
        assert high == pytest.approx(max(0, stacked.max()), rel=1e-4), name


@pytest.mark.parametrize(
    ("layers", "possible"),
    [
        (LAYERS, True),
        (LAYERS[:-1], False),
        ((Layer("pool", "max_pool", (INPUT,)), *LAYERS), False),
        ((LAYERS[0], Layer("scores", "softmax", ("first",))), False),
        ((LAYERS[0], Layer("depth", "convolution", (INPUT,), 4, (3, 3)), *LAYERS[2:]), False),
    ],
)
def test_network_can_be_int8_only_if_exactly_one_convolution_reads_its_input(
    layers: tuple[Layer, ...], possible: bool
) -> None:
    assert can_be_int8(Network(SIZE, layers, {})) is possible


@pytest.mark.parametrize("axis", [None, 0, 3])
def test_quantization_of_a_kernel_maps_the_largest_weight_to_127(axis: int | None) -> None:
    kernel = np.array([[0.5, -1.0, 0.1], [2.54, 0.0, 0.025]], np.float32).reshape(2, 1, 1, 3)
    found = quantize_kernel(kernel, axis)
    if axis is None:
        assert found.scales.tolist() == pytest.approx([0.02]) and found.axis == 0
        assert found.values.reshape(2, 3).tolist() == [[25, -50, 5], [127, 0, 1]]
    elif axis == 0:
        assert found.scales.tolist() == pytest.approx([1 / 127, 0.02])
        assert found.values.reshape(2, 3).tolist() == [[64, -127, 13], [127, 0, 1]]
    else:
        assert found.scales.tolist() == pytest.approx([0.02, 1 / 127, 0.1 / 127])
        assert found.values.reshape(2, 3).tolist() == [[25, -127, 127], [127, 0, 32]]


def test_quantization_scales_of_zero_kernels_are_not_zero() -> None:
    kernel = np.zeros((2, 3), np.float32)
    kernel[1] = 127
    assert kernel_scales(kernel, 0).tolist() == pytest.approx([1 / 127, 1])
    assert quantize_kernel(kernel, 0).values.tolist() == [[0, 0, 0], [127, 127, 127]]


def test_kernels_in_tflite_files_have_the_output_axis_first() -> None:
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    ordered = file_order(LAYERS[0], kernel)
    assert ordered.shape == (5, 2, 3, 4) and ordered[4, 1, 2, 3] == kernel[1, 2, 3, 4]
    depthwise = file_order(LAYERS[1], kernel[..., :1])
    assert depthwise.shape == (1, 2, 3, 4) and depthwise[0, 1, 0, 2] == kernel[1, 0, 2, 0]
    assert file_order(LAYERS[5], kernel[0, 0]).shape == (5, 4)


def test_dynamic_models_quantize_kernels_of_1024_weights_or_more() -> None:
    for inputs, dtype in ((511, schema().TensorType.FLOAT32), (512, schema().TensorType.INT8)):
        layers = (
            Layer("first", "convolution", (INPUT,), inputs, (1, 1)),
            Layer("mean", "mean", ("first",)),
            Layer("logits", "dense", ("mean",), 2),
        )
        ones = np.ones
        parameters = {
            "first": Parameters(ones((1, 1, 3, inputs), np.float32), ones(inputs, np.float32)),
            "logits": Parameters(ones((inputs, 2), np.float32), ones(2, np.float32)),
        }
        _, found = tensors(write_float_model(checked((2, 2), layers, parameters), "dynamic"))
        assert found["logits/kernel"].type == dtype
        assert found["logits/bias"].type == schema().TensorType.FLOAT32


@pytest.mark.parametrize("kind", ["max_pool", "average_pool"])
def test_pooling_with_a_rectangular_window_agrees_with_numpy(kind: Any) -> None:
    """A pooling layer with a window of 3 x 2 pixels must return the same values as numpy."""
    layers = (Layer("pool", kind, (INPUT,), 0, (3, 2), 1, "VALID"),)
    session = Session(ModelFile(ROOT / "pool", write_float_model(Network((5, 4), layers, {}))))
    picture = np.random.default_rng(0).normal(size=(1, 5, 4, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(picture[0], (3, 2), axis=(0, 1))
    expected = windows.max(axis=(3, 4)) if kind == "max_pool" else windows.mean(axis=(3, 4))
    np.testing.assert_allclose(session.run(picture)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("low", "high", "zero_point"), [(-1.0, 3.0, -64), (1.0, 2.0, -128), (-3.0, -1.0, 127)])
def test_logits_are_quantized_like_the_output_of_the_model(low: float, high: float, zero_point: int) -> None:
    found = LogitQuantization.covering(np.array([[low, high]], np.float32))
    params = QuantParams.over(low, high)
    assert found.zero_point == params.zero_point == zero_point and found.scale == pytest.approx(params.scale)
    logits = np.array([low - 5, low, high, high + 5, 0], np.float32)
    ends = [(-128 - zero_point) * found.scale, (127 - zero_point) * found.scale]
    assert found.round(logits) == pytest.approx([ends[0], low, high, ends[1], 0], abs=found.scale / 2 + 1e-6)
    assert found.round(logits)[4] == 0


def test_weights_are_rounded_with_one_scale_per_class() -> None:
    weights = np.array([[1.27, 0.0, 127], [0.014, 0.0, -63.4]], np.float32)
    assert round_weights(weights) == pytest.approx(np.array([[1.27, 0, 127], [0.01, 0, -63]]), rel=1e-6)


def test_int8_features_equal_the_input_of_the_last_layer() -> None:
    content = write_int8_model(network(), RANGES)
    session = Session(ModelFile(ROOT / "features", int8_features(content)))
    assert session.outputs[0].shape == (1, 3) and session.outputs[0].dtype == np.int8
    assert session.outputs[0].name == "mean"
    with pytest.raises(ModelError, match="no features"):
        int8_features(write_float_model(network()))


def test_dynamic_models_have_one_scale_per_dense_kernel_and_per_convolution_channel() -> None:
    layers = (
        Layer("first", "convolution", (INPUT,), 32, (4, 3)),
        Layer("depth", "depthwise", ("first",), 32, (6, 6)),
        Layer("mean", "mean", ("depth",)),
        Layer("logits", "dense", ("mean",), 40),
    )
    rng = np.random.default_rng(0)
    parameters = {
        "first": Parameters(rng.normal(size=(4, 3, 3, 32)).astype(np.float32), np.ones(32, np.float32)),
        "depth": Parameters(rng.normal(size=(6, 6, 32, 1)).astype(np.float32), np.ones(32, np.float32)),
        "logits": Parameters(rng.normal(size=(32, 40)).astype(np.float32), np.ones(40, np.float32)),
    }
    _, found = tensors(write_float_model(checked((9, 7), layers, parameters), "dynamic"))
    for name, axis, largest in (
        ("first", 0, np.abs(parameters["first"].kernel).max(axis=(0, 1, 2))),
        ("depth", 3, np.abs(parameters["depth"].kernel).max(axis=(0, 1, 3))),
        ("logits", 0, [np.abs(parameters["logits"].kernel).max()]),
    ):
        quantization = found[f"{name}/kernel"].quantization
        np.testing.assert_allclose(quantization.scale, np.array(largest) / 127, rtol=1e-6)
        assert quantization.quantizedDimension == axis and not np.any(quantization.zeroPoint)


def test_quantization_scales_of_all_zero_outputs_are_positive() -> None:
    kernel = np.zeros((2, 1, 1, 3), np.float32)
    kernel[0] = 2.54
    np.testing.assert_allclose(kernel_scales(kernel, 0), [0.02, 1 / 127], rtol=1e-6)
