"""SHA-256 of photos, kept by what the file system says of each file, so that an unchanged photo is not read again.

A digest counts as long as the file's size, modification time, change time and inode are those it was computed for, as
in git's index. A file that was changed just before it was hashed could be changed once more within the same tick of
the file system's clock; its digest is not kept ("racily clean" in git's words), so it is hashed again next time. What
no clock shows is not seen: bits that rot on the disk, or a network drive whose server and client disagree about the
time by more than `RACY_SECONDS`. `rehash` is for these.

A photo in an archive is known by that of the archive and its place in it; one at an address by what its server says
changes with it (`poets_edge.photos.remote`).

This is a cache and no more: where its file cannot be read or written, photos are read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from poets_edge.photos import elsewhere
from poets_edge.photos.address import is_address
from poets_edge.photos.elsewhere import Seen

FILE = "photos.sqlite"
"""Its name in the bottleneck folder."""
TABLE = "digests"

RACY_SECONDS = 2.0
"""The coarsest clock of a file system in use is FAT's, which ticks every two seconds."""

_BUSY_SECONDS = 10.0
_DIGEST_BYTES = 32
_UNKNOWN = (None, None)
_NAMES_A_QUERY = 500
"""Older SQLites take 999 values."""


class Known(NamedTuple):
    """The bytes of a photo, as they are known without reading them.

    Attributes:
        digest: their SHA-256.
        size: how many they are; UNKNOWN_SIZE where its server does not say.
    """

    digest: bytes
    size: int


class Digests:
    """The digests in one file; made by `open_digests`. Not for use by two threads at once."""

    def __init__(
        self, connection: sqlite3.Connection | None, path: Path | None = None, *, rehash: bool = False
    ) -> None:
        self._connection = connection
        self._path = path
        self._rehash = rehash
        self._folders: dict[str, bytes] = {}

    def find(self, paths: Sequence[str]) -> list[Known | None]:
        """The bytes of each file as they are now, or None where they are not known."""
        found: list[Known | None] = []
        for folder, places in groupby(map(self._place, paths), key=itemgetter(0)):
            names = [name for _, name in places]
            known = self._read(folder, names)
            for path, name in zip(paths[len(found) : len(found) + len(names)], names, strict=True):
                seen, digest = known.get(name, _UNKNOWN)
                # Anything may be in a damaged file. (A wrong digest of the right length shows when a photo is read.)
                sound = isinstance(digest, bytes) and len(digest) == _DIGEST_BYTES
                now = seen_now(path) if sound else None
                found.append(Known(digest, now.size) if now and now.identity == seen else None)
        return found

    def keep(self, path: Path, seen: Seen, at: float, digest: bytes) -> None:
        """Note a digest, unless the file was changed a moment before it was read, or will be.

        Args:
            seen: what `seen_now` gave before the photo was read.
            at: when that was, in seconds since the epoch.
        """
        if seen.changed >= at - RACY_SECONDS:
            return
        self._execute(
            f"INSERT OR REPLACE INTO {TABLE} VALUES (?, ?, ?, ?)", (*self._place(str(path)), seen.identity, digest)
        )

    def _place(self, path: str) -> tuple[bytes, bytes]:
        folder, name = os.path.split(path)
        absolute = self._folders.get(folder)
        if absolute is None:  # as it is named, links and all
            whole = folder if is_address(folder) else os.path.abspath(folder)  # noqa: PTH100
            absolute = self._folders[folder] = os.fsencode(whole)
        return absolute, os.fsencode(name)

    def commit(self) -> None:
        """Store what was noted."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.commit()

    def _read(self, folder: bytes, names: Sequence[bytes]) -> dict[bytes, tuple[Any, Any]]:
        if self._rehash:
            return {}
        found = {}
        for start in range(0, len(names), _NAMES_A_QUERY):
            some = names[start : start + _NAMES_A_QUERY]
            places = ",".join("?" * len(some))
            query = f"SELECT name, seen, digest FROM {TABLE} WHERE folder = ? AND name IN ({places})"
            found.update({name: (seen, digest) for name, seen, digest in self._execute(query, (folder, *some))})
        return found

    def _execute(self, statement: str, values: tuple[object, ...]) -> list[Any]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:  # damaged, locked, or the disk is full: it goes on without
            self._connection.close()
            self._connection = None
            if self._path and not isinstance(error, sqlite3.OperationalError):  # damaged: the next run begins anew
                with contextlib.suppress(OSError):
                    self._path.unlink()
            return []


@contextlib.contextmanager
def open_digests(folder: Path | None, *, rehash: bool = False) -> Iterator[Digests]:
    """The digests kept in a bottleneck folder; without one, none is known or kept.

    Args:
        rehash: forget those of the photos that are asked for, and keep new ones.
    """
    if folder is None:
        yield Digests(None)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        connection = _connect(folder / FILE)
    except (OSError, sqlite3.Error):
        yield Digests(None)
        return
    with contextlib.closing(connection):
        digests = Digests(connection, folder / FILE, rehash=rehash)
        try:
            yield digests
        finally:
            digests.commit()


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return _opened(path)
    except sqlite3.OperationalError:  # locked, or not to be written
        raise
    except sqlite3.DatabaseError:  # damaged: what is in it can be had again
        path.unlink()
        return _opened(path)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {TABLE} (folder BLOB, name BLOB, seen TEXT, digest BLOB,"
            " PRIMARY KEY (folder, name)) WITHOUT ROWID"
        )
        connection.execute(f"SELECT folder, name, seen, digest FROM {TABLE} LIMIT 1").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def seen_now(path: str) -> Seen | None:
    """The marks of a photo as it is now; None where there are none by which a change would show."""
    try:
        now = os.stat(path)  # noqa: PTH116 - a million times
    except OSError:
        return elsewhere.seen(path)
    return Seen.of(now) if stat.S_ISREG(now.st_mode) else None
