"""Tests of the input range that is inferred from the first nodes of a graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import UsageError
from poets_edge.nets.graph_input import graph_input_range, input_evidence
from poets_edge.nets.graphdef import constant, operation
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT, Normalization
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
