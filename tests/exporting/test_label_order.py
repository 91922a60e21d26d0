"""Tests of the order of labels in exports, of the photos that an export uses, and of the version of a web page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.errors import DatasetError, ModelError
from poets_edge.exporting.export import export
from poets_edge.exporting.held_out import calibration_photos, photos_of_folder, photos_of_record
from poets_edge.exporting.options import ExportOptions
from poets_edge.exporting.web import write_page
from poets_edge.nets.architectures import architecture
from poets_edge.nets.graphdef import serialize, with_labels, with_softmax_layer
from poets_edge.nets.weights import EMBEDDED, find_weights
from poets_edge.photos.folder import Photo, scan
from poets_edge.photos.split import SplitConfig, assign_splits
from poets_edge.photos.split_names import SPLIT_NAMES, SplitName
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from poets_edge.training.backbone import prepare_backbone
from tests.conftest import ROOT

LABELS = ("tulips", "daisy", "roses")
PROBE = ROOT / "poets_edge/tflite/probe.tflite"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph without a record, whose biases make it predict `daisy`, the second label, for every photo."""
    folder, entry = tmp_path_factory.mktemp("graph"), architecture("mobilenet_0.25_128")
    backbone = prepare_backbone(entry, find_weights(entry, folder, EMBEDDED), folder)
    weights, biases = np.zeros((entry.bottleneck_size, 3), np.float32), np.array([0.0, 2.0, 1.0], np.float32)
    full = with_softmax_layer(backbone.read_graph(), weights, biases, "final_result")
    (folder / "graph.pb").write_bytes(serialize(with_labels(full, LABELS)))
    return folder / "graph.pb"


def test_export_keeps_labels_in_the_order_of_outputs(graph: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for label in LABELS:
        (photos / label).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (20, 20), (number * 20, 10, 10)).save(photos / label / f"{number}.png")
    result = export(
        ExportOptions(graph=graph, output_dir=tmp_path, quantizations=("float32", "int8"), image_dir=photos)
    )
    assert result.labels == LABELS
    for file in result.files:
        with zipfile.ZipFile(file.path) as archive:
            assert archive.read("labels.txt").decode().splitlines() == list(LABELS)
        model = Classifier(file.path)
        assert model.labels == LABELS
        answer = model.classify(photos / "roses/1.png", 3)
        assert [label.name for label in answer] == ["daisy", "roses", "tulips"]
        assert answer[0].score == pytest.approx(np.exp(2) / (1 + np.e + np.exp(2)), abs=0.01)
        assert file.evaluation is not None
        confusion = dict(zip(LABELS, file.evaluation.confusion.tolist(), strict=True))
        counts = {label: sum(row) for label, row in confusion.items()}
        assert all(row == [0, counts[label], 0] for label, row in confusion.items()), "every photo is called daisy"
        assert file.evaluation.recall("daisy") == (1.0 if counts["daisy"] else pytest.approx(np.nan, nan_ok=True))
        assert sum(counts.values()) == file.evaluation.count > 0
        assert model.metadata.facts["test"]["confusion"] == file.evaluation.confusion.tolist()


def test_export_rejects_labels_whose_order_differs_from_the_graph(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "reversed.txt").write_text("\n".join(reversed(LABELS)))
    with pytest.raises(ModelError, match=r"reversed\.txt: the labels in another order than"):
        export(ExportOptions(graph=graph, labels=tmp_path / "reversed.txt", output_dir=tmp_path))
    assert not list(tmp_path.glob("*.tflite"))


def test_export_renames_labels(graph: Path, tmp_path: Path) -> None:
    for label in LABELS:
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (20, 20), (number * 20, 10, 10)).save(tmp_path / "photos" / label / f"{number}.png")
    (tmp_path / "names.txt").write_text("daisy=Gänseblümchen\n", encoding="utf-8")
    options = ExportOptions(
        graph=graph, labels=tmp_path / "names.txt", output_dir=tmp_path, image_dir=tmp_path / "photos"
    )
    (file,) = export(options).files
    assert Classifier(file.path).labels == ("tulips", "Gänseblümchen", "roses")
    assert file.evaluation is not None and file.evaluation.recall("Gänseblümchen") == 1


