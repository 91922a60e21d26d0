"""An HTTP client for files, parts of files and folder listings from untrusted servers.

Every response is limited in size and time. Compressed bodies are rejected, because a small one can expand to a large
one. A password is sent only to the server that it was given for, and redirects from `https` lead only to `https`.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from poets_edge.core.credentials import authorization, origin
from poets_edge.errors import DatasetError

SECONDS = 15.0
"""Time limit for a response, in seconds, which is extended by one second for every `_SLOWEST` bytes received."""
_SLOWEST = 16 << 10
_HEADERS = 1 << 20
"""Maximum number of bytes for the status line, the headers and the framing of chunks."""
_UNANNOUNCED = 64 << 20
"""Maximum number of bytes in a body without a Content-Length header."""
_BLOCK = 1 << 18
_BLOCK_WITH_FRAMING = _BLOCK + _BLOCK // 8
"""Number of bytes that may be received for every `_BLOCK` bytes of a body in chunked encoding; the excess is for
the framing of the chunks. A body with very small chunks exceeds this limit and is rejected."""
_REDIRECTS = 5
_NO_HEAD = (405, 501)
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_DEEPEST, _MOST_PAGES, _MOST_LISTED = 8, 10_000, 32 << 20
"""Limits for a folder listing: depth of folders, number of folders, and total bytes of the pages and the file paths."""
_LINK = re.compile(rb"<a\s[^<>]{0,1000}?href\s*=\s*[\"']([^\"'<>]{1,4096})", re.IGNORECASE)


@dataclass(frozen=True)
class Response:
    """Response from a server: the requested address, status, headers and body."""

    url: str
    status: int
    headers: Message
    body: bytes


class _Pool(dict[str, http.client.HTTPConnection]):
    """Idle connections of one thread: a dictionary from the origin (scheme, host and port) to the connection."""

    def __del__(self) -> None:
        for connection in self.values():
            connection.close()


class _Idle(threading.local):
    """Thread-local storage of idle connections.

    Attributes:
        process: id of the process that opened the connections. A forked process must not use those of its parent.
        pool: idle connections of the current thread.
    """

    def __init__(self) -> None:
        self.process, self.pool = os.getpid(), _Pool()


_idle = _Idle()


def read(address: str, start: int | None = None, end: int | None = None, *, most: int) -> bytes:
    """Return the bytes of a file on a web server, or those from offset `start` up to, but not including, offset `end`.

    If the file ends before `end`, fewer bytes are returned.

    Args:
        address: http or https address of the file.
        start, end: offsets in bytes; None for the whole file.
        most: maximum number of bytes, if the whole file is read.

    Raises:
        FileNotFoundError: the file does not exist.
        OSError: the file has more than `most` bytes, the connection is lost, or the server is too slow or cannot be
            reached.
        http.client.HTTPException: the server reports an error or sends an invalid response.
        DatasetError: the server does not support range requests.
    """
    if start is None or end is None:
        return _fetch("GET", address, most).body
    if end <= start:
        return b""
    answer = _fetch("GET", address, end - start, {"Range": f"bytes={start}-{end - 1}"})
    if answer.status == 416:
        return b""
    said = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range") or "")
    if answer.status != 206 or said is None or int(said[1]) != start:
        raise DatasetError(f"{address}: its server does not give parts of a file. Download it first.")
    return answer.body


def facts(address: str) -> dict[str, str]:
    """Return the HTTP headers that a server sends for a file; empty if the server does not support HEAD requests.

    Raises:
        OSError, http.client.HTTPException: the request fails, or the server reports an error.
    """
    answer = _fetch("HEAD", address, 0)
    return {} if answer.status in _NO_HEAD else dict(answer.headers.items())


def listing(address: str) -> list[str]:
    """Return the names of all files in a folder and its subfolders, found by following links on the folders' web pages.

    The names are percent-encoded and relative to the folder, with `/` as the separator.

    Raises:
        DatasetError: the listing exceeds the limit on folders, depth or bytes.
        OSError, http.client.HTTPException: a request fails, or the server reports an error.
    """
    endless = DatasetError(
        f"{address}: more than {_MOST_PAGES:,} folders, {_DEEPEST} levels or {_MOST_LISTED >> 20} MB of listings below"
        " it; perhaps a folder links to itself. Give an archive."
    )
    found: dict[str, None] = {}
    waiting, pages, room = [""], 0, _MOST_LISTED
    while waiting:
        folder = waiting.pop()
        pages += 1
        if folder.count("/") > _DEEPEST:
            raise endless
        try:
            answer = _fetch("GET", f"{address}/{folder}", room)
        except FileNotFoundError:
            if not folder:
                raise
            continue
        except OSError as error:
            raise (endless if error.errno == errno.EFBIG else error) from None
        names = _links(answer)
        room -= len(answer.body) + len(folder) * len(names)
        if room < 0:
            raise endless
        for name in names:
            inner = folder + name
            if name.endswith("/"):
                if inner not in found:
                    found[inner] = None
                    waiting.append(inner)
                    if pages + len(waiting) > _MOST_PAGES:
                        raise endless
            else:
                found[inner] = None
    return [name for name in found if not name.endswith("/")]


def _links(page: Response) -> list[str]:
    """Return the names of the files and folders directly inside a folder, from the links on the folder's web page."""
    import html

    base = page.url.partition("?")[0]
    names = []
    for match in _LINK.finditer(page.body):
        with contextlib.suppress(ValueError):  # no address
            target = re.split(r"[?#]", urljoin(base, html.unescape(match[1].decode("utf-8", "replace"))))[0]
            name = target[len(base) :] if target.startswith(base) else ""
            if name.strip("/") and "/" not in name[:-1] and not name.startswith("."):
                names.append(name)
    return names


