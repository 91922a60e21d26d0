"""Rows of bytes on disk that a computation can go on from: one SQLite file, one row a result.

Bottlenecks and activations are kept so. A row's key is a hash of everything it follows from, so a stale row cannot be
found; rows are committed a few at a time, so killing the program loses those in flight and no more; SQLite's locks
let two runs share one file.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from poets_edge.errors import OutputError

_BUSY_SECONDS = 60.0

# Fewer than are under way anyway. One commit each would cost a tenth of the time of a photo.
_ROWS_A_COMMIT = 16

_KEYS_A_QUERY = 500
"""Older SQLites take 999 values."""

LOG_BYTES = 16 << 20
"""Bytes of the write-ahead log beside a file, at most, about. Keys are hashes, so rows that follow one another touch
pages all over a large file: the longer the log, the more of them are written back once instead of several times."""
_PAGE_BYTES = 4096


class Rows:
    """Reads and writes one table of one file; made by `open_rows`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, table: str) -> None:
        self._connection = connection
        self._path = path
        self._table = table
        self._uncommitted = 0
        self._torn = False
        self.set_aside: list[Path] = []
        """Damaged files, moved there since this one was opened."""
        self.damaged = 0
        """Rows whose checksum was wrong."""

    def missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Which of these have no row, in order. Whether a row is intact shows when it is read."""
        there = {row[0] for row in self._rows(keys, "key")}
        return [key for key in keys if key not in there]

    def read(self, key: bytes) -> bytes | None:
        """A row, or None where it is absent or its checksum is wrong."""
        return self.read_many([key])[0]

    def read_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The same of several rows, in order."""
        found = {}
        for key, crc, data in self._rows(keys, "key, crc, vector"):
            if isinstance(data, bytes) and zlib.crc32(data) == crc:
                found[key] = data
            else:
                self.damaged += 1
        return [found.get(key) for key in keys]

    def write(self, key: bytes, data: bytes) -> None:
        """Store a row, soon. Raises OutputError where the disk is full or the file damaged."""
        try:
            if self._torn:  # what can no longer be read is not written to
                raise sqlite3.DatabaseError("damaged")
            self._insert(key, data)
        except sqlite3.Error as error:
            self._begin_anew(error)
            self._insert(key, data)
        self._uncommitted += 1
        if self._uncommitted == _ROWS_A_COMMIT:
            self.commit()

    def commit(self) -> None:
        """Store at once what was written. Raises OutputError like `write`."""
        self._uncommitted = 0
        try:
            self._connection.commit()
        except sqlite3.Error as error:
            self._begin_anew(error)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _insert(self, key: bytes, data: bytes) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(
            f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?, ?)", (key, zlib.crc32(data), data)
        )

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """Where a page is damaged, set the file aside and go on with an empty one; what is lost is computed again.

        Raises:
            OutputError: it is not damage, but a full disk or a lock; or a new file cannot be begun.
        """
        if isinstance(error, sqlite3.OperationalError) or not isinstance(error, sqlite3.DatabaseError):
            raise self._cannot_write(error) from None
        self._connection.close()
        try:
            self.set_aside.append(_set_aside(self._path))
            self._torn = False
            self._connection = _connect(self._path, self._table)
        except (OSError, sqlite3.Error) as trouble:
            raise self._cannot_write(trouble) from None

    def _rows(self, keys: Sequence[bytes], columns: str) -> Iterator[Any]:
        for start in range(0, len(keys), _KEYS_A_QUERY):
            some = keys[start : start + _KEYS_A_QUERY]
            try:
                yield from self._select(some, columns)
            except sqlite3.DatabaseError:  # a damaged page: what is on it is simply computed again
                for key in some:
                    try:
                        yield from self._select([key], columns)
                    except sqlite3.DatabaseError as error:
                        self._torn |= not isinstance(error, sqlite3.OperationalError)

    def _select(self, keys: Sequence[bytes], columns: str) -> list[Any]:
        places = ",".join("?" * len(keys))
        return self._connection.execute(
            f"SELECT {columns} FROM {self._table} WHERE key IN ({places})", tuple(keys)
        ).fetchall()

    def _cannot_write(self, error: Exception) -> OutputError:
        return OutputError(
            f"cannot write {self._path}: {error}. What is in it stays; free some space, or give another"
            " `bottleneck_dir`, and run again."
        )


@contextlib.contextmanager
def open_rows(path: Path, table: str) -> Iterator[tuple[Rows, Path | None]]:
    """Open, or begin, a file with one table.

    Yields:
        The rows, and the place where a damaged file was moved aside to, if there was one.

    Raises:
        OutputError: the folder cannot be written.
    """
    moved = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = _connect(path, table)
        except sqlite3.OperationalError:
            raise  # locked, or not writable: nothing is wrong with what is in it
        except sqlite3.DatabaseError:
            moved = _set_aside(path)
            connection = _connect(path, table)
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"cannot write {path}: {error}. Give another `bottleneck_dir`.") from None
    with contextlib.closing(Rows(connection, path, table)) as rows:
        try:
            yield rows, moved
        except BaseException:
            with contextlib.suppress(OutputError):  # the error that brought us here matters more
                rows.commit()
            raise
        rows.commit()


def _connect(path: Path, table: str) -> sqlite3.Connection:
    # One thread at a time uses a connection, but not always the one that opened it.
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        # A write-ahead log makes a commit an append, and never leaves the file torn.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_BYTES // _PAGE_BYTES}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, crc INTEGER NOT NULL, vector BLOB NOT NULL)"
        )
        connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
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
