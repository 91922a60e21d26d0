"""Tests of `annotate`, and of the checks of models for the app, the web page, ONNX and Core ML, with small models."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.device.scorer import ModelOutput
from poets_edge.errors import ModelError, OutputError, RuntimeMissingError, UsageError
from poets_edge.exporting import other_formats, other_readers
from poets_edge.exporting.annotate import annotate, annotated, remove_metadata
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.other_formats import (
    ConvertedModel,
    _difference,
    _onnx_difference,
    _outputs,
    _pictures,
    _quiet,
)
from poets_edge.exporting.other_readers import open_for_other_readers
from poets_edge.photos.folder import Photo
from poets_edge.photos.normalization import UNIT
from poets_edge.tflite.flatbuffer import add_tensor, pack_model, schema, unpack_model
from poets_edge.tflite.metadata import read_metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.read_model import read_model
from tests.tiny_model import COLORS, SIDE, color_model, mean_operator


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A model of another program, without metadata."""
    (tmp_path / "foreign.tflite").write_bytes(color_model())
    return tmp_path / "foreign.tflite"


def test_annotated_copy_is_named_after_the_model(foreign: Path) -> None:
    content = foreign.read_bytes()
    found = annotate(foreign, labels=list(COLORS), input_range="0:1")
    assert found.path == foreign.with_name("foreign_annotated.tflite") and foreign.read_bytes() == content
    assert found.size == found.path.stat().st_size
    json = found.to_json()
    assert (json["mean"], json["std"]) == ([0.0], [255.0]) and json["labels"] == list(COLORS)
    assert json["added"] == list(found.changes) and json["size"] == found.size
    metadata = read_metadata(read_model(found.path))
    assert metadata.name == "foreign" and metadata.labels == COLORS and not metadata.antialias
    assert metadata.facts == {}, "the model is not one of poets_edge"


def test_annotate_never_replaces_its_input_or_files_that_are_not_models(foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "link.tflite").symlink_to(foreign)
    for output in (foreign, tmp_path / "link.tflite", tmp_path / "." / "foreign.tflite"):
        with pytest.raises(UsageError, match="the model itself"):
            annotate(foreign, labels=list(COLORS), input_range="0:1", output=output)
    for content in (b"TFL3 in the wrong place", b"\xff\xd8\xff\xe0JFIF", b"x"):
        (tmp_path / "photo.jpg").write_bytes(content)
        with pytest.raises(OutputError, match=r"not a \.tflite file"):
            annotate(foreign, labels=list(COLORS), input_range="0:1", output=tmp_path / "photo.jpg")
        assert (tmp_path / "photo.jpg").read_bytes() == content
    (tmp_path / "old.tflite").write_bytes(foreign.read_bytes())
    assert annotate(foreign, labels=list(COLORS), input_range="0:1", output=tmp_path / "old.tflite").labels == COLORS


def test_annotate_writes_nothing_if_the_scores_differ(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.exporting.annotate._TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="nothing was written"):
        annotate(foreign, labels=list(COLORS), input_range="0:1")
    assert [path.name for path in foreign.parent.iterdir()] == [foreign.name]


def test_annotate_translates_labels_of_poets_edge_models_and_preserves_their_facts(tmp_path: Path) -> None:
    own = tmp_path / "own.tflite"
    own.write_bytes(color_model(normalization=UNIT, facts={"quantization": "float32"}))
    assert annotated(Classifier(own), antialias=True) == (own.read_bytes(), ()), "nothing changes"
    (tmp_path / "names.txt").write_text("red=rot\n")
    found = annotate(own, labels=tmp_path / "names.txt")
    metadata = read_metadata(read_model(found.path))
    assert metadata.labels == ("rot", "green", "blue") and metadata.antialias and found.changes == ()
    assert metadata.facts["quantization"] == "float32" and metadata.name == "colors"


def test_annotate_preserves_unrelated_metadata_and_removes_signatures(foreign: Path) -> None:
    model = unpack_model(color_model(normalization=UNIT))
    entry, buffer = schema().MetadataT(), schema().BufferT()
    entry.name, entry.buffer, buffer.data = b"min_runtime_version", len(model.buffers), np.frombuffer(b"2", np.uint8)
    model.buffers.append(buffer)
    model.metadata = [*model.metadata, entry]
    signature = schema().SignatureDefT()
    signature.subgraphIndex, signature.signatureKey, signature.inputs, signature.outputs = 0, b"serving", [], []
    model.signatureDefs = [signature]
    remove_metadata(model)
    assert [one.name for one in model.metadata] == [b"min_runtime_version"]
    foreign.write_bytes(pack_model(model))
    written = unpack_model(read_model(annotate(foreign, labels=list(COLORS), input_range="0:1").path).content)
    assert not written.signatureDefs and b"min_runtime_version" in [one.name for one in written.metadata]


