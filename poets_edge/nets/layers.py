"""Layers of networks, with the shapes of their outputs and their cost.

A batch norm is not a layer: it is folded into the kernel and bias of the preceding convolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["convolution", "depthwise", "max_pool", "average_pool", "concatenate", "add", "mean", "dense", "softmax"]
Padding = Literal["SAME", "VALID"]
Activation = Literal["none", "relu", "relu6"]
Shape = tuple[int, ...]
"""Shape of a tensor for one image: (height, width, channels), or (channels,) after pooling."""

INPUT = "input"
BOTTLENECK = "bottleneck"


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Attributes:
        name: name of the layer and of its output.
        sources: names of the layers that this layer reads; INPUT stands for the input of the network.
        outputs: number of output channels of a convolution or dense layer; 0 for other layers.
        kernel: (height, width) of the window of a convolution or pool.
        stride: stride in both directions, vertical and horizontal.
        normalized: whether a batch norm follows, before the activation.
        scaled: whether the batch norm has a gamma (scaling factor).
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
        """Name of the layer that this layer reads, for layers with a single input."""
        (name,) = self.sources
        return name

    def has_weights(self) -> bool:
        """Return whether the layer has a kernel and a bias."""
        return self.kind in ("convolution", "depthwise", "dense")

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        """Return the shape of the kernel for a number of input channels, in TensorFlow's axis order (outputs last)."""
        if self.kind == "dense":
            return channels, self.outputs
        return (*self.kernel, channels, 1 if self.kind == "depthwise" else self.outputs)


@dataclass(frozen=True)
class NetworkCost:
    """Number of multiply-accumulates per image, and number of trainable parameters before batch norms are folded."""

    macs: int
    parameters: int


def shapes(layers: Iterable[Layer], size: tuple[int, int]) -> dict[str, Shape]:
    """Return the shapes of the network's input, named INPUT, and of the outputs of all layers, by name.

    Args:
        layers: layers of the network, each listed after its sources.
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
        elif layer.kind in ("add", "softmax"):
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
    """Return the cost of all layers for images of `size` (height, width), in pixels."""
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


def keras_order(layers: Sequence[Layer]) -> list[tuple[Layer, bool]]:
    """Return the layers with weights and their batch norms, in the order in which Keras's files contain them.

    Keras sorts layers by their distance from the output, then in the order of a depth-first search from the output
    (`map_graph` in `keras/src/ops/function.py`). A convolution, its norm and its activation are three layers in Keras.

    Returns:
        Pairs (layer, whether the entry is the batch norm of the layer).
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
    """Return the length of the longest path from each layer to the output, counted in Keras's layers."""
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
