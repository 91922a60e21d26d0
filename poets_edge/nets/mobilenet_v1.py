"""MobileNet V1 in 16 sizes (Howard et al., "MobileNets", 2017, table 1), and in two smaller sizes."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from poets_edge.nets.architecture import Architecture, Family, Published, TuningDefaults
from poets_edge.nets.keras_source import keras_source
from poets_edge.nets.layers import BOTTLENECK, INPUT, Kind, Layer

_FAMILY = "MobileNet V1"
_KERAS_WIDTHS = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
_CHANNELS = 1024
"""Number of channels of the last layer at width multiplier 1."""
_SHRUNK = ("mobilenet_0.50_128", "mobilenet_0.25_128")
_LEARNING_RATE = 2.5e-4
"""Learning rate for fine-tuning at width multiplier 1. The best rate for Adam is inversely proportional to the width
(Yang and Hu, "Tensor Programs V", 2021)."""


def _layers(width: float) -> tuple[Layer, ...]:
    #             (channels, stride) of each separable convolution
    blocks = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))

    def layer(name: str, kind: Kind, source: str, outputs: int, side: int, stride: int) -> Layer:
        return Layer(
            name, kind, (source,), outputs, (side, side), stride, activation="relu6", normalized=True, scaled=True
        )

    layers = [layer("conv1", "convolution", INPUT, int(32 * width), 3, 2)]
    for number, (channels, stride) in enumerate(blocks, 1):
        layers.append(layer(f"conv_dw_{number}", "depthwise", layers[-1].name, layers[-1].outputs, 3, stride))
        layers.append(layer(f"conv_pw_{number}", "convolution", layers[-1].name, int(channels * width), 1, 1))
    return (*layers, Layer(BOTTLENECK, "mean", (layers[-1].name,)))


def _name(width: float, resolution: int) -> str:
    return f"mobilenet_{'1.0' if width == 1 else f'{width:.2f}'}_{resolution}"


def _standard_name(name: str) -> str:
    match = re.fullmatch(r"mobilenet_(?:v1_)?(\d*\.?\d+)_(\d+)", name)
    return _name(float(match[1]), int(match[2])) if match else name


def _entry(
    width: float, resolution: int, mmacs: float, mparams: float, top1: float, top5: float, quantized_top1: float,
    quantized_top5: float, pixel3_ms: float, quantized_pixel3_ms: float,
) -> Architecture:  # fmt: skip
    name = _name(width, resolution)
    codelab = name.replace("mobilenet_", "mobilenet_v1_")
    return Architecture(
        name=name,
        family=_FAMILY,
        series=f"width {width:g}",
        resolution=resolution,
        bottleneck_size=int(_CHANNELS * width),
        mmacs=mmacs,
        mparams=mparams,
        layers=partial(_layers, width),
        weights=keras_source(
            "mobilenet",
            f"mobilenet_{_KERAS_WIDTHS[width]}_{resolution}_tf_no_top.h5",
            also=(f"{codelab}_frozen.tgz", f"{codelab}/frozen_graph.pb", "frozen_graph.pb"),
        ),
        published=Published(
            top1=top1,
            top5=top5,
            quantized_top1=quantized_top1,
            quantized_top5=quantized_top5,
            pixel3_ms=pixel3_ms,
            quantized_pixel3_ms=quantized_pixel3_ms,
            source="tensorflow/models, research/slim/nets/mobilenet_v1.md, revision of August 2018 (quantized"
            " accuracies measured on the TFLite models); latencies: tensorflow, lite/g3doc/guide/hosted_models.md",
        ),
        tuning=TuningDefaults(learning_rate=_LEARNING_RATE / width, epochs=60, views=30),
    )


# Width, size, MMACs, million parameters, and figures in the order of `Published`. MMACs and parameters are from the
# source of the accuracies.
MOBILENETS: tuple[Architecture, ...] = (
    _entry(1.0, 224, 569, 4.24, 70.9, 89.9, 70.1, 88.9, 24.0, 13.0),
    _entry(1.0, 192, 418, 4.24, 70.0, 89.2, 69.2, 88.3, 18.1, 9.9),
    _entry(1.0, 160, 291, 4.24, 68.0, 87.7, 67.2, 86.7, 13.4, 7.3),
    _entry(1.0, 128, 186, 4.24, 65.2, 85.8, 63.4, 84.2, 9.0, 4.8),
    _entry(0.75, 224, 317, 2.59, 68.4, 88.2, 66.8, 87.0, 14.6, 8.5),
    _entry(0.75, 192, 233, 2.59, 67.2, 87.3, 66.1, 86.4, 11.0, 6.4),
    _entry(0.75, 160, 162, 2.59, 65.3, 86.0, 62.3, 83.8, 8.2, 4.7),
    _entry(0.75, 128, 104, 2.59, 62.1, 83.9, 55.8, 78.8, 5.5, 3.1),
    _entry(0.50, 224, 150, 1.34, 63.3, 84.9, 60.7, 83.2, 7.9, 4.7),
    _entry(0.50, 192, 110, 1.34, 61.7, 83.6, 60.0, 82.2, 6.0, 3.6),
    _entry(0.50, 160, 77, 1.34, 59.1, 81.9, 57.7, 80.4, 4.4, 2.6),
    _entry(0.50, 128, 49, 1.34, 56.3, 79.4, 54.5, 77.7, 3.0, 1.7),
    _entry(0.25, 224, 41, 0.47, 49.8, 74.2, 48.0, 72.8, 3.3, 2.3),
    _entry(0.25, 192, 34, 0.47, 47.7, 72.3, 46.0, 71.2, 2.4, 1.8),
    _entry(0.25, 160, 21, 0.47, 45.5, 70.3, 43.4, 68.5, 1.7, 1.3),
    _entry(0.25, 128, 14, 0.47, 41.5, 66.3, 39.5, 64.4, 1.2, 0.8),
)


def _small(larger: Architecture, resolution: int) -> Architecture:
    """Return a variant of an architecture that has the same layers and weights, but a smaller input.

    The network is fully convolutional, so its weights apply to inputs of any size. No accuracy was published for the
    smaller input.
    """
    width = float(larger.series.removeprefix("width "))
    small = replace(larger, name=_name(width, resolution), resolution=resolution, published=None)
    found = small.imagenet_cost()
    return replace(small, mmacs=round(found.macs / 1e6, 1), weights=replace(larger.weights, also=()))


SMALL_MOBILENETS = tuple(_small(larger, 96) for larger in MOBILENETS if larger.name in _SHRUNK)
"""Architectures for microcontrollers. `grid` trains them only if they are requested by name."""

MOBILENET_V1 = Family(
    name=_FAMILY,
    pattern="mobilenet_<0.25|0.50|0.75|1.0>_<128|160|192|224> (also mobilenet_0.25_96 and mobilenet_0.50_96)",
    architectures=(*MOBILENETS, *SMALL_MOBILENETS),
    grid=MOBILENETS,
    standard_name=_standard_name,
)
