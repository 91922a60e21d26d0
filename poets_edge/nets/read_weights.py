"""Read weights files into networks, without TensorFlow or PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from poets_edge.device.input_tensor import LUMA
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.codelab_weights import read_codelab_weights
from poets_edge.nets.keras_weights import read_keras_weights
from poets_edge.nets.network import Network
from poets_edge.nets.pytorch_weights import read_pytorch_weights
from poets_edge.nets.weights_file import Weights

_READERS: Mapping[str, Callable[[Architecture, Weights], Network]] = {
    ".h5": read_keras_weights,
    ".npz": read_keras_weights,
    ".tgz": read_codelab_weights,
    ".pb": read_codelab_weights,
    ".pth": read_pytorch_weights,
}
"""Functions that read weights files, by file name suffix. `WeightsSource.suffixes` lists the suffixes that are
supported for an architecture."""


def read_backbone(architecture: Architecture, weights: Weights) -> Network:
    """Read a backbone from a weights file; see `Architecture.gray` for backbones that convert their input to gray.

    Raises:
        WeightsError: the file is damaged, belongs to another architecture, or contains values that are not finite.
        RuntimeMissingError: the file is HDF5 and h5py is not installed.
    """
    network = _READERS[weights.path.suffix](architecture, weights)
    return _with_gray_input(network) if architecture.gray else network


def _with_gray_input(network: Network) -> Network:
    """Return a network whose output for an RGB image equals the output of `network` for the image converted to gray.

    The conversion is folded into the first kernel: each input channel of the new kernel is the sum of the channels of
    the old kernel, multiplied by the luma weight of the color.
    """
    first = network.layers[0].name
    weights = network.parameters[first]
    luma = (LUMA / LUMA.sum()).astype(np.float32).reshape(1, 1, -1, 1)
    kernel = weights.kernel.sum(axis=2, keepdims=True) * luma
    return replace(network, parameters={**network.parameters, first: replace(weights, kernel=kernel)})
