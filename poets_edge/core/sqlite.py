"""Caches in SQLite files, which are replaced if they are damaged.

The contents of a cache can be computed again, so a damaged file never ends a run: it is renamed, replaced with an empty
file, and listed in `Database.set_aside` so that the caller can warn. A file that is locked or cannot be written is not
damaged, and is not replaced.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from poets_edge.core.files import read_head

VALUES_PER_QUERY = 500
"""Maximum number of values that are bound to one query; older versions of SQLite allow at most 999."""

LOG_BYTES = 16 << 20
"""Approximate maximum size of the write-ahead log in bytes. Keys are hashes, so successive inserts change random pages
of the file; with a long log, several changes to a page are written back together."""
_PAGE_BYTES = 4096
_MAGIC = b"SQLite format 3\0"

Row = tuple[Any, ...]


class Database:
    """Connection to an SQLite file with one table. Several threads may use it, but not concurrently.

    Attributes:
        path: path of the file.
        set_aside: damaged files that were renamed, oldest first.
    """

    def __init__(self, path: Path, table: str, columns: str, *, timeout: float) -> None:
        """Open a file, or create it and its folder.

        Args:
            table: name of the table.
            columns: columns and options of the table, as in CREATE TABLE.
            timeout: maximum time to wait for locks that other programs hold, in seconds.

        Raises:
            OSError, sqlite3.Error: the file cannot be opened or created, or is another program's database, which is
                left unchanged.
        """
        self.path, self._table, self._columns, self._timeout = path, table, columns, timeout
        self.set_aside: list[Path] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not is_database(path):
            self._replace()  # without opening it: SQLite would delete the write-ahead log of an encrypted database
            return
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._replace()

    def select(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows that a query selects. Raises sqlite3.Error if the query fails."""
        return self._connection.execute(query, values).fetchall()

    def change(self, statement: str, values: Sequence[object]) -> None:
        """Execute a statement that changes rows; `commit` saves the change. Raises sqlite3.Error on failure."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(statement, values)

    def commit(self) -> None:
        """Write the changes to disk. Raises sqlite3.Error if this fails."""
        self._connection.commit()

    def start_again(self) -> None:
        """Rename the damaged file and continue with an empty one.

        Raises:
            OSError, sqlite3.Error: the file cannot be renamed, or the new one cannot be created.
        """
        self._connection.close()
        self._replace()

    def close(self) -> None:
        """Close the file and discard uncommitted changes."""
        self._connection.close()

    def _replace(self) -> None:
        self.set_aside.append(_move_aside(self.path))
        self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            if has_other_tables(connection, self._table):
                raise sqlite3.OperationalError("a database of another program")
            # With a write-ahead log a commit is an append, and a crash cannot damage the file.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_BYTES // _PAGE_BYTES}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            connection.execute(f"CREATE TABLE IF NOT EXISTS {self._table} {self._columns}")
            connection.execute(f"SELECT * FROM {self._table} LIMIT 1").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def is_damage(error: BaseException) -> bool:
    """Return whether an SQLite error means a damaged file, rather than a locked or read-only file or a full disk."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def has_other_tables(connection: sqlite3.Connection, table: str) -> bool:
    """Return whether a database has tables other than `table`. Raises sqlite3.Error if it cannot be read."""
    query = "SELECT count(*) FROM sqlite_master WHERE tbl_name != ? AND tbl_name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    return bool(connection.execute(query, (table,)).fetchone()[0])


def is_foreign(path: Path, table: str) -> bool:
    """Return whether a database has tables other than `table`, and therefore belongs to another program.

    The result is False if the database cannot be read, because it may be a damaged cache.
    """
    try:
        with _reading(path) as connection:
            return has_other_tables(connection, table)
    except sqlite3.Error:
        return False


def _reading(path: Path) -> contextlib.closing[sqlite3.Connection]:
    """Return a context manager that opens a database read-only and closes it afterwards."""
    return contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True))


def is_database(path: Path) -> bool:
    """Return whether a file begins like an unencrypted SQLite database, or is empty, as a new database is.

    The result is True if the file cannot be read, so that the error is reported when the database is opened.
    """
    try:
        return read_head(path, len(_MAGIC)) in (b"", _MAGIC)
    except OSError:
        return True


def count_rows(path: Path, table: str) -> int | None:
    """Open a database read-only, and return the number of rows in a table; None if it cannot be read."""
    try:
        with _reading(path) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.Error:
        return None


def in_queries(values: Sequence[bytes]) -> Iterator[tuple[str, Sequence[bytes]]]:
    """Divide values into chunks of at most 500 (VALUES_PER_QUERY), for SQL conditions of the form `IN (?, ?)`.

    Yields:
        Pairs (placeholders, chunk), such as ("?,?", [b"a", b"b"]).
    """
    for start in range(0, len(values), VALUES_PER_QUERY):
        some = values[start : start + VALUES_PER_QUERY]
        yield ",".join("?" * len(some)), some


def _move_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.replace(aside)
    for suffix in ("-wal", "-shm", "-journal"):  # kept, in case that the file is an encrypted database of the user
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
    return aside
