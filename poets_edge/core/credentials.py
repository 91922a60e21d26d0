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
from poets_edge.errors import UsageError

VARIABLE = "POETS_EDGE_CREDENTIALS"
"""Environment variable of helper processes: a JSON object that maps origins to `user:password`."""

_SCHEME = r"(?<![a-z0-9])([a-z][a-z0-9+.-]{1,20}:/{1,2})"
"""Scheme of an address; one slash, where a path object has joined two."""
_USER_INFO = re.compile(_SCHEME + r"([^/?#]*)@", re.IGNORECASE)
_USER_INFO_IN_TEXT = re.compile(_SCHEME + r"[^/?#\s]*@", re.IGNORECASE)
_UNQUOTED = re.compile(_SCHEME + r"[^/?#\s\[\]:]*:(?!\d*(?:[/?#\s]|$))\S{0,1000}@", re.IGNORECASE)
"""Address whose port is not a number, since a password before the host has a `/`, `?` or `#`, which end a host."""
_PORTS = {"http": 80, "https": 443}
_user_info: dict[str, str] = {}


def without_user_info(text: str) -> str:
    """Return a text without the user names and passwords of the addresses in it."""
    if "@" not in text:
        return text
    return _UNQUOTED.sub(r"\1", _USER_INFO_IN_TEXT.sub(r"\1", text))


def split_user_info(address: str) -> str:
    """Return an address without its user name and password, which are stored for requests to its server.

    Raises:
        UsageError: the password contains a character that ends the host of an address.
    """
    match = _USER_INFO.match(address)
    if match is None:
        if _UNQUOTED.match(address):
            raise UsageError(
                f"{without_user_info(address)}: write /, ? and # in the password of an address as %2F, %3F and %23."
            )
        return address
    clean = match[1] + address[match.end() :]
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
