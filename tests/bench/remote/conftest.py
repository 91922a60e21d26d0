"""Fixtures for a device that is reached through a real sshd on the loopback address."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from poets_edge.bench.remote.on_device.own_folder import OwnFolder
from tests.bench.remote.sshd import SshServer, ssh_configured, ssh_server
from tests.conftest import ROOT, poets_edge


@dataclass(frozen=True)
class FlowerModel:
    """A model as a float32 file and an int8 file, and the labeled photos that it was trained on."""

    float32: Path
    int8: Path
    photos: Path


PROBE = ROOT / "poets_edge/tflite/probe.tflite"
QUICK = ("--threads", "1", "--min-seconds", "0.1", "--min-runs", "5", "--rounds", "2")


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A device named `pi` with an ordinary shell and an empty home folder."""
    with ssh_server(tmp_path_factory.mktemp("pi"), "pi") as server:
        yield server


@pytest.fixture
def pi(device: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """The device `pi`, which ssh is configured to reach. The local cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with ssh_configured(tmp_path, device):
        yield device


@pytest.fixture(scope="session")
def flower_model(tmp_path_factory: pytest.TempPathFactory) -> FlowerModel:
    """A small model that was trained on generated photos of flowers, and these photos."""
    folder = tmp_path_factory.mktemp("drawn")
    poets_edge("draw-photos", "photos", "--per_class", "4", "--quiet", cwd=folder).ok()
    embedded = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128", "--folds", "0")
    split = ("--testing_percentage", "40", "--how_many_training_steps", "100")
    poets_edge("train", "--image_dir", "photos", *embedded, *split, "--quiet", cwd=folder).ok()
    poets_edge("export", "--quantize", "float32", "--quantize", "int8", "--quiet", cwd=folder).ok()
    tf_files = folder / "tf_files"
    return FlowerModel(tf_files / "retrained_graph.tflite", tf_files / "retrained_graph_int8.tflite", folder / "photos")


def share_packages(from_home: Path, to_home: Path, folder: str = ".cache") -> None:
    """Copy the packages from one home folder to another home folder, to avoid a download.

    Args:
        folder: parent of the program's folder in the destination home folder.
    """
    own = OwnFolder(str(to_home / folder / "poets-edge"))
    own.open(adopt=False)
    own.close()
    packages = Path(own.path, "packages")
    shutil.copytree(from_home / ".cache/poets-edge/packages", packages, copy_function=os.link)
