"""Tests of the steps of `deploy`, `deploy --fetch` and `benchmark --on`, with a fake device, in their exact order."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from poets_edge.bench.machine import MachineState
from poets_edge.bench.remote import deploy as deploying
from poets_edge.bench.remote import device_rounds, fetch_frames, installation, sustained, wheels
from poets_edge.bench.remote.answers import FrameContent, Frames, Items, Left, Service, ServiceNote
from poets_edge.bench.remote.deploy import DeployOptions, deploy, remove, undo_command
from poets_edge.bench.remote.device_rounds import _RoundsFollower, send_models
from poets_edge.bench.remote.fetch_frames import _jpeg, _save
from poets_edge.bench.remote.follower import Follower
from poets_edge.bench.remote.installation import Installation, item, open_folder, system_of, with_remedy
from poets_edge.bench.remote.messages import FactsRequest, FinishedRound, PhotoScores, RoundsRequest, Window
from poets_edge.bench.remote.sustained import _LoadFollower
from poets_edge.bench.remote.systemd_unit import unit_name, unit_text
from poets_edge.bench.remote.wheels import fetched, own_wheel, required_packages
from poets_edge.bench.rounds import Round, RoundLog, TimingConfig, round_stamp
from poets_edge.bench.sustained import SustainedOptions, most_windows
from poets_edge.bench.timing import Timing
from poets_edge.core.paths import CACHE_VARIABLE
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.errors import RecordError, RemoteError
from poets_edge.progress import Silent
from tests.bench.remote.conftest import PROBE
from tests.bench.remote.scripted import MACHINE, ScriptedConnection, facts, installed
from tests.recorder import Recorder

HOME = "/home/pi/.local/share/poets-edge"


class OpenConnection(ScriptedConnection):
    """Fake connection that is used as a context manager."""

    def __enter__(self) -> OpenConnection:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_unit_starts_the_command_and_restarts_it_after_a_failure() -> None:
    text = unit_text(
        ["/usr/bin/python3", "-m", "x", "50 %", "$A", 'a"b\\'], {"A": "1 % $B", "C": "\n"}, name="it", undo="undo\nit"
    )
    assert text.splitlines() == [
        "# Written by poets-edge deploy. To remove it: undo\\nit",
        "[Unit]",
        "Description=Label what the camera sees",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        'Environment="A=1 %% $B"',
        'Environment="C=\\x0a"',
        'ExecStart="/usr/bin/python3" "-m" "x" "50 %%" "$$A" "a\\"b\\\\"',
        "SyslogIdentifier=it",
        "# The program itself waits for a camera that disappears. It ends if there is none at the start.",
        "Restart=on-failure",
        "RestartSec=10",
        "TimeoutStopSec=10",
        "Nice=5",
        "NoNewPrivileges=yes",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]


def test_unit_name_depends_on_the_folder() -> None:
    assert unit_name("/x", usual=True) == "poets-edge-watch"
    names = {unit_name(folder, usual=False) for folder in ("/x", "/y", "/caf\udce9")}
    assert len(names) == 3 and all(name.startswith("poets-edge-watch-") and len(name) == 25 for name in names)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Any:
    """List of the steps that `deploy` takes, with stand-ins for everything that requires a device."""
    taken: Any = []
    connection: Any = OpenConnection({"have": Items(())})

    class Systemd:
        name = "watching"

        def __init__(self, device: Any, undo: str) -> None:
            self.undo = undo

        def check(self) -> None:
            taken.append("check systemd")

        def set_up(self, command: list[str], needed: list[str], reporter: object, *, collect: str | None) -> str:
            taken.append(("set up", command, needed, collect))
            return "/unit"

        def first_lines(self, reporter: object) -> list[str]:
            taken.append("first lines")
            return ["daisy"]

        def take_down(self, *, lingered: bool) -> None:
            taken.append(("take down", lingered))

    def install(connection: object, **given: Any) -> Installation:
        taken.append(("install", {name: value for name, value in given.items() if name != "reporter"}))
        return Installation(connection, PurePosixPath(HOME), "/usr/bin/python3", ("program/1", "packages/2"), facts())  # type: ignore[arg-type]

    monkeypatch.setattr(deploying, "Connection", lambda host: taken.append(("connect", host)) or connection)
    monkeypatch.setattr(deploying, "Classifier", lambda model, **given: taken.append(("open", model, given)))
    monkeypatch.setattr(deploying, "install", install)
    monkeypatch.setattr(deploying, "SystemdService", Systemd)
    monkeypatch.setattr(deploying, "send_models", lambda *_: [f"{HOME}/models/3/m.tflite"])
    monkeypatch.setattr(deploying, "send", lambda connection, item, members, *_: taken.append(("send", item, members)))
    monkeypatch.setattr(deploying, "open_folder", lambda *_, **given: taken.append(("open folder", given["alone"])))
    taken.append(connection)
    return taken


def test_deploy_checks_everything_before_it_changes_the_device(steps: list[Any], tmp_path: Path) -> None:
    connection = steps.pop()
    labels, login = tmp_path / "l.txt", tmp_path / "login"
    labels.write_text("daisy\n")
    login.write_text("me:secret\n")
    options = DeployOptions(
        model=Path("m.tflite"), on="pi", labels=labels, input_range="-1:1", watch=("--collect", "unsure"),
        mqtt=MqttOptions(broker="mqtt://b", login=login), remote_dir="there",
    )  # fmt: skip
    found = deploy(options)
    names = [step if isinstance(step, str) else step[0] for step in steps]
    assert names == ["open", "connect", "install", "check systemd", "send", "send", "set up", "first lines"]
    assert steps[0] == ("open", Path("m.tflite"), {"labels": labels, "input_range": "-1:1"})
    assert steps[2] == ("install", {"folder": "there", "kind": "data", "extra": "mqtt"})
    labels_item, secret = steps[4][1], steps[5][1]
    assert steps[4][2] == {"labels.txt": labels} and labels_item == item("labels", b"daisy\n")
    assert secret.startswith("secrets/") and steps[5][2] == {"mqtt-login.txt": login}
    _, command, needed, collect = steps[6]
    assert command == [
        "/usr/bin/python3", "-m", "poets_edge", "watch", f"{HOME}/models/3/m.tflite", "--collect", "unsure", "--labels",
        f"{HOME}/{labels_item}/labels.txt", "--input-range=-1:1", "--mqtt", "mqtt://b", "--mqtt-login",
        f"{HOME}/{secret}/mqtt-login.txt",
    ]  # fmt: skip
    assert needed == ["program/1", "packages/2", "models/3", labels_item, secret], "none of them expires"
    assert collect == "/home/pi/unsure" and connection.asked[0][0] == "have"
    assert found.to_json() == {
        "host": "pi", "service": "watching", "model": f"{HOME}/models/3/m.tflite", "unit": "/unit",
        "undo": "poets-edge deploy --on pi --remote-dir there --remove", "lines": ["daisy"],
    }  # fmt: skip


def test_deploy_without_options_passes_only_the_model_to_watch(steps: list[Any]) -> None:
    steps.pop()
    deploy(DeployOptions(model=Path("m.tflite"), on="pi"))
    assert ("install", {"folder": "", "kind": "data", "extra": ""}) in steps
    [(_, command, needed, collect)] = [step for step in steps if step[0] == "set up"]
    assert command[4:] == [f"{HOME}/models/3/m.tflite"] and needed == ["program/1", "packages/2", "models/3"]
    assert collect is None and undo_command("a b") == "poets-edge deploy --on 'a b' --remove"


@pytest.mark.parametrize(
    "note", [None, ServiceNote(lingered=True, collect=None), ServiceNote(lingered=None, collect=None)]
)
def test_remove_stops_the_service_before_it_removes_files(steps: list[Any], note: ServiceNote | None) -> None:
    connection = steps.pop()
    left = ("/home/pi/mine",)
    connection._answers.update({"facts": facts(state="ours"), "service": Service(note), "remove": Left(left)})
    reporter = Recorder()
    assert remove("pi", remote_dir="there", reporter=reporter)
    assert [do for do, _ in connection.asked] == ["facts", "service", "remove"]
    assert connection.asked[0][1] == {"folder": "there", "kind": "data", "packages": []}
    taken = [step for step in steps if step[0] != "connect"]
    stopped = [] if note is None else [("take down", note.lingered is True)]
    assert taken == [("open folder", True), *stopped], "no other session may use the folder"
    assert "/home/pi/mine" in reporter.warnings[0]
    assert reporter.notes == ["pi: the program is removed" if note is None else "pi: watching is stopped and removed"]


@pytest.mark.parametrize("state", ["missing", "empty", "link", "other"])
def test_remove_changes_nothing_on_a_device_without_a_deployment(steps: list[Any], state: Any) -> None:
    connection = steps.pop()
    connection._answers["facts"] = facts(state=state)
    assert not remove("pi") and [do for do, _ in connection.asked] == ["facts"]


JPEG = b"\xff\xd8\xff content"
NAMES = tuple(f"daisy/collected-20261130-120000-{number:05}.jpg" for number in range(3))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A device with a deployed service that has saved three frames in `/home/pi/unsure`."""
    connection: Any = OpenConnection(
        {
            "facts": facts(state="ours"), "service": Service(ServiceNote(lingered=True, collect="/home/pi/unsure")),
            "frames": Frames(folder="/home/pi/unsure", names=NAMES, sizes=(len(JPEG),) * 3),
            "frame": FrameContent(base64.b64encode(JPEG).decode()), "open": Left(()),
        }
    )  # fmt: skip
    monkeypatch.setattr(fetch_frames, "Connection", lambda host: connection)
    return connection


