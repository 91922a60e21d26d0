"""Tests of the program's folder on a device in unusual states: races between sessions, and power failures."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.remote.on_device import agent as agent_module
from poets_edge.bench.remote.on_device import device_description, own_files, own_items, own_service
from poets_edge.bench.remote.on_device.agent import Agent, _few
from poets_edge.bench.remote.on_device.own_folder import OwnFolder, older_deployment
from poets_edge.bench.remote.on_device.own_service import OwnService

pytestmark = pytest.mark.skipif(os.name == "nt", reason="agents run on Unix")

ITEM = "models/00aa"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OwnFolder]:
    """The program's folder on a device, opened for a session."""
    made = OwnFolder(str(tmp_path / "poets-edge"))
    made.open(adopt=False)
    yield made
    made.close()


def fill(folder: OwnFolder, item: str = ITEM) -> None:
    with folder.new_item(item) as staging, staging.create("m.tflite") as file:
        file.write(b"model")


def test_folder_that_another_session_is_removing_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker is removed after this session has found it, and before it can lock it."""
    path = tmp_path / "poets-edge"
    leaving = OwnFolder(str(path))
    leaving.open(adopt=False, alone=True)
    flock = fcntl.flock
    removed: list[Any] = []

    def wait(descriptor: int, how: int) -> None:
        if how == fcntl.LOCK_SH and not removed:
            removed.append(leaving.remove())
            leaving.close()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", wait)
    coming = OwnFolder(str(path))
    coming.open(adopt=False)
    assert removed == [[]] and coming.state == "ours"
    coming.close()


def test_file_that_is_replaced_before_it_is_locked_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "marker"
    path.write_text("old")
    flock = fcntl.flock
    calls: list[int] = []

    def replace_first(descriptor: int, how: int) -> None:
        if not calls:
            path.unlink()
            path.write_text("new")
        calls.append(how)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", replace_first)
    descriptor = own_files.locked(str(path), os.O_RDONLY, fcntl.LOCK_SH)
    assert os.read(descriptor, 10) == b"new" and len(calls) == 2
    os.close(descriptor)
    with pytest.raises(OSError):
        (tmp_path / "link").symlink_to(path)
        own_files.locked(str(tmp_path / "link"), os.O_RDONLY, fcntl.LOCK_SH)


def test_session_number_increases_and_unused_files_expire_after_thirty_sessions(
    folder: OwnFolder, tmp_path: Path
) -> None:
    fill(folder)
    fill(folder, "secrets/00bb")
    folder.close()
    there: list[set[str]] = []
    for _ in range(31):
        folder.open(adopt=False)
        there.append(set(folder._items()))
        folder.close()
    uses = json.loads((tmp_path / "poets-edge/.poets-edge-uses.json").read_text())
    assert uses["session"] == 32
    assert [ITEM in items for items in there] == [True] * 30 + [False], "30 later sessions may leave it unused"
    assert ["secrets/00bb" in items for items in there] == [True] + [False] * 30, "secrets expire after one session"


def test_files_that_are_used_in_every_session_do_not_expire(folder: OwnFolder, tmp_path: Path) -> None:
    fill(folder)
    for _ in range(40):
        folder.close()
        folder.open(adopt=False)
        assert folder.have([ITEM, "models/none"]) == [ITEM]


def test_secret_files_are_readable_by_their_owner_only(folder: OwnFolder) -> None:
    fill(folder, "secrets/00bb")
    fill(folder)
    modes = {
        path.name: path.stat().st_mode & 0o777
        for item in ("secrets/00bb", ITEM)
        for path in (Path(folder.path, item), Path(folder.path, item, "m.tflite"))
        if item.startswith("secrets") or path.name != "m.tflite"
    }
    assert modes == {"00bb": 0o700, "m.tflite": 0o600, "00aa": 0o755}


@pytest.mark.parametrize("item", ["other/00aa", "models/..", "models/", "models/a-b", "models", "../models/00aa"])
def test_invalid_names_for_folders_of_transferred_files_are_refused(folder: OwnFolder, item: str) -> None:
    with pytest.raises(OSError, match="not an item of the program's folder"):
        folder.have([item])


def test_file_that_is_already_on_the_device_is_not_replaced(folder: OwnFolder) -> None:
    fill(folder)
    inode = Path(folder.path, ITEM).stat().st_ino
    fill(folder)
    assert Path(folder.path, ITEM).stat().st_ino == inode, "another session has created it"
    Path(folder.path, "models/00cc").mkdir()
    with pytest.raises(OSError, match="was not created by this program; move it away"):
        fill(folder, "models/00cc")
    assert not list(Path(folder.path, "incoming").iterdir())


def test_transferred_files_are_flushed_to_disk_before_they_are_renamed_into_place(
    folder: OwnFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: Any = []
    rename = os.rename
    monkeypatch.setattr(os, "sync", lambda: steps.append("sync"))
    monkeypatch.setattr(os, "rename", lambda *paths: steps.append("rename") or rename(*paths))
    fill(folder)
    assert steps == ["sync", "rename"]


def test_removal_keeps_the_folder_if_the_program_did_not_create_it(tmp_path: Path) -> None:
    for made in (True, False):
        path = tmp_path / str(made) / "poets-edge"
        if not made:
            path.mkdir(parents=True)
        folder = OwnFolder(str(path))
        folder.open(adopt=True, alone=True)
        fill(folder)
        assert folder.remove() == ([] if made else [str(path)]) and path.exists() is not made
        folder.close()


def test_marker_file_is_kept_if_the_folder_still_contains_files_of_the_user(folder: OwnFolder) -> None:
    fill(folder)
    mine = Path(folder.path, "models/b/mine.txt")
    mine.parent.mkdir()
    for path in (mine, Path(folder.path, "a.txt")):
        path.touch()
    assert folder.remove() == sorted([str(mine), str(Path(folder.path, "a.txt"))]) and folder.state == "ours"
    assert not Path(folder.path, ITEM).exists()


def test_deployment_files_from_older_versions_are_listed(tmp_path: Path) -> None:
    assert older_deployment(str(tmp_path)) == []
    for name in ("program/1/poets_edge/__init__.py", "model/m.tflite", "models/x", "mine.txt", "deployed.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [Path(path).name for path in older_deployment(str(tmp_path))]
    assert found == ["program", "models", "model", "deployed.json"]
    (tmp_path / "program/1/.poets-edge.json").write_bytes(own_files.state_bytes({"files": {}}))
    assert older_deployment(str(tmp_path)) == [], "it was created by this version"


@pytest.fixture
def service(tmp_path: Path) -> OwnService:
    return OwnService(str(tmp_path), str(tmp_path / "incoming"))


def test_interrupted_update_of_a_service_keeps_checksums_of_old_and_new_unit_files(
    service: OwnService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure between the record and the unit, the old unit is still the program's."""
    service.write({"unit": "u"}, "old")
    replace = own_items.replace_file

    def interrupted(incoming: str, path: str, content: bytes) -> None:
        if path.endswith(".service"):
            raise OSError(5, "power failure")
        replace(incoming, path, content)

    monkeypatch.setattr(own_service, "replace_file", interrupted)
    with pytest.raises(OSError, match="power failure"):
        service.write({"unit": "u"}, "new")
    assert service.read()["sha256"] == [hashlib.sha256(text).hexdigest() for text in (b"old", b"new")]
    monkeypatch.setattr(own_service, "replace_file", replace)
    service.write({"unit": "u", "lingered": True})
    assert Path(service.unit_path("u")).read_text() == "old" and service.read()["lingered"] is True
    service.write({"unit": "u"}, "new")
    assert Path(service.unit_path("u")).read_text() == "new"
    service.remove()
    assert not Path(service.unit_path("u")).exists() and service.read() == {}


