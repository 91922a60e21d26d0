"""Tests of converting graphs to networks: batch norms and arithmetic folded into weights, compared with numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tensorboard.compat.proto.types_pb2 import DT_INT32

from poets_edge.nets.graphdef import constant, empty_graph, operation, placeholder
from poets_edge.nets.network import Norm, Parameters
from poets_edge.nets.read_graph import UnknownNetworkError, known_network, read_network

SIZE = (6, 5)
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, 2, 3, 4)).astype(np.float32)
DEPTHWISE = RNG.normal(size=(3, 3, 4, 1)).astype(np.float32)
FACTORS = np.array([2, -0.5, 3, 0.25], np.float32)
OFFSETS = np.array([1, -2, 0.5, 4], np.float32)
MEAN = np.array([0.5, -1, 2, 0], np.float32)
VARIANCE = np.array([1, 0.25, 4, 9], np.float32)


def numbers(name: str, values: npt.ArrayLike, dtype: Any = np.float32) -> Any:
    return constant(name, np.asarray(values, dtype))


def window(name: str, op: str, inputs: list[str], stride: int = 1, padding: str = "SAME", **attributes: Any) -> Any:
    node = operation(name, op, inputs)
    node.attr["strides"].list.i.extend([1, stride, stride, 1])
    node.attr["padding"].s = padding.encode()
    for key, values in attributes.items():
        node.attr[key].list.i.extend(values)
    return node


def graph_of(*nodes: Any, stride: int = 1) -> Any:
    """Return a graph that consists of a convolution with 4 outputs, named `conv`, and the given nodes."""
    graph = empty_graph()
    graph.node.extend([placeholder("input", (1, *SIZE, 3)), numbers("kernel", KERNEL)])
    graph.node.append(window("conv", "Conv2D", ["input", "kernel"], stride))
    graph.node.extend(nodes)
    return graph


def weights_of(graph: Any, output: str) -> Parameters:
    return read_network(graph, "input", output, SIZE).parameters[output]


@pytest.mark.parametrize(
    ("op", "inputs", "kernel", "bias"),
    [
        ("Mul", ["conv", "values"], KERNEL * FACTORS, 0 * FACTORS),
        ("Mul", ["values", "conv"], KERNEL * FACTORS, 0 * FACTORS),
        ("Add", ["conv", "values"], KERNEL, FACTORS),
        ("AddV2", ["values", "conv"], KERNEL, FACTORS),
        ("BiasAdd", ["conv", "values"], KERNEL, FACTORS),
        ("Sub", ["conv", "values"], KERNEL, -FACTORS),
    ],
)
def test_arithmetic_is_folded_into_the_weights(op: str, inputs: list[str], kernel: Any, bias: Any) -> None:
    found = weights_of(graph_of(numbers("values", FACTORS), operation("it", op, inputs)), "it")
    np.testing.assert_array_equal(found.kernel, kernel)
    np.testing.assert_array_equal(found.bias, bias)


def test_factors_applied_after_offsets_multiply_kernel_and_bias() -> None:
    graph = graph_of(
        numbers("factors", FACTORS),
        numbers("offsets", OFFSETS),
        operation("added", "Sub", ["conv", "offsets"]),
        operation("it", "Mul", ["added", "factors"]),
    )
    found = weights_of(graph, "it")
    np.testing.assert_array_equal(found.kernel, KERNEL * FACTORS)
    np.testing.assert_array_equal(found.bias, -OFFSETS * FACTORS)


def test_factors_of_a_depthwise_convolution_multiply_its_channels() -> None:
    graph = graph_of(
        numbers("depthwise", DEPTHWISE),
        numbers("factors", FACTORS),
        window("dw", "DepthwiseConv2dNative", ["conv", "depthwise"]),
        operation("it", "Mul", ["dw", "factors"]),
    )
    np.testing.assert_array_equal(weights_of(graph, "it").kernel, DEPTHWISE * FACTORS[:, None])


def test_scalar_offsets_apply_to_all_outputs() -> None:
    graph = graph_of(numbers("half", 0.5), operation("it", "Sub", ["conv", "half"]))
    np.testing.assert_array_equal(weights_of(graph, "it").bias, [-0.5] * 4)


def test_subtraction_of_a_layer_from_a_constant_is_rejected() -> None:
    """Folding 1 - x would require negating the kernel, which is not supported."""
    graph = graph_of(numbers("ones", OFFSETS), operation("it", "Sub", ["ones", "conv"]))
    with pytest.raises(UnknownNetworkError, match="Sub of two pictures"):
        read_network(graph, "input", "it", SIZE)
    assert known_network(graph, "input", "it", SIZE) is None


@pytest.mark.parametrize("epsilon", [0.001, 0.25, None])
@pytest.mark.parametrize("version", ["", "V2", "V3"])
def test_batch_norm_is_folded_with_its_epsilon(version: str, epsilon: float | None) -> None:
    norm = operation("it", f"FusedBatchNorm{version}", ["conv", "gamma", "beta", "mean", "variance"])
    norm.attr["is_training"].b = False
    if epsilon is not None:
        norm.attr["epsilon"].f = epsilon
    graph = graph_of(
        numbers("gamma", FACTORS), numbers("beta", OFFSETS), numbers("mean", MEAN), numbers("variance", VARIANCE), norm
    )
    factors = FACTORS / np.sqrt(VARIANCE.astype(np.float64) + (epsilon or 1e-4))
    found = weights_of(graph, "it")
    np.testing.assert_allclose(found.kernel, KERNEL * factors, rtol=1e-6)
    np.testing.assert_allclose(found.bias, OFFSETS - MEAN * factors, rtol=1e-6, atol=1e-7)


def test_batch_norm_without_gamma_divides_by_the_standard_deviation() -> None:
    factors, offsets = Norm(OFFSETS, MEAN, VARIANCE).factors_and_offsets()
    np.testing.assert_allclose(factors, 1 / np.sqrt(VARIANCE + 1e-3), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(offsets, OFFSETS - MEAN / np.sqrt(VARIANCE + 1e-3), rtol=1e-6, atol=1e-6)


def test_arithmetic_between_constants_is_evaluated() -> None:
    """TensorFlow 1 writes a batch norm as rsqrt(variance + epsilon) * gamma and beta - mean * factor."""
    graph = graph_of(
        numbers("gamma", FACTORS),
        numbers("beta", OFFSETS),
        numbers("mean", MEAN),
        numbers("variance", VARIANCE),
        numbers("epsilon", 0.25),
        operation("sum", "Add", ["variance", "epsilon"]),
        operation("root", "Rsqrt", ["sum"]),
        operation("factors", "Mul", ["root", "gamma"]),
        operation("moved", "Mul", ["mean", "factors"]),
        operation("offsets", "Sub", ["beta", "moved"]),
        operation("scaled", "Mul", ["conv", "factors"]),
        operation("it", "Add", ["scaled", "offsets"]),
    )
    factors = FACTORS / np.sqrt(VARIANCE + 0.25)
    found = weights_of(graph, "it")
    np.testing.assert_allclose(found.kernel, KERNEL * factors, rtol=1e-6)
    np.testing.assert_allclose(found.bias, OFFSETS - MEAN * factors, rtol=1e-6)


@pytest.mark.parametrize(("op", "activation"), [("Relu", "relu"), ("Relu6", "relu6")])
def test_read_network_reads_the_activation_after_a_layer(op: str, activation: str) -> None:
    [layer] = read_network(graph_of(operation("it", op, ["conv"])), "input", "it", SIZE).layers
    assert (layer.name, layer.activation, layer.kernel, layer.outputs) == ("it", activation, (3, 2), 4)


def test_arithmetic_after_an_activation_is_rejected() -> None:
    graph = graph_of(
        numbers("values", FACTORS), operation("relu", "Relu", ["conv"]), operation("it", "Add", ["relu", "values"])
    )
    with pytest.raises(UnknownNetworkError, match="behind something else than a convolution"):
        read_network(graph, "input", "it", SIZE)


def test_folding_into_a_layer_with_several_consumers_is_rejected() -> None:
    graph = graph_of(
        numbers("values", FACTORS),
        numbers("axis", 3, np.int32),
        operation("one", "Mul", ["conv", "values"]),
        operation("it", "ConcatV2", ["one", "conv", "axis"]),
    )
    with pytest.raises(UnknownNetworkError, match="a layer that others read too"):
        read_network(graph, "input", "it", SIZE)


def test_read_network_reads_pool_height_before_width() -> None:
    graph = graph_of(window("it", "MaxPool", ["conv"], 2, "VALID", ksize=[1, 3, 2, 1]))
    network = read_network(graph, "input", "it", SIZE)
    assert network.layers[-1].kernel == (3, 2) and network.shapes()["it"] == (2, 2, 4)


def pad(*sides: int) -> Any:
    return [
        numbers("sides", np.reshape([0, 0, *sides, 0, 0], (4, 2)), np.int32),
        operation("padded", "Pad", ["conv", "sides"]),
        numbers("inner", RNG.normal(size=(3, 3, 4, 2))),
        window("it", "Conv2D", ["padded", "inner"], 2, "VALID"),
    ]


def test_read_network_converts_explicit_zero_padding_to_same_padding() -> None:
    """For 6 x 5 pixels and stride 2, SAME padding adds one row at the bottom and one column on each side."""
    network = read_network(graph_of(*pad(0, 1, 1, 1)), "input", "it", SIZE)
    assert network.layers[-1].padding == "SAME" and network.shapes()["it"] == (3, 3, 2)


@pytest.mark.parametrize("sides", [(1, 0, 1, 1), (1, 1, 0, 1), (0, 1, 0, 1), (1, 1, 1, 1), (0, 0, 0, 0)])
def test_unsupported_padding_is_rejected(sides: tuple[int, ...]) -> None:
    with pytest.raises(UnknownNetworkError, match="padding that is not SAME"):
        read_network(graph_of(*pad(*sides)), "input", "it", SIZE)


def reshaped(kernel: tuple[int, int], shape: list[int], padding: str = "VALID") -> Any:
    target = operation("it", "Reshape", ["pool", "shape"])
    target.attr["Tshape"].type = DT_INT32
    return graph_of(
        window("pool", "AvgPool", ["conv"], 1, padding, ksize=[1, *kernel, 1]),
        numbers("shape", shape, np.int32),
        target,
    )


@pytest.mark.parametrize("shape", [[1, 4], [-1, 4]])
def test_read_network_converts_average_pool_and_reshape_to_a_mean(shape: list[int]) -> None:
    network = read_network(reshaped(SIZE, shape), "input", "it", SIZE)
    assert [layer.kind for layer in network.layers] == ["convolution", "mean"]
    assert network.layers[-1].sources == ("conv",) and network.shapes()["it"] == (4,)


@pytest.mark.parametrize("graph", [reshaped((5, 6), [1, 4]), reshaped(SIZE, [4, 1]), reshaped(SIZE, [1, 4], "SAME")])
def test_pooling_over_part_of_the_image_before_a_reshape_is_rejected(graph: Any) -> None:
    with pytest.raises(UnknownNetworkError, match="operator Reshape"):
        read_network(graph, "input", "it", SIZE)


def test_pool_with_several_consumers_is_not_converted_to_a_mean() -> None:
    graph = reshaped(SIZE, [1, 4])
    graph.node.append(operation("other", "Softmax", ["pool"]))
    with pytest.raises(UnknownNetworkError, match="operator Reshape"):
        read_network(graph, "input", "it", SIZE)


def test_output_of_a_graph_must_be_the_last_layer_that_is_read() -> None:
    """A control dependency on another layer has no effect on the values of the output."""
    other = operation("other", "Softmax", ["conv"])
    assert read_network(graph_of(operation("it", "Identity", ["conv"])), "input", "it", SIZE).output == "it"
    graph = graph_of(other, operation("it", "Identity", ["conv", "^other"]))
    with pytest.raises(UnknownNetworkError, match="it is not the output of its last layer"):
        read_network(graph, "input", "it", SIZE)


@pytest.mark.parametrize(
    ("axes", "kept", "message"),
    [
        ([1, 2], False, ""),
        ([2, 1], False, ""),
        ([1, 2], True, "mean"),
        ([1], False, "mean"),
        ([1, 2, 3], False, "mean"),
        ([0, 1], False, "mean"),
    ],
)
def test_mean_must_be_taken_over_height_and_width_and_remove_both_dimensions(
    axes: list[int], kept: bool, message: str
) -> None:
    mean = operation("it", "Mean", ["conv", "axes"])
    mean.attr["keep_dims"].b = kept
    graph = graph_of(numbers("axes", axes, np.int32), mean)
    if message:
        with pytest.raises(UnknownNetworkError, match="a mean over something else than height and width"):
            read_network(graph, "input", "it", SIZE)
    else:
        assert read_network(graph, "input", "it", SIZE).shapes()["it"] == (4,)


def changed_conv(change: Callable[[Any], object]) -> Any:
    graph = graph_of()
    change(graph.node[-1])
    return graph


def _set(name: str, values: list[int]) -> Callable[[Any], None]:
    def change(node: Any) -> None:
        node.attr[name].list.i[:] = values

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("strides", [1, 2, 1, 1]),
        _set("strides", [2, 1, 1, 1]),
        _set("strides", [1, 1, 1, 2]),
        _set("dilations", [1, 2, 2, 1]),
        lambda node: setattr(node.attr["padding"], "s", b"EXPLICIT"),
        lambda node: setattr(node.attr["data_format"], "s", b"NCHW"),
    ],
)
def test_convolutions_with_unsupported_attributes_are_rejected(change: Callable[[Any], object]) -> None:
    with pytest.raises(UnknownNetworkError, match="strides, dilations, padding or a data format"):
        read_network(changed_conv(change), "input", "conv", SIZE)


@pytest.mark.parametrize("axes", [[2, 3], [1], [0, 1]])
def test_means_over_axes_other_than_height_and_width_are_rejected(axes: list[int]) -> None:
    mean = operation("it", "Mean", ["conv", "axes"])
    with pytest.raises(UnknownNetworkError, match="a mean over something else"):
        read_network(graph_of(numbers("axes", axes, np.int32), mean), "input", "it", SIZE)


def test_cyclic_graphs_and_depth_multipliers_are_rejected() -> None:
    circle = graph_of(operation("it", "Relu", ["other"]), operation("other", "Relu", ["it"]))
    with pytest.raises(UnknownNetworkError, match="a circle"):
        read_network(circle, "input", "it", SIZE)
    double = numbers("double", np.ones((3, 3, 4, 2)))
    graph = graph_of(double, window("it", "DepthwiseConv2dNative", ["conv", "double"]))
    with pytest.raises(UnknownNetworkError, match="more than one output a channel"):
        read_network(graph, "input", "it", SIZE)


def test_read_network_refuses_a_transposed_matmul() -> None:
    axes, mean = numbers("axes", [1, 2], np.int32), operation("mean", "Mean", ["conv", "axes"])
    weights = numbers("weights", np.arange(16).reshape(4, 4))
    dense = operation("it", "MatMul", ["mean", "weights"])
    assert np.array_equal(weights_of(graph_of(axes, mean, weights, dense), "it").kernel, np.arange(16).reshape(4, 4))
    dense.attr["transpose_b"].b = True
    with pytest.raises(UnknownNetworkError, match="a transposed MatMul"):
        read_network(graph_of(axes, mean, weights, dense), "input", "it", SIZE)


def _second(outputs: int, stride: int = 1) -> list[Any]:
    """Return the nodes of a second convolution of the input, named `other`."""
    kernel = RNG.normal(size=(1, 1, 3, outputs)).astype(np.float32)
    return [numbers("second", kernel), window("other", "Conv2D", ["input", "second"], stride)]


@pytest.mark.parametrize(("axis", "accepted"), [(3, True), (-1, True), (1, False), (2, False), (0, False)])
def test_read_network_accepts_concatenations_only_along_the_channels(axis: int, accepted: bool) -> None:
    joined = operation("it", "ConcatV2", ["conv", "other", "axis"])
    graph = graph_of(*_second(4), numbers("axis", axis, np.int32), joined)
    if accepted:
        network = read_network(graph, "input", "it", SIZE)
        assert network.layers[-1].sources == ("conv", "other") and network.shapes()["it"] == (*SIZE, 8)
    else:
        with pytest.raises(UnknownNetworkError):
            read_network(graph, "input", "it", SIZE)


@pytest.mark.parametrize(("outputs", "accepted"), [(4, True), (5, False), (1, False)])
def test_read_network_accepts_sums_only_if_their_operands_have_equal_shapes(outputs: int, accepted: bool) -> None:
    graph = graph_of(*_second(outputs), operation("it", "AddV2", ["conv", "other"]))
    if accepted:
        network = read_network(graph, "input", "it", SIZE)
        assert (network.layers[-1].kind, network.layers[-1].sources) == ("add", ("conv", "other"))
    else:
        with pytest.raises(UnknownNetworkError, match=r"a sum of shapes \[6, 5, 4\] and"):
            read_network(graph, "input", "it", SIZE)
