"""The systemd unit of a deployed model, as text. Quoting: systemd.service(5), "Command lines"; systemd.syntax(7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NAME = "poets-edge-watch"
"""The service, and the name its lines have in the journal."""


def unit_text(command: Sequence[str], environment: Mapping[str, str], *, host: str) -> str:
    """A unit for the user's own systemd, which needs no root: it runs `command` from the start of the device on.

    Args:
        command: program and arguments; any text.
        host: told in the unit, for whoever finds it.
    """
    settings = "".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in environment.items())
    words = " ".join(quoted(word, expanded=True) for word in command)
    return f"""# Written by: poets-edge deploy --on {host}. The same with --remove takes it away.
[Unit]
Description=Label what the camera sees
StartLimitIntervalSec=0

[Service]
{settings}ExecStart={words}
SyslogIdentifier={NAME}
# A camera that goes away is waited for by the program itself. One that is missing at the start ends it.
Restart=on-failure
RestartSec=10
TimeoutStopSec=10
Nice=5
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


def quoted(text: str, *, expanded: bool = False) -> str:
    """A word that systemd reads as `text`, whatever is in it.

    Args:
        expanded: it stands in a command line, where variables are put in.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return f'"{escaped.replace("$", "$$") if expanded else escaped}"'
