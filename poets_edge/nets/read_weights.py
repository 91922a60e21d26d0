"""Read weights files into networks, without TensorFlow or PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
    """Read a backbone from a weights file.

    Raises:
        WeightsError: the file is damaged, belongs to another architecture, or contains values that are not finite.
        RuntimeMissingError: the file is HDF5 and h5py is not installed.
    """
    return _READERS[weights.path.suffix](architecture, weights)
