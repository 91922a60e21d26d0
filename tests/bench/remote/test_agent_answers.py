"""Tests of the agent's answers to requests, in this process and without a connection."""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.remote.on_device import own_files
from poets_edge.bench.remote.on_device.agent import Agent
from poets_edge.bench.remote.on_device.chunks import ChunkReader
from poets_edge.bench.remote.on_device.own_folder import OwnFolder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="agents run on Unix")

FRAME = "collected-20261130-120000-00000.jpg"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home folder of the user on the device."""
    for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def lines(agent: Agent, **request: Any) -> list[dict[str, Any]]:
    """Return the messages that an agent sends in answer to one request."""
    agent._answers = io.StringIO()
    agent._answer({"id": 7, **request})
    found = [json.loads(line) for line in agent._answers.getvalue().splitlines()]
    assert all(line.pop("id") == 7 for line in found) and found[-1].pop("done") is True
    return found


def ask(agent: Agent, **request: Any) -> dict[str, Any]:
    [answer] = lines(agent, **request)
    return answer


@pytest.fixture
def agent() -> Agent:
    return Agent(io.BytesIO(), io.StringIO())


def test_facts_request_returns_the_description_of_the_device_and_the_default_folder(agent: Agent, home: Path) -> None:
    facts = ask(agent, do="facts", kind="cache", folder="", packages=["numpy", "no-such-package"])
    assert facts["python"] == list(sys.version_info[:3]) and facts["bits"] == 8 * struct.calcsize("P")
    assert (facts["home"], facts["uid"], facts["writable"]) == (str(home), os.getuid(), True)
    assert facts["folder"] == f"{home}/.cache/poets-edge" and not facts["usual"]
    assert facts["versions"]["numpy"] and facts["versions"]["no-such-package"] is None
    assert abs(facts["time"] - time.time()) < 60 and facts["free"] > 0 and facts["older"] == []
    assert ask(agent, do="facts", kind="data", folder="", packages=[])["usual"]


def test_facts_request_resolves_relative_folders_against_the_home_folder(agent: Agent, home: Path) -> None:
    for given in ("apps", "~/apps", f"{home}/x/../apps"):
        assert ask(agent, do="facts", kind="data", folder=given, packages=[])["folder"] == f"{home}/apps/poets-edge"
    (home / "apps/poets-edge/program/x/poets_edge").mkdir(parents=True)
    assert ask(agent, do="facts", kind="data", folder="apps", packages=[])["state"] != "ours"


def test_frames_request_lists_only_files_saved_by_watch(agent: Agent, home: Path) -> None:
    for name in (f"unsure/daisy/{FRAME}", "unsure/daisy/mine.jpg", f"unsure/{FRAME}", f"other/{FRAME}"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"12345")
    (home / "unsure/daisy/collected-20261130-120000-00001.jpg").symlink_to(home / "unsure" / FRAME)
    (home / "unsure/link").symlink_to(home / "unsure/daisy")
    answer = ask(agent, do="frames", folder="unsure")
    assert answer == {"folder": f"{home}/unsure", "names": [f"daisy/{FRAME}"], "sizes": [5]}
    assert base64.b64decode(ask(agent, do="frame", folder="unsure", name=f"daisy/{FRAME}")["data"]) == b"12345"


def test_frame_request_rejects_links_and_files_not_saved_by_watch(agent: Agent, home: Path) -> None:
    (home / "secret.txt").write_text("secret")
    (home / FRAME).symlink_to(home / "secret.txt")
    assert "not a frame" in ask(agent, do="frame", folder="", name="secret.txt")["error"]
    assert "symbolic links" in ask(agent, do="frame", folder="", name=FRAME)["error"]


def test_requests_that_need_the_folder_are_refused_before_it_is_opened(agent: Agent) -> None:
    assert ask(agent, do="have", items=[])["error"] == "no folder is open in this session"


def test_run_request_sends_output_lines_before_status_and_errors(agent: Agent) -> None:
    program = "import os, sys; print(sys.stdin.read()); print(os.environ['NAME']); sys.exit('failed')"
    command = [sys.executable, "-S", "-c", program]
    *said, answer = lines(agent, do="run", command=command, input="read this", env={"NAME": "Gänseblümchen"})
    assert [line["line"] for line in said] == ["read this", "Gänseblümchen"]
    assert answer == {"status": 1, "stderr": ["failed"]}


def test_run_request_reports_a_missing_program(agent: Agent) -> None:
    answer = ask(agent, do="run", command=["/no/such/program"])
    assert answer["error"] == "No such file or directory" and answer["path"] == "/no/such/program"


def test_fetch_request_reports_the_last_stderr_line_of_a_failed_command(agent: Agent, home: Path) -> None:
    ask(agent, do="open", folder=str(home / "poets-edge"), adopt=False, alone=False)
    command = [sys.executable, "-S", "-c", "import sys; sys.exit('first\\nno network')"]
    answer = ask(agent, do="fetch", item="packages/00aa", command=command)
    assert answer["error"] == "no network"
    assert ask(agent, do="have", items=["packages/00aa"])["items"] == []


def test_links_request_detects_systemd_units_of_other_programs(agent: Agent, home: Path) -> None:
    units, unit = home / "units", "poets-edge-watch"
    units.mkdir()
    ask(agent, do="open", folder=str(home / "poets-edge"), adopt=False, alone=False)
    request: dict[str, Any] = {"do": "links", "folder": str(units), "unit": unit, "prefix": "poets-edge"}
    assert ask(agent, **request)["foreign"] is False
    other = OwnFolder(str(home / "other/poets-edge"))
    other.open(adopt=False, alone=False)
    (units / "poets-edge-other.service").symlink_to(other.service.unit_path("poets-edge-other"))
    (units / "poets-edge-gone.service").symlink_to("/gone/service/poets-edge-gone.service")
    (units / "another.service").symlink_to(other.service.unit_path("another"))
    path = ask(agent, do="set_service", note={"unit": unit, "items": []}, text="[Unit]\n")["path"]
    (units / f"{unit}.service").symlink_to(path)
    (units / "default.target.wants").mkdir()
    (units / f"default.target.wants/{unit}.service").symlink_to(path)
    found = ask(agent, **request)
    assert (found["foreign"], found["others"]) == (False, [str(home / "other/poets-edge")])
    ask(agent, do="unlink", folder=str(units), unit=unit)
    assert not (units / f"{unit}.service").is_symlink() and list((units / "default.target.wants").iterdir()) == []
    (units / f"{unit}.service").write_text("mine")
    assert ask(agent, **request)["foreign"] is True
    ask(agent, do="unlink", folder=str(units), unit=unit)
    assert (units / f"{unit}.service").read_text() == "mine"
    other.close()


def test_lingering_is_recorded_only_in_a_folder_with_a_service(agent: Agent, home: Path) -> None:
    ask(agent, do="open", folder=str(home / "poets-edge"), adopt=False, alone=False)
    ask(agent, do="hand_over_linger", folder=str(home / "poets-edge"))
    assert ask(agent, do="service")["note"] is None
    ask(agent, do="set_service", note={"unit": "u", "items": [], "lingered": False}, text="[Unit]\n")
    ask(agent, do="hand_over_linger", folder=str(home / "poets-edge"))
    assert ask(agent, do="service")["note"]["lingered"] is True


def test_file_that_is_deleted_before_it_is_locked_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session may remove the program's folder in this moment."""
    path = tmp_path / "file"
    attempts: list[int] = []

    def flock(descriptor: int, how: int) -> None:
        attempts.append(descriptor)
        if len(attempts) == 1:
            path.unlink()
        elif len(attempts) == 2:
            path.unlink()
            path.write_text("of another session")

    monkeypatch.setattr("fcntl.flock", flock)
    descriptor = own_files.locked(str(path), os.O_RDWR | os.O_CREAT, 2)
    assert os.path.samestat(os.fstat(descriptor), path.stat()) and len(attempts) == 3
    os.close(descriptor)


