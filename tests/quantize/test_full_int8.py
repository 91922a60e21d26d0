"""Tests that full-int8 models have integer tensors only, and the same scores in TensorFlow Lite Micro."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poets_edge.exporting.microcontroller.fitting import blank_network
from poets_edge.nets.architectures import architecture
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Network, Parameters, checked
from poets_edge.quantize.activation_statistics import calibrate
from poets_edge.quantize.write_full_int8 import InputType, write_full_int8_model
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.flatbuffer import schema, unpack_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from tests.conftest import ROOT
from tests.needs import need_module
from tests.tflite_tensors import constant_values

SIZE = (12, 10)
LAYERS = (
    Layer("first", "convolution", (INPUT,), 8, (3, 3), 2, activation="relu6"),
    Layer("depth", "depthwise", ("first",), 8, (3, 3), activation="relu6"),
    Layer("point", "convolution", ("depth",), 8, (1, 1)),
    Layer("sum", "add", ("point", "first")),
    Layer("last", "convolution", ("sum",), 6, (1, 1), activation="relu"),
    Layer("mean", "mean", ("last",)),
    Layer("logits", "dense", ("mean",), 4),
    Layer("scores", "softmax", ("logits",)),
)
"""One layer of each kind in MobileNet and EfficientNet-Lite."""


@pytest.fixture(scope="module")
def network() -> Network:
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> Parameters:
        outputs = shape[2] if shape[-1] == 1 else shape[-1]
        kernel = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        return Parameters(kernel.astype(np.float32), rng.normal(0, 0.2, outputs).astype(np.float32))

    parameters = {
        "first": weights(3, 3, 3, 8),
        "depth": weights(3, 3, 8, 1),
        "point": weights(1, 1, 8, 8),
        "last": weights(1, 1, 8, 6),
        "logits": weights(6, 4),
    }
    parameters["logits"].kernel[:] *= 3
    return checked(SIZE, LAYERS, parameters)


@pytest.fixture(scope="module")
def pictures() -> list[npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(4)
    flat = [np.full((*SIZE, 3), value, np.uint8) for value in (0, 127, 128, 255)]
    return flat + [rng.integers(0, rng.integers(2, 257), (*SIZE, 3), np.uint8) for _ in range(60)]


def written(network: Network, pictures: list[npt.NDArray[np.uint8]], input_type: InputType) -> bytes:
    return write_full_int8_model(network, calibrate(network, pictures).ranges, input_type=input_type)


def shifted(picture: npt.NDArray[np.uint8], input_type: str) -> npt.NDArray[Any]:
    """Convert an image to the input of a model: pixels for "uint8", pixels minus 128 for "int8"."""
    return picture[None] if input_type == "uint8" else (picture[None].astype(np.int16) - 128).astype(np.int8)


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
def test_full_int8_model_has_integer_tensors_only(
    input_type: InputType, network: Network, pictures: list[npt.NDArray[np.uint8]]
) -> None:
    tree = unpack_model(written(network, pictures, input_type))
    graph, types = tree.subgraphs[0], schema().TensorType
    assert {tensor.type for tensor in graph.tensors} <= {types.INT8, types.UINT8, types.INT32}
    ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    zero_points = (128, 0) if input_type == "uint8" else (0, -128)
    for tensor, name, scale, zero_point in zip(ends, (INPUT, "scores"), (1 / 128, 1 / 256), zero_points, strict=True):
        assert tensor.name.decode() == name and tensor.type == getattr(types, input_type.upper())
        assert (list(tensor.quantization.scale), list(tensor.quantization.zeroPoint)) == ([scale], [zero_point])


def test_first_convolution_of_a_full_int8_model_reads_pixels_minus_128(
    network: Network, pictures: list[npt.NDArray[np.uint8]]
) -> None:
    """The dequantized weights and bias correspond to inputs of (pixel - 128) / 128."""
    tree = unpack_model(written(network, pictures, "int8"))
    tensors = {tensor.name.decode(): tensor for tensor in tree.subgraphs[0].tensors}
    kernel, bias = (
        constant_values(tree, tensor) * np.reshape(tensor.quantization.scale, (-1, *[1] * (len(tensor.shape) - 1)))
        for tensor in (tensors["first/kernel"], tensors["first/bias"])
    )
    expected = network.parameters["first"].kernel.transpose(3, 0, 1, 2).astype(np.float64)
    step = np.reshape(tensors["first/kernel"].quantization.scale, (-1, 1, 1, 1))
    assert (np.abs(kernel - expected * 128 / 127.5) <= step / 2 * 1.001).all()
    offset = network.parameters["first"].bias + 0.5 / 127.5 * expected.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(bias, offset, atol=1e-4)


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
def test_full_int8_scores_agree_with_the_float_model(
    input_type: InputType, network: Network, pictures: list[npt.NDArray[np.uint8]]
) -> None:
    reference = Session(ModelFile(ROOT / "float", write_float_model(network)))
    session = Session(ModelFile(ROOT / "full", written(network, pictures, input_type)), accelerate=False)
    found = np.array([session.outputs[0].dequantize(session.run(shifted(one, input_type))[0]) for one in pictures])
    expected = np.array([reference.run((one[None].astype(np.float32) - 127.5) / 127.5)[0] for one in pictures])
    assert np.ptp(expected, axis=0).max() > 0.3, "the scores must vary"
    assert np.abs(found - expected).max() < 0.04


def test_uint8_scores_are_int8_scores_plus_128(network: Network, pictures: list[npt.NDArray[np.uint8]]) -> None:
    sessions = {
        kind: Session(ModelFile(ROOT / kind, written(network, pictures, kind)), accelerate=False)
        for kind in ("uint8", "int8")
    }
    for picture in pictures:
        unsigned, signed = (session.run(shifted(picture, kind))[0] for kind, session in sessions.items())
        np.testing.assert_array_equal(unsigned.astype(int), signed.astype(int) + 128)


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
def test_full_int8_scores_equal_those_of_tensorflow_lite_micro(
    input_type: InputType, network: Network, pictures: list[npt.NDArray[np.uint8]]
) -> None:
    """Scores are equal to the last bit without XNNPACK, which rounds differently.

    On x86, the matrix products of ai-edge-litert round negative ties up, and TensorFlow Lite Micro rounds them down.
    The layer "point" has no activation, so its outputs would be negative if no constant were added.
    """
    runtime = need_module("tflite_micro.python.tflite_micro.runtime")
    content = written(network, pictures, input_type)
    session, micro = (
        Session(ModelFile(ROOT / "full", content), accelerate=False),
        runtime.Interpreter.from_bytes(content),
    )
    for picture in pictures:
        values = shifted(picture, input_type)
        micro.set_input(values, 0)
        micro.invoke()
        np.testing.assert_array_equal(micro.get_output(0), session.run(values))


def test_efficientnet_lite_scores_equal_those_of_tensorflow_lite_micro() -> None:
    """One network with random weights suffices: the scores of trained networks of all sizes have been found equal."""
    runtime = need_module("tflite_micro.python.tflite_micro.runtime")
    rng, found = np.random.default_rng(0), architecture("efficientnet_lite0_128")
    blank = blank_network(found, classes=3)
    parameters = {
        name: Parameters(
            rng.normal(0, np.sqrt(2 / (weights.kernel.size / weights.bias.size)), weights.kernel.shape).astype(
                np.float32
            ),
            rng.normal(0, 0.1, weights.bias.shape).astype(np.float32),
        )
        for name, weights in blank.parameters.items()
    }
    net = replace(blank, parameters=parameters, detector=None)
    ranges = {layer.name: (0.0 if layer.activation != "none" else -4.0, 6.0) for layer in net.layers}
    content = write_full_int8_model(net, ranges, input_type="int8")
    session, micro = (
        Session(ModelFile(ROOT / "lite", content), accelerate=False),
        runtime.Interpreter.from_bytes(content),
    )
    values = rng.integers(-128, 128, (1, *found.size, 3), np.int8)
    micro.set_input(values, 0)
    micro.invoke()
    scores = session.run(values)
    np.testing.assert_array_equal(micro.get_output(0), scores)
    assert len(set(scores[0].tolist())) == 3


def test_pooling_and_concatenation_are_computed_with_integers(network: Network) -> None:
    """The network contains the kinds of layers in Inception V3."""
    layers = (
        LAYERS[0],
        Layer("pool", "max_pool", ("first",), 0, (3, 3), 1),
        Layer("average", "average_pool", ("first",), 0, (3, 3), 1),
        Layer("joined", "concatenate", ("pool", "average")),
        Layer("mean", "mean", ("joined",)),
        Layer("logits", "dense", ("mean",), 2),
        LAYERS[-1],
    )
    head = Parameters(np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32), np.zeros(2, np.float32))
    net = checked(SIZE, layers, {"first": network.parameters["first"], "logits": head})
    ranges = {layer.name: (-3.0, 6.0) for layer in layers}
    tree = unpack_model(write_full_int8_model(replace(net), ranges, input_type="int8"))
    types = schema().TensorType
    assert {tensor.type for tensor in tree.subgraphs[0].tensors} <= {types.INT8, types.INT32}


def test_gray_model_assigns_the_same_scores_to_gray_pictures_as_the_rgb_model(
    network: Network, pictures: list[npt.NDArray[np.uint8]]
) -> None:
    gray = [picture[..., :1] for picture in pictures]
    ranges = calibrate(network, [np.repeat(picture, 3, axis=2) for picture in gray]).ranges
    content = write_full_int8_model(network, ranges, gray=True)
    tree = unpack_model(content)
    assert list(tree.subgraphs[0].tensors[tree.subgraphs[0].inputs[0]].shape) == [1, *SIZE, 1]
    session = Session(ModelFile(ROOT / "gray", content), accelerate=False)
    reference = Session(ModelFile(ROOT / "float", write_float_model(network)))
    for picture in gray:
        real = (np.repeat(picture, 3, axis=2)[None].astype(np.float32) - 127.5) / 127.5
        found = session.outputs[0].dequantize(session.run(picture[None]))
        assert np.abs(found - reference.run(real)).max() < 0.04


def test_only_pointwise_layers_compensate_for_an_offset_of_their_input(
    network: Network, pictures: list[npt.NDArray[np.uint8]]
) -> None:
    """The first layer has negative outputs, and a 3 x 3 convolution reads it: at the edges it adds zeros."""
    layers = (
        Layer("first", "convolution", (INPUT,), 8, (3, 3), 2),
        Layer("wide", "convolution", ("first",), 6, (3, 3)),
        Layer("mean", "mean", ("wide",)),
        Layer("logits", "dense", ("mean",), 4),
        Layer("scores", "softmax", ("logits",)),
    )
    rng = np.random.default_rng(7)
    parameters = {
        "first": network.parameters["first"],
        "wide": Parameters(rng.normal(0, 0.2, (3, 3, 8, 6)).astype(np.float32), np.zeros(6, np.float32)),
        "logits": network.parameters["logits"],
    }
    other = checked(SIZE, layers, parameters)
    statistics = calibrate(other, pictures)
    assert statistics.ranges["first"][0] < -0.5
    content = write_full_int8_model(other, statistics.ranges, input_type="uint8")
    full, plain = (Session(ModelFile(ROOT / "model", one)) for one in (content, write_float_model(other)))
    (scores,) = full.outputs
    for picture in pictures[::9]:
        found = scores.dequantize(full.run(picture[None]))
        expected = plain.run((picture[None].astype(np.float32) - 127.5) / 127.5)
        np.testing.assert_allclose(found, expected, atol=0.04)
