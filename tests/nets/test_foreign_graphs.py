"""Tests of frozen graphs from other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_INT32

from poets_edge.demo.draw import draw_photos
from poets_edge.device.classifier import Classifier
from poets_edge.nets.graphdef import constant, find_node, operation, serialize
from poets_edge.quantize.graph_scorer import FrozenGraphScorer
from poets_edge.tflite.verify.memory import is_known
from tests.conftest import poets_edge
from tests.graphs import small_graph

LABELS = ("daisy", "roses", "tulips")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (20, 20), "yellow").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def write(folder: Path, graph: Any, labels: Sequence[str] = LABELS) -> Path:
    (folder / "it.pb").write_bytes(serialize(graph))
    (folder / "it_labels.txt").write_text("".join(f"{label}\n" for label in labels))
    return folder / "it.pb"


def integers(name: str, op: str, inputs: Sequence[str]) -> Any:
    node = operation(name, op, list(inputs))
    node.attr["T"].type = DT_INT32
    return node


@pytest.mark.parametrize("operator", ["WriteFile", "ReadFile", "PyFunc", "EagerPyFunc", "Print", "LoadLibrary"])
def test_commands_refuse_graphs_with_unsafe_operators(tmp_path: Path, photo: Path, operator: str) -> None:
    """The operator is a control dependency of the Softmax, so it would run whenever the graph is run."""
    graph = small_graph(LABELS)
    graph.node.add(name="harmless", op=operator)
    find_node(graph, "final_result").input.append("^harmless")
    file = write(tmp_path, graph)
    for arguments in (("label", file, photo), ("export", file), ("inspect", file)):
        poets_edge(*arguments, cwd=tmp_path).failed(f"contains {operator}, which image classifiers do not need")
    assert not list(tmp_path.glob("*.tflite"))


def test_label_command_refuses_graphs_with_functions(tmp_path: Path, photo: Path) -> None:
    graph = small_graph(LABELS)
    graph.library.function.add().signature.name = "Softmax"
    poets_edge("label", write(tmp_path, graph), photo).failed("functions of its own")


@pytest.mark.tensorflow
def test_label_command_reports_tensorflow_errors_in_one_line(tmp_path: Path, photo: Path) -> None:
    """A shape in the graph depends on the pixels, so that TensorFlow fails only when the graph is run."""
    graph = small_graph(LABELS)
    every = constant("every", np.arange(4, dtype=np.int32))
    most = operation("most", "Max", ["input", "every"])
    most.attr["Tidx"].type = DT_INT32
    cast = graph.node.add(name="cast", op="Cast", input=["most"])
    cast.attr["SrcT"].type, cast.attr["DstT"].type = DT_FLOAT, DT_INT32
    less = integers("less", "Sub", ["cast", "four"])
    length = integers("length", "Pack", ["less", "less"])
    length.attr["N"].i, length.attr["axis"].i = 2, 0
    reshape = operation("odd", "Reshape", ["bottleneck", "length"])
    reshape.attr["Tshape"].type = DT_INT32
    graph.node.extend([every, most, constant("four", np.array(4, np.int32)), less, length, reshape])
    find_node(graph, "head/matmul").input[0] = "odd"
    poets_edge("label", write(tmp_path, graph), photo).failed("it.pb: TensorFlow cannot run it (", "-5")


@pytest.mark.tensorflow
def test_label_command_rejects_graphs_with_unsupported_output_shapes(tmp_path: Path, photo: Path) -> None:
    graph = small_graph(LABELS)
    reshape = operation("flat", "Reshape", ["head/logits", "length"])
    reshape.attr["Tshape"].type = DT_INT32
    graph.node.extend([constant("length", np.array([3], np.int32)), reshape])
    find_node(graph, "final_result").input[0] = "flat"
    poets_edge("label", write(tmp_path, graph), photo).failed("its output has the shape [3]")


@pytest.mark.tensorflow
@pytest.mark.parametrize("float_io", [False, True])
def test_int8_export_of_a_foreign_graph_uses_tensorflows_converter(tmp_path: Path, float_io: bool) -> None:
    draw_photos(tmp_path / "photos", per_class=4)
    labels = sorted(path.name for path in (tmp_path / "photos").iterdir())
    graph = write(tmp_path, small_graph(labels), labels)
    options = ("--image_dir", "photos", "--testing_percentage", "50", *(["--float-io"] if float_io else []))
    poets_edge("export", graph, "--quantize", "int8", *options, cwd=tmp_path).ok()
    int8, float32 = Classifier(tmp_path / "it_int8.tflite"), FrozenGraphScorer(graph)
    assert int8.input.dtype == (np.float32 if float_io else np.uint8)
    photos = sorted(tmp_path.glob("photos/*/*.jpg"))
    differences = [np.abs(int8.scores(photo) - float32.scores(photo)).max() for photo in photos]
    assert np.median(differences) < 0.02, "but photos brighter or darker than those for calibration may differ more"


@pytest.mark.tensorflow
def test_model_exported_without_photos_is_not_recorded_as_verified(tmp_path: Path) -> None:
    ran = poets_edge("export", write(tmp_path, small_graph(LABELS)), cwd=tmp_path)
    assert ran.ok() and "not re-scored" in ran.stderr
    assert not is_known((tmp_path / "it.tflite").read_bytes())