def test_marker_of_a_new_folder_is_flushed_to_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[tuple[int, int]] = []

    def flush(descriptor: int) -> None:
        status = os.fstat(descriptor)
        flushed.append((status.st_ino, status.st_size))

    monkeypatch.setattr(os, "fsync", flush)
    folder = OwnFolder(str(home / "poets-edge"))
    folder.open(adopt=False)
    folder.close()
    status = (home / "poets-edge/.poets-edge.json").stat()
    assert status.st_size > 0 and flushed == [(status.st_ino, status.st_size)]


@pytest.mark.parametrize("content", [b"", b"3\nab", b"3\nabc"], ids=["no size", "a partial chunk", "no end"])
def test_chunk_reader_raises_eof_error_if_the_connection_is_lost(content: bytes) -> None:
    with pytest.raises(EOFError):
        ChunkReader(io.BytesIO(content), lambda: None).drain()


def test_chunk_reader_ends_at_an_empty_chunk() -> None:
    source, heard = io.BytesIO(b"3\nabc2\nde0\nnext request\n"), []
    stream = ChunkReader(source, lambda: heard.append(1))
    assert b"".join(iter(stream.read, b"")) == b"abcde" and stream.read() == b""
    assert source.read() == b"next request\n" and len(heard) == 2


def test_ping_request_sets_the_idle_timeout(agent: Agent) -> None:
    ask(agent, do="ping", silence=5.0)
    assert agent._silence == 5.0
    ask(agent, do="ping")
    assert agent._silence == 5.0
