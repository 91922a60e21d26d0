"""Tests of file writes and downloads under failures: power cuts, full disks, replaced files and redirections."""

from __future__ import annotations

import errno
import hashlib
import http.server
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poets_edge.core import download as download_module
from poets_edge.core.download import download
from poets_edge.core.files import (
    check_writable,
    distinct_names,
    existing_head,
    is_auxiliary,
    read_bytes,
    replacing,
    sha256_of,
    unused_folder,
    write_bytes,
    write_text,
    write_together,
)
from poets_edge.core.json_checks import COUNT, check
from poets_edge.errors import DownloadError, OutputError, RecordError
from tests.photos.server import Files, serving

pytestmark = pytest.mark.skipif(os.name == "nt", reason="of POSIX files")


class Disk:
    """Recorder of the files that are flushed to disk and of the files that are renamed.

    Attributes:
        synced: size of each file at its last flush, by inode.
        renamed: new name of each renamed file, and whether its complete content had been flushed.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.synced: dict[int, int] = {}
        self.renamed: list[tuple[str, bool]] = []
        fsync, replace = os.fsync, Path.replace

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            status = os.fstat(descriptor)
            self.synced[status.st_ino] = status.st_size

        def renamed(path: Path, target: Path) -> Path:
            status = path.stat()
            self.renamed.append((Path(target).name, self.synced.get(status.st_ino) == status.st_size))
            return replace(path, target)

        patch.setattr(os, "fsync", synced)
        patch.setattr(Path, "replace", renamed)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_files_are_flushed_to_disk_before_they_are_renamed(disk: Disk, tmp_path: Path) -> None:
    """Otherwise a power cut could leave an empty file under the name of the complete file."""
    write_bytes(tmp_path / "bytes", b"12345")
    write_text(tmp_path / "text", "1234567")
    with replacing(tmp_path / "replaced") as temporary:
        temporary.write_bytes(b"123")
    assert disk.renamed == [("bytes", True), ("text", True), ("replaced", True)]


def test_write_together_flushes_files_and_journal_before_the_first_rename(disk: Disk, tmp_path: Path) -> None:
    write_together({tmp_path / "a": b"1", tmp_path / "b": b"22"})
    assert disk.renamed == [(".poets_edge.pending", True), ("a", True), ("b", True)]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setattr(download_module, "_PAUSE_S", 0.0)
    with serving(Files({"/file": b"content"})) as served:
        yield served


def test_download_flushes_the_file_before_the_rename(disk: Disk, files: Files, tmp_path: Path) -> None:
    download(f"{files.url}/file", tmp_path / "file")
    assert disk.renamed == [("file", True)]


def swap_before_open(patch: pytest.MonkeyPatch, path: Path, swap: Callable[[], object]) -> None:
    """Patch `os.open` so that it calls `swap` immediately before it opens `path`."""
    opened = os.open

    def swapped(target: object, *arguments: int, **others: int) -> int:
        if Path(str(target)) == path and path.is_file():
            swap()
        return opened(target, *arguments, **others)  # type: ignore[arg-type]

    patch.setattr(os, "open", swapped)


def test_read_bytes_refuses_a_file_that_is_replaced_after_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the check, the file is replaced with a named pipe, whose opening would block, or with a large file."""
    path = tmp_path / "file"

    def pipe() -> None:
        path.unlink()
        os.mkfifo(path)

    path.write_bytes(b"small")
    with monkeypatch.context() as patch:
        swap_before_open(patch, path, pipe)
        with pytest.raises(OSError, match="not a regular file"):
            read_bytes(path)
    path.unlink()
    path.write_bytes(b"small")
    with monkeypatch.context() as patch:
        swap_before_open(patch, path, lambda: os.truncate(path, 1001))
        with pytest.raises(OSError, match="larger than") as caught:
            read_bytes(path, 1000)
    assert caught.value.errno == errno.EFBIG


def test_read_bytes_accepts_files_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    assert read_bytes(tmp_path / "file", 1000) == bytes(1000)
    with pytest.raises(OSError, match="larger than"):
        read_bytes(tmp_path / "file", 999)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path)


