"""Tests of the input and the output that are found in a frozen graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poets_edge.errors import ModelError
from poets_edge.nets.frozen import read_frozen_graph
from poets_edge.nets.graphdef import operation, serialize
from tests.graphs import small_graph


def saved(folder: Path, graph: Any) -> Path:
    (folder / "graph.pb").write_bytes(serialize(graph))
    return folder / "graph.pb"


def with_size(*lengths: int) -> Any:
    """Return a graph whose input has the given shape."""
    graph = small_graph(["a", "b"])
    for dimension, length in zip(graph.node[0].attr["shape"].shape.dim, lengths, strict=True):
        dimension.size = length
    return graph


def test_input_size_of_a_frozen_graph_is_height_and_width(tmp_path: Path) -> None:
    found = read_frozen_graph(saved(tmp_path, with_size(1, 96, 128, 3)))
    assert found.size == (96, 128) and (found.input_name, found.output_name) == ("input", "final_result")


@pytest.mark.parametrize("lengths", [(1, 96, 128, 1), (1, -1, 128, 3), (1, 96, 0, 3)])
def test_graph_with_a_gray_or_variable_input_is_refused(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"graph\.pb"):
        read_frozen_graph(saved(tmp_path, with_size(*lengths)))


def test_output_is_the_codelab_softmax_or_else_the_last_softmax(tmp_path: Path) -> None:
    def output(*names: str) -> str:
        graph = small_graph(["a", "b"])
        del graph.node[-1]
        graph.node.extend(operation(name, "Softmax", ["head/logits"]) for name in names)
        return read_frozen_graph(saved(tmp_path, graph)).output_name

    assert output("scores") == "scores" and output("first", "second") == "second"
    assert output("final_result", "second") == "final_result"
