"""Tests of `benchmark --on`: measurements on a device behind a real sshd."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.remote import installation
from poets_edge.bench.remote.answers import Facts
from poets_edge.bench.remote.connection import Connection
from poets_edge.bench.remote.ssh import SSH_VARIABLE
from tests.bench.remote.conftest import PROBE, QUICK, FlowerModel, share_packages
from tests.bench.remote.sshd import SshServer, ssh_configured, ssh_server
from tests.conftest import ROOT, poets_edge
from tests.decoy import Decoy
from tests.needs import missing
from tests.programs import need_programs

LONG = ("--threads", "1", "--min-seconds", "6", "--rounds", "60")
"""Options for a measurement that takes about a minute, with one round per second."""


@pytest.fixture
def installed(pi: SshServer) -> SshServer:
    """The device with the program installed."""
    with Connection("pi") as connection:
        installation.install(connection)
    return pi


def test_benchmark_on_installs_the_program_once(pi: SshServer, tmp_path: Path) -> None:
    earlier = {path.name for path in pi.home.iterdir()}
    ran = poets_edge("benchmark", PROBE, *QUICK, "--on", "pi", "--output", tmp_path / "pi.json").ok()
    assert ran.stdout.startswith("pi: ")
    result = json.loads((tmp_path / "pi.json").read_text())
    assert result["host"] == "pi" and result["machine"]["interpreter"] == "ai_edge_litert"
    assert [len(entry["rounds"]) for entry in result["results"]] == [2]
    assert "pi is this machine" in ran.stderr and not result["machine"]["emulated"]
    folder = pi.home / ".cache/poets-edge"
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {
        "packages", "program", "models", "incoming", "cache",
    }  # fmt: skip
    assert not list((folder / "incoming").iterdir())
    assert {path.name for path in pi.home.iterdir()} - earlier <= {".cache"}, "it wrote outside of its own folder"
    assert [path.name for path in (pi.home / ".cache").iterdir()] == ["poets-edge"]

    def stamps() -> dict[Path, tuple[int, int]]:
        copied = [path for name in ("packages", "program") for path in (folder / name).rglob("*")]
        return {
            path: (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in copied
            if path.suffix not in (".pyc", ".json") and path.is_file()
        }

    before = stamps()
    with Connection("pi") as connection:
        ready = installation.install(connection)
        assert ready.run("poets_edge", "--version", line=lambda line: None, pause=60).status == 0
    assert before and stamps() == before, "a second installation copies nothing"
    again = poets_edge("benchmark", PROBE, *QUICK, "--on", "pi", "--json").ok()
    assert "installing" not in again.stderr and "copying" not in again.stderr
    assert json.loads(again.stdout)["results"][0]["latency_ms"]["median"] > 0


def test_remote_device_is_measured_under_sustained_load(installed: SshServer, tmp_path: Path) -> None:
    load = ("--sustained", "2s", "--rate", "50", "--chart", tmp_path / "c.svg", "--output", tmp_path / "s.json")
    ran = poets_edge("benchmark", PROBE, *load, "--on", "pi").ok()
    assert "probe.tflite" in ran.stdout and "Chart:" in ran.stdout and (tmp_path / "c.svg").exists()
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["host"] == "pi" and found["models"][0]["name"] == PROBE.name
    assert sum(one["seconds"] for one in found["models"][0]["windows"]) == pytest.approx(2, abs=0.7)
    poets_edge("benchmark", PROBE, *load, "--on", "pi", "--on", "other").failed("--on once")


def test_benchmark_on_preserves_user_files_in_the_folder_on_the_device(installed: SshServer) -> None:
    share_packages(installed.home, installed.home, "")
    decoy = Decoy()
    decoy.plant(installed.home)
    where = ("--on", "pi", "--remote-dir", "~")
    poets_edge("benchmark", PROBE, *QUICK, *where).ok()
    decoy.plant_everywhere(installed.home / "poets-edge")
    poets_edge("benchmark", PROBE, *QUICK, *where).ok()
    ran = poets_edge("deploy", *where, "--remove").ok()
    assert "not removed, because the program did not create it" in ran.stderr and "decoy.py" in ran.stderr
    assert decoy.changed() == []
    assert not list((installed.home / "poets-edge").rglob("*.tflite"))


def test_benchmark_on_supports_unusual_shells_and_several_devices(installed: SshServer, tmp_path: Path) -> None:
    need_programs("fish")
    noisy = ("/bin/bash", "-c", 'set -e; echo "Welcome to {}!"; printf "no line end"; eval "$1"', "bash")
    odd_home, other_home = tmp_path / "Jürgens Höme", tmp_path / "other"
    for home in (odd_home, other_home):
        share_packages(installed.home, home)
    with (
        ssh_server(tmp_path / "fish", "fishpi", shell=("/usr/bin/fish", "-c"), home=odd_home) as fish,
        ssh_server(tmp_path / "noisy", "noisypi", shell=noisy, home=other_home, jump=fish) as banner,
        ssh_configured(tmp_path, fish, banner),
    ):
        both = ("--on", "fishpi", "--on", "noisypi", "--output", tmp_path / "both.json")
        ran = poets_edge("benchmark", PROBE, *QUICK, *both).ok()
    assert "fishpi and noisypi are one machine" in ran.stderr
    rows = [line.split() for line in ran.stdout.splitlines() if line.startswith("probe.tflite")]
    assert [row[1] for row in rows] == ["fishpi", "noisypi"] * 2
    assert (odd_home / ".cache/poets-edge/models").is_dir() and (other_home / ".cache/poets-edge/models").is_dir()
    compared = poets_edge("compare", tmp_path / "both.json").ok()
    assert "fishpi" in compared.stdout and "noisypi" in compared.stdout


def test_benchmark_on_compares_scores_with_those_from_this_machine(
    installed: SshServer, flower_model: FlowerModel, tmp_path: Path
) -> None:
    photos = flower_model.photos
    models = (flower_model.float32, flower_model.int8)
    judged = ("--image_dir", photos, "--set", "all", "--on", "pi", "--output", tmp_path / "pi.json")
    ran = poets_edge("benchmark", *models, *QUICK, *judged).ok()
    assert "as here" in ran.stdout
    here = json.loads(poets_edge("evaluate", models[1], "--image_dir", photos, "--set", "all", "--json").stdout)
    found = json.loads((tmp_path / "pi.json").read_text())["results"]
    assert found[1]["accuracy"]["confusion"] == here["confusion"]
    assert found[1]["accuracy"]["checked"] == {"photos": 20, "agreement": 1.0, "difference": 0.0}
    assert found[0]["accuracy"]["agreement_with_float"] == 1.0


def test_benchmark_on_accepts_file_names_that_are_not_utf8(
    installed: SshServer, flower_model: FlowerModel, tmp_path: Path
) -> None:
    model = tmp_path / os.fsdecode(b"caf\xe9.tflite")
    labels = tmp_path / os.fsdecode(b"l\xe9.txt")
    model.write_bytes(flower_model.int8.read_bytes())
    labels.write_text("\n".join(sorted(path.name for path in flower_model.photos.iterdir())) + "\n")
    photos = tmp_path / "photos"
    for photo in flower_model.photos.glob("*/*"):
        (photos / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, photos / photo.parent.name / os.fsdecode(b"\xe9" + os.fsencode(photo.name)))
    judged = ("--image_dir", photos, "--set", "all", "--labels", labels, "--on", "pi", "--json")
    found = json.loads(poets_edge("benchmark", model, *QUICK, *judged).ok().stdout)["results"][0]
    assert found["accuracy"]["checked"] == {"photos": 20, "agreement": 1.0, "difference": 0.0}


def _of_device(home: Path, text: str = "") -> list[int]:
    """Return the processes that were started by logins to the device with the given home folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            if f"HOME={home}".encode() in environment and text.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _await(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def _rounds(cache: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in cache.glob("poets_edge/measuring/*.jsonl"))


def _start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "poets_edge", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ssh_of(process: subprocess.Popen[str]) -> int:
    found = subprocess.run(["pgrep", "-P", str(process.pid), "ssh"], check=True, capture_output=True, text=True)
    return int(found.stdout.split()[0])


def test_benchmark_on_waits_for_a_concurrent_measurement(installed: SshServer) -> None:
    first = os.open(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), os.O_RDONLY)
    try:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = _start("benchmark", PROBE, *QUICK, "--on", "pi")
        assert second.stderr is not None
        assert any("pi: another poets-edge is measuring there; waiting" in line for line in second.stderr)
        assert second.poll() is None
    finally:
        os.close(first)
    assert second.communicate(timeout=60)[0].startswith("pi: ") and second.returncode == 0


