"""Tests of SQLite caches: commits, and replacement of damaged files."""

from __future__ import annotations

import ast
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from poets_edge.core.sqlite import Database, count_rows, in_queries, is_damage, is_database, is_foreign
from tests.conftest import ROOT


def database(path: Path) -> contextlib.closing[Database]:
    return contextlib.closing(Database(path, "numbers", "(number INTEGER)", timeout=0.1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "caches/numbers.sqlite"
    with database(path) as opened:
        for number in range(1000):
            opened.change("INSERT INTO numbers VALUES (?)", (number,))
        opened.commit()
    return path


def test_database_stores_only_committed_rows(file: Path) -> None:
    assert count_rows(file, "numbers") == 1000
    with database(file) as opened:
        opened.change("DELETE FROM numbers", ())
    with database(file) as opened:
        assert opened.select("SELECT sum(number) FROM numbers") == [(499_500,)], "closed without a commit"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_database_renames_damaged_files_with_distinct_names(file: Path) -> None:
    for number in (1, 2):
        file.write_bytes(b"not a database" * 1000)
        assert count_rows(file, "numbers") is None
        with database(file) as opened:
            assert opened.set_aside == [file.with_name(f"numbers.sqlite.damaged-{number}")]
            assert opened.select("SELECT * FROM numbers") == []
        assert opened.set_aside[0].read_bytes() == b"not a database" * 1000


def test_database_renames_a_damaged_file_together_with_its_logs(file: Path) -> None:
    file.write_bytes(b"encrypted" * 1000)
    suffixes = ("-wal", "-shm", "-journal")
    for suffix in suffixes:
        file.with_name(file.name + suffix).write_bytes(suffix.encode())
    with database(file) as opened:
        [aside] = opened.set_aside
        assert opened.select("SELECT * FROM numbers") == []
    assert [aside.with_name(aside.name + suffix).read_bytes() for suffix in suffixes] == [b"-wal", b"-shm", b"-journal"]


def test_start_again_renames_the_database_file_and_creates_an_empty_one(file: Path) -> None:
    before = file.read_bytes()
    with database(file) as opened:
        opened.start_again()
        opened.change("INSERT INTO numbers VALUES (?)", (7,))
        opened.commit()
        assert opened.select("SELECT * FROM numbers") == [(7,)]
    assert opened.set_aside[0].read_bytes() == before


def test_locked_file_is_not_treated_as_damaged(file: Path) -> None:
    with database(file) as first, database(file) as second:
        first.change("INSERT INTO numbers VALUES (?)", (1,))
        with pytest.raises(sqlite3.OperationalError) as raised:
            second.change("INSERT INTO numbers VALUES (?)", (2,))
        assert not is_damage(raised.value) and second.set_aside == []


def test_database_does_not_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(sqlite3.OperationalError):
        Database(tmp_path / "folder", "numbers", "(number INTEGER)", timeout=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_queries_for_many_keys_are_split_at_500_values() -> None:
    keys = [b"%d" % number for number in range(1200)]
    parts = list(in_queries(keys))
    assert [key for _, some in parts for key in some] == keys
    assert [places.count("?") for places, _ in parts] == [500, 500, 200] and list(in_queries([])) == []
    for count, lengths in ((1, [1]), (2, [2]), (500, [500]), (501, [500, 1])):
        assert [len(some) for _, some in in_queries(keys[:count])] == lengths
    assert list(in_queries([b"a", b"b"])) == [("?,?", [b"a", b"b"])]


def _connecting_modules() -> Iterator[str]:
    for path in (ROOT / "poets_edge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "sqlite3.connect":
                yield path.relative_to(ROOT / "poets_edge").as_posix()


def test_only_one_module_opens_databases() -> None:
    assert set(_connecting_modules()) == {"core/sqlite.py"}


def test_databases_from_other_programs_stay_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "numbers.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.executescript("CREATE TABLE albums (name TEXT); INSERT INTO albums VALUES ('mine');")
    before = file.read_bytes()
    with pytest.raises(sqlite3.OperationalError, match="another program"):
        database(file)
    assert is_foreign(file, "numbers") and not is_foreign(file, "albums")
    assert file.read_bytes() == before and [path.name for path in file.parent.iterdir()] == [file.name]


def test_database_uses_an_empty_file_as_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "numbers.sqlite").touch()
    with database(tmp_path / "numbers.sqlite") as opened:
        assert opened.set_aside == [] and opened.select("SELECT * FROM numbers") == []
    assert count_rows(tmp_path / "numbers.sqlite", "numbers") == 0
    assert count_rows(tmp_path / "missing.sqlite", "numbers") is None and not (tmp_path / "missing.sqlite").exists()


def test_errors_for_a_damaged_database_file_are_recognized_as_damage(tmp_path: Path) -> None:
    path = tmp_path / "numbers.sqlite"
    path.write_bytes(b"SQLite format 3\0" + b"damaged" * 1000)
    with contextlib.closing(sqlite3.connect(path)) as opened, pytest.raises(sqlite3.DatabaseError) as raised:
        opened.execute("SELECT * FROM numbers")
    assert is_damage(raised.value) and not is_damage(OSError())
    with database(path) as replaced:
        assert [one.name for one in replaced.set_aside] == ["numbers.sqlite.damaged-1"]


def test_internal_sqlite_tables_do_not_count_as_tables_of_another_program(tmp_path: Path) -> None:
    """AUTOINCREMENT creates the table sqlite_sequence; the name `sqlitex` belongs to a user's table."""
    path = tmp_path / "numbers.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY AUTOINCREMENT)")
        other.commit()
        assert not is_foreign(path, "numbers")
        other.execute("CREATE TABLE sqlitex (id INTEGER)")
        other.commit()
    assert is_foreign(path, "numbers") and not is_foreign(tmp_path / "missing.sqlite", "numbers")


def test_size_of_the_database_log_is_limited(file: Path) -> None:
    with database(file) as opened:
        assert opened.select("PRAGMA journal_mode") == [("wal",)]
        assert opened.select("PRAGMA wal_autocheckpoint") == [(4096,)]
        assert opened.select("PRAGMA journal_size_limit") == [(16 << 20,)]


def test_is_database_recognizes_the_signature_and_accepts_unreadable_paths(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert is_database(tmp_path / "folder") and is_database(tmp_path / "missing")
    (tmp_path / "text").write_bytes(b"SQLite format 2\0")
    (tmp_path / "short").write_bytes(b"SQLite")
    (tmp_path / "empty").touch()
    assert (
        not is_database(tmp_path / "text") and not is_database(tmp_path / "short") and is_database(tmp_path / "empty")
    )
