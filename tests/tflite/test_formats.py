"""Tests of recognizing model files by content, and of the messages about other formats."""

from __future__ import annotations

import gzip
import json
import pickle
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from poets_edge import Classifier
from poets_edge.errors import ModelError
from poets_edge.nets.frozen import read_frozen_graph
from poets_edge.tflite.formats import (
    FROZEN_GRAPH,
    MODEL_ZIP,
    TFLITE,
    archive_format,
    format_of_members,
    is_frozen_graph,
    labels_member,
    model_format,
)
from poets_edge.tflite.read_model import read_model
from tests.conftest import ROOT, ROSE, SHARED, Trained, poets_edge
from tests.needs import need_module

_PROBE = Path(__file__).parents[2] / "poets_edge/tflite/probe.tflite"


def _zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def _onnx(path: Path) -> Path:
    path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.3.0:\x05\x0a\x03abc")
    return path


def _hdf5(path: Path) -> Path:
    with need_module("h5py").File(path, "w") as file:
        file.attrs["keras_version"] = "2.15"
    return path


def _saved_model(path: Path) -> Path:
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x05\x0a\x03abc")
    return path


_FOREIGN = {
    "model.onnx": (_onnx, "an ONNX model"),
    "simplified.onnx": (
        lambda path: path.write_bytes(b"\x08\x08\x22\x00\x3a\x05\x0a\x03abc") and path,
        "an ONNX model",
    ),
    "model.keras": (
        lambda path: _zip(path, metadata__json=b"{}", config__json=b"{}", **{"model.weights.h5": b""}),
        "a Keras model",
    ),
    "model.h5": (_hdf5, "an HDF5 file"),
    "saved_model": (_saved_model, "a SavedModel"),
    "saved_model.pb": (lambda path: _saved_model(path.with_name("other")) / "saved_model.pb", "SavedModel"),
    "best.pt": (lambda path: _zip(path, **{"best/data.pkl": b"", "best/version": b"3"}), "a PyTorch model"),
    "old.pth": (
        lambda path: path.write_bytes(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.") and path,
        "a PyTorch model",
    ),
    "model.pkl": (lambda path: path.write_bytes(pickle.dumps({"a": 1})) and path, "a Python pickle"),
    "gestures.task": (
        lambda path: _zip(path, **{"hand_detector.tflite": b"", "gesture.tflite": b"", "embedder.task": b""}),
        "a bundle of MediaPipe",
    ),
    "two.zip": (lambda path: _zip(path, **{"a.tflite": b"", "b.tflite": b""}), "a zip with several models"),
    "keras.zip": (lambda path: _zip(path, **{"keras_model.h5": b"", "labels.txt": b""}), "a zip with a Keras model"),
    "savedmodel.zip": (lambda path: _zip(path, **{"m/saved_model.pb": b""}), "a zip with a SavedModel"),
    "model.json": (lambda path: path.write_text('{"modelTopology": {}}') and path, "a model of TensorFlow.js"),
    "model.safetensors": (lambda path: path.write_bytes(b"\x09" + bytes(7) + b'{"a":1}') and path, "safetensors"),
    "model.param": (lambda path: path.write_text("7767517\n75 83\n") and path, "a model of ncnn"),
    "model.xml": (lambda path: path.write_text('<?xml version="1.0"?>\n<net name="a">') and path, "OpenVINO"),
    "model.eim": (lambda path: path.write_bytes(b"\x7fELF\x02") and path, "Edge Impulse"),
}
"""Model files of other programs, by name: function that writes the file, and expected part of the error message."""


@pytest.mark.parametrize("name", _FOREIGN)
@pytest.mark.parametrize("renamed", [False, True])
def test_label_command_reports_an_unsupported_model_format_and_labels_no_photo(
    trained: Trained, flowers: Path, tmp_path: Path, name: str, renamed: bool
) -> None:
    """If the model were mistaken for a photo, `label` would use the trained graph in the folder instead."""
    write, said = _FOREIGN[name]
    model = write(tmp_path / name)
    if renamed and model.suffix not in (".eim",):
        model = model.rename(tmp_path / "renamed")
    ran = poets_edge("label", model, flowers / ROSE, cwd=trained.folder)
    ran.failed(f"{model}: ", said)
    assert not ran.stdout
    with pytest.raises(ModelError, match=str(model)):
        Classifier(model)


_EXPORT = "Convert it: poets-edge export {} --image-dir PHOTOS"
_WAYS_OUT = {
    "model.keras": _EXPORT,
    "model.h5": _EXPORT,
    "saved_model": _EXPORT,
    "model.onnx": _EXPORT,
    "old.pth": "Export it where it was trained (Ultralytics: yolo export format=tflite), or see PyTorch in"
    " docs/other-formats.md.",
    "model.json": "Teachable Machine: choose TensorFlow Lite at its export; else see TensorFlow.js in"
    " docs/other-formats.md.",
}


@pytest.mark.parametrize("name", sorted(_WAYS_OUT))
def test_errors_for_unsupported_model_formats_explain_how_to_convert_them(tmp_path: Path, name: str) -> None:
    model = _FOREIGN[name][0](tmp_path / name)
    said = _WAYS_OUT[name].format(model)
    with pytest.raises(ModelError, match=f"not a TensorFlow Lite model. {re.escape(said)}$"):
        read_model(model)
    if "poets-edge export" not in said:  # export converts the others
        with pytest.raises(ModelError, match=f"not a frozen graph. {re.escape(said)}$"):
            read_frozen_graph(model)
    section = re.search(r"see (.+) in docs/other-formats.md", said)
    page = (ROOT / "docs/other-formats.md").read_text(encoding="utf-8")
    assert section is None or re.search(f"^### {re.escape(section[1])}", page, flags=re.MULTILINE)


def test_read_frozen_graph_reports_a_tflite_file() -> None:
    with pytest.raises(ModelError, match=r"a TensorFlow Lite model already\. Try it: poets-edge label .* PHOTO"):
        read_frozen_graph(_PROBE)


@pytest.mark.parametrize("name", ["codelab.lite", "model", "model.bin", "model.pb", "daisy.txt"])
def test_label_command_reads_a_model_with_any_file_name(
    trained: Trained, flowers: Path, tmp_path: Path, name: str
) -> None:
    """The named model must be used, and not the trained graph in the folder, which has a different size."""
    model = shutil.copy(trained.model("int8"), tmp_path / name)
    expected = Classifier(trained.model("int8"))(flowers / ROSE)
    [found] = json.loads(poets_edge("label", model, flowers / ROSE, "--json", cwd=trained.folder).ok().stdout)
    assert [(one["label"], one["score"]) for one in found["labels"]] == [(one.name, one.score) for one in expected]
    assert poets_edge("inspect", model).ok().stdout.splitlines()[0].endswith(str(model))


def test_label_command_reads_a_frozen_graph_with_any_file_name(trained: Trained, flowers: Path, tmp_path: Path) -> None:
    for end in ("_graph.pb", "_labels.txt", "_graph.json"):
        shutil.copy(trained.graph.with_name(f"retrained{end}"), tmp_path / f"other{end}")
    (tmp_path / "other_graph.pb").rename(tmp_path / "other_graph")
    expected = poets_edge("label", trained.graph, flowers / ROSE).ok().stdout
    assert poets_edge("label", tmp_path / "other_graph", flowers / ROSE, cwd=tmp_path).ok().stdout == expected


@pytest.mark.parametrize("argument", ["mymodel", "notes.txt", "missing.lite", "empty.lite"])
def test_label_command_refuses_a_first_argument_that_is_neither_model_nor_photo(
    trained: Trained, flowers: Path, tmp_path: Path, argument: str
) -> None:
    (tmp_path / "notes.txt").write_text("BM is the name of a wheel")
    (tmp_path / "empty.lite").write_bytes(b"")
    ran = poets_edge("label", tmp_path / argument, flowers / ROSE, cwd=trained.folder)
    ran.failed(argument)
    assert not ran.stdout


def test_label_command_uses_the_trained_graph_in_the_folder_if_only_photos_are_given(
    trained: Trained, flowers: Path, tmp_path: Path
) -> None:
    photo = shutil.copy(flowers / ROSE, tmp_path / "photo")
    assert "photo:" in poets_edge("label", photo, flowers / ROSE, "--top", "1", cwd=trained.folder).ok().stdout


def test_teachable_machine_zip_is_opened_with_its_labels(trained: Trained, flowers: Path, tmp_path: Path) -> None:
    model = trained.model()
    content = model.read_bytes()
    labels = b"a\nb\nc\nd\ne\n"
    bare = content[: content.rindex(b"PK\3\4", 0, content.index(b"poets_edge.json"))]
    assert not Classifier(_write(tmp_path / "bare.tflite", bare), unlabeled=True).labels
    path = _zip(
        tmp_path / "converted_tflite.zip",
        **{"model_unquant.tflite": bare, "labels.txt": labels, "__MACOSX/._labels.txt": b"x"},
    )
    opened = Classifier(path)
    assert opened.labels == ("a", "b", "c", "d", "e")
    assert (opened.scores(flowers / ROSE) == Classifier(model).scores(flowers / ROSE)).all()
    answer = poets_edge("label", path, flowers / ROSE, "--top", "1", cwd=trained.folder).ok().stdout
    assert answer.startswith("c (score = ")


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_labels_in_a_zip_are_refused_if_they_are_not_utf8(tmp_path: Path) -> None:
    members = {"model.tflite": _PROBE.read_bytes(), "labels.txt": "Gänseblümchen\nRosen\n".encode("latin-1")}
    with pytest.raises(ModelError, match=r"its labels \(labels\.txt\) are not text in UTF-8"):
        Classifier(_zip(tmp_path / "model.zip", **members))


def test_zip_with_a_damaged_model_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "model.zip", **{"model.tflite": b"not a model", "labels.txt": b"a\nb\n"})
    with pytest.raises(ModelError, match=r"model\.tflite in it is not a TensorFlow Lite model"):
        Classifier(path)
    whole = _zip(tmp_path / "cut.zip", **{"model.tflite": _PROBE.read_bytes()}).read_bytes()
    with pytest.raises(ModelError, match="cannot be unpacked"):
        Classifier(_write(tmp_path / "cut.zip", whole[:100] + bytes(50) + whole[150:]))


