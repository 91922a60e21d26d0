"""Tests of starting the studio: demo, unusable folders, ports, and the local network."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT, poets_edge
from tests.studio.client import running, running_command, start

DEMO_SECONDS = 10


def test_demo_prints_its_address_quickly_and_needs_no_network(tmp_path: Path) -> None:
    started = time.monotonic()
    with running_command("--demo", cwd=tmp_path) as client:
        seconds = time.monotonic() - started
        state = client.get("/api/project").ok()
        assert state["demo"] and len(state["classes"]) == 5 and state["folder"] == str(tmp_path / "studio_demo")
        assert all(one["photos"] == 12 for one in state["classes"])
        assert client.get("/").headers["content-type"].startswith("text/html")
    assert seconds < DEMO_SECONDS * max(1, os.getloadavg()[0] / 2)
    with running_command("--demo", cwd=tmp_path) as client:
        assert len(client.photos()) == 60


def test_demo_adds_no_photos_to_a_folder_with_photos(flowers: Path) -> None:
    with running(flowers, "--demo") as client:
        assert len(client.photos()) == 30


def test_new_folder_becomes_an_empty_project(tmp_path: Path) -> None:
    with running_command("new/project", cwd=tmp_path) as client:
        state = client.get("/api/project").ok()
        assert state["classes"] == [] and state["model"] is None and not state["needs_training"]
        client.post("/api/classes", {"add": "first"}).ok()
    assert (tmp_path / "new/project/first").is_dir()


def test_unusable_folders_are_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "split/train/daisy").mkdir(parents=True)
    (tmp_path / "split/train/daisy/1.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/.poets-edge").symlink_to(tmp_path / "split")
    for name, said in {"file": "not a folder", "split": "train", "linked": "link", "file/below": "file"}.items():
        poets_edge("studio", name, "--no-open", "--port", "0", cwd=tmp_path).failed(said)


def test_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        poets_edge("studio", tmp_path / "photos", "--no-open", "--port", port, cwd=tmp_path).failed("--port")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_the_server_while_a_page_is_open(flowers: Path, number: signal.Signals) -> None:
    client = start(flowers)
    with contextlib.closing(client.connection()) as connection:
        connection.request("GET", "/api/events", headers={"Cookie": client.cookie})
        with connection.getresponse() as answer:
            assert answer.readline().startswith(b"event")
            started = time.monotonic()
            client.process.send_signal(number)
            _, errors = client.process.communicate(timeout=30)
    assert "Traceback" not in errors and time.monotonic() - started < 15
    with running(flowers):
        pass


def test_phone_opens_the_studio_over_https_with_the_token(flowers: Path, tmp_path: Path) -> None:
    with running(flowers, "--lan", environment={"XDG_CONFIG_HOME": str(tmp_path / "config")}) as client:
        assert client.url.startswith("https://") and client.get("/api/project").ok()["lan"]
        phone = client.get("/api/phone").ok()
        assert phone["url"] == f"{client.url}#photos" and phone["qr_svg"].startswith("<svg")
        assert client.get("/api/phone?step=try").ok()["url"] == f"{client.url}#try"
        client.request("GET", "/api/photos", headers={"Cookie": None}).refused(401)
        entry = client.request("GET", f"/?token={client.token}", headers={"Cookie": None})
        assert "Secure" in entry.headers["set-cookie"]
        client.post("/api/classes", {"add": "weeds"}).ok()
        with socket.create_connection((client.host, client.port), timeout=10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" not in plain.recv(1000)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", client.port), timeout=2).close()


def test_request_for_the_phone_address_is_refused_without_the_lan_option(flowers: Path) -> None:
    with running(flowers) as client:
        assert "poets-edge studio --lan" in client.get("/api/phone").refused(409)


def test_responses_on_an_open_connection_are_not_delayed(flowers: Path) -> None:
    """Without TCP_NODELAY, each answer waits at least 40 ms for a delayed acknowledgement."""
    with running(flowers) as client, contextlib.closing(client.connection()) as connection:
        seconds = []
        for _ in range(20):
            started = time.perf_counter()
            client.request("GET", "/api/project", connection=connection).ok()
            seconds.append(time.perf_counter() - started)
    assert min(seconds[5:]) < 0.035


def test_studio_extra_adds_at_most_25_megabytes_to_the_train_extra() -> None:
    added = _packages_of("studio") - _packages_of("train")
    assert {"starlette", "uvicorn"} <= added
    files = [file for name in added for file in distribution(name).files or ()]
    sizes = [Path(str(file.locate())).stat().st_size for file in files if Path(str(file.locate())).is_file()]
    assert 1_000_000 < sum(sizes) <= 25_000_000, f"{sum(sizes) / 1e6:.1f} MB"


def _packages_of(extra: str) -> set[str]:
    """Return the names of the packages that an extra of poets_edge installs, directly or as dependencies."""
    found: set[str] = set()
    waiting = [("poets-edge", extra), ("poets-edge", "")]
    while waiting:
        name, extra = waiting.pop()
        for line in distribution(name).requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                package = canonicalize_name(needed.name)
                asked = [(package, one) for one in needed.extras] + ([] if package in found else [(package, "")])
                waiting += asked
                found.add(package)
    return found - {"poets-edge"}


def test_missing_packages_are_reported_with_the_extra_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['starlette'] = None; sys.modules['uvicorn'] = None\n"
        "sys.argv = ['poets-edge', 'studio', 'photos', '--no-open']\n"
        "from poets_edge.cli import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "poets-edge[studio]" in done.stderr and "Traceback" not in done.stderr
