"""Tests of `poets-edge android`: supported models are copied into the app; other models are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests import yardstick
from tests.android.conftest import copy_app
from tests.conftest import QUANTIZATIONS, Trained, poets_edge

ASSET = "app/src/main/assets/model.tflite"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return copy_app(tmp_path / "android_demo")


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_android_accepts_all_quantizations(quantization: str, trained: Trained, app: Path) -> None:
    ran = poets_edge("android", trained.model(quantization), "--app", app).ok()
    assert (app / ASSET).read_bytes() == trained.model(quantization).read_bytes()
    assert str(app / ASSET) in ran.stdout
    assert "224 x 224" in ran.stdout
    assert "5 labels" in ran.stdout


def test_android_replaces_the_previous_model(trained: Trained, app: Path) -> None:
    poets_edge("android", trained.model("float32"), "--app", app).ok()
    ran = poets_edge("android", trained.model("int8"), "--app", app, "--json").ok()
    found = json.loads(ran.stdout)
    assert found["labels"] == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
    assert Path(found["path"]).read_bytes() == trained.model("int8").read_bytes()
    assert [path.name for path in (app / ASSET).parent.iterdir()] == ["model.tflite"]


def test_android_uses_the_app_in_the_working_directory_by_default(trained: Trained, app: Path) -> None:
    poets_edge("android", trained.model("int8"), cwd=app.parent).ok()
    assert (app / ASSET).is_file()


@pytest.mark.parametrize(
    ("shape", "labels", "complaint"),
    [
        ([1, 8, 3], "abc", "input shape [1, 8, 3] is not one RGB or gray picture"),
        ([1, 8, 8, 4], "abcd", "input shape [1, 8, 8, 4] is not one RGB or gray picture"),
        ([None, 8, 8, 3], "abc", "no fixed size ([-1, 8, 8, 3])"),
        ([1, None, None, 3], "abc", "without a fixed size ([1, -1, -1, 3])"),
        ([1, 8, 8, 3], "", "no labels inside"),
        ([1, 8, 8, 3], "ab", "2 labels, but"),
    ],
)
def test_android_refuses_unsupported_models(
    shape: list[int | None], labels: str, complaint: str, app: Path, tmp_path: Path
) -> None:
    model = tmp_path / "odd.tflite"
    model.write_bytes(averaging_model(shape, tuple(labels)))
    poets_edge("android", model, "--app", app).failed("odd.tflite", complaint)
    assert not (app / ASSET).exists()


def test_android_keeps_the_previous_model_if_the_new_model_is_refused(
    trained: Trained, app: Path, tmp_path: Path
) -> None:
    poets_edge("android", trained.model("int8"), "--app", app).ok()
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(trained.model("int8").read_bytes()[:-5000])
    poets_edge("android", damaged, "--app", app).failed("damaged.tflite")
    poets_edge("android", trained.graph, "--app", app).failed("not a TensorFlow Lite model")
    assert (app / ASSET).read_bytes() == trained.model("int8").read_bytes()


def test_android_refuses_a_folder_without_the_app(trained: Trained, tmp_path: Path) -> None:
    poets_edge("android", trained.model("int8"), "--app", tmp_path).failed("not the app", "--app")
    assert list(tmp_path.iterdir()) == []


def averaging_model(shape: list[int | None], labels: tuple[str, ...]) -> bytes:
    """Return a float32 `.tflite` with input `shape` that computes the mean of each channel."""
    tf = yardstick.tensorflow()

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
    def averages(picture):  # type: ignore[no-untyped-def]
        return tf.reduce_mean(picture, axis=list(range(1, len(shape) - 1)))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([averages.get_concrete_function()])
    card = ModelInfo("odd", "for tests", labels)
    return with_files(with_metadata(converter.convert(), card), card, {})
