"""Tests that networks, after writing and reading, compute the same outputs as TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import architecture
from poets_edge.nets.graphdef import parse_graph, serialize
from poets_edge.nets.network import Network
from poets_edge.nets.read_graph import UnknownNetworkError, read_network
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights import EMBEDDED_FILE, find_weights
from poets_edge.nets.write_graph import graph_of
from poets_edge.quantize.convert import convert
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.session import Session
from tests import codelab, yardstick

EMBEDDED = architecture("mobilenet_0.25_128")
Array = npt.NDArray[np.float32]


def pictures(entry: Architecture, count: int = 8) -> list[Array]:
    """Return images of coarse random blocks, for which a network's outputs vary more than for white noise."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-1, 1, (count, 1, 13, 13, 3)).astype(np.float32)
    rows = np.linspace(0, 12, entry.resolution).round().astype(int)
    return list(coarse[:, :, rows][:, :, :, rows])


def answers(model: Path, inputs: list[Array]) -> Array:
    session = Session(model)
    return np.array([session.run(picture)[0] for picture in inputs])


def with_head(network: Network, classes: int = 5) -> Network:
    """Add a random last layer whose scores vary and are not close to 0 or 1."""
    rng = np.random.default_rng(1)
    size = network.shapes()[network.output][0]
    return network.with_head(rng.normal(0, 0.4, (size, classes)).astype(np.float32), np.zeros(classes, np.float32), "x")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, saving weights
@pytest.mark.parametrize("name", ["embedded", "inception_v3"])
def test_written_graph_and_model_agree_with_tensorflow(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entry = architecture("mobilenet_0.25_128" if name == "embedded" else name)
    model = yardstick.keras_model(entry)
    if name == "embedded":
        weights = find_weights(entry, Path("none"), "embedded")
        with np.load(EMBEDDED_FILE) as stored:
            model.set_weights([stored[key].astype(np.float32) for key in stored.files])
    else:
        file = yardstick.random_inception(tmp_path_factory)
        weights = find_weights(entry, tmp_path, str(file))
        yardstick.load_as_keras_does(model, file)
    network = read_backbone(entry, weights)
    ours, converted, theirs = tmp_path / "ours.tflite", tmp_path / "converted.tflite", tmp_path / "theirs.tflite"
    (tmp_path / "ours.pb").write_bytes(serialize(graph_of(network)))
    graphs = {
        name: parse_graph(data, name)
        for name, data in {"ours": (tmp_path / "ours.pb").read_bytes(), "keras": yardstick.frozen(model, entry)}.items()
    }
    ours.write_bytes(write_float_model(network))
    converted.write_bytes(convert(graphs["ours"], "ours", "input", "bottleneck"))
    theirs.write_bytes(convert(graphs["keras"], "keras", "input", "bottleneck"))
    inputs = pictures(entry, 8 if entry is EMBEDDED else 2)
    found = answers(ours, inputs)
    assert found.std(axis=0).mean() > 1e-4, "the answers must vary"
    np.testing.assert_array_equal(found, answers(converted, inputs))
    np.testing.assert_allclose(found, answers(theirs, inputs), rtol=1e-5, atol=1e-5)
    # The codelab's scripts run the graph in TensorFlow.
    np.testing.assert_allclose(found, yardstick.run_graph(tmp_path / "ours.pb", inputs), rtol=1e-5, atol=2e-5)
    # Graphs of earlier versions contain Keras's batch norms; their weights are read as equal.
    old = read_network(graphs["keras"], "input", "bottleneck", entry.size)
    assert [replace(layer, name="", sources=()) for layer in old.layers] == [
        replace(layer, name="", sources=(), normalized=False, scaled=False) for layer in network.layers
    ]
    mine = [network.parameters[layer.name] for layer in network.layers if layer.has_weights()]
    read = [old.parameters[layer.name] for layer in old.layers if layer.has_weights()]
    for expected, actual in zip(mine, read, strict=True):
        np.testing.assert_array_equal(expected.kernel, actual.kernel)
        np.testing.assert_array_equal(expected.bias, actual.bias)


@pytest.mark.parametrize("quantization", ["float32", "float16", "dynamic"])
def test_float_models_agree_with_tensorflows_converter(quantization: Any, tmp_path: Path) -> None:
    yardstick.tensorflow()
    network = with_head(read_backbone(EMBEDDED, find_weights(EMBEDDED, Path("none"), "embedded")))
    ours, theirs = tmp_path / "ours.tflite", tmp_path / "theirs.tflite"
    ours.write_bytes(write_float_model(network, quantization))
    theirs.write_bytes(convert(graph_of(network), "ours", "input", "x", quantization=quantization))
    assert ours.stat().st_size <= theirs.stat().st_size
    inputs = pictures(EMBEDDED)
    found = answers(ours, inputs)
    assert found.std(axis=0).max() > 0.01, "the answers must vary"
    # A weight halfway between two levels may be rounded either way.
    np.testing.assert_allclose(found, answers(theirs, inputs), atol=0.01 if quantization == "dynamic" else 1e-7)


def test_read_network_reads_a_codelab_backbone(keras_home: Path) -> None:
    graph = parse_graph(codelab.frozen_mobilenet(EMBEDDED), "codelab")
    pooling = "MobilenetV1/Logits/AvgPool_1a/AvgPool"
    network = read_network(graph, "input", pooling, EMBEDDED.size)
    assert sum(layer.has_weights() for layer in network.layers) == 27


def test_read_network_rejects_unsupported_layers() -> None:
    network = with_head(read_backbone(EMBEDDED, find_weights(EMBEDDED, Path("none"), "embedded")))
    graph = graph_of(network)
    read_network(graph, "input", "x", EMBEDDED.size)
    changes: dict[str, Callable[[Any], None]] = {
        "operator Tanh": lambda nodes: setattr(nodes["conv_pw_3"], "op", "Tanh"),
        "layer that others read": lambda nodes: nodes["conv_pw_3"].input.__setitem__(0, "conv_pw_3/convolution"),
        "strides": lambda nodes: nodes["conv_dw_4/depthwise"].attr["dilations"].list.i.extend([1, 2, 2, 1]),
        "malformed": lambda nodes: nodes["conv_dw_4/depthwise"].input.__delitem__(1),
        "holds no numbers": lambda nodes: setattr(nodes["conv1/bias"].attr["value"].tensor, "tensor_content", b"x"),
        "not finite": lambda nodes: setattr(
            nodes["conv1/bias"].attr["value"].tensor, "tensor_content", np.full(8, np.nan, np.float32).tobytes()
        ),
    }
    for message, change in changes.items():
        changed = parse_graph(serialize(graph), "changed")
        change({node.name: node for node in changed.node})
        before = serialize(changed)
        with pytest.raises(UnknownNetworkError, match=message):
            read_network(changed, "input", "x", EMBEDDED.size)
        assert serialize(changed) == before, "reading must not change it"
