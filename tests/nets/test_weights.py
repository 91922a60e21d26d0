"""Tests of selecting weights, and of missing weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poets_edge.core import download
from poets_edge.errors import WeightsError
from poets_edge.nets import weights
from poets_edge.nets.architectures import architecture
from poets_edge.nets.read_weights import read_backbone
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from tests.conftest import poets_edge
from tests.photos.server import Files, serving
from tests.yardstick import keras_model

LEAST = 0.66
TRAIN = ("train", "--quiet", "--how_many_training_steps", "500", "--architecture", "mobilenet_0.25_128")


def record(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "tf_files/retrained_graph.json").read_text())
    return found


@pytest.mark.shared
def test_embedded_weights_file_is_small_and_differs_from_imagenet_weights(keras_home: Path) -> None:
    file = weights.EMBEDDED_FILE
    assert file.stat().st_size < 1_000_000
    model = keras_model(architecture("mobilenet_0.25_128"))
    model.load_weights(keras_home / "models/mobilenet_2_5_128_tf_no_top.h5")
    with np.load(file) as stored:
        ours = [stored[name] for name in stored.files]
    assert all(array.dtype == np.float16 for array in ours)
    for mine, googles in zip(ours, model.get_weights(), strict=True):
        assert mine.shape == googles.shape
        if mine.ndim == 4:
            assert abs(np.corrcoef(mine.ravel(), googles.ravel())[0, 1]) < 0.3


@pytest.mark.shared
def test_embedded_weights_reach_their_published_accuracy(flowers: Path, tmp_path: Path) -> None:
    arguments = ("--image_dir", flowers, "--weights", "embedded", "--testing_percentage", "40", "--json")
    found = json.loads(
        poets_edge("train", "--quiet", "--architecture", "mobilenet_0.25_128", *arguments, cwd=tmp_path).ok().stdout
    )
    assert found["test"]["accuracy"] > LEAST, "measured in MODEL_CARD.md, less its interval here"


def test_gray_architecture_converts_its_input_to_gray() -> None:
    """Its bottleneck for a color image equals that of the plain architecture for the image converted to gray."""
    plain = architecture("mobilenet_0.25_128")
    file = weights.find_weights(plain, Path("none"), "embedded")
    color = np.random.default_rng(0).uniform(-1, 1, (1, *plain.size, 3)).astype(np.float32)
    luma = color @ np.array([0.299, 0.587, 0.114], np.float32)
    found, expected, other = (
        Session(ModelFile(Path("model"), write_float_model(read_backbone(entry, file)))).run(image)
        for entry, image in (
            (architecture("mobilenet_0.25_128_gray"), color),
            (plain, np.repeat(luma[..., None], 3, axis=3)),
            (plain, color),
        )
    )
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.abs(other - expected).max() > 0.1


def test_train_refuses_embedded_weights_for_other_architectures(
    few_flowers: Callable[[int], Path], tmp_path: Path
) -> None:
    ran = poets_edge("train", "--image_dir", few_flowers(2), "--weights", "embedded", cwd=tmp_path)
    ran.failed("mobilenet_0.25_128 only", "Add --architecture mobilenet_0.25_128")


def test_train_uses_a_given_weights_file(few_flowers: Callable[[int], Path], keras_home: Path, tmp_path: Path) -> None:
    file = keras_home / "models/mobilenet_2_5_128_tf_no_top.h5"
    poets_edge(*TRAIN, "--image_dir", few_flowers(4), "--weights", file, cwd=tmp_path).ok()
    assert record(tmp_path)["weights"]["file"] == file.name  # type: ignore[index]
    for wrong, message in {"genuine": "imagenet, embedded, or a", "none.h5": "cannot be read"}.items():
        poets_edge(*TRAIN, "--image_dir", tmp_path / "flowers-4", "--weights", wrong, cwd=tmp_path).failed(message)
    (tmp_path / "bad.npz").write_bytes(b"not arrays")
    poets_edge(*TRAIN, "--image_dir", tmp_path / "flowers-4", "--weights", "bad.npz", cwd=tmp_path).failed(
        "bad.npz", "damaged"
    )


def test_train_downloads_missing_weights_or_reports_why_it_cannot(
    few_flowers: Callable[[int], Path], keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(download, "_PAUSE_S", 0.0)
    folder, name = few_flowers(4), "mobilenet_2_5_128_tf_no_top.h5"
    with serving(Files()) as server:
        monkeypatch.setattr(weights, "_KERAS_URL", server.url)
        poets_edge(*TRAIN, "--image_dir", folder, cwd=tmp_path).failed(
            "no weights for mobilenet_0.25_128", "answers 404", "--weights embedded", "at a cost", "%"
        )
        assert not (tmp_path / "tf_files/retrained_graph.pb").exists()
        server.content[f"/mobilenet/{name}"] = b"<html>Please log in</html>"
        poets_edge(*TRAIN, "--image_dir", folder, cwd=tmp_path).failed(
            "not a weights file", "proxy", "--weights embedded"
        )
        server.content[f"/mobilenet/{name}"] = (keras_home / "models" / name).read_bytes()
        poets_edge(*TRAIN, "--image_dir", folder, cwd=tmp_path).ok()
    assert record(tmp_path)["weights"]["file"] == name  # type: ignore[index]
    poets_edge(*TRAIN, "--image_dir", folder, cwd=tmp_path).ok()


def test_train_suggests_embedded_weights_if_the_cache_is_read_only(
    few_flowers: Callable[[int], Path], keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    name = "mobilenet_2_5_128_tf_no_top.h5"
    with serving(Files({f"/mobilenet/{name}": (keras_home / "models" / name).read_bytes()})) as server:
        monkeypatch.setattr(weights, "_KERAS_URL", server.url)
        poets_edge(*TRAIN, "--image_dir", few_flowers(4), cwd=tmp_path).failed("cannot write", "--weights embedded")


def test_download_verifies_the_checksum_of_inception_v3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    entry = architecture("inception_v3")
    content, name = b"\x89HDF\r\n\x1a\n" + bytes(1000), entry.weights.file
    with serving(Files()) as server:
        monkeypatch.setattr(weights, "_KERAS_URL", server.url)
        server.content[f"/inception_v3/{name}"] = content
        with pytest.raises(WeightsError, match=r"the checksum \(MD5\) of the received file differs"):
            weights.find_weights(entry, tmp_path)
        assert not list((tmp_path / "keras/models").iterdir())
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        entry = replace(entry, weights=replace(entry.weights, md5=digest))
        checked = weights._fault

        def not_named_yet(path: Path, *, md5: str) -> str | None:
            assert not (tmp_path / "keras/models" / name).exists()
            return checked(path, md5=md5)

        monkeypatch.setattr(weights, "_fault", not_named_yet)
        assert weights.find_weights(entry, tmp_path).path.name == name