def test_fetch_copies_frames_once_and_counts_them(device: Any, tmp_path: Path) -> None:
    found = fetch_frames.fetch_frames("pi", tmp_path)
    assert [do for do, _ in device.asked] == ["facts", "open", "service", "frames", "frame", "frame", "frame"]
    assert device.asked[3][1] == {"folder": "/home/pi/unsure"}
    assert device.asked[4][1] == {"folder": "/home/pi/unsure", "name": NAMES[0]}
    assert found.to_json() == {
        "host": "pi", "source": "/home/pi/unsure", "folder": str(tmp_path),
        "files": [str(tmp_path / name) for name in NAMES], "per_label": {"daisy": 3}, "fetched_before": 0,
    }  # fmt: skip
    assert json.loads((tmp_path / ".fetched.json").read_text()) == [f"{name} {len(JPEG)}" for name in NAMES]
    device._answers["frames"] = Frames(folder="/x", names=(*NAMES, "roses/" + NAMES[0][6:]), sizes=(len(JPEG),) * 4)
    again = fetch_frames.fetch_frames("pi", tmp_path, source="given")
    assert (again.known, again.per_label, again.source) == (3, {"roses": 1}, "/x")
    assert device.asked[7] == ("frames", {"folder": "given"}), "without asking for the service"


