"""Tests of the export of Keras models and SavedModels."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge import Classifier
from poets_edge.demo.draw import draw_photos
from poets_edge.errors import ModelError
from poets_edge.photos.folder import scan
from poets_edge.photos.image import fit
from poets_edge.photos.normalization import BACKBONE, RAW, UNIT
from poets_edge.photos.open_photo import open_photo
from poets_edge.quantize.foreign_code import check_saved_model
from poets_edge.quantize.graph_scorer import FrozenGraphScorer
from poets_edge.quantize.tensorflow_model import find_input_range, freeze, load_model, model_of_graph
from tests.conftest import SHARED, poets_edge
from tests.needs import need_module

pytestmark = pytest.mark.tensorflow

_SIDE = 64


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    draw_photos(folder, per_class=24)
    return folder


@pytest.fixture(scope="module")
def network(drawn: Path) -> Callable[..., Any]:
    """Return a function that creates a Keras classifier, with random features and a last layer fitted to the photos."""
    import keras

    keras.utils.set_random_seed(3)
    photos = scan(drawn).photos
    pixels = np.stack([fit(open_photo(photo), (_SIDE, _SIDE)) for photo in photos]).astype(np.float32)
    layers = [
        keras.layers.Conv2D(24, 5, strides=4, activation="relu"),
        keras.layers.AveragePooling2D(4),
        keras.layers.Flatten(),
    ]
    features = keras.Sequential([keras.Input((_SIDE, _SIDE, 3)), *layers])
    values = np.asarray(features(pixels / 255))
    truth = np.eye(5, dtype=np.float32)[photos.classes]
    center = values.mean(axis=0)
    centered = values - center
    ridge = np.linalg.solve(centered.T @ centered + 0.3 * np.eye(values.shape[1]), centered.T)
    kernel = 12 * ridge @ (truth - 0.2)
    head = [kernel.astype(np.float32), (-center @ kernel).astype(np.float32)]

    def make(*, rescale: bool, softmax: bool) -> Any:
        dense = keras.layers.Dense(5, activation="softmax" if softmax else None)
        before = [keras.layers.Rescaling(1 / 255)] if rescale else []
        model = keras.Sequential([keras.Input((_SIDE, _SIDE, 3)), *before, *layers, dense])
        dense.set_weights(head)
        return model

    return make


def _write(model: Any, path: Path) -> Path:
    model.save(path) if path.suffix else model.export(path, verbose=False)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "rescale", "softmax", "evidence"),
    [
        ("model.keras", True, True, "input range 0:255: its first layers compute (input - 0) * 0.003922"),
        ("model.h5", False, False, "input range 0:1: accuracy on "),
        ("saved", True, False, "input range 0:255: its first layers compute (input - 0) * 0.003922"),
    ],
)
def test_exported_files_agree_with_the_tensorflow_model(
    network: Callable[..., Any], drawn: Path, tmp_path: Path, name: str, rescale: bool, softmax: bool, evidence: str
) -> None:
    model = network(rescale=rescale, softmax=softmax)
    path = _write(model, tmp_path / name)
    ran = poets_edge("export", path, "--all", "--image-dir", drawn, "--json", "--output-dir", tmp_path / "out").ok()
    assert evidence in ran.stderr and "class folders in alphabetical order" in ran.stderr
    files = json.loads(ran.stdout)["files"]
    assert len(files) == 4 and all(file["agreement_with_float"] >= 0.75 for file in files)
    photos = [photo.file for photo in scan(drawn).photos][::7]
    pixels = np.stack([fit(open_photo(photo), (_SIDE, _SIDE)) for photo in scan(drawn).photos[::7]]).astype(np.float32)
    logits = np.asarray(model(pixels if rescale else pixels / 255))
    expected = logits if softmax else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert len(set(expected.argmax(axis=1))) > 2, "the answers must vary"
    written = Classifier(tmp_path / f"out/{path.stem}.tflite")
    np.testing.assert_allclose(np.stack([written.scores(photo) for photo in photos]), expected, atol=2e-4)
    assert written.labels == scan(drawn).classes and written.metadata.mean == (127.5,)


@pytest.mark.filterwarnings("ignore")
def test_first_layers_that_expect_values_from_0_to_1_are_recognized(
    network: Callable[..., Any], tmp_path: Path
) -> None:
    """A model that begins with a Rescaling layer does not necessarily expect values from 0 to 255."""
    import keras

    inner = network(rescale=False, softmax=True)
    layers = [keras.layers.Rescaling(2.0, offset=-1.0), keras.layers.Rescaling(0.5, offset=0.5), inner]
    model = load_model(_write(keras.Sequential([keras.Input((_SIDE, _SIDE, 3)), *layers[:1], inner]), tmp_path / "m"))
    assert find_input_range(model, [], np.zeros(0, np.int64))[0] == UNIT
    identity = load_model(_write(keras.Sequential([keras.Input((_SIDE, _SIDE, 3)), *layers]), tmp_path / "n"))
    with pytest.raises(ModelError, match="input range is not known"):
        find_input_range(identity, [], np.zeros(0, np.int64))


@pytest.mark.filterwarnings("ignore")
def test_caffe_networks_are_accepted_only_if_they_reorder_the_channels(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    def network(preprocess: Callable[[Any], Any]) -> Any:
        image = keras.Input((16, 16, 3))
        hidden = keras.layers.Conv2D(4, 3, padding="same")(keras.layers.ZeroPadding2D()(preprocess(image)))
        outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(hidden))
        return keras.Model(image, outputs)

    model = network(keras.applications.resnet50.preprocess_input)
    assert find_input_range(load_model(_write(model, tmp_path / "a.keras")), [], np.zeros(0, np.int64))[0] == RAW
    run = tf.function(lambda values: model(values, training=False))
    traced = run.get_concrete_function(tf.TensorSpec([1, 16, 16, 3], tf.float32))
    (tmp_path / "a.tflite").write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([traced]).convert())
    assert Classifier(tmp_path / "a.tflite", labels=["a", "b"]).input_range.normalization == RAW
    blue_first = network(lambda image: image - np.array([103.939, 116.779, 123.68], np.float32))
    with pytest.raises(ModelError, match=r"b\.keras: its first layers subtract .* the means of blue"):
        find_input_range(load_model(_write(blue_first, tmp_path / "b.keras")), [], np.zeros(0, np.int64))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_model_with_a_single_output_is_exported_with_two_scores(activation: str | None, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(1, activation=activation)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    path = _write(model, tmp_path / "model.keras")
    poets_edge("export", path, "--input-mean", "120,110,100", "--input-std", "60,50,40").ok()
    written = Classifier(tmp_path / "model.tflite")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    value = float(np.asarray(model((pixels[None] - np.array([120, 110, 100])) / [60, 50, 40]))[0, 0])
    expected = value if activation else 1 / (1 + np.exp(-value))
    assert 0.02 < expected < 0.98 and written.labels == ("cat", "dog")
    values = ((pixels[None] - np.array([120, 110, 100])) / [60, 50, 40]).astype(np.float32)
    np.testing.assert_allclose(np.asarray(load_model(path).run(values)), [[1 - expected, expected]], atol=1e-5)
    np.testing.assert_allclose(written.score_pixels(pixels), [1 - expected, expected], atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_keras_model_that_returns_percentages_is_frozen_with_probabilities(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax"), keras.layers.Rescaling(100)]
    path = _write(keras.Sequential([keras.Input((8, 8, 3)), *layers]), tmp_path / "model.keras")
    model = load_model(path)
    pixels = [np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8) for seed in range(3)]
    expected = model.scores(pixels, UNIT) / 100
    assert expected.max() > 0.4
    frozen = model_of_graph(freeze(model, UNIT, ("a", "b", "c"), pixels))
    np.testing.assert_allclose(frozen.scores(pixels, BACKBONE), expected, atol=1e-5)
    inverted = [keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid"), keras.layers.Rescaling(-1.0, 1.0)]
    path = _write(keras.Sequential([keras.Input((8, 8, 3)), *inverted]), tmp_path / "inverted.keras")
    with pytest.raises(ModelError, match="nothing tells whether it is the score of the second label"):
        load_model(path)


@pytest.mark.filterwarnings("ignore")
def test_exported_gray_model_accepts_rgb_photos(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 12, 1)), *layers])
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    assert "input range 0:255" in poets_edge("export", _write(model, tmp_path / "gray.keras")).ok().stderr
    written = Classifier(tmp_path / "gray.tflite")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    gray = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    np.testing.assert_allclose(written.score_pixels(pixels), np.asarray(model(gray[None, ..., None]))[0], atol=2e-3)


@pytest.mark.filterwarnings("ignore")
def test_model_without_a_fixed_input_size_is_exported_with_a_given_size(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((None, None, 3)), *layers, keras.layers.Dense(2, activation="softmax")])
    (tmp_path / "labels.txt").write_text("a\nb\n")
    path = _write(model, tmp_path / "any.keras")
    poets_edge("export", path).failed("any.keras: accepts pictures of any size", "--input-size 224")
    poets_edge("export", path, "--input-size", "24").ok()
    written = Classifier(tmp_path / "any.tflite")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    np.testing.assert_allclose(written.score_pixels(pixels), np.asarray(model(pixels[None] * 1.0))[0], atol=1e-4)
    with pytest.raises(ModelError, match="24 x 24 pixels, not `input_size` 32"):
        fixed = keras.Sequential([keras.Input((24, 24, 3)), *layers, keras.layers.Dense(2)])
        load_model(_write(fixed, tmp_path / "fixed.keras"), 32)


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
def test_exported_frozen_graph_normalizes_pixels_as_its_first_layers_require(tmp_path: Path) -> None:
    graph = SHARED / "cases/models/keras_raw_input.pb"
    options = ("--labels", graph.with_name("labels.txt"), "--output-dir", tmp_path)
    assert "input range 0:255: its first layers compute" in poets_edge("export", graph, *options).ok().stderr
    written, expected = Classifier(tmp_path / "keras_raw_input.tflite"), FrozenGraphScorer(graph, options[1])
    for photo in sorted((SHARED / "data/flower_photos").glob("*/*.jpg"))[::200]:
        np.testing.assert_allclose(written.scores(photo), expected.scores(photo), atol=1e-3)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for onnx2tf is a shell script")
@pytest.mark.filterwarnings("ignore")
def test_export_converts_onnx_models_with_onnx2tf(
    network: Callable[..., Any], drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test replaces onnx2tf by a program that writes a SavedModel or prints an error."""
    _write(network(rescale=True, softmax=True), tmp_path / "saved")
    model = tmp_path / "model.onnx"
    content = b"\x08\x08\x12\x07pytorch\x1a\x05"
    model.write_bytes(content)
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")
    export = ("export", model, "--image-dir", drawn, "--labels", tmp_path / "labels.txt")
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in scan(drawn).classes))
    poets_edge(*export).failed("model.onnx: an ONNX model is converted by onnx2tf", "pip install 'onnx2tf<2'")
    script = programs / "onnx2tf"
    script.write_text(
        f'#!/bin/sh\n[ "$1 $3" = "-i -o" ] && cmp "$2" {model} && cp -r {tmp_path}/saved "$4" && echo > "$2"\n'
    )
    script.chmod(0o755)
    poets_edge(*export).ok()
    poets_edge("export", tmp_path / "saved", *export[2:], "--output-dir", tmp_path / "reference").ok()
    photo = scan(drawn).photos[0].file
    found, expected = (Classifier(tmp_path / name) for name in ("model.tflite", "reference/saved.tflite"))
    assert np.array_equal(found.scores(photo), expected.scores(photo))
    assert model.read_bytes() == content, "onnx2tf replaces its input, which must be a copy"
    script.write_text(
        "#!/bin/sh\nprintf '\\033[31mERROR: The Foo OP is not implemented\\033[0m\\nsee the list\\n'; exit 1\n"
    )
    poets_edge(*export).failed("onnx2tf cannot convert it (ERROR: The Foo OP is not implemented)")