def test_error_for_an_archived_model_names_the_archive_format_and_a_remedy(tmp_path: Path) -> None:
    model = _PROBE.read_bytes()
    inner = _zip(tmp_path / "converted_tflite.zip", **{"model.tflite": model})
    with tarfile.open(tmp_path / "model.tar", "w") as archive:
        archive.add(inner, "model.tflite")
    archives = {
        "zip": _zip(tmp_path / "outer.zip", **{"converted_tflite.zip": inner.read_bytes()}),
        "gzip": _write(tmp_path / "model.tflite.gz", gzip.compress(model)),
        "tar": tmp_path / "model.tar",
        "7z": _write(tmp_path / "model.7z", b"7z\xbc\xaf\x27\x1c" + bytes(20)),
    }
    for kind, path in archives.items():
        with pytest.raises(ModelError, match=rf"an archive \({kind}\), not a TensorFlow Lite model\. Unpack it"):
            Classifier(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS, not .* git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html></html>", "a web page, not a TensorFlow Lite model"),
    ],
)
def test_error_for_a_failed_download_describes_the_received_file(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said):
        Classifier(_write(tmp_path / "model.tflite", content))


def test_model_format_is_none_for_photos_and_photo_folders(flowers: Path, tmp_path: Path) -> None:
    assert model_format(flowers / ROSE) is None and model_format(flowers) is None
    photos = _zip(tmp_path / "photos.zip", **{"daisy/1.jpg": b"", "model.tflite": b""})
    assert model_format(photos) is None and model_format(tmp_path / "missing") is None


