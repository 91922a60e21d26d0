"""Read backbones from PyTorch's weights files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.errors import WeightsError
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.layers import Layer, shapes
from poets_edge.nets.network import Network, Norm, Parameters, checked
from poets_edge.nets.pytorch_file import PytorchFileError, PytorchTensor, read_pytorch_file
from poets_edge.nets.weights_file import Weights

Array = npt.NDArray[Any]

_KERNEL_AXES = {"convolution": (2, 3, 1, 0), "depthwise": (2, 3, 0, 1)}
"""Permutation that converts PyTorch's kernel axes (outputs, inputs, height, width) to TensorFlow's order, by kind of
layer."""


def read_pytorch_weights(architecture: Architecture, weights: Weights) -> Network:
    """Read a backbone from a PyTorch weights file, ignoring tensors of other layers such as the classifier.

    Raises:
        WeightsError: the file is damaged, belongs to another architecture, or contains values that are not finite.
    """
    layers, path, names = architecture.layers(), weights.path, architecture.weights.names
    assert names is not None, "only files of the source's suffixes are read"
    known = shapes(layers, architecture.size)
    try:
        tensors = read_pytorch_file(weights.read())
        parameters = {}
        with np.errstate(all="ignore"):  # values that are not finite are refused below
            for layer in layers:
                if layer.has_weights():
                    shape = layer.kernel_shape(known[layer.source][-1])
                    parameters[layer.name] = _parameters(tensors, layer, shape, *names(layer))
        return checked(architecture.size, layers, parameters)
    except PytorchFileError as error:
        raise WeightsError(f"{path}: damaged, or no weights file ({error}).") from None
    except WeightsError as error:
        if str(error).startswith(str(path)):
            raise
        raise WeightsError(f"{path}: not the weights of {architecture.backbone} ({error}).") from None


def _parameters(
    tensors: Mapping[str, PytorchTensor], layer: Layer, shape: tuple[int, ...], convolution: str, norm: str
) -> Parameters:
    """Return the weights of a layer, with its batch norm folded in.

    Args:
        shape: shape of the kernel in TensorFlow's axis order.
        convolution, norm: names of the layer's convolution and batch norm in the file.
    """
    axes = _KERNEL_AXES[layer.kind]
    stored = tuple(shape[axes.index(axis)] for axis in range(4))
    kernel = np.ascontiguousarray(_read(tensors, f"{convolution}.weight", stored).transpose(axes))
    gamma, beta, mean, variance = (
        _read(tensors, f"{norm}.{what}", (layer.outputs,)) for what in ("weight", "bias", "running_mean", "running_var")
    )
    factors, offsets = Norm(beta, mean, variance, gamma).factors_and_offsets()
    scaled = Parameters(kernel, np.zeros_like(offsets)).scaled(factors, layer.kind == "depthwise")
    return Parameters(scaled.kernel, offsets)


def _read(tensors: Mapping[str, PytorchTensor], name: str, shape: tuple[int, ...]) -> Array:
    tensor = tensors.get(name)
    if tensor is None:
        raise WeightsError(f"no {name}")
    if tensor.shape != shape or tensor.values.dtype != np.dtype("<f4"):
        raise WeightsError(f"{name} is {list(tensor.shape)} of {tensor.values.dtype}, wanted {list(shape)} of float32")
    return np.asarray(tensor.read(), np.float32)
