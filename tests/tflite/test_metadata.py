"""Tests of metadata: written values against MediaPipe's schema, and reading of damaged metadata."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import flatbuffers
import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.photos.normalization import BACKBONE, Normalization
from poets_edge.tflite.flatbuffer import pack_model, unpack_model
from poets_edge.tflite.labels import join_labels, split_labels
from poets_edge.tflite.metadata import Metadata, read_metadata
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests.needs import missing
from tests.tflite.test_rules import Tensor, convolution, model

INFO = ModelInfo("flowers", "a classifier", ("roses", "Gänseblümchen", "tulips"))
CONTENT = with_metadata(convolution(), INFO)
SIGNED = with_files(CONTENT, INFO, {"quantization": "int8"})


def read(content: bytes) -> Metadata:
    return read_metadata(ModelFile(Path("m.tflite"), content))


@pytest.fixture(scope="module")
def mediapipe_schema() -> ModuleType:
    """Return MediaPipe's generated metadata reader, loaded without importing MediaPipe itself."""
    package = importlib.util.find_spec("mediapipe")
    if package is None or package.origin is None:
        missing("mediapipe is not installed")
    path = Path(package.origin).parent / "tasks/metadata/metadata_schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("metadata_schema", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def metadata_of(content: bytes, generated: ModuleType) -> Any:
    """Return the metadata of a model as objects of MediaPipe's generated classes."""
    tree = unpack_model(content)
    (entry,) = [entry for entry in tree.metadata if entry.name == b"TFLITE_METADATA"]
    return generated.ModelMetadataT.InitFromPackedBuf(bytes(tree.buffers[entry.buffer].data), 0)


def test_written_metadata_follow_the_standard_schema(mediapipe_schema: ModuleType) -> None:
    found = metadata_of(with_metadata(convolution(), INFO), mediapipe_schema)
    assert (found.name, found.description, found.minParserVersion) == (b"flowers", b"a classifier", b"1.0.0")
    (graph,) = found.subgraphMetadata
    (image,) = graph.inputTensorMetadata
    (score,) = graph.outputTensorMetadata
    assert image.content.contentPropertiesType == mediapipe_schema.ContentProperties.ImageProperties
    assert image.content.contentProperties.colorSpace == mediapipe_schema.ColorSpaceType.RGB
    (unit,) = image.processUnits
    assert unit.optionsType == mediapipe_schema.ProcessUnitOptions.NormalizationOptions
    assert (list(unit.options.mean), list(unit.options.std)) == ([127.5], [127.5])
    assert (list(image.stats.max), list(image.stats.min)) == ([1.0], [-1.0])
    assert score.content.contentPropertiesType == mediapipe_schema.ContentProperties.FeatureProperties
    assert (list(score.stats.max), list(score.stats.min)) == ([1.0], [0.0])
    (labels,) = score.associatedFiles
    assert (labels.name, labels.type) == (b"labels.txt", mediapipe_schema.AssociatedFileType.TENSOR_AXIS_LABELS)


@pytest.mark.parametrize(
    ("scale", "zero_point", "mean", "std"),
    [(1 / 128, 128, [128.0], [128.0]), (1 / 64, 128, [127.5], [127.5]), (1 / 128, 127, [127.5], [127.5])],
)
def test_normalization_in_added_metadata_is_derived_from_uint8_quantization(
    mediapipe_schema: ModuleType, scale: float, zero_point: int, mean: list[float], std: list[float]
) -> None:
    pixels = Tensor(dtype="UINT8", scales=[scale], zero_point=zero_point)
    content = with_metadata(model("DEQUANTIZE", [pixels], Tensor()), INFO)
    (unit,) = metadata_of(content, mediapipe_schema).subgraphMetadata[0].inputTensorMetadata[0].processUnits
    assert (list(unit.options.mean), list(unit.options.std)) == (mean, std)
    assert (read(content).mean, read(content).std) == (tuple(mean), tuple(std))


