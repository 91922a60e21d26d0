"""User names and passwords for web servers, stored in memory and sent only to the server they were given for.

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
"""Environment variable that passes credentials to helper processes: a JSON object that maps each origin
(scheme, host and port) to `user:password`."""

_SCHEME = r"(?<![a-z0-9])([a-z][a-z0-9+.-]{1,20}:/{1,3})"
"""Pattern for the scheme at the beginning of an address, with one to three slashes. One slash is accepted because
a path object merges two slashes into one, and three because this is a common typing error.
"""
_USER_INFO = rf"(?i){_SCHEME}([^/?#]*)@"
_USER_INFO_IN_TEXT = rf"(?i){_SCHEME}[^/?#\s]*@"
_UNQUOTED = rf"(?i){_SCHEME}[^/?#\s\[\]:]*:(?!\d*(?:[/?#\s]|$))\S{{0,1000}}@"
"""Pattern for an address with an unescaped `/`, `?` or `#` in its password. A URL parser would regard such a character
as the end of the host, and the part of the password before it as the port."""
_PORTS = {"http": 80, "https": 443}
_user_info: dict[str, str] = {}


def without_user_info(text: str) -> str:
    """Return a string without the user names and passwords in the addresses that it contains."""
    if "@" not in text:
        return text
    return re.sub(_UNQUOTED, r"\1", re.sub(_USER_INFO_IN_TEXT, r"\1", text))


def without_login(host: str) -> str:
    """Return a host without its user name and password, which are all text before the last `@`.

    The host may be preceded by a scheme. Unlike `without_user_info`, this recognizes passwords that contain spaces, and
    addresses without a scheme.
    """
    return re.sub(r"(?s)^(\w[\w+.-]*://)?.*@", r"\1", host)


def split_user_info(address: str) -> str:
    """Remove the user name and password from an address, store them for requests to its server, and return the rest.

    Raises:
        UsageError: the password contains an unescaped `/`, `?` or `#`.
    """
    if "@" not in address:  # the patterns take a millisecond to compile
        return address
    match = re.match(_USER_INFO, address)
    if match is None:
        if re.match(_UNQUOTED, address):
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
    """Return the scheme, host and port of an address, such as `https://host:443`.

    Raises:
        ValueError: the port is not a number from 0 to 65535.
    """
    parts = urlsplit(address)
    scheme = parts.scheme.lower()
    return f"{scheme}://{(parts.hostname or '').lower()}:{parts.port or _PORTS.get(scheme, 0)}"


def authorization(address: str) -> str | None:
    """Return the value of the `Authorization` header for requests to an address.

    The result is None if no password is stored for the server at that address.
    """
    _load()
    user_info = _user_info.get(origin(address))
    if user_info is None:
        return None
    import base64

    text = user_info if ":" in user_info else f"{user_info}:"
    return "Basic " + base64.b64encode(text.encode()).decode("ascii")


def helper_variables() -> dict[str, str]:
    """Return a dictionary with the environment variable that passes the stored passwords to helper processes.

    The dictionary is empty if no passwords are stored.
    """
    _load()
    return {VARIABLE: json.dumps(_user_info)} if _user_info else {}


def _load() -> None:
    """Load the passwords that the parent process passed in an environment variable, and unset the variable.

    The variable is unset so that other programs that this process starts do not inherit it.
    """
    if text := os.environ.pop(VARIABLE, ""):
        _user_info.update(check(parse_json(text), DictOf(str)))