def changed(change: Callable[[Any, Any], None]) -> bytes:
    model = unpack_model(color_model())
    change(model, model.subgraphs[0])
    return pack_model(model)


def second_output(model: Any, graph: Any) -> None:
    extra = add_tensor(graph, b"brightness", (1,), schema().TensorType.FLOAT32)
    graph.operators = [*graph.operators, mean_operator(model, graph.inputs[0], [1, 2, 3], extra)]
    graph.outputs = [*graph.outputs, extra]


def four_channels(model: Any, graph: Any) -> None:
    graph.tensors[graph.inputs[0]].shape = np.array([1, SIDE, SIDE, 1], np.int32)
    graph.tensors[graph.outputs[0]].shape = np.array([1, 1], np.int32)


def opened(path: Path, content: bytes, labels: int = 3) -> Classifier:
    path.write_bytes(content)
    (path.parent / "labels.txt").write_text("".join(f"label {number}\n" for number in range(labels)))
    return open_for_other_readers(path, "the app", labels=path.parent / "labels.txt", input_range="0:1")


def test_app_requires_models_with_rgb_input_and_one_output(tmp_path: Path) -> None:
    found = opened(tmp_path / "m.tflite", color_model())
    assert found.labels == ("label 0", "label 1", "label 2")
    assert read_metadata(found.file).labels == found.labels, "the labels are in the file"
    with pytest.raises(ModelError, match="has 2 outputs; the app takes one"):
        opened(tmp_path / "m.tflite", changed(second_output))
    with pytest.raises(ModelError, match=r"\[1, 8, 8, 1\]; the app takes RGB"):
        opened(tmp_path / "m.tflite", changed(four_channels), labels=1)


def test_models_exported_to_other_formats_keep_their_resizing_method(foreign: Path, tmp_path: Path) -> None:
    resized = annotate(foreign, labels=list(COLORS), input_range="0:1").path
    names = tmp_path / "names.txt"
    names.write_text("blue=violet\n")
    assert not open_for_other_readers(resized, "the app", labels=names).metadata.antialias
    own = tmp_path / "own.tflite"
    own.write_bytes(color_model(normalization=UNIT))
    assert open_for_other_readers(own, "the app", labels=names).metadata.antialias


def graph(*names: str) -> Any:
    nodes = [SimpleNamespace(name=name) for name in names]
    return SimpleNamespace(output_name="final", graph=SimpleNamespace(node=nodes))


def test_onnx_outputs_include_the_distance_if_the_model_has_a_detector() -> None:
    assert _outputs(graph("input", "final")) == ["final:0"]
    assert _outputs(graph("input", "final", "distance")) == ["final:0", "distance:0"]


@pytest.mark.parametrize(
    ("scores", "distance", "expected"),
    [
        ([[0.5, 0.3]], [2.0], 0.2), ([[0.5, 0.5]], [2.25], 0.25), ([[0.4, 0.5]], [2.0], 0.1),
        ([[np.nan, 0.5]], [2.0], np.inf), ([[0.5, 0.5]], [np.inf], np.inf),
    ],
)  # fmt: skip
def test_difference_of_two_models_is_the_largest_difference_in_scores_or_distance(
    scores: list[list[float]], distance: list[float], expected: float
) -> None:
    own = ModelOutput(np.array([0.5, 0.5], np.float32), 2.0)
    found = _difference(own, np.array(scores, np.float32), [np.array(distance, np.float32)])
    assert found == pytest.approx(expected, abs=1e-6)
    without = ModelOutput(np.array([0.5, 0.5], np.float32), None)
    assert _difference(without, np.array([[0.5, 0.75]], np.float32), []) == 0.25


class Session:
    """A session of ONNX Runtime that returns the means of the input, the first one doubled."""

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="input")]

    def run(self, names: None, values: dict[str, Any]) -> list[Any]:
        assert values["input"].shape == (1, SIDE, SIDE, 3)
        means = values["input"].mean(axis=(1, 2))
        return [means + np.array([[means.mean(), 0, 0]], np.float32)]


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(ModelFile(Path("colors"), color_model(normalization=UNIT)))


