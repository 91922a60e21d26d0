"""Tests of photos at addresses: training gives the same graph as with a local folder, and errors are single lines."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from poets_edge.errors import DatasetError, PhotoError
from poets_edge.photos.address import Address, photo_path
from poets_edge.photos.folder import scan
from poets_edge.photos.open_photo import read_contents
from tests.conftest import poets_edge
from tests.needs import need_module
from tests.photos.archive_files import FEW, contents_of, make_tar, make_zip, shards, trained


class _Server(SimpleHTTPRequestHandler):
    """Request handler of a file server with ETags and range requests."""

    asked: list[tuple[str, str]]
    broken: set[str]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(super().do_GET)

    def do_HEAD(self) -> None:
        self._answer(super().do_HEAD)

    def _answer(self, with_a_folder: Callable[[], None]) -> None:
        self.asked.append((self.command, self.path))
        path = Path(self.translate_path(self.path))
        if self.path in self.broken:
            self.send_error(503)
        elif path.is_file():
            self._send(path)
        else:
            with_a_folder()

    def _send(self, path: Path) -> None:
        content = path.read_bytes()
        start, end = 0, len(content)
        if wanted := self.headers.get("Range"):
            first, last = wanted.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last or end) + 1, end)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[start:end])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, type[_Server]]]:
    """Address of a server, the served folder, and the request handler with the received requests."""
    kind = type("Server", (_Server,), {"asked": [], "broken": set()})
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(folder))) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", folder, kind
        running.shutdown()


def test_train_on_an_address_writes_the_same_graph_as_on_a_local_folder(
    photos: Path, alone: bytes, tmp_path: Path, server: tuple[str, Path, type[_Server]]
) -> None:
    address, folder, kind = server
    (folder / "flowers").symlink_to(photos)
    [one, *_] = sorted(path.name for path in (photos / "roses").iterdir())
    kind.broken.add(f"/flowers/roses/{one}")
    failed = poets_edge("train", f"{address}/flowers", *FEW, cwd=tmp_path).failed()
    assert "run again" in failed.stderr.splitlines()[-1] and "Traceback" not in failed.stderr
    kind.broken.clear()
    assert trained(f"{address}/flowers", tmp_path) == alone
    kind.asked.clear()
    assert trained(f"{address}/flowers", tmp_path) == alone
    again = {path for method, path in kind.asked if method == "GET" and path.endswith(".jpg")}
    assert len(again) < 40, "only photos shown in the report must be downloaded"
    record = json.loads((tmp_path / "tf_files/retrained_graph.json").read_text())
    assert record["image_dir"] == f"{address}/flowers"
    export = ("export", "--quantize", "int8")
    kind.asked.clear()
    refused = poets_edge(*export, cwd=tmp_path).failed().stderr.splitlines()[-1]
    assert f"{address}/flowers: the graph was trained on" in refused and "--image-dir" in refused and not kind.asked
    found = poets_edge("evaluate", "tf_files/retrained_graph.pb", f"{address}/flowers", "--json", cwd=tmp_path).ok()
    assert json.loads(found.stdout)["set"] == "test"
    assert "test photos" in poets_edge(*export, "--image_dir", f"{address}/flowers", cwd=tmp_path).ok().stdout


@pytest.mark.parametrize("name", ["flowers.zip", "flowers.tar"])
def test_train_on_an_archive_at_an_address_writes_the_same_graph_as_on_a_folder(
    photos: Path, alone: bytes, tmp_path: Path, server: tuple[str, Path, type[_Server]], name: str
) -> None:
    address, folder, kind = server
    if name.endswith(".zip"):
        make_zip(folder / name, photos, "flower_photos/")
    else:
        make_tar(folder / name, contents_of(photos))
    assert trained(f"{address}/{name}", tmp_path) == alone
    kind.asked.clear()
    assert trained(f"{address}/{name}", tmp_path) == alone
    assert sum(method == "GET" for method, _ in kind.asked) < 40
    missing = poets_edge("train", f"{address}/no-{name}", *FEW, cwd=tmp_path).failed()
    assert missing.stderr.splitlines()[-1].startswith("Error: ") and "Traceback" not in missing.stderr


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Any:
    """In-memory file system for the protocol s3."""
    need_module("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    class Store(MemoryFileSystem):  # type: ignore[misc]
        protocol = "s3"
        store: ClassVar[dict[str, Any]] = {}
        pseudo_dirs: ClassVar[list[str]] = [""]

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(super()._strip_protocol(path.replace("s3://", "memory://")))

        def unstrip_protocol(self, name: str) -> str:
            return "s3:/" + name

    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "s3", Store)
    return Store()


def test_scan_reads_shards_and_folders_in_an_object_store(photos: Path, tmp_path: Path, store: Any) -> None:
    shards(tmp_path, photos)
    for path in tmp_path.glob("*.tar"):
        store.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    for pattern in ("flowers-{000..002}.tar", "flowers-*.tar"):
        found = scan(photo_path(f"s3://bucket/{pattern}")).photos
        assert len(found) == 40 and str(found[0].path) == "s3://bucket/flowers-000.tar/0000.jpg"
        assert read_contents(found[3])[:2] == b"\xff\xd8"
    for name, content in contents_of(photos).items():
        store.pipe_file(f"/folder/{name}", content)
    found = scan(Address("s3://folder")).photos
    assert [photo.name for photo in found] == [*contents_of(photos)]
    assert [read_contents(photo) for photo in found] == [*contents_of(photos).values()]
    store.rm_file("/folder/" + found[0].name)
    with pytest.raises(PhotoError, match=f"^s3://folder/{found[0].name}: nothing is there.$"):
        read_contents(found[0])


def test_scan_reports_a_missing_bucket_in_one_line(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Any, path: str, *_: Any, **__: Any) -> list[str]:
        raise FileNotFoundError(path)  # like gcsfs; other file systems return an empty list

    for name in ("find", "glob"):
        monkeypatch.setattr(type(store), name, missing)
    for address in ("s3://bucket/photos", "s3://bucket/*.tar"):
        with pytest.raises(DatasetError, match=f"^{re.escape(address)}: n"):
            scan(photo_path(address))


def test_error_of_train_names_the_package_that_an_object_store_requires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.startswith("fsspec"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    for address, extra in (("gs://bucket/photos", "gs"), ("s3://bucket/photos.tar", "s3")):
        failed = poets_edge("train", address, *FEW, cwd=tmp_path).failed()
        assert f"pip install 'poets-edge[{extra}]'" in failed.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "address",
    [
        "nonsense://host/photos",
        "file:///etc",
        "memory://photos",
        "reference://x",
        "http://example.org/photos",
        "http://127.0.0.1.example.org/photos",
        "https:///photos",
        "https://host:99999/photos",
        "github://owner:repository@main/photos",
    ],
)
def test_scan_rejects_protocols_other_than_https_s3_and_gs(address: str) -> None:
    with pytest.raises(DatasetError, match="https"):
        scan(photo_path(address))


def test_train_reports_an_unreachable_address_in_one_line(tmp_path: Path) -> None:
    for name in ("photos.zip", "photos.tar", "photos"):
        poets_edge("train", f"http://127.0.0.1:9/{name}", *FEW, cwd=tmp_path).failed(f"http://127.0.0.1:9/{name}: ")


@pytest.mark.parametrize(
    "address", ["https://host/photos.zip?X-Sig=s3cret", "HTTPS://host/a?token=s3cret&b=1", "http://localhost/a#s3cret"]
)
def test_train_rejects_addresses_with_queries_without_printing_the_query(address: str, tmp_path: Path) -> None:
    ran = poets_edge("train", address, cwd=tmp_path).failed("with a query or a fragment", "Download the file first")
    assert "s3cret" not in ran.stderr


def test_address_accepts_wildcards_in_names_of_archives() -> None:
    assert str(photo_path("https://host/flowers-??.tar")) == "https://host/flowers-??.tar"


def test_address_supports_path_joining() -> None:
    address = Address("https://host/photos.tar")
    assert str(address / "daisy/1.jpg") == "https://host/photos.tar/daisy/1.jpg" and address.name == "photos.tar"
    assert str(photo_path("file:///data/photos") / "a") == "file:///data/photos/a"
    assert address.resolve() == address.absolute() == photo_path(str(address))
    assert not isinstance(photo_path("photos"), Address)