@pytest.mark.filterwarnings("ignore")
def test_export_refuses_an_unknown_input_range(network: Callable[..., Any], tmp_path: Path) -> None:
    for label in ("a", "b", "c", "d", "e"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8), (90, 90, 90)).save(tmp_path / "photos" / label / "1.png")
    path = _write(network(rescale=False, softmax=True), tmp_path / "model.keras")
    export = ("export", path, "--image-dir", tmp_path / "photos")
    poets_edge(*export).failed("its input range is not known", "--input-range 0:255, 0:1 or -1:1")
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    poets_edge(*export, "--input-range", "0:1").failed("2 labels, but", "has 5 outputs")


@pytest.mark.filterwarnings("ignore")
def test_load_model_rejects_weights_files_lambda_layers_and_models_with_two_outputs(
    network: Callable[..., Any], tmp_path: Path
) -> None:
    import keras

    model = network(rescale=False, softmax=True)
    model.save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(ModelError, match="weights only"):
        load_model(tmp_path / "only.weights.h5")
    lambdas = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()])
    for name in ("code.keras", "code.h5"):
        with pytest.raises(ModelError, match="Lambda"):
            load_model(_write(lambdas, tmp_path / name))
    inputs = keras.Input((8, 8, 3))
    flat = keras.layers.Flatten()(inputs)
    two = keras.Model(inputs, [keras.layers.Dense(5)(flat), keras.layers.Dense(2)(flat)])
    for name in ("two.keras", "two"):
        with pytest.raises(ModelError, match="has 2 outputs; an image classifier has one"):
            load_model(_write(two, tmp_path / name))


