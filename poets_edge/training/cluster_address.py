"""Addresses of clusters; a cluster consists of processes on this machine, or of the workers of a Dask scheduler."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from poets_edge.core.credentials import without_login
from poets_edge.errors import UsageError

_LOCAL = "local:"
_MOST_PER_CORE, _MOST_ANYWHERE = 4, 16
"""The maximum number of processes is _MOST_PER_CORE for each core of this machine, but at least _MOST_ANYWHERE. Each
process needs about 100 MB of memory."""
_LONGEST_NUMBER = 9
"""Maximum number of digits of N in `local:N`. Python refuses to convert strings of thousands of digits to integers."""
_ENCRYPTED = frozenset({"tls", "wss"})
"""Dask's encrypted protocols, which use certificates for both ends of a connection."""


def local_workers(address: str) -> int:
    """Return the number of processes N in an address `local:N`; 0 for any other address."""
    number = address.removeprefix(_LOCAL)
    if not address.startswith(_LOCAL) or not number.isdecimal() or len(number) > _LONGEST_NUMBER:
        return 0
    return int(number)


def check_cluster(address: str, *, insecure: bool) -> None:
    """Check the syntax of a cluster's address, and that connections to another machine are encrypted.

    Args:
        address: `local:N`, a Dask scheduler's address, or "" for no cluster.
        insecure: allow unencrypted connections to other machines.

    Raises:
        UsageError: the address is invalid, or contains a user name or password, or the connection to another machine
            would be unencrypted and `insecure` is not set.
    """
    if not address:
        return
    if "@" in address:
        raise UsageError(f"`cluster` {without_login(address)}: Dask takes no names and passwords in addresses.")
    if address.startswith(_LOCAL):
        most = max(_MOST_ANYWHERE, _MOST_PER_CORE * (os.cpu_count() or 1))
        if not 1 <= local_workers(address) <= most:
            raise UsageError(f"`cluster` {address[:40]}: wanted a number of processes from 1 to {most}, as local:2.")
        return
    if ":" not in address:
        raise UsageError(f"`cluster` {address}: wanted local:2, or a Dask scheduler's address as tls://10.0.0.5:8786.")
    if not (insecure or _is_protected(address)):
        raise UsageError(
            f"`cluster` {address}: an unencrypted connection to another machine. Everybody who can reach it, or alter"
            " what is sent, can run programs as you, here and there. Use a tls:// address, or allow this one with"
            " `insecure_cluster`."
        )


def _is_protected(address: str) -> bool:
    """Return whether a connection to an address is encrypted or stays on this machine."""
    import ipaddress  # as slow to load as the rest of the options

    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        host = parts.hostname or ""
        return parts.scheme in _ENCRYPTED or host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or not an address at all
        return False