def test_fetch_skips_large_frames_and_saves_the_list_of_fetched_frames_after_an_error(
    device: Any, tmp_path: Path
) -> None:
    sizes = (len(JPEG), (8 << 20) + 1, 8 << 20)
    device._answers["frames"] = Frames(folder="/x", names=NAMES, sizes=sizes)
    reporter = Recorder()
    with pytest.raises(RemoteError, match="a JPEG of the size it has told"):
        fetch_frames.fetch_frames("pi", tmp_path, source="x", reporter=reporter)
    assert len(reporter.warnings) == 1 and NAMES[1] in reporter.warnings[0]
    assert json.loads((tmp_path / ".fetched.json").read_text()) == [f"{NAMES[0]} {len(JPEG)}"]
    assert [path.name for path in tmp_path.rglob("*.jpg")] == [NAMES[0][6:]]


@pytest.mark.parametrize(
    ("content", "size"), [(b"GIF89a", 6), (JPEG, len(JPEG) + 1), (JPEG, len(JPEG) - 1), (b"\xff\xd8", 2), (b"", 0)]
)
def test_fetched_files_must_be_jpegs_of_the_listed_size(device: Any, content: bytes, size: int) -> None:
    assert _jpeg(device, base64.b64encode(JPEG).decode(), len(JPEG)) == JPEG
    with pytest.raises(RemoteError, match="a JPEG of the size"):
        _jpeg(device, base64.b64encode(content).decode(), size)


