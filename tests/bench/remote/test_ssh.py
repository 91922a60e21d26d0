"""Tests of the ssh command: valid destinations, options, and explanations of its failures."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from poets_edge.bench.remote import ssh
from poets_edge.bench.remote.agent_program import START
from poets_edge.bench.remote.ssh import SSH_VARIABLE, check_host, ended_error, ssh_command
from poets_edge.errors import RemoteError, UsageError


@pytest.mark.parametrize("host", ["pi", "pi@host", "ssh://pi@host:22", "a" * 300])
def test_valid_ssh_destinations_are_accepted_as_hosts(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b", "a\n", "a\x7f", "a" * 301])
def test_text_that_is_not_an_ssh_destination_is_refused_as_host(host: str) -> None:
    with pytest.raises(UsageError, match="expected an SSH destination"):
        check_host(host)


def test_host_with_a_password_is_refused_without_showing_it() -> None:
    for host in ("me:s3cret@pi", "ssh://me:s3cret@pi"):
        with pytest.raises(UsageError, match="host 'pi': without the password") as raised:
            check_host(host)
        assert "s3cret" not in str(raised.value)


def test_ssh_is_started_with_timeouts_and_without_forwarding(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: Any = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **pipes: commands.append(command) or sorted(pipes))
    monkeypatch.setenv(SSH_VARIABLE, "ssh -F 'my file'")
    assert ssh.start_ssh("pi") == ["stderr", "stdin", "stdout"]  # type: ignore[comparison-overlap]
    [command] = commands
    options = (
        "ConnectTimeout=15",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
        "RemoteCommand=none",
        "ClearAllForwardings=yes",
    )
    assert command == [
        "ssh",
        "-F",
        "my file",
        "-T",
        *(word for one in options for word in ("-o", one)),
        "--",
        "pi",
        START,
    ]
    monkeypatch.delenv(SSH_VARIABLE)
    assert ssh_command() == ["ssh"]

    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr(subprocess, "Popen", missing)
    with pytest.raises(RemoteError, match=r"ssh cannot be started here \(No such file\)"):
        ssh.start_ssh("pi")


@pytest.mark.parametrize(
    ("status", "last", "logged_in", "problem", "message"),
    [
        (97, "Python 3.9", False, "", "pi: no Python 3.10 to 3.13 there (Python 3.9)."),
        (97, "x", True, "is silent", "pi: no Python 3.10 to 3.13 there (x)."),
        (None, "x", True, "is silent", "pi: the device is silent; the connection was ended."),
        (255, "broken pipe", True, "", "pi: the connection was lost (broken pipe)."),
        (255, "", True, "", "pi: the connection was lost."),
        (255, "denied", False, "", "pi: ssh cannot log in (denied). Try: ssh pi"),
        (255, "", False, "", "pi: ssh cannot log in (no reason given)."),
        (1, "", False, "", "pi: its shell cannot start a program (status 1)."),
        (1, "sh: x", False, "", "pi: its shell cannot start a program (sh: x)."),
    ],
)
def test_error_explains_why_the_connection_ended(
    status: int | None, last: str, logged_in: bool, problem: str, message: str
) -> None:
    assert str(ended_error("pi", status, last, logged_in=logged_in, problem=problem)).startswith(message)
