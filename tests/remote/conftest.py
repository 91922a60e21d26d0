"""A device to log in to: a real sshd on the loopback address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.remote.sshd import SshServer, ssh_configured, ssh_server

PROBE = ROOT / "poets_edge/edge/probe.tflite"
QUICK = ("--threads", "1", "--min-seconds", "0.1", "--min-runs", "5", "--rounds", "2")


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A device called `pi` with an ordinary shell. Its home folder is empty at first."""
    with ssh_server(tmp_path_factory.mktemp("pi"), "pi") as server:
        yield server


@pytest.fixture
def pi(device: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """The same, as a host that ssh knows; what is kept on this side starts empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with ssh_configured(tmp_path, device):
        yield device


def share_packages(from_home: Path, to_home: Path) -> None:
    """Spare another home the download: the packages there, as if they had been installed."""
    (to_home / ".cache/poets-edge").mkdir(parents=True)
    (to_home / ".cache/poets-edge/packages").symlink_to(from_home / ".cache/poets-edge/packages")