@pytest.mark.parametrize("unit", ["", "../x", "a/b", "a.b", "a b", "-"])
def test_invalid_unit_names_are_rejected(service: OwnService, unit: str) -> None:
    assert service.unit_path("poets-edge-watch-1").endswith("/service/poets-edge-watch-1.service")
    with pytest.raises(OSError, match="not a name for a unit"):
        service.unit_path(unit)


def test_damaged_service_record_is_neither_replaced_nor_removed(service: OwnService, tmp_path: Path) -> None:
    record = tmp_path / ".poets-edge-service.json"
    record.write_text("mine")
    for act in (service.read, lambda: service.write({"unit": "u"}, "text")):
        with pytest.raises(OSError, match="is damaged or was not written by this program"):
            act()
    service.remove()
    assert record.read_text() == "mine"


def test_file_is_flushed_to_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: Any = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: steps.append("fsync") or fsync(descriptor))
    monkeypatch.setattr(os, "replace", lambda *paths: steps.append("replace") or replace(*paths))
    own_items.replace_file(str(tmp_path / "incoming"), str(tmp_path / "x"), b"content")
    assert steps == ["fsync", "replace"] and (tmp_path / "x").read_bytes() == b"content"
    assert not list((tmp_path / "incoming").iterdir())


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (own_files.state_bytes({"a": 1}), {"signature": own_files.SIGNATURE, "a": 1}), (b"{", None), (b"[]", None),
        (b'{"signature": "other"}', None), (b"[" * 100_000, None), (b"\xff", None),
    ],
    ids=["own", "truncated", "list", "other", "nested", "binary"],
)  # fmt: skip
def test_state_files_are_recognized_by_their_signature(tmp_path: Path, content: bytes, state: Any) -> None:
    (tmp_path / "state").write_bytes(content)
    (tmp_path / "link").symlink_to("state")
    assert own_files.read_state(str(tmp_path / "state")) == state
    assert own_files.read_state(str(tmp_path / "link")) is None and own_files.read_state(str(tmp_path)) is None


