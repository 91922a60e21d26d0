"""Bottlenecks on disk: one SQLite file for each backbone, one row for each photo.

A row's key is a hash of everything its vector follows from, so a stale value cannot be found; vectors are committed
a few at a time, so killing the program loses those in flight and no more; SQLite's locks let two runs share one file.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poets_edge.errors import OutputError

Vector = npt.NDArray[np.float32]

_BUSY_SECONDS = 60.0

# As many as are under way on two cores anyway. One commit each would cost a tenth of the time of a photo.
_VECTORS_A_COMMIT = 16


def cache_key(photo_digest: bytes, variant: str = "") -> bytes:
    """Key of a vector within one backbone's file.

    Args:
        photo_digest: SHA-256 of the photo's bytes.
        variant: the distortion, "" for none.
    """
    return hashlib.sha256(photo_digest + variant.encode()).digest()


class BottleneckCache:
    """Reads and writes one file; made by `open_cache`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._uncommitted = 0

    def get(self, key: bytes) -> Vector | None:
        """The vector (float32 [bottleneck_size]), or None where it is absent or its checksum is wrong."""
        try:
            row = self._connection.execute("SELECT crc, vector FROM bottlenecks WHERE key = ?", (key,)).fetchone()
        except sqlite3.DatabaseError:  # a damaged page: the vector is simply computed again
            return None
        if row is None or not isinstance(row[1], bytes) or zlib.crc32(row[1]) != row[0]:
            return None
        return np.frombuffer(row[1], np.float32)

    def put(self, key: bytes, vector: Vector) -> None:
        """Store a vector, soon. Raises OutputError where the disk is full or damaged."""
        data = np.ascontiguousarray(vector, np.float32).tobytes()
        try:
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "INSERT OR REPLACE INTO bottlenecks VALUES (?, ?, ?)", (key, zlib.crc32(data), data)
            )
        except sqlite3.Error as error:
            raise self._cannot_write(error) from None
        self._uncommitted += 1
        if self._uncommitted == _VECTORS_A_COMMIT:
            self.commit()

    def commit(self) -> None:
        """Store at once what was put. Raises OutputError like `put`."""
        self._uncommitted = 0
        try:
            self._connection.commit()
        except sqlite3.Error as error:
            raise self._cannot_write(error) from None

    def _cannot_write(self, error: sqlite3.Error) -> OutputError:
        return OutputError(
            f"cannot write {self._path}: {error}. What is in it stays; free some space, or give another"
            " `bottleneck_dir`, and run again."
        )


@contextlib.contextmanager
def open_cache(path: Path) -> Iterator[tuple[BottleneckCache, Path | None]]:
    """Open, or begin, a cache file.

    Yields:
        The cache, and the place where a damaged file was moved aside to, if there was one.

    Raises:
        OutputError: the folder cannot be written.
    """
    moved = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = _connect(path)
        except sqlite3.OperationalError:
            raise  # locked, or not writable: nothing is wrong with what is in it
        except sqlite3.DatabaseError:
            moved = _set_aside(path)
            connection = _connect(path)
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"cannot write {path}: {error}. Give another `bottleneck_dir`.") from None
    with contextlib.closing(connection):
        cache = BottleneckCache(connection, path)
        try:
            yield cache, moved
        except BaseException:
            with contextlib.suppress(OutputError):  # the error that brought us here matters more
                cache.commit()
            raise
        cache.commit()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        # A write-ahead log makes a commit an append, and never leaves the file torn.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS bottlenecks (key BLOB PRIMARY KEY, crc INTEGER NOT NULL, vector BLOB NOT NULL)"
        )
        connection.execute("SELECT 1 FROM bottlenecks LIMIT 1").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