def test_sha256_is_computed_from_all_blocks_of_regular_files(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4097
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        sha256_of(tmp_path / "pipe")


def test_written_files_and_folders_have_permissions_according_to_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"1")
        with unused_folder(tmp_path / "folder") as folder:
            (folder / "x").write_bytes(b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750
    assert os.umask(before) == before


def test_text_files_are_written_with_unix_line_endings_and_escaped_lone_surrogates(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "caf\u00e9\n\udce9\n")
    assert (tmp_path / "text").read_bytes() == b"caf\xc3\xa9\n\\udce9\n"


def test_old_file_is_unchanged_if_writing_its_replacement_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as temporary:
        temporary.write_bytes(b"new")
        raise ZeroDivisionError
    assert (tmp_path / "file").read_bytes() == b"old" and len([*tmp_path.iterdir()]) == 1


def test_files_and_nonempty_folders_are_rejected_as_output_folders(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").write_bytes(b"mine")
    (tmp_path / "plain").write_bytes(b"mine")
    for name in ("taken", "plain"):
        with pytest.raises(OutputError, match="it already contains something"), unused_folder(tmp_path / name):
            raise AssertionError("it must not get here")
    (tmp_path / "empty").mkdir()
    with unused_folder(tmp_path / "empty") as folder:
        (folder / "file").write_bytes(b"new")
    assert (tmp_path / "empty/file").read_bytes() == b"new" and (tmp_path / "taken/file").read_bytes() == b"mine"
    with pytest.raises(ZeroDivisionError), unused_folder(tmp_path / "failed"):
        raise ZeroDivisionError
    with pytest.raises(OutputError, match="already contains something"), unused_folder(tmp_path / "raced") as folder:
        (tmp_path / "raced").mkdir()
        (tmp_path / "raced/file").write_bytes(b"theirs")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "plain", "raced", "taken"]
    assert (tmp_path / "raced/file").read_bytes() == b"theirs"


def test_temporary_file_that_tests_whether_an_output_is_writable_is_removed(tmp_path: Path) -> None:
    check_writable(tmp_path / "new/file")
    assert [*tmp_path.rglob("*")] == [tmp_path / "new"]
    (tmp_path / "plain").write_bytes(b"1")
    with pytest.raises(OutputError, match=r"cannot write .*plain"):
        check_writable(tmp_path / "plain/file")


@pytest.mark.parametrize(
    ("name", "begun"),
    [
        (".out.abcdefgh.poets_edge.tmp", True),
        (".poets_edge.pending", True),
        (".poets_edge.lock", True),
        (".out.notes.poets_edge.tmp", False),
        (".out.abcdefgh.tmp", False),
        ("out.abcdefgh.poets_edge.tmp", False),
        (".out.abcdefgh.poets_edge.tmp2", False),
    ],
)
def test_temporary_files_are_recognized_by_name(name: str, begun: bool) -> None:
    assert is_auxiliary(Path("folder") / name) is begun


def test_folder_names_are_added_to_equal_file_names_until_they_differ() -> None:
    paths = [Path(text) for text in ("a/x/1.pb", "b/x/1.pb", "b/y/2.pb")]
    assert distinct_names(paths) == ["a/x/1.pb", "b/x/1.pb", "b/y/2.pb"]
    assert distinct_names([*map(Path, ("a/1.pb", "a/2.pb"))]) == ["1.pb", "2.pb"]
    assert distinct_names([Path("a/1.pb"), Path("a/1.pb")]) == ["1.pb", "1.pb"]
    assert distinct_names([]) == []


class Redirection(http.server.BaseHTTPRequestHandler):
    """Handler that redirects every request to the address `target`."""

    target = ""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.target)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def redirection() -> Iterator[str]:
    """Return the address of a local server that redirects to another server without TLS."""
    handler: Any = type("ToElsewhere", (Redirection,), {})
    content = type("Content", (http.server.SimpleHTTPRequestHandler,), {"do_GET": _answer, "log_message": _silent})
    # 127.0.0.2 is not among the names of this machine that need no TLS.
    elsewhere = http.server.ThreadingHTTPServer(("127.0.0.2", 0), content)
    here = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.target = f"http://127.0.0.2:{elsewhere.server_port}/file"
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in (here, elsewhere)]
    for thread in threads:
        thread.start()
    try:
        yield f"http://127.0.0.1:{here.server_port}/file"
    finally:
        for server, thread in zip((here, elsewhere), threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def _answer(self: http.server.BaseHTTPRequestHandler) -> None:
    self.send_response(200)
    self.send_header("Content-Length", "7")
    self.end_headers()
    self.wfile.write(b"content")


def _silent(self: object, *args: object) -> None:
    pass


def test_download_without_a_checksum_refuses_a_redirection_to_http(redirection: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"http://127\.0\.0\.2.*not an https address"):
        download(redirection, tmp_path / "file", size=7)
    assert not [*tmp_path.iterdir()]
    checksum = hashlib.sha256(b"content").hexdigest()
    assert download(redirection, tmp_path / "file", sha256=checksum).read_bytes() == b"content"


def test_download_ignores_the_case_of_checksums(files: Files, tmp_path: Path) -> None:
    checksum = hashlib.sha256(b"content").hexdigest().upper()
    assert download(f"{files.url}/file", tmp_path / "file", sha256=checksum).read_bytes() == b"content"


def test_download_replaces_an_existing_file_that_fails_its_checks(files: Files, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"damaged")
    checksum = hashlib.sha256(b"content").hexdigest()
    assert download(f"{files.url}/file", tmp_path / "file", sha256=checksum).read_bytes() == b"content"
    assert len(files.requests) == 1


def test_download_without_a_checksum_fetches_an_existing_file_again(files: Files, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"older")
    assert download(f"{files.url}/file", tmp_path / "file").read_bytes() == b"content"


def test_download_rejects_a_declared_size_above_the_expected_size(files: Files, tmp_path: Path) -> None:
    """The server declares 7 bytes, and 6 are expected."""
    with pytest.raises(DownloadError, match="offers 7 bytes, and 6 are expected"):
        download(f"{files.url}/file", tmp_path / "file", size=6)
    assert not [*tmp_path.iterdir()]


def test_write_together_ignores_and_removes_invalid_journals(tmp_path: Path) -> None:
    """The journal would rename a temporary file to the name of an existing file that it does not belong to."""
    (tmp_path / "mine").write_bytes(b"mine")
    temporary = tmp_path / ".other.abcdefgh.poets_edge.tmp"
    temporary.write_bytes(b"theirs")
    (tmp_path / ".poets_edge.pending").write_text(json.dumps([[str(temporary), str(tmp_path / "mine")]]))
    write_together({tmp_path / "new": b"1"})
    assert (tmp_path / "mine").read_bytes() == b"mine" and not (tmp_path / ".poets_edge.pending").exists()


def test_counts_in_json_must_be_integers_that_numpy_can_store() -> None:
    assert [check(value, COUNT) for value in (0, (1 << 63) - 1)] == [0, np.iinfo(np.int64).max]
    for value in (-1, 1 << 63):
        with pytest.raises(RecordError, match="a whole number from 0 to"):
            check(value, COUNT)


def test_write_together_completes_its_renames_before_an_interrupt_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"old")
    replace = Path.replace
    interrupted: list[Path] = []

    def interrupt_once(path: Path, target: Path) -> Path:
        if Path(target).name == "a" and not interrupted:
            interrupted.append(path)
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        write_together({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new", "b": b"new"}


def test_folder_without_a_name_is_rejected_as_an_output_folder() -> None:
    for folder in (Path(), Path(".."), Path("photos/..")):
        with pytest.raises(OutputError, match="give the name of a new folder"), unused_folder(folder):
            raise AssertionError("it must not get here")


def test_existing_head_returns_no_bytes_for_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123")
    assert existing_head(tmp_path / "file", 2) == b"01"
    assert [existing_head(tmp_path / name, 2) for name in ("missing", ".", "nul\0")] == [b""] * 3


def test_repeated_paths_get_the_same_display_name() -> None:
    assert distinct_names([Path("a/1.pb"), Path("b/1.pb"), Path("a/1.pb")]) == ["a/1.pb", "b/1.pb", "a/1.pb"]
