"""Tests of the program's folder on a device: the agent removes only files that it created."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from poets_edge.bench.remote.on_device.agent import Agent
from poets_edge.bench.remote.on_device.own_files import SIGNATURE
from poets_edge.bench.remote.on_device.own_folder import SESSIONS
from poets_edge.core.paths import CACHE_VARIABLE
from poets_edge.tflite.verify.memory import remember
from tests.bench.remote.session import ITEM, Session
from tests.conftest import ROOT
from tests.decoy import Decoy

pytestmark = pytest.mark.skipif(os.name == "nt", reason="agents run on Unix")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pi/poets-edge"


def test_removal_deletes_the_program_folder(folder: Path) -> None:
    Session(folder).receive()
    subprocess.run([sys.executable, "-c", "import thing"], env={"PYTHONPATH": str(folder / ITEM)}, check=True)
    assert list((folder / ITEM / "thing/__pycache__").iterdir())
    assert Session(folder, alone=True).remove() == []
    assert list(folder.parent.iterdir()) == []


def test_removal_keeps_and_reports_files_that_the_program_did_not_create(folder: Path) -> None:
    decoy = Decoy()
    decoy.plant(folder.parent)
    session = Session(folder)
    session.receive()
    decoy.plant(folder)
    decoy.plant_everywhere(folder)
    changed = folder / ITEM / "thing/__init__.py"
    changed.write_text("answer = 43\n")
    left = session.remove()
    assert decoy.changed() == []
    assert changed.read_text() == "answer = 43\n"
    assert str(changed) in left and str(folder / "notes.txt") in left and str(folder / "empty") in left
    assert not (folder / ITEM / ".poets-edge.json").exists()
    assert Session(folder).have(ITEM) == [], "and the folder is still the program's"


@pytest.mark.parametrize(
    "name",
    [
        "cache/verified/mine.txt",
        "cache/verified/" + "a" * 64,
        f"{ITEM}/thing/__pycache__/__init__.pyc-mine",
        f"{ITEM}/thing/__pycache__/__init__.pyc.mine.txt",
        f"{ITEM}/__pycache__/other.cpython-311.pyc",
    ],
)
def test_removal_keeps_and_reports_user_files_named_like_those_of_the_program(folder: Path, name: str) -> None:
    session = Session(folder)
    session.receive()
    mine = folder / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.touch()
    assert session.remove() == [str(mine)] and mine.exists()


def test_removal_deletes_the_cache_of_verified_models(folder: Path) -> None:
    session = Session(folder)
    with patch.dict(os.environ, {CACHE_VARIABLE: str(folder / "cache")}):
        remember(b"a model")
    assert len(list((folder / "cache/verified").iterdir())) == 1
    assert session.remove() == [] and not folder.exists()


@pytest.mark.parametrize("record", [[], 3, {"sha256": 3}, {"sha256": [3, None]}, {"items": 3, "sha256": {}}])
def test_removal_succeeds_if_the_saved_service_data_are_damaged(folder: Path, record: Any) -> None:
    session = Session(folder)
    text = json.dumps({"signature": SIGNATURE, "service": record})
    (folder / ".poets-edge-service.json").write_text(text)
    (folder / "service").mkdir()
    (folder / "service/mine.service").write_text("mine")
    assert session.remove() == [str(folder / "service/mine.service")]


def test_service_record_that_is_a_named_pipe_does_not_block_the_agent(folder: Path) -> None:
    session = Session(folder)
    (folder / "service").mkdir()
    os.mkfifo(folder / "service/unit.service")
    with pytest.raises(OSError, match="was changed since"):
        session.agent.do_set_service({"note": {"unit": "unit"}, "text": "new"})


def test_agent_reports_unexpected_errors_in_one_line(folder: Path) -> None:
    answers = io.StringIO()
    agent = Agent(io.BytesIO(), answers)
    agent._answer({"id": 1, "do": "have", "items": 3})
    agent._answer({"id": 2, "do": "open"})
    errors = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert [error["id"] for error in errors] == [1, 2] and all(error["error"] for error in errors)


def test_folder_with_user_files_is_refused(folder: Path) -> None:
    decoy = Decoy()
    decoy.plant(folder)
    with pytest.raises(OSError, match="was not created by this program"):
        Session(folder)
    assert not (folder / ".poets-edge.json").exists()
    adopted = Session(folder, adopt=True)
    adopted.receive()
    adopted.remove()
    assert decoy.changed() == []


@pytest.mark.parametrize("inside", ["", "packages", "program", "incoming", ITEM])
def test_symbolic_links_are_not_followed(folder: Path, tmp_path: Path, inside: str) -> None:
    other, decoy = tmp_path / "other", Decoy()
    Session(other / "poets-edge").receive()
    decoy.plant(other / "poets-edge")
    place = folder / inside
    place.parent.mkdir(parents=True, exist_ok=True)
    if inside:
        (folder / ".poets-edge.json").write_bytes((other / "poets-edge/.poets-edge.json").read_bytes())
    place.symlink_to(other / "poets-edge" / inside)
    before = {path: path.lstat().st_mtime_ns for path in (other / "poets-edge").rglob("*")}
    try:
        session = Session(folder)
        assert session.have(ITEM) == []
        session.receive()
        session.remove()
    except OSError as error:
        assert str(place) in str(error) or inside == ""
    assert place.is_symlink()
    assert {path: path.lstat().st_mtime_ns for path in (other / "poets-edge").rglob("*")} == before
    assert decoy.changed() == []


def test_removal_does_not_follow_a_symbolic_link(folder: Path, tmp_path: Path) -> None:
    note = tmp_path / "other/verified" / f"{'a' * 64}-{'b' * 16}-1"
    note.parent.mkdir(parents=True)
    note.touch()
    Session(folder)
    (folder / "cache").symlink_to(tmp_path / "other")
    Session(folder, alone=True).remove()
    assert note.exists() and (folder / "cache").is_symlink()


def test_opening_a_folder_does_not_remove_empty_journal_files_of_other_programs(folder: Path) -> None:
    Session(folder)
    (folder / "incoming").mkdir(exist_ok=True)
    (folder / "incoming/notes.journal").touch()
    Session(folder)
    assert (folder / "incoming/notes.journal").exists()


@pytest.mark.parametrize("leaves", ["nothing", "an empty folder", "an empty marker"])
def test_partially_created_folder_is_opened(folder: Path, leaves: str) -> None:
    if leaves != "nothing":
        folder.mkdir(parents=True)
    if leaves == "an empty marker":
        (folder / ".poets-edge.json").touch()
    Session(folder).receive()
    assert Session(folder, alone=True).remove() == ([] if leaves == "nothing" else [str(folder)])
    assert folder.exists() == (leaves != "nothing"), "it may be the user's"


@pytest.mark.parametrize("now", [0.0, 4e9])
def test_expiry_does_not_depend_on_the_system_clock(folder: Path, monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    Session(folder).receive()
    monkeypatch.setattr(time, "time", lambda: now)
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (86_400, 86_400))
    for _ in range(SESSIONS - 1):
        Session(folder)
    assert Session(folder).have(ITEM) == [ITEM]


def test_unused_folders_expire_unless_they_belong_to_a_service(folder: Path) -> None:
    other = "program/00000000000000bb"
    session = Session(folder)
    session.receive()
    session.receive(other)
    session.agent.do_set_service({"note": {"unit": "poets-edge-watch", "items": [other]}, "text": "[Unit]\n"})
    decoy = Decoy()
    decoy.plant_everywhere(folder / "program")
    del session
    lefts = [Session(folder).left for _ in range(SESSIONS + 1)]
    assert Session(folder).have(ITEM, other) == [other]
    assert decoy.changed() == []
    assert str(folder / ITEM / "decoy.py") in lefts[-1] and not any(lefts[:-1])


def test_concurrent_sessions_prevent_exclusive_use_and_the_expiry_of_stored_models(folder: Path) -> None:
    first = Session(folder)
    first.receive()
    for _ in range(SESSIONS + 2):
        Session(folder)
    with pytest.raises(OSError, match="in use"):
        Session(folder, alone=True)
    assert first.have(ITEM) == [ITEM]


@pytest.mark.parametrize("damage", [b"", b"\0" * 40, b"{", b"my own notes", b'{"signature": 1}'])
def test_files_on_the_device_do_not_expire_if_the_usage_file_is_damaged(folder: Path, damage: bytes) -> None:
    Session(folder).receive()
    record = folder / ".poets-edge-uses.json"
    record.write_bytes(damage)
    for _ in range(SESSIONS - 1):
        Session(folder)
    assert Session(folder).have(ITEM) == [ITEM]
    if damage.startswith(b"my"):
        assert record.read_bytes() == damage


_KILLED = """
import io, os, sys
from pathlib import Path
from tests.bench.remote.session import Session, payload
session = Session(Path(sys.argv[1]))
whole = payload()
class Source(io.BytesIO):
    def read(self, size=-1):
        data = super().read(size)
        if self.tell() >= int(sys.argv[2]) * len(whole) // 8:
            os.kill(os.getpid(), 9)
        return data
