"""Tests of `export --for frigate`, with a reimplementation of image classification in Frigate."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.studio.packages import PACKAGES
from poets_edge.studio.trained_model import TrainedModel
from tests.conftest import Trained, poets_edge
from tests.device.watch.test_collect import scene
from tests.frames import jpeg
from tests.needs import need_module

THRESHOLD = 0.8
AssignLabel = Callable[[Image.Image], tuple[str, float]]


def frigate(folder: Path) -> AssignLabel:
    """Return a function that computes the label and the score of an image in the same way as Frigate.

    Frigate runs the model in the default interpreter with two threads, in which XNNPACK computes most operators.
    """
    cv2 = need_module("cv2")
    interpreter = need_module("ai_edge_litert.interpreter").Interpreter(str(folder / "model.tflite"), num_threads=2)
    interpreter.allocate_tensors()
    labels = [line.strip() for line in (folder / "labelmap.txt").read_text().splitlines()]

    def label(picture: Image.Image) -> tuple[str, float]:
        crop = cv2.resize(np.asarray(picture.convert("RGB")), (224, 224))
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], crop[None])
        interpreter.invoke()
        output: npt.NDArray[Any] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        scores = output / output.sum()
        best = int(scores.argmax())
        return labels[best], round(float(scores[best]), 2)

    return label


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frigate") / "flowers"
    ran = poets_edge("export", trained.graph, "--for", "frigate", folder, "--json").ok()
    (folder.parent / "facts.json").write_text(ran.stdout)
    return folder


def test_export_writes_two_files_with_uint8_input_and_output(exported: Path) -> None:
    assert sorted(path.name for path in exported.glob("[!.]*")) == ["labelmap.txt", "model.tflite"]
    model = Classifier(exported / "model.tflite")
    assert model.input.shape == (1, 224, 224, 3)
    assert model.input.dtype == model.output.dtype == np.uint8
    assert tuple((exported / "labelmap.txt").read_text().splitlines()) == model.labels


def test_studio_download_contains_both_files_and_states_how_they_were_verified(
    exported: Path, trained: Trained, tmp_path: Path
) -> None:
    model = TrainedModel(folder=trained.graph.parent, number="1", state="", shown={"files": []})
    verified = PACKAGES["frigate"].write(model, tmp_path / "frigate.zip", "")
    with zipfile.ZipFile(tmp_path / "frigate.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files == {path.name: path.read_bytes() for path in exported.glob("[!.]*")}
    assert "Frigate assigns a label to" in verified.text
    facts = json.loads((exported.parent / "facts.json").read_text())
    assert verified.accuracy == facts["files"][0]["test"]["accuracy"]


def test_frigate_assigns_correct_labels_to_test_photos(exported: Path, trained: Trained, flowers: Path) -> None:
    facts = json.loads((exported.parent / "facts.json").read_text())
    record = json.loads((trained.folder / "tf_files/retrained_graph.json").read_text())
    label = frigate(exported)
    answers = [(name.split("/")[0], *label(Image.open(flowers / name))) for name in record["sets"]["test"]]
    assert {answer for _, answer, _ in answers} >= set(record["labels"]), "the answers must vary"
    accuracy = np.mean([truth == answer for truth, answer, _ in answers])
    # Frigate resizes without antialiasing.
    assert accuracy >= facts["files"][0]["test"]["accuracy"] - 0.05
    assigned = [truth == answer for truth, answer, score in answers if score >= THRESHOLD and answer != "none"]
    assert len(assigned) / len(answers) == pytest.approx(facts["assigned"], abs=0.07)
    assert np.mean(assigned) == pytest.approx(facts["assigned_correct"], abs=0.05) and np.mean(assigned) > accuracy


@pytest.mark.shared
def test_frigate_assigns_the_label_none_to_unknown_photos(exported: Path, shared: Path) -> None:
    label = frigate(exported)
    strangers = [label(Image.open(photo)) for photo in sorted(shared.glob("data/surface_defects/*/*"))[::5]]
    assert len(strangers) >= 50 and np.mean([answer == ("none", 1.0) for answer in strangers]) >= 0.9


def test_frigate_rarely_assigns_the_label_none_to_test_photos(exported: Path, trained: Trained, flowers: Path) -> None:
    label = frigate(exported)
    record = json.loads((trained.folder / "tf_files/retrained_graph.json").read_text())
    known = [label(Image.open(flowers / name))[0] for name in record["sets"]["test"]]
    assert np.mean([answer == "none" for answer in known]) < 0.15


def test_frigate_scores_equal_those_of_the_int8_model(exported: Path, trained: Trained, flowers: Path) -> None:
    merged, plain = Classifier(exported / "model.tflite"), Classifier(trained.model("int8"))
    photos: list[Path | bytes] = [
        *sorted(flowers.glob("*/*1_m.jpg"))[:30],
        *(jpeg(scene(number)) for number in range(5)),
    ]
    outputs = [plain.predict(photo) for photo in photos]
    assert {output.unknown for output in outputs} == {False, True}
    for photo, output in zip(photos, outputs, strict=True):
        expected = [*(output.scores * (not output.unknown)), 255 / 256 if output.unknown else 0]
        assert merged.scores(photo) == pytest.approx(expected, abs=1e-6)


def test_frigate_model_keeps_a_user_class_named_none(trained: Trained, flowers: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "labels.txt"
    renamed.write_text("tulips=none\n")
    ran = poets_edge("export", trained.graph, "--labels", renamed, "--for", "frigate", tmp_path / "out", "--json").ok()
    assert json.loads(ran.stdout)["labels"] == ["daisy", "dandelion", "roses", "sunflowers", "none"]
    assert Classifier(tmp_path / "out/model.tflite").output.shape == (1, 5)


@pytest.mark.parametrize("name", ["model.tflite", "labelmap.txt"])
def test_export_for_frigate_does_not_replace_existing_files(trained: Trained, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"trained by Frigate")
    poets_edge("export", trained.graph, "--for", "frigate", tmp_path).failed(name, "not replaced")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"trained by Frigate"


def test_export_for_frigate_rejects_unsupported_input_sizes_and_conflicting_options(
    trained: Trained, tmp_path: Path
) -> None:
    poets_edge("draw-photos", "photos", "--per_class", "4", "--quiet", cwd=tmp_path).ok()
    small = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--folds", "0")
    poets_edge("train", "photos", *small, "--steps", "20", "--quiet", cwd=tmp_path).ok()
    poets_edge("export", "--for", "frigate", "out", cwd=tmp_path).failed("128 x 128", "224 x 224", "mobilenet_0.50_224")
    assert not (tmp_path / "out").exists()
    poets_edge("export", trained.graph, "--for", "frigate", tmp_path, "--quantize", "int8").failed("--for")
    assert poets_edge("export", trained.graph, "--for", "nothing", tmp_path).status == 2