def page_of(folder: Path, name: str) -> str:
    """Write the web page of a model with the given name; return the version in the page's service worker."""
    card = ModelInfo(name, "for tests", tuple(f"label {number}" for number in range(256)))
    model = folder / f"{name}.tflite"
    model.write_bytes(with_files(with_metadata(PROBE.read_bytes(), card), card, {}))
    write_page(model, folder / name)
    script = (folder / name / "service-worker.js").read_text()
    site = json.loads(re.match(r"const SITE=(.*);", script)[1])  # type: ignore[index]
    digest = hashlib.sha256(model.read_bytes())
    assert site["files"]["model.tflite"] == f"sha256-{base64.b64encode(digest.digest()).decode()}"
    return str(site["version"])


def test_version_of_a_page_changes_only_if_its_model_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service worker downloads files again only if the version has changed."""
    (tmp_path / "runtime.js").write_text("// stands in for megabytes of WebAssembly")
    with tarfile.open(tmp_path / "runtime.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "runtime.js", "runtime.js")
    monkeypatch.setattr("poets_edge.exporting.web.RUNTIME_ARCHIVE", tmp_path / "runtime.tar.xz")
    versions = [page_of(tmp_path, name) for name in ("one", "two")]
    assert versions[0] != versions[1] and all(re.fullmatch("[0-9a-f]{16}", version) for version in versions)
    assert page_of(tmp_path, "one") == versions[0]


def test_calibration_photos_alternate_between_classes() -> None:
    photos = [Photo(Path(f"{label}{n}"), f"{label}/{n}.jpg", label) for label, count in
              (("tulips", 20), ("daisy", 3), ("roses", 6)) for n in range(count)]  # fmt: skip
    chosen = calibration_photos(photos, 10)
    assert [photo.label for photo in chosen] == ["daisy", "roses", "tulips"] * 3 + ["roses"]
    assert len({photo.name for photo in chosen}) == 10
    assert calibration_photos(photos, 10) == chosen
    assert len(calibration_photos(photos, 100)) == 29
    assert [int(photo.name[6:-4]) for photo in calibration_photos(photos, 29) if photo.label == "roses"] != list(
        range(6)
    )


def test_photos_of_a_training_record_have_digests_and_missing_ones_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(4):
        (tmp_path / f"a/{number}.jpg").write_bytes(b"x")
    record = {
        "image_dir": str(tmp_path),
        "labels": ["a"],
        "sets": {
            "training": ["a/0.jpg", "a/9.jpg"],
            "validation": ["a/1.jpg", "a/8.jpg"],
            "test": ["a/2.jpg", "a/3.jpg"],
        },
        "photos": {"a/0.jpg": "00", "a/2.jpg": "22", "a/3.jpg": "33"},
    }
    found = photos_of_record(record, None)
    assert [photo.name for photo in found.training] == ["a/0.jpg"]
    assert [(photo.name, photo.sha256) for photo in found.test] == [("a/2.jpg", "22"), ("a/3.jpg", "33")]
    assert found.missing == 1, "validation photos are not used"


@pytest.mark.parametrize(
    "place",
    [
        *("https://host/photos", "http://127.0.0.1/photos.zip", "file:///etc", "reference://x", "s3://a::file:///etc"),
        *("\\\\host\\share", "//host/share", "HTTPS://anna:secret@host/photos"),
    ],
)
def test_recorded_photos_on_other_machines_are_not_read(place: str) -> None:
    record = {"image_dir": place, "sets": {"training": ["a/0.jpg"], "validation": [], "test": []}}
    with pytest.raises(DatasetError, match=r"trained on photos at this address.*`image_dir`") as raised:
        photos_of_record(record, None)
    assert "secret" not in str(raised.value)


def test_export_splits_the_photos_of_a_folder_like_train(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(40):
            (tmp_path / label / f"{number}.jpg").write_bytes(b"x")
    found, photos = photos_of_folder(tmp_path, SplitConfig()), scan(tmp_path).photos
    splits = assign_splits(photos, SplitConfig())
    wanted: dict[SplitName, Sequence[Photo]] = {"training": found.training, "test": found.test}
    for name, of_split in wanted.items():
        expected = photos.take(np.flatnonzero(splits == SPLIT_NAMES.index(name)))
        assert [photo.name for photo in of_split] == list(expected.names)
    assert len(found.training) > 3 * len(found.test) > 0
