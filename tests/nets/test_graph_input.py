"""Tests of the input range that is inferred from the first nodes of a graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import ModelError, UsageError
from poets_edge.nets.graph_input import graph_input_range, input_evidence
from poets_edge.nets.graphdef import constant, operation
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT, Normalization
from poets_edge.tflite.first_layers import BlueFirstError
from tests.graphs import small_graph


def graph_with(*steps: tuple[str, float]) -> Any:
    """Return a graph whose input goes through operations with one constant each before anything else reads it."""
    graph, source = small_graph(["a", "b"]), "input"
    for number, (kind, value) in enumerate(steps):
        graph.node.append(constant(f"value{number}", np.array(value, np.float32)))
        graph.node.append(operation(f"step{number}", kind, [source, f"value{number}"]))
        source = f"step{number}"
    mean = next(node for node in graph.node if node.name == "bottleneck")
    mean.input[0] = source
    return graph


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("Mul", 1 / 255)], RAW),
        ([("RealDiv", 255)], RAW),
        ([("Sub", 127.5), ("Mul", 1 / 127.5)], RAW),
        ([("Mul", 1 / 127.5), ("Sub", 1)], RAW),
        ([("Mul", 1 / 127.5), ("Add", -1)], RAW),
        ([("Mul", 2), ("Sub", 1)], UNIT),
        ([("Mul", 2), ("Add", 1)], None),
        ([], None),
    ],
)
def test_input_range_is_inferred_from_arithmetic(
    steps: list[tuple[str, float]], expected: Normalization | None
) -> None:
    graph = graph_with(*steps)
    graph.node.append(operation("after", "NoOp", ["^input"]))  # it reads no value of the input
    found = input_evidence(graph, "input")
    assert (None if found is None else found.normalization) == expected


def test_input_range_of_a_graph_from_train_cannot_be_changed() -> None:
    frozen = SimpleNamespace(
        labels=("a", "b"), photo_sets=None, path="graph.pb", graph=graph_with(), input_name="input"
    )
    trained: Any = SimpleNamespace(frozen=frozen, record=None)
    assert graph_input_range(trained).normalization == graph_input_range(trained, "-1:1").normalization == BACKBONE
    with pytest.raises(UsageError, match="Leave it out"):
        graph_input_range(trained, "0:255")
    foreign: Any = SimpleNamespace(frozen=SimpleNamespace(**{**vars(frozen), "labels": ()}), record=None)
    assert graph_input_range(foreign, "0:255").normalization == RAW


def _vectors(*steps: tuple[str, Any, bool]) -> Any:
    """Return a graph with arithmetic on its input; the flag says whether the constant is the first operand."""
    graph, source = small_graph(["a", "b"]), "input"
    for number, (kind, values, first) in enumerate(steps):
        name = f"step{number}"
        inputs = [source]
        if values is not None:
            graph.node.append(constant(f"value{number}", np.array(values, np.float32)))
            inputs = [f"value{number}", source] if first else [source, f"value{number}"]
        graph.node.append(operation(name, kind, inputs))
        source = name
    next(node for node in graph.node if node.name == "bottleneck").input[0] = source
    return graph


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("Mul", 1 / 255, True)], RAW),
        ([("AddV2", -127.5, True), ("Mul", 1 / 127.5, False)], RAW),
        ([("Sub", 127.5, True), ("Mul", 1 / 127.5, False)], None),
        ([("RealDiv", 255.0, True)], None),
        ([("BiasAdd", [-123.675, -116.28, -103.53], False), ("RealDiv", [58.395, 57.12, 57.375], False)], RAW),
        ([("Identity", None, False), ("Mul", 1 / 255, False)], RAW),
        ([("Relu", None, False), ("Mul", 1 / 255, False)], None),
        ([("Mul", [1 / 255, 1 / 255], False)], None),
        ([("ReverseV2", 1.0, False), ("Sub", [103.9, 116.8, 123.7], False)], RAW),
        ([("Sub", [123.7, 116.8, 103.9], False)], RAW),
    ],
)
def test_input_range_inference_respects_the_order_of_operations_and_operands(
    steps: list[tuple[str, Any, bool]], expected: Normalization | None
) -> None:
    found = input_evidence(_vectors(*steps), "input")
    assert (found and found.normalization) == expected


def test_input_range_inference_rejects_channel_means_in_bgr_order() -> None:
    with pytest.raises(BlueFirstError):
        input_evidence(_vectors(("Sub", [103.9, 116.8, 123.7], False)), "input")


@pytest.mark.parametrize(("each", "expected"), [(0.0006, RAW), (0.001, None)])
def test_input_range_is_inferred_from_weights_that_are_small_compared_with_the_biases(
    each: float, expected: Normalization | None
) -> None:
    """The kernel has 3 x 3 x 3 weights of `each` for most of its five outputs; one output has large weights."""
    kernel = np.full((3, 3, 3, 5), each, np.float32)
    kernel[..., 2] = 50
    graph = _vectors(("Conv2D", kernel, False), ("BiasAdd", [1.0, -1.0, 1.0, -1.0, 1.0], False))
    found = input_evidence(graph, "input")
    assert (found and found.normalization) == expected
    scaled = _vectors(("Mul", 1.5, False), ("Conv2D", kernel, False), ("BiasAdd", [1.0, -1.0, 1.0, -1.0, 1.0], False))
    assert input_evidence(scaled, "input") is None


def test_graph_with_the_node_names_of_the_codelab_has_the_input_range_of_the_codelab() -> None:
    def trained(source: str, output: str, graph: Any = None) -> Any:
        frozen = SimpleNamespace(
            labels=(),
            photo_sets=None,
            path="graph.pb",
            graph=graph or _vectors(),
            input_name=source,
            output_name=output,
        )
        return SimpleNamespace(frozen=frozen, record=None)

    for source, output, known in (
        ("input", "final_result", True),
        ("Mul", "final_result", True),
        ("input", "scores", False),
        ("picture", "final_result", False),
    ):
        if known:
            found = graph_input_range(trained(source, output))
            assert found.normalization == BACKBONE and not found.inferred
        else:
            with pytest.raises(ModelError, match=r"^graph\.pb: it does not specify its input range"):
                graph_input_range(trained(source, output))
    found = graph_input_range(trained("input", "final_result", _vectors(("Mul", 1 / 255, False))))
    assert (found.normalization, found.inferred) == (RAW, True)
    with pytest.raises(ModelError, match=r"^graph\.pb: its first layers subtract 103\.9"):
        graph_input_range(trained("input", "x", _vectors(("Sub", [103.9, 116.8, 123.7], False))))
    fields: list[dict[str, Any]] = [{"record": {}}, {"photo_sets": {"training": {}}}]
    for field in fields:
        own = trained("picture", "x")
        target = own if "record" in field else own.frozen
        vars(target).update(field)
        assert graph_input_range(own).evidence == "trained by poets_edge"
