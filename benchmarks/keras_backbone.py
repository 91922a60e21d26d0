"""Backbones as Keras models, for programs that a Keras user would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poets_edge.nets.architecture import Architecture
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights_file import Weights


def write_keras_backbone(entry: Architecture, weights: Weights, file: Path) -> None:
    """Write a backbone, from normalized pixels to pooled features, to a `.keras` file.

    Layers have the names that they have in `entry`. Batch norms are folded into the convolutions, which makes the model
    faster than one with frozen batch norms.
    """
    import keras

    network = read_backbone(entry, weights)
    pixels = keras.Input((*entry.size, 3))
    outputs = {INPUT: pixels}
    for layer in network.layers:
        sources = [outputs[name] for name in layer.sources]
        outputs[layer.name] = _keras_layer(layer)(sources if len(sources) > 1 else sources[0])
    model = keras.Model(pixels, outputs[network.output])
    for name, parameters in network.parameters.items():
        model.get_layer(name).set_weights([parameters.kernel, parameters.bias])
    model.save(file)


def _keras_layer(layer: Layer) -> Any:
    import keras

    activation = None if layer.activation == "none" else layer.activation
    if layer.kind == "convolution":
        return keras.layers.Conv2D(
            layer.outputs, layer.kernel, layer.stride, layer.padding.lower(), activation=activation, name=layer.name
        )
    if layer.kind == "depthwise":
        return keras.layers.DepthwiseConv2D(
            layer.kernel, layer.stride, layer.padding.lower(), activation=activation, name=layer.name
        )
    if layer.kind == "add":
        return keras.layers.Add(name=layer.name)
    assert layer.kind == "mean", layer
    return keras.layers.GlobalAveragePooling2D(name=layer.name)
