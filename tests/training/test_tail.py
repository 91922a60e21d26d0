"""Tests of fine-tuned layers in networks of inverted residuals, and of the encodings of their inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.layers import Layer, shapes
from poets_edge.nets.network import Network, Parameters
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from poets_edge.training.fine_tuning.encoding import ChannelEncoding, Relu6Encoding, encoding_of
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.tail import _starts, read_tail, up_to, with_tail
from poets_edge.training.fine_tuning.trainer import Trainer
from poets_edge.training.head import Head
from tests.yardstick import tensorflow

SMALL = architecture("efficientnet_lite0_128")


@pytest.fixture(scope="module")
def network() -> Network:
    """EfficientNet-Lite0 with random weights, which are scaled so that features vary."""
    rng, layers, known = np.random.default_rng(0), SMALL.layers(), shapes(SMALL.layers(), SMALL.size)
    parameters = {}
    for layer in layers:
        if layer.has_weights():
            shape = layer.kernel_shape(known[layer.source][-1])
            kernel = rng.normal(0, 1.4 / np.sqrt(np.prod(shape) / layer.outputs), shape)
            bias = rng.normal(0, 0.2, layer.outputs)
            parameters[layer.name] = Parameters(kernel.astype(np.float32), bias.astype(np.float32))
    return Network(SMALL.size, layers, parameters)


def run(network: Network, picture: Any) -> Any:
    return Session(ModelFile(Path("network"), write_float_model(network))).run(picture)


@pytest.mark.parametrize(
    ("blocks", "cut", "first", "convolutions"),
    [
        (1, "block_14_add", "block_15_expand", 4),
        (3, "block_12_add", "block_13_expand", 10),
        (5, "block_10_add", "block_11_expand", 16),
        (16, "stem", "block_0_depthwise", 48),
    ],
)
def test_read_tail_returns_whole_blocks_and_the_last_convolution(
    network: Network, blocks: int, cut: str, first: str, convolutions: int
) -> None:
    tail = read_tail(network, blocks, SMALL.name)
    assert (tail.cut.name, tail.layers[0].name, tail.layers[-1].name) == (cut, first, "head_conv")
    assert len(tail.convolutions) == convolutions == len(tail.parameters)
    assert up_to(network, tail.cut).layers[-1].name == cut
    assert write_float_model(with_tail(network, tail)) == write_float_model(network)


def test_read_tail_rejects_more_blocks_than_the_network_has(network: Network) -> None:
    with pytest.raises(UsageError, match="16 or less"):
        read_tail(network, 17, SMALL.name)
    FineTuning(blocks=16).check(SMALL)
    with pytest.raises(UsageError, match="16 or less"):
        FineTuning(blocks=17).check(SMALL)
    with pytest.raises(UsageError, match="no chain of blocks"):
        FineTuning(blocks=1).check(architecture("inception_v3"))


@pytest.fixture(params=["compiled", "eager"])
def execution(request: pytest.FixtureRequest) -> Iterator[None]:
    """How TensorFlow runs functions: compiled, or eagerly. Coverage does not count lines of compiled functions."""
    tf = tensorflow()
    tf.config.run_functions_eagerly(request.param == "eager")
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("blocks", "execution"), [(1, "compiled"), (3, "eager"), (6, "compiled")], indirect=["execution"]
)
def test_trainer_scores_equal_the_network_scores(network: Network, blocks: int, execution: None) -> None:
    rng = np.random.default_rng(1)
    picture = rng.uniform(-1, 1, (1, *SMALL.size, 3)).astype(np.float32)
    head = Head(rng.normal(0, 0.1, (1280, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32))
    wanted = run(network.with_head(head.weights, head.biases, "scores"), picture)
    assert wanted.min() > 0.01 and wanted.max() < 0.99
    tail = read_tail(network, blocks, SMALL.name)
    activations = run(up_to(network, tail.cut), picture)
    trainer = Trainer(tail, head, FineTuning(blocks=blocks, epochs=1, learning_rate=1e-3), 1)
    np.testing.assert_allclose(trainer.scores(activations), wanted, rtol=1e-3)
    before = trainer.averaged()[0]
    loss, _ = trainer.train(activations, np.array([0]))
    assert loss > 0
    after = trainer.averaged()[0]
    for layer in tail.convolutions:
        assert not np.array_equal(before.parameters[layer.name].kernel, after.parameters[layer.name].kernel)


def test_channel_encoding_rounds_to_1_over_255_of_the_range_of_each_channel() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(7, 5, 4)) * [0.01, 1, 30, 0] + [5, 0, -3, 2]).astype(np.float32)
    encoding = ChannelEncoding()
    data = encoding.encode(values)
    assert len(data) == encoding.size(values.shape) == 7 * 5 * 4 + 32
    found = encoding.decode(data, values.shape)
    assert found.dtype == np.float32
    steps = np.ptp(values, axis=(0, 1)) / 255
    assert (np.abs(found - values) <= steps / 2 + 1e-5).all()
    np.testing.assert_array_equal(found[:, :, 3], 2)


def test_relu6_encoding_rounds_to_multiples_of_6_over_255() -> None:
    values = np.random.default_rng(0).uniform(0, 6, (3, 4, 2)).astype(np.float32)
    encoding = Relu6Encoding()
    found = encoding.decode(encoding.encode(values), values.shape)
    assert np.abs(found - values).max() <= 3 / 255 + 1e-6 and encoding.size(values.shape) == values.size


def test_relu6_encoding_preserves_the_ends_of_the_range() -> None:
    ends = np.array([[[0.0, 6.0]]], np.float32)
    np.testing.assert_allclose(Relu6Encoding().decode(Relu6Encoding().encode(ends), ends.shape), ends, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "changes", "blocks"),
    [
        ("block_12_depthwise", {"padding": "VALID"}, 3), ("block_12_depthwise", {"activation": "relu"}, 3),
        ("block_12_depthwise", {"stride": 2}, 16), ("block_14_project", {"activation": "relu6"}, 1),
        ("block_14_add", {"sources": ("block_14_project", "block_12_add")}, 1),
        ("block_14_add", {"sources": ("block_13_add", "block_14_project")}, 16),
        ("block_14_project", {"stride": 2}, 1), ("block_15_expand", {"kernel": (3, 3)}, 1),
        ("block_15_depthwise", {"padding": "VALID"}, 0),
    ],
)  # fmt: skip
def test_blocks_are_counted_backwards_up_to_the_first_layer_that_fits_no_block(
    name: str, changes: dict[str, Any], blocks: int
) -> None:
    """The sum at the end of a block adds the block's input to its last layer, in any order."""
    layers = [replace(layer, **changes) if layer.name == name else layer for layer in SMALL.layers()]
    assert len(_starts(layers)) == blocks


def test_channel_encoding_is_used_for_all_outputs_except_those_of_relu6() -> None:
    found = [encoding_of(Layer("x", "convolution", ("y",), activation=name)) for name in ("relu6", "relu", "none")]
    assert [type(one) for one in found] == [Relu6Encoding, ChannelEncoding, ChannelEncoding]


def test_network_that_consists_of_one_separable_block_can_be_fine_tuned() -> None:
    depthwise = Layer("depthwise", "depthwise", ("input",), activation="relu6", kernel=(3, 3), padding="SAME")
    pointwise = Layer("pointwise", "convolution", ("depthwise",), activation="relu6", kernel=(1, 1))
    pool = SMALL.layers()[-1]
    assert _starts([depthwise, pointwise, pool]) == [1], "the pointwise convolution is trained"
    assert _starts([pointwise, pool]) == [] and _starts([pool]) == []
    assert _starts([depthwise, replace(pointwise, sources=("input",)), pool]) == [], "not a chain"
