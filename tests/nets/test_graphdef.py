"""Tests of constants, labels and nodes of GraphDefs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_INT32

from poets_edge.errors import ModelError
from poets_edge.nets.graphdef import (
    attribute,
    constant,
    constant_of,
    empty_graph,
    find_node,
    labels_of,
    not_finite,
    operation,
    parse_graph,
    placeholder,
    placeholder_shape,
    serialize,
    with_labels,
    without_large_constants,
)


def listed(values: list[Any], shape: tuple[int, ...], dtype: int = DT_FLOAT) -> Any:
    """Return a Const node with a list of values, the form in which TensorFlow writes small or uniform tensors."""
    node = constant("listed", np.zeros(shape, np.float32 if dtype == DT_FLOAT else np.int32))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = dtype
    node.attr["value"].tensor.tensor_content = b""
    field = "float_val" if dtype == DT_FLOAT else "int_val"
    getattr(node.attr["value"].tensor, field).extend(values)
    return node


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 4)])
def test_values_of_a_constant_node_can_be_read_back(dtype: Any, shape: tuple[int, ...]) -> None:
    values = (np.arange(np.prod(shape, dtype=int)).reshape(shape) * 3 - 4).astype(dtype)
    found = constant_of(constant("it", values))
    assert found.dtype == dtype and found.shape == shape and np.array_equal(found, values)


def test_last_value_of_a_constant_node_is_repeated_to_fill_its_shape() -> None:
    assert constant_of(listed([1.5, -2.5], (2, 3))).tolist() == [[1.5, -2.5, -2.5], [-2.5, -2.5, -2.5]]
    assert constant_of(listed([7], (3,), DT_INT32)).tolist() == [7, 7, 7]
    assert constant_of(listed([1, 2, 3], (3,), DT_INT32)).tolist() == [1, 2, 3]
    assert constant_of(listed([0.5], ())) == 0.5


@pytest.mark.parametrize(
    "node",
    [
        listed([], (2,)),
        listed([1, 2, 3], (2,)),
        listed([1, 2], (2,), DT_DOUBLE),
        operation("none", "Const", []),
    ],
)
def test_constant_nodes_with_a_wrong_number_of_values_are_rejected(node: Any) -> None:
    with pytest.raises(ModelError, match="holds no numbers"):
        constant_of(node)


def test_constant_whose_content_does_not_fit_its_shape_is_rejected() -> None:
    node = constant("short", np.arange(3, dtype=np.float32))
    node.attr["value"].tensor.tensor_content = node.attr["value"].tensor.tensor_content[:-4]
    with pytest.raises(ModelError, match="node short holds no numbers"):
        constant_of(node)


def test_constant_with_nan_or_infinity_is_found_by_name() -> None:
    graph = empty_graph()
    graph.node.extend([constant("good", np.ones(3, np.float32)), constant("axes", np.array([1, 2], np.int32))])
    assert not_finite(graph) is None
    for value in (np.nan, np.inf, -np.inf):
        bad = empty_graph()
        bad.CopyFrom(graph)
        bad.node.append(constant("bad", np.array([1, value], np.float32)))
        assert not_finite(bad) == "bad"


@given(st.lists(st.text(min_size=1), max_size=8))
def test_order_of_labels_in_a_graph_is_preserved(labels: list[str]) -> None:
    labels = [label.encode(errors="replace").decode() for label in labels]
    graph = empty_graph()
    graph.node.append(placeholder("input", (1, 4, 4, 3)))
    labeled = parse_graph(serialize(with_labels(graph, labels)), "it")
    assert labels_of(labeled) == tuple(labels)
    assert labels_of(graph) == () and len(graph.node) == 1, "the graph itself is not changed"


def test_label_node_of_a_graph_is_ignored_unless_it_is_a_constant() -> None:
    graph = empty_graph()
    graph.node.append(placeholder("input", (1, 4, 4, 3)))
    labeled = with_labels(graph, ["roses", "daisy"])
    assert labels_of(labeled) == ("roses", "daisy")
    labeled.node[-1].op = "Placeholder"
    assert labels_of(labeled) == ()


def test_removal_of_large_constants_preserves_small_constants() -> None:
    graph = empty_graph()
    graph.node.extend([constant("small", np.ones(256, np.float32)), constant("large", np.ones(257, np.float32))])
    small = without_large_constants(graph)
    assert [len(node.attr["value"].tensor.tensor_content) for node in small.node] == [1024, 0]
    assert len(graph.node[1].attr["value"].tensor.tensor_content) == 1028


def test_shape_of_a_placeholder_is_returned_and_missing_nodes_are_reported() -> None:
    graph = empty_graph()
    graph.node.append(placeholder("input", (-1, 7, 5, 3)))
    assert placeholder_shape(graph, "input") == [-1, 7, 5, 3]
    with pytest.raises(ModelError, match="no node named 'output'"):
        find_node(graph, "output")
    node = find_node(graph, "input")
    before = serialize(graph)
    assert attribute(node, "padding").s == b"" and serialize(graph) == before


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff"])
def test_bytes_that_are_not_a_graph_are_rejected(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"it\.pb: not a frozen graph"):
        parse_graph(data, "it.pb")


def test_constant_nodes_are_made_from_arrays_with_any_memory_layout() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    for array in (np.asfortranarray(values), values.T.copy().T, values[::-1][::-1]):
        assert constant_of(constant("it", array)).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_serialization_of_a_graph_is_deterministic() -> None:
    one, other = operation("x", "Add", ["a"]), operation("x", "Add", ["a"])
    for number in range(20):
        one.attr[f"key{number}"].i = number
        other.attr[f"key{19 - number}"].i = 19 - number
    contents = []
    for node in (one, other):
        graph = empty_graph()
        graph.node.append(node)
        contents.append(serialize(graph))
    assert contents[0] == contents[1] and b"key0" in contents[0]
    assert contents[0].index(b"key10") < contents[0].index(b"key2") < contents[0].index(b"key3")
