"""Tests that an int8 head on int8 features reproduces the scores of the exported int8 model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poets_edge import Classifier
from poets_edge.errors import ModelError
from poets_edge.photos.folder import scan
from poets_edge.photos.image import fit, read_photo
from poets_edge.quantize.int8_features import LogitQuantization, int8_features, round_weights
from poets_edge.quantize.write_detector import remove_detector
from poets_edge.sweep.int8_backbone import Int8Backbone
from poets_edge.sweep.validation_worker import Int8Head
from poets_edge.tflite.flatbuffer import operator_code, schema, unpack_model
from poets_edge.training.bottleneck_cache import open_cache
from poets_edge.training.head import Head, Matrix
from tests.conftest import poets_edge
from tests.tflite_tensors import constant_values

EMBEDDED = ("--architecture", "mobilenet_0.25_128", "--weights", "embedded", "--how_many_training_steps", "200", "-q")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with synthetic photos in `photos`, and a float32 and an int8 model in `tf_files`."""
    folder = tmp_path_factory.mktemp("validation")
    poets_edge("draw-photos", folder / "photos", "--per_class", "8", "-q").ok()
    poets_edge("train", "--image_dir", "photos", *EMBEDDED, cwd=folder).ok()
    poets_edge("export", "--quantize", "int8", "--quantize", "float32", "-q", cwd=folder).ok()
    return folder


def last_layer(model: Path) -> tuple[Head, LogitQuantization]:
    """Return the dequantized last layer of an int8 model, and the quantization of its logits."""
    tree = unpack_model(model.read_bytes())
    remove_detector(tree)
    [layer] = [
        operator
        for operator in tree.subgraphs[0].operators
        if operator_code(tree, operator) == schema().BuiltinOperator.FULLY_CONNECTED
    ]
    weights, bias, output = (tree.subgraphs[0].tensors[index] for index in [*layer.inputs[1:3], *layer.outputs])
    values: Matrix = (constant_values(tree, weights).T * weights.quantization.scale).astype(np.float32)
    head = Head(values, (constant_values(tree, bias) * bias.quantization.scale).astype(np.float32))
    return head, LogitQuantization(float(output.quantization.scale[0]), int(output.quantization.zeroPoint[0]))


def test_int8_head_reproduces_the_scores_of_its_model(exported: Path, tmp_path: Path) -> None:
    model = exported / "tf_files/retrained_graph_int8.tflite"
    (tmp_path / "features.tflite").write_bytes(int8_features(model.read_bytes()))
    head, steps = last_layer(model)
    assert round_weights(head.weights) == pytest.approx(head.weights, abs=1e-6), "exported weights must be rounded"
    int8_head = Int8Head(head.weights, head.biases, steps)
    classifier = Classifier(model)
    with open_cache(tmp_path / "cache.sqlite") as (cache, _):
        extract = Int8Backbone(
            model=tmp_path / "features.tflite", sha256="digest", name="int8", size=(128, 128), cache=cache
        ).extractor()
        found, expected, logits = [], [], []
        for photo in scan(exported / "photos").photos[::3]:
            pixels = fit(read_photo(photo.file), (128, 128))
            features = extract(pixels)[None]
            logits.append((features @ head.weights + head.biases)[0])
            found.append(int8_head.scores(features)[0])
            expected.append(classifier.score_pixels(pixels))
    assert np.std(expected) > 0.1
    # The model rounds its scores to multiples of 1/256 and computes its logits in integers.
    assert np.abs(np.array(found) - np.array(expected)).max() < 0.03
    assert (np.array(found).argmax(axis=1) == np.array(expected).argmax(axis=1)).all()
    # The scale of a fold comes from the evaluated photos, that of the model from the calibration photos.
    assert LogitQuantization.covering(np.array(logits)).scale == pytest.approx(steps.scale, rel=0.5)


def test_int8_features_cannot_be_computed_with_a_float_model(exported: Path) -> None:
    with pytest.raises(ModelError, match="int8"):
        int8_features((exported / "tf_files/retrained_graph.tflite").read_bytes())
