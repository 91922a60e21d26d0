"""Tests of unsuitable weights files."""

from __future__ import annotations

import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from poets_edge.errors import WeightsError
from poets_edge.nets.architectures import architecture
from poets_edge.nets.read_weights import read_backbone
from poets_edge.nets.weights import EMBEDDED_FILE, find_weights
from tests.conftest import poets_edge

Arrays = list[Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two classes of one photo each; the tested runs fail before they read the photos."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a", "b"):
        (folder / name).mkdir()
        Image.new("RGB", (8, 8)).save(folder / name / "1.jpg")
    return folder


def arrays() -> Arrays:
    """Return the embedded weights as float32, in Keras's order."""
    with np.load(EMBEDDED_FILE) as stored:
        return [stored[f"arr_{index}"].astype(np.float32) for index in range(len(stored.files))]


def hdf5(path: Path, values: Arrays) -> None:
    """Write weights to an HDF5 file as Keras does, with one layer per kernel and one per batch norm."""
    with h5py.File(path, "w") as file:
        names = []
        for index in range(0, len(values), 5):
            pair = {f"conv_{index}": values[index : index + 1], f"bn_{index}": values[index + 1 : index + 5]}
            for name, part in pair.items():
                if part:
                    group = file.create_group(name)
                    names.append(name)
                    group.attrs["weight_names"] = [f"{name}/w{number}".encode() for number in range(len(part))]
                    for number, array in enumerate(part):
                        group.create_dataset(f"{name}/w{number}", data=array)
        file.attrs["layer_names"] = [name.encode() for name in names]


def npz(path: Path, values: Arrays) -> None:
    np.savez(path, *values)


def with_top(values: Arrays) -> Arrays:
    return [*values, np.zeros((1, 1, 256, 1000), np.float32), np.zeros(1000, np.float32)]


def not_finite(values: Arrays) -> Arrays:
    values[2][3] = np.nan
    return values


def pytorch(path: Path) -> None:
    state: dict[str, Any] = {"model.0.0.weight": np.zeros((8, 3, 3, 3))}
    np.savez(path, **state)


CASES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "half precision": ("w.h5", lambda path: hdf5(path, [a.astype(np.float16) for a in arrays()]), "float16"),
    "a top": ("w.h5", lambda path: hdf5(path, with_top(arrays())), "classifier"),
    "transposed": ("w.npz", lambda path: npz(path, [a.transpose() for a in arrays()]), "transposed"),
    "another width": ("w.npz", lambda path: npz(path, [np.repeat(a, 2, -1) for a in arrays()]), "width 0.50"),
    "another size": ("mobilenet_2_5_160_tf_no_top.h5", lambda path: hdf5(path, arrays()), "160 pixels"),
    "another network": ("w.npz", lambda path: npz(path, [np.zeros((7, 7, 3, 64), np.float32)]), "[7, 7, 3, 64]"),
    "not finite": ("w.npz", lambda path: npz(path, not_finite(arrays())), "conv1 holds numbers that are not finite"),
    "PyTorch": ("w.npz", pytorch, "PyTorch"),
    "no arrays": ("w.h5", lambda path: h5py.File(path, "w").close(), "holds 'nothing'"),
    "text": ("w.h5", lambda path: path.write_text("<html>"), "damaged, or no weights file"),
}


@pytest.mark.parametrize("case", CASES)
def test_train_describes_the_content_of_unsuitable_weights_files(case: str, photos: Path, tmp_path: Path) -> None:
    name, make, said = CASES[case]
    make(tmp_path / name)
    ran = poets_edge("train", photos, "--architecture", "mobilenet_0.25_128", "--weights", name, cwd=tmp_path)
    ran.failed(name, said)
    assert not list(tmp_path.rglob("*.tflite"))


@pytest.mark.parametrize("name", ["w.h5", "w.npz"])
def test_train_refuses_truncated_weights(name: str, photos: Path, tmp_path: Path) -> None:
    {"w.h5": hdf5, "w.npz": npz}[name](tmp_path / name, arrays())
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    ran = poets_edge("train", photos, "--architecture", "mobilenet_0.25_128", "--weights", name, cwd=tmp_path)
    ran.failed(name, "damaged")


class Trap:
    """Object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(self._path),)


def test_read_backbone_runs_no_code_in_a_pickle(tmp_path: Path) -> None:
    trap, trapped = tmp_path / "trap", architecture("mobilenet_0.25_128")
    np.savez(tmp_path / "w.npz", *arrays()[:-1], np.array([Trap(trap)], object))
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": Trap(trap)}))
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps({"a": Trap(trap)}))
    for name in ("w.npz", "w.pth", "zip.pth"):
        chosen = architecture("efficientnet_lite0_128") if name.endswith("pth") else trapped
        with pytest.raises(WeightsError, match=name):
            read_backbone(chosen, find_weights(chosen, tmp_path, str(tmp_path / name)))
        assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap)))
    assert trap.exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_read_backbone_does_not_follow_links_in_an_archive(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "secret.pb").write_bytes(b"secret")
    with tarfile.open(tmp_path / "w.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("m/frozen_graph.pb")
        member.type, member.linkname = kind, str(tmp_path / "secret.pb")
        archive.addfile(member)
    chosen = architecture("mobilenet_0.25_128")
    with pytest.raises(WeightsError, match=r"w\.tgz"):
        read_backbone(chosen, find_weights(chosen, tmp_path, str(tmp_path / "w.tgz")))


def test_export_refuses_to_calibrate_int8_with_blank_photos(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (64, 64)).save(tmp_path / f"photos/{label}/{number}.png")
    embedded = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
    poets_edge("train", "photos", *embedded, "--how_many_training_steps", "1", "--quiet", cwd=tmp_path).ok()
    poets_edge("export", "--quantize", "int8", "--quiet", cwd=tmp_path).failed("all of one color", "--image-dir")