@pytest.mark.parametrize("how", ["ssh dies", "Ctrl-C"])
def test_benchmark_on_resumes_after_a_lost_connection(installed: SshServer, tmp_path: Path, how: str) -> None:
    running = _start("benchmark", PROBE, *LONG, "--on", "pi")
    _await(lambda: _rounds(tmp_path / "cache") >= 2)
    _await(lambda: _of_device(installed.home, "worker"))
    if how == "Ctrl-C":
        running.send_signal(signal.SIGINT)
    else:
        os.kill(_ssh_of(running), signal.SIGKILL)
    _, said = running.communicate(timeout=30)
    assert running.returncode == (130 if how == "Ctrl-C" else 1), said
    assert "rounds are kept; the same command continues" in said and "Traceback" not in said
    _await(lambda: not _of_device(installed.home))
    kept = _rounds(tmp_path / "cache")

    going_on = _start("benchmark", PROBE, *LONG, "--on", "pi")
    _await(lambda: _rounds(tmp_path / "cache") > kept)
    going_on.send_signal(signal.SIGINT)
    assert f"{kept} rounds were measured before" in going_on.communicate(timeout=30)[1]


def test_agent_exits_if_the_connection_is_silent(installed: SshServer) -> None:
    with Connection("pi", silence=1.5) as connection:
        time.sleep(2.5)  # heartbeats keep it alive
        assert connection.ask("facts", Facts, folder="", kind="cache", packages=[]).system == "Linux"
        _await(lambda: _of_device(installed.home))
        os.kill(connection._agent.pid, signal.SIGSTOP)
        try:
            _await(lambda: not _of_device(installed.home, "python"))
        finally:
            os.kill(connection._agent.pid, signal.SIGCONT)


