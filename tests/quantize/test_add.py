"""Tests of the layer that adds two tensors, in frozen graphs and in models of all quantizations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.nets.graphdef import parse_graph, serialize
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Network, Parameters, checked
from poets_edge.nets.read_graph import UnknownNetworkError, read_network
from poets_edge.nets.write_graph import graph_of
from poets_edge.quantize.convert import convert
from poets_edge.quantize.gptq import GptqLayer
from poets_edge.quantize.quantize import quantize
from poets_edge.quantize.write_int8 import QuantParams, write_int8_model
from poets_edge.tflite.flatbuffer import operator_code, schema, unpack_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from tests.needs import need_tensorflow

SIZE = (16, 12)
LAYERS = (
    Layer("stem", "convolution", (INPUT,), 8, (3, 3), 2, activation="relu6"),
    Layer("start", "convolution", ("stem",), 4),
    Layer("expand", "convolution", ("start",), 16, activation="relu6"),
    Layer("depth", "depthwise", ("expand",), 16, (3, 3), activation="relu6"),
    Layer("project", "convolution", ("depth",), 4),
    Layer("sum", "add", ("project", "start")),
    Layer("mean", "mean", ("sum",)),
    Layer("logits", "dense", ("mean",), 3),
    Layer("scores", "softmax", ("logits",)),
)


@pytest.fixture
def network() -> Network:
    rng, channels, parameters = np.random.default_rng(0), 3, {}
    for layer in LAYERS:
        if layer.has_weights():
            kernel = rng.normal(0, 0.5, layer.kernel_shape(channels)).astype(np.float32)
            parameters[layer.name] = Parameters(kernel, rng.normal(0, 0.3, layer.outputs).astype(np.float32))
            channels = layer.outputs
    return checked(SIZE, LAYERS, parameters)


def photos(count: int) -> list[Any]:
    """Return noisy uint8 images of different random colors, for which a network's scores vary."""
    rng = np.random.default_rng(1)
    noise = rng.integers(-40, 40, (count, *SIZE, 3)) + rng.integers(0, 255, (count, 1, 1, 3))
    return list(np.clip(noise, 0, 255).astype(np.uint8))


def scores(content: bytes, inputs: list[Any]) -> Any:
    session = Session(ModelFile(Path("model"), content))
    return np.array([session.run(picture)[0] for picture in inputs])


def test_addition_layer_is_preserved_by_writing_and_reading(network: Network) -> None:
    again = read_network(parse_graph(serialize(graph_of(network)), "graph"), INPUT, "scores", SIZE)
    [found] = [layer for layer in again.layers if layer.kind == "add"]
    assert {"project/convolution", "start/convolution"} == set(found.sources)
    assert [(layer.kind, layer.outputs, layer.activation) for layer in again.layers] == [
        (layer.kind, layer.outputs, layer.activation) for layer in LAYERS
    ]
    inputs = [picture[None].astype(np.float32) / 127.5 - 1 for picture in photos(3)]
    np.testing.assert_array_equal(
        scores(quantize(again, "float32"), inputs), scores(quantize(network, "float32"), inputs)
    )


def test_addition_layer_with_unsupported_shapes_is_rejected(network: Network) -> None:
    graph = graph_of(network)
    nodes = {node.name: node for node in graph.node}
    nodes["sum"].input[1] = "expand"
    with pytest.raises(UnknownNetworkError, match="a sum of shapes"):
        read_network(graph, INPUT, "scores", SIZE)


def test_float_model_agrees_with_tensorflows_converter(network: Network) -> None:
    need_tensorflow()
    inputs = [picture[None].astype(np.float32) / 127.5 - 1 for picture in photos(6)]
    found = scores(quantize(network, "float32"), inputs)
    assert found.std(axis=0).max() > 0.05, "the scores must vary"
    np.testing.assert_array_equal(found, scores(convert(graph_of(network), "ours", INPUT, "scores"), inputs))


def test_int8_model_agrees_with_the_float_model(network: Network) -> None:
    pictures = photos(30)
    int8 = quantize(network, "int8", pictures)
    found = scores(int8, [picture[None] for picture in pictures]) / 256
    exact = scores(quantize(network, "float32"), [picture[None].astype(np.float32) / 127.5 - 1 for picture in pictures])
    assert exact.std(axis=0).max() > 0.05, "the scores must vary"
    assert np.abs(found - exact).max() < 0.03


def test_int8_addition_layer_has_its_own_quantization(network: Network) -> None:
    ranges = {layer.name: (-1.0, 2.0) for layer in LAYERS} | {"sum": (-3.0, 4.0), "mean": (-2.0, 3.0)}
    model = unpack_model(write_int8_model(network, ranges))
    tensors = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    wanted = {"sum": QuantParams.over(-3.0, 4.0), "project": QuantParams.over(-1.0, 2.0)}
    for name, params in wanted.items():
        assert list(tensors[name].quantization.scale) == [params.scale]
    [version] = [code.version for code in model.operatorCodes if code.builtinCode == schema().BuiltinOperator.ADD]
    assert version == 2
    assert [operator_code(model, operator) for operator in model.subgraphs[0].operators].count(
        schema().BuiltinOperator.ADD
    ) == 1


@pytest.mark.parametrize(("inputs", "rounded"), [(1248, True), (1249, False)])
def test_gptq_rounds_layers_with_at_most_1248_inputs(inputs: int, rounded: bool) -> None:
    layer = GptqLayer(np.zeros((1, 1, inputs, 2), np.float32), False, (1, 1), "SAME")
    assert layer.can_be_rounded() == rounded
