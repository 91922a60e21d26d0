"""Tests of networks: layers' shapes and costs, checks of weights, detectors, and conversion to graphs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tensorboard.compat.proto.types_pb2 import DT_INT32

from poets_edge.errors import ModelError, WeightsError
from poets_edge.nets.detector import EPSILON, Detector, detector_of, with_detector
from poets_edge.nets.graphdef import constant, constant_of, copy_of, find_node
from poets_edge.nets.layers import INPUT, Layer, NetworkCost, cost, keras_order, shapes
from poets_edge.nets.network import Network, Norm, Parameters, checked
from poets_edge.nets.tensorboard_graph import training_picture
from poets_edge.nets.write_graph import graph_of
from tests.graphs import small_graph

LAYERS = (
    Layer("c", "convolution", (INPUT,), 4, (3, 2), 2, normalized=True, activation="relu6"),
    Layer("d", "depthwise", ("c",), 4, (2, 3), 1, "VALID", normalized=True, scaled=True),
    Layer("p", "max_pool", ("d",), kernel=(1, 2), stride=2, padding="VALID"),
    Layer("a", "average_pool", ("p",), kernel=(3, 1), padding="SAME"),
    Layer("j", "concatenate", ("a", "p", "a")),
    Layer("s", "add", ("j", "j")),
    Layer("bottleneck", "mean", ("s",)),
    Layer("l", "dense", ("bottleneck",), 5),
    Layer("f", "softmax", ("l",)),
)
SIZE = (9, 12)
SHAPES = {
    INPUT: (9, 12, 3), "c": (5, 6, 4), "d": (4, 4, 4), "p": (2, 2, 4), "a": (2, 2, 4), "j": (2, 2, 12),
    "s": (2, 2, 12), "bottleneck": (12,), "l": (5,), "f": (5,),
}  # fmt: skip


def test_layer_shapes_follow_from_strides_windows_and_padding() -> None:
    assert shapes(LAYERS, SIZE) == SHAPES


def test_network_cost_counts_multiply_accumulates_and_parameters_of_each_layer() -> None:
    """A norm has one parameter for each output, and one more if it is scaled; a layer without a norm has a bias."""
    macs = 5 * 6 * (3 * 2 * 3 * 4) + 4 * 4 * (2 * 3 * 4) + 12 * 5
    parameters = (72 + 4) + (24 + 8) + (60 + 5)
    assert cost(LAYERS, SIZE) == NetworkCost(macs, parameters)


def test_layers_in_keras_order_are_sorted_by_their_distance_from_the_output() -> None:
    """The branch of `y` and `z` is longer than that of `x`, so `y` precedes `x`."""
    layers = (
        Layer("x", "convolution", (INPUT,), 2, normalized=True),
        Layer("y", "convolution", (INPUT,), 2, normalized=True),
        Layer("z", "convolution", ("y",), 2),
        Layer("j", "concatenate", ("x", "z")),
    )
    assert [(layer.name, norm) for layer, norm in keras_order(layers)] == [
        ("y", False), ("x", False), ("y", True), ("x", True), ("z", False)
    ]  # fmt: skip


def _parameters() -> dict[str, Parameters]:
    rng = np.random.default_rng(3)
    kernels = {"c": (3, 2, 3, 4), "d": (2, 3, 4, 1), "l": (12, 5)}
    return {
        name: Parameters(
            rng.normal(size=shape).astype(np.float32), rng.normal(size=5 if name == "l" else 4).astype(np.float32)
        )
        for name, shape in kernels.items()
    }


def test_network_with_weights_of_the_required_shapes_is_accepted() -> None:
    network = checked(SIZE, LAYERS, _parameters())
    assert network.output == "f" and network.shapes() == SHAPES and set(network.parameters) == {"c", "d", "l"}


@pytest.mark.parametrize(
    ("name", "part", "value", "message"),
    [
        ("c", "kernel", np.zeros((2, 3, 3, 4), np.float32), r"c is \[2, 3, 3, 4\], wanted \[3, 2, 3, 4\]"),
        ("d", "kernel", np.zeros((2, 3, 1, 4), np.float32), r"d is \[2, 3, 1, 4\], wanted \[2, 3, 4, 1\]"),
        ("c", "bias", np.zeros(3, np.float32), "c is "),
        ("l", "bias", np.zeros(12, np.float32), "l is "),
        ("l", "kernel", np.full((12, 5), np.nan, np.float32), "l holds numbers that are not finite"),
        ("d", "bias", np.array([0, np.inf, 0, 0], np.float32), "d holds numbers that are not finite"),
    ],
)
def test_weights_with_wrong_shapes_or_values_are_rejected(name: str, part: str, value: Any, message: str) -> None:
    parameters = _parameters()
    parameters[name] = replace(parameters[name], **{part: value})
    with pytest.raises(WeightsError, match=f"^{message}"):
        checked(SIZE, LAYERS, parameters)
    del parameters[name]
    with pytest.raises(WeightsError, match=f"^no numbers for layer {name}$"):
        checked(SIZE, LAYERS, parameters)


def test_scaling_multiplies_the_weights_and_bias_of_each_output_by_its_factor() -> None:
    kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 4, 1)
    factors, bias = np.array([2, 3, 5, 7], np.float32), np.array([1, 10, 100, 1000], np.float32)
    depthwise = Parameters(kernel, bias).scaled(factors, depthwise=True)
    assert depthwise.kernel[1, 2, 3, 0] == 23 * 7 and depthwise.kernel[0, 1, 0, 0] == 4 * 2
    assert depthwise.bias.tolist() == [2, 30, 500, 7000] and depthwise.kernel.shape == kernel.shape
    other = Parameters(kernel.reshape(2, 3, 1, 4), bias).scaled(factors, depthwise=False)
    assert other.kernel[1, 2, 0, 3] == 23 * 7 and other.kernel[0, 1, 0, 0] == 4 * 2


def test_batch_norm_is_expressed_as_factors_and_offsets() -> None:
    beta, mean, variance = (np.array(values, np.float32) for values in ([1, -2], [3, 5], [0.0015, 8.999]))
    factors, offsets = Norm(beta, mean, variance).factors_and_offsets()
    np.testing.assert_allclose(factors, [20, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(offsets, [1 - 3 * 20, -2 - 5 / 3], rtol=1e-6)
    factors, offsets = Norm(beta, mean, variance, np.array([2, -3], np.float32), np.float32(1e-3)).factors_and_offsets()
    np.testing.assert_allclose(factors, [40, -1], rtol=1e-6)
    np.testing.assert_allclose(offsets, [1 - 3 * 40, -2 + 5], rtol=1e-6)


def test_adding_a_head_appends_a_dense_layer_and_a_softmax() -> None:
    backbone = Network(SIZE, LAYERS[:7], {name: _parameters()[name] for name in "cd"})
    head = backbone.with_head(np.ones((12, 2), np.float64), np.array([3.0, 4.0]), "final")
    assert head.output == "final" and head.shapes()["final"] == (2,)
    assert head.parameters["head/logits"].bias.dtype == np.float32 and head.parameters["head/logits"].bias[1] == 4
    assert [layer.kind for layer in head.layers[-2:]] == ["dense", "softmax"]
    assert set(backbone.parameters) == {"c", "d"}


def test_layers_are_written_to_a_graph_with_their_attributes() -> None:
    graph = graph_of(checked(SIZE, LAYERS, _parameters()))
    nodes = {node.name: node for node in graph.node}
    lengths = [dimension.size for dimension in nodes[INPUT].attr["shape"].shape.dim]
    assert lengths == [1, 9, 12, 3]
    assert list(nodes["p"].attr["ksize"].list.i) == [1, 1, 2, 1] and nodes["p"].attr["padding"].s == b"VALID"
    assert list(nodes["a"].attr["ksize"].list.i) == [1, 3, 1, 1] and nodes["a"].attr["padding"].s == b"SAME"
    assert list(nodes["p"].attr["strides"].list.i) == [1, 2, 2, 1]
    assert list(nodes["c/convolution"].attr["strides"].list.i) == [1, 2, 2, 1]
    assert nodes["d/depthwise"].op == "DepthwiseConv2dNative" and nodes["p"].op == "MaxPool"
    assert nodes["a"].op == "AvgPool" and nodes["s"].op == "AddV2" and nodes["f"].op == "Softmax"
    assert nodes["j"].attr["N"].i == 3 and list(nodes["j"].input) == ["a", "p", "a", "j/axis"]
    assert constant_of(nodes["j/axis"]) == 3 and constant_of(nodes["bottleneck/axes"]).tolist() == [1, 2]
    assert nodes["j"].attr["Tidx"].type == nodes["bottleneck"].attr["Tidx"].type == DT_INT32
    assert nodes["c"].op == "Relu6" and list(nodes["c"].input) == ["c/sum"]
    assert nodes["d"].op == "BiasAdd" and list(nodes["d"].input) == ["d/depthwise", "d/bias"]
    assert list(nodes["l/dense"].input) == ["bottleneck", "l/kernel"] and nodes["l/dense"].op == "MatMul"
    assert graph.versions.producer == 27


def _detector(background: bool) -> Detector:
    rng = np.random.default_rng(5)

    def values(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    return Detector(
        values(3, 2), values(2), values(2), values(2, 4), values(4), values(2) * background, values(1) + 0.25
    )


@pytest.mark.parametrize("background", [False, True])
def test_distances_of_the_detector_agree_with_the_documented_formula(background: bool) -> None:
    detector = _detector(background)
    photos = np.random.default_rng(6).normal(size=(50, 3)).astype(np.float32) * 9
    expected = []
    for photo in photos.astype(np.float64):
        y = photo / np.sqrt((photo**2).sum()) @ detector.projection + detector.offsets
        first = (y**2 * detector.quadratic).sum() - max(y @ detector.linear + detector.biases)
        second = (y * detector.background).sum() + detector.background_bias[0]
        expected.append(max(0.0, first, second) if background else max(0.0, first))
    found = detector.distances(photos)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert detector.has_background is background and len(set(found.tolist())) > 10
    assert np.isfinite(detector.distances(np.zeros((1, 3), np.float32))).all() and EPSILON == 1e-12


@pytest.mark.parametrize("background", [False, True])
def test_detector_stored_in_a_graph_is_read_unchanged(background: bool) -> None:
    detector = _detector(background)
    graph = with_detector(small_graph(["a", "b", "c", "d"]), detector)
    found = detector_of(graph)
    assert found is not None
    for name in vars(detector):
        np.testing.assert_array_equal(getattr(found, name), getattr(detector, name))
    assert detector_of(small_graph(["a"])) is None
    assert (find_node(graph, "distance").op == "Maximum") is background


@pytest.mark.parametrize("name", ["offsets", "quadratic", "background", "linear", "projection", "biases"])
def test_graphs_with_incomplete_detectors_are_rejected(name: str) -> None:
    whole = with_detector(small_graph(["a", "b", "c", "d"]), _detector(True))
    for change in ("missing", "computed", "shape"):
        graph = copy_of(whole)
        node = find_node(graph, f"detector/{name}")
        if change == "missing":
            node.name = "other"
        elif change == "computed":
            node.op = "Identity"
        else:
            wrong = np.zeros(
                (5, 7) if name in ("projection", "linear") else (0,) if name == "biases" else (5,), np.float32
            )
            node.CopyFrom(constant(node.name, wrong))
        message = "do not fit together" if change == "shape" else "is incomplete"
        with pytest.raises(ModelError, match=f"^g: its detector of unknown photos .*{message}"):
            detector_of(graph, "g")


def test_nodes_of_the_head_have_their_codelab_names_in_the_tensorboard_graph() -> None:
    graph = small_graph(["a", "b"])
    nodes = {node.name: node for node in training_picture(graph).node}
    assert list(nodes["final_training_ops/matmul"].input) == ["bottleneck", "final_training_ops/weights"]
    assert list(nodes["final_result"].input) == ["final_training_ops/logits"]
    loss = nodes["cross_entropy/softmax_cross_entropy"]
    assert list(loss.input) == ["final_training_ops/logits", "GroundTruthInput"]
    assert list(nodes["cross_entropy/mean"].input) == ["cross_entropy/softmax_cross_entropy"]
    assert list(nodes["train/GradientDescent"].input) == ["final_training_ops/weights", "cross_entropy/mean"]
    assert not any(name.startswith("head/") for name in nodes) and len(graph.node) == len(nodes) - 4
