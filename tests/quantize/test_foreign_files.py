"""Tests of foreign models: Python code in Keras files, names of operations, messages of onnx2tf, and input shapes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT, Normalization
from poets_edge.quantize import tensorflow_model
from poets_edge.quantize.convert import _set_quantization
from poets_edge.quantize.foreign_code import _HARMLESS, check_keras
from poets_edge.quantize.onnx_model import _reason
from poets_edge.quantize.tensorflow_files import load_keras


def _keras(path: Path, *layers: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"module": "keras", "config": {"layers": list(layers)}}))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
    return path


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"class_name": "Dense", "module": "keras.layers"}, ""),
        ({"class_name": "Dense"}, ""),
        ({"class_name": "Dense", "module": None}, ""),
        ({"class_name": "Dense", "module": "keras.src.layers.core.dense"}, ""),
        ({"class_name": "GlorotUniform", "module": "keras.initializers"}, ""),
        ({"class_name": "Lambda", "module": "keras.layers"}, "contains Lambda, Python code"),
        ({"class_name": "Mine", "module": "mine.layers"}, r"contains mine\.layers\.Mine, Python code"),
        ({"class_name": "Dense", "module": "keras.layers; os"}, r"contains keras\.layers; os\.Dense, Python code"),
        ({"class_name": "Dense", "module": "keras.utils"}, r"contains keras\.utils\.Dense, Python code"),
        (
            {"class_name": "StringLookup", "module": "keras.layers"},
            "contains the layer StringLookup, which reads other",
        ),
        (
            {"class_name": "Dense", "config": {"activation": {"class_name": "function"}}},
            "contains function, Python code",
        ),
        ({"class_name": "Dense", "config": [[{"class_name": "TFSMLayer"}]]}, "contains TFSMLayer, Python code"),
    ],
)
def test_keras_files_with_python_code_or_layers_that_read_files_are_refused(
    layer: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = _keras(tmp_path / "m.keras", {"class_name": "InputLayer", "module": "keras.layers"}, layer)
    if message:
        with pytest.raises(ModelError, match=message):
            check_keras(path)
    else:
        assert check_keras(path) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("name", "harmless"),
    [
        ("VarHandleOp", True),
        ("ReadVariableOp", True),
        ("AssignVariableOp", True),
        ("SaveV2", True),
        ("SaveV2Slices", False),
        ("WriteSaveV2", False),
        ("RandomUniform", True),
        ("StatefulPartitionedCall", True),
        ("PyFunc", False),
        ("WhileX-", False),
        ("Placeholder", True),
        ("PlaceholderV3", False),
    ],
)
def test_graph_operations_are_allowed_only_if_their_whole_name_matches(name: str, harmless: bool) -> None:
    assert bool(_HARMLESS.fullmatch(name)) is harmless


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("", ""),
        ("\n  \n", ""),
        ("first\nsecond\n", "second"),
        ("first ERROR here\nsecond\n", "first ERROR here"),
        ("an error\n\x1b[31mError:   the   last\x1b[0m\nrun again\n", "Error: the last"),
        ("x" * 300, "x" * 200),
    ],
)
def test_reason_for_a_failure_is_the_last_line_that_mentions_an_error(printed: str, reason: str) -> None:
    assert _reason(printed) == reason


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [
        ((None, 96, 64, 3), None, (96, 64, 3)),
        ((1, 96, 64, 1), None, (96, 64, 1)),
        ((None, None, None, 3), 224, (224, 224, 3)),
        ((None, 96, None, 3), 96, (96, 96, 3)),
        ((None, 96, 96, 3), 96, (96, 96, 3)),
        ((None, 96, 64, 3), 96, "its input has 96 x 64 pixels, not `input_size` 96"),
        ((None, 64, 96, 3), 96, "its input has 64 x 96 pixels, not `input_size` 96"),
        ((None, None, 64, 3), None, "accepts pictures of any size"),
        ((None, 64, None, 3), None, "accepts pictures of any size"),
        ((None, 96, 96, 4), None, "is not one RGB or gray picture"),
        ((96, 96, 3), None, "is not one RGB or gray picture"),
    ],
)
def test_models_are_rejected_unless_their_input_is_one_image_of_known_size(
    shape: tuple[int | None, ...], side: int | None, expected: tuple[int, int, int] | str
) -> None:
    if isinstance(expected, tuple):
        assert tensorflow_model._input_shape(Path("m"), [shape], side) == expected
    else:
        with pytest.raises(ModelError, match=f"^m: .*{expected}"):
            tensorflow_model._input_shape(Path("m"), [shape], side)


def test_models_with_several_inputs_are_rejected() -> None:
    with pytest.raises(ModelError, match="is not one RGB or gray picture"):
        tensorflow_model._input_shape(Path("m"), [(1, 8, 8, 3), (1, 8, 8, 3)], None)


@pytest.mark.parametrize("wanted", [BACKBONE, RAW, UNIT, Normalization((120.0, 110.0, 100.0), (60.0, 50.0, 40.0))])
def test_backbone_inputs_are_converted_to_any_normalization(wanted: Normalization) -> None:
    factors, offsets = tensorflow_model._from_backbone(wanted)
    for pixel in (0.0, 40.0, 255.0):
        found = (pixel - 127.5) / 127.5 * factors + offsets
        np.testing.assert_allclose(found, (pixel - np.array(wanted.mean)) / np.array(wanted.std), atol=2e-5)
    assert factors.dtype == offsets.dtype == np.float32


class _Node:
    """Node of a graph with a name, an operation and inputs."""

    def __init__(self, name: str, op: str, *inputs: str) -> None:
        self.name, self.op, self.input = name, op, inputs


class _Graph:
    def __init__(self, *nodes: _Node) -> None:
        self.node = nodes


def test_last_operation_of_a_graph_is_found_through_identity_nodes() -> None:
    graph = _Graph(
        _Node("logits", "MatMul"),
        _Node("s", "Sigmoid", "logits"),
        _Node("one", "Const"),
        _Node("other", "Sub", "one", "s:0", "^logits"),
        _Node("i", "Identity", "s:0"),
        _Node("j", "Identity", "i"),
        _Node("relu", "Relu", "s"),
        _Node("scaled", "Mul", "logits", "one"),
    )
    for name, operation, depends in (
        ("j", "Sigmoid", True),
        ("s", "Sigmoid", True),
        ("other", "Sub", True),
        ("relu", "Relu", False),
        ("scaled", "Mul", False),
        ("logits", "MatMul", False),
    ):
        assert tensorflow_model._last_operation(graph, name) == operation
        assert tensorflow_model._depends_on_scores(graph, name) is depends


class Converter:
    """Stand-in for TensorFlow's converter, whose settings are its attributes."""


