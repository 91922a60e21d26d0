"""User names and passwords for web servers, stored in memory and sent only to the server in the user's address.

An argument `https://user:password@host/photos` is split: messages, records and caches contain `https://host/photos`,
and only requests to `https://host` include the password. Helper processes receive passwords in an environment
variable.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from urllib.parse import unquote, urlsplit

from poets_edge.core.json_checks import DictOf, check, parse_json

VARIABLE = "POETS_EDGE_CREDENTIALS"
"""Environment variable of helper processes: a JSON object that maps origins to `user:password`."""

_USER_INFO = re.compile(r"([a-z][a-z0-9+.-]*://)([^/?#\\]*)@", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_user_info: dict[str, str] = {}


def without_user_info(address: str) -> str:
    """Return an address without the user name and password before its host."""
    return _USER_INFO.sub(r"\1", address)


def split_user_info(address: str) -> str:
    """Return an address without its user name and password, which are stored for requests to its server."""
    match = _USER_INFO.match(address)
    if match is None:
        return address
    clean = without_user_info(address)
    _load()
    with contextlib.suppress(ValueError):  # an invalid port is reported when the address is used
        _user_info[origin(clean)] = unquote(match[2])
    return clean


def origin(address: str) -> str:
    """Return the scheme, host and port of an address: `https://host:443`.

    Raises:
        ValueError: the port is not a number from 0 to 65535.
    """
    parts = urlsplit(address)
    scheme = parts.scheme.lower()
    return f"{scheme}://{(parts.hostname or '').lower()}:{parts.port or _PORTS.get(scheme, 0)}"


def authorization(address: str) -> str | None:
    """Return the `Authorization` header for a request; None if no password was given for its server."""
    _load()
    user_info = _user_info.get(origin(address))
    if user_info is None:
        return None
    import base64

    text = user_info if ":" in user_info else f"{user_info}:"
    return "Basic " + base64.b64encode(text.encode()).decode("ascii")


def helper_variables() -> dict[str, str]:
    """Return the environment variable that passes passwords to a helper process; empty if there are none."""
    _load()
    return {VARIABLE: json.dumps(_user_info)} if _user_info else {}


def _load() -> None:
    """Read the passwords of the parent process and unset the variable, so that child processes do not inherit it."""
    if text := os.environ.pop(VARIABLE, ""):
        _user_info.update(check(parse_json(text), DictOf(str)))
