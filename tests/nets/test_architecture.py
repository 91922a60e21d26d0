"""Tests of names, variants, costs and published figures of architectures."""

from __future__ import annotations

import pytest

from poets_edge.errors import UsageError
from poets_edge.nets.architectures import architecture, as_architectures, known_architectures
from poets_edge.nets.layers import cost


def test_gray_variant_has_a_different_name_and_no_published_figures() -> None:
    found = architecture("mobilenet_0.5_224_gray_quantized")
    assert (found.name, found.backbone) == ("mobilenet_0.50_224_gray_quantized", "mobilenet_0.50_224_gray")
    assert found.gray and found.quantized and found.published is None and found.size == (224, 224)
    plain = architecture(" MobileNet_V1_.5_224 ")
    assert plain.name == "mobilenet_0.50_224" and not plain.gray and not plain.quantized and plain.published is not None


def test_published_accuracy_and_latency_of_mobilenets_increase_with_their_cost() -> None:
    """Accuracy and latency rise with the cost in each width; the quantized model is less accurate, and faster."""
    entries = [entry for entry in known_architectures() if entry.family == "MobileNet V1" and entry.published]
    assert len(entries) == 16
    for entry in entries:
        found = entry.published
        assert (
            found is not None and found.top5 and found.quantized_top5 and found.pixel3_ms and found.quantized_pixel3_ms
        )
        assert 35 < found.quantized_top1 < found.top1 < found.quantized_top5 < found.top5 < 90
        assert found.quantized_pixel3_ms < found.pixel3_ms < 25
        larger = [
            other.published
            for other in entries
            if other.published and (other.series, other.resolution > entry.resolution) == (entry.series, True)
        ]
        for other in larger:
            assert other.top1 > found.top1 and other.quantized_top1 > found.quantized_top1
            assert (other.pixel3_ms or 0) > found.pixel3_ms and (other.top5 or 0) > found.top5
    rates = {entry.series: entry.tuning.learning_rate for entry in entries if entry.tuning}
    assert rates == {"width 1": 2.5e-4, "width 0.75": 2.5e-4 / 0.75, "width 0.5": 5e-4, "width 0.25": 1e-3}


def test_small_mobilenets_use_the_weights_for_a_larger_input_size() -> None:
    small, large = architecture("mobilenet_0.25_96"), architecture("mobilenet_0.25_128")
    assert small.weights.file == large.weights.file == "mobilenet_2_5_128_tf_no_top.h5"
    assert small.weights.also == () and large.weights.also[0] == "mobilenet_v1_0.25_128_frozen.tgz"
    assert (small.resolution, small.bottleneck_size, small.published) == (96, 256, None)
    assert small.mmacs == pytest.approx(small.imagenet_cost().macs / 1e6, abs=0.05) and small.mmacs < large.mmacs
    widths = {"1.0": "1_0", "0.75": "7_5", "0.50": "5_0", "0.25": "2_5"}
    for text, file in widths.items():
        assert architecture(f"mobilenet_{text}_160").weights.file == f"mobilenet_{file}_160_tf_no_top.h5"


def test_imagenet_cost_includes_a_classifier_of_1001_classes() -> None:
    entry = architecture("mobilenet_0.25_128")
    backbone, whole = cost(entry.layers(), entry.size), entry.imagenet_cost()
    assert whole.parameters - backbone.parameters == 257 * 1001 and whole.macs - backbone.macs == 256 * 1001


def test_architectures_are_found_by_name() -> None:
    entry = architecture("inception_v3")
    assert as_architectures(["inception_v3", entry]) == (entry, entry) == as_architectures(("inception_v3", entry))
    assert as_architectures("inception_v3") == entry and as_architectures(None) is None
    with pytest.raises(UsageError, match=r"unknown architecture 'inceptionv3'\. Nearest: inception_v3"):
        as_architectures(["inceptionv3"])


@pytest.mark.parametrize(("number", "blocks", "size"), [(0, 16, 224), (2, 21, 260)])
def test_blocks_of_efficientnet_lite_are_numbered_as_in_the_weights_files(number: int, blocks: int, size: int) -> None:
    entry = architecture(f"efficientnet_lite{number}_{size}")
    names = entry.weights.names
    assert names is not None
    layers = [layer for layer in entry.layers() if layer.has_weights()]
    assert names(layers[0]) == ("_conv_stem", "_bn0") and names(layers[-1]) == ("_conv_head", "_bn1")
    numbers = sorted({int(names(layer)[0].split(".")[1]) for layer in layers[1:-1]})
    assert numbers == list(range(blocks))


def test_efficientnet_lite_has_the_published_accuracies_at_its_standard_input_sizes() -> None:
    """From the table in the README of tensorflow/tpu, models/official/efficientnet/lite: float model, 8-bit model."""
    found = {entry.name: entry.published for entry in known_architectures() if "efficientnet" in entry.name}
    accuracies = {name: (one.top1, one.quantized_top1) for name, one in found.items() if one is not None}
    assert accuracies == {
        "efficientnet_lite0_224": (75.1, 74.4),
        "efficientnet_lite1_240": (76.7, 75.9),
        "efficientnet_lite2_260": (77.6, 77.0),
    }
