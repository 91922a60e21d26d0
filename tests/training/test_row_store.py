"""Tests of row stores whose files are damaged, locked or full."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from poets_edge.errors import OutputError
from poets_edge.training import row_store
from poets_edge.training.row_store import open_row_store

KEYS = [number.to_bytes(32, "big") for number in range(300)]
PAGE = 4096


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A file of 300 rows with a page in the middle that SQLite cannot read."""
    path = tmp_path / "rows.sqlite"
    with open_row_store(path, "rows") as (rows, _):
        for key in KEYS:
            rows.write(key, key * 30)
    content = bytearray(path.read_bytes())
    start = len(content) // 2 // PAGE * PAGE
    content[start : start + PAGE] = b"\xff" * PAGE
    path.write_bytes(content)
    return path


def test_rows_on_intact_pages_of_a_damaged_file_are_read(damaged: Path) -> None:
    with open_row_store(damaged, "rows") as (rows, moved):
        assert moved is None, "only the start of the file is read when it is opened"
        found = rows.read_many(KEYS)
        lost = [key for key, data in zip(KEYS, found, strict=True) if data is None]
        assert 0 < len(lost) < 60 and all(data in (None, key * 30) for key, data in zip(KEYS, found, strict=True))
        assert rows.set_aside == [], "nothing has been written"


def test_damaged_file_is_replaced_with_an_empty_one_at_the_first_write(damaged: Path) -> None:
    before = damaged.read_bytes()
    with open_row_store(damaged, "rows") as (rows, _):
        rows.read_many(KEYS)
        rows.write(KEYS[0], b"first")
        rows.write(KEYS[1], b"second")
        [aside] = rows.set_aside
        assert rows.read_many(KEYS[:3]) == [b"first", b"second", None]
    assert aside.read_bytes() == before, "the damaged file is kept"
    with open_row_store(damaged, "rows") as (rows, _):
        assert rows.read_many(KEYS[:3]) == [b"first", b"second", None] and rows.damaged == 0


@pytest.mark.parametrize("change", ["crc = crc + 1", "vector = 5", "vector = zeroblob(3)"])
def test_each_row_with_a_wrong_checksum_is_counted_and_can_be_written_again(change: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    with open_row_store(path, "rows") as (rows, _):
        for key in KEYS[:4]:
            rows.write(key, b"data")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE rows SET {change} WHERE key IN (?, ?, ?)", KEYS[:3])
        connection.commit()
    with open_row_store(path, "rows") as (rows, _):
        assert rows.read_many(KEYS[:2]) == [None, None] and rows.damaged == 2
        assert rows.read_many(KEYS[1:4]) == [None, None, b"data"] and rows.damaged == 4
        rows.write(KEYS[1], b"new")
        assert rows.read(KEYS[1]) == b"new" and rows.set_aside == []


def test_file_that_another_program_locks_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_store, "_SECONDS_TO_WAIT", 0.01)
    path = tmp_path / "rows.sqlite"
    with open_row_store(path, "rows") as (rows, _):
        rows.write(KEYS[0], b"data")
    with open_row_store(path, "rows") as (rows, _), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match=r"cannot write .*: database is locked\. Its contents are kept"):
            rows.write(KEYS[1], b"data")
        connection.rollback()
        assert rows.read(KEYS[0]) == b"data" and rows.set_aside == []
        rows.write(KEYS[1], b"other")
    with open_row_store(path, "rows") as (rows, _):
        assert rows.read_many(KEYS[:2]) == [b"data", b"other"]


def test_file_of_another_program_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(OutputError, match="a database of another program"), open_row_store(path, "rows"):
        pytest.fail("its tables are not those of a row store")
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["rows.sqlite"]


def test_file_that_is_not_a_database_is_moved_aside_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    path.write_bytes(b"no database" * 100)
    with open_row_store(path, "rows") as (rows, moved):
        assert moved is not None and moved.read_bytes() == b"no database" * 100 and rows.set_aside == []
        assert rows.read(KEYS[0]) is None
