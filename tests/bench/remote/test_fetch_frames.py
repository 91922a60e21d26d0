"""Tests of `deploy --fetch`, with a device behind a real sshd, and with a fake device that sends invalid answers."""

from __future__ import annotations

import base64
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.remote import connection
from poets_edge.bench.remote.limits import Limits
from poets_edge.bench.remote.ssh import SSH_VARIABLE
from poets_edge.device.watch.collect import CollectOptions, Collector
from poets_edge.progress import Silent
from tests.bench.remote.sshd import SshServer
from tests.conftest import ROOT, Ran, poets_edge
from tests.device.watch.test_collect import scene, unsure
from tools.fuzz import devices

LABELS = ("daisy", "Gänseblümchen / weiß", "tulips")
_LIMITS = Limits(login=10, silence=5, taking=5, answer=5, work=5, fetch=5, program=5, measuring=5)


def _collect(folder: Path, *scenes: int) -> list[Path]:
    """Save frames as `watch --collect` does. The label of a frame is the label with the index `number % 3`."""
    collector = Collector(CollectOptions(folder=folder), LABELS, Silent())
    for number in scenes:
        collector.add(scene(number), unsure(number % 3))
    return sorted(folder.rglob("*.jpg"))


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}


def _fetch(home: str, folder: Path, *options: str) -> Ran:
    return poets_edge("deploy", "--on", home, "--fetch", folder, "--collect", "unsure", *options)


def test_fetch_copies_only_new_frames_and_removes_nothing(pi: SshServer, tmp_path: Path) -> None:
    there, here = pi.home / "unsure", tmp_path / "here"
    _collect(there, 1, 2, 3)
    (there / "daisy/notes.txt").write_text("mine")
    (there / "daisy/collected-20260101-000000-00000.jpg").symlink_to("/etc/hostname")
    before = _contents(there)
    ran = _fetch("pi", here).ok()
    assert "3 new frames" in ran.stdout and "tulips 1" in ran.stdout and "Next: move each frame" in ran.stdout
    sent = {name: data for name, data in before.items() if "20260101-000000" not in name}
    assert _contents(here) == sent and len(sent) == 3
    assert _contents(there) == before and (there / "daisy/notes.txt").exists()

    # Frames that were deleted, moved or edited are not fetched again.
    first, second, third = sorted(here.rglob("*.jpg"))
    first.unlink()
    second.rename(tmp_path / "elsewhere.jpg")
    third.write_bytes(b"edited")
    _collect(there, 4)
    facts = json.loads(_fetch("pi", here, "--json").ok().stdout)
    assert (len(facts["files"]), facts["fetched_before"]) == (1, 3)
    assert third.read_bytes() == b"edited" and not first.exists() and not second.exists()


def test_fetch_never_overwrites_a_file_of_the_same_name(pi: SshServer, tmp_path: Path) -> None:
    [frame] = _collect(pi.home / "unsure2", 7)
    mine = tmp_path / "here" / frame.parent.name / frame.name
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    poets_edge("deploy", "--on", "pi", "--fetch", tmp_path / "here", "--collect", "unsure2").ok()
    assert mine.read_bytes() == b"mine"
    assert mine.with_name(f"{mine.stem}-2.jpg").read_bytes() == frame.read_bytes()


def test_failures_to_fetch_frames_are_reported_in_one_line(pi: SshServer, tmp_path: Path) -> None:
    poets_edge("deploy", "--on", "pi", "--fetch", tmp_path, "--remote-dir", "empty").failed("nothing is deployed there")
    poets_edge("deploy", "--on", "pi", "--fetch", tmp_path, "--collect", "none").failed("pi: ", "none", "No such file")
    (tmp_path / ".fetched.json").write_text("{")
    _fetch("pi", tmp_path).failed(".fetched.json", "move it away")
    poets_edge("deploy", "--on", "pi", "--fetch", tmp_path, "--remove").failed("give one")


Device = Callable[..., Ran]


@pytest.fixture
def liar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Function that runs `deploy --fetch` with a fake device. The arguments change the answers of the device."""
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "seed_graph.tflite").write_bytes((ROOT / "tests/corpus/seeds/seed_graph.tflite").read_bytes())
    monkeypatch.setattr(connection, "LIMITS", _LIMITS)
    devices.prepare(seeds, tmp_path)
    monkeypatch.setattr(connection, "LIMITS", _LIMITS)
    honest = json.loads((seeds / "device.json").read_bytes())

    def run(**changes: Any) -> Ran:
        plan = {**honest, "deployed": True, "status": 0, "inner": False, "action": "skip", "at": -1, "data": ""}
        (tmp_path / "plan.json").write_text(json.dumps({**plan, **changes}))
        command = [sys.executable, "-S", "-E", str(ROOT / "tools/fuzz/fake_device.py"), str(tmp_path / "plan.json")]
        monkeypatch.setenv(SSH_VARIABLE, shlex.join(command))
        return poets_edge("deploy", "--on", "pi", "--fetch", tmp_path / "here")

    return run


def test_fetch_finds_the_folder_of_the_deployed_service(liar: Device, tmp_path: Path) -> None:
    assert "1 new frame in" in liar().ok().stdout
    assert [path.parent.name for path in (tmp_path / "here").rglob("*.jpg")] == ["daisy"]


@pytest.mark.parametrize(
    "name",
    [
        "../collected-20261130-120000-00000.jpg",
        "/etc/collected-20261130-120000-00000.jpg",
        "a/b/collected-20261130-120000-00000.jpg",
        "collected-20261130-120000-00000.jpg",
        "daisy/..",
        "daisy/.bashrc",
        "daisy\x1b[2J/collected-20261130-120000-00000.jpg",
        ".ssh/authorized_keys",
    ],
)
def test_fetch_writes_frames_only_to_label_folders(liar: Device, tmp_path: Path, name: str) -> None:
    ran = liar(frames={"names": [name]})
    assert ran.status == 0 and "left, because of its name" in ran.stderr and "\x1b" not in ran.stderr
    assert [path.name for path in (tmp_path / "here").rglob("*")] == [".fetched.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"frame": {"data": "not base64!"}},
        {"frame": {"data": base64.b64encode(b"\xff\xd8\xff another size").decode()}},
        {"frame": {"data": base64.b64encode(b"GIF89a: JPEG").decode()}},
        {"frame": {"data": "A" * 12_000_000}},
        {"frames": {"sizes": []}},
        {"frames": {"sizes": [-1]}},
        {"frames": {"folder": "unsure"}},
        {"frames": {"names": ["x"] * 20_000}},
    ],
)
def test_fetch_refuses_answers_that_are_not_frames(liar: Device, tmp_path: Path, changes: dict[str, Any]) -> None:
    liar(**changes).failed("pi: its answer is not valid")
    assert not list((tmp_path / "here").rglob("*.jpg"))
