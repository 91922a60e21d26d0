"""Tests of atomic writes (crashes, concurrent writers), removal of leftover temporary files, and bounded reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poets_edge.core.files import (
    check_writable,
    finish_pending,
    read_bytes,
    read_head,
    replacing,
    scratch_folder,
    write_bytes,
    write_together,
)
from poets_edge.core.temporary import locked
from poets_edge.errors import OutputError
from tests.conftest import ROOT

WRITER = """
import os, signal, sys
from pathlib import Path
from poets_edge.core.files import write_together
folder, name, fatal = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
replace, calls = Path.replace, 0
def counted(self, target):
    global calls
    calls += 1
    if calls == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = counted
for _ in range(int(sys.argv[4])):
    write_together({folder / f"{part}.bin": name.encode() * 2000 for part in ("a", "b", "c")})
"""


def writer(folder: Path, name: str, fatal: int = 0, times: int = 1) -> subprocess.Popen[bytes]:
    """Start a process that writes a.bin, b.bin and c.bin, and kills itself before rename number `fatal`."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, folder, name, str(fatal), str(times)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def contents(folder: Path) -> set[bytes]:
    return {(folder / f"{part}.bin").read_bytes()[:1] for part in ("a", "b", "c")}


@pytest.mark.parametrize("fatal", [1, 2, 3, 4])
def test_write_together_is_atomic_if_killed_before_any_rename(tmp_path: Path, fatal: int) -> None:
    """The journal is renamed first; if the program is killed before that, the old files remain."""
    assert writer(tmp_path, "1").wait() == 0
    assert writer(tmp_path, "2", fatal).wait() == -signal.SIGKILL
    finish_pending(tmp_path)
    assert contents(tmp_path) == {b"1" if fatal == 1 else b"2"}
    assert writer(tmp_path, "3").wait() == 0
    assert contents(tmp_path) == {b"3"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "b.bin", "c.bin"], "something was left behind"


def test_concurrent_calls_of_write_together_do_not_mix_their_files(tmp_path: Path) -> None:
    writers = [writer(tmp_path, name, times=60) for name in "123"]
    assert [process.wait() for process in writers] == [0, 0, 0]
    assert len(contents(tmp_path)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "b.bin", "c.bin"]


def test_write_together_changes_no_file_if_one_cannot_be_written(tmp_path: Path) -> None:
    write_together({tmp_path / "a": b"1", tmp_path / "b": b"1"})
    (tmp_path / "c").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_together({tmp_path / "a": b"2", tmp_path / "b": b"2", tmp_path / "c": b"2"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"1"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(os.name == "nt", reason="of POSIX permissions")
def test_writers_preserve_permissions_and_do_not_replace_write_protected_files(tmp_path: Path) -> None:
    private, protected = tmp_path / "private", tmp_path / "protected"
    for path, mode in ((private, 0o600), (protected, 0o444)):
        path.write_bytes(b"1")
        path.chmod(mode)
    write_together({private: b"2"})
    write_bytes(private, b"3")
    assert private.read_bytes() == b"3" and private.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError, match="protected: write-protected"):
        write_bytes(protected, b"2")
    with pytest.raises(OutputError, match="protected: write-protected"):
        write_together({private: b"4", protected: b"2"})
    assert protected.read_bytes() == b"1" and private.read_bytes() == b"3"


def test_only_leftovers_of_killed_programs_are_removed(tmp_path: Path) -> None:
    dead, foreign = tmp_path / ".out.abcdefgh.poets_edge.tmp", tmp_path / ".out.abcdefgh.tmp"
    dead.write_bytes(b"")
    foreign.write_bytes(b"")
    with replacing(tmp_path / "out") as alive:
        alive.write_bytes(b"1")
        write_bytes(tmp_path / "out", b"2")
        assert alive.exists(), "another writer's file was taken for a dead one"
    assert (tmp_path / "out").read_bytes() == b"1"
    assert sorted(tmp_path.iterdir()) == [foreign, tmp_path / "out"]


def test_scratch_folder_removes_folders_left_by_killed_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "poets_edge-scratch-abcdefgh").mkdir()
    (tmp_path / "poets_edge-notes").mkdir()
    with scratch_folder() as first, scratch_folder() as second:
        assert sorted(tmp_path.iterdir()) == sorted([first, second, tmp_path / "poets_edge-notes"])
    assert list(tmp_path.iterdir()) == [tmp_path / "poets_edge-notes"]


def test_pending_renames_of_user_files_in_a_journal_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"1")
    (tmp_path / ".poets_edge.pending").write_text(f'[["{tmp_path}/secret", "{tmp_path}/public"]]')
    finish_pending(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "secret"]


