"""Read the frozen MobileNets of the TensorFlow for Poets codelab.

A file is named, for example, `mobilenet_v1_0.50_224_frozen.tgz`, or is the `frozen_graph.pb` inside it.
"""

from __future__ import annotations

from typing import Any

from poets_edge.errors import WeightsError
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.graphdef import parse_graph, placeholder_shape
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Network, checked
from poets_edge.nets.read_graph import UnknownNetworkError, read_network
from poets_edge.nets.weights_file import Weights

_POOLING = "MobilenetV1/Logits/AvgPool_1a/AvgPool"


def read_codelab_weights(architecture: Architecture, weights: Weights) -> Network:
    """Read a frozen MobileNet up to its average pooling, and give its layers the names in `Architecture.layers`.

    Raises:
        WeightsError: the file is damaged, or belongs to another architecture.
    """
    whole = parse_graph(weights.frozen_graph(), str(weights.path))
    names = {node.name for node in whole.node}
    if not {INPUT, _POOLING} <= names:
        raise WeightsError(f"{weights.path}: not one of the codelab's MobileNet V1 graphs (no {_POOLING}).")
    shape = placeholder_shape(whole, INPUT)
    if shape[1:] != [*architecture.size, 3]:
        raise WeightsError(
            f"{weights.path}: takes pictures of {shape[1:3]} pixels, {architecture.name} of {list(architecture.size)}."
        )
    layers = architecture.layers()
    try:
        network = read_network(whole, INPUT, _POOLING, architecture.size)
        found = [layer for layer in network.layers if layer.has_weights()]
        ours = [layer for layer in layers if layer.has_weights()]
        if [_signature(layer) for layer in found] != [_signature(layer) for layer in ours]:
            raise UnknownNetworkError("other layers")
        renamed = {own.name: network.parameters[other.name] for own, other in zip(ours, found, strict=True)}
        return checked(architecture.size, layers, renamed)
    except (UnknownNetworkError, WeightsError) as error:
        raise WeightsError(f"{weights.path}: not the weights of {architecture.backbone} ({error}).") from None


def _signature(layer: Layer) -> tuple[Any, ...]:
    return layer.kind, layer.outputs, layer.kernel, layer.stride, layer.padding, layer.activation
