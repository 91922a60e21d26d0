"""Files at addresses: `https://` is read by `poets_edge.photos.http`, and `s3://` and `gs://` by fsspec.

A changed file is detected by the ETag, size and time that its server reports; these are requested once per run. A
missing file raises OSError, like a local file. Any other failure ends the run, because skipping photos after a network
failure would change the result of the training.
"""

from __future__ import annotations

import contextlib
import errno
import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple, cast

from poets_edge.core.credentials import without_user_info
from poets_edge.errors import DatasetError, PoetsEdgeError, RemoteError, RuntimeMissingError

CONNECTIONS = 16
"""Maximum number of concurrent requests."""

_STORES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
"""Extra of poets_edge that installs the requirements for reading a URL with fsspec, keyed by the URL's scheme."""
_WEB = frozenset({"http", "https"})
_MARKS = (
    "ETag", "etag", "Content-MD5", "md5Hash", "generation", "checksum", "Last-Modified", "LastModified",
    "last_modified", "updated", "mtime", "modified", "created",
)  # fmt: skip
"""Names of HTTP headers and object store metadata fields whose values change when a file changes."""
_BLOCK = 1 << 22
"""Number of bytes to request at a time while the index of an archive is read."""
_UNRELIABLE = float("inf")


class Facts(NamedTuple):
    """Metadata of a file as reported by its server.

    Attributes:
        identity: text that changes when the file changes; None if the server reports nothing to derive it from.
        changed: time of the last change in seconds since the epoch, by this machine's clock; 0.0 if the server does not
            report a Last-Modified time, and infinity if this time cannot be converted to this machine's clock.
        size: number of bytes; None if the server does not report it.
    """

    identity: str | None
    changed: float
    size: int | None


def listed(address: str) -> list[str]:
    """Return the names of all files in the folder at an address and in its subfolders.

    Raises:
        DatasetError: no files are found.
        RemoteError: the address cannot be reached.
    """
    with readable_errors(address):
        if _is_web(address):
            names = _list_or_empty(_web().listing, address)
        else:
            system, path = _system(address)
            base = system._strip_protocol(path).rstrip("/") + "/"
            whole = map(system._strip_protocol, _list_or_empty(system.find, path))
            names = [name[len(base) :] for name in whole if name.startswith(base)]
    if not names:
        raise DatasetError(f"{address}: nothing is there, or it cannot be listed.")
    return names


def matching(address: str) -> list[str]:
    """Return the addresses of the files that match a pattern with the wildcards `*` and `?`, sorted."""
    import fnmatch

    with readable_errors(address):
        if _is_web(address):
            root = re.split(r"[*?]", address)[0].rpartition("/")[0]
            parts = address[len(root) + 1 :].split("/")
            names = [name.split("/") for name in _list_or_empty(_web().listing, root)]
            return sorted(
                "/".join([root, *name])
                for name in names
                if len(name) == len(parts) and all(map(fnmatch.fnmatchcase, name, parts))
            )
        system, path = _system(address)
        return sorted(str(system.unstrip_protocol(found)) for found in _list_or_empty(system.glob, path))


def opened(address: str) -> BinaryIO:
    """Open a file at an address for binary reading at any position.

    Raises:
        DatasetError: a web server does not report the size of the file.
    """
    with readable_errors(address):
        if _is_web(address):
            length = size(address)
            if length is None:
                raise DatasetError(f"{address}: its server does not say its size. Download it first.")
            return cast(BinaryIO, io.BufferedReader(_RangeFile(address, length), _BLOCK))
        system, path = _system(address)
        return cast(BinaryIO, system.open(path, "rb"))


def read(address: str, start: int | None = None, end: int | None = None, *, most: int) -> bytes:
    """Return the bytes of a file at an address, or only those from `start` up to `end`.

    Raises:
        OSError: the file is missing, or has more than `most` bytes.
        RemoteError: the file cannot be read for another reason.
    """
    with readable_errors(address):
        if _is_web(address):
            return bytes(_web().read(address, start, end, most=most))
        system, path = _system(address)
        data = bytes(system.cat_file(path, start=start or 0, end=most + 1 if end is None else end))
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most / 1e6:,.0f} MB")
    return data


@lru_cache(maxsize=1 << 17)
def facts(address: str) -> Facts:
    """Return the metadata of a file at an address.

    The metadata are requested from the server once, and cached until `forget` is called.

    Raises:
        OSError: the file does not exist.
    """
    with readable_errors(address):
        if _is_web(address):
            said: dict[str, Any] = dict(_web().facts(address))
            said["size"] = int(length) if (length := said.get("Content-Length") or "").isdigit() else None
        else:
            system, path = _system(address)
            said = dict(system.info(path))
        marks = [f"{mark}={said[mark]}" for mark in _MARKS if said.get(mark)]
        length = said.get("size")
        identity = " ".join([f"size={length}", *marks]) if marks else None
        return Facts(identity, _changed(said), None if length is None else int(length))


