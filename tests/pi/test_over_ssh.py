"""Tests of `--on` with Raspberry Pi systems: a real sshd whose login shell is an emulated system.

The 32-bit system is reached through the sshd of the 64-bit system (ProxyJump). The tests check the total duration, and
that times measured on an emulator are marked.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from poets_edge.core.parallel import cores
from tests.bench.remote.conftest import QUICK, FlowerModel, flower_model
from tests.bench.remote.sshd import SshServer, ssh_configured, ssh_server
from tests.conftest import poets_edge
from tests.frames import exact_photos
from tests.needs import missing
from tests.venvs import CACHE, cache_to_ourselves
from tools.pi.boards import ImpossibleError
from tools.pi.emulation import pretend_cpu, usual_cpu
from tools.pi.root import system

pytestmark = pytest.mark.timeout(1500)

__all__ = ["flower_model"]

HOME = "home/pi"
LONGEST = 180
"""Maximum duration of installation and measurement, in seconds."""


@pytest.fixture(scope="module")
def roots() -> Iterator[dict[str, Path]]:
    with cache_to_ourselves():
        try:
            yield {name: system(name, CACHE / "pi") for name in ("arm64", "armhf")}
        except ImpossibleError as error:
            missing(f"no Raspberry Pi can be emulated here: {error}")


def _shell(root: Path, name: str) -> tuple[str, ...]:
    """Return the login shell, which runs in the emulated system."""
    pretend_cpu(root, name, usual_cpu(name))
    if not (root / "usr/bin/sh").exists():
        (root / "usr/bin/sh").symlink_to("busybox")
    settings = ("HOME=/home/pi", "PATH=/usr/bin:/bin", f"QEMU_CPU={usual_cpu(name)}")
    return ("/usr/bin/env", "-i", *settings, "/usr/sbin/chroot", str(root), "/bin/sh", "-c")


@pytest.fixture
def pis(roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, SshServer]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    servers: dict[str, SshServer] = {}
    with ExitStack() as stack:
        for name, root in roots.items():
            shutil.rmtree(root / HOME / ".cache", ignore_errors=True)
            jump = servers.get("arm64")
            server = ssh_server(tmp_path / name, name, shell=_shell(root, name), home=tmp_path, jump=jump)
            servers[name] = stack.enter_context(server)
        stack.enter_context(ssh_configured(tmp_path, *servers.values()))
        yield servers


@pytest.mark.parametrize("name", ["arm64", "armhf"])
def test_benchmark_on_emulated_pi_installs_and_measures(
    name: str, pis: dict[str, SshServer], roots: dict[str, Path], flower_model: FlowerModel, tmp_path: Path
) -> None:
    exact_photos(flower_model.photos, 1, tmp_path / "photos")
    began = time.monotonic()
    judged = ("--image_dir", tmp_path / "photos", "--set", "all", "--output", tmp_path / "pi.json")
    ran = poets_edge("benchmark", flower_model.int8, *QUICK, "--on", name, *judged).ok()
    seconds = time.monotonic() - began
    assert seconds < LONGEST or os.getloadavg()[0] > 2 * cores(), f"{seconds:.0f} s on a machine that had time"
    result = json.loads((tmp_path / "pi.json").read_text())
    assert result["machine"]["emulated"] is True
    assert ran.stdout.startswith(f"{name}: emulated ")
    assert "this is an emulator" in ran.stderr
    assert result["machine"]["interpreter"] == {"arm64": "ai_edge_litert", "armhf": "tflite_runtime"}[name]
    checked = result["results"][0]["accuracy"]["checked"]
    assert checked["photos"] == 5
    if name == "arm64":
        assert checked["difference"] == 0 and checked["agreement"] == 1
    installed = {path.name for path in next((roots[name] / HOME / ".cache/poets-edge/packages").iterdir()).iterdir()}
    assert ("numpy" in installed) is (name == "arm64"), "on 32 bits numpy is Debian's"
