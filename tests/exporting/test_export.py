"""Tests of `export`: options, accuracy drop, damaged inputs, metadata."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.photos.image import fit, read_photo
from tests.conftest import DAISY, QUANTIZATIONS, Trained, poets_edge, poets_edge_process
from tests.needs import need_module


@pytest.fixture
def work(trained: Trained, tmp_path: Path) -> Path:
    """A folder with a trained graph, its labels and its record, but no exported files."""
    (tmp_path / "tf_files").mkdir()
    for path in (trained.folder / "tf_files").glob("retrained_*"):
        if path.suffix != ".tflite":
            shutil.copy(path, tmp_path / "tf_files")
    return tmp_path


def test_quantize_option_without_a_value_means_int8(work: Path) -> None:
    ran = poets_edge("export", "--quiet", "--json", "--quantize", cwd=work).ok()
    [file] = json.loads(ran.stdout)["files"]
    assert file["quantization"] == "int8"
    assert file["agreement_with_float"] >= 0.96
    model = Classifier(work / file["path"])
    assert model.input.dtype == model.output.dtype == np.uint8


def test_export_writes_float32_by_default_and_is_reproducible(work: Path) -> None:
    poets_edge("export", "--quiet", cwd=work).ok()
    first = (work / "tf_files/retrained_graph.tflite").read_bytes()
    assert [path.name for path in (work / "tf_files").glob("*.tflite")] == ["retrained_graph.tflite"]
    poets_edge("export", "--quiet", "--output_dir", "other", cwd=work).ok()
    assert (work / "other/retrained_graph.tflite").read_bytes() == first


def test_float_io_option_keeps_float_inputs_and_outputs(work: Path, trained: Trained, flowers: Path) -> None:
    poets_edge("export", "--quiet", "--quantize", "int8", "--float-io", cwd=work).ok()
    model = Classifier(work / "tf_files/retrained_graph_int8.tflite")
    assert model.input.dtype == model.output.dtype == np.float32
    assert model.path.stat().st_size < 1_100_000
    plain = Classifier(trained.model("int8"))
    photos = [flowers / DAISY, *sorted(flowers.glob("*/*1_m.jpg"))[:20]]
    scores = [(model.scores(photo), plain.scores(photo)) for photo in photos]
    assert len({int(mine.argmax()) for mine, _ in scores}) >= 3, "the answers must vary"
    assert all(mine.sum() == pytest.approx(1, abs=1e-5) for mine, _ in scores)
    # The float input is rounded to 8 bits half a step off the pixel values, which affects low-confidence results.
    apart = [np.abs(mine - rounded).max() for mine, rounded in scores]
    assert max(apart) < 0.15 and np.mean(apart) < 0.02


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
def test_full_int8_export_writes_a_file_that_tensorflow_lite_micro_runs(
    input_type: str, work: Path, trained: Trained, flowers: Path
) -> None:
    """The scores in TensorFlow Lite Micro equal those of `Classifier`, and labels agree with the float model's."""
    arguments = ("export", "--quiet", "--json", "--quantize", "full-int8", "--input-type", input_type)
    [file] = json.loads(poets_edge(*arguments, cwd=work).ok().stdout)["files"]
    assert file["path"] == "tf_files/retrained_graph_full_int8.tflite" and file["quantization"] == "full-int8"
    assert file["agreement_with_float"] >= 0.95
    model = Classifier(work / file["path"])
    assert model.input.dtype == model.output.dtype == np.dtype(input_type)
    assert model.facts["quantization"] == "full-int8" and not model.facts["float_io"]
    micro = need_module("tflite_micro.python.tflite_micro.runtime").Interpreter.from_file(str(work / file["path"]))
    for photo in sorted(flowers.glob("*/*1_m.jpg"))[:8]:
        pixels = fit(read_photo(photo), model.size)
        micro.set_input(model.input_values(pixels)[None], 0)
        micro.invoke()
        np.testing.assert_array_equal(model.output.dequantize(micro.get_output(0)[0]), model.score_pixels(pixels))


def test_export_of_a_quantized_architecture_writes_int8(
    few_flowers: Callable[[int], Path], keras_home: Path, tmp_path: Path
) -> None:
    folder = few_flowers(6)
    architecture = "mobilenet_0.25_128_quantized"
    poets_edge("train", "--image_dir", folder, "--architecture", architecture, "--quiet", cwd=tmp_path).ok()
    ran = poets_edge("export", "--quiet", "--json", cwd=tmp_path).ok()
    assert [file["quantization"] for file in json.loads(ran.stdout)["files"]] == ["int8"]


