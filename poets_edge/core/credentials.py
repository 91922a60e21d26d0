"""Names and passwords for web servers: in memory only, and each for the server that it was given for.

`https://user:password@host/photos` is split where it enters the program; from then on the address reads
`https://host/photos` in messages, records and caches, and only requests to `https://host` carry the password. Helper
processes of this program get it in their environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from urllib.parse import unquote, urlsplit

from poets_edge.core.json_checks import DictOf, check, parse_json

VARIABLE = "POETS_EDGE_CREDENTIALS"
"""Environment variable of helper processes: JSON of `origin` to `user:password`."""

_USER_INFO = re.compile(r"([a-z][a-z0-9+.-]*://)([^/?#\\]*)@", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_user_info: dict[str, str] = {}


def without_user_info(address: str) -> str:
    """Return an address without the name and password in front of its host."""
    return _USER_INFO.sub(r"\1", address)


def split_user_info(address: str) -> str:
    """Return an address without its name and password, and keep these for requests to its server."""
    match = _USER_INFO.match(address)
    if match is None:
        return address
    clean = without_user_info(address)
    _load()
    with contextlib.suppress(ValueError):  # the port is wrong, which is said when the address is used
        _user_info[origin(clean)] = unquote(match[2])
    return clean


def origin(address: str) -> str:
    """Return scheme, host and port of an address, `https://host:443`.

    Raises:
        ValueError: the port is not a number from 0 to 65535.
    """
    parts = urlsplit(address)
    scheme = parts.scheme.lower()
    return f"{scheme}://{(parts.hostname or '').lower()}:{parts.port or _PORTS.get(scheme, 0)}"


def authorization(address: str) -> str | None:
    """Return the `Authorization` header for a request; None where no password was given for its server."""
    _load()
    user_info = _user_info.get(origin(address))
    if user_info is None:
        return None
    import base64

    text = user_info if ":" in user_info else f"{user_info}:"
    return "Basic " + base64.b64encode(text.encode()).decode("ascii")


def helper_variables() -> dict[str, str]:
    """Return the environment variable that passes the passwords to a helper process; empty where there are none."""
    _load()
    return {VARIABLE: json.dumps(_user_info)} if _user_info else {}


def _load() -> None:
    """Take over, once, what the parent process has passed, so that further children do not inherit it."""
    if text := os.environ.pop(VARIABLE, ""):
        _user_info.update(check(parse_json(text), DictOf(str)))
