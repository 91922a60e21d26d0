"""The last blocks of a backbone as numbers that can be trained, and a backbone with other numbers in them.

A MobileNet is a chain of blocks, each a depthwise 3 x 3 and a pointwise convolution. The *tail* is what fine-tuning
changes; the *cut* is the layer whose output the tail reads, and below which nothing ever changes. Norms are folded
into the convolutions, so a tail has kernels and biases and nothing else.

Read from the backbone's graph, so it is the same for Keras's weights, for the embedded ones and for the codelab's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from poets_edge.errors import UsageError
from poets_edge.nets.layers import BOTTLENECK, INPUT, Layer
from poets_edge.nets.network import Network, Parameters
from poets_edge.nets.read_graph import UnknownNetworkError, read_network
from poets_edge.train.backbone import Backbone

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Convolution:
    """A convolution with its norm folded in, followed by relu6; padded to keep its input's size ("SAME").

    Attributes:
        name: of the layer.
        kernel: float32, [1, 1, inputs, outputs], or [height, width, channels, 1] of a depthwise one.
        bias: float32 [outputs].
        stride: the same down and right.
    """

    name: str
    kernel: Array
    bias: Array
    stride: int
    depthwise: bool


@dataclass(frozen=True)
class Tail:
    """The part that is trained.

    Attributes:
        blocks: how many of the last blocks. Of the first of them the pointwise convolution alone: the depthwise one
            before it holds one weight in a hundred, and training it would cost as much as all the others.
        cut: the layer whose output is read, relu6 of something: [height, width, channels] from 0 to 6.
        convolutions: in the order in which they are computed.
    """

    blocks: int
    cut: str
    convolutions: tuple[Convolution, ...]


def backbone_network(backbone: Backbone) -> Network:
    """A backbone's layers and numbers. Raises UsageError: it is none whose layers are known."""
    try:
        return read_network(backbone.read_graph(), INPUT, BOTTLENECK, backbone.architecture.size)
    except UnknownNetworkError as error:
        raise UsageError(
            f"`fine_tune`: {backbone.graph} cannot be trained, for it holds more than a MobileNet ({error}). Leave"
            " `fine_tune` at 0."
        ) from None


def read_tail(network: Network, blocks: int, architecture: str) -> Tail:
    """The last blocks of a backbone.

    Args:
        architecture: its name, for the error message.

    Raises:
        UsageError: the network is no chain of such blocks, or has fewer.
    """
    chain = _chain(network)
    count = len(chain) // 2
    if count == 0:
        raise UsageError(
            f"`fine_tune`: {architecture} is no chain of depthwise and pointwise convolutions, as MobileNets are, so"
            " its last blocks cannot be trained. Take a MobileNet, or leave `fine_tune` at 0."
        )
    if blocks > count:
        raise UsageError(f"`fine_tune` must be {count} or less: {architecture} has so many blocks, not {blocks}.")
    convolutions = (_convolution(layer, network.parameters[layer.name]) for layer in chain[1 - 2 * blocks :])
    return Tail(blocks, chain[-2 * blocks].name, tuple(convolutions))


def with_tail(network: Network, tail: Tail) -> Network:
    """A backbone with these numbers in place of its own."""
    tuned = {each.name: Parameters(each.kernel, each.bias) for each in tail.convolutions}
    return replace(network, parameters={**network.parameters, **tuned})


def below(network: Network, cut: str) -> Network:
    """The part of a backbone that ends with the cut."""
    names = [layer.name for layer in network.layers]
    return replace(network, layers=network.layers[: names.index(cut) + 1])


def _chain(network: Network) -> Sequence[Layer]:
    """Depthwise, pointwise, depthwise, ..., pointwise: the layers before the pooling, as far down as they are such."""
    *layers, _ = network.layers
    start = len(layers)
    while start >= 2 and _is_block(*layers[start - 2 : start]):
        start -= 2
    return layers[start:]


def _is_block(first: Layer, second: Layer) -> bool:
    relu6 = first.activation == second.activation == "relu6" and first.padding == second.padding == "SAME"
    pointwise = second.kind == "convolution" and second.kernel == (1, 1) and second.sources == (first.name,)
    return relu6 and first.kind == "depthwise" and pointwise


def _convolution(layer: Layer, numbers: Parameters) -> Convolution:
    return Convolution(layer.name, numbers.kernel, numbers.bias, layer.stride, layer.kind == "depthwise")
