"""Conversion of backbones to Keras models, for comparisons with programs that a Keras user would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poets_edge.nets.architecture import Architecture
from poets_edge.nets.layers import INPUT, Layer
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights_file import Weights

_EPSILON = 1e-3


def write_keras_backbone(entry: Architecture, weights: Weights, file: Path) -> None:
    """Convert a backbone to a Keras model, and save the model as a `.keras` file.

    The model maps normalized pixels to pooled features. The layers keep their names. As in Keras's own models, each
    convolution is followed by a batch norm and an activation. The kernel already contains the factors of the batch
    norm, which therefore only adds the offsets.
    """
    import keras

    network = read_backbone(entry, weights)
    pixels = keras.Input((*entry.size, 3))
    outputs = {INPUT: pixels}
    for layer in network.layers:
        sources = [outputs[name] for name in layer.sources]
        x = _keras_layer(layer)(sources if len(sources) > 1 else sources[0])
        if layer.normalized:
            x = keras.layers.BatchNormalization(epsilon=_EPSILON, name=f"{layer.name}_bn")(x)
            x = keras.layers.ReLU(6.0, name=f"{layer.name}_relu")(x) if layer.activation == "relu6" else x
        outputs[layer.name] = x
    model = keras.Model(pixels, outputs[network.output])
    for name, parameters in network.parameters.items():
        ones, zeros = np.ones_like(parameters.bias), np.zeros_like(parameters.bias)
        model.get_layer(name).set_weights([parameters.kernel])
        model.get_layer(f"{name}_bn").set_weights([ones, parameters.bias, zeros, ones - _EPSILON])
    model.save(file)


def _keras_layer(layer: Layer) -> Any:
    import keras

    options = {"padding": layer.padding.lower(), "use_bias": False, "name": layer.name}
    if layer.kind == "convolution":
        return keras.layers.Conv2D(layer.outputs, layer.kernel, layer.stride, **options)
    if layer.kind == "depthwise":
        return keras.layers.DepthwiseConv2D(layer.kernel, layer.stride, **options)
    if layer.kind == "add":
        return keras.layers.Add(name=layer.name)
    assert layer.kind == "mean", layer
    return keras.layers.GlobalAveragePooling2D(name=layer.name)