def test_adding_metadata_preserves_unrelated_entries_and_shortens_names_of_fused_nodes() -> None:
    def change(tree: Any) -> None:
        tree.subgraphs[0].tensors[1].name = b"first;second;third"

    once = with_metadata(convolution(change=change), ModelInfo("old", "", ()))
    twice = unpack_model(with_metadata(once, INFO))
    assert [entry.name for entry in twice.metadata] == [b"TFLITE_METADATA"] * 2
    assert [entry.buffer for entry in twice.metadata] == [len(twice.buffers) - 2, len(twice.buffers) - 1]
    assert twice.subgraphs[0].tensors[1].name == b"first"


def test_read_metadata_returns_the_written_metadata() -> None:
    found = read(SIGNED)
    assert found == Metadata(
        "flowers",
        "a classifier",
        BACKBONE.mean[:1],
        BACKBONE.std[:1],
        INFO.labels,
        {"quantization": "int8", "sha256": hashlib.sha256(CONTENT).hexdigest()},
        score_output=0,
    )
    with zipfile.ZipFile(io.BytesIO(SIGNED)) as archive:
        assert archive.namelist() == ["labels.txt", "poets_edge.json"]
        assert archive.read("labels.txt").decode() == "roses\nGänseblümchen\ntulips\n"
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b'\n "quantization"' in archive.read("poets_edge.json")
    assert SIGNED.startswith(CONTENT)


def test_appended_files_have_a_fixed_date() -> None:
    """Models exported at different times have equal bytes."""
    content = with_files(convolution(), INFO, {"quantization": "int8"})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        dates = {info.filename: info.date_time for info in archive.infolist()}
    assert dates == dict.fromkeys(("labels.txt", "poets_edge.json"), (1980, 1, 1, 0, 0, 0))


def test_process_units_other_than_normalization_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(CONTENT).mean == (127.5,)
    monkeypatch.setattr("poets_edge.tflite.write_metadata.NORMALIZATION_OPTIONS", 2)
    found = read(with_metadata(convolution(), INFO))
    assert (found.mean, found.std, found.name) == ((), (), "flowers")


def test_read_metadata_returns_empty_fields_for_a_model_without_metadata() -> None:
    assert read(convolution()) == Metadata()
    assert read(CONTENT).labels == () and read(CONTENT).facts == {}


def test_read_metadata_refuses_a_model_whose_bytes_have_changed() -> None:
    place = CONTENT.index(b"a classifier")
    damaged = SIGNED[:place] + b"b" + SIGNED[place + 1 :]
    with pytest.raises(ModelError, match="its checksum does not match"):
        read(damaged)
    verified = ModelFile(Path("m.tflite"), damaged, verified=True)
    assert read_metadata(verified).description == "b classifier", "verified models are not hashed again"


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff\xffTFL3", SIGNED[:20]])
def test_read_metadata_refuses_truncated_models(content: bytes) -> None:
    with pytest.raises(ModelError, match="damaged"):
        read(content)


def test_read_metadata_converts_quantization_none_of_version_0_1_to_float32() -> None:
    assert read(with_files(CONTENT, INFO, {"quantization": "none"})).facts["quantization"] == "float32"


@pytest.mark.parametrize(
    "facts",
    [
        {"quantization": 8},
        {"percentages": {"testing": 60, "validation": 40}},
        {"percentages": {"testing": 101, "validation": -5}},
        {"agreement_with_float": 1.5},
        {"test": {"photos": -1}},
        {"training": {"photos_sketch": "x"}},
    ],
)
def test_read_metadata_refuses_invalid_values_in_poets_edge_json(facts: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"damaged \(poets_edge.json"):
        read(with_files(CONTENT, INFO, facts))
    assert read(with_files(CONTENT, INFO, {"percentages": {"testing": 59, "validation": 40}})).facts["percentages"]