def test_fetched_files_get_an_unused_name(tmp_path: Path) -> None:
    assert _save(tmp_path, "a.b.jpg", b"one") == tmp_path / "a.b.jpg"
    assert _save(tmp_path, "a.b.jpg", b"one") is None, "it is there already"
    (tmp_path / "a.b-2.jpg").symlink_to(tmp_path / "nothing")
    assert _save(tmp_path, "a.b.jpg", b"two") == tmp_path / "a.b-3.jpg"


def test_fetch_reports_a_service_that_saves_no_frames(device: Any, tmp_path: Path) -> None:
    for note in (None, ServiceNote(lingered=None, collect=None)):
        device._answers["service"] = Service(note)
        with pytest.raises(RemoteError, match="saves no frames"):
            fetch_frames.fetch_frames("pi", tmp_path)
    device._answers["facts"] = facts(state="other")
    with pytest.raises(RemoteError, match="nothing is deployed there"):
        fetch_frames.fetch_frames("pi", tmp_path)


CONFIG = TimingConfig(rounds=2)
STAMP = round_stamp({name: value for name, value in MACHINE.items() if name != "kind"}, CONFIG)
TIMING = Timing(
    load_ms=1, first_ms=1, warm_up_runs=20, steady=True, samples_ms=(1.0, 2.0), kernel_ms=(3.0,), decode_ms=(1.0,),
    resize_ms=(1.0,), inference_ms=(1.0,), accelerated=True, state=MachineState(),
)  # fmt: skip
ROUND = Round(stamp=STAMP, sha256="a", threads=2, copy=0, number=1, timing=TIMING)


def follower(log: RoundLog | None = None) -> _RoundsFollower:
    """Return a client for one model, two thread counts and one photo, which has received the device's description."""
    request = RoundsRequest(models=("/m",), threads=(1, 2), config=CONFIG)
    made = _RoundsFollower(
        installed(ScriptedConnection()), Recorder(), request, ["a"], log or RoundLog(), ["p.jpg"], [2]
    )
    made._read(json.dumps(MACHINE))
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {"stamp": "other"}, {"sha256": "b"}, {"copy": 1}, {"threads": 3}, {"number": 2},
        {"timing": replace(TIMING, decode_ms=(1.0, 2.0))}, {"timing": replace(TIMING, resize_ms=None)},
        {"timing": replace(TIMING, decode_ms=None, resize_ms=None, inference_ms=None)},
    ],
)  # fmt: skip
def test_rounds_that_were_not_requested_are_refused(changes: dict[str, Any]) -> None:
    made = follower()
    made.on_result(FinishedRound(ROUND.to_json()))
    assert list(made._log.rounds) == [ROUND.key]
    other = replace(ROUND, number=0)
    with pytest.raises(RecordError, match="a round that was not requested"):
        made.on_result(FinishedRound(replace(other, **changes).to_json()))
    made.on_result(FinishedRound(other.to_json()))
    with pytest.raises(RecordError, match="a round that was not requested"):
        made.on_result(FinishedRound(other.to_json()))  # a second time


def test_rounds_with_too_many_samples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for most, fits in ((3, True), (2, False)):  # two inferences and one call of the kernel
        monkeypatch.setattr(device_rounds, "_MOST_SAMPLES", most)
        made = follower()
        if fits:
            made.on_result(FinishedRound(ROUND.to_json()))
        else:
            with pytest.raises(RecordError):
                made.on_result(FinishedRound(ROUND.to_json()))


