"""A cache of the SHA-256 digests of photos, so that unchanged photos need not be read again.

A digest is valid while the file's size, modification time, change time and inode are unchanged, as in git's index. A
file that was changed just before it was hashed could change again within one tick of the file system's clock, so its
digest is not stored ("racily clean" in git's documentation), and the file is hashed again next time.
Some changes are not detected: bit errors on the disk, or changes on a network drive whose server and client clocks
differ by more than `RACY_SECONDS`. The option `rehash` detects them, because it ignores the cached digests.

The size, times and inode of a file form its stamp. The stamp of a photo in an archive consists of the archive's stamp
and the photo's position; the stamp of a photo at an address comes from its server (`poets_edge.photos.remote`).

If the cache cannot be read or written, all photos are read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from poets_edge.core.sqlite import Database, in_queries, is_damage
from poets_edge.photos import sources
from poets_edge.photos.address import Location, is_address
from poets_edge.photos.sources import FileStamp
from poets_edge.progress import Reporter

Result = TypeVar("Result")

FILE = "photos.sqlite"
"""Name of the cache file in the folder for cached bottlenecks."""
TABLE = "digests"
_COLUMNS = "(folder BLOB, name BLOB, seen TEXT, digest BLOB, PRIMARY KEY (folder, name)) WITHOUT ROWID"

RACY_SECONDS = 2.0
"""A digest is not cached if the file changed less than this number of seconds before it was hashed. The value is the
resolution of file times in FAT, the coarsest among common file systems."""

_SECONDS_TO_WAIT = 10.0
_DIGEST_BYTES = 32
_UNKNOWN = (None, None)


class Known(NamedTuple):
    """The cached digest and the current size of a photo.

    Attributes:
        digest: SHA-256 of the contents, 32 bytes.
        size: number of bytes; -1 (UNKNOWN_SIZE) if the server does not report it.
    """

    digest: bytes
    size: int


class Digests:
    """Cache file that maps the path of a photo to the SHA-256 digest of its contents, while the photo is unchanged.

    `open_digests` opens the cache. Only one thread at a time may use it.
    """

    def __init__(self, database: Database | None, *, rehash: bool = False) -> None:
        self._database = database
        self._rehash = rehash
        self._folders: dict[str, bytes] = {}

    def find(self, paths: Sequence[str]) -> list[Known | None]:
        """Return the cached digest and the size of each photo, in the order of `paths`.

        An element is None if no digest is cached for the photo, or if the photo has changed.
        """
        found: list[Known | None] = []
        for folder, entries in groupby(map(self._folder_and_name, paths), key=itemgetter(0)):
            names = [name for _, name in entries]
            stored = self._read(folder, names)
            for path, name in zip(paths[len(found) : len(found) + len(names)], names, strict=True):
                stamp, digest = stored.get(name, _UNKNOWN)
                # A damaged file may contain any value. (A wrong digest is detected when the photo is read.)
                sound = isinstance(digest, bytes) and len(digest) == _DIGEST_BYTES
                now = current_stamp(path) if sound else None
                found.append(Known(digest, now.size) if now and now.identity == stamp else None)
        return found

    def store(self, path: Location, stamp: FileStamp, at: float, digest: bytes) -> None:
        """Store the digest of a photo.

        If the file was changed less than 2 seconds (RACY_SECONDS) before `at`, or has a time of change in the future,
        nothing is stored, because a further change might not be detected.

        Args:
            path: path or address of the photo.
            stamp: result of `current_stamp` from before the photo was read.
            at: time at which the stamp was obtained, in seconds since the epoch.
            digest: SHA-256 of the contents, 32 bytes.
        """
        if stamp.changed < at - RACY_SECONDS:
            values = (*self._folder_and_name(str(path)), stamp.identity, digest)
            statement = f"INSERT OR REPLACE INTO {TABLE} VALUES (?, ?, ?, ?)"
            self._attempt(lambda database: database.change(statement, values))

    def commit(self) -> None:
        """Write the stored digests to disk."""
        self._attempt(Database.commit)

    def _folder_and_name(self, path: str) -> tuple[bytes, bytes]:
        folder, name = os.path.split(path)
        absolute = self._folders.get(folder)
        if absolute is None:  # links are not resolved
            whole = folder if is_address(folder) else os.path.abspath(folder)  # noqa: PTH100
            absolute = self._folders[folder] = os.fsencode(whole)
        return absolute, os.fsencode(name)

    def _read(self, folder: bytes, names: Sequence[bytes]) -> dict[bytes, tuple[Any, Any]]:
        found: dict[bytes, tuple[Any, Any]] = {}
        for places, some in in_queries([] if self._rehash else names):
            query = f"SELECT name, seen, digest FROM {TABLE} WHERE folder = ? AND name IN ({places})"
            rows = self._attempt(partial(Database.select, query=query, values=(folder, *some))) or []
            found.update({name: (stamp, digest) for name, stamp, digest in rows})
        return found

    def _attempt(self, action: Callable[[Database], Result]) -> Result | None:
        """Return `action(database)`; None if the cache has no database, or if SQLite reports an error.

        After an error, a damaged database is replaced with an empty one; any other database is no longer used.
        """
        if self._database is None:
            return None
        try:
            return action(self._database)
        except sqlite3.Error as error:
            try:
                if not is_damage(error):  # it is locked, or the disk is full
                    raise
                self._database.start_again()
            except (OSError, sqlite3.Error):
                self._database.close()
                self._database = None
        return None


@contextlib.contextmanager
def open_digests(folder: Path | None, reporter: Reporter, *, rehash: bool = False) -> Iterator[Digests]:
    """Context manager that opens or creates the cache of digests in the bottleneck folder.

    Args:
        folder: folder that contains the cache file; None for a cache that is always empty.
        reporter: receives a warning if the cache is damaged.
        rehash: whether to ignore cached digests and only store new ones.
    """
    database = None
    with contextlib.suppress(OSError, sqlite3.Error):
        if folder is not None:
            database = Database(folder / FILE, TABLE, _COLUMNS, timeout=_SECONDS_TO_WAIT)
    if database is None:
        yield Digests(None)
        return
    with contextlib.closing(database):
        digests = Digests(database, rehash=rehash)
        try:
            yield digests
        finally:
            digests.commit()
            for path in database.set_aside:
                reporter.warn(
                    f"the cache of photos' checksums was damaged; it was moved to {path} and is created again."
                )


def current_stamp(path: str) -> FileStamp | None:
    """Return the current metadata of a photo, by which a cache detects whether the photo has changed.

    The result is None if the photo is missing, or if its changes cannot be detected.
    """
    try:
        now = os.stat(path)  # noqa: PTH116 - a million times
    except OSError:
        return sources.stamp(path)
    return FileStamp.of(now) if stat.S_ISREG(now.st_mode) else None
