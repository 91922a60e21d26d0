"""Definition of the layers of all architectures, their shapes and their cost.

MobileNet V1: Howard et al., "MobileNets", 2017, table 1. Inception V3: Szegedy et al., "Rethinking the Inception
Architecture for Computer Vision", 2015, as in Keras (`keras/src/applications/inception_v3.py`), without its classifier.
A batch norm is part of the convolution before it, into whose kernel and bias it is folded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from poets_edge.nets.architectures import Architecture

Kind = Literal["convolution", "depthwise", "max_pool", "average_pool", "concatenate", "mean", "dense", "softmax"]
Padding = Literal["SAME", "VALID"]
Activation = Literal["none", "relu", "relu6"]
Shape = tuple[int, ...]
"""Shape of a tensor for one image: (height, width, channels), or (channels,) after pooling."""

INPUT = "input"
BOTTLENECK = "bottleneck"

_IMAGENET_CLASSES = 1001
"""Number of classes in the published figures: the 1,000 of ImageNet, and a background class."""


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Attributes:
        name: name of the layer and of its output.
        sources: names of the layers whose outputs are its inputs, or INPUT.
        outputs: output channels of a convolution or a dense layer; 0 for other layers.
        kernel: (height, width) of a convolution or a pool.
        stride: vertical and horizontal stride.
        normalized: whether a batch norm follows, before the activation.
        scaled: whether the batch norm has a gamma.
    """

    name: str
    kind: Kind
    sources: tuple[str, ...]
    outputs: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: Padding = "SAME"
    activation: Activation = "none"
    normalized: bool = False
    scaled: bool = False

    @property
    def source(self) -> str:
        """Name of the only source of a layer with one source."""
        (name,) = self.sources
        return name

    def has_weights(self) -> bool:
        """Return whether the layer has a kernel and a bias."""
        return self.kind in ("convolution", "depthwise", "dense")

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        """Return the shape of the kernel for a number of input channels, in TensorFlow's order: outputs last."""
        if self.kind == "dense":
            return channels, self.outputs
        return (*self.kernel, channels, 1 if self.kind == "depthwise" else self.outputs)


@dataclass(frozen=True)
class NetworkCost:
    """Number of multiply-accumulates per image, and of trained parameters with batch norms counted before folding."""

    macs: int
    parameters: int


@cache
def backbone_layers(architecture: Architecture) -> tuple[Layer, ...]:
    """Return the layers from INPUT to BOTTLENECK, each after its sources."""
    return _inception_v3() if architecture.alpha is None else _mobilenet_v1(architecture.alpha)


def shapes(layers: Iterable[Layer], size: tuple[int, int]) -> dict[str, Shape]:
    """Return the shapes of the outputs of all layers, and of INPUT.

    Args:
        layers: each after its sources.
        size: (height, width) of the images, pixels.
    """
    found: dict[str, Shape] = {INPUT: (*size, 3)}
    for layer in layers:
        before = found[layer.sources[0]]
        if layer.kind == "concatenate":
            found[layer.name] = (*before[:2], sum(found[name][2] for name in layer.sources))
        elif layer.kind == "mean":
            found[layer.name] = before[-1:]
        elif layer.kind == "dense":
            found[layer.name] = (layer.outputs,)
        elif layer.kind == "softmax":
            found[layer.name] = before
        else:
            height, width = (
                (length + layer.stride - 1) // layer.stride
                if layer.padding == "SAME"
                else (length - window) // layer.stride + 1
                for length, window in zip(before, layer.kernel, strict=False)
            )
            found[layer.name] = (height, width, layer.outputs if layer.kind == "convolution" else before[2])
    return found


def cost(layers: Sequence[Layer], size: tuple[int, int]) -> NetworkCost:
    """Return the total cost of layers for images of size (height, width), pixels."""
    known = shapes(layers, size)
    macs = parameters = 0
    for layer in layers:
        if layer.has_weights():
            kernel = math.prod(layer.kernel_shape(known[layer.sources[0]][-1]))
            out = known[layer.name]
            positions = math.prod(out[:-1])
            macs += kernel * positions
            # A norm has an offset, and a factor if `scaled`; without a norm there is a bias.
            parameters += kernel + out[-1] * (1 + layer.scaled)
    return NetworkCost(macs, parameters)


def imagenet_cost(architecture: Architecture) -> NetworkCost:
    """Return the cost of the network in the published figures: the backbone with a classifier of 1,001 classes."""
    classifier = Layer("classifier", "dense", (BOTTLENECK,), _IMAGENET_CLASSES)
    return cost((*backbone_layers(architecture), classifier), architecture.size)


def keras_order(layers: Sequence[Layer]) -> list[tuple[Layer, bool]]:
    """Return the layers with weights in the order of Keras's files, as pairs (layer, True for its norm).

    Keras sorts layers by their distance from the output, then in the order of a depth-first search from the output
    (`map_graph` in `keras/src/ops/function.py`). A convolution, its norm and its activation are three layers in Keras.
    """
    by_name = {layer.name: layer for layer in layers}
    depth, order = _depths(layers), _walk(by_name, layers[-1].name)
    entries = []
    for layer in layers:
        if layer.has_weights():
            entries.append((-depth[layer.name] - 1 - layer.normalized, order[layer.name], (layer, False)))
            if layer.normalized:
                entries.append((-depth[layer.name] - 1, order[layer.name], (layer, True)))
    return [entry for _, _, entry in sorted(entries, key=lambda item: item[:2])]


