"""Tests of detectors that also read the averaged output of an inner layer, in graphs and in `.tflite` files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import ModelError
from poets_edge.nets.detector import Detector, InnerProjection, detector_of, merged, project, with_detector
from poets_edge.nets.graphdef import constant, parse_graph, serialize
from poets_edge.nets.layers import INPUT
from poets_edge.nets.read_graph import known_network, read_network
from poets_edge.nets.write_graph import graph_of
from poets_edge.quantize.activation_statistics import calibrate
from poets_edge.quantize.int8_features import int8_features, keep_output
from poets_edge.quantize.quantize import _with_int8_offsets
from poets_edge.quantize.write_detector import UINT8_SCALE
from poets_edge.quantize.write_full_int8 import write_full_int8_model
from poets_edge.quantize.write_int8 import write_int8_model
from poets_edge.quantize.write_model import FloatQuantization, write_float_model
from poets_edge.tflite.flatbuffer import pack_model, schema, unpack_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from tests.conftest import ROOT
from tests.quantize.test_detector import (
    DIRECTIONS,
    SIZE,
    bottlenecks,
    check_distances_in_micro,
    detector,
    network,
    normalized,
    outputs,
    pictures,
)
from tests.yardstick import tensorflow

LAYER = "first"


def inner_detector(*, background: bool = False) -> Detector:
    return merged(detector(background=background), LAYER, detector(1))


def averages(images: list[Any]) -> Any:
    session = Session(ModelFile(ROOT / "model", write_float_model(network(None), also=[LAYER])))
    return np.array([session.run(one[None], 1)[0].mean(axis=(0, 1)) for one in normalized(images)])


def by_hand(images: list[Any], *, background: bool = False) -> Any:
    """Compute the distances from the two detectors: the terms of each class are added before the minimum is taken."""
    terms, other = [], np.zeros(len(images))
    for found, vectors in ((detector(background=background), bottlenecks(images)), (detector(1), averages(images))):
        units = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
        y = units @ found.projection + found.offsets
        terms.append((y**2 @ found.quadratic)[:, None] - y @ found.linear - found.biases)
        if found.has_background:
            other = y @ found.background + found.background_bias[0]
    return np.maximum(np.maximum(np.sum(terms, axis=0).min(axis=1), other), 0)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("quantization", ["float32", "float16", "dynamic"])
def test_float_models_add_the_distances_of_bottleneck_and_inner_layer(
    quantization: FloatQuantization, background: bool
) -> None:
    found, images = inner_detector(background=background), pictures(20)
    expected = by_hand(images, background=background)
    assert expected.std() > 0.1 and (expected != by_hand(images)).any() == background
    np.testing.assert_allclose(found.distances(bottlenecks(images), averages(images)), expected, atol=1e-5)
    scores, distances = outputs(write_float_model(network(found), quantization), normalized(images))
    tolerance = {"float32": 1e-5, "float16": 5e-3, "dynamic": 0.3}[quantization]
    np.testing.assert_allclose(distances, expected, atol=tolerance)
    assert np.array_equal(scores, outputs(write_float_model(network(None), quantization), normalized(images))[0])


def test_int8_models_add_the_distances_of_bottleneck_and_inner_layer() -> None:
    found, images = inner_detector(), pictures(40)
    ranges = calibrate(network(found), images, workers=1).ranges
    content = write_int8_model(network(found), ranges)
    scores, distances = outputs(content, images)
    assert np.abs(distances - np.minimum(by_hand(images), 255 * UINT8_SCALE)).max() < 0.4
    plain = write_int8_model(network(None), ranges)
    assert np.array_equal(scores, outputs(plain, images)[0])
    with_detector_removed, without = (
        Session(ModelFile(ROOT / "model", int8_features(one))).run(images[0][None]) for one in (content, plain)
    )
    assert np.array_equal(with_detector_removed, without)


def test_int8_offsets_compensate_for_the_mean_error_of_the_inner_layer() -> None:
    found, images = inner_detector(), pictures(40)
    statistics = calibrate(network(found), images, workers=1)
    changed = _with_int8_offsets(network(found), statistics, images).detector
    assert changed is not None and changed.inner is not None
    model = unpack_model(write_int8_model(network(None), statistics.ranges))
    keep_output(model, LAYER)
    session = Session(ModelFile(ROOT / "model", pack_model(model)))
    rounded = [session.outputs[0].dequantize(session.run(one[None]))[0].mean(axis=(0, 1)) for one in images[::2]]
    projections = [project(vectors, changed.inner.weights) for vectors in (np.array(rounded), averages(images[::2]))]
    difference = changed.offsets - found.offsets
    assert not difference[:DIRECTIONS].any() and np.abs(difference).max() > 1e-4
    np.testing.assert_allclose(
        projections[0].mean(axis=0) + difference[DIRECTIONS:], projections[1].mean(axis=0), atol=1e-5
    )
    plain = network(detector())
    assert _with_int8_offsets(plain, statistics, images) is plain


def test_full_int8_models_add_distances_of_bottleneck_and_inner_layer_with_integers() -> None:
    found, images = inner_detector(), pictures(40)
    statistics = calibrate(network(found), images, workers=1)
    assert statistics.inner is not None
    np.testing.assert_allclose(statistics.inner, averages(images), rtol=1e-5)
    content = full_int8(found, statistics, input_type="int8")
    types = schema().TensorType
    assert {tensor.type for tensor in unpack_model(content).subgraphs[0].tensors} <= {types.INT8, types.INT32}
    inputs = [(image.astype(np.int16) - 128).astype(np.int8) for image in images]
    scores, distances = outputs(content, inputs)
    errors = np.abs(distances - np.minimum(by_hand(images), 255 * UINT8_SCALE))
    assert errors.max() < 0.4 and errors.mean() < 0.12
    assert np.array_equal(scores, outputs(full_int8(None, statistics, input_type="int8"), inputs)[0])


def test_full_int8_distances_with_an_inner_layer_equal_those_of_tensorflow_lite_micro() -> None:
    found, images = inner_detector(), pictures(200)
    check_distances_in_micro(full_int8(found, calibrate(network(found), images[:40], workers=1)), images)


def full_int8(found: Detector | None, statistics: Any, **options: Any) -> bytes:
    vectors = {"bottlenecks": statistics.bottlenecks, "inner": statistics.inner}
    return write_full_int8_model(network(found), statistics.ranges, **vectors, **options)


@pytest.mark.parametrize("background", [False, True])
def test_projection_of_an_inner_layer_round_trips_through_a_graph(background: bool) -> None:
    found = inner_detector(background=background)
    graph = parse_graph(serialize(with_detector(graph_of(network(None)), found)), "graph")
    read = read_network(graph, INPUT, "final_result", SIZE)
    assert read.detector is not None and read.detector.inner is not None and found.inner is not None
    assert read.detector.inner.layer == read.layers[0].name
    assert np.array_equal(read.detector.inner.weights, found.inner.weights)
    images = normalized(pictures(3))
    for one, other in zip(
        outputs(write_float_model(read), images), outputs(write_float_model(network(found)), images), strict=True
    ):
        assert np.array_equal(one, other)


def test_projections_of_an_inner_layer_that_do_not_fit_the_graph_are_refused() -> None:
    found = inner_detector()
    assert found.inner is not None
    narrow = InnerProjection(LAYER, found.inner.weights[1:])
    for inner in (narrow, replace(found.inner, layer="bottleneck")):
        graph = with_detector(graph_of(network(None)), replace(found, inner=inner))
        assert known_network(graph, INPUT, "final_result", SIZE) is None
    graph = with_detector(graph_of(network(None)), found)
    [node] = [node for node in graph.node if node.name == "detector/inner_mean"]
    node.input[0] = "nothing"
    assert known_network(graph, INPUT, "final_result", SIZE) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [("mean", "no input"), ("mean", "missing"), ("projection", "missing"), ("projection", "computed")],
)
def test_incomplete_projection_of_an_inner_layer_is_refused(name: str, problem: str) -> None:
    graph = with_detector(graph_of(network(None)), inner_detector())
    [node] = [node for node in graph.node if node.name == f"detector/inner_{name}"]
    if problem == "missing":
        graph.node.remove(node)
    elif problem == "computed":
        node.op = "Identity"
    else:
        del node.input[:]
    with pytest.raises(ModelError, match="its detector of unknown photos is incomplete"):
        detector_of(graph)


@pytest.mark.parametrize("shape", [(), (12,), (12, 4), (12, 5, 1)])
def test_projection_of_an_inner_layer_with_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    graph = with_detector(graph_of(network(None)), inner_detector())
    [node] = [node for node in graph.node if node.name == "detector/inner_projection"]
    node.CopyFrom(constant(node.name, np.zeros(shape, np.float32)))
    with pytest.raises(ModelError, match="weights that do not fit together"):
        detector_of(graph)


@pytest.mark.tensorflow
def test_tensorflow_adds_the_distances_of_bottleneck_and_inner_layer() -> None:
    tf = tensorflow()
    images = pictures(5)
    graph = with_detector(graph_of(network(None)), inner_detector())
    wrapped = tf.compat.v1.wrap_function(
        lambda: tf.compat.v1.import_graph_def(tf.compat.v1.GraphDef.FromString(serialize(graph)), name=""), []
    )
    function = wrapped.prune("input:0", "distance:0")
    found = [float(np.asarray(function(tf.constant(one[None]))).item()) for one in normalized(images)]
    np.testing.assert_allclose(found, by_hand(images), atol=1e-4)
