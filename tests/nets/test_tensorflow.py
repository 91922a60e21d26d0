"""Tests of the import of TensorFlow, with a stand-in for its package, and of graphs for TensorBoard."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import pytest

from poets_edge.errors import RuntimeMissingError
from poets_edge.nets.graphdef import operation
from poets_edge.nets.tensorboard_graph import training_picture
from poets_edge.nets.tensorflow import load_tensorflow
from tests.graphs import small_graph

VARIABLES = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "TF_NUM_INTEROP_THREADS")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Environment variables at the time of the import."""
    found: dict[str, str | None] = {}

    def load(name: str) -> ModuleType:
        found.update({variable: os.environ.get(variable) for variable in VARIABLES})
        return ModuleType(name)

    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr("poets_edge.nets.tensorflow.importlib.import_module", load)
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")  # restored after the test
        monkeypatch.delenv(variable)
    return found


def test_tensorflow_is_imported_without_log_messages_gpus_or_parallel_operations(
    seen: dict[str, str | None],
) -> None:
    assert load_tensorflow("a test").__name__ == "tensorflow"
    assert tuple(seen[variable] for variable in VARIABLES) == ("3", "-1", "1")


def test_environment_variables_of_the_user_are_not_replaced(
    seen: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in zip(VARIABLES, ("0", "0,1", "4"), strict=True):
        monkeypatch.setenv(variable, value)
    load_tensorflow("a test")
    assert tuple(seen[variable] for variable in VARIABLES) == ("0", "0,1", "4")


def test_missing_tensorflow_error_names_the_task_that_requires_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> ModuleType:
        raise ImportError(f"no {name}")

    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr("poets_edge.nets.tensorflow.importlib.import_module", fail)
    with pytest.raises(RuntimeMissingError, match=r"^a test needs TensorFlow, .*\(no tensorflow\)\. Run: pip install"):
        load_tensorflow("a test")


def test_only_graph_nodes_whose_name_begins_with_head_are_renamed_for_tensorboard() -> None:
    graph = small_graph(("a", "b"))
    graph.node.append(operation("layer/head/x", "Identity", ["head/weights"]))
    names = {node.name: list(node.input) for node in training_picture(graph).node}
    assert names["layer/head/x"] == ["final_training_ops/weights"] and "final_training_ops/logits" in names
    assert not any(name.startswith("head/") for name in names)
