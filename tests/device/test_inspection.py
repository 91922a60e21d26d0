"""Tests of the description of a model file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.device import inspection
from poets_edge.device.inspection import inspect_tflite
from poets_edge.errors import ModelError
from poets_edge.nets.detector import Detector, with_detector
from poets_edge.nets.graphdef import serialize, with_labels
from poets_edge.nets.inspection import inspect_graph
from poets_edge.photos.normalization import BACKBONE, Normalization
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.read_model import read_model
from tests.conftest import poets_edge
from tests.graphs import small_graph, training_files
from tests.tiny_model import color_model

RANGE = Normalization((100.0, 110.0, 120.0), (50.0, 60.0, 70.0))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "colors.tflite"
    path.write_bytes(color_model(normalization=RANGE, facts={"quantization": "float32"}))
    return path


def test_inspection_describes_the_model(model: Path) -> None:
    found = inspect_tflite(model)
    assert (found.path, found.kind, found.size) == (model, "TensorFlow Lite", model.stat().st_size)
    assert found.labels == read_metadata(read_model(model)).labels and found.facts["quantization"] == "float32"
    assert found.accelerated is True
    as_json = found.to_json()
    assert (as_json["mean"], as_json["std"]) == ([100, 110, 120], [50, 60, 70])
    assert as_json["path"] == str(model) and "input_range" not in as_json
    [tensor] = as_json["inputs"]
    assert tensor["shape"] == list(found.inputs[0].shape) and tensor["dtype"] == "float32"
    assert tensor["name"] == found.inputs[0].name and len(as_json["outputs"]) == 1
    assert as_json["normalization_from"] == found.input_range.evidence  # type: ignore[union-attr]
    assert replace(found, input_range=None).to_json()["mean"] == []


def test_operators_are_listed_in_descending_order_of_use(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["RESHAPE", "CONV_2D", "ADD", "CONV_2D", "ADD", "CONV_2D"]
    monkeypatch.setattr(inspection, "operator_names", lambda interpreter: names)
    assert list(inspect_tflite(model).operators.items()) == [("CONV_2D", 3), ("ADD", 2), ("RESHAPE", 1)]
    shown = poets_edge("inspect", model).ok().stdout
    assert "3 CONV_2D, 2 ADD, 1 RESHAPE" in shown
    assert f"TensorFlow Lite, {model.stat().st_size / 1e6:.2f} MB" in shown


def test_model_properties_that_cannot_be_determined_are_empty(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ModelError("unknown")

    monkeypatch.setattr(inspection, "decide_input_range", fail)
    monkeypatch.setattr(inspection, "known_format", fail)
    found = inspect_tflite(model)
    assert found.input_range is None and found.scores == ""
    assert found.to_json()["normalization_from"] is None


def test_inspection_of_a_trained_graph_describes_its_nodes_labels_and_record(tmp_path: Path) -> None:
    for path, content in training_files(tmp_path, ("tulips", "daisy")).items():
        path.write_bytes(content)
    graph = tmp_path / "retrained_graph.pb"
    found = inspect_graph(graph)
    assert (found.path, found.kind, found.size) == (graph, "frozen graph", graph.stat().st_size)
    assert (found.description, found.labels, found.scores) == (
        "mobilenet_0.25_128",
        ("tulips", "daisy"),
        "probabilities",
    )
    ends = [(tensor.name, tensor.shape, tensor.dtype.name) for tensor in (*found.inputs, *found.outputs)]
    assert ends == [("input", (1, 8, 8, 3), "float32"), ("final_result", (1, 2), "float32")]
    assert found.operators == {"Placeholder": 1, "Mean": 1, "MatMul": 1, "BiasAdd": 1, "Softmax": 1}
    assert found.input_range is not None and found.input_range.normalization == BACKBONE
    assert found.facts["labels"] == ["tulips", "daisy"] and not {"sets", "photos", "steps"} & found.facts.keys()


@pytest.mark.parametrize(("stated", "output"), [(None, 0), (0, 0), (1, 1)])
def test_inspection_describes_the_score_format_of_the_score_output(
    monkeypatch: pytest.MonkeyPatch, stated: int | None, output: int
) -> None:
    kinds = [SimpleNamespace(kind="probabilities"), None]
    monkeypatch.setattr(inspection, "known_format", lambda file, metadata, number: kinds[number])
    metadata: Any = SimpleNamespace(score_output=stated)
    file: Any = None
    assert inspection._score_kind(file, metadata) == ("probabilities", "")[output]


def test_inspection_of_a_graph_with_a_detector_lists_the_distance_as_an_output(tmp_path: Path) -> None:
    values: Any = [np.ones(shape, np.float32) for shape in ((3, 2), 2, 2, (2, 2), 2, 2, 1)]
    graph = with_labels(with_detector(small_graph(("a", "b")), Detector(*values)), ("a", "b"))
    (tmp_path / "x.pb").write_bytes(serialize(graph))
    ends = [(tensor.index, tensor.name, tensor.shape) for tensor in inspect_graph(tmp_path / "x.pb").outputs]
    assert ends == [(0, "final_result", (1, 2)), (1, "distance", (1, 1))]