def test_relative_paths_are_resolved_against_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, expected in (("a", "a"), ("~/b", "b"), ("./c/../d", "d"), ("", ".")):
        assert own_files.in_home(given) == str((tmp_path / expected).resolve())
    assert own_files.in_home("/x/../y") == "/y"


def test_leaves_of_a_folder_tree_are_its_files_links_and_empty_folders(tmp_path: Path) -> None:
    for name in ("a/b", "c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a/file").touch()
    (tmp_path / "link").symlink_to("a")
    found = sorted(Path(path).relative_to(tmp_path).as_posix() for path in own_files.leaves(str(tmp_path)))
    assert found == ["a/b", "a/file", "c", "link"]


def test_device_description_contains_the_pointer_size_and_the_default_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(struct, "calcsize", lambda form: {"P": 4}[form])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    described = device_description.describe_device
    found = described("cache", "", ["numpy", "no-such-package"])
    assert (found["bits"], found["folder"], found["usual"]) == (32, f"{tmp_path}/c/poets-edge", False)
    found = described("data", "", [])
    assert (found["folder"], found["usual"], found["state"]) == (f"{tmp_path}/d/poets-edge", True, "missing")
    assert described("cache", "d", [])["usual"], "given by name, it is the default folder of deploy, too"
    assert described("data", "e", [])["usual"] is False
    monkeypatch.delenv("XDG_DATA_HOME")
    assert described("data", "", [])["folder"] == f"{tmp_path}/.local/share/poets-edge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert described("cache", "", [])["folder"] == f"{tmp_path}/.cache/poets-edge"


def test_agent_answers_contain_at_most_1000_strings_of_limited_length() -> None:
    texts = [str(number) for number in range(1001)]
    assert _few(texts) == texts[:1000]
    assert _few(["x" * 4096, "y" * 4097]) == ["x" * 4096, "y" * 4093 + "..."]


