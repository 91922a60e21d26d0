"""Averaged outputs of the inner layer, a layer in the middle of a fine-tuned backbone.

Fine-tuning discards information that does not help to distinguish the classes. Layers in the middle of the backbone,
which are usually not trained, still contain this information, and the unknown-photo detector needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from poets_edge.nets.layers import BOTTLENECK, Layer
from poets_edge.nets.network import Network
from poets_edge.photos.table import HashedPhotos
from poets_edge.training.backbone import Backbone
from poets_edge.training.background import OutsidePhotos
from poets_edge.training.data import TrainingData
from poets_edge.training.fine_tuning.fine_tune import compute_bottlenecks
from poets_edge.training.fine_tuning.tail import up_to
from poets_edge.training.unknown import InnerOutputs
from poets_edge.training.vectors import Matrix

_REDUCTION = 16
"""Ratio of the input's height to the output's height of the inner layer. Of the layers of a MobileNet V1 0.50_224, the
first convolution with this reduction was best in an experiment with three data sets; the layers before and after it
detected fewer unknown photos (`benchmarks/results/unknown_files.md`)."""


def inner_layer(network: Network) -> Layer | None:
    """Return the inner layer of a backbone: the first convolution with 1/16 of the input's height (rounded up).

    Depthwise convolutions, whose outputs do not combine channels, and convolutions without an activation function are
    not considered. The result is None if there is no such convolution.
    """
    shapes, height = network.shapes(), -(-network.size[0] // _REDUCTION)
    found = (
        layer
        for layer in network.layers
        if layer.kind == "convolution" and layer.activation != "none" and shapes[layer.name][0] == height
    )
    return next(found, None)


def inner_outputs(
    network: Network, backbone: Backbone, data: TrainingData, outside: Mapping[str, OutsidePhotos]
) -> InnerOutputs | None:
    """Compute the outputs of the inner layer (see `inner_layer`), averaged over all positions, for all photos.

    The result is None if the network has no such layer.

    Args:
        network: the fine-tuned backbone.
        backbone: the frozen backbone, whose input size the photos are resized to.
        data: photos of the classes.
        outside: photos that belong to no class: "background" (the detector learns from them) and "strangers" (for tests
            only).

    Raises:
        PhotoError: a photo has changed since its bottleneck was computed.
    """
    layer = inner_layer(network)
    if layer is None:
        return None
    first = up_to(network, layer)
    averaged = replace(first, layers=(*first.layers, Layer(BOTTLENECK, "mean", (layer.name,))))
    channels = network.shapes()[layer.name][-1]

    def compute(photos: HashedPhotos) -> Matrix:
        return compute_bottlenecks(averaged, backbone, photos, np.arange(len(photos)), channels)

    others = {name: compute(photos.photos) for name, photos in outside.items()}
    return InnerOutputs(layer=layer.name, photos=compute(data.photos), **others)