def _settings(quantization: Any, calibration: Any = ()) -> dict[str, Any]:
    tf = SimpleNamespace(
        float16="float16", lite=SimpleNamespace(Optimize=SimpleNamespace(DEFAULT="default"),
        OpsSet=SimpleNamespace(TFLITE_BUILTINS_INT8="int8 operators")),
    )  # fmt: skip
    converter = Converter()
    converter.target_spec = SimpleNamespace()  # type: ignore[attr-defined]
    _set_quantization(tf, converter, quantization, calibration)
    found = dict(vars(converter))
    target = found.pop("target_spec")
    return {**found, **vars(target)}


def test_converter_settings_depend_on_the_quantization() -> None:
    """One scale for each dense layer: old interpreters lack the operator version for one scale per class."""
    optimized, dense = {"optimizations": ["default"]}, "_experimental_disable_per_channel_quantization_for_dense_layers"
    assert _settings("float32") == {}
    assert _settings("dynamic") == {**optimized, dense: True}
    assert _settings("float16") == {**optimized, "supported_types": ["float16"]}
    picture = np.array([[[0, 255, 51]]], np.uint8)
    for quantization in ("int8", "full-int8"):
        found = _settings(quantization, [picture])
        [[sample]] = found.pop("representative_dataset")()
        np.testing.assert_allclose(sample, [[[[-1, 1, -0.6]]]], atol=1e-6)
        assert found == {**optimized, "supported_ops": ["int8 operators"]} and sample.dtype == np.float32


def test_keras_model_is_loaded_without_its_optimizer_and_run_for_inference(tmp_path: Path) -> None:
    path = _keras(tmp_path / "m.keras", {"class_name": "Dense", "module": "keras.layers"})
    runs: list[tuple[Any, dict[str, Any]]] = []
    loads: list[tuple[str, dict[str, Any]]] = []

    class Model:
        inputs: ClassVar = [SimpleNamespace(shape=(None, 8, 8, 3))]

        def __call__(self, values: Any, **options: Any) -> str:
            runs.append((values, options))
            return "scores"

    def load(name: str, **options: Any) -> Model:
        loads.append((name, options))
        return Model()

    keras = SimpleNamespace(models=SimpleNamespace(load_model=load), layers=SimpleNamespace(DepthwiseConv2D=object))
    run, shapes = load_keras(SimpleNamespace(keras=keras), path)
    assert shapes == [(None, 8, 8, 3)] and run("pixels") == "scores" and runs == [("pixels", {"training": False})]
    [(name, options)] = loads
    assert name == str(path) and options["compile"] is False and set(options["custom_objects"]) == {"DepthwiseConv2D"}
