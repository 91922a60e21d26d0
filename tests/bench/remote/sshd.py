"""A real sshd on the loopback address, which runs as the current user, for tests of `--on`."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from poets_edge.bench.remote.ssh import SSH_VARIABLE
from tests.programs import find_program, free_port, need_programs


@dataclass(frozen=True)
class SshServer:
    """A running sshd, and the configuration with which ssh logs in to it.

    Attributes:
        name: name in ssh's configuration.
        config: lines for ssh's configuration.
        home: the home folder after login.
    """

    name: str
    config: str
    home: Path
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def ssh_server(
    folder: Path, name: str, *, shell: Sequence[str] = (), home: Path | None = None, jump: SshServer | None = None
) -> Iterator[SshServer]:
    """Start an sshd, and stop it at the end.

    Args:
        folder: folder for the keys and other files of the server.
        shell: login shell, which receives the command line as its last argument; by default bash.
        home: the home folder after login.
        jump: server through which ssh connects (ProxyJump).
    """
    need_programs("sshd", "ssh", "ssh-keygen")
    folder.mkdir(parents=True, exist_ok=True)
    home = home or folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    for key in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    port = free_port()
    start = folder / "start"
    words = shlex.join(shell or ("/bin/bash", "-c"))
    start.write_text(
        f'#!/bin/sh\nexport HOME={shlex.quote(str(home))}\nunset XDG_CACHE_HOME XDG_DATA_HOME PYTHONPATH\ncd "$HOME"\n'
        f'exec {words} "$SSH_ORIGINAL_COMMAND"\n'
    )
    start.chmod(0o755)
    (folder / "sshd_config").write_text(
        f'Port {port}\nListenAddress 127.0.0.1\nHostKey "{folder}/host_key"\nAuthorizedKeysFile "{folder}/key.pub"\n'
        f'PidFile "{folder}/pid"\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nForceCommand "{start}"\n'
        "KbdInteractiveAuthentication no\nAllowTcpForwarding yes\nPermitRootLogin yes\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd gives up its rights in it
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(find_program("sshd")), "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    config = (
        f'Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile "{folder}/key"\n'
        "  IdentitiesOnly yes\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
    )
    config += f"  ProxyCommand ssh -F '{folder}/jump' -W %h:%p {jump.name}\n" if jump else ""
    if jump:
        (folder / "jump").write_text(jump.config)
    try:
        _await(port, process, folder / "log")
        yield SshServer(name, config, home, process)
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def ssh_configured(folder: Path, *servers: SshServer, more: str = "") -> Iterator[Path]:
    """Configure ssh for the given servers only."""
    config = folder / "ssh_config"
    config.write_text(more + "".join(server.config for server in servers))
    before = os.environ.get(SSH_VARIABLE)
    os.environ[SSH_VARIABLE] = f"ssh -F {config}"
    try:
        yield config
    finally:
        os.environ.pop(SSH_VARIABLE)
        if before is not None:
            os.environ[SSH_VARIABLE] = before


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"sshd did not start: {log.read_text()}")
