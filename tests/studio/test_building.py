"""Tests of the networks that the studio offers, of the Android app's build, and of the curve of a running job."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.errors import OutputError, UsageError
from poets_edge.nets.architectures import architecture
from poets_edge.studio import android_app, choices
from poets_edge.studio import jobs as jobs_module
from poets_edge.studio.choices import chosen_network, compared_networks, offered_networks
from poets_edge.studio.job_reporter import JobProgress
from poets_edge.studio.job_requests import Choice, JobRequest
from poets_edge.studio.jobs import Job, Jobs
from poets_edge.studio.places import Places

SMALL, MIDDLE, LARGE, LITE = (
    "mobilenet_0.25_128", "mobilenet_0.50_224", "mobilenet_1.0_224", "efficientnet_lite0_224",
)  # fmt: skip


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the networks whose weights are on this computer."""
    found: set[str] = set()
    monkeypatch.setattr(choices, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(
        choices, "local_weights", lambda entry, folder: (folder == tmp_path / "weights" and entry.name in found) or None
    )
    monkeypatch.setattr(choices, "default_grid", lambda folder: tuple(map(architecture, (MIDDLE, SMALL, LARGE))))
    return found


@pytest.mark.parametrize(
    ("choice", "name", "there", "expected"),
    [
        ("quick", "", [SMALL, LITE], (SMALL, "embedded")),
        ("balanced", "", [], (MIDDLE, "imagenet")),
        ("best", "", [LITE], (LITE, "imagenet")),
        ("best", "", [SMALL], (LARGE, "imagenet")),
        ("best", SMALL, [LITE], (SMALL, "embedded")),
        ("best", SMALL, [SMALL], (SMALL, "imagenet")),
        ("quick", LARGE, [], (LARGE, "imagenet")),
    ],
)
def test_chosen_network_depends_on_the_weights_of_this_computer(
    local: set[str], choice: Choice, name: str, there: list[str], expected: tuple[str, str]
) -> None:
    local.update(there)
    network, weights = chosen_network(choice, name)
    assert (network.name, weights) == expected


def names(networks: tuple[Any, ...]) -> list[str]:
    return [network.name for network in networks]


def test_networks_with_weights_are_compared(local: set[str]) -> None:
    found, weights, absent = compared_networks("")
    assert (names(found), weights, names(absent)) == ([SMALL], "embedded", [MIDDLE, SMALL, LARGE])
    local.update((LARGE, MIDDLE))
    found, weights, absent = compared_networks("")
    assert (names(found), weights, names(absent)) == ([MIDDLE, LARGE], "imagenet", [SMALL])
    found, weights, absent = compared_networks(LITE)
    assert (names(found), weights, names(absent)) == ([LITE], "imagenet", [])
    assert offered_networks() == (MIDDLE, SMALL, LARGE)
    with pytest.raises(UsageError):
        compared_networks("none")


def test_missing_build_programs_are_named_by_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs.json"
    programs.write_text(json.dumps({"one": "package-one", "two": "three", "three": "package-three"}))
    monkeypatch.setattr(android_app, "_PROGRAMS", programs)
    there = {"three", "package-one"}
    monkeypatch.setattr(shutil, "which", lambda program: program if program in there else None)
    assert android_app.missing_programs() == "Not installed. Run: sudo apt-get install package-one three"
    there.update(("one", "two"))
    assert android_app.missing_programs() == ""


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Simulated build program: its exit status, output, and the arguments of its last call."""
    made = SimpleNamespace(status=0, out="", err="", command=None, settings=None)

    def run(command: list[str], **settings: Any) -> Any:
        made.command, made.settings = command, settings
        if made.status is None:
            raise subprocess.TimeoutExpired(command, 1)
        return SimpleNamespace(returncode=made.status, stdout=made.out, stderr=made.err)

    monkeypatch.setattr(subprocess, "run", run)
    return made


def test_build_returns_the_last_line_of_output(build: SimpleNamespace) -> None:
    build.out = "building\n/out/app.apk\n"
    assert android_app.build_app(Path("app"), Path("out")) == Path("/out/app.apk")
    assert build.command == [sys.executable, str(Path("app/build.py")), "apk", "--out", "out"]
    assert build.settings["timeout"] == 900 and build.settings["stdin"] == subprocess.DEVNULL


@pytest.mark.parametrize(
    ("status", "err", "reason"),
    [
        (1, "a\nerror: one\nb\nError: two\nerror: three\n", r"the build failed \(error: one Error: two\)"),
        (2, "first\nsecond\nthird\n", r"the build failed \(first second\)"),
        (-9, "", r"the build failed \(no message\)"),
        (1, "x" * 400, rf"the build failed \({'x' * 300}\)"),
        (None, "", "did not end within 900 seconds"),
    ],
)
def test_failed_builds_are_reported_in_one_line(
    build: SimpleNamespace, status: int | None, err: str, reason: str
) -> None:
    build.status, build.err = status, err
    with pytest.raises(OutputError, match=reason):
        android_app.build_app(Path("app"), Path("out"))


def test_sources_of_the_app_are_copied_without_build_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("src/a.kt", "build/b", "src/build/c", ".gradle/d", "local.properties", "src/__pycache__/e"):
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).touch()
    monkeypatch.setattr(android_app, "APP", tmp_path / "app")
    copied = android_app.app_sources(tmp_path / "copy")
    assert [path.relative_to(copied).as_posix() for path in copied.rglob("*") if path.is_file()] == ["src/a.kt"]
    assert android_app.missing_sources() == ""
    monkeypatch.setattr(android_app, "APP", tmp_path / "none")
    assert "checkout" in android_app.missing_sources()


def test_curve_of_the_training_stays_visible_in_later_activities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[JobProgress] = []
    curve = ((10, 0.5, None),)

    class Helper:
        def __init__(self, function: object) -> None:
            pass

        def ask(self, request: JobRequest, name: str, receive: Any) -> dict[str, Any]:
            steps = JobProgress(text="steps", fraction=0.5, seconds_left=3.0, curve=curve)
            for progress in (steps, JobProgress(text="exporting"), JobProgress(text="t", curve=())):
                receive(progress)
                shown.append(jobs.find(request.number).progress)
            return {}

    monkeypatch.setattr(jobs_module, "Helper", Helper)
    places = Places(tmp_path / "flowers")
    places.create()
    jobs = Jobs(places, lambda runs: None)
    job = Job(number="7", kind="train")
    jobs._jobs["7"] = job
    ended = jobs._run(JobRequest(root=places.root, number="7", kind="train"))
    assert [progress.curve for progress in shown] == [curve] * 3
    assert [progress.text for progress in shown] == ["steps", "exporting", "t"]
    assert ended.state == "done" and ended.to_json(curve=True)["curve"] == [[10, 0.5, None]]
    running = Job(
        number="8", kind="train", progress=JobProgress(text="steps", fraction=0.25, seconds_left=9.0)
    ).to_json()
    assert (running["fraction"], running["seconds_left"], ended.to_json()["fraction"]) == (0.25, 9.0, None)
