"""Tests of the steps of `deploy` and `deploy --remove`, with a fake device, in their exact order."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from poets_edge.bench.remote import deploy as deploying
from poets_edge.bench.remote.answers import Items, Left, Service, ServiceNote
from poets_edge.bench.remote.deploy import DeployOptions, deploy, remove, undo_command
from poets_edge.bench.remote.installation import Installation, item
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.errors import UsageError
from tests.bench.remote.scripted import OpenConnection, facts
from tests.recorder import Recorder

HOME = "/home/pi/.local/share/poets-edge"


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


def test_deploy_reads_the_login_for_the_broker_before_it_connects(steps: list[Any], tmp_path: Path) -> None:
    steps.pop()
    mqtt = MqttOptions(broker="mqtt://b", login=tmp_path / "absent")
    with pytest.raises(UsageError, match="`mqtt_login`"):
        deploy(DeployOptions(model=Path("m.tflite"), on="pi", mqtt=mqtt))
    assert [step[0] for step in steps] == ["open"]


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
def test_removal_stops_the_service_before_it_deletes_files(steps: list[Any], note: ServiceNote | None) -> None:
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
def test_removal_changes_nothing_on_a_device_without_a_deployment(steps: list[Any], state: Any) -> None:
    connection = steps.pop()
    connection._answers["facts"] = facts(state=state)
    assert not remove("pi") and [do for do, _ in connection.asked] == ["facts"]
