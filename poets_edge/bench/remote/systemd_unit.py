"""Text of the systemd unit for a deployed model.

For the quoting rules, see systemd.service(5), section "Command lines", and systemd.syntax(7).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

NAME = "poets-edge-watch"
"""Name of the service if the program is in the default folder; prefix of the name if it is in another folder."""


def unit_name(folder: str, *, usual: bool) -> str:
    """Return the name of the service for the program in a folder, which also identifies the service's journal entries.

    Args:
        folder: the program's own folder on the device.
        usual: whether `folder` is the default that `deploy` uses.
    """
    return NAME if usual else f"{NAME}-{hashlib.sha256(folder.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def unit_text(command: Sequence[str], environment: Mapping[str, str], *, name: str, undo: str) -> str:
    """Return the text of a systemd user unit that starts a command when the device boots.

    Args:
        command: program and arguments, which may contain any characters.
        environment: environment variables of the command.
        name: name of the unit, which also identifies its journal entries.
        undo: shell command that removes the unit; it is added to the unit file as a comment.
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
    """Return text quoted and escaped for a unit file.

    Args:
        expanded: whether systemd would expand variables in the text, as it does in command lines.
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
