"""The systemd unit of a deployed model, as text. Quoting: systemd.service(5), "Command lines"; systemd.syntax(7)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

NAME = "poets-edge-watch"
"""The service in the usual folder; the names of others begin with it."""


def unit_name(folder: str, *, usual: bool) -> str:
    """Return the name of a service, and of its lines in the journal: one for each folder.

    Args:
        folder: the program's own folder on the device.
        usual: it is the one that `deploy` takes if none is named.
    """
    return NAME if usual else f"{NAME}-{hashlib.sha256(folder.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def unit_text(command: Sequence[str], environment: Mapping[str, str], *, name: str, undo: str) -> str:
    """Return a unit for the user's own systemd, which needs no root: it runs `command` from the device's start on.

    Args:
        command: program and arguments; any text.
        name: of the unit, for its lines in the journal.
        undo: the command that removes it; stands in the unit as a comment.
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