@pytest.mark.shared
def test_classifier_runs_the_tflite_model_from_the_codelab(flowers: Path) -> None:
    model = SHARED / "cases/models/codelab.lite"
    assert (
        Classifier(model, labels=model.with_name("labels.txt"), input_range="-1:1")(flowers / ROSE, top=1)[0].name
        == "roses"
    )


@pytest.mark.parametrize(
    ("names", "model", "expected"),
    [
        (("m.tflite", "labels.txt"), "m.tflite", "labels.txt"),
        (("m.tflite", "a_LABELS_2.TXT"), "m.tflite", "a_LABELS_2.TXT"),
        (("m.tflite", "labels.txt", "labelmap.txt"), "m.tflite", None),
        (("m.tflite", "x/labels.txt"), "m.tflite", None),
        (("x/m.tflite", "x/labels.txt", "labels.txt"), "x/m.tflite", "x/labels.txt"),
        (("m.tflite", "labels.txt.bak", "names.txt"), "m.tflite", None),
        (("m.tflite", ".labels.txt", "__MACOSX/labels.txt", "labels.txt"), "m.tflite", "labels.txt"),
        (("m.tflite",), "m.tflite", None),
    ],
)
def test_labels_in_a_zip_file_are_read_from_the_only_labels_file_next_to_the_model(
    names: tuple[str, ...], model: str, expected: str | None
) -> None:
    assert labels_member(names, model) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a/m.TFLITE",), "a zip with a TensorFlow Lite model"),
        (("m.lite", "labels.txt"), "a zip with a TensorFlow Lite model"),
        (("m.tflite", "photo.JPG"), ""),
        (("__MACOSX/m.tflite", "m.tflite"), "a zip with a TensorFlow Lite model"),
        (("m.tflite", "n.tflite"), "a zip with several models"),
        (("m.tflite", "n.tflite", "graph.binarypb"), "a bundle of MediaPipe (.task)"),
        (("m/data.pkl",), "a PyTorch model"),
        (("config.json",), ""),
        (("config.json", "model.weights.h5"), "a Keras model"),
        (("x/saved_model.pb", "x/variables/a.h5"), "a zip with a SavedModel"),
        (("m.h5",), "a zip with a Keras model"),
        (("m.keras",), "a zip with a Keras model"),
        (("m.onnx", "model.json"), "a zip with an ONNX model"),
        (("model.json", "weights.bin"), "a model of TensorFlow.js"),
        (("notes.txt",), ""),
        ((), ""),
    ],
)
def test_archive_format_is_recognized_from_the_names_of_members(names: tuple[str, ...], expected: str) -> None:
    found = format_of_members(names)
    assert (found.name if found else "").startswith(expected) and bool(found) == bool(expected)


