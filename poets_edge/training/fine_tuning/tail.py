"""Extract and replace the weights in a backbone's final blocks, which fine-tuning trains.

A network of blocks is a chain of separable convolutions (MobileNet V1: depthwise and pointwise, each with a relu6) or
of inverted residuals (MobileNet V2, EfficientNet-Lite: expansion, depthwise convolution, linear projection, and a sum
with the block's input). The *tail* is the part that fine-tuning changes; the *cut* is the layer whose output the tail
reads. Batch norms are folded into the convolutions, so a tail has kernels and biases only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from poets_edge.errors import UsageError
from poets_edge.nets.layers import BOTTLENECK, INPUT, Layer
from poets_edge.nets.network import Network, Parameters
from poets_edge.nets.read_graph import UnknownNetworkError, read_network
from poets_edge.training.backbone import Backbone


@dataclass(frozen=True, kw_only=True)
class Tail:
    """The layers that fine-tuning trains: the final layers of a backbone, without the pooling layer.

    Attributes:
        blocks: number of final blocks. A pointwise convolution after the last block belongs to that block. The
            depthwise convolution of the first separable block is not trained, because it has about 1 % of the
            tail's weights, and training it would take as much time as training all other layers.
        cut: layer whose output the tail reads, [height, width, channels].
        layers: convolutions and sums in the order of computation.
        parameters: weights of the convolutions, by layer name.
    """

    blocks: int
    cut: Layer
    layers: tuple[Layer, ...]
    parameters: Mapping[str, Parameters]

    @property
    def convolutions(self) -> tuple[Layer, ...]:
        """Layers with weights, in the order of computation."""
        return tuple(layer for layer in self.layers if layer.has_weights())


def backbone_network(backbone: Backbone) -> Network:
    """Read the layers and weights of a backbone. Raises UsageError if a layer is of an unknown kind."""
    try:
        return read_network(backbone.read_graph(), INPUT, BOTTLENECK, backbone.architecture.size)
    except UnknownNetworkError as error:
        raise UsageError(
            f"`fine_tune`: {backbone.graph} cannot be trained, for it holds more than known networks ({error}). Leave"
            " `fine_tune` at 0."
        ) from None


def read_tail(network: Network, blocks: int, architecture: str) -> Tail:
    """Return the given number of final blocks of a backbone, with their weights.

    Args:
        blocks: number of blocks.
        architecture: name of the architecture, for error messages.

    Raises:
        UsageError: the network is not a chain of blocks, or has fewer blocks than requested.
    """
    check_blocks(network.layers, blocks, architecture)
    start = _starts(network.layers)[blocks - 1]
    layers = network.layers[start:-1]
    parameters = {layer.name: network.parameters[layer.name] for layer in layers if layer.has_weights()}
    return Tail(blocks=blocks, cut=network.layers[start - 1], layers=layers, parameters=parameters)


def check_blocks(layers: Sequence[Layer], blocks: int, architecture: str) -> None:
    """Raise UsageError if a backbone does not end with at least the requested number of blocks.

    Args:
        layers: layers of the backbone, the last of which is the pooling layer.
        blocks: requested number of blocks.
        architecture: name of the architecture, for error messages.
    """
    count = len(_starts(layers))
    if count == 0:
        raise UsageError(
            f"`fine_tune`: {architecture} is no chain of blocks, as MobileNets and EfficientNet-Lite are, so its last"
            " blocks cannot be trained. Take one of them, or leave `fine_tune` at 0."
        )
    if blocks > count:
        raise UsageError(f"`fine_tune` must be {count} or less, for {architecture} has so many blocks; not {blocks}.")


def with_tail(network: Network, tail: Tail) -> Network:
    """Return a copy of a backbone, with the weights of its final blocks replaced by those in `tail`."""
    return replace(network, parameters={**network.parameters, **tail.parameters})


def up_to(network: Network, cut: Layer) -> Network:
    """Return the part of a backbone up to and including the layer `cut`."""
    names = [layer.name for layer in network.layers]
    return replace(network, layers=network.layers[: names.index(cut.name) + 1])


def _starts(layers: Sequence[Layer]) -> list[int]:
    """Return a list of indices: element i is the index of the first trained layer if i + 1 blocks are trained.

    The list is empty if the backbone does not end in a block.
    """
    *chain, _ = layers
    starts: list[int] = []
    end = len(chain)
    if end >= 2 and _is_pointwise(chain[-1], "relu6") and chain[-2].activation == "none":
        end -= 1
    while found := _separable(chain[:end]) or _inverted_residual(chain[:end]):
        start, end = found
        starts.append(start)
    return starts


def _separable(chain: Sequence[Layer]) -> tuple[int, int] | None:
    """Find a separable convolution at the end of a chain of layers.

    Returns:
        The index of its first trained layer, the pointwise convolution, and the index of its first layer, the depthwise
        convolution; None if the chain does not end in a separable convolution.
    """
    if len(chain) < 2 or not _is_depthwise(chain[-2]) or not _is_pointwise(chain[-1], "relu6"):
        return None
    return (len(chain) - 1, len(chain) - 2) if chain[-1].sources == (chain[-2].name,) else None


def _inverted_residual(chain: Sequence[Layer]) -> tuple[int, int] | None:
    """Find an inverted residual at the end of a chain of layers.

    Returns:
        The index of its first trained layer and the index of its first layer, which are equal because the whole block
        is trained; None if the chain does not end in an inverted residual.
    """
    summed = chain[-1] if chain and chain[-1].kind == "add" else None
    body = chain[:-1] if summed else chain
    if len(body) < 2 or not _is_pointwise(body[-1], "none") or not _is_depthwise(body[-2]):
        return None
    start = len(body) - 2
    if start and _is_pointwise(body[start - 1], "relu6") and body[start].source == body[start - 1].name:
        start -= 1
    ends = {body[-1].name, body[start].source}
    chained = all(layer.source == before.name for before, layer in zip(body[start:], body[start + 1 :], strict=False))
    if not start or not chained or body[start].source != body[start - 1].name:
        return None
    return None if summed and set(summed.sources) != ends else (start, start)


def _is_depthwise(layer: Layer) -> bool:
    return layer.kind == "depthwise" and layer.activation == "relu6" and layer.padding == "SAME"


def _is_pointwise(layer: Layer, activation: str) -> bool:
    pointwise = layer.kind == "convolution" and layer.kernel == (1, 1) and layer.stride == 1
    return pointwise and layer.activation == activation
