"""Tests of what `export` converts and evaluates: photos, labels and warnings, with stand-ins for graph and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.predictions import Predictions
from poets_edge.errors import DatasetError, ModelError, UsageError
from poets_edge.exporting import export as module
from poets_edge.exporting import foreign
from poets_edge.exporting.export import PreparedExport, prepare_export
from poets_edge.exporting.held_out import ExportPhotos
from poets_edge.exporting.options import ExportOptions
from poets_edge.photos.folder import Photo
from poets_edge.photos.normalization import BACKBONE, UNIT
from poets_edge.quantize.convert import Quantization
from tests.recorder import Recorder
from tests.tiny_model import color_model


def photo(name: str, label: str = "a") -> Photo:
    return Photo(Path(name), name, label)


PHOTOS = ExportPhotos([photo("learned")], [photo("1", "b"), photo("2"), photo("gone"), photo("3")], 0)


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that prepares an export to small models; the int8 model misclassifies the first photo."""

    def prepare(photos: ExportPhotos | None = PHOTOS, known: Any = None, **fields: Any) -> PreparedExport:
        source = SimpleNamespace(
            frozen=SimpleNamespace(
                path=Path("g.pb"), size=(8, 8), photo_sets={}, input_name="i", output_name="o", graph=None
            ),
            network="network", labels=("b", "a"), record={"architecture": "net"}, photos=photos, known=known,
        )  # fmt: skip

        def quantize(network: Any, quantization: Quantization, pixels: Any = None, **named: Any) -> bytes:
            calibrated[quantization] = (pixels, named)
            return color_model()

        def score(photos: Sequence[Photo], files: Any, **named: Any) -> Any:
            if not photos:
                return {}
            readable = [one for one in photos if one.name != "gone"]
            right = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], np.float32)
            wrong = np.array([[0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], np.float32)
            return {
                name: Predictions(readable, wrong if name == "int8" else right, ("gone: missing",)) for name in files
            }

        calibrated.clear()
        monkeypatch.setattr(module, "_read_source", lambda options, found, reporter: source)
        monkeypatch.setattr(module, "replace", _replaced)
        monkeypatch.setattr(module, "quantize", quantize)
        monkeypatch.setattr(module, "calibration_pixels", lambda chosen, size, images: [one.name for one in chosen])
        monkeypatch.setattr(module, "score_models", score)
        return prepare_export(ExportOptions(graph=Path("g.pb"), **fields), reporter)

    calibrated: dict[str, Any] = {}
    reporter = Recorder()
    prepare.calibrated, prepare.reporter = calibrated, reporter  # type: ignore[attr-defined]
    return prepare


def _replaced(value: Any, **changes: Any) -> Any:
    """Return a copy of a dataclass or of a stand-in with some attributes replaced."""
    from dataclasses import replace

    return (
        SimpleNamespace(**{**vars(value), **changes})
        if isinstance(value, SimpleNamespace)
        else replace(value, **changes)
    )


def test_int8_files_are_calibrated_on_training_photos_and_compared_with_float32(prepare: Any) -> None:
    prepared = prepare(quantizations=("int8", "dynamic"), float_io=True)
    assert prepare.calibrated["int8"] == (["learned"], {"float_io": True, "input_type": "uint8"})
    assert prepare.calibrated["dynamic"] == (None, {}) and set(prepare.calibrated) == {"float32", "dynamic", "int8"}
    int8, dynamic = prepared.result.files
    assert [file.quantization for file in prepared.result.files] == ["int8", "dynamic"]
    assert int8.evaluation.confusion.tolist() == [[0, 1], [0, 2]] and dynamic.evaluation.correct == 3
    assert (int8.compared_with_float32.worse, int8.compared_with_float32.better) == (1, 0)
    assert prepare.reporter.warnings == ["1 test photo left out of the evaluation; the first: gone: missing"]
    assert prepared.result.unreadable == ("gone: missing",) and prepared.result.labels == ("b", "a")
    assert [file.size for file in prepared.result.files] == [len(content) for content in prepared.contents]
    assert prepared.size == (8, 8) and set(prepared.models) == {"float32", "dynamic", "int8"}


def test_groups_are_determined_only_for_photos_that_could_be_read(
    prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def groups(photos: Sequence[Photo], known: Any) -> Any:
        seen.append(([one.name for one in photos], known))
        return np.array([5, 5, 7])

    monkeypatch.setattr(module, "test_groups", groups)
    known = SimpleNamespace(for_model=lambda: SimpleNamespace(to_json=dict))
    [file] = prepare(known=known, quantizations=("float32",)).result.files
    assert seen == [(["1", "2", "3"], known)] and file.scored.groups.tolist() == [5, 5, 7]


def test_files_without_test_photos_are_not_evaluated(prepare: Any) -> None:
    prepared = prepare(ExportPhotos([photo("learned")], []), quantizations=("int8",))
    [file] = prepared.result.files
    assert file.evaluation is None and file.agreement is None and file.scored is None and file.size > 0
    assert prepared.result.unreadable == ()
    for quantization in ("int8", "full-int8"):
        with pytest.raises(DatasetError, match=f"{quantization} needs photos to calibrate with"):
            prepare(None, quantizations=(quantization,))
    assert prepare(None, quantizations=("float16",)).result.files[0].evaluation is None


def test_unknown_label_must_differ_from_the_classes(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="`unknown_label` a: a class has this name"):
        prepare(unknown_label="a")
    monkeypatch.setattr(module, "with_unknown_label", lambda content: content)
    monkeypatch.setattr(module, "_evaluated", lambda path, quantization, scored, labels: labels_seen.append(labels))
    labels_seen: list[Any] = []
    with pytest.raises(AttributeError):
        prepare(unknown_label="other")
    assert labels_seen == [("b", "a", "other")] and "are other count as misclassified" in prepare.reporter.notes[0]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Function that returns what an export converts and evaluates, given the training record and the labels."""

    def read(record: Any, labels: tuple[str, ...], photos: ExportPhotos, **fields: Any) -> Any:
        asked.clear()
        frozen = SimpleNamespace(labels=("b", "a"), photo_sets=fields.pop("photo_sets", None), path=Path("g.pb"))
        trained = SimpleNamespace(frozen=frozen, labels=labels, record=record)
        taken = SimpleNamespace(normalization=fields.pop("normalization", BACKBONE), evidence="as given")

        def of_folder(*arguments: Any) -> ExportPhotos:
            asked.append(arguments)
            return photos

        monkeypatch.setattr(module, "is_tensorflow_model", lambda graph: False)
        monkeypatch.setattr(module, "read_trained", lambda graph, names: trained)
        monkeypatch.setattr(module, "graph_input_range", lambda trained, given: taken)
        monkeypatch.setattr(module, "network_of", lambda frozen: ("network", frozen))
        monkeypatch.setattr(module, "model_of_graph", lambda frozen: "model")
        monkeypatch.setattr(module, "freeze", lambda *arguments: ("frozen", *arguments))
        monkeypatch.setattr(module, "photos_of_record", of_folder)
        monkeypatch.setattr(module, "photos_of_folder", of_folder)
        monkeypatch.setattr(module, "known_photos", lambda fields: fields["photo_sets"])
        return module._read_source(ExportOptions(graph=Path("g.pb"), **fields), None, reporter)

    asked: list[Any] = []
    reporter = Recorder()
    read.asked, read.reporter = asked, reporter  # type: ignore[attr-defined]
    return read


def test_photos_of_the_training_run_are_assigned_to_the_renamed_classes(source: Any) -> None:
    found = source({"labels": ["b", "a"]}, ("B", "a"), ExportPhotos([photo("1", "b")], [photo("2", "a")], 3))
    assert [one.label for one in (*found.photos.training, *found.photos.test)] == ["B", "a"]
    assert source.reporter.warnings == ["3 photos of the training run are no longer there; they are left out."]
    assert found.labels == ("B", "a") and found.record == {"labels": ["b", "a"]}
    source({"labels": ["b", "a"]}, ("b", "a"), ExportPhotos([], [], 0))
    assert len(source.reporter.warnings) == 1
    source({"labels": ["b", "a"]}, ("b", "a"), ExportPhotos([], [], 1))
    assert source.reporter.warnings[1:] == ["1 photo of the training run is no longer there; it is left out."]


def test_photos_of_a_graph_without_a_record_are_recognized_by_content(source: Any) -> None:
    photos = ExportPhotos([photo("1", "b")], [photo("2", "a")])
    found = source(None, ("b", "A"), photos, image_dir=Path("photos"), photo_sets="digests")
    assert source.asked == [(Path("photos"), ExportOptions().percentages, "digests")]
    assert [one.label for one in found.photos.test] == ["A"] and source.reporter.warnings == []
    source(None, ("b", "a"), photos, image_dir=Path("photos"))
    assert source.asked[0][2] is None and "which inflates its accuracy" in source.reporter.warnings[0]
    assert source(None, ("b", "a"), photos).photos is None
    assert "no photos are known for this graph" in source.reporter.warnings[1]
    copies = replace(photos, are_recognized=False)
    source(None, ("b", "a"), copies, image_dir=Path("photos"), photo_sets="digests")
    assert source.reporter.warnings[2].startswith("none of the photos is a training photo of this graph")


def test_graph_is_converted_with_the_given_input_range(source: Any) -> None:
    found = source(None, ("b", "a"), ExportPhotos([], []), normalization=UNIT)
    assert found.frozen == ("frozen", "model", UNIT, ("b", "a"), []) and "as given" in source.reporter.notes[0]
    assert source(None, ("b", "a"), ExportPhotos([], [])).frozen.path == Path("g.pb")


@pytest.fixture
def model(tmp_path: Path) -> Any:
    return SimpleNamespace(path=tmp_path / "keras_model.h5", outputs=2, size=(4, 6))


def test_foreign_model_labels_come_from_an_option_a_labels_file_or_photo_classes(model: Any, tmp_path: Path) -> None:
    reporter, photos = Recorder(), ExportPhotos([photo("1", "z")], [photo("2", "b")])
    assert foreign._labels(model, None, photos, reporter) == ("b", "z"), "in alphabetical order"
    assert "in alphabetical order, as Keras assigns them: b, z" in reporter.notes[0]
    with pytest.raises(ModelError, match="no labels"):
        foreign._labels(model, None, None, reporter)
    (tmp_path / "labels.txt").write_text("beside\nit\n")
    (tmp_path / "given.txt").write_text("given\nnames\n")
    assert foreign._labels(model, None, photos, reporter) == ("beside", "it")
    assert foreign._labels(model, tmp_path / "given.txt", photos, reporter) == ("given", "names")
    for outputs in (1, 3):
        model.outputs = outputs
        with pytest.raises(ModelError, match=f"2 labels, but .* has {outputs} outputs"):
            foreign._labels(model, None, photos, reporter)


def test_photos_used_to_infer_the_input_range_are_resized_and_unreadable_ones_skipped(
    model: Any, tmp_path: Path
) -> None:
    photos = []
    for number, label in enumerate("zbzb"):
        Image.new("RGB", (9, 9), (50 * number, 0, 0)).save(tmp_path / f"{number}.png")
        photos.append(Photo(tmp_path / f"{number}.png", f"{number}.png", label))
    (tmp_path / "2.png").write_bytes(b"damaged")
    pixels, classes = foreign._shown(model, photos, ("b", "z"))
    assert len(pixels) == 3 and all(one.shape == (4, 6, 3) for one in pixels)
    assert [(int(one[0, 0, 0]) // 50 % 2, number) for one, number in zip(pixels, classes.tolist(), strict=True)] == [
        (0, 1) if number else (1, 0) for number in classes.tolist()
    ]


def test_input_range_is_not_inferred_if_it_is_given(
    model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("b\nz\n")
    monkeypatch.setattr(foreign, "load_model", lambda graph, size: model)
    monkeypatch.setattr(foreign, "freeze", lambda model, normalization, names, pixels: normalization)
    monkeypatch.setattr(foreign, "find_input_range", lambda model, pixels, classes: found(len(pixels)))

    def found(count: int) -> Any:
        counts.append(count)
        return BACKBONE, "its first layers"

    counts: list[int] = []
    Image.new("RGB", (9, 9)).save(tmp_path / "1.png")
    photos = ExportPhotos([Photo(tmp_path / "1.png", "1", "b")], [Photo(tmp_path / "1.png", "2", "z")])
    reporter, options = Recorder(), ExportOptions(graph=model.path)
    assert foreign.frozen_model(options, photos, reporter) == BACKBONE  # type: ignore[comparison-overlap]
    assert counts == [2] and reporter.notes == ["input range -1:1: its first layers"]
    given = ExportOptions(graph=model.path, input_range="0:1")
    assert foreign.frozen_model(given, photos, reporter) == UNIT and counts == [2]  # type: ignore[comparison-overlap]


def test_gray_files_are_calibrated_with_photos_that_are_converted_to_gray(
    prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    colored = np.zeros((8, 8, 3), np.uint8) + np.array([200, 100, 0], np.uint8)
    with pytest.raises(UsageError, match="`gray` is for full-int8 files only"):
        prepare(quantizations=("int8",), gray=True)
    prepare(quantizations=("float32",))  # which replaces the functions that read photos
    monkeypatch.setattr(module, "calibration_photos", lambda photos, count: photos)
    sizes: list[Any] = []

    def pixels(chosen: Any, size: Any, images: Any) -> list[Any]:
        sizes.append(size)
        return [colored]

    monkeypatch.setattr(module, "calibration_pixels", pixels)
    frozen = SimpleNamespace(path=Path("g.pb"), size=(8, 8), input_name="i", output_name="o", graph=None)
    source: Any = SimpleNamespace(frozen=frozen, network="network", photos=PHOTOS)
    options = ExportOptions(graph=Path("g.pb"), quantizations=("full-int8",), gray=True, input_type="int8")
    module._convert(options, source, "full-int8", None)
    [[picture], named] = prepare.calibrated["full-int8"]
    assert named == {"input_type": "int8", "gray": True} and sizes == [(8, 8)] and picture.shape == (8, 8, 3)
    assert (picture == picture[0, 0, 0]).all() and abs(int(picture[0, 0, 0]) - (0.299 * 200 + 0.587 * 100)) < 1
