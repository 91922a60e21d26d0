"""Text of the systemd unit of a deployed model. Quoting: systemd.service(5), "Command lines"; systemd.syntax(7)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

NAME = "poets-edge-watch"
"""Name of the service in the default folder, and prefix of the other names."""


def unit_name(folder: str, *, usual: bool) -> str:
    """Return the name of the service of a folder, which also identifies its lines in the journal.

    Args:
        folder: the program's own folder on the device.
        usual: whether it is the default folder of `deploy`.
    """
    return NAME if usual else f"{NAME}-{hashlib.sha256(folder.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def unit_text(command: Sequence[str], environment: Mapping[str, str], *, name: str, undo: str) -> str:
    """Return a unit for the systemd of a user, which runs a command from the start of the device on.

    Args:
        command: program and arguments; any text.
        name: of the unit, for its lines in the journal.
        undo: the command that removes the unit, for a comment in it.
    """
    settings = "".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in environment.items())
    words = " ".join(quoted(word, expanded=True) for word in command)
    shown = undo if undo.isprintable() else undo.encode("unicode_escape").decode()
    return f"""# Written by poets-edge deploy. To remove it: {shown}
[Unit]
Description=Label what the camera sees
StartLimitIntervalSec=0

[Service]
{settings}ExecStart={words}
SyslogIdentifier={name}
# The program itself waits for a camera that disappears. It ends if there is none at the start.
Restart=on-failure
RestartSec=10
TimeoutStopSec=10
Nice=5
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


def quoted(text: str, *, expanded: bool = False) -> str:
    """Return text quoted for a unit.

    Args:
        expanded: whether it is part of a command line, in which systemd expands variables.
    """
    escaped = "".join(map(_escaped, text))
    return f'"{escaped.replace("$", "$$") if expanded else escaped}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "%":
        return "%%"
    if character < " " or "\x7f" <= character <= "\x9f":  # a carriage return would end the line
        return "".join(f"\\x{byte:02x}" for byte in character.encode())
    return character
