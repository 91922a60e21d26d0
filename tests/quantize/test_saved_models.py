"""Tests of the checks of SavedModels: operations that access files, and checkpoints that are written by a call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poets_edge.errors import ModelError
from poets_edge.quantize.foreign_code import check_saved_model
from tests import yardstick


def model() -> Any:
    """Return a harmless SavedModel: x -> y, with a function f, and a node that writes a checkpoint if it is run."""
    yardstick.tensorflow()
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    meta = saved.meta_graphs.add()
    for name, operation, inputs in (
        ("x", "Placeholder", ()),
        ("y", "Identity", ("x",)),
        ("save", "SaveV2", ("x",)),
        ("saved", "Identity", ("^save",)),
        ("call", "StatefulPartitionedCall", ("x",)),
        ("called", "Identity", ("call:0",)),
    ):
        meta.graph_def.node.add(name=name, op=operation, input=inputs)
    function = meta.graph_def.library.function.add()
    function.signature.name = "f"
    function.node_def.add(name="a", op="Identity")
    function.node_def.add(name="b", op="Relu")
    outer = meta.graph_def.library.function.add()
    outer.signature.name = "outer"
    outer.node_def.add(name="call", op="PartitionedCall").attr["f"].func.name = "f"
    meta.signature_def["serving_default"].outputs["scores"].name = "y:0"
    return saved


def function(saved: Any, operation: str) -> Any:
    return saved.meta_graphs[0].graph_def.library.function[0].node_def.add(name="last", op=operation)


def output(saved: Any, name: str) -> None:
    saved.meta_graphs[0].signature_def["serving_default"].outputs["scores"].name = name


def call(saved: Any, name: str) -> None:
    """Make the first function write a checkpoint, and the output depend on a call of the function `name`."""
    function(saved, "SaveV2")
    saved.meta_graphs[0].graph_def.node[4].attr["f"].func.name = name
    output(saved, "called:0")


ACCESSES = r"contains the operation ReadFile, which"
WRITES = "writes files when it is loaded or run"
CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "harmless": (lambda saved: None, ""),
    "in the graph": (lambda saved: saved.meta_graphs[0].graph_def.node.add(name="z", op="ReadFile"), ACCESSES),
    "at the end of a function": (lambda saved: function(saved, "ReadFile"), ACCESSES),
    "in the second graph": (
        lambda saved: saved.meta_graphs.add().graph_def.node.add(name="z", op="ReadFile"),
        ACCESSES,
    ),
    "an unknown operation": (lambda saved: function(saved, "Mine"), "contains the operation Mine, which"),
    "a checkpoint that no call writes": (lambda saved: function(saved, "SaveV2"), ""),
    "a checkpoint before an output": (lambda saved: output(saved, "saved:0"), WRITES),
    "a checkpoint as an output": (lambda saved: output(saved, "save"), WRITES),
    "a function before an output": (lambda saved: call(saved, "f"), WRITES),
    "a function of a function": (lambda saved: call(saved, "outer"), WRITES),
    "another function": (lambda saved: call(saved, "g"), ""),
    "restoring": (lambda saved: setattr(saved.meta_graphs[0].saver_def, "restore_op_name", "saved"), WRITES),
    "a start-up operation": (
        lambda saved: saved.meta_graphs[0].collection_def["main_op"].node_list.value.append("save"),
        WRITES,
    ),
    "a function that Python may call": (
        lambda saved: (
            function(saved, "MergeV2Checkpoints"),
            saved.meta_graphs[0].object_graph_def.concrete_functions["outer"],
        ),
        WRITES,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_saved_models_that_access_files_are_refused(case: str, tmp_path: Path) -> None:
    change, message = CASES[case]
    saved = model()
    change(saved)
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    if message:
        with pytest.raises(ModelError, match=message):
            check_saved_model(tmp_path)
    else:
        check_saved_model(tmp_path)


@pytest.mark.parametrize("file", ["saved_model.cpb", "", "damaged"])
def test_saved_models_in_several_or_damaged_files_are_refused(file: str, tmp_path: Path) -> None:
    """TensorFlow prefers `saved_model.cpb`, whose graph is not checked."""
    content = model().SerializeToString()
    if file:
        (tmp_path / "saved_model.pb").write_bytes(content[:-1] if file == "damaged" else content)
        (tmp_path / file).touch()
    with pytest.raises(
        ModelError, match="cannot be read" if file == "damaged" else "needs a saved_model.pb in one part"
    ):
        check_saved_model(tmp_path)
