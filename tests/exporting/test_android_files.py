"""Tests of the test vectors for the Android app, which are parsed as in the app's own tests."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.errors import UsageError
from poets_edge.exporting.android import ASSET, install_model, write_vectors
from poets_edge.photos.normalization import BACKBONE, PIXELS
from poets_edge.tflite.session import Session
from tests.tiny_model import COLORS, SIDE, color_model


def blocks_of(content: bytes) -> tuple[tuple[int, int], list[bytes]]:
    """Return the two integers at the beginning of a vector, and the blocks after them, each preceded by its length."""
    first, second = struct.unpack(">ii", content[:8])
    blocks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack(">i", content[at : at + 4])
        blocks.append(content[at + 4 : at + 4 + length])
        at += 4 + length
    return (first, second), blocks


def test_android_test_vectors_contain_every_intermediate_result_of_a_prediction(tmp_path: Path) -> None:
    """The photo has two colors, 24 x 16 pixels and scores in the order blue, red, green."""
    model, photo, folder = tmp_path / "m.tflite", tmp_path / "p.png", tmp_path / "vectors"
    model.write_bytes(color_model("uint8", 1 / 128, 128, normalization=PIXELS, facts={"quantization": "int8"}))
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8], pixels[8:] = (90, 40, 200), (130, 60, 220)
    Image.fromarray(pixels).save(photo)
    write_vectors(model, [photo, photo], folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "000.bin", "001.bin", "labels.txt", "model.properties", "model.tflite"
    ]  # fmt: skip
    assert (folder / "labels.txt").read_text() == "red\ngreen\nblue\n"
    assert (folder / "model.tflite").read_bytes() == model.read_bytes()
    size, (picture, values, output, scores, best, distance) = blocks_of((folder / "000.bin").read_bytes())
    assert size == (24, 16) and picture == pixels.tobytes() and len(values) == SIDE * SIDE * 3
    small = np.frombuffer(values, np.uint8).reshape(1, SIDE, SIDE, 3)
    assert (small[0, 0] == (90, 40, 200)).all() and (small[0, -1] == (130, 60, 220)).all()
    assert output == Session(model).run(small).tobytes() and len(output) == 3
    expected = Classifier(model).scores(photo)
    np.testing.assert_array_equal(np.frombuffer(scores, "<f4"), expected)
    assert np.frombuffer(best, "<i4").tolist() == [2, 0, 1] and distance == b""


def test_properties_file_describes_the_tensors_of_the_model(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(color_model("int8", 1 / 64, -3, normalization=BACKBONE, facts={"quantization": "full-int8"}))
    write_vectors(model, [], tmp_path / "vectors")
    assert (tmp_path / "vectors/model.properties").read_text() == (
        "input.type=INT8\ninput.shape=1,8,8,3\ninput.scale=0.015625\ninput.zeroPoint=-3\n"
        "output.type=INT8\noutput.shape=1,3\noutput.scale=0.015625\noutput.zeroPoint=-3\n"
    )


def test_installed_model_contains_labels_and_normalization(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(color_model())
    (tmp_path / "l.txt").write_text("red\ngreen\nblue\n")
    manifest = tmp_path / "app/app/src/main/AndroidManifest.xml"
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    found = install_model(tmp_path / "m.tflite", tmp_path / "app", labels=tmp_path / "l.txt", input_range="0:1")
    assert found.path == tmp_path / "app" / ASSET and found.size == found.path.stat().st_size
    assert found.labels == COLORS == Classifier(found.path).labels and found.input.shape == (1, SIDE, SIDE, 3)
    assert Classifier(found.path).input_range.normalization.short == "0:1"


def test_labels_with_equal_scores_keep_their_order_in_the_ranking(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(
        color_model("uint8", 1 / 128, 128, normalization=PIXELS, facts={"quantization": "int8"})
    )
    Image.new("RGB", (8, 8), (90, 90, 90)).save(tmp_path / "p.png")
    write_vectors(tmp_path / "m.tflite", [tmp_path / "p.png"], tmp_path / "vectors")
    _, blocks = blocks_of((tmp_path / "vectors/000.bin").read_bytes())
    assert np.frombuffer(blocks[4], "<i4").tolist() == [0, 1, 2]


@pytest.mark.parametrize("app", ["missing", "empty", "file", "app/src/main", "other"])
def test_model_is_not_installed_into_a_folder_that_is_not_the_app(app: str, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(color_model("uint8", 1 / 128, 128, normalization=PIXELS))
    (tmp_path / "file").touch()
    (tmp_path / "app/src/main/AndroidManifest.xml").parent.mkdir(parents=True)
    (tmp_path / "app/src/main/AndroidManifest.xml").touch()
    (tmp_path / "other/app/src/main/AndroidManifest.xml").mkdir(parents=True)  # a folder
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"not the app \(no app/src/main/AndroidManifest.xml in it\)"):
        install_model(tmp_path / "m.tflite", tmp_path / app)
    assert sorted(tmp_path.rglob("*")) == before
    assert install_model(tmp_path / "m.tflite", tmp_path).path == tmp_path / ASSET