def test_difference_of_an_onnx_model_is_the_largest_difference_over_all_images(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = SimpleNamespace(InferenceSession=lambda content, providers: Session())
    monkeypatch.setattr(other_formats, "_load", lambda name, extra: runtime)
    images = [np.full((SIDE, SIDE, 3), value, np.uint8) for value in (51, 102, 0)]
    assert _onnx_difference(b"", classifier, images) == pytest.approx(2 * 102 / 255 - 1 / 3, abs=1e-6)
    assert _onnx_difference(b"", classifier, []) == 0


@pytest.mark.parametrize(("count", "compared", "second"), [(0, 4, -1), (5, 5, 1), (199, 100, 1), (250, 100, 2)])
def test_converted_model_is_compared_on_at_most_100_evenly_spaced_photos(
    count: int, compared: int, second: int, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_formats, "read_contents", lambda photo: int(photo.name))
    monkeypatch.setattr(other_formats, "read_photo", lambda number: Image.new("RGB", (9, 9), (number, 0, 0)))
    photos = [Photo(Path(f"{number}"), f"{number}", "a") for number in range(count)]
    found = list(_pictures(classifier, photos))
    assert len(found) == compared and all(one.shape == (SIDE, SIDE, 3) for one in found)
    if count:
        assert found[1][0, 0, 0] == second, "spread over all photos"


@pytest.fixture
def exported(classifier: Classifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Function that exports with a simulated converter: with a given difference of scores, or an error."""

    def export(
        difference: float, error: Exception | None = None, format: Any = "onnx", folder: Path | None = None
    ) -> ConvertedModel:
        def converted(frozen: Any, labels: Any, one: Any) -> bytes:
            if error:
                raise error
            return b"converted"

        file = SimpleNamespace(path=tmp_path / "g.tflite", scored=None)
        prepared = SimpleNamespace(result=SimpleNamespace(files=[file]), contents=[classifier.file.content])
        monkeypatch.setattr(
            other_formats, "read_trained", lambda graph, labels: SimpleNamespace(frozen=1, labels=COLORS)
        )
        monkeypatch.setattr(other_formats, "prepare_export", lambda options, reporter: prepared)
        monkeypatch.setattr(other_formats, "_to_onnx", converted)
        monkeypatch.setattr(other_formats, "_to_core_ml", converted)
        monkeypatch.setattr(other_formats, "_onnx_difference", lambda *arguments: difference)
        return other_formats.export_format(ExportOptions(graph=tmp_path / "g.pb", output_dir=folder), format)

    return export


def test_onnx_model_is_written_only_if_it_computes_the_same_scores(exported: Any, tmp_path: Path) -> None:
    for difference in (0.0011, float("nan"), float("inf")):
        with pytest.raises(ModelError, match="as onnx, its scores differ"):
            exported(difference)
    assert not list(tmp_path.glob("*.onnx"))
    found = exported(0.001)
    assert found.path == tmp_path / "g.onnx" and found.path.read_bytes() == b"converted"
    assert (found.size, found.compared, found.to_json()["largest_difference"]) == (9, 4, 0.001)


def test_core_ml_model_is_not_compared_with_the_tflite_model(exported: Any, tmp_path: Path) -> None:
    found = exported(5.0, format="coreml", folder=tmp_path / "out")
    assert found.path == tmp_path / "out/g.mlpackage.zip" and found.path.is_file()
    assert exported(0.0, format="coreml").path == tmp_path / "g.mlpackage.zip" and found.compared == 0
    assert found.to_json()["largest_difference"] is None and found.to_json()["labels"] == list(COLORS)


def test_errors_of_converters_are_reported_in_one_line(exported: Any) -> None:
    with pytest.raises(ModelError, match=r"cannot be converted to onnx \(two lines\)"):
        exported(0.0, ValueError("two\nlines"))
    with pytest.raises(RuntimeMissingError, match="a package"):
        exported(0.0, RuntimeMissingError("a package"))


def test_messages_of_converters_are_suppressed_only_during_the_conversion(capfd: pytest.CaptureFixture[str]) -> None:
    logging.disable(logging.DEBUG)
    try:
        with _quiet():
            assert logging.root.manager.disable == logging.CRITICAL
        assert logging.root.manager.disable == logging.DEBUG
    finally:
        logging.disable(logging.NOTSET)
    assert capfd.readouterr().err == ""


def test_errors_for_unavailable_formats_name_the_extra_to_install() -> None:
    with pytest.raises(RuntimeMissingError, match=r"format onnx needs no_such_module.*poets-edge\[onnx\]"):
        other_formats._load("no_such_module", "onnx")


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that opens a model with the given input shape, types and detector for the app."""

    def read(signature: list[int], types: list[str], *, detector: bool = False) -> None:
        tensors = [
            SimpleNamespace(dtype=np.dtype(one), name=f"tensor {n}", shape=(1, 8, 8, 3)) for n, one in enumerate(types)
        ]
        interpreter = SimpleNamespace(get_input_details=lambda: [{"shape_signature": np.array(signature)}])
        session = SimpleNamespace(interpreter=interpreter, outputs=tensors[1:])
        model = SimpleNamespace(
            file=SimpleNamespace(content=b"model"), metadata=SimpleNamespace(antialias=True), session=session,
            input=tensors[0], has_detector=detector,
        )  # fmt: skip
        monkeypatch.setattr(other_readers, "Classifier", lambda *arguments, **named: model)
        monkeypatch.setattr(other_readers, "annotated", lambda given, antialias: (b"model", ()))
        assert open_for_other_readers(Path("m.tflite"), "the app") is model  # type: ignore[comparison-overlap]

    return read


def test_readers_refuse_inputs_without_a_fixed_size(readable: Any) -> None:
    readable([1, 8, 8, 3], ["uint8", "float32"])
    for signature in ([-1, 8, 8, 3], [1, -1, -1, 3]):
        with pytest.raises(ModelError, match="its input has no fixed size"):
            readable(signature, ["uint8", "float32"])


@pytest.mark.parametrize("types", [["float64", "float32"], ["float32", "int16"], ["int8", "int8", "float16"]])
def test_readers_refuse_unsupported_types_of_inputs_and_outputs(types: list[str], readable: Any) -> None:
    readable([1, 8, 8, 3], ["int8", "uint8", "float32"], detector=True)
    wrong = next(name for name in types if name not in ("float32", "uint8", "int8"))
    with pytest.raises(ModelError, match=f"is {wrong}; the app takes float32, uint8, int8"):
        readable([1, 8, 8, 3], types, detector=len(types) == 3)
    with pytest.raises(ModelError, match="has 1 outputs; the app takes one, and the distance of a detector"):
        readable([1, 8, 8, 3], ["int8", "int8"], detector=True)


FROZEN: Any = SimpleNamespace(
    input_name="input", output_name="final", size=(96, 160), path=Path("flowers.pb"),
    graph=SimpleNamespace(node=[SimpleNamespace(name="distance")]),
)  # fmt: skip


def test_onnx_model_contains_labels_and_normalization(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[Any] = []
    asked: dict[str, Any] = {}

    def add() -> Any:
        added.append(SimpleNamespace())
        return added[-1]

    model = SimpleNamespace(metadata_props=SimpleNamespace(add=add), SerializeToString=lambda: b"onnx")

    def convert(graph: Any, **named: Any) -> Any:
        asked.update(named)
        return model, None

    tools = SimpleNamespace(convert=SimpleNamespace(from_graph_def=convert))
    monkeypatch.setattr(other_formats, "_load", lambda name, extra: tools)
    monkeypatch.setattr(other_formats, "_tensorflow_graph", lambda frozen: (None, None))
    assert other_formats._to_onnx(FROZEN, ("b", "a"), classifier) == b"onnx"
    assert {one.key: one.value for one in added} == {"labels": "b\na", "mean": "127.5", "std": "127.5"}
    assert asked["shape_override"] == {"input:0": [1, 96, 160, 3]} and asked["input_names"] == ["input:0"]
    assert asked["output_names"] == ["final:0", "distance:0"] and asked["opset"] == 13


def test_zipped_core_ml_package_contains_no_timestamps(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Model:
        user_defined_metadata: ClassVar[dict[str, str]] = {}

        def save(self, path: str) -> None:
            (Path(path) / "Data").mkdir(parents=True)
            (Path(path) / "Manifest.json").write_text("{}")
            (Path(path) / "Data/weights").write_text("w")

    def convert(graphs: Any, **named: Any) -> Model:
        asked.update(named)
        return Model()

    tools = SimpleNamespace(
        ImageType=dict, ClassifierConfig=lambda labels, **named: (labels, *named.values()),
        colorlayout=SimpleNamespace(RGB="RGB"), precision=SimpleNamespace(FLOAT32="float32"),
        target=SimpleNamespace(iOS15=15), convert=convert,
    )  # fmt: skip
    function = SimpleNamespace(prune=lambda inputs, outputs: None)
    tensorflow = SimpleNamespace(
        compat=SimpleNamespace(v1=SimpleNamespace(wrap_function=lambda load, inputs: function))
    )
    monkeypatch.setattr(other_formats, "_load", lambda name, extra: tools)
    monkeypatch.setattr(other_formats, "_tensorflow_graph", lambda frozen: (tensorflow, None))
    content = other_formats._to_core_ml(FROZEN, ("b", "a"), classifier)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["flowers.mlpackage/Data/weights", "flowers.mlpackage/Manifest.json"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    [image] = asked["inputs"]
    assert image["shape"] == (1, 96, 160, 3) and image["color_layout"] == "RGB"
    assert image["scale"] == pytest.approx(1 / 127.5) and image["bias"] == [-1.0] * 3, "255 becomes 1, and 0 becomes -1"
    assert asked["classifier_config"] == (["b", "a"], "final") and Model.user_defined_metadata["labels"] == '["b", "a"]'
    assert asked["compute_precision"] == "float32" and asked["convert_to"] == "mlprogram"