session.agent._requests = Source(whole)
import poets_edge.bench.remote.on_device.own_items as own
create = own.Staging.create
def counted(self, name, made=[0]):
    made[0] += 1
    if made[0] > int(sys.argv[2]) % 4:
        os.kill(os.getpid(), 9)
    return create(self, name)
own.Staging.create = counted
session.agent.do_receive({"item": "program/00000000000000aa", "wheels": True})
"""


@pytest.mark.parametrize("part", range(9))
def test_opening_a_folder_removes_incomplete_transfers_of_a_killed_agent(folder: Path, part: int) -> None:
    command = [sys.executable, "-c", _KILLED, str(folder), str(part)]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ended.returncode in (-9, 0), ended.stderr
    decoy = Decoy()
    decoy.plant_everywhere(folder)
    Session(folder)
    assert decoy.changed() == []
    assert [path.name for path in (folder / "incoming").rglob("*") if path.is_file()] in (
        ["decoy.py"],
        ["decoy.py", "decoy.py"],
    )
    for path in [*folder.rglob("decoy.py"), *folder.rglob("empty decoy")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    session = Session(folder, alone=True)
    session.receive()
    assert session.have(ITEM) == [ITEM]


def test_opening_a_folder_does_not_remove_files_that_a_running_agent_is_writing(folder: Path) -> None:
    first = Session(folder)
    with first.agent._new_item(ITEM) as staging:
        with staging.create("thing.py") as file:
            file.write(b"answer = 42\n")
        Session(folder)
        assert Path(staging.path, "thing.py").exists()
    assert Session(folder).have(ITEM) == [ITEM]


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", ".poets-edge.json", "."])
def test_transfer_rejects_file_names_that_lead_outside_its_folder(folder: Path, name: str) -> None:
    session = Session(folder)
    with pytest.raises(OSError), session.agent._new_item(ITEM) as staging, staging.create(name):
        pass
    assert session.have(ITEM) == [] and not (folder / "incoming/out.txt").exists()


def test_edited_systemd_unit_is_neither_overwritten_nor_removed(folder: Path) -> None:
    session = Session(folder)
    request: dict[str, Any] = {"note": {"unit": "poets-edge-watch", "items": []}, "text": "[Unit]\n"}
    unit = Path(session.agent.do_set_service(request)["path"])
    session.agent.do_set_service({**request, "text": "[Unit]\nDescription=new\n"})
    unit.write_text("[Unit]\nDescription=mine\n")
    with pytest.raises(OSError, match="was changed"):
        session.agent.do_set_service(request)
    assert session.remove() == [str(unit)]
    assert unit.read_text() == "[Unit]\nDescription=mine\n"


def test_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Session(folder).receive()
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    for adopt in (False, True):
        with pytest.raises(OSError, match="was not created by this program"):
            Session(folder, adopt=adopt)


def test_lingering_stays_enabled_for_services_in_other_folders(folder: Path, tmp_path: Path) -> None:
    links, other = tmp_path / "systemd", Session(tmp_path / "other/poets-edge")
    links.mkdir()
    unit = other.agent.do_set_service({"note": {"unit": "poets-edge-watch-1", "items": []}, "text": "[Unit]\n"})
    (links / "poets-edge-watch-1.service").symlink_to(unit["path"])
    (links / "poets-edge-watch-2.service").symlink_to(tmp_path / "elsewhere/poets-edge-watch-2.service")
    session = Session(folder)
    request = {"folder": str(links), "unit": "poets-edge-watch", "prefix": "poets-edge-watch"}
    found = session.agent.do_links(request)
    assert found["others"] == [str(tmp_path / "other/poets-edge")] and not found["foreign"]
    session.agent.do_hand_over_linger({"folder": found["others"][0]})
    assert other.agent.do_service({})["note"]["lingered"] is True
    for target, foreign in ((session.agent._own.service.unit_path("poets-edge-watch"), False), (unit["path"], True)):
        link = links / "poets-edge-watch.service"
        link.symlink_to(target)
        assert session.agent.do_links(request)["foreign"] is foreign
        session.agent.do_unlink(request)
        assert link.is_symlink() is foreign


def test_files_from_older_versions_are_reported(tmp_path: Path) -> None:
    program = tmp_path / "program/0123456789abcdef/poets_edge/__init__.py"
    program.parent.mkdir(parents=True)
    program.touch()
    (tmp_path / "deployed.json").write_text(json.dumps({}))
    facts = Agent(io.BytesIO(), io.StringIO()).do_facts({"folder": str(tmp_path), "kind": "cache", "packages": []})
    assert facts["older"] == [str(tmp_path / "program"), str(tmp_path / "deployed.json")]
    assert facts["state"] == "missing" and facts["folder"] == str(tmp_path / "poets-edge")