def test_only_saved_rounds_from_the_same_conditions_are_reused() -> None:
    log = RoundLog.of([ROUND, replace(ROUND, number=0, stamp="other"), replace(ROUND, sha256="b")])
    made = follower(log)
    assert made._reporter.notes == ["pi: 1 rounds were measured before"]  # type: ignore[attr-defined]
    assert made.saved == "1 measured rounds are kept; the same command continues from there."
    assert follower().saved == "" and follower()._messages_left == 10_000 + 10 * (2 * 2 + 1) - 1


def test_rounds_received_before_the_device_description_are_refused() -> None:
    request = RoundsRequest(models=("/m",), threads=(1,), config=CONFIG)
    made = _RoundsFollower(installed(ScriptedConnection()), Recorder(), request, ["a"], RoundLog(), [], [])
    with pytest.raises(RecordError, match="FinishedRound was not requested"):
        made.on_result(FinishedRound(replace(ROUND, stamp="").to_json()))


def test_follower_stores_scores_together_with_the_distance() -> None:
    made = follower()
    made.on_result(PhotoScores(model=0, photo="p.jpg", scores=(0.25, 0.75), distance=1.5))
    [(key, output)] = made.outputs.items()
    assert (key, output.scores.tolist(), output.distance) == ((0, "p.jpg"), [0.25, 0.75], 1.5)


def test_models_with_equal_file_names_are_sent_to_separate_folders(tmp_path: Path) -> None:
    paths = []
    for folder, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "m.tflite")
        paths[-1].write_bytes(content)
    sent: list[dict[str, Path]] = []
    connection: Any = ScriptedConnection({"have": lambda request: Items((request["items"][1],))})
    connection.send_item = lambda item, members, **_: sent.append(members)
    found = send_models(installed(connection), paths, Silent())
    assert [list(one.values()) for one in sent] == [[paths[0]], [paths[2]]], "the device has the second one"
    assert len(set(found)) == 3 and all(path.endswith("/m.tflite") and "/models/" in path for path in found)


def test_time_limit_for_the_next_message_includes_the_measuring_time() -> None:
    pauses: Any = []
    device = installed(ScriptedConnection(), [MACHINE, {"kind": "Result", "warnings": []}])
    run = device.run
    device.run = lambda *given, pause, **named: pauses.append(pause) or run(*given, pause=pause, **named)
    Follower(device, Recorder()).run(FactsRequest(), measuring=300.0)
    assert pauses == [1500.0]


def test_device_cannot_send_more_windows_of_sustained_load_than_expected() -> None:
    options = SustainedOptions(models=(PROBE, PROBE.with_name("b")), seconds=2)
    window = {
        "seconds": 0.1, "runs": 1, "late": 0, "median_ms": 1.0, "p90_ms": 1.0, "samples_ms": [], "state": {},
    }  # fmt: skip
    made = _LoadFollower(installed(ScriptedConnection()), Recorder(), options)
    for _ in range(most_windows(options)):
        made.on_result(Window(model=1, window=window))
    with pytest.raises(RecordError, match="not requested"):
        made.on_result(Window(model=1, window=window))
    made.on_result(Window(model=0, window=window))
    assert [len(windows) for windows in made.windows] == [1, most_windows(options)]
    assert made._messages_left == 10_000 + 10 * 2 * (most_windows(options) + 2)


