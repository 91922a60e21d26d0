"""Tests of downloads from a server that disconnects, ignores ranges, or sends wrong lengths and files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poets_edge.core import download as module
from poets_edge.core.download import download
from poets_edge.errors import DownloadError, OutputError
from poets_edge.progress import Silent
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


def test_download_writes_the_file_and_requests_it_once(files: Files, tmp_path: Path) -> None:
    assert fetch(files, tmp_path / "new").read_bytes() == BODY
    assert fetch(files, tmp_path / "new").read_bytes() == BODY
    assert ranges(files) == [None]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_download_requests_only_missing_bytes_after_a_disconnection(files: Files, tmp_path: Path) -> None:
    files.break_after = [100_000, 250_000]
    assert fetch(files, tmp_path).read_bytes() == BODY
    assert ranges(files) == [None, "bytes=100000-", "bytes=350000-"]


def test_download_resumes_a_partial_file_from_an_earlier_call(files: Files, tmp_path: Path) -> None:
    (tmp_path / ".file.poets_edge.part").write_bytes(BODY[:300_000])
    assert fetch(files, tmp_path).read_bytes() == BODY
    assert ranges(files) == ["bytes=300000-"]


def test_download_discards_a_partial_file_that_belongs_to_a_different_file(files: Files, tmp_path: Path) -> None:
    (tmp_path / ".file.poets_edge.part").write_bytes(b"something else")
    assert fetch(files, tmp_path).read_bytes() == BODY
    assert ranges(files) == ["bytes=14-", None]


def test_download_discards_a_partial_file_that_is_too_long(files: Files, tmp_path: Path) -> None:
    (tmp_path / ".file.poets_edge.part").write_bytes(bytes(len(BODY) + 100))
    assert download(f"{files.url}/file", tmp_path / "file", sha256=SHA).read_bytes() == BODY
    assert ranges(files) == [f"bytes={len(BODY) + 100}-", None]


def test_download_reports_the_size_of_the_whole_file_as_the_total(files: Files, tmp_path: Path) -> None:
    totals: list[int] = []
    done: list[int] = []

    class Bars(Silent):
        @contextlib.contextmanager
        def progress(self, label: str, total: int, unit: str = "") -> Iterator[Callable[[int], object]]:
            totals.append(total)
            yield done.append

    (tmp_path / ".file.poets_edge.part").write_bytes(BODY[:300_000])
    download(f"{files.url}/file", tmp_path / "file", sha256=SHA, reporter=Bars())
    assert totals == [len(BODY)] and done[0] == 300_000 and sum(done) == len(BODY)


def test_download_without_a_checksum_discards_a_partial_file(files: Files, tmp_path: Path) -> None:
    (tmp_path / ".file.poets_edge.part").write_bytes(b"something else")
    assert download(f"{files.url}/file", tmp_path / "file").read_bytes() == BODY
    assert ranges(files) == [None]


def test_download_restarts_if_the_server_does_not_support_ranges(files: Files, tmp_path: Path) -> None:
    files.break_after, files.ignore_range = [400_000], True
    assert fetch(files, tmp_path).read_bytes() == BODY


def test_download_fails_after_several_connections_without_new_bytes(files: Files, tmp_path: Path) -> None:
    files.break_after = [200_000, *[0] * 20]
    with pytest.raises(DownloadError, match=r"was lost before the end.*0\.2 MB are kept"):
        fetch(files, tmp_path)
    assert len(files.requests) < 10
    files.break_after = []
    assert fetch(files, tmp_path).read_bytes() == BODY, "a later call goes on"
    assert ranges(files)[-1] == "bytes=200000-"


@pytest.mark.parametrize("announced", [len(BODY) - 1000, len(BODY) + 1000])
def test_download_rejects_an_unexpected_declared_size(files: Files, tmp_path: Path, announced: int) -> None:
    files.announce = announced
    with pytest.raises(DownloadError, match=f"offers {announced:,} bytes, and 700,000 are expected"):
        fetch(files, tmp_path)
    assert not (tmp_path / "file").exists()


def test_download_without_an_expected_size_fails_if_the_connection_ends_early(files: Files, tmp_path: Path) -> None:
    files.announce = len(BODY) + 1000
    with pytest.raises(DownloadError):
        download(f"{files.url}/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_download_of_unknown_size_is_limited_to_the_maximum_file_size(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poets_edge.core.download.LARGEST", 1000)
    files.content["/file"] = bytes(1001)
    with pytest.raises(DownloadError, match="more than 1,000 bytes"):
        download(f"{files.url}/file", tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_download_discards_a_file_with_a_wrong_checksum(files: Files, tmp_path: Path) -> None:
    files.content["/file"] = BODY[::-1]
    with pytest.raises(DownloadError, match="differs from the expected one"):
        fetch(files, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_download_renames_the_file_after_the_check(files: Files, tmp_path: Path) -> None:
    """If the program is killed during the check, there must be no file at the destination."""
    seen = []

    def check(path: Path) -> str | None:
        assert path.read_bytes() == BODY
        seen.append([there.name for there in tmp_path.iterdir()])
        return "is not the one" if len(seen) == 1 else None

    with pytest.raises(DownloadError, match="is not the one"):
        download(f"{files.url}/file", tmp_path / "file", check=check)
    assert seen == [[".file.poets_edge.part"]] and not list(tmp_path.iterdir())
    download(f"{files.url}/file", tmp_path / "file", check=check)
    assert seen[1:] == [[".file.poets_edge.part"]] and [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="of POSIX locks")
def test_concurrent_downloads_request_the_file_once(files: Files, tmp_path: Path) -> None:
    """Each download runs in its own process; two writers of one partial file would mix their bytes."""
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


def test_download_is_retried_if_the_server_is_busy_but_not_if_the_file_is_missing(files: Files, tmp_path: Path) -> None:
    files.statuses = [503, 503]
    assert fetch(files, tmp_path).read_bytes() == BODY
    files.requests.clear()
    with pytest.raises(DownloadError, match="/nowhere: the server answers 404"):
        download(f"{files.url}/nowhere", tmp_path / "other")
    assert len(files.requests) == 1


def test_download_reports_an_unreachable_server_in_one_line(tmp_path: Path, files: Files) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DownloadError, match=r"cannot be downloaded \(Connection refused\)"):
            download(f"http://127.0.0.1:{port}/file", tmp_path / "file")
    with pytest.raises(DownloadError, match="not an http or https address"):
        download("file:///etc/hostname", tmp_path / "file")


def test_download_reports_an_unwritable_destination(files: Files, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(OutputError, match=r"cannot write .*taken"):
        download(f"{files.url}/file", tmp_path / "taken" / "file")
    assert files.requests == []


def test_download_without_a_checksum_requires_tls(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not an https address"):
        download("http://example.invalid/weights.h5", tmp_path / "weights.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_download_retries_if_the_server_is_busy(files: Files, tmp_path: Path, status: int) -> None:
    files.statuses = [status]
    assert fetch(files, tmp_path).read_bytes() == BODY and len(files.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 410, 501])
def test_download_does_not_retry_after_permanent_server_errors(files: Files, tmp_path: Path, status: int) -> None:
    files.statuses = [status]
    with pytest.raises(DownloadError, match=f"the server answers {status}"):
        fetch(files, tmp_path)
    assert len(files.requests) == 1 and not [*tmp_path.iterdir()], "an empty partial file is removed"


@pytest.mark.parametrize(("etag", "condition"), [('"1"', '"1"'), ('W/"1"', None), ("", None)])
def test_resumed_download_sends_a_strong_etag_as_if_range_header(
    files: Files, tmp_path: Path, etag: str, condition: str | None
) -> None:
    """A strong ETag is sent as If-Range; a weak one may belong to several versions of a file, so it is not sent."""
    files.etag, files.break_after = etag, [100_000]
    assert fetch(files, tmp_path).read_bytes() == BODY
    assert files.conditions == [None, condition] and ranges(files) == [None, "bytes=100000-"]


def test_download_gives_up_on_a_server_that_repeats_the_same_bytes(files: Files, tmp_path: Path) -> None:
    """The server ignores ranges and always breaks at the same place, so each connection brings only known bytes."""
    files.ignore_range, files.break_after = True, [100_000] * 50
    with pytest.raises(DownloadError, match="was lost before the end"):
        fetch(files, tmp_path)
    assert len(files.requests) == 5


def test_download_keeps_trying_while_new_bytes_arrive(files: Files, tmp_path: Path) -> None:
    files.break_after = [100_000] * 6
    assert fetch(files, tmp_path).read_bytes() == BODY and len(files.requests) == 7


def test_resumed_download_with_a_wrong_checksum_is_restarted(files: Files, tmp_path: Path) -> None:
    (tmp_path / ".file.poets_edge.part").write_bytes(bytes(len(BODY)))
    assert fetch(files, tmp_path).read_bytes() == BODY
    assert ranges(files) == [None], "the complete part is not requested, and the file is fetched once"


def test_download_asks_again_if_the_server_sends_a_different_range(files: Files, tmp_path: Path) -> None:
    """Bytes of another range must neither be appended to the partial file nor replace it."""
    (tmp_path / ".file.poets_edge.part").write_bytes(BODY[:300_000])
    files.range_shift = [100_000, -100_000]
    assert fetch(files, tmp_path).read_bytes() == BODY
    assert ranges(files) == ["bytes=300000-"] * 3