@pytest.mark.filterwarnings("ignore")
def test_load_model_reads_depthwise_layers_of_keras_2(tmp_path: Path) -> None:
    """Files from Keras 2, such as those that Teachable Machine writes, contain the option `groups`."""
    import h5py
    import keras

    layers = [keras.layers.DepthwiseConv2D(3, name="depthwise"), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    path = _write(model, tmp_path / "keras_model.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        depthwise = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "DepthwiseConv2D")
        depthwise["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
    values = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    np.testing.assert_allclose(load_model(path).run(values), model(values), atol=1e-6)


def test_load_model_refuses_keras_configurations_with_code_or_files(tmp_path: Path) -> None:
    layers: dict[str, dict[str, Any]] = {
        "os.system": {"module": "os", "class_name": "system"},
        "builtins.eval": {"module": "builtins", "class_name": "eval"},
        "keras.src.utils.file_utils.get_file": {"module": "keras.src.utils.file_utils", "class_name": "get_file"},
        "function": {"class_name": "function", "config": "get_file", "module": "keras"},
        "TFSMLayer": {"class_name": "TFSMLayer", "config": {"filepath": "other"}},
        "StringLookup": {"class_name": "StringLookup", "config": {"vocabulary": "words.txt"}},
    }
    for named, layer in layers.items():
        path = tmp_path / f"{named}.keras"
        with zipfile.ZipFile(path, "w") as archive:
            nested = {"layers": [{"class_name": "Dense", "config": {"activation": layer}}]}
            archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": nested}))
            archive.writestr("model.weights.h5", b"")
        with pytest.raises(ModelError, match=f"contains (the layer )?{named}.* It is not loaded"):
            load_model(path)


@pytest.mark.parametrize("attack", ["file", "checkpoint", "table"])
def test_load_model_refuses_saved_models_that_access_files(attack: str, tmp_path: Path) -> None:
    tf = need_module("tensorflow")
    secret, target = tmp_path / "secret.txt", tmp_path / "written"
    secret.write_text("a\nb\n")

    class Hostile(tf.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            if attack == "table":
                self.table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
                    str(secret), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER), -1)  # fmt: skip

        @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3])])  # type: ignore[untyped-decorator]
        def __call__(self, values: Any) -> Any:
            if attack == "file":
                tf.io.write_file(str(target), "owned")
            elif attack == "checkpoint":
                tf.raw_ops.SaveV2(prefix=str(target), tensor_names=["a"], shape_and_slices=[""], tensors=[values])
            else:
                values += tf.cast(self.table.size(), tf.float32)
            return tf.nn.softmax(tf.reduce_mean(values, [1, 2]))

    tf.saved_model.save(Hostile(), str(tmp_path / "model"))
    with pytest.raises(ModelError, match="It is not loaded"):
        load_model(tmp_path / "model")
    assert not list(tmp_path.glob("written*"))