def test_pending_renames_of_links_or_temporary_files_outside_the_folder_are_ignored(tmp_path: Path) -> None:
    name = ".public.abcdefgh.poets_edge.tmp"
    folder, other = tmp_path / "folder", tmp_path / "other"
    for place in (folder, other):
        place.mkdir()
    (other / name).write_text("of another folder")
    (tmp_path / "secret").write_text("secret")
    for temporary, linked, expected in (
        (other / name, False, None),
        (folder / name, True, None),
        (folder / name, False, "own"),
    ):
        (folder / name).unlink(missing_ok=True)
        if linked:
            (folder / name).symlink_to(tmp_path / "secret")
        else:
            (folder / name).write_text("own")
        (folder / ".poets_edge.pending").write_text(f'[["{temporary}", "{folder}/public"]]')
        finish_pending(folder)
        found = (folder / "public").read_text() if os.path.lexists(folder / "public") else None
        assert found == expected
    assert (other / name).read_text() == "of another folder"


def test_read_bytes_refuses_special_and_large_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(60 << 30)
    for name in ("pipe", "link", "sparse"):
        with pytest.raises(OSError, match=r"regular|larger"):
            read_bytes(tmp_path / name)
    with pytest.raises(OSError, match="regular"):
        read_bytes(Path("/dev/zero"))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_read_bytes_reads_files_that_grow() -> None:
    """Linux reports size 0 for files in /proc; other files may grow between `stat` and the read."""
    maps = Path("/proc/self/maps")
    assert maps.stat().st_size == 0
    assert len(read_bytes(maps)) > 1000 and read_bytes(maps).count(b"\n") > 20
    with pytest.raises(OSError, match="larger"):
        read_bytes(maps, 100)


@pytest.mark.parametrize("write", [write_bytes, lambda path, data: write_together({path: data})])
def test_writers_do_not_replace_special_files_or_folders(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    """Without this check, the root user could replace even `/dev/null`."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder"):
        with pytest.raises(OutputError, match=r"regular|directory"):
            write(tmp_path / name, b"new")
        with pytest.raises(OutputError, match=r"regular|directory"):
            check_writable(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "link", "folder"}


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_writers_do_not_replace_the_file_that_a_standard_stream_writes_to(tmp_path: Path, stream: str) -> None:
    script = """
import sys
from pathlib import Path
from poets_edge.core.files import write_bytes
print("printed", flush=True, file=getattr(sys, sys.argv[2]))
try:
    write_bytes(Path(sys.argv[1]), b"")
except Exception as error:
    print(error, file=sys.stdout if sys.argv[2] == "stderr" else sys.stderr)
"""
    number = {"stdout": 1, "stderr": 2}[stream]
    (tmp_path / "link").symlink_to(f"/proc/self/fd/{number}" if Path("/proc/self/fd").exists() else "out.txt")
    with (tmp_path / "out.txt").open("w") as out:
        command = [sys.executable, "-c", script, str(tmp_path / "link"), stream]
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: out}
        ran = subprocess.run(command, cwd=ROOT, text=True, **streams)
    assert "standard output is redirected to it" in (ran.stderr or ran.stdout)
    assert (tmp_path / "out.txt").read_text() == "printed\n" and (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", [".poets_edge.pending", ".poets_edge.lock"])
def test_write_together_does_not_block_on_a_named_pipe(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    write_together({tmp_path / "result": b"new"})
    assert (tmp_path / "result").read_bytes() == b"new"


def test_write_together_does_not_follow_a_symbolic_link_in_place_of_its_lock(tmp_path: Path) -> None:
    (tmp_path / ".poets_edge.lock").symlink_to("target")
    with pytest.raises(OutputError, match="symbolic links"):
        write_together({tmp_path / "result": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == [".poets_edge.lock"]


def test_read_head_rejects_files_that_are_not_regular(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123")
    os.mkfifo(tmp_path / "pipe")
    assert read_head(tmp_path / "file", 2) == b"01" and read_head(tmp_path / "file", 9) == b"0123"
    with pytest.raises(OSError, match="regular"):
        read_head(tmp_path / "pipe", 2)


def test_write_together_waits_for_the_locks_of_all_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.core.temporary._PATIENCE_SECONDS", 0.02)
    files = {tmp_path / "a/1": b"1", tmp_path / "b/2": b"2"}
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir(exist_ok=True)
        with locked({tmp_path / folder}), pytest.raises(OutputError, match="another program holds"):
            write_together(files)
        assert not any(path.exists() for path in files)
    write_together(files)
    assert all(path.read_bytes() == content for path, content in files.items())
