"""Extraction and replacement of the weights of a backbone's last blocks.

A MobileNet is a chain of blocks, each a depthwise 3 x 3 and a pointwise convolution. The *tail* is the part that
fine-tuning changes; the *cut* is the layer whose output the tail reads. Batch norms are folded into the convolutions,
so a tail has kernels and biases only.
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
from poets_edge.training.backbone import Backbone

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Convolution:
    """A convolution with folded batch norm and "SAME" padding, followed by relu6.

    Attributes:
        name: name of the layer.
        kernel: float32 [1, 1, inputs, outputs], or [height, width, channels, 1] if it is depthwise.
        bias: float32 [outputs].
        stride: vertical and horizontal stride.
        depthwise: whether it is a depthwise convolution.
    """

    name: str
    kernel: Array
    bias: Array
    stride: int
    depthwise: bool


@dataclass(frozen=True)
class Tail:
    """The part of a backbone that is trained.

    Attributes:
        blocks: number of last blocks. The depthwise convolution of the first of them is not trained: it has one weight
            in a hundred, and training it would cost as much as all the others.
        cut: name of the layer whose output the tail reads: a relu6, from 0 to 6, [height, width, channels].
        convolutions: convolutions in the order of computation.
    """

    blocks: int
    cut: str
    convolutions: tuple[Convolution, ...]


def backbone_network(backbone: Backbone) -> Network:
    """Read the layers and weights of a backbone. Raises UsageError: it has unknown layers."""
    try:
        return read_network(backbone.read_graph(), INPUT, BOTTLENECK, backbone.architecture.size)
    except UnknownNetworkError as error:
        raise UsageError(
            f"`fine_tune`: {backbone.graph} cannot be trained, for it holds more than a MobileNet ({error}). Leave"
            " `fine_tune` at 0."
        ) from None


def read_tail(network: Network, blocks: int, architecture: str) -> Tail:
    """Return the last blocks of a backbone.

    Args:
        blocks: number of blocks.
        architecture: name of the architecture, for error messages.

    Raises:
        UsageError: the network is not a chain of such blocks, or has fewer.
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
    """Return a backbone with the weights of a tail."""
    tuned = {each.name: Parameters(each.kernel, each.bias) for each in tail.convolutions}
    return replace(network, parameters={**network.parameters, **tuned})


def below(network: Network, cut: str) -> Network:
    """Return the layers of a backbone up to and including the cut."""
    names = [layer.name for layer in network.layers]
    return replace(network, layers=network.layers[: names.index(cut) + 1])


def _chain(network: Network) -> Sequence[Layer]:
    """Return the longest chain of depthwise and pointwise convolutions that ends before the pooling layer."""
    *layers, _ = network.layers
    start = len(layers)
    while start >= 2 and _is_block(*layers[start - 2 : start]):
        start -= 2
    return layers[start:]


def _is_block(first: Layer, second: Layer) -> bool:
    relu6 = first.activation == second.activation == "relu6" and first.padding == second.padding == "SAME"
    pointwise = second.kind == "convolution" and second.kernel == (1, 1) and second.sources == (first.name,)
    return relu6 and first.kind == "depthwise" and pointwise


def _convolution(layer: Layer, weights: Parameters) -> Convolution:
    return Convolution(layer.name, weights.kernel, weights.bias, layer.stride, layer.kind == "depthwise")
