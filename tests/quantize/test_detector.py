"""Tests that frozen graphs and `.tflite` files compute the distance that `Detector` defines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.nets.detector import Detector, detector_of, with_detector
from poets_edge.nets.graphdef import parse_graph, serialize
from poets_edge.nets.layers import BOTTLENECK, INPUT, Layer
from poets_edge.nets.network import Network, Parameters, checked
from poets_edge.nets.read_graph import known_network, read_network
from poets_edge.nets.write_graph import graph_of
from poets_edge.quantize.activation_statistics import calibrate
from poets_edge.quantize.int8_features import int8_features
from poets_edge.quantize.int8_operators import Int8Writer
from poets_edge.quantize.quantize import quantize
from poets_edge.quantize.write_detector import UINT8_SCALE, remove_detector
from poets_edge.quantize.write_full_int8 import write_full_int8_model
from poets_edge.quantize.write_int8 import QuantParams, write_int8_model
from poets_edge.quantize.write_model import FloatQuantization, write_float_model
from poets_edge.tflite.distance import DISTANCE
from poets_edge.tflite.flatbuffer import new_model, pack_model, schema, unpack_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from tests.conftest import ROOT
from tests.needs import need_module
from tests.yardstick import tensorflow

FEATURES, DIRECTIONS, CLASSES, SIZE = 12, 5, 3, (8, 8)
LAYERS = (
    Layer("first", "convolution", (INPUT,), FEATURES, (3, 3), 2, activation="relu6"),
    Layer("point", "convolution", ("first",), FEATURES, (1, 1), activation="relu6"),
    Layer(BOTTLENECK, "mean", ("point",)),
    Layer("head/logits", "dense", (BOTTLENECK,), CLASSES),
    Layer("final_result", "softmax", ("head/logits",)),
)


def detector(seed: int = 0, *, background: bool = False) -> Detector:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    return Detector(
        projection=draw(FEATURES, DIRECTIONS),
        offsets=draw(DIRECTIONS),
        quadratic=np.abs(draw(DIRECTIONS)) / 5,
        linear=draw(DIRECTIONS, CLASSES) / 5,
        biases=draw(CLASSES) / 5,
        background=draw(DIRECTIONS) * np.float32(5 * background),
        background_bias=np.array([9.0 if background else 0], np.float32),
    )


def network(found: Detector | None) -> Network:
    rng = np.random.default_rng(1)
    parameters = {
        layer.name: Parameters(
            rng.normal(size=layer.kernel_shape(3 if layer.name == "first" else FEATURES)).astype(np.float32),
            rng.normal(size=layer.outputs).astype(np.float32),
        )
        for layer in LAYERS
        if layer.has_weights()
    }
    return replace(checked(SIZE, LAYERS, parameters), detector=found)


def pictures(count: int) -> list[Any]:
    return list(np.random.default_rng(2).integers(0, 256, (count, *SIZE, 3), np.uint8))


def outputs(content: bytes, inputs: list[Any]) -> tuple[Any, Any]:
    """Run a model on inputs; return its dequantized scores and distances."""
    session = Session(ModelFile(ROOT / "model", content))
    answers = [session.run_some(one[None], range(len(session.outputs))) for one in inputs]
    real = [[info.dequantize(raw)[0] for info, raw in zip(session.outputs, one, strict=True)] for one in answers]
    return np.array([one[0] for one in real]), np.array([one[-1][0] for one in real])


def normalized(images: list[Any]) -> list[Any]:
    return [(image.astype(np.float32) - 127.5) / 127.5 for image in images]


def bottlenecks(images: list[Any]) -> Any:
    session = Session(ModelFile(ROOT / "model", write_float_model(network(None), also=[BOTTLENECK])))
    return np.array([session.run(one[None], 1)[0] for one in normalized(images)])


def by_hand(found: Detector, vectors: Any) -> Any:
    """Compute the distances with the formula in the docstring of `Detector`, one photo and one class at a time."""
    distances = []
    for vector in vectors.astype(np.float64):
        u = vector / np.linalg.norm(vector)
        y = [sum(u * found.projection[:, j]) + found.offsets[j] for j in range(DIRECTIONS)]
        squares = sum(y[j] ** 2 * found.quadratic[j] for j in range(DIRECTIONS))
        classes = [
            squares - sum(y[j] * found.linear[j, c] for j in range(DIRECTIONS)) - found.biases[c]
            for c in range(CLASSES)
        ]
        other = sum(y[j] * found.background[j] for j in range(DIRECTIONS)) + found.background_bias[0]
        distances.append(max(0.0, min(classes), other))
    return np.array(distances)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("quantization", ["float32", "float16", "dynamic"])
def test_float_models_compute_the_distance_from_the_training_photos(
    quantization: FloatQuantization, background: bool
) -> None:
    found, images = detector(background=background), pictures(20)
    expected = by_hand(found, bottlenecks(images))
    from_background = by_hand(detector(), bottlenecks(images)) != expected
    assert expected.std() > 0.1 and expected.min() > 0 and expected.max() < 4
    assert (0 < from_background.sum() < len(images)) if background else not from_background.any()
    scores, distances = outputs(write_float_model(network(found), quantization), normalized(images))
    tolerance = {"float32": 1e-5, "float16": 5e-3, "dynamic": 0.2}[quantization]
    np.testing.assert_allclose(distances, expected, atol=tolerance)
    plain, _ = outputs(write_float_model(network(None), quantization), normalized(images))
    assert np.array_equal(scores, plain)
    np.testing.assert_allclose(found.distances(bottlenecks(images)), expected, atol=1e-5)


@pytest.mark.parametrize("float_io", [False, True])
def test_int8_models_compute_the_distance_from_the_training_photos(float_io: bool) -> None:
    found, images = detector(), pictures(40)
    ranges = calibrate(network(found), images, workers=1).ranges
    inputs = normalized(images) if float_io else images
    content = write_int8_model(network(found), ranges, float_io=float_io)
    scores, distances = outputs(content, inputs)
    assert np.abs(distances - by_hand(found, bottlenecks(images))).max() < 0.3
    assert np.array_equal(scores, outputs(write_int8_model(network(None), ranges, float_io=float_io), inputs)[0])
    info = Session(ModelFile(ROOT / "model", content)).outputs[1]
    assert (info.name, info.shape) == (DISTANCE, (1, 1))
    assert info.dtype == (np.float32 if float_io else np.uint8)


@pytest.mark.parametrize("float_io", [False, True])
def test_bottleneck_shift_is_added_to_the_input_of_the_int8_detector(float_io: bool) -> None:
    found, images = detector(), pictures(20)
    ranges = calibrate(network(found), images, workers=1).ranges
    inputs = normalized(images) if float_io else images
    shift = np.random.default_rng(5).uniform(0, 6, FEATURES).astype(np.float32)
    plain, shifted = (
        outputs(write_int8_model(network(found), ranges, float_io=float_io, bottleneck_shift=one), inputs)
        for one in (None, shift)
    )
    content = write_int8_model(network(found), ranges, float_io=float_io)
    features = Session(ModelFile(ROOT / "model", int8_features(content)))
    vectors = np.array([features.outputs[0].dequantize(features.run(one[None]))[0] for one in inputs])
    tolerance = 0.005 if float_io else float(UINT8_SCALE)
    for vector, (_, distances) in ((vectors, plain), (vectors + shift, shifted)):
        np.testing.assert_allclose(distances, np.minimum(by_hand(found, vector), 255 * UINT8_SCALE), atol=tolerance)
    assert np.abs(plain[1] - shifted[1]).max() > 0.1
    assert np.array_equal(plain[0], shifted[0])


def test_quantization_shifts_int8_bottlenecks_to_the_mean_of_float_bottlenecks() -> None:
    found, images = detector(), pictures(40)
    content = quantize(network(found), "int8", images)
    [constant] = [one for one in unpack_model(content).subgraphs[0].tensors if one.name == b"detector/shift"]
    shift = np.frombuffer(bytes(unpack_model(content).buffers[constant.buffer].data), np.float32)
    features = Session(ModelFile(ROOT / "model", int8_features(content)))
    vectors = np.array([features.outputs[0].dequantize(features.run(one[None]))[0] for one in images[::2]])
    np.testing.assert_allclose(vectors.mean(axis=0) + shift, bottlenecks(images[::2]).mean(axis=0), atol=1e-5)
    assert np.abs(shift).max() > 0.001
    without = unpack_model(quantize(network(None), "int8", images))
    assert not any(one.name.startswith(b"detector/") for one in without.subgraphs[0].tensors)


@pytest.mark.parametrize("background", [False, True])
def test_full_int8_models_compute_the_distance_with_integers(background: bool) -> None:
    found, images = detector(background=background), pictures(40)
    statistics = calibrate(network(found), images, workers=1)
    content, plain = (
        write_full_int8_model(network(one), statistics.ranges, bottlenecks=statistics.bottlenecks, input_type="int8")
        for one in (found, None)
    )
    types = schema().TensorType
    assert {tensor.type for tensor in unpack_model(content).subgraphs[0].tensors} <= {types.INT8, types.INT32}
    inputs = [(image.astype(np.int16) - 128).astype(np.int8) for image in images]
    scores, distances = outputs(content, inputs)
    expected = np.minimum(by_hand(found, bottlenecks(images)), 255 * UINT8_SCALE)
    assert np.abs(distances - expected).max() < 0.3 and np.abs(distances - expected).mean() < 0.1
    assert np.array_equal(scores, outputs(plain, inputs)[0])
    info = Session(ModelFile(ROOT / "model", content)).outputs[1]
    assert (info.name, info.shape, info.scale) == (DISTANCE, (1, 1), UINT8_SCALE) and info.dtype == np.int8


def test_full_int8_models_compute_accurate_distances_for_bottlenecks_of_small_norm() -> None:
    """Without biases, the length of a bottleneck is proportional to the contrast of the picture."""
    found, plain = detector(), pictures(20)
    images = [*plain, *((128 + (image.astype(np.float64) - 128) * 0.3).astype(np.uint8) for image in plain)]
    unbiased = {name: replace(one, bias=np.zeros_like(one.bias)) for name, one in network(found).parameters.items()}
    net = replace(network(found), parameters=unbiased)
    session = Session(ModelFile(ROOT / "model", write_float_model(replace(net, detector=None), also=[BOTTLENECK])))
    vectors = np.array([session.run(one[None], 1)[0] for one in normalized(images)])
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths[:20].min() > 1.5 * lengths[20:].max()
    statistics = calibrate(net, images, workers=1)
    content = write_full_int8_model(net, statistics.ranges, bottlenecks=statistics.bottlenecks, input_type="int8")
    _, distances = outputs(content, [(image.astype(np.int16) - 128).astype(np.int8) for image in images])
    errors = np.abs(distances - np.minimum(by_hand(found, vectors), 255 * UINT8_SCALE))
    assert errors[:20].mean() < 0.05 and errors[20:].mean() < 0.1


@pytest.mark.parametrize("background", [False, True])
def test_full_int8_distances_equal_those_of_tensorflow_lite_micro(background: bool) -> None:
    found, images = detector(background=background), pictures(300)
    statistics = calibrate(network(found), images[:40], workers=1)
    content = write_full_int8_model(network(found), statistics.ranges, bottlenecks=statistics.bottlenecks)
    check_distances_in_micro(content, images)


def check_distances_in_micro(content: bytes, images: Sequence[Any]) -> None:
    """Check that distances in TensorFlow Lite Micro equal those in LiteRT, and that more than 20 of them differ."""
    runtime = need_module("tflite_micro.python.tflite_micro.runtime")
    session = Session(ModelFile(ROOT / "model", content), accelerate=False)
    micro = runtime.Interpreter.from_bytes(content)
    seen = set()
    for image in images:
        micro.set_input(image[None], 0)
        micro.invoke()
        [distance] = session.run_some(image[None], [1])
        assert np.array_equal(micro.get_output(1), distance)
        seen.add(int(distance[0, 0]))
    assert len(seen) > 20


def test_int8_dense_layers_preserve_the_mean_output_if_the_mean_input_is_given() -> None:
    rng = np.random.default_rng(7)
    params, wide = QuantParams(np.float32(1 / 64), -128), QuantParams(np.float32(1 / 16), 0)
    integers, kernel = rng.integers(-28, 128, (200, FEATURES)).astype(np.int8), rng.normal(size=(FEATURES, 4))
    kernel[0] *= 20  # large weights make the steps of the others coarse
    inputs = (integers.astype(np.float64) + 128) / 64
    errors = []
    for mean in (None, inputs.mean(axis=0)):
        model = new_model("dense")
        write = Int8Writer(model, "")
        source = write.tensor("input", FEATURES, params)
        model.subgraphs[0].inputs = [source]
        model.subgraphs[0].outputs = [write.dense("output", source, kernel / 20, np.ones(4), wide, mean_input=mean)]
        session = Session(ModelFile(ROOT / "model", pack_model(model)))
        found = [session.outputs[0].dequantize(session.run(one[None]))[0] for one in integers]
        errors.append(np.abs(np.mean(found, axis=0) - (inputs @ kernel / 20 + 1).mean(axis=0)).max())
    assert errors[0] > 0.02 and errors[1] < 0.005


def test_rounding_to_uint8_does_not_change_whether_a_photo_is_unknown() -> None:
    """The limit lies halfway between two uint8 values, so no distance is rounded across it."""
    for distance, unknown in ((0.0, False), (0.9999, False), (1.0001, True), (1.01, True), (4.0, True), (9.0, True)):
        integer = np.clip(np.rint(distance / UINT8_SCALE), 0, 255)
        assert (integer * UINT8_SCALE > 1) == unknown


@pytest.mark.parametrize("background", [False, True])
def test_detector_round_trips_through_a_graph(background: bool) -> None:
    found = detector(background=background)
    graph = with_detector(graph_of(network(None)), found)
    again = detector_of(parse_graph(serialize(graph), "graph"))
    assert again is not None and again.has_background == background
    for one in fields(Detector):
        assert np.array_equal(getattr(again, one.name), getattr(found, one.name))
    assert detector_of(graph_of(network(None))) is None
    read = read_network(graph, INPUT, "final_result", SIZE)
    for one, other in zip(
        outputs(write_float_model(read), normalized(pictures(3))),
        outputs(write_float_model(network(found)), normalized(pictures(3))),
        strict=True,
    ):
        assert np.array_equal(one, other)


def test_damaged_detectors_of_unknown_photos_are_refused() -> None:
    for name, values in (
        ("linear", np.zeros((2, CLASSES))),
        ("offsets", np.zeros(1)),
        ("biases", np.zeros(CLASSES + 1)),
    ):
        changed: Any = {name: values.astype(np.float32)}
        graph = with_detector(graph_of(network(None)), replace(detector(), **changed))
        with pytest.raises(ModelError, match="do not fit"):
            detector_of(graph)
    graph = with_detector(graph_of(network(None)), detector())
    graph.node.remove(next(node for node in graph.node if node.name == "detector/offsets"))
    with pytest.raises(ModelError, match="incomplete"):
        detector_of(graph)
    narrow = replace(detector(), projection=np.zeros((FEATURES + 1, DIRECTIONS), np.float32))
    assert known_network(with_detector(graph_of(network(None)), narrow), INPUT, "final_result", SIZE) is None


@pytest.mark.tensorflow
@pytest.mark.parametrize("background", [False, True])
def test_tensorflow_computes_the_distance_from_the_training_photos(background: bool) -> None:
    tf = tensorflow()
    found, images = detector(background=background), pictures(10)
    graph = with_detector(graph_of(network(None)), found)
    wrapped = tf.compat.v1.wrap_function(
        lambda: tf.compat.v1.import_graph_def(tf.compat.v1.GraphDef.FromString(serialize(graph)), name=""), []
    )
    function = wrapped.prune("input:0", ["final_result:0", f"{DISTANCE}:0"])
    distances = [np.asarray(function(tf.constant(one[None]))[1]).item() for one in normalized(images)]
    np.testing.assert_allclose(distances, by_hand(found, bottlenecks(images)), atol=1e-4)


def test_removing_a_detector_from_a_model_also_removes_its_constants() -> None:
    found, images = detector(background=True), pictures(10)
    ranges = calibrate(network(found), images, workers=1).ranges
    model = unpack_model(write_int8_model(network(found), ranges))
    remove_detector(model)
    graph, plain = model.subgraphs[0], unpack_model(write_int8_model(network(None), ranges))
    sizes = {bytes(one.name): len(buffer_of(model, one)) for one in graph.tensors if len(buffer_of(model, one))}
    assert sizes == {
        bytes(one.name): len(buffer_of(plain, one)) for one in plain.subgraphs[0].tensors if len(buffer_of(plain, one))
    }
    assert len(graph.operators) == len(plain.subgraphs[0].operators) and len(graph.outputs) == 1


def buffer_of(model: Any, tensor: Any) -> Any:
    data = model.buffers[tensor.buffer].data
    return () if data is None else data


def test_operators_of_a_full_int8_detector_have_the_earliest_versions_that_accept_int8() -> None:
    """From TensorFlow's `op_version.cc`; interpreters refuse int8 for older versions of an operator."""
    found, images = detector(background=True), pictures(20)
    statistics = calibrate(network(found), images, workers=1)
    content = write_full_int8_model(network(found), statistics.ranges, bottlenecks=statistics.bottlenecks)
    codes, model = schema().BuiltinOperator, unpack_model(content)
    versions = {int(code.builtinCode): int(code.version) for code in model.operatorCodes}
    second = (codes.MUL, codes.RSQRT, codes.SQUARED_DIFFERENCE, codes.CONCATENATION, codes.REDUCE_MAX, codes.MINIMUM)
    assert [versions[code] for code in second] == [2] * 6 and versions[codes.FULLY_CONNECTED] == 4


def test_full_int8_detector_can_be_calibrated_with_a_single_photo() -> None:
    found, images = detector(), pictures(1)
    statistics = calibrate(network(found), images, workers=1)
    content = write_full_int8_model(network(found), statistics.ranges, bottlenecks=statistics.bottlenecks)
    _, distances = outputs(content, images)
    assert np.isfinite(distances).all() and distances == pytest.approx(by_hand(found, bottlenecks(images)), abs=0.3)
