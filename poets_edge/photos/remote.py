"""Files at addresses, through fsspec: `https://`, `s3://`, `gs://` and whatever else it knows.

What tells that a file has changed (its ETag, or size and time, as the server says) is asked once a run. A file that is
missing is an OSError like that of a missing file here; anything else that goes wrong on the way ends the run, since
leaving out photos because of the network would train something else.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, BinaryIO, cast

from poets_edge.errors import DatasetError, PoetsEdgeError, RemoteError, RuntimeMissingError

CONNECTIONS = 16
"""Requests under way at once."""

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_MARKS = (
    "ETag", "etag", "Content-MD5", "md5Hash", "generation", "checksum", "Last-Modified", "LastModified",
    "last_modified", "updated", "mtime", "modified", "created",
)  # fmt: skip
"""Names of such marks; each kind of file system has its own."""


def listed(address: str) -> list[str]:
    """The files below an address, by their names below it. Raises DatasetError: there are none."""
    with saying(address):
        system, path = _system(address)
        found = _if_there(system.find, path)
        whole = [system._strip_protocol(name) for name in found]
        base = system._strip_protocol(path).rstrip("/") + "/"
    names = [name[len(base) :] for name in whole if name.startswith(base)]
    if not names:
        raise DatasetError(f"{address}: nothing is there, or it cannot be listed.")
    return names


def matching(address: str) -> list[str]:
    """The addresses that a pattern with `*` or `?` stands for, sorted."""
    with saying(address):
        system, path = _system(address)
        return sorted(str(system.unstrip_protocol(found)) for found in _if_there(system.glob, path))


def opened(address: str) -> BinaryIO:
    """A file that can be sought in. Raises DatasetError: its server does not give parts of files."""
    with saying(address):
        system, path = _system(address)
        file = system.open(path, "rb")
        if not file.seekable():
            raise DatasetError(f"{address}: its server does not give parts of a file. Download it first.")
        return cast(BinaryIO, file)


def read(address: str, start: int | None = None, end: int | None = None) -> bytes:
    """A file's bytes, or those from a place up to another. Raises OSError: it is missing."""
    with saying(address):
        system, path = _system(address)
        return bytes(system.cat_file(path, start=start, end=end))


def identity(address: str) -> str | None:
    """The marks that change when a file does; None where its server does not say. Raises OSError: it is missing."""
    facts = _facts(address)
    marks = [f"{mark}={facts[mark]}" for mark in _MARKS if facts.get(mark)]
    return " ".join([f"size={facts.get('size')}", *marks]) if marks else None


def size(address: str) -> int | None:
    """Bytes of a file, where its server says it. Raises OSError: it is missing."""
    found = _facts(address).get("size")
    return None if found is None else int(found)


def ask_about(addresses: Sequence[str]) -> None:
    """Ask for what `identity` and `size` tell, many at a time."""

    def ask(address: str) -> None:
        with contextlib.suppress(OSError):  # a missing one is said when it is read
            _facts(address)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for _ in pool.map(ask, addresses):
            pass


def forget() -> None:
    """Ask anew from here on: a scan begins."""
    _facts.cache_clear()


@lru_cache(maxsize=1 << 17)
def _facts(address: str) -> dict[str, Any]:
    with saying(address):
        system, path = _system(address)
        return dict(system.info(path))


def _system(address: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise _missing(address) from None
    system, path = url_to_fs(address)
    return system, str(path)


def _if_there(find: Callable[[str], Iterable[str]], path: str) -> list[str]:
    """The files found; none where nothing is there, for which some kinds of file systems raise an error."""
    try:
        return list(find(path) or ())
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def saying(address: str) -> Iterator[None]:
    """Make an error of one line of whatever goes wrong on the way to an address."""
    try:
        yield
    except PoetsEdgeError:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "nothing is there") from None
    except ImportError:
        raise _missing(address) from None
    except Exception as error:  # every file system has kinds of its own
        if isinstance(error, ValueError) and "rotocol" in str(error):
            raise DatasetError(f"{address}: no kind of address that fsspec knows.") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RemoteError(f"{address}: {reason}. What is computed stays; run again to go on.") from None


def _missing(address: str) -> RuntimeMissingError:
    extra = _EXTRAS.get(address.partition(":")[0].lower(), "remote")
    return RuntimeMissingError(
        f"{address}: photos at an address need another package: pip install 'poets-edge[{extra}]'"
    )
