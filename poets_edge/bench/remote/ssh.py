"""Start the system's `ssh`, check its destinations, and explain failed logins and lost connections."""

from __future__ import annotations

import os
import shlex
import subprocess

from poets_edge.bench.remote.agent_program import NO_PYTHON, START
from poets_edge.errors import RemoteError, UsageError

SSH_VARIABLE = "POETS_EDGE_SSH"
"""Environment variable for the ssh command, such as `ssh -F FILE`; it corresponds to GIT_SSH_COMMAND in git."""

_OPTIONS = {
    "ConnectTimeout": "15",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "RemoteCommand": "none",
    "ClearAllForwardings": "yes",
}
"""Options for ssh that detect lost connections and override interactive settings in ~/.ssh/config."""
_LOGIN_FAILED = 255
"""Exit status of ssh if it cannot log in."""
_LONGEST_HOST = 300


def check_host(host: str) -> str:
    """Return the host if it is a valid SSH destination without a password; otherwise raise UsageError."""
    user, _, name = host.removeprefix("ssh://").rpartition("@")
    shown = (name if ":" in user else host)[:_LONGEST_HOST]
    if ":" in user:
        raise UsageError(f"host {shown!r}: without the password, for which ssh asks, or which a key replaces.")
    odd = any(character.isspace() or not character.isprintable() for character in host)
    if not host or host.startswith("-") or odd or len(host) > _LONGEST_HOST:
        raise UsageError(f"host {shown!r}: expected an SSH destination, such as pi@raspberrypi.local.")
    return host


def ssh_command() -> list[str]:
    """Return the command in POETS_EDGE_SSH, or `ssh`, split into words. Raises UsageError if a quote is not closed."""
    text = os.environ.get(SSH_VARIABLE) or "ssh"
    try:
        return shlex.split(text, posix=os.name != "nt")
    except ValueError as error:
        raise UsageError(f"the environment variable {SSH_VARIABLE}={text}: {error}.") from None


def start_ssh(host: str) -> subprocess.Popen[bytes]:
    """Start ssh, which logs in to a device and starts Python there. Return the ssh process, with three pipes."""
    command = [*ssh_command(), "-T"]
    command += [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
    try:
        return subprocess.Popen(
            [*command, "--", host, START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise RemoteError(
            f"ssh cannot be started here ({error.strerror}). Install OpenSSH's client; on Windows it is an optional"
            " feature of the system."
        ) from None


def ended_error(host: str, status: int | None, last: str, *, logged_in: bool, problem: str) -> RemoteError:
    """Return an error that explains in one line why an ssh process has ended.

    Args:
        status: exit status of ssh; None if it is still running.
        last: last line of the standard error of ssh, or "".
        logged_in: whether the agent was started on the device.
        problem: reason for which this program has ended the connection, such as "has been silent for 15 s", or "".
    """
    if status == NO_PYTHON:
        return RemoteError(
            f"{host}: no Python 3.10 to 3.13 there ({last}). Raspberry Pi OS has one since 2023; elsewhere:"
            " sudo apt install python3"
        )
    if problem:
        return RemoteError(f"{host}: the device {problem}; the connection was ended.")
    if logged_in:
        return RemoteError(f"{host}: the connection was lost{f' ({last})' if last else ''}.")
    if status == _LOGIN_FAILED:
        return RemoteError(f"{host}: ssh cannot log in ({last or 'no reason given'}). Try: ssh {host}")
    return RemoteError(
        f"{host}: its shell cannot start a program ({last or f'status {status}'}). Required is a Linux system"
        " with /bin/sh and Python 3.10 to 3.13."
    )
