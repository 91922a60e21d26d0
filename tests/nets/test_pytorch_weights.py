"""Tests of reading backbones from PyTorch's weights files: the order of the axes, batch norms, and invalid values."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import WeightsError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.layers import shapes
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights_file import Weights
from tools.fuzz import pytorch

ENTRY = architecture("efficientnet_lite0_128")


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    """Random weights by their names in PyTorch: kernels are [outputs, inputs, height, width]."""
    rng, known = np.random.default_rng(0), shapes(ENTRY.layers(), ENTRY.size)
    assert ENTRY.weights.names is not None
    found: dict[str, Any] = {}
    for layer in ENTRY.layers():
        if layer.has_weights():
            convolution, norm = ENTRY.weights.names(layer)
            inputs = 1 if layer.kind == "depthwise" else known[layer.source][-1]
            shape = (layer.outputs, inputs, *layer.kernel)
            found[f"{convolution}.weight"] = rng.standard_normal(math.prod(shape), np.float32).reshape(shape)
            for part, low, high in (("weight", 1, 2), ("bias", 3, 4), ("running_mean", 5, 6), ("running_var", 7, 8)):
                found[f"{norm}.{part}"] = rng.uniform(low, high, layer.outputs).astype(np.float32)
    return found


def read(arrays: dict[str, Any], folder: Path) -> Any:
    content = pytorch.weights(arrays)
    (folder / "weights.pth").write_bytes(content)
    return read_backbone(ENTRY, Weights(folder / "weights.pth", hashlib.sha256(content).hexdigest()))


def test_pytorch_kernels_are_transposed_and_batch_norms_folded(arrays: dict[str, Any], tmp_path: Path) -> None:
    """PyTorch computes (x - running_mean) / sqrt(running_var + epsilon) * weight + bias after a convolution."""
    network = read(arrays, tmp_path)
    assert ENTRY.weights.names is not None
    for layer in ENTRY.layers():
        if layer.has_weights():
            convolution, norm = ENTRY.weights.names(layer)
            parts = ("weight", "bias", "running_mean", "running_var")
            gamma, beta, mean, variance = (arrays[f"{norm}.{part}"].astype(np.float64) for part in parts)
            factors = gamma / np.sqrt(variance + 1e-3)
            kernel = arrays[f"{convolution}.weight"] * factors[:, None, None, None]
            # TensorFlow's depthwise kernels are [height, width, channels, 1], others [height, width, inputs, outputs].
            wanted = np.moveaxis(kernel, (0, 1), (2, 3) if layer.kind == "depthwise" else (3, 2))
            found = network.parameters[layer.name]
            np.testing.assert_allclose(found.kernel, wanted, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(found.bias, beta - mean * factors, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("_bn0.bias", np.nan, "stem holds numbers that are not finite"),
        ("_bn0.running_var", -1e-3, "stem holds numbers that are not finite"),  # a division by zero
        ("_bn0.running_var", -1, "stem holds numbers that are not finite"),
        ("_conv_head.weight", np.inf, "head_conv holds numbers that are not finite"),
        ("_bn1.weight", 3e38, "head_conv holds numbers that are not finite"),  # times a kernel of more than 1
    ],
)
def test_weights_that_are_not_finite_are_refused(
    name: str, value: float, message: str, arrays: dict[str, Any], tmp_path: Path
) -> None:
    changed = arrays[name].copy()
    changed[0] = value * (changed[0] > 0) if name == "_bn1.weight" else value
    with pytest.raises(WeightsError, match=rf"weights\.pth: not the weights of {ENTRY.name} \({message}"):
        read({**arrays, name: changed, "_bn1.running_var": np.full_like(arrays["_bn1.running_var"], 1e-6)}, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_bn0.bias": None}, "no _bn0.bias"),
        ({"_conv_stem.weight": np.zeros((3, 32, 3, 3))}, r"_conv_stem.weight is \[3, 32, 3, 3\]"),
        ({"_bn1.weight": np.zeros((1280, 1))}, r"_bn1.weight is \[1280, 1\]"),
    ],
)
def test_missing_weights_and_weights_of_another_shape_are_refused(
    change: dict[str, Any], message: str, arrays: dict[str, Any], tmp_path: Path
) -> None:
    changed = {name: array for name, array in {**arrays, **change}.items() if array is not None}
    with pytest.raises(WeightsError, match=message):
        read(changed, tmp_path)


def test_tensors_of_other_layers_are_ignored(arrays: dict[str, Any], tmp_path: Path) -> None:
    network = read({**arrays, "_fc.weight": np.zeros((1000, 1280))}, tmp_path)
    assert [layer.name for layer in network.layers] == [layer.name for layer in ENTRY.layers()]