def test_sustain_on_passes_its_options_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Any] = []

    class Followed(_LoadFollower):
        def run(self, request: Any, *, measuring: float = 0.0) -> tuple[str, ...]:
            requests.append((request, measuring))
            self.machine = {"cpu": "x"}
            self.windows = [["w1"], ["w2"]] if len(requests) == 1 else [["w1"], []]  # type: ignore[list-item]
            return ("hot",)

    monkeypatch.setattr(sustained, "_LoadFollower", Followed)
    monkeypatch.setattr(sustained, "Connection", lambda host: OpenConnection())
    monkeypatch.setattr(sustained, "Classifier", lambda model, unlabeled: None)
    monkeypatch.setattr(sustained, "install", lambda connection, folder, reporter: folder)
    monkeypatch.setattr(sustained, "send_models", lambda device, models, reporter: [f"{device}/{m}" for m in models])
    options = SustainedOptions(models=(Path("a"), Path("b")), seconds=9, threads=3, rate=5.0)
    found = sustained.sustain_on(options, "pi", folder="there")
    [(request, measuring)] = requests
    assert (request.models, request.seconds, request.threads, request.rate) == (("there/a", "there/b"), 9, 3, 5.0)
    assert measuring == 9 and (found.host, found.warnings, found.machine) == ("pi", ("hot",), {"cpu": "x"})
    shown: Any = [(one.model, one.windows) for one in found.models]
    assert shown == [(Path("a"), ("w1",)), (Path("b"), ("w2",))]
    with pytest.raises(RemoteError, match="pi: it has not measured all models"):
        sustained.sustain_on(options, "pi")


def test_program_runs_with_its_own_packages_and_cache() -> None:
    made = Installation(ScriptedConnection(), PurePosixPath("/d"), "py", ("program/1", "packages/2"), facts())  # type: ignore[arg-type]
    assert made.environment == {
        "PYTHONPATH": "/d/program/1:/d/packages/2",
        "PYTHONUTF8": "1",
        CACHE_VARIABLE: "/d/cache",
    }
    bare = Installation.without_program(ScriptedConnection(), facts())  # type: ignore[arg-type]
    assert (str(bare.folder), bare.python, bare.items) == ("/home/pi/.cache/poets-edge", "/usr/bin/python3", ())


@pytest.mark.parametrize(("default", "alone"), [(True, False), (False, True)])
def test_only_the_default_folder_may_contain_files_of_other_programs(default: bool, alone: bool) -> None:
    connection = ScriptedConnection({"open": Left(())})
    open_folder(connection, facts(), default=default, alone=alone, reporter=Silent())  # type: ignore[arg-type]
    assert connection.asked == [("open", {"folder": "/home/pi/.cache/poets-edge", "adopt": default, "alone": alone})]


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("No space left on device", "Free some space there, or name a folder on another disk with `remote_dir`."),
        ("Disk quota exceeded", "Free some space there, or name another folder with `remote_dir`."),
        ("Read-only file system", "Name a folder that can be written with `remote_dir`, such as /tmp."),
        ("Permission denied", "Name a folder that can be written with `remote_dir`."),
        ("Operation not permitted", "Name a folder that can be written with `remote_dir`."),
        ("something else", ""),
    ],
)
def test_write_errors_suggest_a_remedy(reason: str, remedy: str) -> None:
    found = with_remedy(RemoteError("pi: it failed.", reason=reason))
    assert (str(found), found.reason) == (f"pi: it failed. {remedy}".strip(), reason)


@pytest.mark.parametrize(
    ("changes", "libc", "version"),
    [
        ({"libc": "glibc 2.36"}, "glibc", (2, 36)), ({"libc": ""}, "musl", (0, 0)),
        ({"libc": "", "system": "Darwin"}, "", (0, 0)), ({"libc": "glibc 2.36-9"}, "glibc", (2, 36)),
    ],
)  # fmt: skip
def test_system_includes_the_c_library_and_its_version(
    changes: dict[str, str], libc: str, version: tuple[int, int]
) -> None:
    found = system_of(facts(**changes))
    assert (found.libc, found.libc_version, found.python, found.machine) == (libc, version, (3, 11), "aarch64")