def test_run_request_returns_the_last_50_lines_of_stderr() -> None:
    answers = io.StringIO()
    program = "import sys; [print(n, file=sys.stderr) for n in range(60)]"
    Agent(io.BytesIO(), answers)._answer({"id": 1, "do": "run", "command": [sys.executable, "-S", "-c", program]})
    assert json.loads(answers.getvalue())["stderr"] == [str(number) for number in range(10, 60)]


def test_stop_request_ends_running_programs_with_their_child_processes() -> None:
    agent, answers = Agent(io.BytesIO(), io.StringIO()), io.StringIO()
    agent._answers = answers
    command = ["/bin/sh", "-c", "sleep 60 & echo $!; wait"]
    running = threading.Thread(target=agent._answer, args=({"id": 1, "do": "run", "command": command},), daemon=True)
    running.start()
    end = time.monotonic() + 20
    while "line" not in answers.getvalue() and time.monotonic() < end:
        time.sleep(0.005)
    agent._answer({"id": 2, "do": "stop"})
    running.join(20)
    messages = [json.loads(line) for line in answers.getvalue().splitlines()]
    child = int(messages[0]["line"])
    assert messages[-1]["status"] == -9 and not agent._children
    with contextlib.suppress(FileNotFoundError):
        assert Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"


class StoppedError(BaseException):
    """Raised where the agent would end the process."""


def test_new_idle_timeout_is_applied_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is set by a message that arrives while the agent waits."""
    now = [1000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] == 1003:
            agent.do_ping({"silence": 4.0})

    monkeypatch.setattr(
        agent_module,
        "time",
        type("Clock", (), {"monotonic": staticmethod(lambda: now[0]), "sleep": staticmethod(sleep)}),
    )
    agent = Agent(io.BytesIO(), io.StringIO())

    def end() -> None:
        raise StoppedError

    monkeypatch.setattr(agent, "end", end)
    with pytest.raises(StoppedError):
        agent._watch()
    assert now[0] == 1004


def test_folder_of_another_user_is_not_used(folder: OwnFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.close()
    assert folder.state == "ours"
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    assert folder.state == "other"
    for adopt in (False, True):
        with pytest.raises(OSError, match="was not created by this program"):
            folder.open(adopt=adopt)


def test_files_that_the_service_uses_do_not_expire(folder: OwnFolder) -> None:
    fill(folder)
    fill(folder, "models/00bb")
    folder.service.write({"unit": "u", "items": [ITEM]}, "text")
    for _ in range(32):
        folder.close()
        folder.open(adopt=False)
    assert folder._items() == [ITEM]


@pytest.mark.parametrize("name", [".poets-edge.json", "../x", "a/../../x", "/x", ".", "a/..", "./.poets-edge.json"])
def test_transfers_with_invalid_file_names_are_refused(folder: OwnFolder, name: str) -> None:
    with pytest.raises(OSError, match="not a name"), folder.new_item(ITEM) as staging, staging.create(name) as file:
        file.write(b"x")
    assert folder._items() == []


@pytest.mark.parametrize("content", ['"other"\n"x"\n', "[]\n", "text\n"])
def test_journals_that_this_program_did_not_write_are_kept(folder: OwnFolder, content: str) -> None:
    incoming = Path(folder.path, "incoming")
    (incoming / "0123456789abcdef").mkdir(parents=True)
    (incoming / "0123456789abcdef/x").write_text("mine")
    journal = incoming / f"0123456789abcdef{own_items.JOURNAL}"
    journal.write_text(content)
    folder.close()
    folder.open(adopt=False)
    assert journal.read_text() == content and (incoming / "0123456789abcdef/x").exists()
    journal.write_text(f"{json.dumps(own_files.SIGNATURE)}\n")
    folder.close()
    folder.open(adopt=False)
    assert not journal.exists() and (incoming / "0123456789abcdef/x").exists(), "it does not list the file"
