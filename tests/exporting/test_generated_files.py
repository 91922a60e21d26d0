"""Tests that generated files replace neither edited files nor files from other programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from poets_edge.errors import OutputError
from poets_edge.exporting.generated_files import LIST, check_generated, remove_generated, write_generated


def test_write_generated_replaces_its_own_files(tmp_path: Path) -> None:
    write_generated(tmp_path, {"README.md": b"1", "main/main.cc": b"1"})
    write_generated(tmp_path, {"README.md": b"2"})
    write_generated(tmp_path, {"README.md": b"3", "main/main.cc": b"3"})
    assert (tmp_path / "README.md").read_bytes() == (tmp_path / "main/main.cc").read_bytes() == b"3"


@pytest.mark.parametrize("listed", [None, b"", b"[]", b'{"files": {"main/main.cc": 1}}'])
def test_write_generated_does_not_replace_files_of_other_programs(tmp_path: Path, listed: bytes | None) -> None:
    (tmp_path / "README.md").write_bytes(b"mine")
    if listed is not None:
        (tmp_path / LIST).write_bytes(listed)
    with pytest.raises(OutputError, match=r"README\.md: edited, or written by another program"):
        write_generated(tmp_path, {"main/main.cc": b"1", "README.md": b"1"})
    assert (tmp_path / "README.md").read_bytes() == b"mine" and not (tmp_path / "main").exists()


def test_write_generated_does_not_replace_edited_files(tmp_path: Path) -> None:
    write_generated(tmp_path, {"README.md": b"1", "main/main.cc": b"1"})
    (tmp_path / "main/main.cc").write_bytes(b"edited")
    with pytest.raises(OutputError, match=r"main\.cc"):
        write_generated(tmp_path, {"README.md": b"2", "main/main.cc": b"2"})
    assert (tmp_path / "README.md").read_bytes() == b"1" and (tmp_path / "main/main.cc").read_bytes() == b"edited"
    write_generated(tmp_path, {"README.md": b"2", "main/main.cc": b"edited"})


def test_write_generated_does_not_write_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/README.md").symlink_to(tmp_path / "mine")
    with pytest.raises(OutputError, match=r"README\.md"):
        write_generated(tmp_path / "out", {"README.md": b"1"})
    assert (tmp_path / "mine").read_bytes() == b"mine" and (tmp_path / "out/README.md").is_symlink()


def test_check_of_generated_files_rejects_edited_files_and_files_of_other_programs(tmp_path: Path) -> None:
    check_generated(tmp_path / "new", ["a.txt"])
    write_generated(tmp_path, {"a.txt": b"1", "b.txt": b"1"})
    check_generated(tmp_path, ["a.txt", "b.txt", "c.txt"])
    (tmp_path / "b.txt").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nothing")
    for name in ("b.txt", "folder", "dangling"):
        with pytest.raises(OutputError, match=name):
            check_generated(tmp_path, ["a.txt", name])


def test_removing_generated_files_updates_the_list_of_generated_files(tmp_path: Path) -> None:
    write_generated(tmp_path, {"a.txt": b"1", "b.bin": b"1"})
    remove_generated(tmp_path, [".txt"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [LIST, "b.bin"]
    (tmp_path / "a.txt").write_bytes(b"1")
    with pytest.raises(OutputError, match=r"a\.txt"):
        check_generated(tmp_path, ["a.txt"])
    remove_generated(tmp_path, [".bin"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_link_in_place_of_a_generated_file_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    write_generated(tmp_path, {"a.txt": b"1"})
    (tmp_path / "elsewhere").write_bytes(b"1")
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").symlink_to("elsewhere")
    with pytest.raises(OutputError, match=r"a\.txt"):
        write_generated(tmp_path, {"a.txt": b"1"})
    remove_generated(tmp_path, [".txt"])
    assert (tmp_path / "a.txt").is_symlink()


def test_removing_generated_files_keeps_files_in_subfolders(tmp_path: Path) -> None:
    write_generated(tmp_path, {"a.txt": b"1", "main/b.txt": b"2"})
    remove_generated(tmp_path, [".txt"])
    assert not (tmp_path / "a.txt").exists() and (tmp_path / "main/b.txt").read_bytes() == b"2"
    write_generated(tmp_path, {"main/b.txt": b"3"})


def test_long_lists_of_generated_files_are_read(tmp_path: Path) -> None:
    names = [f"{number:03}.txt" for number in range(100)]
    write_generated(tmp_path, dict.fromkeys(names, b"1"))
    write_generated(tmp_path, dict.fromkeys(names, b"2"))
    remove_generated(tmp_path, [".txt"])
    assert not list(tmp_path.iterdir())
