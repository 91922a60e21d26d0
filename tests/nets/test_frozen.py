"""Tests of the input and the output that are found in a frozen graph."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.nets.frozen import read_frozen_graph
from poets_edge.nets.graphdef import constant, find_node, operation, placeholder, serialize, with_labels
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
def test_graph_with_a_gray_input_or_an_input_of_variable_size_is_refused(
    tmp_path: Path, lengths: tuple[int, ...]
) -> None:
    with pytest.raises(ModelError, match=r"graph\.pb"):
        read_frozen_graph(saved(tmp_path, with_size(*lengths)))


def test_output_of_a_frozen_graph_is_final_result_or_if_missing_its_last_softmax(tmp_path: Path) -> None:
    def output(*names: str) -> str:
        graph = small_graph(["a", "b"])
        del graph.node[-1]
        graph.node.extend(operation(name, "Softmax", ["head/logits"]) for name in names)
        return read_frozen_graph(saved(tmp_path, graph)).output_name

    assert output("scores") == "scores" and output("first", "second") == "second"
    assert output("final_result", "second") == "final_result"


def _placeholders(*entries: tuple[str, int]) -> Any:
    """Return a graph whose placeholders have the given names and numbers of channels; the head reads the first one."""
    graph = small_graph(["a", "b"])
    graph.node[0].name = entries[0][0]
    graph.node[0].attr["shape"].shape.dim[3].size = entries[0][1]
    next(node for node in graph.node if node.name == "bottleneck").input[0] = entries[0][0]
    graph.node.extend(placeholder(name, (1, 8, 8, channels)) for name, channels in entries[1:])
    return graph


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([("picture", 3)], "picture"),
        ([("picture", 3), ("mask", 1)], "picture"),
        ([("mask", 1), ("picture", 3)], "picture"),
        ([("picture", 3), ("other", 3)], ""),
        ([("other", 3), ("Mul", 3)], "Mul"),
        ([("Mul", 3), ("input", 3)], "input"),
        ([("mask", 1)], ""),
    ],
)
def test_input_of_a_frozen_graph_is_its_only_placeholder_for_images(
    entries: list[tuple[str, int]], expected: str, tmp_path: Path
) -> None:
    path = saved(tmp_path, _placeholders(*entries))
    if expected:
        assert read_frozen_graph(path).input_name == expected
    else:
        with pytest.raises(ModelError, match="it needs exactly one placeholder for RGB images, and a Softmax"):
            read_frozen_graph(path)


def test_graph_with_unsupported_operations_or_functions_is_refused(tmp_path: Path) -> None:
    graph = small_graph(["a", "b"])
    graph.node.append(operation("x", "WriteFile", []))
    with pytest.raises(ModelError, match="contains WriteFile, which image classifiers do not need"):
        read_frozen_graph(saved(tmp_path, graph))
    graph = small_graph(["a", "b"])
    graph.library.function.add()
    with pytest.raises(ModelError, match="contains functions of its own"):
        read_frozen_graph(saved(tmp_path, graph))


def test_frozen_graph_states_its_checksum_and_labels(tmp_path: Path) -> None:
    path = saved(tmp_path, with_labels(small_graph(["b", "a"]), ["b", "a"]))
    found = read_frozen_graph(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() and found.labels == ("b", "a")
    assert found.photo_sets is None and not found.has_detector
    broken = small_graph(["b", "a"])
    find_node(broken, "head/biases").CopyFrom(constant("head/biases", np.array([0, np.nan], np.float32)))
    with pytest.raises(ModelError, match="its weights 'head/biases' hold NaN or infinity"):
        read_frozen_graph(saved(tmp_path, broken))


@pytest.mark.parametrize(
    "name",
    [
        *("ReadFile", "WriteFile", "MatchingFiles", "Save", "SaveV2", "Restore", "RestoreV2", "WholeFileReaderV2"),
        *("PyFunc", "EagerPyFunc", "Print", "PrintV2", "Assert", "DebugIdentityV2", "VariableV2", "VarHandleOp"),
        *("HashTableV2", "InitializeTableFromTextFileV2", "TensorDataset", "IteratorV2", "PartitionedCall", "While"),
        *("RandomUniform", "WriteSummary", "Abort", "FakeParam", "DecodeRaw", "ParseExample"),
    ],
)
def test_operations_with_state_files_or_calls_are_refused(name: str, tmp_path: Path) -> None:
    graph = small_graph(["a", "b"])
    graph.node.append(operation("x", name, []))
    with pytest.raises(ModelError, match=f"contains {name}, which image classifiers do not need"):
        read_frozen_graph(saved(tmp_path, graph))
