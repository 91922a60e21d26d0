"""Tests of `deploy`: a service on a device behind a real sshd, in a real systemd."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.installation import install
from poets_edge.bench.remote.systemd_unit import quoted
from tests.bench.remote.conftest import PROBE, FlowerModel, share_packages
from tests.bench.remote.sshd import SshServer, ssh_configured, ssh_server
from tests.bench.remote.systemd import user_systemd
from tests.conftest import Ran, poets_edge
from tests.decoy import Decoy
from tests.device.watch.broker import LOGIN, broker, received


@dataclass(frozen=True)
class Box:
    """A device with systemd, and the shell that runs commands on it."""

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
    """A device named `box`, whose home folder has a blank, a `%`, a `$` and an umlaut in its name."""
    with Connection("pi") as connection:
        install(connection)
    home = tmp_path / "Jörgs 100% $HOME"
    with user_systemd(tmp_path / "systemd", home) as shell:
        share_packages(pi.home, home, ".local/share")
        with (
            ssh_server(tmp_path / "box", "box", shell=shell, home=home) as server,
            ssh_configured(tmp_path, server),
        ):
            yield Box(home, shell)


@contextlib.contextmanager
def feeding(stream: Path, photos: Path) -> Iterator[Path]:
    """Write photos to a named pipe indefinitely."""
    subprocess.run(["mkfifo", stream], check=True)
    script = 'while true; do cat "$1"/*/*.jpg; sleep 0.2; done > "$2"'
    feeder = subprocess.Popen(["sh", "-c", script, "sh", photos, stream])
    try:
        yield stream
    finally:
        feeder.kill()
        feeder.wait()


def test_deploy_replaces_and_removes_a_service(box: Box, flower_model: FlowerModel) -> None:
    with feeding(box.home / "endless.mjpeg", flower_model.photos) as endless:
        options = ("--source", endless, "--smooth", "1", "--on-label", "daisy", "--run", 'touch "{}/100% $HOME"')
        ran = _deploy(flower_model, *options)
        assert "(score = " in ran.stdout
        assert box.state == "active"
        assert box.run("systemctl", "--user", "is-enabled", "poets-edge-watch") == "enabled"
        unit = box.home / ".config/systemd/user/poets-edge-watch.service"
        verified = subprocess.run(["systemd-analyze", "--user", "verify", unit], capture_output=True, text=True)
        assert "poets-edge" not in verified.stderr, verified.stderr

        pid = box.run("systemctl", "--user", "show", "-p", "MainPID", "--value", "poets-edge-watch")
        odd = box.home / os.fsdecode(b'caf\xe9 \r\n100% "$HOME"\\.tflite')
        odd.write_bytes(flower_model.int8.read_bytes())
        again = poets_edge("deploy", odd, "--on", "box", "--source", endless, "--every-frame").ok()
        assert "(score = " in again.stdout and "\r\n100%" not in again.stderr
        assert "installing" not in again.stderr
        assert "--every-frame" in unit.read_text() and "--on-label" not in unit.read_text()
        assert box.run("systemctl", "--user", "show", "-p", "MainPID", "--value", "poets-edge-watch") != pid

        run_undo_line(ran)
        assert box.state == "inactive" and not unit.exists()
        assert not unit.is_symlink() and not (box.home / ".local/share/poets-edge").exists(), "all of it is gone"
        assert "nothing is deployed" in poets_edge("deploy", "--on", "box", "--remove").ok().stderr


def run_undo_line(ran: Ran) -> Ran:
    """Run the undo command printed by `deploy` verbatim."""
    [line] = [line for line in ran.stdout.splitlines() if line.startswith("Undo it:")]
    program, *arguments = shlex.split(line.removeprefix("Undo it:"))
    assert program == "poets-edge"
    return poets_edge(*arguments).ok()


def _deploy(flower_model: FlowerModel, *options: str | Path) -> Ran:
    return poets_edge("deploy", flower_model.int8, "--on", "box", *options).ok()


def test_deploy_publishes_to_a_broker_with_a_private_login(box: Box, flower_model: FlowerModel, tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text(":".join(LOGIN))
    login.chmod(0o600)
    (tmp_path / "broker").mkdir()
    with (
        broker(tmp_path / "broker", login=True) as port,
        feeding(box.home / "endless.mjpeg", flower_model.photos) as endless,
    ):
        mqtt = ("--mqtt", f"mqtt://127.0.0.1:{port}", "--mqtt-name", "50 % of $HOME", "--mqtt-login", login)
        ran = _deploy(flower_model, "--source", endless, "--", *mqtt)
        discovery = "homeassistant/sensor/poets_edge_50-of-HOME/label/config"
        messages = received(port, lambda found: found.keys() >= {"poets-edge/50-of-HOME/state", discovery}, login=LOGIN)
        assert messages["poets-edge/50-of-HOME/status"] == b"online"
        assert json.loads(messages[discovery])["state_topic"] == "poets-edge/50-of-HOME/state"
        [secret] = (box.home / ".local/share/poets-edge/secrets").iterdir()
        assert stat.S_IMODE(secret.stat().st_mode) == 0o700
        assert stat.S_IMODE((secret / "mqtt-login.txt").stat().st_mode) == 0o600
        unit = (box.home / ".config/systemd/user/poets-edge-watch.service").read_text()
        assert LOGIN[1] not in unit
        run_undo_line(ran)
        assert not (box.home / ".local/share/poets-edge").exists()
        received(port, lambda found: found.get("poets-edge/50-of-HOME/status") == b"offline", login=LOGIN)
    (tmp_path / "empty").touch()
    bad = ("--mqtt", "mqtt://127.0.0.1", "--mqtt-login", tmp_path / "empty")
    poets_edge("deploy", flower_model.int8, "--on", "box", *bad).failed("--mqtt-login", "user:password")


def test_deploy_fetches_the_frames_that_its_service_collects(
    box: Box, flower_model: FlowerModel, tmp_path: Path
) -> None:
    with feeding(box.home / "endless.mjpeg", flower_model.photos) as endless:
        _deploy(flower_model, "--source", endless, "--collect", "unsure", "--below", "1", "--smooth", "1")
        end = time.monotonic() + 30
        while not list(box.home.glob("unsure/*/collected-*.jpg")) and time.monotonic() < end:
            time.sleep(0.2)
        poets_edge("deploy", "--on", "box", "--fetch", tmp_path / "here").ok()
        fetched = [path.relative_to(tmp_path / "here") for path in (tmp_path / "here").glob("*/*.jpg")]
        assert fetched and all((box.home / "unsure" / path).is_file() for path in fetched)
        _deploy(flower_model, "--source", endless)
        poets_edge("deploy", "--on", "box", "--fetch", tmp_path / "here").failed("saves no frames", "--collect")


def test_deploy_reports_why_a_service_does_not_start(box: Box, flower_model: FlowerModel) -> None:
    ran = poets_edge("deploy", flower_model.int8, "--on", "box", "--source", box.home / "nothing here")
    ran.failed("box: the service ends as soon as it is started", "nothing here", "--remove")


def test_deploy_rejects_invalid_arguments(pi: SshServer, flower_model: FlowerModel) -> None:
    model = flower_model.int8
    poets_edge("deploy", "--on", "pi").failed("no model")
    poets_edge("deploy", PROBE, "--on", "pi").failed("probe.tflite", "label")
    poets_edge("deploy", model, "--on", "pi", "--on-label", "daisy").failed("--run")
    poets_edge("deploy", model, "--on", "pi", "--on-label", "orchid", "--run", "true").failed("orchid", "daisy")
    poets_edge("deploy", model, "--on", "pi", "--", "--on-label", "orchid", "--run", "x").failed("orchid", "daisy")
    poets_edge("deploy", model, "--on", "pi", "--", "--every-frame", "--remove").failed("--remove", "before --")
    poets_edge("deploy", model, "--on", "nobody.invalid").failed("nobody.invalid: ssh cannot log in")
    assert poets_edge("deploy", model).status == 2


def test_arguments_in_a_unit_file_are_quoted_by_the_rules_of_systemd() -> None:
    assert quoted("a\r\nb") == '"a\\x0d\\x0ab"'
    assert quoted('50 % "of" \\ $HOME') == '"50 %% \\"of\\" \\\\ $HOME"'
    assert quoted("$HOME", expanded=True) == '"$$HOME"'


def test_deploy_keeps_services_of_two_folders_separate_and_preserves_user_files(
    box: Box, pi: SshServer, flower_model: FlowerModel
) -> None:
    own, other = box.home / "mine: not this", box.home / "the card's folder"
    for place in (box.home, other):
        share_packages(pi.home, place, "")
    decoys = Decoy()
    decoys.plant(box.home)
    decoys.plant(other)
    with (
        feeding(box.home / "1.mjpeg", flower_model.photos) as one,
        feeding(box.home / "2.mjpeg", flower_model.photos) as two,
    ):
        first = _deploy(flower_model, "--source", one, "--remote-dir", box.home)
        second = _deploy(flower_model, "--source", two, "--remote-dir", other)
        services = [run.stdout.split("journalctl -t ")[1].split()[0] for run in (first, second)]
        assert len({*services, "poets-edge-watch"}) == 3
        decoys.plant_everywhere(box.home / "poets-edge")
        ran = run_undo_line(first)
        assert "not removed, because the program did not create it" in ran.stderr
        assert [box.run("systemctl", "--user", "is-active", name) for name in services] == ["inactive", "active"]
        run_undo_line(second)
        assert box.run("systemctl", "--user", "is-active", services[1]) == "inactive"
        assert not (other / "poets-edge").exists() and decoys.changed() == []
        poets_edge("deploy", flower_model.int8, "--on", "box", "--remote-dir", own).failed("':'", "--remote-dir")


def test_unit_of_another_program_is_neither_replaced_nor_removed(box: Box, flower_model: FlowerModel) -> None:
    unit = box.home / ".config/systemd/user/poets-edge-watch.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("# Written by: poets-edge deploy, long ago\n[Service]\nExecStart=/bin/sleep 1000\n")
    ran = poets_edge("deploy", flower_model.int8, "--on", "box", "--source", box.home)
    ran.failed("poets-edge-watch.service is there already", "systemctl --user disable --now")
    older = box.home / "old/program/0123456789abcdef/poets_edge/__init__.py"
    older.parent.mkdir(parents=True)
    older.touch()
    (box.home / "old/deployed.json").write_text("{}")
    ran = poets_edge("deploy", "--on", "box", "--remote-dir", "old", "--remove").ok()
    assert "an older version created it" in ran.stderr and "disable --now poets-edge-watch" in ran.stderr
    assert older.exists()
    not_utf8 = ("--source", box.home / os.fsdecode(b"caf\xe9"))
    poets_edge("deploy", flower_model.int8, "--on", "box", *not_utf8).failed("systemd takes only text that is UTF-8")
    poets_edge("deploy", "--on", "box", "--remove").ok()
    assert "long ago" in unit.read_text()
    assert not (box.home / ".local/share/poets-edge").exists()
