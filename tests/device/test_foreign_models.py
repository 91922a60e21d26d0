"""Tests of models made by other programs: shared models with known accuracies, and variants of a small model."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.errors import ModelError, UsageError
from poets_edge.exporting.annotate import annotate
from poets_edge.photos.image import fit, read_photo
from poets_edge.photos.normalization import BACKBONE, UNIT
from poets_edge.quantize.graph_scorer import FrozenGraphScorer
from poets_edge.tflite.flatbuffer import (
    add_constant,
    add_tensor,
    new_operator,
    pack_model,
    quant_params,
    schema,
    unpack_model,
)
from poets_edge.tflite.labels import parse_labels
from tests.conftest import ROOT, SHARED, poets_edge
from tests.needs import need_module, need_tensorflow

CASES = SHARED / "cases/models"
LABELS = CASES / "labels.txt"
SEED = ROOT / "tests/corpus/seeds/seed_graph.tflite"

RIGHT = {
    "tut_rescale_inside.tflite": (None, 78.2),
    "tut_rescale_inside_uint8.tflite": (None, 77.2),
    "frigate_uint8.tflite": (None, 77.2),
    "ei_int8.tflite": (None, 77.2),
    "f01.tflite": ("0:1", 78.2),
    "uint8_metadata_127.tflite": (None, 77.2),
    "uint8_metadata_255.tflite": (None, 76.6),
    "logits.tflite": ("-1:1", 77.1),
    "codelab.lite": ("-1:1", 74.4),
}
"""Input range to specify (None if not needed), and accuracy in percent, for each model file."""

RUNS = (
    *("cast_uint8", "elu", "flatten_dynamic", "gelu", "globalmax", "int16", "int16_io", "layernorm", "leaky"),
    *("logsoftmax", "prelu", "resizing", "split_c2f", "strided_slice"),
)


@pytest.fixture(scope="module")
def pictures() -> dict[str, list[npt.NDArray[np.uint8]]]:
    """Return all shared photos at 128 x 128 pixels, as a dict from classes to photos."""
    return {
        folder.name: [fit(read_photo(photo), (128, 128)) for photo in sorted(folder.iterdir())]
        for folder in sorted((SHARED / "data/flower_photos").iterdir())
        if folder.is_dir()
    }


def accuracy(classifier: Classifier, pictures: dict[str, list[npt.NDArray[np.uint8]]]) -> float:
    correct = [
        classifier.labels[int(classifier.score_pixels(pixels).argmax())] == label
        for label, images in pictures.items()
        for pixels in images
    ]
    return 100 * float(np.mean(correct))


@pytest.mark.shared
@pytest.mark.parametrize("name", RIGHT)
def test_models_from_other_programs_reach_the_accuracy_measured_by_their_creators(
    name: str, pictures: dict[str, list[npt.NDArray[np.uint8]]]
) -> None:
    input_range, expected = RIGHT[name]
    classifier = Classifier(CASES / name, labels=LABELS, input_range=input_range)
    assert accuracy(classifier, pictures) == pytest.approx(expected, abs=0.5)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["f01.tflite", "logits.tflite", "codelab.lite", "elu.tflite", "int16_io.tflite"])
def test_models_without_a_known_input_range_are_rejected_with_a_hint(name: str) -> None:
    photo = next((SHARED / "data/flower_photos/daisy").iterdir())
    poets_edge("label", CASES / name, photo, "--labels", LABELS).failed(
        name, "--input-range -1:1, 0:1 or 0:255", "annotate"
    )


@pytest.mark.shared
@pytest.mark.parametrize("name", RUNS)
def test_valid_models_with_uncommon_operators_can_be_run(name: str) -> None:
    given = None if name == "cast_uint8" else "-1:1"
    scores = Classifier(CASES / f"{name}.tflite", labels=LABELS, input_range=given).score_pixels(
        random_pixels((128, 128))
    )
    assert scores.shape == (5,) and scores.sum() == pytest.approx(1, abs=0.01)


@pytest.mark.shared
def test_model_without_a_fixed_input_size_is_rejected_with_a_remedy() -> None:
    with pytest.raises(ModelError, match=r"without a fixed size .*Input\(shape="):
        Classifier(CASES / "dyn_size.tflite", labels=LABELS)


@pytest.mark.shared
def test_model_with_a_single_sigmoid_output_returns_scores_for_two_labels() -> None:
    model = Classifier(CASES / "sigmoid1.tflite", labels=["no", "yes"], input_range="0:1")
    scores = model.score_pixels(random_pixels((128, 128)))
    assert scores.shape == (2,) and scores.sum() == pytest.approx(1) and 0 < scores[1] < 1


@pytest.mark.shared
def test_input_mean_and_std_options_specify_the_input_range(tmp_path: Path) -> None:
    photo = next((SHARED / "data/flower_photos/roses").iterdir())
    model = CASES / "f01.tflite"
    asked = ("label", model, photo, "--labels", LABELS, "--json")
    expected = poets_edge(*asked, "--input-range", "0:1").ok().stdout
    assert poets_edge(*asked, "--input_mean", "0", "--input_std", "255").ok().stdout == expected
    assert poets_edge(*asked, "--input-range", "-1:1").ok().stdout != expected


@pytest.mark.shared
def test_numbers_in_a_labels_file_are_output_indices() -> None:
    named = [
        Classifier(CASES / "frigate_uint8.tflite", labels=CASES / file).labels
        for file in ("labels.txt", "labels_tm.txt", "labels_tm_unordered.txt")
    ]
    assert named[0] == named[1] == named[2]


@pytest.mark.shared
@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["hub_placeholder.pb", "keras_raw_input.pb"])
def test_first_layers_of_a_frozen_graph_determine_its_input_range(name: str) -> None:
    """Two graphs contain one network, with the first layers (input - 0.5) * 2 and (input - 127.5) / 127.5."""
    need_tensorflow()
    scorers = [FrozenGraphScorer(CASES / file, LABELS) for file in (name, "keras_raw_input.pb")]
    photos = [next((SHARED / "data/flower_photos" / label).iterdir()) for label in scorers[0].labels]
    for photo in photos:
        found, expected = (scorer.scores(photo) for scorer in scorers)
        np.testing.assert_allclose(found, expected, atol=1e-3)
    assert scorers[0].remarks and "its first layers compute" in scorers[0].remarks[0]


@pytest.mark.shared
@pytest.mark.parametrize("name", [name for name in RIGHT if name != "codelab.lite"])
def test_mediapipe_and_classifier_agree_on_annotated_models(name: str, tmp_path: Path) -> None:
    """The photos have their original size, so that the resizing by MediaPipe and poets_edge is compared, too."""
    mediapipe = need_module("mediapipe")
    written = annotate(CASES / name, labels=LABELS, input_range=RIGHT[name][0], output=tmp_path / "x.tflite")
    ours, vision = Classifier(written.path), mediapipe.tasks.vision
    options = vision.ImageClassifierOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(written.path))
    )
    photos = [
        photo for label in ours.labels for photo in sorted((SHARED / "data/flower_photos" / label).iterdir())[5::25]
    ]
    answers = []
    with vision.ImageClassifier.create_from_options(options) as theirs:
        for photo in photos:
            pixels = np.asarray(read_photo(photo))
            found = theirs.classify(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels))
            best = max(found.classifications[0].categories, key=lambda entry: entry.score)
            answers.append((best.category_name, ours(photo)[0].name))
    assert sum(one == other for one, other in answers) >= len(answers) - 1 and len({one for one, _ in answers}) >= 3


def random_pixels(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def variant(path: Path, change: Any = lambda graph: None, model: str = "") -> Path:
    """Write a copy of the seed model without metadata, with a changed graph."""
    tree = unpack_model(SEED.with_stem(f"seed_graph{model}").read_bytes())
    tree.metadata, tree.signatureDefs = [], None
    graph = tree.subgraphs[0]
    graph.inputs, graph.outputs, graph.operators = list(graph.inputs), list(graph.outputs), list(graph.operators)
    change(graph)
    path.write_bytes(pack_model(tree))
    return path


def without_softmax(graph: Any) -> None:
    last = graph.operators.pop()
    graph.outputs = [int(last.inputs[0])]


def test_classifier_applies_softmax_to_logits_and_reports_it(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    whole = Classifier(variant(tmp_path / "whole.tflite"), labels=names, input_range="-1:1")
    logits = Classifier(variant(tmp_path / "logits.tflite", without_softmax), labels=names, input_range="-1:1")
    pixels = random_pixels(whole.size)
    np.testing.assert_allclose(logits.score_pixels(pixels), whole.score_pixels(pixels), atol=1e-6)
    assert not whole.remarks and "without a softmax" in logits.remarks[0]
    written = annotate(tmp_path / "logits.tflite", labels=names, input_range="-1:1")
    assert written.path == tmp_path / "logits_annotated.tflite" and written.changes == ("a softmax",)
    np.testing.assert_allclose(Classifier(written.path).score_pixels(pixels), whole.score_pixels(pixels), atol=1e-6)


def test_model_that_returns_only_the_index_of_the_best_label_is_rejected(tmp_path: Path) -> None:
    model = unpack_model(SEED.read_bytes())
    graph, parts = model.subgraphs[0], schema()
    model.metadata, model.signatureDefs, graph.operators = [], None, list(graph.operators)
    axis = add_constant(model, b"axis", np.array([1], np.int32))
    best = add_tensor(graph, b"best", [1], parts.TensorType.INT32)
    choose = new_operator(model, parts.BuiltinOperator.ARG_MAX, 1, [int(graph.outputs[0]), axis], [best])
    choose.builtinOptionsType, choose.builtinOptions = parts.BuiltinOptions.ArgMaxOptions, parts.ArgMaxOptionsT()
    choose.builtinOptions.outputType = parts.TensorType.INT32
    graph.operators.append(choose)
    graph.outputs = [best]
    (tmp_path / "x.tflite").write_bytes(pack_model(model))
    with pytest.raises(ModelError, match=r"the number of the best label \(ARG_MAX\), not the scores"):
        Classifier(tmp_path / "x.tflite", labels=["a", "b", "c"], input_range="-1:1")
    assert Classifier(tmp_path / "x.tflite", unlabeled=True).output.shape == (1,)


def test_annotated_model_needs_no_options_and_can_be_annotated_again(tmp_path: Path) -> None:
    model = variant(tmp_path / "x.tflite")
    expected = Classifier(model, labels=["a", "b", "c"], input_range="0:1")
    first = annotate(model, labels=["x", "y", "z"], input_range="-1:1", output=tmp_path / "first.tflite")
    second = annotate(first.path, labels=["a", "b", "c"], input_range="0:1", output=tmp_path / "second.tflite")
    found = Classifier(second.path)
    pixels = random_pixels(found.size)
    assert found.labels == ("a", "b", "c") and found.input_range.evidence == "its metadata"
    assert np.array_equal(found.score_pixels(pixels), expected.score_pixels(pixels))
    with pytest.raises(UsageError, match="is not replaced"):
        annotate(model, labels=["a", "b", "c"], input_range="0:1", output=model)
    with pytest.raises(UsageError, match="takes 0 to 1"):
        Classifier(second.path, input_range="-1:1")


def test_annotated_models_use_the_resizing_method_of_mediapipe(tmp_path: Path) -> None:
    """Output column i is sampled at column i * 3 / 2, because the image is 1.5 times as wide as the model's input."""
    size = Classifier(SEED).size
    model = variant(tmp_path / "x.tflite")
    labels = ["a", "b", "c"]
    columns = np.random.default_rng(1).integers(0, 256, (size[1] * 3 // 2, 3), np.uint8)
    image = Image.fromarray(np.tile(columns, (size[0] * 2, 1, 1)))
    written = Classifier(annotate(model, labels=labels, input_range="-1:1").path)
    places = np.arange(size[1]) * 1.5
    expected = np.stack([np.interp(places, np.arange(len(columns)), columns[:, one]) for one in range(3)], axis=1)
    found = written.resize(image).astype(float)
    assert found.shape == (*size, 3) and (found == found[:1]).all()
    assert np.abs(found[0] - expected).max() <= 0.5
    plain = Classifier(model, labels=labels, input_range="-1:1")
    assert np.array_equal(plain.resize(image), fit(image, size)) and not np.array_equal(found, fit(image, size))
    assert np.array_equal(written.predict(image).scores, written.score_pixels(found.astype(np.uint8)))
    again = Classifier(annotate(written.path, labels=labels, input_range="0:1").path)
    assert np.array_equal(again.resize(image), found)


def test_annotate_preserves_the_training_metadata_of_poets_edge_models(tmp_path: Path) -> None:
    own = Classifier(SEED)
    written = annotate(SEED, labels=[f"{own.labels[0]}=x"], output=tmp_path / "x.tflite")
    found = Classifier(written.path)
    assert found.labels == ("x", *own.labels[1:]) and found.facts.keys() == own.facts.keys()
    pixels = random_pixels(own.size)
    assert np.array_equal(found.score_pixels(pixels), own.score_pixels(pixels))
    with pytest.raises(UsageError, match="Leave it out"):
        annotate(SEED, input_range="0:1", output=tmp_path / "y.tflite")


def test_score_output_is_recognized_by_metadata_or_size(tmp_path: Path) -> None:
    def two(graph: Any) -> None:
        graph.outputs = [int(graph.operators[-3].outputs[0]), *graph.outputs]

    model = variant(tmp_path / "two.tflite", two)
    found = Classifier(model, labels=["a", "b", "c"], input_range="-1:1")
    assert found.score_output == 1 and found.score_pixels(random_pixels(found.size)).sum() == pytest.approx(1)
    written = annotate(model, labels=["a", "b", "c"], input_range="-1:1", output=tmp_path / "x.tflite")
    assert Classifier(written.path).score_output == 1
    with pytest.raises(ModelError, match="2 outputs"):
        Classifier(model, labels=["a", "b"], input_range="-1:1")


@pytest.mark.parametrize(
    ("scale", "zero_point"), [(1 / 255, 0), (1 / 127.5, 127), (1 / 128, 128), (1.0, 0), (0.0186, 114)]
)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_pixels_are_mapped_to_all_256_values_of_a_quantized_input(
    dtype: str, scale: float, zero_point: int, tmp_path: Path
) -> None:
    shift = 128 if dtype == "int8" else 0

    def quantized(graph: Any) -> None:
        tensor = graph.tensors[graph.inputs[0]]
        tensor.type = {"uint8": schema().TensorType.UINT8, "int8": schema().TensorType.INT8}[dtype]
        tensor.quantization = quant_params([scale], zero_point - shift)

    model = Classifier(variant(tmp_path / "x.tflite", quantized, "_int8"), labels=["a", "b", "c"])
    ramp = np.resize(np.arange(256, dtype=np.uint8), (*model.size, 3))
    assert np.array_equal(model.input_values(ramp), ramp.astype(int) - shift)


@pytest.mark.parametrize(("scale", "zero_point", "expected"), [(1 / 127.5, -1, "-1:1"), (1 / 255, -128, "0:1")])
def test_input_range_is_inferred_from_a_quantize_operator_after_a_float_input(
    scale: float, zero_point: int, expected: str, tmp_path: Path
) -> None:
    """TensorFlow's converter adds a quantize operator behind a float input unless another input type is set."""
    model = unpack_model(SEED.with_stem("seed_graph_int8").read_bytes())
    graph, parts = model.subgraphs[0], schema()
    model.metadata, model.signatureDefs, graph.operators = [], None, list(graph.operators)
    image = graph.tensors[graph.inputs[0]]
    image.type, image.quantization = parts.TensorType.INT8, quant_params([scale], zero_point)
    pixels = add_tensor(graph, b"pixels", list(image.shape), parts.TensorType.FLOAT32)
    quantize = new_operator(model, parts.BuiltinOperator.QUANTIZE, 1, [pixels], [int(graph.inputs[0])])
    graph.operators.insert(0, quantize)
    graph.inputs = [pixels]
    (tmp_path / "x.tflite").write_bytes(pack_model(model))
    found = Classifier(tmp_path / "x.tflite", labels=["a", "b", "c"])
    assert found.input_range.normalization.short == expected and "quantizes its input" in found.remarks[0]


ULTRALYTICS_NAMES = ("daisy", "ox-eye's daisy", "rose")
ULTRALYTICS = {
    "description": "Ultralytics YOLO11n-cls model trained on flowers",
    "author": "Ultralytics",
    "task": "classify",
    "imgsz": [64, 64],
    "args": {"half": False},
    "names": dict(enumerate(ULTRALYTICS_NAMES)),
}


def test_ultralytics_models_have_labels_and_an_input_range(tmp_path: Path) -> None:
    model = variant(tmp_path / "x.tflite")
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("metadata.json", json.dumps(ULTRALYTICS, indent=2))
    found = Classifier(model)
    assert found.labels == ULTRALYTICS_NAMES
    assert found.input_range.normalization == UNIT and "Ultralytics" in found.remarks[0]


def test_labels_in_metadata_from_earlier_ultralytics_versions_are_read() -> None:
    """Earlier versions wrote a Python dictionary into the labels file, `temp_meta.txt`."""
    assert parse_labels(str(ULTRALYTICS), "temp_meta.txt") == ULTRALYTICS_NAMES


def test_tensor_names_of_the_codelab_determine_the_input_range(tmp_path: Path) -> None:
    def named(graph: Any) -> None:
        graph.tensors[graph.inputs[0]].name, graph.tensors[graph.outputs[0]].name = b"input", b"final_result"

    found = Classifier(variant(tmp_path / "x.tflite", named), labels=["a", "b", "c"])
    assert found.input_range.normalization == BACKBONE and "names of the codelab" in found.remarks[0]


def test_web_and_android_write_models_with_labels_and_normalization(tmp_path: Path) -> None:
    model, labels = variant(tmp_path / "x.tflite", without_softmax), tmp_path / "labels.txt"
    labels.write_text("1 b\n0 a\n2 c\n")
    options = ("--labels", labels, "--input-range", "0:1")
    poets_edge("web", model, "--output-dir", tmp_path / "site").failed("x.tflite", "--labels")
    poets_edge("web", model, "--labels", labels, "--output-dir", tmp_path / "site").failed("--input-range")
    poets_edge("web", model, *options, "--output-dir", tmp_path / "site").ok()
    app = tmp_path / "app/app/src/main"
    app.mkdir(parents=True)
    (app / "AndroidManifest.xml").touch()
    poets_edge("android", model, *options, "--app", tmp_path / "app").ok()
    expected = Classifier(model, labels=labels, input_range="0:1")
    pixels = random_pixels(expected.size)
    for written in (tmp_path / "site/model.tflite", app / "assets/model.tflite"):
        found = Classifier(written)
        assert found.labels == ("a", "b", "c") and found.metadata.std == (255.0,)
        np.testing.assert_allclose(found.score_pixels(pixels), expected.score_pixels(pixels), atol=1e-6)