@pytest.mark.parametrize(("members", "found"), [(1000, True), (1001, False)])
def test_zips_with_many_members_are_not_searched_for_a_model(members: int, found: bool, tmp_path: Path) -> None:
    names = {f"{number}.txt": b"" for number in range(members - 1)}
    path = _zip(tmp_path / "many.zip", **names, **{"m.tflite": b""})
    assert (model_format(path) is MODEL_ZIP) is found


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PK\3\4", "zip"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"BZh9", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"7z\xbc\xaf", "7z"),
        (b"Rar!\x1a", "rar"),
        (b"(\xb5/\xfd", "zstd"),
        (bytes(257) + b"ustar\x0000", "tar"),
        (b"PK\3\4" + bytes(253) + b"ustar  ", "tar"),
        (bytes(256) + b"ustar", ""),
        (b"PK\5\6", ""),
        (b"", ""),
    ],
)
def test_archive_format_is_recognized_by_the_first_bytes(head: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(head)
    assert archive_format(tmp_path / "a") == kind and archive_format(tmp_path / "missing") == ""


def test_frozen_graphs_are_recognized_by_format_or_by_suffix_if_it_is_unknown() -> None:
    assert is_frozen_graph(Path("a.txt"), FROZEN_GRAPH) and is_frozen_graph(Path("a.PB"), None)
    assert not is_frozen_graph(Path("a.pb"), TFLITE) and not is_frozen_graph(Path("a.txt"), None)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a", b"\x1c\0\0\0TFL3", "a TensorFlow Lite model"),
        ("a", b"\x0a\x1a\x0a\x05input\x12\x0bPlaceholder", "a frozen graph"),
        ("a", b"\x0a\x9a\x01\x0a\x05input\x12\x0bPlaceholder", "a frozen graph"),
        ("a", b"\x0a\x1a\x0a\x05input\x12\x0bplaceholder", ""),
        ("a.mlmodel", b"\x08\x05", "a Core ML model"),
        ("a.txt", b"\x08\x05", ""),
        ("a", b"\0\0\0\0ET12", "a model of ExecuTorch"),
        ("a", b"  \n<!DOCTYPE html>", "a web page"),
        ("a", b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        ("a.eim", b"\x7fELF", "a program of Edge Impulse"),
        ("a", b"\x7fELF", ""),
        ("a.jpg", b"\x1c\0\0\0TFL3", ""),
    ],
)
def test_model_format_is_recognized_by_the_first_bytes(
    name: str, content: bytes, expected: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    found = model_format(tmp_path / name)
    assert (found.name if found else "").startswith(expected) and bool(found) == bool(expected)


@pytest.mark.parametrize("names", [("saved_model.pb",), ("saved_model.pbtxt",), ("Manifest.json", "Data/a")])
def test_model_formats_that_are_folders_are_recognized(names: tuple[str, ...], tmp_path: Path) -> None:
    assert model_format(tmp_path) is None
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = model_format(tmp_path)
    assert found is not None and ("Core ML" in found.name) == ("Data/a" in names)


def test_members_of_a_model_zip_are_limited_in_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = _PROBE.read_bytes()
    path = _zip(tmp_path / "m.zip", **{"m.tflite": probe, "labels.txt": b"a\nb\n"})
    monkeypatch.setattr("poets_edge.tflite.read_model._LARGEST_LABELS", 4)
    assert read_model(path).labels_file == b"a\nb\n"
    monkeypatch.setattr("poets_edge.tflite.read_model._LARGEST_LABELS", 3)
    with pytest.raises(ModelError, match=r"labels\.txt is larger than 0 MB"):
        read_model(path)
    monkeypatch.setattr("poets_edge.tflite.read_model.LARGEST_MODEL", len(probe) - 1)
    with pytest.raises(ModelError, match=r"m\.tflite is larger than|too large|larger"):
        read_model(path)


def test_models_are_verified_unless_compiled_for_an_edge_tpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plain, compiled = b"\x1c\0\0\0TFL3" + bytes(99), b"\x1c\0\0\0TFL3" + bytes(99) + b"edgetpu-custom-op"
    for content, accepted in ((plain, False), (compiled, True)):
        (tmp_path / "m.tflite").write_bytes(content)
        with pytest.raises(ModelError):
            read_model(tmp_path / "m.tflite")
        if accepted:
            assert not read_model(tmp_path / "m.tflite", compiled=True).verified
        else:
            with pytest.raises(ModelError):
                read_model(tmp_path / "m.tflite", compiled=True)
