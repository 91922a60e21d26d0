"""Convert networks to frozen GraphDefs for the scripts of the codelab "TensorFlow for Poets".

The nodes have the names and shapes that these scripts expect.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poets_edge.nets import graphdef
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.network import Network

_OPERATIONS = {
    "convolution": "Conv2D",
    "depthwise": "DepthwiseConv2dNative",
    "max_pool": "MaxPool",
    "average_pool": "AvgPool",
    "concatenate": "ConcatV2",
    "add": "AddV2",
    "mean": "Mean",
    "dense": "MatMul",
    "softmax": "Softmax",
}
_ACTIVATIONS = {"relu": "Relu", "relu6": "Relu6"}


def graph_of(network: Network) -> Any:
    """Convert a network to a GraphDef with a placeholder `input`, float32 [1, height, width, 3]."""
    graph = graphdef.empty_graph()
    graph.node.append(graphdef.placeholder(INPUT, (1, *network.size, 3)))
    for layer in network.layers:
        graph.node.extend(_nodes(layer, network))
    return graph


def _nodes(layer: Layer, network: Network) -> list[Any]:
    constants, inputs = [], list(layer.sources)
    if layer.has_weights():
        weights = network.parameters[layer.name]
        constants = [
            graphdef.constant(f"{layer.name}/kernel", weights.kernel),
            graphdef.constant(f"{layer.name}/bias", weights.bias),
        ]
        inputs.append(constants[0].name)
    elif layer.kind == "concatenate":
        constants = [graphdef.constant(f"{layer.name}/axis", np.array(3, np.int32))]
        inputs.append(constants[0].name)
    elif layer.kind == "mean":
        constants = [graphdef.constant(f"{layer.name}/axes", np.array([1, 2], np.int32))]
        inputs.append(constants[0].name)
    if not layer.has_weights():
        return [*constants, _operation(layer, layer.name, inputs)]
    computed = [_operation(layer, f"{layer.name}/{layer.kind}", inputs)]
    last = layer.name if layer.activation == "none" else f"{layer.name}/sum"
    computed.append(graphdef.operation(last, "BiasAdd", [computed[0].name, constants[1].name]))
    if layer.activation != "none":
        computed.append(graphdef.operation(layer.name, _ACTIVATIONS[layer.activation], [last]))
    return [*constants, *computed]


def _operation(layer: Layer, name: str, inputs: list[str]) -> Any:
    node = graphdef.operation(name, _OPERATIONS[layer.kind], inputs)
    if layer.kind in ("convolution", "depthwise", "max_pool", "average_pool"):
        node.attr["strides"].list.i.extend([1, layer.stride, layer.stride, 1])
        node.attr["padding"].s = layer.padding.encode()
    if layer.kind in ("max_pool", "average_pool"):
        node.attr["ksize"].list.i.extend([1, *layer.kernel, 1])
    if layer.kind == "concatenate":
        node.attr["N"].i = len(layer.sources)
    if layer.kind in ("concatenate", "mean"):
        graphdef.set_index_type(node, "Tidx")
    return node
