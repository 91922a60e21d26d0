"""Tests of training and exporting each architecture, and of the supported weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poets_edge.device.classifier import Classifier
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import architecture
from poets_edge.nets.mobilenet_v1 import MOBILENETS
from tests import codelab
from tests.conftest import poets_edge
from tests.yardstick import random_inception


def train_and_export_int8(name: str, folder: Path, cwd: Path, *flags: str | Path) -> Classifier:
    """Train a model on a folder of photos, export it as int8, and return a classifier for it."""
    train = ("train", "--image_dir", folder, "--architecture", name, "--how_many_training_steps", "500", "--quiet")
    poets_edge(*train, *flags, "--bottleneck_dir", cwd / "bottlenecks", cwd=cwd).ok()
    poets_edge("export", "--quantize", "int8", "--calibration_photos", "10", "--quiet", cwd=cwd).ok()
    return Classifier(cwd / "tf_files/retrained_graph_int8.tflite")


def share_right(classifier: Classifier, folder: Path) -> float:
    photos = sorted(folder.glob("*/*.jpg"))
    answers = [classifier.classify(photo, 1)[0].name for photo in photos]
    assert len(set(answers)) >= 3, "the answers must vary"
    return float(np.mean([answer == photo.parent.name for answer, photo in zip(answers, photos, strict=True)]))


@pytest.mark.parametrize("entry", MOBILENETS, ids=lambda entry: entry.name)
def test_train_and_export_support_every_mobilenet(
    entry: Architecture, few_flowers: Callable[[int], Path], keras_home: Path, tmp_path: Path
) -> None:
    folder = few_flowers(6)
    classifier = train_and_export_int8(entry.name, folder, tmp_path)
    assert classifier.size == entry.size
    assert classifier.metadata.facts["training"]["architecture"] == entry.name
    assert share_right(classifier, folder) >= 0.8


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, saving weights
def test_inception_v3_trains_and_exports_with_random_weights(
    few_flowers: Callable[[int], Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random weights suffice to test that the steps work together; the accuracy is not tested."""
    entry = architecture("inception_v3")
    models = tmp_path / "models"
    models.mkdir()
    (models / entry.weights.file).symlink_to(random_inception(tmp_path_factory))
    folder = few_flowers(3)
    train = ("train", "--image_dir", folder, "--architecture", "inception_v3", "--model_dir", models, "--quiet")
    poets_edge(*train, "--how_many_training_steps", "50", cwd=tmp_path).ok()
    poets_edge("export", "--quantize", "int8", "--calibration_photos", "2", "--quiet", cwd=tmp_path).ok()
    classifier = Classifier(tmp_path / "tf_files/retrained_graph_int8.tflite")
    assert classifier.size == (299, 299)
    photos = sorted(folder.glob("*/*.jpg"))[:4]
    frozen = poets_edge("label", "--graph", "tf_files/retrained_graph.pb", "--json", *photos, cwd=tmp_path).ok()
    scores = [tuple(label["score"] for label in answer["labels"]) for answer in json.loads(frozen.stdout)]
    assert len(set(scores)) == len(photos), "the outputs must vary"


def test_codelab_and_keras_weights_produce_equal_bottlenecks(
    few_flowers: Callable[[int], Path], keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = architecture("mobilenet_0.25_128")
    folder, models = few_flowers(6), tmp_path / "models"
    models.mkdir()
    codelab.frozen_tgz(entry, models)
    unpacked = tmp_path / "unpacked"
    (unpacked / "mobilenet_v1_0.25_128").mkdir(parents=True)
    (unpacked / "mobilenet_v1_0.25_128/frozen_graph.pb").write_bytes(codelab.frozen_mobilenet(entry))
    answers = {}
    for name, where in {"keras": Path("none"), "tgz": models, "pb": unpacked}.items():
        work = tmp_path / name
        work.mkdir()
        if name != "keras":
            monkeypatch.setenv("KERAS_HOME", str(tmp_path / "no keras"))
        classifier = train_and_export_int8(entry.name, folder, work, "--model_dir", where)
        poets_edge("export", "--quiet", cwd=work).ok()
        float32 = Classifier(work / "tf_files/retrained_graph.tflite")
        answers[name] = np.stack([float32.scores(photo) for photo in sorted(folder.glob("*/*.jpg"))])
        assert share_right(classifier, folder) >= 0.8
    assert answers["keras"].std(axis=0).min() > 0.05
    np.testing.assert_allclose(answers["tgz"], answers["keras"], atol=2e-3)
    np.testing.assert_array_equal(answers["pb"], answers["tgz"])


def test_train_rejects_weights_of_a_different_architecture(
    few_flowers: Callable[[int], Path], keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    flags = ("--image_dir", few_flowers(3), "--architecture", "mobilenet_0.25_128", "--model_dir", models, "--quiet")
    shutil.copy(keras_home / "models/mobilenet_5_0_128_tf_no_top.h5", models / "mobilenet_2_5_128_tf_no_top.h5")
    poets_edge("train", *flags, cwd=tmp_path).failed("not the weights of mobilenet_0.25_128")
    (models / "mobilenet_2_5_128_tf_no_top.h5").unlink()
    (models / "frozen_graph.pb").write_bytes(codelab.frozen_mobilenet(architecture("mobilenet_0.25_160")))
    poets_edge("train", *flags, cwd=tmp_path).failed("frozen_graph.pb", "160")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "no keras"))
    (models / "frozen_graph.pb").unlink()
    (models / "mobilenet_v1_0.25_128_frozen.tgz").write_bytes(b"no archive")
    poets_edge("train", *flags, cwd=tmp_path).failed("damaged archive")
