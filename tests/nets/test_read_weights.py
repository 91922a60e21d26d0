"""Tests of reading weights files in the formats of Keras, PyTorch and the codelab."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.errors import UsageError, WeightsError
from poets_edge.nets import weights as weights_module
from poets_edge.nets import weights_file
from poets_edge.nets.architectures import architecture
from poets_edge.nets.codelab_weights import _signature, read_codelab_weights
from poets_edge.nets.graphdef import empty_graph, operation, placeholder, serialize
from poets_edge.nets.keras_source import keras_folder
from poets_edge.nets.layers import Layer
from poets_edge.nets.pytorch_file import PytorchFileError, read_pytorch_file
from poets_edge.nets.pytorch_weights import _read
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights import EMBEDDED_FILE, find_weights, local_weights
from poets_edge.nets.weights_file import Weights
from tests.needs import need_module
from tools.fuzz import pytorch as files

SMALL = architecture("mobilenet_0.25_128")


@pytest.fixture(scope="module")
def arrays() -> list[Any]:
    with np.load(EMBEDDED_FILE) as stored:
        return [stored[f"arr_{number}"].astype(np.float32) for number in range(len(stored.files))]


def _saved(path: Path, values: dict[str, Any]) -> Weights:
    np.savez(path, **values)
    return Weights(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_npz_arrays_are_read_in_the_order_of_the_numbers_in_their_names(arrays: list[Any], tmp_path: Path) -> None:
    names = [f"arr_{number}" for number in range(len(arrays))]
    plain = read_backbone(SMALL, _saved(tmp_path / "a.npz", dict(zip(names, arrays, strict=True))))
    for order in (sorted(names), names[::-1]):
        other = read_backbone(SMALL, _saved(tmp_path / "b.npz", {name: arrays[int(name[4:])] for name in order}))
        for layer, parameters in plain.parameters.items():
            np.testing.assert_array_equal(other.parameters[layer].kernel, parameters.kernel)
            np.testing.assert_array_equal(other.parameters[layer].bias, parameters.bias)


def test_batch_norm_arrays_are_read_in_the_order_gamma_beta_mean_variance(arrays: list[Any], tmp_path: Path) -> None:
    file = _saved(tmp_path / "a.npz", {f"arr_{number}": array for number, array in enumerate(arrays)})
    found = read_backbone(SMALL, file).parameters["conv1"]
    kernel, gamma, beta, mean, variance = (array.astype(np.float64) for array in arrays[:5])
    factors = gamma / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(found.kernel, kernel * factors, rtol=1e-5)
    np.testing.assert_allclose(found.bias, beta - mean * factors, rtol=1e-4, atol=1e-5)
    second = read_backbone(SMALL, file).parameters["conv_dw_1"]
    kernel, gamma, beta, mean, variance = (array.astype(np.float64) for array in arrays[5:10])
    factors = gamma / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(second.kernel, kernel * factors[:, None], rtol=1e-5)
    np.testing.assert_allclose(second.bias, beta - mean * factors, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_arrays_that_are_not_float32_are_refused(dtype: Any, arrays: list[Any], tmp_path: Path) -> None:
    values = {f"arr_{number}": array for number, array in enumerate(arrays)}
    values["arr_7"] = values["arr_7"].astype(dtype)
    with pytest.raises(WeightsError, match=f"holds {np.dtype(dtype).name} numbers, not float32"):
        read_backbone(SMALL, _saved(tmp_path / "a.npz", values))


def test_weights_whose_name_contains_another_input_size_are_refused(arrays: list[Any], tmp_path: Path) -> None:
    values = {f"arr_{number}": array for number, array in enumerate(arrays)}
    for name, entry, accepted in (
        ("mobilenet_2_5_160_tf.npz", SMALL, False),
        ("mobilenet_2_5_128_tf.npz", SMALL, True),
        ("mobilenet_2_5_128_tf.npz", architecture("mobilenet_0.25_96"), True),
        ("other.npz", architecture("mobilenet_0.25_160"), True),
    ):
        file = _saved(tmp_path / name, values)
        if accepted:
            assert read_backbone(entry, file).size == entry.size
        else:
            with pytest.raises(WeightsError, match="by its name it was trained on pictures of 160 pixels"):
                read_backbone(entry, file)


def test_weights_that_change_while_they_are_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"first")
    file = Weights(tmp_path / "a.npz", hashlib.sha256(b"first").hexdigest())
    assert file.read() == b"first"
    (tmp_path / "a.npz").write_bytes(b"other")
    with pytest.raises(WeightsError, match="has changed while it was being read"):
        file.read()
    with pytest.raises(WeightsError, match="cannot be read"):
        Weights(tmp_path / "missing.npz", "").read()


def _archive(path: Path, *members: tuple[str, bytes, bytes]) -> Weights:
    """Write a `.tgz` with members given as (name, type, content)."""
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, content in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind, len(content)
            if kind == tarfile.SYMTYPE:
                entry.linkname, entry.size = "x/frozen_graph.pb", 0
            archive.addfile(entry, io.BytesIO(content))
    return Weights(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_first_regular_file_with_the_expected_name_is_read_from_a_weights_archive(tmp_path: Path) -> None:
    file = _archive(
        tmp_path / "a.tgz",
        ("frozen_graph.pb", tarfile.SYMTYPE, b""),
        ("frozen_graph.pb.txt", tarfile.REGTYPE, b"text"),
        ("./x/frozen_graph.pb", tarfile.REGTYPE, b"graph"),
        ("y/frozen_graph.pb", tarfile.REGTYPE, b"second"),
    )
    assert file.frozen_graph() == b"graph"
    empty = _archive(tmp_path / "b.tgz", ("other.pb", tarfile.REGTYPE, b"x"))
    with pytest.raises(WeightsError, match=r"no frozen_graph\.pb inside"):
        empty.frozen_graph()
    (tmp_path / "c.pb").write_bytes(b"plain")
    assert Weights(tmp_path / "c.pb", hashlib.sha256(b"plain").hexdigest()).frozen_graph() == b"plain"


def test_oversized_and_damaged_weights_archives_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _archive(tmp_path / "a.tgz", ("frozen_graph.pb", tarfile.REGTYPE, bytes(200_000)))
    assert len(file.frozen_graph()) == 200_000
    monkeypatch.setattr(weights_file, "_MAX_BYTES", 150_000)
    with pytest.raises(WeightsError, match="damaged archive"):
        file.frozen_graph()
    broken = gzip.compress(b"not a tar file")
    (tmp_path / "b.tgz").write_bytes(broken)
    with pytest.raises(WeightsError, match="damaged archive"):
        Weights(tmp_path / "b.tgz", hashlib.sha256(broken).hexdigest()).frozen_graph()


def test_weights_in_the_given_folder_take_precedence_over_the_keras_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    name = SMALL.weights.file
    assert keras_folder() == tmp_path / "keras/models" and local_weights(SMALL, tmp_path) is None
    (tmp_path / "keras/models").mkdir(parents=True)
    (tmp_path / "keras/models" / name).write_bytes(b"cached")
    assert local_weights(SMALL, tmp_path) == tmp_path / "keras/models" / name
    (tmp_path / "mobilenet_v1_0.25_128_frozen.tgz").write_bytes(b"codelab")
    assert local_weights(SMALL, tmp_path) == tmp_path / "mobilenet_v1_0.25_128_frozen.tgz"
    (tmp_path / name).write_bytes(b"own")
    assert local_weights(SMALL, tmp_path) == tmp_path / name
    assert find_weights(SMALL, tmp_path).digest == hashlib.sha256(b"own").hexdigest()
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert keras_folder() == tmp_path / "home/.keras/models"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://me:secret@example.org/w.h5", r"`weights` https://example\.org/w\.h5 is an address"),
        ("http://me:secret@example.org/w.h5", r"`weights` http://example\.org/w\.h5 is an address"),
        ("FTP://me:secret@example.org/w.npz", r"`weights` FTP://example\.org/w\.npz is an address"),
        ("s3://me:secret@bucket/w.h5", r"`weights` s3://bucket/w\.h5 is an address"),
        (
            "weights.bin",
            r"`weights` is imagenet, embedded, or a \.h5, \.npz, \.tgz or \.pb file for mobilenet_0\.25_128",
        ),
    ],
)
def test_error_for_an_invalid_source_of_weights_explains_which_sources_are_accepted(
    source: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        find_weights(SMALL, tmp_path, source)
    assert "secret" not in str(raised.value)


def test_checksum_and_file_type_of_downloaded_weights_are_verified(tmp_path: Path) -> None:
    content = b"\x89HDF\r\n\x1a\n" + b"weights"
    (tmp_path / "w").write_bytes(content)
    fault = weights_module._fault
    assert fault(tmp_path / "w", "") is None and fault(tmp_path / "w", hashlib.md5(content).hexdigest()) is None
    assert "MD5" in (fault(tmp_path / "w", hashlib.md5(b"other").hexdigest()) or "")
    (tmp_path / "w").write_bytes(b"<html>")
    assert "proxy" in (fault(tmp_path / "w", "") or "")


VALUES = np.arange(24, dtype=np.float32)


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "message"),
    [
        ((4, 6), (6, 1), 1, "reaches beyond its storage"),
        ((4, 6), (6,), 0, "has a malformed shape"),
        ((4, 6), (-6, 1), 23, ".*malformed.*"),
        ((0, 6), (6, 1), 0, "reaches beyond its storage"),
        ((25,), (0,), 0, "reaches beyond its storage"),
        ((2,), (24,), 0, "reaches beyond its storage"),
        ((24,), (1,), 0, ""),
        ((2,), (23,), 0, ""),
    ],
)
def test_pytorch_tensors_that_extend_beyond_their_storage_are_refused(
    shape: tuple[int, ...], strides: tuple[int, ...], offset: int, message: str
) -> None:
    content = files.file({"a": files.tensor("0", 24, offset, shape, strides)}, {"0": VALUES})
    if message:
        with pytest.raises(PytorchFileError, match=f"^a {message}$"):
            read_pytorch_file(content)
    else:
        assert read_pytorch_file(content)["a"].read().shape == shape


def test_pytorch_storages_of_an_unexpected_size_are_refused() -> None:
    """The storage contains 24 values, but the tensor states 20 or 25, or refers to another storage."""
    for count in (20, 25):
        content = files.file({"a": files.tensor("0", count, 0, (4,), (1,))}, {"0": VALUES, "1": VALUES})
        with pytest.raises(PytorchFileError, match=r"truncated, or a storage|that no tensor"):
            read_pytorch_file(content)
    content = files.file({"a": files.tensor("0", 20, 0, (4,), (1,))}, {"0": VALUES}) + bytes(400)
    with pytest.raises(PytorchFileError, match="whose size differs from that of its tensors"):
        read_pytorch_file(content)
    content = files.file({"a": files.tensor("1", 24, 0, (4,), (1,))}, {})
    with pytest.raises(PytorchFileError, match="no values for storage '1'"):
        read_pytorch_file(content)


def test_layer_signatures_include_every_attribute_that_affects_the_output() -> None:
    layer = Layer("a", "convolution", ("input",), 4, (3, 2), 2, "SAME", "relu6")
    others = [
        Layer("a", "depthwise", ("input",), 4, (3, 2), 2, "SAME", "relu6"),
        Layer("a", "convolution", ("input",), 5, (3, 2), 2, "SAME", "relu6"),
        Layer("a", "convolution", ("input",), 4, (2, 3), 2, "SAME", "relu6"),
        Layer("a", "convolution", ("input",), 4, (3, 2), 1, "SAME", "relu6"),
        Layer("a", "convolution", ("input",), 4, (3, 2), 2, "VALID", "relu6"),
        Layer("a", "convolution", ("input",), 4, (3, 2), 2, "SAME", "relu"),
    ]
    assert _signature(layer) not in map(_signature, others) and len(set(map(_signature, others))) == 6
    assert _signature(layer) == _signature(Layer("b", "convolution", ("c",), 4, (3, 2), 2, "SAME", "relu6", True, True))


def test_missing_tensors_and_tensors_of_unexpected_type_or_shape_are_refused() -> None:
    content = files.file(
        {
            "a": files.tensor("0", 24, 0, (4, 6), (6, 1)),
            "b": files.tensor("1", 24, 0, (4, 6), (6, 1), kind="LongStorage"),
        },
        {"0": VALUES, "1": np.arange(24, dtype=np.int64)},
    )
    tensors = read_pytorch_file(content)
    assert _read(tensors, "a", (4, 6)).dtype == np.float32
    for name, shape, message in (
        ("b", (4, 6), r"b is \[4, 6\] of int64, wanted \[4, 6\] of float32"),
        ("a", (6, 4), r"a is \[4, 6\] of float32, wanted \[6, 4\]"),
        ("c", (4, 6), "no c"),
    ):
        with pytest.raises(WeightsError, match=message):
            _read(tensors, name, shape)


def test_virtual_datasets_of_hdf5_files_are_refused(arrays: list[Any], tmp_path: Path) -> None:
    """They would be read from another file."""
    h5py = need_module("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = arrays[0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        layout = h5py.VirtualLayout(arrays[0].shape, np.float32)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "values", arrays[0].shape)
        file.attrs["layer_names"] = [b"conv1"]
        group = file.create_group("conv1")
        group.attrs["weight_names"] = [b"kernel"]
        group.create_virtual_dataset("kernel", layout)
    content = (tmp_path / "a.h5").read_bytes()
    with pytest.raises(WeightsError, match="/conv1/kernel lies in another file"):
        read_backbone(SMALL, Weights(tmp_path / "a.h5", hashlib.sha256(content).hexdigest()))


def test_external_datasets_of_hdf5_files_are_refused(arrays: list[Any], tmp_path: Path) -> None:
    """Their values are in a raw file next to the HDF5 file, or anywhere else."""
    h5py = need_module("h5py")
    (tmp_path / "raw.bin").write_bytes(arrays[0].tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv1"]
        group = file.create_group("conv1")
        group.attrs["weight_names"] = [b"kernel"]
        raw = [(str(tmp_path / "raw.bin"), 0, h5py.h5f.UNLIMITED)]
        group.create_dataset("kernel", arrays[0].shape, arrays[0].dtype, external=raw)
    content = (tmp_path / "a.h5").read_bytes()
    with pytest.raises(WeightsError, match="/conv1/kernel lies in another file"):
        read_backbone(SMALL, Weights(tmp_path / "a.h5", hashlib.sha256(content).hexdigest()))


def test_first_kernel_of_a_gray_network_is_weighted_by_luma(arrays: list[Any], tmp_path: Path) -> None:
    file = _saved(tmp_path / "a.npz", {f"arr_{number}": array for number, array in enumerate(arrays)})
    gray = read_backbone(architecture("mobilenet_0.25_128_gray"), file)
    plain = read_backbone(SMALL, file)
    kernel, expected = gray.parameters["conv1"].kernel, plain.parameters["conv1"].kernel.sum(axis=2, keepdims=True)
    luma = np.array([0.299, 0.587, 0.114])[:, None]
    np.testing.assert_allclose(kernel, expected * luma, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(kernel.sum(axis=2), expected[:, :, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(128, 96), (96, 128), (160, 160)])
def test_graphs_of_the_codelab_for_another_input_size_are_refused(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = empty_graph()
    graph.node.append(placeholder("input", (1, *size, 3)))
    graph.node.append(operation("MobilenetV1/Logits/AvgPool_1a/AvgPool", "AvgPool", ["input"]))
    monkeypatch.setattr(Weights, "frozen_graph", lambda self: serialize(graph))
    with pytest.raises(WeightsError, match=rf"takes pictures of \[{size[0]}, {size[1]}\] pixels"):
        read_codelab_weights(SMALL, Weights(Path("a.pb"), ""))


def test_error_for_an_unsuitable_hdf5_file_describes_the_file(tmp_path: Path) -> None:
    h5py = need_module("h5py")
    for entries, message in (
        ((), "holds 'nothing', which is none of Keras's arrays"),
        (("layers",), r"in the format of Keras 3 \(\.weights\.h5\)"),
        (("a.running_mean",), "holds 'a.running_mean', so it is PyTorch's"),
    ):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for entry in entries:
                file.create_group(entry)
        content = (tmp_path / "a.h5").read_bytes()
        with pytest.raises(WeightsError, match=message):
            read_backbone(SMALL, Weights(tmp_path / "a.h5", hashlib.sha256(content).hexdigest()))