def size(address: str) -> int | None:
    """Return the size of a file in bytes; None if the server does not report it. Raises OSError if there is no file."""
    return facts(address).size


def prefetch_facts(addresses: Sequence[str]) -> None:
    """Request the metadata of files from their servers concurrently, so that later calls of `facts` need no request.

    Files that do not exist are skipped.

    Args:
        addresses: URLs of the files.
    """

    from concurrent.futures import ThreadPoolExecutor

    def ask(address: str) -> None:
        with contextlib.suppress(OSError):  # a missing file is reported when it is read
            facts(address)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for _ in pool.map(ask, addresses):
            pass


def forget() -> None:
    """Clear the cache of metadata that `facts` returns; called at the beginning of a scan."""
    facts.cache_clear()


def _changed(said: dict[str, Any]) -> float:
    """Return the time of the last change to a file, given its HTTP headers; see `Facts.changed` for the values.

    The header Last-Modified has a resolution of one second, and nginx and Apache derive the ETag from it. Both
    therefore stay the same if a file is rewritten within a second, which the caller detects from the returned time.
    """
    modified = _seconds(said.get("Last-Modified"))
    if modified is None:
        return 0.0
    now = _seconds(said.get("Date"))
    if now is None:
        return _UNRELIABLE
    return time.time() - now + modified


def _seconds(date: object) -> float | None:
    import email.utils

    try:
        return email.utils.parsedate_to_datetime(str(date)).timestamp() if date else None
    except (ValueError, TypeError, OverflowError):
        return None


class _RangeFile(io.RawIOBase):
    """File at a web address that is read with range requests."""

    def __init__(self, address: str, length: int) -> None:
        self._address, self._length, self._place = address, length, 0

    def readable(self) -> bool:
        """Return True: reading is supported."""
        return True

    def seekable(self) -> bool:
        """Return True: seeking is supported."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the read position, and return it in bytes from the beginning of the file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._length}[whence]
        if start + offset < 0:
            raise ValueError("before the beginning of the file")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into a buffer and return their number."""
        end = min(self._place + len(buffer), self._length)
        data = read(self._address, self._place, end, most=len(buffer)) if self._place < end else b""
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def _web() -> ModuleType:
    """Return the module `poets_edge.photos.http`, imported on first use.

    Importing http.client takes as long as labeling a photo.
    """
    from poets_edge.photos import http

    return http


def _is_web(address: str) -> bool:
    """Return whether the scheme of an address is http or https, rather than that of an object store.

    Raises:
        DatasetError: the scheme is not supported, or the address uses http for another machine or has no host.
    """
    scheme = address.partition(":")[0].lower()
    if scheme in _WEB:
        if not _web().is_allowed(address):
            raise DatasetError(f"{address}: not an https address (http is for this machine only), or without a host.")
        return True
    if scheme not in _STORES or "::" in address:  # fsspec reads what follows `::` as an address of any protocol
        raise DatasetError(f"{address}: no kind of address that photos are read from. Use https, s3 or gs.")
    return False


def _system(address: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise _missing(address) from None
    system, path = url_to_fs(address)
    return system, str(path)


def _list_or_empty(find: Callable[[str], Iterable[str]], path: str) -> list[str]:
    """Return `find(path)` as a list; an empty list if the call raises FileNotFoundError."""
    try:
        return list(find(path) or ())
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def readable_errors(address: str) -> Iterator[None]:
    """Context manager that converts errors from reading an address to a RemoteError with a one-line message.

    Exceptions of poets_edge propagate unchanged, as does an OSError for a file that is missing or too large. An
    ImportError becomes a RuntimeMissingError.
    """
    try:
        yield
    except PoetsEdgeError:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "nothing is there") from None
    except ImportError:
        raise _missing(address) from None
    except Exception as error:  # each file system raises its own kinds of errors
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise
        text = without_user_info(" ".join(str(error).split())) or type(error).__name__
        reason = "".join(letter for letter in text[:200] if letter.isprintable())
        raise RemoteError(f"{address}: {reason}. The computed results are kept; run again to continue.") from None


def _missing(address: str) -> RuntimeMissingError:
    extra = _STORES[address.partition(":")[0].lower()]
    return RuntimeMissingError(f"{address}: photos in a store need another package: pip install 'poets-edge[{extra}]'")