def test_export_writes_no_files_if_the_accuracy_drop_is_too_large(work: Path) -> None:
    record = json.loads((work / "tf_files/retrained_graph.json").read_text())
    # To ensure a loss, the test photo is the first one that only float32 classifies correctly.
    photos = Path(record["image_dir"])
    names = [name for kind in ("test", "validation", "training") for name in record["sets"][kind]]
    poets_edge("export", "--quiet", "--quantize", "none", "--quantize", "dynamic", cwd=work).ok()
    float32, dynamic = (
        Classifier(work / f"tf_files/retrained_graph{quantization}.tflite") for quantization in ("", "_dynamic")
    )
    found = (
        name
        for name in names
        if float32.classify(photos / name, 1)[0].name
        == name.partition("/")[0]
        != dynamic.classify(photos / name, 1)[0].name
    )
    lost = next(found, "")
    assert lost, "dynamic answers every photo as float does: nothing to test with"
    for path in (work / "tf_files").glob("*.tflite"):
        path.unlink()
    # A loss on one photo is not significant, so the test split has the photo seven times.
    label, copies = lost.partition("/")[0], work / "copies"
    (copies / label).mkdir(parents=True)
    names = [f"{label}/{number}.jpg" for number in range(8)]
    for name in names:
        (copies / name).symlink_to(photos / lost)
    arguments = (
        "export",
        "--image_dir",
        copies,
        "--quantize",
        "dynamic",
        "--quantize",
        "float16",
        "--max-accuracy-drop",
    )

    def set_test_photos(count: int) -> None:
        record["sets"] = {"training": names[7:], "validation": [], "test": names[:count]}
        (work / "tf_files/retrained_graph.json").write_text(json.dumps(record))

    set_test_photos(7)
    failed = poets_edge(*arguments, "0", "-q", cwd=work)
    failed.failed(
        "dynamic loses 100.0 points (7 photos worse and 0 better of 7 test photos), more than the 0 allowed",
        "Nothing was written",
    )
    assert "float16" in failed.stdout, "what the others did is shown all the same"
    assert "dynamic compared with float32: loses 100.0 points; 7 photos worse, 0 better; unlikely" in failed.stdout
    assert not list((work / "tf_files").glob("*.tflite"))
    poets_edge(*arguments, "100", "-q", cwd=work).ok()
    set_test_photos(2)
    chance = poets_edge(*arguments, "0", "-q", cwd=work).ok()
    assert "2 photos worse and 0 better of 2 test photos), more than the 0 allowed" in chance.stderr
    assert "could be chance" in chance.stderr


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "retrained_graph.pb").unlink(), "no graph named"),
        (lambda folder: (folder / "retrained_graph.pb").write_bytes(b"\x00\x01nothing"), "not a frozen graph"),
        (lambda folder: (folder / "retrained_graph.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "retrained_labels.txt").write_text("a\nb\n"), "not the labels"),
        (lambda folder: _edit(folder / "retrained_graph.json", graph_sha256="0" * 64), "describes another graph"),
        (lambda folder: _edit(folder / "retrained_graph.json", image_dir="/nowhere"), "--image-dir"),
    ],
)
def test_export_refuses_damaged_inputs(work: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(work / "tf_files")
    poets_edge("export", "--quiet", "--quantize", cwd=work).failed(said)
    assert not list(work.rglob("*.tflite"))


def _edit(record: Path, **changes: str) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


@pytest.mark.parametrize(
    ("network", "quantization"), [*(("trained", name) for name in QUANTIZATIONS), ("trained_lite", "int8")]
)
def test_mediapipe_predictions_equal_those_of_classifier(
    network: str, quantization: str, flowers: Path, request: pytest.FixtureRequest
) -> None:
    """MediaPipe reads labels and normalization from the standard metadata."""
    mediapipe = need_module("mediapipe")
    vision = mediapipe.tasks.vision
    model = request.getfixturevalue(network).model(quantization)
    options = vision.ImageClassifierOptions(base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)))
    ours = Classifier(model)
    names = [DAISY, *(path.relative_to(flowers).as_posix() for path in sorted(flowers.glob("*/*1_m.jpg"))[:30])]
    answers, worst = [], 0.0
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for name in names:
            # Images have the model's size, so that the resizing of the two programs is not compared.
            pixels = fit(read_photo(flowers / name), ours.size)
            theirs = classifier.classify(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels))
            scores = {entry.category_name: entry.score for entry in theirs.classifications[0].categories}
            assert set(scores) == set(ours.labels)
            [second] = theirs.classifications[1].categories
            assert second.score == pytest.approx(ours.predict_pixels(pixels).distance, abs=1e-4)
            mine = ours.score_pixels(pixels)
            worst = max(worst, *(abs(scores[label] - mine[index]) for index, label in enumerate(ours.labels)))
            answers.append((max(scores, key=lambda label: scores[label]), ours.labels[int(mine.argmax())]))
    assert len({answer for answer, _ in answers}) >= 3, "the answers must vary"
    assert all(a == b for a, b in answers)
    assert worst < 1e-3


def test_unknown_label_is_predicted_for_photos_unlike_the_training_photos(
    work: Path, flowers: Path, tmp_path: Path
) -> None:
    export = ("export", "--quiet", "--quantize", "int8", "--unknown-label")
    poets_edge(*export, "roses", cwd=work).failed("--unknown-label roses: a class has this name")
    poets_edge(*export, "two\nlines", cwd=work).failed("--unknown-label")
    poets_edge(*export, "anything else", cwd=work).ok()
    model = Classifier(work / "tf_files/retrained_graph_int8.tflite")
    assert model.labels[-1] == "anything else" and len(model.labels) == 6 and not model.has_detector
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    assert model(noise, top=1)[0].name == "anything else" and model(flowers / DAISY, top=1)[0].name == "daisy"


def test_exported_file_is_also_a_zip_archive_that_contains_the_labels(trained: Trained) -> None:
    import zipfile

    with zipfile.ZipFile(trained.model("int8")) as archive:
        assert archive.read("labels.txt").decode().split() == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
        assert json.loads(archive.read("poets_edge.json"))["quantization"] == "int8"


def test_label_command_refuses_a_model_with_a_flipped_bit(trained: Trained, flowers: Path, tmp_path: Path) -> None:
    data = bytearray(trained.model("int8").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.tflite").write_bytes(data)
    poets_edge_process("label", "--graph", tmp_path / "flipped.tflite", flowers / DAISY).failed("checksum")
