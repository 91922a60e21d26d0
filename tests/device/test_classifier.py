"""Tests of `Classifier`: photo types, arguments, threads, pickling, and the conversion of pixels to scores."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poets_edge.device.classifier import Classifier
from poets_edge.device.model_labels import read_labels
from poets_edge.device.scorer import best
from poets_edge.errors import ModelError, UsageError, WrongTypeError
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Parameters, checked
from poets_edge.photos.image import Pixels, fit, read_photo
from poets_edge.photos.normalization import UNIT, Normalization
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.flatbuffer import pack_model, schema, unpack_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session, TensorInfo
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests.conftest import DAISY, QUANTIZATIONS, ROOT, Trained
from tests.tiny_model import SIDE, color_model

SEED = ROOT / "tests/corpus/seeds/seed_graph.tflite"


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_scores_of_pixels_equal_the_scores_of_their_normalized_values(
    quantization: str, trained: Trained, flowers: Path
) -> None:
    classifier = Classifier(trained.model(quantization))
    pixels = fit(read_photo(flowers / DAISY), classifier.size)
    scores = classifier.score_pixels(pixels)
    assert scores.dtype == np.float32
    assert scores.sum() == pytest.approx(1, abs=0.05)
    assert np.array_equal(classifier.score_values(classifier.input_values(pixels)), scores)
    assert np.array_equal(classifier.output.dequantize(classifier.raw_output(pixels)), scores)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"),
    [("uint8", 1 / 127.5, 127), ("uint8", 1 / 64, 128), ("int8", 1 / 127.5, -1), ("uint8", 1 / 128, 128)],
)
def test_quantized_models_from_other_programs_get_pixels_without_normalization(
    tmp_path: Path, dtype: str, scale: float, zero_point: int
) -> None:
    """Other programs map pixels to all 256 input values, regardless of the scale, the zero point and the metadata."""
    tree = unpack_model(SEED.with_stem("seed_graph_int8").read_bytes())
    tree.metadata = []
    photo = tree.subgraphs[0].tensors[tree.subgraphs[0].inputs[0]]
    photo.type = {"uint8": schema().TensorType.UINT8, "int8": schema().TensorType.INT8}[dtype]
    photo.quantization.scale, photo.quantization.zeroPoint = [scale], [zero_point]
    (tmp_path / "foreign.tflite").write_bytes(pack_model(tree))
    model = Classifier(tmp_path / "foreign.tflite", unlabeled=True)
    pixels = random_pixels(model)
    values = model.input_values(pixels)
    assert values.dtype == dtype and len(np.unique(values)) > 100
    assert np.array_equal(values, pixels.astype(np.int64) - (128 if dtype == "int8" else 0))


@pytest.mark.parametrize("name", ["seed_graph", "seed_graph_int8"])
def test_raw_output_is_the_output_tensor_before_dequantization(name: str) -> None:
    classifier = Classifier(SEED.with_stem(name))
    for seed in (1, 2):
        pixels = random_pixels(classifier, seed)
        raw = classifier.raw_output(pixels)
        assert raw.shape == (len(classifier.labels),) and raw.dtype == classifier.output.dtype
        assert np.array_equal(classifier.output.dequantize(raw), classifier.score_pixels(pixels))


def test_scores_of_a_model_without_a_softmax_are_the_softmax_of_its_output() -> None:
    """The outputs are the means of the colors, 0 to 1, which do not add up to 1."""
    classifier = Classifier(ModelFile(Path("colors"), color_model(normalization=UNIT)))
    exponents = np.exp([1.0, 0.2, 0.0])
    pixels = np.full((SIDE, SIDE, 3), (255, 51, 0), np.uint8)
    assert classifier.score_pixels(pixels) == pytest.approx(exponents / exponents.sum())
    with pytest.raises(ModelError, match=r"colors: its scores contain NaN or infinity: its weights are damaged\."):
        classifier.score_values(np.full((SIDE, SIDE, 3), np.nan, np.float32))


@pytest.mark.parametrize(("quantization", "accelerate"), [("full-int8", False), ("int8", True)])
def test_fully_quantized_models_are_run_without_xnnpack(
    quantization: str, accelerate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def opened(*arguments: Any, **options: Any) -> Session:
        asked.append(options["accelerate"])
        return Session(*arguments, **options)

    monkeypatch.setattr("poets_edge.device.classifier.Session", opened)
    content = color_model("uint8", 1 / 256, normalization=UNIT, facts={"quantization": quantization})
    Classifier(ModelFile(Path("colors"), content))
    assert asked == [accelerate]


def test_classifier_rejects_a_model_with_a_changed_weight(tmp_path: Path) -> None:
    """The interpreter accepts the changed model; only the checksum in its `poets_edge.json` reveals the change."""
    content = SEED.read_bytes()
    weights = max((buffer.data for buffer in unpack_model(content).buffers if buffer.data is not None), key=len)
    place = content.index(bytes(weights))
    changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    (tmp_path / "changed.tflite").write_bytes(changed)
    with pytest.raises(ModelError, match=r"changed\.tflite: damaged \(its checksum does not match\)"):
        Classifier(tmp_path / "changed.tflite")
    (tmp_path / "unsigned.tflite").write_bytes(changed[: changed.index(b"PK\3\4", place)])
    assert Classifier(tmp_path / "unsigned.tflite", unlabeled=True).size == Classifier(SEED).size


def random_pixels(classifier: Classifier, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*classifier.size, 3), np.uint8)


def test_classifier_accepts_every_photo_type(tmp_path: Path) -> None:
    classifier = Classifier(str(SEED))
    image = Image.fromarray(random_pixels(classifier).repeat(3, axis=1))
    path = tmp_path / "photo.png"
    image.save(path)
    expected = classifier(path)
    assert [label.name for label in expected] != sorted(classifier.labels), "the order must not be the labels' own"
    assert sorted(label.name for label in expected) == sorted(classifier.labels)
    scores = [label.score for label in expected]
    assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-5)
    for photo in (str(path), path.read_bytes(), image, np.asarray(image)):
        assert classifier(photo) == expected
    with path.open("rb") as file:
        assert classifier(file) == expected
    assert classifier(path, top=2) == expected[:2]


def test_classifier_returns_a_list_of_results_for_a_list_of_photos(tmp_path: Path) -> None:
    classifier = Classifier(SEED)
    first, second = random_pixels(classifier, 1), random_pixels(classifier, 2)
    assert classifier([first, Image.fromarray(second)], top=1) == [classifier(first, 1), classifier(second, 1)]
    assert classifier([]) == []


@pytest.mark.parametrize(
    ("photo", "error", "message"),
    [
        (3, WrongTypeError, "`photo`.* not int"),
        (None, WrongTypeError, "`photo`.* not NoneType"),
        (np.zeros((8, 8, 3), np.float32), WrongTypeError, "`photo`.*uint8.* not float32"),
        (np.zeros((8, 8), np.uint8), UsageError, r"`photo`.*\[8, 8\]"),
        (np.zeros((8, 8, 4), np.uint8), UsageError, r"`photo`.*\[8, 8, 4\]"),
        (np.zeros((0, 8, 3), np.uint8), UsageError, r"`photo`.*\[0, 8, 3\]"),
    ],
)
def test_classifier_rejects_invalid_photo_arguments(photo: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Classifier(SEED)(photo)


@pytest.mark.parametrize(
    ("pixels", "error", "message"),
    [
        (np.zeros((32, 32, 3), np.float32), WrongTypeError, "`pixels`.*uint8.* not float32"),
        (np.zeros((32, 32, 3)).tolist(), WrongTypeError, "`pixels`.* not list"),
        (np.zeros((32, 32, 1), np.uint8), UsageError, r"`pixels`.*\[32, 32, 3\].*\[32, 32, 1\]"),
        (np.zeros((3,), np.uint8), UsageError, r"`pixels`.*\[3\]"),
        (np.zeros((1, 32, 32, 3), np.uint8), UsageError, r"`pixels`.*\[1, 32, 32, 3\]"),
        (np.ma.masked_less(np.zeros((32, 32, 3), np.uint8), 5), WrongTypeError, r"masked array.* pixels\.filled\(0\)"),
    ],
)
def test_pixel_arrays_of_a_wrong_type_or_shape_are_rejected(pixels: Any, error: type[Exception], message: str) -> None:
    classifier = Classifier(SEED)
    for method in (classifier.score_pixels, classifier.raw_output, classifier.input_values):
        with pytest.raises(error, match=message):
            method(pixels)


def test_input_value_arrays_of_a_wrong_type_or_shape_are_rejected() -> None:
    classifier = Classifier(SEED)
    values = classifier.input_values(np.zeros((32, 32, 3), np.uint8))
    assert classifier.score_values(values).shape == (len(classifier.labels),)
    for wrong, error in (
        (values.astype(np.float64), WrongTypeError),
        (values.tolist(), WrongTypeError),
        (values[None], UsageError),
        (values[:16], UsageError),
        (np.ma.masked_less(values, 5), WrongTypeError),
    ):
        with pytest.raises(error, match="`values`"):
            classifier.score_values(wrong)


def test_masked_arrays_are_rejected() -> None:
    """The mask would be ignored."""
    with pytest.raises(WrongTypeError, match=r"`photo` is a masked array"):
        Classifier(SEED)(np.ma.masked_less(np.zeros((40, 50, 3), np.uint8), 5))


def test_array_of_more_than_178_megapixels_is_refused_before_it_is_copied() -> None:
    """The broadcast array takes three bytes; a copy of it would take 120 GB."""
    with pytest.raises(UsageError, match=r"`photo` has 40,000 megapixels; 178 are the most"):
        Classifier(SEED)(np.broadcast_to(np.zeros(3, np.uint8), (200_000, 200_000, 3)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"threads": 0}, UsageError, "`threads`"),
        ({"threads": "2"}, WrongTypeError, "`threads`"),
        ({"labels": ["one", "two"]}, ModelError, "other labels than"),
        ({"labels": [1, 2, 3]}, WrongTypeError, "`labels`"),
    ],
)
def test_classifier_errors_name_the_invalid_argument(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Classifier(SEED, **arguments)


def test_classifier_rejects_a_model_argument_of_the_wrong_type() -> None:
    with pytest.raises(WrongTypeError, match="`model`"):
        Classifier(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("top", "error"), [(0, UsageError), (-1, UsageError), ("2", WrongTypeError), (1.0, TypeError)])
def test_classifier_rejects_invalid_values_of_top(top: Any, error: type[Exception]) -> None:
    classifier = Classifier(SEED)
    with pytest.raises(error, match="`top`"):
        classifier(random_pixels(classifier), top=top)


@pytest.mark.parametrize("threshold", [float("nan"), -0.1, 1.1, "0.5"])
def test_thresholds_outside_0_to_1_are_rejected(threshold: Any) -> None:
    with pytest.raises(UsageError, match="`threshold`"):
        Classifier(SEED).check_threshold(threshold)


def test_classifier_accepts_labels_as_a_list() -> None:
    bare = ModelFile(Path("bare.tflite"), SEED.read_bytes()[: SEED.read_bytes().index(b"PK\x03\x04")])
    assert Classifier(bare, labels=["c", "a", "b"]).labels == ("c", "a", "b")


def test_classifier_renames_labels_with_a_labels_list() -> None:
    assert Classifier(SEED).labels == ("daisy", "roses", "tulips")
    renamed = Classifier(SEED, labels=["tulips=Tulpen", "roses=Rosen = 2"])
    assert renamed.labels == renamed.clone().labels == ("daisy", "Rosen = 2", "Tulpen")
    assert Classifier(SEED, labels=["daisy", "roses", "tulips"]).clone().labels == ("daisy", "roses", "tulips")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ["roses", "daisy", "tulips"],
            r"`labels`: the labels in another order than .* \(daisy, roses, tulips\)",
        ),
        (["a", "b", "c"], "`labels`: other labels than .*old=new"),
        (["a", "b", "c", "d"], "`labels`: other labels than"),
        (["daisy=Rosen", "roses=Rosen"], "'Rosen' would be the name of two labels"),
        (["daisy=tulips"], "'tulips' would be the name of two labels"),
        (["daisy=a", "daisy=b"], "two new names for 'daisy'"),
        (["tulips=Tulpen", "roses= "], r"`labels`: no new name for 'roses'\. Write roses=NAME\."),
        (["daisy=a", "violets=b"], "other labels than"),
    ],
)
def test_classifier_rejects_labels_that_contradict_the_model(labels: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Classifier(SEED, labels=labels)


def test_classifier_can_be_pickled(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(SEED.read_bytes())
    classifier = Classifier(tmp_path / "model.tflite", labels=["daisy=c", "roses=a", "tulips=b"])
    pickled = pickle.dumps(classifier)
    (tmp_path / "model.tflite").unlink()
    copied = pickle.loads(pickled)
    pixels = random_pixels(classifier)
    assert copied(pixels) == classifier(pixels) and copied.labels == ("c", "a", "b")


def test_classifier_returns_correct_scores_in_several_threads() -> None:
    classifier = Classifier(SEED)
    pictures = [random_pixels(classifier, seed) for seed in range(40)]
    expected = [classifier.score_pixels(picture) for picture in pictures]
    values = [classifier.input_values(picture) for picture in pictures]

    def differences(offset: int) -> int:
        wrong = 0
        for index in (*range(offset, 40), *range(offset)) * 10:
            wrong += not np.array_equal(classifier.score_pixels(pictures[index]), expected[index])
            wrong += not np.array_equal(classifier.score_values(values[index]), expected[index])
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(differences, range(0, 40, 5))) == 0


def test_classifier_raises_usage_error_after_close() -> None:
    with Classifier(SEED) as classifier:
        classifier(random_pixels(classifier))
    classifier.close()
    with pytest.raises(UsageError, match="closed"):
        classifier(random_pixels(classifier))
    with pytest.raises(UsageError, match="closed"):
        classifier.score_values(classifier.input_values(random_pixels(classifier)))


def test_classifier_repr_is_one_short_line() -> None:
    assert repr(Classifier(SEED)) == "<Classifier seed_graph.tflite: 3 labels, 32 x 32, float32>"
    assert repr(Classifier(SEED.with_stem("seed_graph_int8"))) == (
        "<Classifier seed_graph_int8.tflite: 3 labels, 32 x 32, int8>"
    )


def test_classifier_evaluate_returns_the_result_of_evaluate(tmp_path: Path) -> None:
    for label in ("daisy", "roses", "tulips"):
        (tmp_path / label).mkdir()
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    result = Classifier(SEED).evaluate(str(tmp_path), split="all")
    assert result.accuracy == pytest.approx(1 / 3), "each class has the same three pictures"
    assert result.evaluation.count == 9 and result.interval == result.evaluation.interval
    assert result.to_json()["set"] == "all"
    assert repr(result) == "<EvaluateResult: 33.3 % of 9 photos (all)>"


def test_labels_with_equal_scores_keep_their_order() -> None:
    labels = best(("c", "a", "b", "d"), np.array([0.2, 0.3, 0.2, 0.3], np.float32))
    assert [label.name for label in labels] == ["a", "d", "c", "b"]
    assert [label.name for label in best(("c", "a", "b"), np.array([0.2, 0.3, 0.5], np.float32), 2)] == ["b", "a"]


def test_classifier_rejects_more_labels_than_outputs() -> None:
    bare = ModelFile(Path("bare.tflite"), SEED.read_bytes()[: SEED.read_bytes().index(b"PK\x03\x04")])
    with pytest.raises(ModelError, match=r"4 labels.*3 outputs"):
        Classifier(bare, labels=["a", "b", "c", "d"])


def test_tensor_info_dequantizes_with_scale_and_zero_point() -> None:
    tensor = TensorInfo(0, "scores", (1, 3), np.dtype(np.int8), 0.5, -128)
    assert tensor.dequantize(np.array([-128, -126, 127], np.int8)).tolist() == [0.0, 1.0, 127.5]
    plain = TensorInfo(0, "scores", (1, 2), np.dtype(np.float32), 0.0, 7)
    assert plain.dequantize(np.array([0.25, -1], np.float32)).tolist() == [0.25, -1.0]


def small_model(height: int, width: int) -> bytes:
    """Return a float model that has two outputs and the given input height and width."""
    rng = np.random.default_rng(0)
    layers = (
        Layer("features", "convolution", (INPUT,), 4, (3, 3)),
        Layer("mean", "mean", ("features",)),
        Layer("logits", "dense", ("mean",), 2),
        Layer("scores", "softmax", ("logits",)),
    )
    parameters = {
        "features": Parameters(rng.normal(size=(3, 3, 3, 4)).astype(np.float32), np.zeros(4, np.float32)),
        "logits": Parameters(rng.normal(size=(4, 2)).astype(np.float32), np.zeros(2, np.float32)),
    }
    return write_float_model(checked((height, width), layers, parameters))


def test_classifier_size_is_height_and_width(tmp_path: Path) -> None:
    (tmp_path / "wide.tflite").write_bytes(small_model(24, 40))
    classifier = Classifier(tmp_path / "wide.tflite", labels=["a", "b"], input_range="-1:1")
    assert classifier.size == (24, 40)
    pixels = random_pixels(classifier)
    assert pixels.shape == (24, 40, 3)
    assert np.array_equal(classifier.scores(Image.fromarray(pixels)), classifier.score_pixels(pixels))


def test_input_values_use_the_normalization_of_each_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    normalization = Normalization((10.0, 20.0, 30.0), (1.0, 2.0, 4.0))
    monkeypatch.setattr("poets_edge.tflite.write_metadata.BACKBONE", normalization)
    info = ModelInfo("small", "for tests", ("a", "b"))
    (tmp_path / "small.tflite").write_bytes(with_files(with_metadata(small_model(8, 8), info), info, {}))
    classifier = Classifier(tmp_path / "small.tflite")
    pixels = random_pixels(classifier)
    expected = (pixels.astype(np.float64) - [10, 20, 30]) / [1, 2, 4]
    np.testing.assert_allclose(classifier.input_values(pixels), expected, atol=1e-4)


def quantized_model(
    path: Path, dtype: str, scale: float, zero_point: int, normalization: Normalization, monkeypatch: pytest.MonkeyPatch
) -> Classifier:
    """Return the int8 seed model with a given input quantization, and a normalization in its metadata."""
    tree = unpack_model(SEED.with_stem("seed_graph_int8").read_bytes())
    photo = tree.subgraphs[0].tensors[tree.subgraphs[0].inputs[0]]
    photo.type = {"uint8": schema().TensorType.UINT8, "int8": schema().TensorType.INT8}[dtype]
    photo.quantization.scale, photo.quantization.zeroPoint = [scale], [zero_point]
    tree.metadata = []
    monkeypatch.setattr("poets_edge.tflite.write_metadata.BACKBONE", normalization)
    info = ModelInfo("small", "for tests", ("a", "b", "c"))
    path.write_bytes(with_files(with_metadata(pack_model(tree), info), info, {}))
    return Classifier(path)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "normalization"),
    [
        ("uint8", 1 / 64, 100, Normalization((10.0, 120.0, 230.0), (50.0, 60.0, 70.0))),
        ("int8", 1 / 50, -20, Normalization((10.0, 120.0, 230.0), (50.0, 60.0, 70.0))),
        ("uint8", 1 / 64, 100, Normalization((120.0,), (60.0,))),
        ("int8", 1 / 50, -60, Normalization((120.0,), (60.0,))),
        ("int8", 1 / 8, -3, Normalization((120.0, 120.0, 120.0), (60.0, 60.0, 60.0))),
    ],
)
def test_quantized_input_values_are_rounded_and_clipped_in_each_channel(
    dtype: str,
    scale: float,
    zero_point: int,
    normalization: Normalization,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = quantized_model(tmp_path / "it.tflite", dtype, scale, zero_point, normalization, monkeypatch)
    assert model.metadata.mean == normalization.mean
    # Every value in every channel, in another order in each.
    ramp = np.resize(np.arange(256, dtype=np.uint8), model.size[0] * model.size[1])
    pixels = np.stack([ramp, np.roll(ramp, 7), ramp[::-1]], axis=-1).reshape(*model.size, 3)
    real = (pixels - np.array(normalization.mean)) / np.array(normalization.std)
    limits = np.iinfo(dtype)
    steps = real / scale + zero_point
    values = model.input_values(pixels)
    expected = np.clip(np.rint(steps), limits.min, limits.max)
    # A step halfway between two integers may be rounded either way.
    sure = np.abs(steps - np.floor(steps) - 0.5) > 1e-4
    assert values.dtype == dtype and np.array_equal(values[sure], expected[sure])
    assert (values == limits.min).any() or (values == limits.max).any() or scale > 0.1, "some must be clipped"


def test_input_values_equal_the_pixels_if_quantization_cancels_the_normalization(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With scale 1/128 and zero point 128, quantized inputs equal the pixels."""
    model = quantized_model(
        tmp_path / "it.tflite", "uint8", 1 / 128, 128, Normalization((127.5,), (127.5,)), monkeypatch
    )
    assert model.metadata.mean == (128.0,)
    pixels = random_pixels(model)
    assert np.array_equal(model.input_values(pixels), pixels)


