"""Resumable downloads of files, verified before they are renamed to their destination.

Received bytes are stored in `.NAME.poets_edge.part` next to the destination. If the connection is lost, the missing
bytes are requested. If a checksum is known, a later call also resumes an unfinished download, because the checksum
verifies the complete file. If several programs download to the same destination, one of them fetches the file and the
others wait.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poets_edge.core.temporary import owned
from poets_edge.errors import DownloadError, OutputError
from poets_edge.progress import Reporter, Silent

_TIMEOUT_S = 30.0
_ATTEMPTS = 4
"""A download fails after this number of consecutive connections that deliver no new bytes."""
_PAUSE_S = 0.5
_PATIENCE_S = 900.0
"""Maximum time in seconds to wait for another program that is downloading the same file."""
LARGEST = 1 << 30
"""Maximum size, in bytes, of a file whose expected size is not known in advance."""
_BLOCK = 1 << 18
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class _Wanted:
    url: str
    size: int | None
    sha256: str | None
    check: Callable[[Path], str | None] | None


def download(
    url: str,
    path: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    check: Callable[[Path], str | None] | None = None,
    label: str | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Download `url` to `path`, unless the file already exists and has the expected size, SHA-256 and contents.

    The file is renamed to `path` only after its size, its SHA-256 and `check` have shown that it is valid, so a file at
    `path` is always complete. If `size`, `sha256` or `check` is None, that check is omitted; if all three are None, the
    file is always downloaded.

    Args:
        url: http or https address.
        path: destination.
        size: expected number of bytes.
        sha256: expected SHA-256, hexadecimal.
        check: function that receives the temporary path of the complete file, and returns a description of what is
            wrong with it, or None if it is valid.
        label: label of the progress bar; by default the file name.
        reporter: receives the progress.

    Returns:
        `path`.

    Raises:
        DownloadError: the server cannot be reached, repeatedly drops the connection, or sends a file that is not as
            expected or is larger than 1 GiB (LARGEST).
        OutputError: the file cannot be written.
    """
    wanted = _Wanted(url, size, sha256, check)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name.lstrip('.')}.poets_edge.part")
        with owned(part, _PATIENCE_S):
            if _is_checked(wanted) and path.is_file() and _fault(path, wanted) is None:
                part.unlink()
                return path
            try:
                _fetch_whole(wanted, part, label or path.name, reporter or Silent())
            except BaseException:
                if not part.stat().st_size:
                    part.unlink()
                raise
            return part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from None


def _is_checked(wanted: _Wanted) -> bool:
    return (wanted.size, wanted.sha256, wanted.check) != (None, None, None)


def _fetch_whole(wanted: _Wanted, part: Path, label: str, reporter: Reporter) -> None:
    """Download the bytes that are missing from a partially downloaded file, and check the complete file.

    If a resumed file fails the check, it is downloaded once more from the beginning.
    """
    if wanted.sha256 is None:  # an old part could belong to another file
        os.truncate(part, 0)
    resumed = part.stat().st_size > 0
    _fetch(wanted, part, label, reporter)
    fault = _fault(part, wanted)
    if fault and resumed:
        os.truncate(part, 0)
        _fetch(wanted, part, label, reporter)
        fault = _fault(part, wanted)
    if fault:
        os.truncate(part, 0)
        raise DownloadError(f"{wanted.url}: {fault}. The file was discarded; try again later, or from another network.")
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _fetch(wanted: _Wanted, part: Path, label: str, reporter: Reporter) -> None:
    """Append downloaded bytes to a partially downloaded file, reconnecting as needed, until it is complete."""
    fruitless, furthest, validator = 0, 0, None
    while True:
        before = part.stat().st_size
        if wanted.size is not None and before >= wanted.size:
            return
        try:
            with _open(wanted, before, validator) as response:
                validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
                if _receive(response, wanted, part, before, label, reporter):
                    return
            reason = "the connection was lost before the end"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # the server's file is shorter, so the partial file belongs to another file
                os.truncate(part, 0)
            elif error.code not in _BUSY:
                raise DownloadError(f"{wanted.url}: the server answers {error.code} {error.reason}.") from None
            reason = f"the server answers {error.code} {error.reason}"
        except urllib.error.URLError as error:
            reason = _plain(error.reason)
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = _plain(error)
        arrived = part.stat().st_size
        fruitless = 0 if arrived > max(before, furthest) else fruitless + 1
        furthest = max(arrived, furthest)
        if fruitless == _ATTEMPTS:
            resumable = arrived and wanted.sha256 is not None
            kept = f" {arrived / 1e6:.1f} MB are kept; the same command continues from there." if resumable else ""
            raise DownloadError(f"{wanted.url}: cannot be downloaded ({reason}).{kept}")
        time.sleep(_PAUSE_S * fruitless)