def _depths(layers: Sequence[Layer]) -> dict[str, int]:
    """Return the length of the longest path, in Keras's layers, from each layer to the output."""
    depth: dict[str, int] = {}
    for layer in reversed(layers):
        own = depth.setdefault(layer.name, 0)
        steps = 3 if layer.normalized else 1
        for source in layer.sources:
            depth[source] = max(depth.get(source, 0), own + steps)
    return depth


def _walk(by_name: Mapping[str, Layer], last: str) -> dict[str, int]:
    order: dict[str, int] = {}

    def visit(name: str) -> None:
        if name in by_name and name not in order:
            order[name] = len(order)
            for source in by_name[name].sources:
                visit(source)

    visit(last)
    return order


def _mobilenet_v1(alpha: float) -> tuple[Layer, ...]:
    #             (channels, stride) of each separable convolution
    blocks = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))

    def layer(name: str, kind: Kind, source: str, outputs: int, side: int, stride: int) -> Layer:
        return Layer(
            name, kind, (source,), outputs, (side, side), stride, activation="relu6", normalized=True, scaled=True
        )

    layers = [layer("conv1", "convolution", INPUT, int(32 * alpha), 3, 2)]
    for number, (channels, stride) in enumerate(blocks, 1):
        layers.append(layer(f"conv_dw_{number}", "depthwise", layers[-1].name, layers[-1].outputs, 3, stride))
        layers.append(layer(f"conv_pw_{number}", "convolution", layers[-1].name, int(channels * alpha), 1, 1))
    return (*layers, Layer(BOTTLENECK, "mean", (layers[-1].name,)))


class _InceptionBuilder:
    """Builder of the layers of Inception V3; convolutions are numbered in the order of Keras's source."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._convolutions = 0

    def conv(
        self, source: str, outputs: int, height: int, width: int, stride: int = 1, padding: Padding = "SAME"
    ) -> str:
        self._convolutions += 1
        return self._add(
            Layer(
                f"conv2d_{self._convolutions}", "convolution", (source,), outputs, (height, width), stride, padding,
                activation="relu", normalized=True,
            )
        )  # fmt: skip

    def chain(self, source: str, *steps: tuple[int, int, int]) -> str:
        """Add consecutive convolutions, each given as (outputs, height, width)."""
        for step in steps:
            source = self.conv(source, *step)
        return source

    def average(self, source: str, outputs: int) -> str:
        """Add an average pool and a convolution of 1 x 1."""
        pooled = self._add(Layer(f"average_{len(self.layers)}", "average_pool", (source,), 0, (3, 3), 1, "SAME"))
        return self.conv(pooled, outputs, 1, 1)

    def largest(self, source: str) -> str:
        return self._add(Layer(f"largest_{len(self.layers)}", "max_pool", (source,), 0, (3, 3), 2, "VALID"))

    def concatenate(self, name: str, *sources: str) -> str:
        return self._add(Layer(name, "concatenate", sources))

    def _add(self, layer: Layer) -> str:
        self.layers.append(layer)
        return layer.name


def _inception_v3() -> tuple[Layer, ...]:
    net = _InceptionBuilder()
    x = net.conv(INPUT, 32, 3, 3, 2, "VALID")
    x = net.conv(x, 32, 3, 3, 1, "VALID")
    x = net.largest(net.conv(x, 64, 3, 3))
    x = net.conv(x, 80, 1, 1, 1, "VALID")
    x = net.largest(net.conv(x, 192, 3, 3, 1, "VALID"))
    for number, pooled in enumerate((32, 64, 64)):  # 35 x 35
        one = net.conv(x, 64, 1, 1)
        five = net.chain(x, (48, 1, 1), (64, 5, 5))
        three = net.chain(x, (64, 1, 1), (96, 3, 3), (96, 3, 3))
        x = net.concatenate(f"mixed{number}", one, five, three, net.average(x, pooled))
    single = net.conv(x, 384, 3, 3, 2, "VALID")
    double = net.conv(net.chain(x, (64, 1, 1), (96, 3, 3)), 96, 3, 3, 2, "VALID")
    x = net.concatenate("mixed3", single, double, net.largest(x))
    for number, inner in enumerate((128, 160, 160, 192), 4):  # 17 x 17
        one = net.conv(x, 192, 1, 1)
        seven = net.chain(x, (inner, 1, 1), (inner, 1, 7), (192, 7, 1))
        twice = net.chain(x, (inner, 1, 1), (inner, 7, 1), (inner, 1, 7), (inner, 7, 1), (192, 1, 7))
        x = net.concatenate(f"mixed{number}", one, seven, twice, net.average(x, 192))
    three = net.conv(net.conv(x, 192, 1, 1), 320, 3, 3, 2, "VALID")
    seven = net.conv(net.chain(x, (192, 1, 1), (192, 1, 7), (192, 7, 1)), 192, 3, 3, 2, "VALID")
    x = net.concatenate("mixed8", three, seven, net.largest(x))
    for number in (9, 10):  # 8 x 8
        one = net.conv(x, 320, 1, 1)
        three = net.conv(x, 384, 1, 1)
        pair = net.concatenate(f"mixed{number}_pair", net.conv(three, 384, 1, 3), net.conv(three, 384, 3, 1))
        double = net.chain(x, (448, 1, 1), (384, 3, 3))
        second = net.concatenate(f"mixed{number}_second", net.conv(double, 384, 1, 3), net.conv(double, 384, 3, 1))
        x = net.concatenate(f"mixed{number}", one, pair, second, net.average(x, 192))
    return (*net.layers, Layer(BOTTLENECK, "mean", (x,)))
