"""Tests of detectors that add the distance of the averaged output of an inner layer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poets_edge.nets.architectures import architecture
from poets_edge.nets.layers import BOTTLENECK, INPUT, Layer
from poets_edge.nets.network import Network
from poets_edge.tflite.distance import LIMIT
from poets_edge.training import inner_layer as module
from poets_edge.training.inner_layer import inner_layer, inner_outputs
from poets_edge.training.mahalanobis import Moments, fit_distance, fourth_moment, unit_vectors
from poets_edge.training.summed_distance import SummedDistance
from poets_edge.training.unknown import InnerOutputs, detect_unknown
from tests.training.test_unknown import draw, training_data


@pytest.mark.parametrize(
    ("name", "layer", "side", "channels"),
    [
        ("mobilenet_0.50_224", "conv_pw_6", 14, 256),
        ("mobilenet_1.0_160", "conv_pw_6", 10, 512),
        ("efficientnet_lite0_224", None, 14, 480),
        ("efficientnet_lite2_260", None, 17, 528),  # 260, 130, 65, 33, 17
    ],
)
def test_inner_layer_is_the_first_convolution_with_a_sixteenth_of_the_height(
    name: str, layer: str | None, side: int, channels: int
) -> None:
    found = architecture(name)
    network = Network(found.size, tuple(found.layers()), {})
    chosen = inner_layer(network)
    assert chosen is not None and network.shapes()[chosen.name] == (side, side, channels)
    assert chosen.activation == "relu6" and (layer is None or chosen.name == layer)


def test_networks_without_a_layer_of_suitable_size_have_no_inner_layer() -> None:
    layers = (Layer("a", "convolution", (INPUT,), 4, (3, 3), 2, activation="relu6"), Layer(BOTTLENECK, "mean", ("a",)))
    network = Network((64, 64), layers, {})
    assert inner_layer(network) is None
    nothing: Any = None
    assert inner_outputs(network, nothing, nothing, {}) is None


def test_output_of_the_inner_layer_is_averaged_for_each_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = (
        Layer("a", "convolution", (INPUT,), 7, (3, 3), 16, activation="relu6"),
        Layer("b", "convolution", ("a",), 9, (1, 1), activation="relu6"),
        Layer(BOTTLENECK, "mean", ("b",)),
    )

    def compute(network: Network, backbone: Any, photos: Any, rows: Any, size: int) -> Any:
        assert [layer.name for layer in network.layers] == ["a", BOTTLENECK] and network.layers[-1].sources == ("a",)
        return backbone, photos, rows.tolist(), size

    monkeypatch.setattr(module, "compute_bottlenecks", compute)
    data: Any = SimpleNamespace(photos="abc")
    outside: Any = {"background": SimpleNamespace(photos="de")}
    backbone: Any = "backbone"
    found = inner_outputs(Network((64, 64), layers, {}), backbone, data, outside)
    assert found is not None and found.layer == "a" and found.strangers is None
    assert found.photos == ("backbone", "abc", [0, 1, 2], 7)
    assert found.background == ("backbone", "de", [0, 1], 7)
    outside["strangers"] = SimpleNamespace(photos="f")
    both = inner_outputs(Network((64, 64), layers, {}), backbone, data, outside)
    assert both is not None and both.background == found.background and both.strangers == ("backbone", "f", [0], 7)


def test_photos_that_differ_only_in_the_inner_layer_are_rejected() -> None:
    bottlenecks, classes = draw(60)
    averages = np.abs(np.random.default_rng(3).normal(size=(180, 30)) + 3).astype(np.float32)
    sets = np.zeros(180, np.int8)
    sets[::9] = 2
    data = training_data(bottlenecks, classes, sets)
    new = draw(100, 5)[0]
    usual = np.abs(np.random.default_rng(4).normal(size=(300, 30)) + 3).astype(np.float32)
    unusual = usual * np.where(np.arange(30) < 15, 2, 0.5).astype(np.float32)
    inner = InnerOutputs(layer="middle", photos=averages, strangers=unusual, background=usual)
    found = detect_unknown(data, 0.05, 0, tuned=bottlenecks, inner=inner, strangers=new)
    assert found.detector.inner is not None and found.detector.inner.layer == "middle"
    assert (found.detector.distances(new, usual) > LIMIT).mean() < 0.12
    assert (found.strangers > LIMIT).mean() > 0.9
    np.testing.assert_array_equal(found.strangers, found.detector.distances(new, unusual))
    np.testing.assert_array_equal(found.test, found.detector.distances(bottlenecks[::9], averages[::9]))
    both = detect_unknown(data, 0.05, 0, tuned=bottlenecks, inner=inner, background=draw(100, 6, shift=0.4)[0])
    assert both.detector.has_background and both.detector.background.shape == both.detector.offsets.shape
    assert (both.background > LIMIT).mean() > 0.9


def test_distances_of_bottleneck_and_inner_layer_are_added_for_each_class() -> None:
    (first, classes), (second, _) = draw(40), draw(40, 8)
    units = [unit_vectors(first), unit_vectors(second[:, :45])]
    found = SummedDistance.fit(units, classes, 3, "middle")
    expected = np.zeros((120, 3))
    for some in units:
        moments = Moments.of(some, classes, 3)
        to_classes, common = fit_distance(moments, fourth_moment(some, classes, moments)).terms(some)
        expected += to_classes + common[:, None]
    np.testing.assert_allclose(found.distances(units), expected.min(axis=1))
    detector = found.detector(20.0, None)
    np.testing.assert_allclose(detector.distances(first, second[:, :45]), expected.min(axis=1) / 20, rtol=5e-3)
    fold = np.arange(120) * 7 % 10
    held_out, judged = found.out_of_fold(units, classes, fold)
    alone, _ = SummedDistance.fit(units[:1], classes, 3).out_of_fold(units[:1], classes, fold)
    assert judged.all() and np.median(held_out / found.distances(units)) > 1.02
    assert (held_out > alone).mean() > 0.9