def _open(wanted: _Wanted, offset: int, validator: str | None) -> Any:
    if not wanted.url.startswith(("http://", "https://")):
        raise DownloadError(f"{wanted.url}: not an http or https address.")
    headers = {"Accept-Encoding": "identity", "User-Agent": "poets_edge"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator and not validator.startswith("W/"):
            headers["If-Range"] = validator
    if wanted.sha256 is None:
        _check_vouched_for(wanted.url)
    response = urllib.request.urlopen(urllib.request.Request(wanted.url, headers=headers), timeout=_TIMEOUT_S)
    if wanted.sha256 is None:  # the request may have been redirected
        _check_vouched_for(response.geturl())
    return response


def _check_vouched_for(url: str) -> None:
    """Raise DownloadError if a file without a checksum would be downloaded unencrypted from another machine."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise DownloadError(
            f"{url}: not an https address, and there is no checksum to tell whether the right file came."
        )


def _receive(response: Any, wanted: _Wanted, part: Path, offset: int, label: str, reporter: Reporter) -> bool:
    """Append the body of a response to a partially downloaded file, and return whether the file is complete."""
    partial = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    if response.status != 206 or partial is None or int(partial[1]) != offset:
        if response.status == 206:
            raise http.client.HTTPException("the server sends a different range than requested")
        offset = 0  # the complete file: the server does not support ranges, or the file has changed
    length = response.headers.get("Content-Length")
    total = offset + int(length) if length and length.isdigit() else None
    if wanted.size is not None and total is not None and total != wanted.size:
        raise DownloadError(f"{wanted.url}: the server offers {total:,} bytes, and {wanted.size:,} are expected.")
    with part.open("ab" if offset else "wb") as file, reporter.progress(label, total or 0, "B") as advance:
        advance(offset)
        arrived = offset + _copy(response, file, advance, wanted, offset)
    return total is None or arrived >= total


def _copy(response: Any, file: Any, advance: Callable[[int], object], wanted: _Wanted, offset: int) -> int:
    copied, largest = 0, LARGEST if wanted.size is None else wanted.size
    while block := _read(response):
        copied += len(block)
        if offset + copied > largest:
            file.truncate(0)
            raise DownloadError(f"{wanted.url}: the server sends more than {largest:,} bytes. The file was discarded.")
        file.write(block)
        advance(len(block))
    return copied


def _read(response: Any) -> bytes:
    try:
        block: bytes = response.read(_BLOCK)
        return block
    except OSError as error:  # a network error must not look like a disk error
        raise ConnectionError(_plain(error)) from None


def _fault(path: Path, wanted: _Wanted) -> str | None:
    """Return a description of how a downloaded file differs from the expected one; None if it is valid."""
    found = path.stat().st_size
    if wanted.size is not None and found != wanted.size:
        return f"{found:,} bytes arrived, and {wanted.size:,} are expected"
    if wanted.sha256 is not None:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        if digest.hexdigest() != wanted.sha256.lower():
            return "the checksum (SHA-256) of the received file differs from the expected one"
    return wanted.check(path) if wanted.check else None


def _plain(error: object) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
