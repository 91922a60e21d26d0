"""Tests of the requests that `deploy` sends to systemd, with a fake device."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from poets_edge.bench.remote import systemd_service
from poets_edge.bench.remote.answers import Done, Items, Links, Service, ServiceNote, UnitPath
from poets_edge.bench.remote.deploy import _collect_folder, _send_mqtt, watch_arguments
from poets_edge.bench.remote.systemd_service import SystemdService
from poets_edge.bench.remote.systemd_unit import unit_name, unit_text
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.errors import RemoteError
from tests.bench.remote.scripted import ScriptedConnection, installed
from tests.recorder import Recorder

Programs = Callable[[Sequence[str]], tuple[int, list[str]]]
UNDO = "poets-edge deploy --on pi --remove"


def systemd(programs: Programs | None = None, **answers: Any) -> tuple[SystemdService, ScriptedConnection]:
    linked = Links(path="/home/pi/.config/systemd/user/it.service", foreign=False, others=())
    usual: dict[str, Any] = {
        "links": linked,
        "service": Service(None),
        "set_service": UnitPath("/unit"),
        "unlink": Done(),
    }
    connection = ScriptedConnection({**usual, **answers}, programs)
    return SystemdService(installed(connection), UNDO), connection


def refusing(*words: str) -> Programs:
    """Return a fake function for running programs, which fails if the command contains one of the given words."""
    return lambda command: (1, ["Access denied."]) if set(words) & set(command) else (0, [])


def test_device_without_usable_systemd_is_reported() -> None:
    def missing(command: Sequence[str]) -> tuple[int, list[str]]:
        raise RemoteError("pi: systemctl: No such file", reason="No such file or directory")

    with pytest.raises(RemoteError, match=r"pi: no systemd there \(No such file or directory\)"):
        systemd(missing)[0].check()
    with pytest.raises(RemoteError, match=r"pi: its systemd cannot be asked \(Access denied\.\)"):
        systemd(refusing("daemon-reload"))[0].check()


def test_setup_enables_lingering_and_starts_the_unit() -> None:
    system, connection = systemd()
    assert system.set_up(["python", "x"], ["program/1"], Recorder(), collect=None) == "/unit"
    run = [command[-2:] for command in connection.commands]
    assert run == [["--value", "pi"], ["enable-linger", "pi"], ["--user", "daemon-reload"], ["enable", "/unit"],
                   ["restart", f"{system.name}.service"]]  # fmt: skip
    notes = [request["note"] for do, request in connection.asked if do == "set_service"]
    assert [note["lingered"] for note in notes] == [False, True] and notes[0]["items"] == ["program/1"]


def test_setup_records_that_an_earlier_deployment_enabled_lingering() -> None:
    lingering = lambda command: (0, ["yes"] if "--value" in command else [])  # noqa: E731
    system, connection = systemd(lingering, service=Service(ServiceNote(lingered=True, collect=None)))
    system.set_up(["python"], [], Recorder(), collect="/home/pi/unsure")
    [note] = [request["note"] for do, request in connection.asked if do == "set_service"]
    assert note["lingered"] is True and note["collect"] == "/home/pi/unsure"


def test_setup_warns_if_lingering_cannot_be_enabled() -> None:
    system, _ = systemd(refusing("enable-linger"))
    reporter = Recorder()
    system.set_up(["python"], [], reporter, collect=None)
    assert reporter.warnings == [
        "pi: the service runs only while pi is logged in. Run on it: sudo loginctl enable-linger pi"
    ]


def test_setup_rejects_unusable_arguments_and_units_of_other_programs() -> None:
    system, connection = systemd()
    with pytest.raises(RemoteError, match="systemd takes only text that is UTF-8"):
        system.set_up(["caf\udce9"], [], Recorder(), collect=None)
    foreign, connection = systemd(links=Links(path="/units/it.service", foreign=True, others=()))
    with pytest.raises(RemoteError, match=r"pi: /units/it\.service is there already"):
        foreign.set_up(["python"], [], Recorder(), collect=None)
    assert not connection.commands and "set_service" not in dict(connection.asked)


def test_setup_suggests_a_remedy_if_the_unit_cannot_be_written() -> None:
    full = RemoteError("pi: No space left on device.", reason="No space left on device")
    with pytest.raises(RemoteError, match="Free some space there"):
        systemd(set_service=full)[0].set_up(["python"], [], Recorder(), collect=None)


@pytest.mark.parametrize(("others", "kept"), [((), False), (("/home/pi/other",), True)])
def test_teardown_disables_lingering_unless_another_deployment_needs_it(others: tuple[str, ...], kept: bool) -> None:
    system, connection = systemd(
        refusing("disable"), links=Links(path="/l", foreign=False, others=others), hand_over_linger=Done()
    )
    system.take_down(lingered=True)
    assert (["loginctl", "disable-linger", "pi"] in connection.commands) is not kept
    assert (("hand_over_linger", {"folder": "/home/pi/other"}) in connection.asked) is kept
    assert ("unlink", {"folder": "/home/pi/.config/systemd/user", "unit": system.name}) in connection.asked
    system, connection = systemd()
    system.take_down(lingered=False)
    assert not [command for command in connection.commands if command[0] == "loginctl"]


def test_error_for_a_failed_command_contains_the_command() -> None:
    system, _ = systemd(refusing("enable"))
    with pytest.raises(RemoteError, match=r"pi: systemctl --user enable /unit failed there \(Access denied\)\."):
        system.run("enable", "/unit")
    assert system.run("enable", "/unit", check=False) == ""


def test_loginctl_returns_none_if_the_program_is_missing() -> None:
    def missing(command: Sequence[str]) -> tuple[int, list[str]]:
        raise RemoteError("pi: loginctl: No such file")

    assert systemd(missing)[0].loginctl("enable-linger") is None


def showing(*states: str) -> Programs:
    """Return a fake systemd whose service goes through `states`, and whose journal has three lines."""
    left = list(states)

    def run(command: Sequence[str]) -> tuple[int, list[str]]:
        if command[0] == "journalctl":
            return 0, ["a", "b", "Error: no camera."] if "SYSLOG" in command[-1] or len(left) < 2 else ["a"]
        return 0, (left.pop(0) if len(left) > 1 else left[0]).split()

    return run


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def test_first_lines_returns_as_soon_as_the_service_has_printed_three_lines(no_waiting: None) -> None:
    running = "ExecMainPID=7 ActiveState=active SubState=running"
    system, connection = systemd(showing("ExecMainPID=0 ActiveState=activating", running, running, running))
    assert system.first_lines(Recorder()) == ["a", "b", "Error: no camera."]
    assert {command[-1] for command in connection.commands if command[0] == "journalctl"} == {"_PID=7"}


def test_error_is_raised_if_the_service_ends_before_its_first_lines(no_waiting: None) -> None:
    for state in ("ExecMainPID=0 ActiveState=failed SubState=failed", "ExecMainPID=7 SubState=auto-restart"):
        with pytest.raises(
            RemoteError, match=r"as soon as it is started \(no camera\)\. .* stop it with: poets-edge deploy"
        ):
            systemd(showing(state))[0].first_lines(Recorder())
    assert systemd(showing("ExecMainPID=0 ActiveState=inactive SubState=dead"))[0].first_lines(Recorder()) == []


def test_first_lines_returns_an_empty_list_after_the_time_limit(
    no_waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_service, "_FIRST_LABELS_SECONDS", 0.0)
    assert systemd()[0].first_lines(Recorder()) == []


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ([], None),
        (["--collect", "unsure"], "/home/pi/unsure"),
        (["--top", "1", "--collect=a b"], "/home/pi/a b"),
        (["--collect", "/data"], "/data"),
        (["--collected", "x"], None),
    ],
)
def test_collect_folder_is_relative_to_the_home_folder(arguments: list[str], folder: str | None) -> None:
    assert _collect_folder(arguments, "/home/pi") == folder


def test_arguments_of_watch_omit_unset_options() -> None:
    given = [
        ("--every", True),
        ("--never", False),
        ("--none", None),
        ("--many", ("a", "b")),
        ("--no", ()),
        ("--n", 0.5),
        ("--zero", 0.0),
    ]
    assert watch_arguments(given) == ("--every", "--many", "a", "--many", "b", "--n", "0.5", "--zero", "0.0")


def test_mqtt_login_and_certificate_are_sent_under_an_unguessable_name(tmp_path: Path) -> None:
    sent: list[tuple[str, list[str]]] = []
    connection: Any = ScriptedConnection({"have": Items(())})
    connection.send_item = lambda item, members, **_: sent.append((item, sorted(members)))
    device = installed(connection)
    plain = _send_mqtt(device, MqttOptions(broker="mqtt://here"), Recorder())
    assert plain == (["--mqtt", "mqtt://here"], []) and not sent
    for name in ("login", "ca"):
        (tmp_path / name).write_text(name)
    options = MqttOptions(broker="mqtts://here", name="porch", login=tmp_path / "login", ca=tmp_path / "ca")
    arguments, items = _send_mqtt(device, options, Recorder())
    [(item, members)] = sent
    assert items == [item] and item.startswith("secrets/") and len(members) == 2
    flags = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert flags["--mqtt-name"] == "porch" and flags["--mqtt-login"] != flags["--mqtt-ca"]
    assert all(flags[flag].startswith(f"{device.folder}/{item}/") for flag in ("--mqtt-login", "--mqtt-ca"))
    assert _send_mqtt(device, options, Recorder())[1] != items, "the name is random"


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


def test_name_of_the_systemd_unit_depends_on_the_folder() -> None:
    assert unit_name("/x", usual=True) == "poets-edge-watch"
    names = {unit_name(folder, usual=False) for folder in ("/x", "/y", "/caf\udce9")}
    assert len(names) == 3 and all(name.startswith("poets-edge-watch-") and len(name) == 25 for name in names)