def test_scores_of_an_int8_output_use_its_zero_point(tmp_path: Path) -> None:
    """A uint8 output with zero point 0 and an int8 output with zero point -128 represent the same scores."""
    content = SEED.with_stem("seed_graph_int8").read_bytes()
    tree = unpack_model(content)
    output = tree.subgraphs[0].tensors[tree.subgraphs[0].outputs[0]]
    output.type, output.quantization.zeroPoint = schema().TensorType.INT8, [-128]
    (tmp_path / "it.tflite").write_bytes(pack_model(tree))
    expected = Classifier(SEED.with_stem("seed_graph_int8"))
    model = Classifier(tmp_path / "it.tflite", labels=["c", "a", "b"])
    pixels = random_pixels(model)
    assert model.output.dtype == np.int8 and model.highest_score == 255 / 256
    assert np.array_equal(model.score_pixels(pixels), expected.score_pixels(pixels))


@pytest.mark.parametrize(
    ("scale", "zero_point", "highest"), [(1 / 256, 0, 255 / 256), (1 / 300, 0, 255 / 300), (1 / 128, 64, 1.0)]
)
def test_highest_score_is_limited_by_the_quantization_of_the_output(
    tmp_path: Path, scale: float, zero_point: int, highest: float
) -> None:
    tree = unpack_model(SEED.with_stem("seed_graph_int8").read_bytes())
    output = tree.subgraphs[0].tensors[tree.subgraphs[0].outputs[0]]
    output.quantization.scale, output.quantization.zeroPoint = [scale], [zero_point]
    (tmp_path / "it.tflite").write_bytes(pack_model(tree))
    model = Classifier(tmp_path / "it.tflite", unlabeled=True)
    assert model.highest_score == pytest.approx(highest)
    model.check_threshold(model.highest_score)
    if highest < 1:
        with pytest.raises(UsageError, match="no score"):
            model.check_threshold(highest + 1e-4)


def test_thresholds_of_0_and_1_are_accepted() -> None:
    model = Classifier(SEED)
    for threshold in (0, 1, 0.0, 1.0):
        model.check_threshold(threshold)
    for threshold in (-0.001, 1.001):
        with pytest.raises(UsageError):
            model.check_threshold(threshold)


def test_order_and_unicode_line_separators_of_labels_are_preserved(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfroses\r\ndaisy\r\nTulip \xe2\x80\xa8x\r\n\r\n")
    assert read_labels(tmp_path / "labels.txt") == ("roses", "daisy", "Tulip \u2028x")
    (tmp_path / "labels.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ModelError, match="not a text file in UTF-8"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(ModelError, match="No such file"):
        read_labels(tmp_path / "missing.txt")