@pytest.mark.parametrize("run_by", ["", "output", "control input", "collection", "restore", "function"])
def test_saved_models_that_write_checkpoints_when_loaded_or_run_are_refused(run_by: str, tmp_path: Path) -> None:
    """Each SavedModel has an operation that saves checkpoints, but nothing that is loaded or run depends on it."""
    need_module("tensorflow")
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    meta = saved.meta_graphs.add()
    meta.graph_def.node.add(name="save", op="SaveV2")
    meta.graph_def.node.add(name="after", op="Identity", input=["^save" if run_by == "control input" else "save"])
    meta.graph_def.node.add(name="scores", op="Identity")
    meta.graph_def.library.function.add().signature.name = "writer"
    meta.graph_def.library.function[0].node_def.add(name="inner", op="MergeV2Checkpoints")
    used = {"output": "save:0", "control input": "after:0"}.get(run_by, "scores:0")
    meta.signature_def["serving_default"].outputs["scores"].name = used
    meta.saver_def.restore_op_name = "after" if run_by == "restore" else "scores"
    meta.collection_def["init"].node_list.value.append("after" if run_by == "collection" else "scores")
    if run_by == "function":
        meta.object_graph_def.concrete_functions["writer"].SetInParent()
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(ModelError, match="writes files when it is") if run_by else nullcontext():
        check_saved_model(tmp_path)
    meta.graph_def.node.add(name="other", op="SaveV2Slices")
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(ModelError, match="contains the operation SaveV2Slices"):
        check_saved_model(tmp_path)
