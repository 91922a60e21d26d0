"""Downloads from a server that breaks off, ignores ranges, lies about lengths and sends the wrong file."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poets_edge.core import download as module
from poets_edge.core.download import download
from poets_edge.errors import DownloadError, OutputError
from tests.conftest import ROOT
from tests.photos.server import Files, serving

BODY = random.Random(0).randbytes(700_000)
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    with serving(Files({"/file": BODY})) as served:
        yield served


def fetch(files: Files, folder: Path) -> Path:
    return download(f"{files.url}/file", folder / "file", size=len(BODY), sha256=SHA)


def ranges(files: Files) -> list[str | None]:
    return [asked for _, asked in files.requests]


def test_a_file_arrives_whole_and_is_not_fetched_twice(files: Files, tmp_path: Path) -> None:
    assert fetch(files, tmp_path / "new").read_bytes() == BODY
    assert fetch(files, tmp_path / "new").read_bytes() == BODY
    assert ranges(files) == [None]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_after_a_break_only_the_rest_is_asked_for(files: Files, tmp_path: Path) -> None:
    files.break_after = [100_000, 250_000]
    assert fetch(files, tmp_path).read_bytes() == BODY
    assert ranges(files) == [None, "bytes=100000-", "bytes=350000-"]


def test_a_later_call_goes_on_where_an_earlier_one_was_stopped(files: Files, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(BODY[:300_000])
    assert fetch(files, tmp_path).read_bytes() == BODY
    assert ranges(files) == ["bytes=300000-"]


def test_a_part_of_another_file_is_found_out_and_fetched_anew(files: Files, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"something else")
    assert fetch(files, tmp_path).read_bytes() == BODY
    assert ranges(files) == ["bytes=14-", None]


def test_without_a_checksum_an_old_part_is_not_trusted(files: Files, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"something else")
    assert download(f"{files.url}/file", tmp_path / "file").read_bytes() == BODY
    assert ranges(files) == [None]


def test_a_server_that_knows_no_ranges_sends_the_whole_file_again(files: Files, tmp_path: Path) -> None:
    files.break_after, files.ignore_range = [400_000], True
    assert fetch(files, tmp_path).read_bytes() == BODY


def test_a_server_that_always_breaks_off_at_once_is_given_up(files: Files, tmp_path: Path) -> None:
    files.break_after = [200_000, *[0] * 20]
    with pytest.raises(DownloadError, match=r"breaks off before the end.*0\.2 MB are kept"):
        fetch(files, tmp_path)
    assert len(files.requests) < 10
    files.break_after = []
    assert fetch(files, tmp_path).read_bytes() == BODY, "a later call goes on"
    assert ranges(files)[-1] == "bytes=200000-"


@pytest.mark.parametrize("announced", [len(BODY) - 1000, len(BODY) + 1000])
def test_a_server_that_lies_about_the_length_is_not_believed(files: Files, tmp_path: Path, announced: int) -> None:
    files.announce = announced
    with pytest.raises(DownloadError, match=f"offers {announced:,} bytes, and 700,000 are expected"):
        fetch(files, tmp_path)
    assert not (tmp_path / "file").exists()


def test_more_bytes_announced_than_sent_is_an_error_without_a_known_size(files: Files, tmp_path: Path) -> None:
    files.announce = len(BODY) + 1000
    with pytest.raises(DownloadError):
        download(f"{files.url}/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_another_file_of_the_same_size_is_thrown_away(files: Files, tmp_path: Path) -> None:
    files.content["/file"] = BODY[::-1]
    with pytest.raises(DownloadError, match="another checksum"):
        fetch(files, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_its_name_only_once_it_has_been_checked(files: Files, tmp_path: Path) -> None:
    """A program that is killed during the check must not leave a file that is taken for a checked one."""
    seen = []

    def check(path: Path) -> str | None:
        assert path.read_bytes() == BODY
        seen.append([there.name for there in tmp_path.iterdir()])
        return "is not the one" if len(seen) == 1 else None

    with pytest.raises(DownloadError, match="is not the one"):
        download(f"{files.url}/file", tmp_path / "file", check=check)
    assert seen == [["file.part"]] and not list(tmp_path.iterdir())
    download(f"{files.url}/file", tmp_path / "file", check=check)
    assert seen[1:] == [["file.part"]] and [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="of POSIX locks")
def test_of_several_that_want_a_file_one_fetches_it(files: Files, tmp_path: Path) -> None:
    """Each in a process of its own, as two trainings on a new machine; two that write one part would mix."""
    code = f"""
from pathlib import Path
from poets_edge.core.download import download
download("{files.url}/file", Path("file"), check=lambda path: path.stat().st_size < {len(BODY)} and "short" or None)
"""
    several = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    assert [process.communicate()[1] for process in several] == [b"", b"", b""]
    assert len(files.requests) == 1
    assert (tmp_path / "file").read_bytes() == BODY and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(files: Files, tmp_path: Path) -> None:
    files.statuses = [503, 503]
    assert fetch(files, tmp_path).read_bytes() == BODY
    files.requests.clear()
    with pytest.raises(DownloadError, match="/nowhere: the server answers 404"):
        download(f"{files.url}/nowhere", tmp_path / "other")
    assert len(files.requests) == 1


def test_no_server_and_no_address_are_one_line(tmp_path: Path, files: Files) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DownloadError, match=r"cannot be downloaded \(Connection refused\)"):
            download(f"http://127.0.0.1:{port}/file", tmp_path / "file")
    with pytest.raises(DownloadError, match="not an http or https address"):
        download("file:///etc/hostname", tmp_path / "file")


def test_a_place_that_cannot_be_written_is_named(files: Files, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(OutputError, match=r"cannot write .*taken"):
        download(f"{files.url}/file", tmp_path / "taken" / "file")
    assert files.requests == []


def test_without_a_checksum_only_tls_will_do(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not an https address"):
        download("http://example.invalid/weights.h5", tmp_path / "weights.h5")
    assert not list(tmp_path.iterdir())
