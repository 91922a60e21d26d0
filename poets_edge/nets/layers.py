"""The layers of every architecture, as data: what computes them, counts them, writes them and reads their weights.

MobileNet V1: Howard et al., "MobileNets", 2017, table 1. Inception V3: Szegedy et al., "Rethinking the Inception
Architecture for Computer Vision", 2015, as Keras builds it (`keras/src/applications/inception_v3.py`), without its
classifier. A batch norm belongs to the convolution before it and is folded into that one's kernel and bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from poets_edge.nets.architectures import Architecture

Kind = Literal["convolution", "depthwise", "max_pool", "average_pool", "concatenate", "mean", "dense", "softmax"]
Padding = Literal["SAME", "VALID"]
Activation = Literal["none", "relu", "relu6"]
Shape = tuple[int, ...]
"""Of one picture's tensor: (height, width, channels), or (channels,) behind the pooling."""

INPUT = "input"
BOTTLENECK = "bottleneck"

_IMAGENET_CLASSES = 1001
"""Classes in the published figures: ImageNet's thousand, and one for anything else."""


@dataclass(frozen=True)
class Layer:
    """One step of a network.

    Attributes:
        name: of its output.
        sources: names of the layers that it reads, or INPUT.
        outputs: channels of a convolution or a dense layer; the others have as many as they read.
        kernel: (height, width) of a convolution or a pool.
        stride: the same down and right.
        normalized: a batch norm follows, before the activation; with `scaled`, it has a gamma.
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
        """Its only source."""
        (name,) = self.sources
        return name

    def has_weights(self) -> bool:
        """Whether it has a kernel and a bias."""
        return self.kind in ("convolution", "depthwise", "dense")

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        """Shape of its kernel over so many input channels: as TensorFlow's, outputs last."""
        if self.kind == "dense":
            return channels, self.outputs
        return (*self.kernel, channels, 1 if self.kind == "depthwise" else self.outputs)


@dataclass(frozen=True)
class Cost:
    """Of one picture: multiply-accumulates, and numbers learned in training (folded ones not yet folded)."""

    macs: int
    parameters: int


@cache
def backbone_layers(architecture: Architecture) -> tuple[Layer, ...]:
    """The layers from INPUT to BOTTLENECK, in an order in which they can be computed."""
    return _inception_v3() if architecture.alpha is None else _mobilenet_v1(architecture.alpha)


def shapes(layers: Iterable[Layer], size: tuple[int, int]) -> dict[str, Shape]:
    """The shape of every layer's output, and of INPUT, for pictures of (height, width)."""
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


def cost(layers: Sequence[Layer], size: tuple[int, int]) -> Cost:
    """The cost of layers, in total."""
    known = shapes(layers, size)
    macs = parameters = 0
    for layer in layers:
        if layer.has_weights():
            kernel = _product(layer.kernel_shape(known[layer.sources[0]][-1]))
            out = known[layer.name]
            places = _product(out[:-1])
            macs += kernel * places
            # A norm learns an offset, and with `scaled` a factor; without a norm there is a bias.
            parameters += kernel + out[-1] * (1 + layer.scaled)
    return Cost(macs, parameters)


def imagenet_cost(architecture: Architecture) -> Cost:
    """The network that the published figures are of: the backbone with ImageNet's classifier of 1,001 classes."""
    classifier = Layer("classifier", "dense", (BOTTLENECK,), _IMAGENET_CLASSES)
    return cost((*backbone_layers(architecture), classifier), architecture.size)


def keras_order(layers: Sequence[Layer]) -> list[tuple[Layer, bool]]:
    """How Keras lists the layers that have weights, in its files too: (layer, whether its norm is meant).

    By distance from the output, then in the order in which a walk from the output meets them
    (`map_graph` in `keras/src/ops/function.py`); a convolution, its norm and its activation are three layers there.
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
    """How many of Keras's layers lie behind each, on the longest way."""
    depth: dict[str, int] = {}
    for layer in reversed(layers):
        mine = depth.setdefault(layer.name, 0)
        steps = 3 if layer.normalized else 1
        for source in layer.sources:
            depth[source] = max(depth.get(source, 0), mine + steps)
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


def _product(numbers: Iterable[int]) -> int:
    total = 1
    for number in numbers:
        total *= number
    return total


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


class _Inception:
    """Writes the list down as Keras's source does: a convolution's name carries the number of its making."""

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
        """Convolutions one after the other, each (outputs, height, width)."""
        for step in steps:
            source = self.conv(source, *step)
        return source

    def average(self, source: str, outputs: int) -> str:
        """The branch that averages, then mixes."""
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
    net = _Inception()
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
