"""Tests of temporary files and locks: what belongs to a killed program is removed, everything else is kept."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from poets_edge.core.temporary import (
    held,
    is_temporary,
    locked,
    owned,
    remove_dead,
    remove_dead_matching,
    temporary_pattern,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="of POSIX locks")

PREFIX, SUFFIX = ".out+1.", ".poets_edge.tmp"
DEAD = f"{PREFIX}abcd_123{SUFFIX}"
OTHERS = [
    f"{PREFIX}abcd_123{SUFFIX}.bak",  # a longer name
    f"x{DEAD}",
    f"{PREFIX}abcd_12{SUFFIX}",  # seven random characters
    f"{PREFIX}abcd_1234{SUFFIX}",
    f"{PREFIX}ABCD_123{SUFFIX}",
    ".out11.abcd_123.poets_edge.tmp",  # `+` is no wildcard
    f"{PREFIX}abcd_123xpoets_edge.tmp",
]


def test_leftover_files_are_removed_only_if_their_whole_name_matches(tmp_path: Path) -> None:
    for name in (DEAD, *OTHERS):
        (tmp_path / name).write_text("x")
    remove_dead(tmp_path, PREFIX, SUFFIX)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(OTHERS)
    assert is_temporary(DEAD, PREFIX, SUFFIX) and not any(is_temporary(name, PREFIX, SUFFIX) for name in OTHERS)


def test_removal_of_temporary_files_keeps_links_and_files_of_other_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / DEAD).symlink_to("target")
    remove_dead(tmp_path, PREFIX, SUFFIX)
    assert (tmp_path / DEAD).is_symlink() and (tmp_path / "target").read_text() == "mine"
    (tmp_path / DEAD).unlink()
    (tmp_path / DEAD).mkdir()
    (tmp_path / DEAD / "file").write_text("x")
    owner = os.geteuid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: owner + 1)
        remove_dead(tmp_path, PREFIX, SUFFIX)
    assert (tmp_path / DEAD / "file").exists(), "of another user"
    remove_dead(tmp_path, PREFIX, SUFFIX)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_callback_runs_under_the_folder_lock_before_leftover_files_are_removed(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def before() -> None:
        seen.append(sorted(path.name for path in tmp_path.iterdir()))

    remove_dead_matching(tmp_path, temporary_pattern(r"out\+1"), before)
    assert seen == [], "nothing is to be removed"
    (tmp_path / DEAD).write_text("x")
    remove_dead_matching(tmp_path, temporary_pattern(r"out\+1"), before)
    assert seen == [[DEAD, ".poets_edge.lock"]] and list(tmp_path.iterdir()) == []
    remove_dead(tmp_path / "missing", PREFIX, SUFFIX)


def test_held_temporary_file_exists_inside_the_block_and_is_removed_afterwards(tmp_path: Path) -> None:
    def make() -> Path:
        (tmp_path / DEAD).write_text("x")
        return tmp_path / DEAD

    with held(make) as temporary:
        remove_dead(tmp_path, PREFIX, SUFFIX)
        assert temporary.read_text() == "x"
    with pytest.raises(ZeroDivisionError), held(make):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_another_temporary_file_is_made_if_the_first_is_removed_before_it_is_locked(tmp_path: Path) -> None:
    made: list[Path] = []

    def make() -> Path:
        path = tmp_path / f"{len(made)}"
        if made:
            path.write_text("x")
        made.append(path)
        return path

    with held(make) as temporary:
        assert temporary == tmp_path / "1"
    assert len(made) == 2


def test_waiting_for_a_lock_ends_after_the_given_time(tmp_path: Path) -> None:
    path = tmp_path / "part"
    with owned(path, 1):
        started = time.monotonic()
        with pytest.raises(TimeoutError, match="another program holds"), owned(path, 0.05):
            pass
        assert 0.05 <= time.monotonic() - started < 5
    with owned(path, 0):
        assert path.exists()


def test_process_that_waits_for_a_lock_does_not_lock_the_renamed_file(tmp_path: Path) -> None:
    """The first owner renames its file; the second owner must not lock the renamed file."""
    path, entered = tmp_path / "part", threading.Event()
    second: list[bool] = []

    def wait() -> None:
        with owned(path, 10):
            second.append(path.exists())
            entered.set()

    with owned(path, 1):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.05)
        assert not entered.is_set()
        path.replace(tmp_path / "complete")
    thread.join(10)
    assert second == [True] and (tmp_path / "complete").exists()


def test_folder_and_symbolic_link_to_it_share_one_lock_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    with locked([tmp_path / "a", tmp_path / "link"]):
        assert [path.name for path in (tmp_path / "a").iterdir()] == [".poets_edge.lock"]
    assert list((tmp_path / "a").iterdir()) == []


def test_file_that_is_renamed_before_it_is_locked_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, locks = tmp_path / "part", list[int]()
    lock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        locks.append(operation)
        if len(locks) == 1:
            path.replace(tmp_path / "complete")
        lock(descriptor, operation)

    monkeypatch.setattr("poets_edge.core.temporary.fcntl.flock", late)
    with owned(path, 1):
        assert path.exists() and len(locks) == 2


def test_failed_attempt_to_lock_a_file_leaves_no_open_descriptor(tmp_path: Path) -> None:
    with owned(tmp_path / "a", 1):
        before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []  # noqa: PTH112, PTH208
        for _ in range(3):
            with pytest.raises(TimeoutError, match="another program holds"), owned(tmp_path / "a", -1):
                pass
        after = sorted(os.listdir("/proc/self/fd")) if before else []  # noqa: PTH208
    assert before == after


def test_another_temporary_file_is_made_if_the_first_is_removed_while_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    real = fcntl.flock

    def make() -> Path:
        made.append(tmp_path / f"{len(made)}")
        made[-1].write_text("x")
        return made[-1]

    def flock(descriptor: int, operation: int) -> None:
        if len(made) == 1:
            made[0].unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with held(make) as temporary:
        assert temporary == tmp_path / "1" and temporary.exists()
    assert list(tmp_path.iterdir()) == []


def test_leftover_files_are_kept_on_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the owner of a temporary file is alive cannot be found out there."""

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def make() -> Path:
        (tmp_path / "new").touch(exist_ok=False)  # fails if it is called again
        return tmp_path / "new"

    monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / DEAD).touch()
    remove_dead(tmp_path, PREFIX, SUFFIX)
    with held(make) as temporary, owned(tmp_path / "part", 0), locked([tmp_path]):
        present = {temporary.name, "part", DEAD, ".poets_edge.lock"}
        assert {path.name for path in tmp_path.iterdir()} == present
    assert {path.name for path in tmp_path.iterdir()} == {"part", DEAD}


def test_folder_lock_is_held_until_its_lock_file_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it were released first, another program could lock the file that is then removed, and a third a new one."""
    unlink, free = Path.unlink, list[bool]()

    def watched(path: Path, missing_ok: bool = False) -> None:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free.append(True)
            except BlockingIOError:
                free.append(False)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    with locked([tmp_path]):
        pass
    assert free == [False] and list(tmp_path.iterdir()) == []
