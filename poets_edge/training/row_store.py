"""Storage of results in an SQLite file, one row per result, from which an interrupted computation can resume.

The caches of bottlenecks and activations use it. A row's key is a hash of everything that the result depends on, so a
stale row is never found. Rows are committed in small groups, so a program that is killed loses only the last group.
SQLite's locks allow two runs to share a file.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from poets_edge.core.sqlite import Database, in_queries, is_damage
from poets_edge.errors import OutputError

_SECONDS_TO_WAIT = 60.0
_ROWS_PER_COMMIT = 16
"""Number of rows per commit. Committing each row separately would add a tenth to the time for processing a photo."""


class RowStore:
    """Rows of bytes in an SQLite file, each stored under a key; opened by `open_row_store`.

    Attributes:
        damaged: number of rows whose checksum was found to be wrong when they were read.
    """

    def __init__(self, database: Database, table: str) -> None:
        self._database = database
        self._table = table
        self._uncommitted = 0
        self._unreadable = False
        self.damaged = 0

    @property
    def set_aside(self) -> list[Path]:
        """New paths of damaged files that were moved aside since this file was opened."""
        return self._database.set_aside

    def missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the given keys that have no row, in the given order.

        A damaged row counts as present, because damage is detected only when a row is read.
        """
        present = {row[0] for row in self._select_keys("key", keys)}
        return [key for key in keys if key not in present]

    def read(self, key: bytes) -> bytes | None:
        """Return the data in the row for a key; None if the row is absent or its checksum is wrong."""
        return self.read_many([key])[0]

    def read_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the data for several keys, in the order of the keys, with None for absent or damaged rows."""
        found = {}
        for key, crc, data in self._select_keys("key, crc, vector", keys):
            if isinstance(data, bytes) and zlib.crc32(data) == crc:
                found[key] = data
            else:
                self.damaged += 1
        return [found.get(key) for key in keys]

    def write(self, key: bytes, data: bytes) -> None:
        """Store a row; `commit` writes it to disk. Raises OutputError if the disk is full or the file is locked."""
        try:
            if self._unreadable:  # do not write to an unreadable file
                raise sqlite3.DatabaseError("damaged")
            self._insert(key, data)
        except sqlite3.Error as error:
            self._start_again(error)
            self._insert(key, data)
        self._uncommitted += 1
        if self._uncommitted == _ROWS_PER_COMMIT:
            self.commit()

    def commit(self) -> None:
        """Write all uncommitted rows to disk. Raises OutputError if the disk is full or the file is locked."""
        self._uncommitted = 0
        try:
            self._database.commit()
        except sqlite3.Error as error:
            self._start_again(error)

    def _insert(self, key: bytes, data: bytes) -> None:
        self._database.change(f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?, ?)", (key, zlib.crc32(data), data))

    def _start_again(self, error: sqlite3.Error) -> None:
        """Replace the file with an empty one if an SQLite error means that it is damaged, else raise OutputError."""
        if not is_damage(error):
            raise self._cannot_write(error) from None
        try:
            self._database.start_again()
            self._unreadable = False
        except (OSError, sqlite3.Error) as problem:
            raise self._cannot_write(problem) from None

    def _select_keys(self, columns: str, keys: Sequence[bytes]) -> Iterator[Any]:
        for places, some in in_queries(keys):
            query = f"SELECT {columns} FROM {self._table} WHERE key IN ({places})"
            try:
                yield from self._database.select(query, some)
            except sqlite3.DatabaseError:  # a damaged page: only the rows on it are lost
                query = f"SELECT {columns} FROM {self._table} WHERE key = ?"
                for key in some:
                    try:
                        yield from self._database.select(query, [key])
                    except sqlite3.DatabaseError as error:
                        self._unreadable |= is_damage(error)

    def _cannot_write(self, error: Exception) -> OutputError:
        return OutputError(
            f"cannot write {self._database.path}: {error}. Its contents are kept; free some space, or give another"
            " `bottleneck_dir`, and run again."
        )


@contextlib.contextmanager
def open_row_store(path: Path, table: str) -> Iterator[tuple[RowStore, Path | None]]:
    """Context manager that opens the file of a row store, or creates it.

    Args:
        table: name of the table in the file.

    Yields:
        The store, and the path to which a damaged file was moved, or None if the file was intact.

    Raises:
        OutputError: the file cannot be opened, created or written.
    """
    columns = "(key BLOB PRIMARY KEY, crc INTEGER NOT NULL, vector BLOB NOT NULL)"
    try:
        database = Database(path, table, columns, timeout=_SECONDS_TO_WAIT)
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"cannot write {path}: {error}. Give another `bottleneck_dir`.") from None
    moved = database.set_aside.pop() if database.set_aside else None
    with contextlib.closing(database):
        rows = RowStore(database, table)
        try:
            yield rows, moved
        except BaseException:
            with contextlib.suppress(OutputError):  # report the first error
                rows.commit()
            raise
        rows.commit()