def archived(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a model with an appended archive that contains the given files."""
    content = io.BytesIO()
    content.write(CONTENT)
    with zipfile.ZipFile(content, "a", compression) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def test_number_of_archive_members_in_a_model_is_limited() -> None:
    assert read(archived({str(index): b"" for index in range(1000)})).labels == ()
    with pytest.raises(ModelError, match="damaged"):
        read(archived({str(index): b"" for index in range(1001)}))


def test_size_of_archive_members_in_a_model_is_limited() -> None:
    largest = 16 << 20
    at_limit = archived({"labels.txt": b"a" * largest})
    assert [len(label) for label in read(at_limit).labels] == [largest]
    with pytest.raises(ModelError, match="damaged"):
        read(archived({"labels.txt": b"a" * (largest + 1)}))
    ignored = archived({"another.txt": b"a" * (largest + 1)})
    assert read(ignored).labels == ()


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_read_metadata_rejects_unsupported_compression_methods(method: int) -> None:
    with pytest.raises(ModelError, match="damaged"):
        read(archived({"labels.txt": b"roses"}, method))


def test_read_metadata_refuses_archive_members_with_wrong_checksums() -> None:
    place = SIGNED.rindex(b"tulips\n")
    with pytest.raises(ModelError, match="damaged"):
        read(SIGNED[:place] + b"T" + SIGNED[place + 1 :])


def _rewritten(mean: list[float], std: list[float]) -> bytes:
    """Return a model in which the mean and std vectors of the normalization have the given values."""
    tree = unpack_model(with_metadata(convolution(), INFO))
    entry = tree.metadata[0]
    builder = flatbuffers.Builder(256)
    vectors = [builder.CreateNumpyVector(np.array(values, np.float32)) for values in (mean, std)]
    builder.StartObject(2)
    for field, vector in enumerate(vectors):
        builder.PrependUOffsetTRelativeSlot(field, vector, 0)
    options = builder.EndObject()
    for kind, field, is_vector in (("unit", 0, False), ("units", 4, True), ("tensors", 2, True), ("graphs", 3, True)):
        if kind == "unit":
            builder.StartObject(2)
            builder.PrependUint8Slot(0, 1, 0)
            builder.PrependUOffsetTRelativeSlot(1, options, 0)
            options = builder.EndObject()
            continue
        assert is_vector
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(options)
        vector = builder.EndVector()
        builder.StartObject(field + 1)
        builder.PrependUOffsetTRelativeSlot(field, vector, 0)
        options = builder.EndObject()
    builder.Finish(options, file_identifier=b"M001")
    tree.buffers[entry.buffer].data = np.frombuffer(bytes(builder.Output()), np.uint8)
    return pack_model(tree)


@pytest.mark.parametrize(
    ("mean", "std"),
    [([127.5], [127.5]), ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]), ([-1e9], [2e-6]), ([0.0], [9e5]), ([], [])],
)
def test_read_metadata_accepts_one_or_three_normalization_values(mean: list[float], std: list[float]) -> None:
    found = read(_rewritten(mean, std))
    assert found.mean == pytest.approx(mean) and found.std == pytest.approx(std)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ([1.0, 2.0], [1.0, 2.0]),
        ([1.0], [1.0, 2.0, 3.0]),
        ([1.0] * 4, [1.0] * 4),
        ([float("nan")], [1.0]),
        ([float("inf")], [1.0]),
        ([1.0], [0.0]),
        ([1.0], [-1.0]),
        ([1.0], [9e-7]),
        ([1.0], [2e6]),
        ([1.0, 1.0, 1.0], [1.0, 1.0, 0.0]),
    ],
)
def test_read_metadata_refuses_invalid_normalization(mean: list[float], std: list[float]) -> None:
    with pytest.raises(ModelError, match="is invalid"):
        read(_rewritten(mean, std))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("a\nb\n", ("a", "b")),
        ("\ufeffa\r\nb\r\n\r\n", ("a", "b")),
        ("a\n\nb", ("a", "", "b")),
        ("\na\n", ("", "a")),
        ("a\x0bb\n", ("a\x0bb",)),
        ("", ()),
        ("\n\n", ()),
    ],
)
def test_labels_files_are_split_only_at_line_breaks(text: str, labels: tuple[str, ...]) -> None:
    assert split_labels(text) == labels
    assert split_labels(join_labels(labels)) == labels


def test_read_metadata_reads_labels_from_the_file_named_in_the_metadata() -> None:
    """Other text files in the archive are ignored, and a labels file next to the model does not take precedence."""
    content = archived({"a.txt": b"wrong\n", "labels.txt": b"b\na\n"})
    assert read(content).labels == ("b", "a")
    beside = ModelFile(Path("m.tflite"), CONTENT, labels_file=b"x\ny\n")
    assert read_metadata(beside).labels == ("x", "y")


def _with_ultralytics(text: str, compression: int = zipfile.ZIP_STORED) -> bytes:
    archive = io.BytesIO()
    archive.write(convolution())
    with zipfile.ZipFile(archive, "a", compression) as files:
        files.writestr("metadata.json", text)
    return archive.getvalue()


def test_ultralytics_classes_are_ordered_by_number() -> None:
    names = ", ".join(f'"{number}": "class {number}"' for number in (10, 2, 0, 1, 11, 3, 9, 4, 5, 6, 7, 8))
    found = read(_with_ultralytics(f'{{"names": {{{names}}}}}'))
    assert found.labels == tuple(f"class {number}" for number in range(12)) and found.author == "Ultralytics"
    assert read(_with_ultralytics('{"names": ["b", "a"]}', zipfile.ZIP_DEFLATED)).labels == ("b", "a")
    assert read(_with_ultralytics('{"stride": 32}')).labels == ()
    with pytest.raises(ModelError, match=r"its metadata\.json cannot be read"):
        read(_with_ultralytics('{"names": {"first": "a"}}'))


def _with_outputs(*names: bytes) -> bytes:
    """Return a model with an output of each name, the first of which is computed."""

    def change(tree: Any) -> None:
        graph = tree.subgraphs[0]
        graph.tensors[int(graph.outputs[0])].name = names[0]
        first = graph.tensors[int(graph.outputs[0])]
        for name in names[1:]:
            other = type(first)()
            other.name, other.shape, other.type, other.hasRank = name, [1, 1], 0, True
            graph.tensors.append(other)
        graph.outputs = [int(graph.outputs[0]), *range(len(graph.tensors) - len(names) + 1, len(graph.tensors))]

    return convolution(change=change)


@pytest.mark.parametrize(
    ("names", "score_output", "distance_output"),
    [
        ((b"scores", b"distance"), 0, 1),
        ((b"distance", b"scores"), 1, 0),
        ((b"distance", b"other"), 0, None),
        ((b"other", b"scores", b"distance"), 1, 2),
        ((b"other", b"scores", b"Distance"), 1, None),
    ],
)
def test_written_metadata_identify_the_score_and_distance_outputs(
    names: tuple[bytes, ...], score_output: int, distance_output: int | None
) -> None:
    found = read(with_metadata(_with_outputs(*names), INFO, score_output=score_output))
    assert (found.score_output, found.distance_output) == (score_output, distance_output)


def test_written_metadata_describe_the_distance(mediapipe_schema: ModuleType) -> None:
    content = with_metadata(_with_outputs(b"scores", b"distance", b"other"), INFO)
    scores, distance, other = metadata_of(content, mediapipe_schema).subgraphMetadata[0].outputTensorMetadata
    assert (scores.name, distance.name, other.name) == (b"probability", b"distance", None)
    assert distance.description.endswith(b"a photo is unknown if it is above 1") and not distance.associatedFiles
    assert list(distance.stats.min) == [0.0] and distance.stats.max is None


def test_given_normalization_is_stored_in_added_metadata(mediapipe_schema: ModuleType) -> None:
    given = Normalization((100.0, 110.0, 120.0), (50.0, 60.0, 40.0))
    content = with_metadata(convolution(), INFO, given, antialias=False)
    found = read(content)
    assert (found.mean, found.std, found.antialias) == (given.mean, given.std, False)
    assert read(with_metadata(convolution(), INFO)).antialias
    stats = metadata_of(content, mediapipe_schema).subgraphMetadata[0].inputTensorMetadata[0].stats
    np.testing.assert_allclose(stats.max, [3.1, 145 / 60, 3.375], rtol=1e-6)
    np.testing.assert_allclose(stats.min, [-2.0, -110 / 60, -3.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "zero_point", "mean"),
    [("INT8", 0, 128.0), ("INT8", -128, 127.5), ("UINT8", 0, 127.5), ("INT16", 0, 127.5)],
)
def test_written_normalization_depends_on_the_type_and_zero_point_of_the_input(
    dtype: str, zero_point: int, mean: float
) -> None:
    pixels = Tensor(dtype=dtype, scales=[1 / 128], zero_point=zero_point)
    assert read(with_metadata(model("DEQUANTIZE", [pixels], Tensor()), INFO)).mean == (mean,)


def test_full_int8_is_true_only_if_the_recorded_quantization_is_full_int8() -> None:
    for name in ("int8", "full-int8", "float32"):
        assert read(with_files(CONTENT, INFO, {"quantization": name})).full_int8 is (name == "full-int8")
    assert "sha256" not in read(with_files(CONTENT, INFO, None)).facts


def test_read_metadata_accepts_archive_entries_in_any_order() -> None:
    """The first entry of the directory is the last file in the archive."""
    archive = io.BytesIO()
    archive.write(CONTENT)
    facts = f'{{"sha256": "{hashlib.sha256(CONTENT).hexdigest()}"}}'
    with zipfile.ZipFile(archive, "a") as files:
        files.writestr("labels.txt", "a\nb\n")
        files.writestr("poets_edge.json", facts)
        files.filelist.reverse()
    assert read(archive.getvalue()).labels == ("a", "b")


def test_score_output_named_distance_is_not_treated_as_the_distance() -> None:
    content = with_metadata(_with_outputs(b"scores"), INFO)
    name = b"\x0b\0\0\0probability"
    assert content.count(name) == 1
    found = read(content.replace(name, b"\x08\0\0\0distance\0\0\0"))
    assert (found.score_output, found.distance_output) == (0, None)


def test_read_metadata_reads_the_first_of_several_labels_files(mediapipe_schema: ModuleType) -> None:
    """The standard allows a labels file per language for an output."""
    tree = unpack_model(with_metadata(convolution(), INFO))
    found = mediapipe_schema.ModelMetadataT.InitFromPackedBuf(bytes(tree.buffers[tree.metadata[0].buffer].data), 0)
    [output] = found.subgraphMetadata[0].outputTensorMetadata
    german = mediapipe_schema.AssociatedFileT()
    german.name, german.type, german.locale = "labels_de.txt", output.associatedFiles[0].type, "de"
    output.associatedFiles.append(german)
    builder = flatbuffers.Builder(256)
    builder.Finish(found.Pack(builder), file_identifier=b"M001")
    tree.buffers[tree.metadata[0].buffer].data = np.frombuffer(bytes(builder.Output()), np.uint8)
    archive = io.BytesIO()
    archive.write(pack_model(tree))
    with zipfile.ZipFile(archive, "a") as files:
        files.writestr("labels.txt", "daisy\n")
        files.writestr("labels_de.txt", "Gänseblümchen\n")
    assert read(archive.getvalue()).labels == ("daisy",)