@pytest.mark.parametrize(
    ("off", "text"),
    [
        (86_390, None), (-86_390, None), (86_410, "1 days fast"), (-86_410, "1 days slow"),
        (-400 * 86400, "400 days slow"),
        (501 * 86400, "1.4 years fast"),
    ],
)  # fmt: skip
def test_device_clock_that_is_wrong_by_more_than_a_day_is_reported(
    monkeypatch: pytest.MonkeyPatch, off: float, text: str | None
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)
    reporter = Recorder()
    installation._check_clock("pi", facts(time=1e9 + off), reporter)
    expected = [] if text is None else [f"pi: its clock is {text}; the clock of this machine is used."]
    assert reporter.warnings == expected


REQUIREMENTS = ["numpy>=1.26", "Pillow>=10; python_version > '3'", "ai_edge_litert>=1.2", "paho-mqtt; extra == 'mqtt'"]


@pytest.mark.parametrize(
    ("machine", "runtime", "own", "requirements", "alone", "system"),
    [
        ("aarch64", "ai-edge-litert", (), ("numpy>=1.26", "Pillow>=10", "ai_edge_litert>=1.2"), False, ()),
        ("aarch64", "tflite-runtime", (), ("numpy<2", "Pillow>=10", "tflite-runtime"), False, ()),
        ("armv7l", "tflite-runtime", (), ("tflite-runtime",), True, ("numpy", "pillow")),
        ("aarch64", "ai-edge-litert", ("numpy",), ("Pillow>=10", "ai_edge_litert>=1.2"), False, ("numpy",)),
    ],
)
def test_packages_for_a_device_depend_on_its_processor_and_camera(
    monkeypatch: pytest.MonkeyPatch, machine: str, runtime: str, own: tuple[str, ...], requirements: tuple[str, ...],
    alone: bool, system: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setattr(wheels, "requires", lambda name: REQUIREMENTS)
    found = required_packages(SimpleNamespace(machine=machine), runtime, own=own)  # type: ignore[arg-type]
    assert (found.requirements, found.alone, found.system) == (requirements, alone, system)
    assert wheels.extra_needs("mqtt").requirements == ("paho-mqtt",)


@pytest.mark.parametrize("alone", [False, True])
def test_wheels_are_downloaded_for_the_device(monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        calls.append((command, env))
        folder = Path(command[command.index("--dest") + 1])
        for name in ("numpy-2.0-cp311.whl", "Pillow-11.0-cp311.whl"):
            (folder / name).touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("PYTHONPATH", "/of/this/program")
    system: Any = SimpleNamespace(python=(3, 11), machine="aarch64", libc_version=(2, 18))
    needs = wheels.Needs(("numpy>=1", "pillow"), alone, ("numpy",))
    with fetched(system, needs) as found:
        assert [path.name for path in found] == ["Pillow-11.0-cp311.whl"], "the system provides numpy"
        folder = found[0].parent
    assert not folder.exists()
    [(command, env)] = calls
    tags = ("manylinux_2_18_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64")
    assert command == [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder),
        "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "abi3",
        "--abi", "none", *(word for tag in tags for word in ("--platform", tag)), *(["--no-deps"] if alone else []),
        "numpy>=1", "pillow",
    ]  # fmt: skip
    assert env["PYTHONPATH"] == "", "pip must not find packages of this program"


def test_wheels_that_cannot_be_downloaded_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=1, stderr="first\nERROR: no wheel\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    system: Any = SimpleNamespace(python=(3, 11), machine="aarch64", libc_version=(2, 18))
    with pytest.raises(RemoteError) as raised, fetched(system, wheels.Needs(("x",), False, ())):
        pass
    assert (
        str(raised.value) == "wheels for aarch64 cannot be fetched here (no wheel)."
        and raised.value.reason == "no wheel"
    )


def test_wheel_of_the_program_has_fixed_timestamps(tmp_path: Path) -> None:
    with zipfile.ZipFile(own_wheel(tmp_path)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2020, 1, 1, 0, 0, 0)}
        names = archive.namelist()
        [record] = [name for name in names if name.endswith("RECORD")]
        assert [line.partition(",")[0] for line in archive.read(record).decode().splitlines()] == names
    assert not [name for name in names if name.endswith(".pyc")]