def is_allowed(address: str) -> bool:
    """Return whether an address has a host and a valid port, and uses https, or http if the host is this machine."""
    try:
        parts = urlsplit(address)
        origin(address)
    except ValueError:
        return False
    return parts.hostname in _LOCAL if parts.scheme == "http" else bool(parts.scheme == "https" and parts.hostname)


def _fetch(method: str, address: str, most: int, headers: dict[str, str] | None = None) -> Response:
    """Send a request, follow redirects, and return the final response.

    Raises:
        OSError, http.client.HTTPException: the request fails, or the server reports an error.
    """
    url, end = address, time.monotonic() + SECONDS
    for _ in range(_REDIRECTS + 1):
        answer = _ask(method, url, most, headers or {}, end)
        if answer.status not in (301, 302, 303, 307, 308):
            break
        target = ""
        with contextlib.suppress(ValueError):  # not an address
            target = urljoin(url, answer.headers.get("Location") or "")
        if not is_allowed(target) or (url.startswith("https:") and not target.startswith("https:")):
            raise http.client.HTTPException("the server redirects to an address that is not https")
        url = target
    else:
        raise http.client.HTTPException(f"the server redirects more than {_REDIRECTS} times")
    if answer.status in (404, 410):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if answer.status >= 400 and answer.status not in (416, *_NO_HEAD):
        raise http.client.HTTPException(f"the server answers {answer.status}")
    return answer


def _ask(method: str, url: str, most: int, headers: dict[str, str], end: float) -> Response:
    """Send one request, over an idle connection if there is one, and return the response.

    Args:
        most: maximum number of bytes in the body of the response.
        end: deadline for the response, on the monotonic clock; it is extended by one second for every 16 KiB received.
    """
    server, parts = origin(url), urlsplit(url)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    if parts.query:
        path += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    headers = {"Accept-Encoding": "identity", "User-Agent": "poets_edge", **headers}
    if (password := authorization(url)) is not None:
        headers["Authorization"] = password
    if _idle.process != os.getpid():  # a forked process must not use its parent's connections
        _idle.process, _idle.pool = os.getpid(), _Pool()
    connection = _idle.pool.pop(server, None)
    if connection is not None:
        with contextlib.suppress(ConnectionError, http.client.BadStatusLine):  # closed by the server meanwhile
            return _answer(connection, method, url, path, headers, most, end)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=max(end - time.monotonic(), 0.001))
    return _answer(connection, method, url, path, headers, most, end)


