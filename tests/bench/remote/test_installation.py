"""Tests of the conditions under which the program is installed on a device, with a fake device."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from poets_edge.bench.remote import installation
from poets_edge.bench.remote.answers import Done, Items, Left
from poets_edge.bench.remote.installation import (
    Installation,
    install,
    open_folder,
    system_of,
    warn_remaining_files,
    with_remedy,
)
from poets_edge.bench.remote.wheels import extra_needs, package_name
from poets_edge.core.paths import CACHE_VARIABLE
from poets_edge.errors import RemoteError
from poets_edge.progress import Silent
from tests.bench.remote.scripted import ScriptedConnection, facts
from tests.recorder import Recorder


def install_on(
    reporter: Recorder | None = None, *, extra: str = "", parent: str = "", fetch: Any = None, **changes: Any
) -> Any:
    """Install the program on a fake device with the given description; return the connection and the installation."""
    connection: Any = ScriptedConnection(
        {
            "facts": facts(**{"time": time.time(), **changes}),
            "open": Left(()),
            "have": lambda request: Items(tuple(name for name in request["items"] if name.startswith("program/"))),
            "fetch": fetch or Done(),
        }
    )
    connection.send_item = lambda item, members, **_: connection.asked.append(("send", {"item": item}))
    return connection, install(connection, extra=extra, folder=parent, reporter=reporter)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make downloads of packages fail on this machine."""

    @contextlib.contextmanager
    def fetched(*_: object) -> Iterator[list[Path]]:
        raise RemoteError("no network here.")
        yield []

    monkeypatch.setattr(installation, "fetched", fetched)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"machine": "armv6l", "bits": 32}, "pi: "),
        ({"folder": "/home/pi/a:b/poets-edge"}, "a ':' separates folders for Python"),
        ({"writable": False}, "cannot be written. Name another folder with `remote_dir`"),
        ({"free": 1_000_000}, "1 MB are free, 170 MB are needed"),
        ({"machine": "armv7l", "bits": 32, "versions": {"numpy": "1.24"}}, "pillow must be packages of its system"),
    ],
)
def test_installation_on_unsuitable_devices_is_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RemoteError, match=message):
        install_on(**changes)


def test_packages_are_downloaded_on_the_device_if_this_machine_is_offline(offline: None) -> None:
    connection, found = install_on(versions={"pip": "23.0"})
    [command] = [request["command"] for do, request in connection.asked if do == "fetch"]
    assert command[:4] == ["/usr/bin/python3", "-m", "pip", "download"] and "--no-deps" not in command
    assert [path.partition("/")[0] for path in found.items] == ["program", "packages"]


@pytest.mark.parametrize("parent", ["", "/media/disk"])
def test_installation_accepts_files_of_other_programs_only_in_the_default_folder(offline: None, parent: str) -> None:
    connection, _ = install_on(parent=parent, versions={"pip": "23.0"})
    requests = dict(connection.asked)
    assert requests["facts"]["folder"] == parent and requests["facts"]["kind"] == "cache"
    assert requests["open"]["adopt"] is (parent == "") and requests["open"]["alone"] is False


@pytest.mark.parametrize("missing", [None, "picamera2", "numpy", "pillow"])
def test_installation_uses_system_numpy_and_pillow_if_picamera2_is_installed(
    offline: None, missing: str | None
) -> None:
    versions = {name: "1.0" for name in ("picamera2", "numpy", "pillow", "pip") if name != missing}
    connection, _ = install_on(versions=versions)
    [command] = [request["command"] for do, request in connection.asked if do == "fetch"]
    downloaded = {package_name(word) for word in command[command.index("--only-binary=:all:") + 1 :]}
    assert {"numpy", "pillow"} & downloaded == (set() if missing is None else {"numpy", "pillow"})


def test_packages_are_reinstalled_for_another_python_version_or_processor(offline: None) -> None:
    def packages(**changes: Any) -> str:
        return str(install_on(versions={"pip": "23.0"}, **changes)[1].items[1])

    found = {packages(), packages(python=(3, 12, 2)), packages(machine="x86_64")}
    assert len(found) == 3 and packages(python=(3, 11, 9)) in found


def test_installation_reports_that_neither_machine_can_download_packages(offline: None) -> None:
    with pytest.raises(RemoteError, match=r"pi: no network here\. The device has no pip"):
        install_on()
    failed = RemoteError("pi: x", reason="ERROR: no route")
    with pytest.raises(RemoteError, match=r"The device cannot download them either \(no route\)"):
        install_on(versions={"pip": "23.0"}, fetch=failed)


def test_pip_is_used_on_devices_that_do_not_run_linux() -> None:
    connection, _ = install_on(system="Darwin", machine="arm64", libc="", versions={"pip": "23.0"})
    assert "fetch" in dict(connection.asked)


def test_installation_includes_the_packages_of_an_extra(offline: None) -> None:
    _, found = install_on(extra="mqtt", versions={"pip": "23.0"})
    assert [path.partition("/")[0] for path in found.items] == ["program", "packages", "packages"]
    with pytest.raises(RemoteError, match=r"does not know the extra \[none\]"):
        extra_needs("none")


def test_installation_warns_about_a_wrong_clock_and_files_of_older_versions(offline: None) -> None:
    reporter = Recorder()
    older = ("/home/pi/.cache/models", "/home/pi/.cache/deployed.json")
    install_on(reporter, time=time.time() - 10 * 86400, older=older, versions={"pip": "23.0"})
    assert any("clock" in text and "slow" in text for text in reporter.warnings)
    assert any(f"an older version created it: {', '.join(older)}" in text for text in reporter.notes)
    assert any("systemctl --user disable --now" in text for text in reporter.notes)
    reporter = Recorder()
    install_on(reporter, older=older[:1], versions={"pip": "23.0"})
    assert not any("systemctl" in text for text in reporter.notes), "no service was deployed"


@pytest.mark.parametrize(("count", "more"), [(0, None), (5, ""), (7, " and 2 more")])
def test_warning_about_remaining_files_lists_at_most_five_files(count: int, more: str | None) -> None:
    reporter = Recorder()
    warn_remaining_files("pi", [f"/{number}" for number in range(count)], reporter)
    if more is None:
        assert reporter.warnings == []
    else:
        [text] = reporter.warnings
        assert text.endswith(f": /0, /1, /2, /3, /4{more}")


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
def test_open_request_allows_files_of_other_programs_only_in_the_default_folder(default: bool, alone: bool) -> None:
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
def test_errors_when_writing_on_the_device_suggest_a_remedy(reason: str, remedy: str) -> None:
    found = with_remedy(RemoteError("pi: it failed.", reason=reason))
    assert (str(found), found.reason) == (f"pi: it failed. {remedy}".strip(), reason)


@pytest.mark.parametrize(
    ("changes", "libc", "version"),
    [
        ({"libc": "glibc 2.36"}, "glibc", (2, 36)), ({"libc": ""}, "musl", (0, 0)),
        ({"libc": "", "system": "Darwin"}, "", (0, 0)), ({"libc": "glibc 2.36-9"}, "glibc", (2, 36)),
    ],
)  # fmt: skip
def test_c_library_and_its_version_are_taken_from_the_device_description(
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