def test_benchmark_on_warns_about_a_wrong_clock(
    installed: SshServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    three_years = 3 * 365.25 * 86400
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + three_years)
    ran = poets_edge("benchmark", PROBE, *QUICK, "--on", "pi", "--json").ok()
    assert "pi: its clock is 3.0 years slow" in ran.stderr
    assert json.loads(ran.stdout)["date"][:4] == str(datetime.datetime.now(datetime.timezone.utc).year)


def test_packages_are_downloaded_on_the_device_as_a_fallback(pi: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    asked = []
    ask = Connection.ask

    def refuse(self: Connection, do: str, answer: type, /, **request: Any) -> object:
        if do == "fetch":
            asked.append(request["command"])
            request["command"] = ["sh", "-c", "echo ERROR: no network >&2; exit 1"]
        return ask(self, do, answer, **request)

    monkeypatch.setattr(Connection, "ask", refuse)
    failed = poets_edge("benchmark", PROBE, *QUICK, "--on", "pi", "--remote-dir", "elsewhere")
    failed.failed("cannot be fetched here", "no network", "One of the two needs internet access")
    command = asked[0]
    assert isinstance(command, list) and "download" in command and "ai-edge-litert>=1.2" in command


def test_benchmark_on_reports_unusable_hosts_in_one_line(pi: SshServer, tmp_path: Path) -> None:
    measure = ("benchmark", PROBE, *QUICK, "--on")
    poets_edge(*measure, "pi", "--on", "pi").failed("host pi is given twice")
    poets_edge(*measure, "-oProxyCommand=touch x").failed("expected an SSH destination")
    for host in ("", "a b", "pi\r", "h" * 70_000):
        poets_edge(*measure, host).failed("expected an SSH destination")
    poets_edge(*measure, "exämple.invalid").failed("exämple.invalid: ssh cannot log in")
    poets_edge(*measure, "nobody.invalid").failed("nobody.invalid: ssh cannot log in", "nobody.invalid", "Try: ssh")
    poets_edge("benchmark", "none.tflite", "--on", "nobody.invalid").failed("none.tflite")
    poets_edge(*measure, "pi", "--remote-dir", "/sys/poets-edge").failed("pi: /sys", "--remote-dir")
    no_python = ("/usr/bin/env", "PATH=/nonexistent", "/bin/sh", "-c")
    no_shell = ("/bin/echo",)
    with (
        ssh_server(tmp_path / "1", "nopython", shell=no_python) as one,
        ssh_server(tmp_path / "2", "noshell", shell=no_shell) as two,
        ssh_configured(tmp_path, one, two),
    ):
        poets_edge(*measure, "nopython").failed("nopython: no Python 3.10 to 3.13 there", "apt install python3")
        poets_edge(*measure, "noshell").failed("noshell: ", "/bin/sh")
    stranger = pi.config.replace(f"{pi.home.parent}/key", "/dev/null")
    (tmp_path / "stranger").write_text(stranger)
    os.environ[SSH_VARIABLE] = f"ssh -F {tmp_path}/stranger"
    poets_edge(*measure, "pi").failed("pi: ssh cannot log in", "Permission denied")


@pytest.mark.parametrize(
    ("size", "options", "words"), [("30m", "", "MB are free"), ("4m", "", ""), ("30m", ",ro", "cannot be written")]
)
def test_benchmark_on_reports_a_full_disk_and_a_read_only_home_folder(
    installed: SshServer, tmp_path: Path, size: str, options: str, words: str
) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        missing("no mounts of our own on this machine")
    home = tmp_path / "home"
    mount = f'mount -t tmpfs -o size={size}{options} card "{home}"'
    if not words:  # the packages are installed; there is no space for the program
        packages = ".cache/poets-edge/packages"
        mount += f' && mkdir -p "{home}/{packages}";'
        mount += f' dd if=/dev/zero of="{home}/full" bs=100k 2>/dev/null;'
        mount += f' mount --bind {installed.home}/{packages} "{home}/{packages}"'
    shell = ("unshare", "-m", "sh", "-c", f'{mount}; cd "{home}"; eval "$1"', "sh")
    with ssh_server(tmp_path / "full", "full", shell=shell, home=home) as server, ssh_configured(tmp_path, server):
        refused = poets_edge("benchmark", PROBE, *QUICK, "--on", "full")
    refused.failed("full: ", words or "No space left", "--remote-dir")
