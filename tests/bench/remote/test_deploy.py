"""`deploy`: a service on a device behind a real sshd, in a real systemd."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.installation import install
from poets_edge.bench.remote.systemd_unit import quoted
from tests.bench.remote.conftest import PROBE, FlowerModel
from tests.bench.remote.sshd import SshServer, ssh_configured, ssh_server
from tests.bench.remote.systemd import user_systemd
from tests.conftest import Ran, poets_edge


@dataclass(frozen=True)
class Box:
    """A device with systemd, and how it is called."""

    home: Path
    shell: tuple[str, ...]

    def run(self, *command: str) -> str:
        words = [*self.shell[:-2], *command]
        return subprocess.run(words, capture_output=True, text=True, env={"HOME": str(self.home)}).stdout.strip()

    @property
    def state(self) -> str:
        return self.run("systemctl", "--user", "is-active", "poets-edge-watch")


@pytest.fixture
def box(pi: SshServer, tmp_path: Path) -> Iterator[Box]:
    """A device called `box`, whose home folder has a blank, a `%`, a `$` and an umlaut in its name."""
    with Connection("pi") as connection:
        device = install(connection)
    home = tmp_path / "Jörgs 100% $HOME"
    with user_systemd(tmp_path / "systemd", home) as shell:
        (home / ".local/share/poets-edge").mkdir(parents=True)
        shutil.copytree(f"{device.folder}/packages", home / ".local/share/poets-edge/packages", symlinks=True)
        with (
            ssh_server(tmp_path / "box", "box", shell=shell, home=home) as server,
            ssh_configured(tmp_path, server),
        ):
            yield Box(home, shell)


def test_deploy_replace_and_remove(box: Box, flower_model: FlowerModel) -> None:
    endless = box.home / "endless.mjpeg"
    subprocess.run(["mkfifo", endless], check=True)
    feeder = subprocess.Popen(
        ["sh", "-c", 'while true; do cat "$1"/*/*.jpg; sleep 0.2; done > "$2"', "sh", flower_model.photos, endless]
    )
    try:
        options = ("--source", endless, "--smooth", "1", "--on-label", "daisy", "--run", 'touch "{}/100% $HOME"')
        ran = _deploy(flower_model, *options)
        assert "(score = " in ran.stdout and "deploy --on box --remove" in ran.stdout
        assert box.state == "active"
        assert box.run("systemctl", "--user", "is-enabled", "poets-edge-watch") == "enabled"
        unit = box.home / ".config/systemd/user/poets-edge-watch.service"
        verified = subprocess.run(["systemd-analyze", "--user", "verify", unit], capture_output=True, text=True)
        assert "poets-edge" not in verified.stderr, verified.stderr

        pid = box.run("systemctl", "--user", "show", "-p", "MainPID", "--value", "poets-edge-watch")
        again = _deploy(flower_model, "--source", endless, "--every-frame")
        assert "installing" not in again.stderr
        assert "--every-frame" in unit.read_text() and "--on-label" not in unit.read_text()
        assert box.run("systemctl", "--user", "show", "-p", "MainPID", "--value", "poets-edge-watch") != pid

        poets_edge("deploy", "--on", "box", "--remove").ok()
        assert box.state == "inactive" and not unit.exists()
        assert not (box.home / ".local/share/poets-edge").exists(), "all of it is gone"
        assert "nothing is deployed" in poets_edge("deploy", "--on", "box", "--remove").ok().stderr
    finally:
        feeder.kill()
        feeder.wait()


def _deploy(flower_model: FlowerModel, *options: str | Path) -> Ran:
    return poets_edge("deploy", flower_model.int8, "--on", "box", *options).ok()


def test_a_service_that_cannot_start_says_why(box: Box, flower_model: FlowerModel) -> None:
    ran = poets_edge("deploy", flower_model.int8, "--on", "box", "--source", box.home / "nothing here")
    ran.failed("box: the service ends as soon as it is started", "nothing here", "--remove")


def test_bad_input(pi: SshServer, flower_model: FlowerModel) -> None:
    model = flower_model.int8
    poets_edge("deploy", "--on", "pi").failed("no model")
    poets_edge("deploy", PROBE, "--on", "pi").failed("probe.tflite", "label")
    poets_edge("deploy", model, "--on", "pi", "--on-label", "daisy").failed("--run")
    poets_edge("deploy", model, "--on", "pi", "--on-label", "orchid", "--run", "true").failed("orchid", "daisy")
    poets_edge("deploy", model, "--on", "nobody.invalid").failed("nobody.invalid: ssh cannot log in")
    assert poets_edge("deploy", model).status == 2


def test_quoting_is_systemds() -> None:
    assert quoted('50 % "of" \\ $HOME') == '"50 %% \\"of\\" \\\\ $HOME"'
    assert quoted("$HOME", expanded=True) == '"$$HOME"'