def _answer(
    connection: http.client.HTTPConnection, method: str, url: str, path: str, headers: dict[str, str], most: int,
    end: float,
) -> Response:  # fmt: skip
    received: list[_BoundedFile] = []

    def bounded(sock: socket.socket, method: str | None = None, **_: object) -> http.client.HTTPResponse:
        received.append(_BoundedFile(sock, end))
        return http.client.HTTPResponse(received[0], method=method)  # type: ignore[arg-type]

    connection.response_class = bounded  # type: ignore[assignment]
    if connection.sock is not None:
        connection.sock.settimeout(max(end - time.monotonic(), 0.001))
    whole = False
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = _body(response, most, received[0].allow) if response.status < 300 else b""
        whole = response.isclosed() and connection.sock is not None
        response.close()
        return Response(url, response.status, response.headers, body)
    finally:
        if whole:
            _idle.pool[origin(url)] = connection
        else:
            connection.close()
        for file in received:
            file.close()


def _body(response: http.client.HTTPResponse, most: int, allow: Callable[[int], object]) -> bytes:
    """Return the body of a response.

    Args:
        most: maximum number of bytes in the body.
        allow: function that increases the limit on received bytes by its argument.
    """
    packed = response.getheader("Content-Encoding", "identity").lower()
    length = response.length
    if length == 0:
        return response.read()
    if packed != "identity":
        raise http.client.HTTPException("the server sends a compressed response, contrary to the request")
    limit = min(most, _UNANNOUNCED) if length is None else most
    if length is not None and length > limit:
        raise _too_large(limit)
    whole = io.BytesIO()
    allow(_BLOCK_WITH_FRAMING)
    while block := response.read(_BLOCK):
        allow(_BLOCK_WITH_FRAMING)
        whole.write(block)
        if whole.tell() > limit:
            raise _too_large(limit)
    if length is not None and whole.tell() != length:
        raise ConnectionError("the connection was lost before the end")
    return whole.getvalue()


def _too_large(limit: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {limit / 1e6:,.0f} MB")


class _BoundedFile(io.RawIOBase):
    """File that reads from a socket, with limits on the number of bytes and on time.

    At most 1 MiB can be received unless `allow` increases this limit. The initial deadline is `end` on the monotonic
    clock; it is extended by one second for every 16 KiB received.
    """

    def __init__(self, sock: socket.socket, end: float) -> None:
        self._sock, self._raw, self._left, self._end = sock, sock.makefile("rb", buffering=0), _HEADERS, end

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a buffered reader of this file. HTTPResponse, which uses the file as its socket, calls this method."""
        return io.BufferedReader(self, 1 << 16)

    def allow(self, count: int) -> None:
        """Increase the limit on received bytes by `count`."""
        self._left += count

    def readable(self) -> bool:
        """Return True: reading is supported."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Receive bytes into a buffer and return their number.

        Raises:
            TimeoutError: the time limit is exceeded.
            OSError: more bytes than allowed are received.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server is too slow")
        self._sock.settimeout(left)
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            raise TimeoutError("the server is too slow") from None
        self._left -= count or 0
        self._end += (count or 0) / _SLOWEST
        if self._left < 0:
            raise OSError(errno.EFBIG, "the server sends more than was requested")
        return count

    def close(self) -> None:
        """Close the file; the socket stays open for the next request."""
        self._raw.close()
        super().close()
