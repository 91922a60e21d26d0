"""Tests of the page server's answers: headers, cached and compressed files, addresses and certificates."""

from __future__ import annotations

import gzip
import hashlib
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from poets_edge.errors import UsageError
from poets_edge.exporting import serving
from poets_edge.exporting.certificate import certificate_for
from poets_edge.exporting.serving import LOOPBACK, PageServer, check_host, network_address
from tests.needs import need_module

FILES = {
    "index.html": b"<h1>Hi</h1>", "app.js": b"run()" * 100, "app.js.gz": gzip.compress(b"run()" * 100),
    "run.wasm": b"\0asm", "model.tflite": b"TFL3", "site.webmanifest": b"{}", "look.css": b"p{}", "x.bin": b"?",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[PageServer]:
    with PageServer(folder, FILES) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def get(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(LOOPBACK, server.server_port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"), ("app.js", "text/javascript; charset=utf-8"),
        ("run.wasm", "application/wasm"), ("model.tflite", "application/octet-stream"),
        ("site.webmanifest", "application/manifest+json"), ("look.css", "text/css; charset=utf-8"),
        ("x.bin", "application/octet-stream"),
    ],
)  # fmt: skip
def test_server_sends_content_type_and_security_headers(server: PageServer, name: str, kind: str) -> None:
    answer, body = get(server, f"/{name}?version=1")
    assert (answer.status, body) == (200, FILES[name])
    expected = {
        "Content-Type": kind, "Content-Length": str(len(FILES[name])), "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding", "ETag": f'"{hashlib.sha256(FILES[name]).hexdigest()[:32]}"',
    }  # fmt: skip
    assert {header: answer.headers[header] for header in expected} == expected
    assert "Python" not in answer.headers["Server"] and answer.headers["Content-Encoding"] is None


def test_server_sends_compressed_files_only_to_clients_that_accept_them(server: PageServer) -> None:
    answer, body = get(server, "/app.js", Accept_Encoding="br, gzip")
    assert body == FILES["app.js.gz"] and answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(body))
    answer, body = get(server, "/app.js", Accept_Encoding="br")
    assert body == FILES["app.js"] and answer.headers["Content-Encoding"] is None
    assert get(server, "/run.wasm", Accept_Encoding="gzip")[1] == FILES["run.wasm"], "there is no compressed file"


def test_server_answers_not_modified_only_for_unchanged_files(server: PageServer, folder: Path) -> None:
    tag = get(server, "/index.html")[0].headers["ETag"]
    answer, body = get(server, "/index.html", If_None_Match=tag)
    assert (answer.status, body, answer.headers["ETag"]) == (304, b"", tag)
    several = {"If-None-Match": f'"other", W/{tag}'}
    assert get(server, "/index.html", **several)[0].status == 304, "one of several tags"
    assert get(server, "/index.html", If_None_Match='"other"')[0].status == 200
    (folder / "index.html").write_bytes(b"<h1>Ho</h1>")
    answer, body = get(server, "/index.html", If_None_Match=tag)
    assert (answer.status, body) == (200, b"<h1>Ho</h1>")


def test_server_sends_no_body_for_head_requests(server: PageServer) -> None:
    answer, body = get(server, "/app.js", "HEAD")
    assert (answer.status, body, answer.headers["Content-Length"]) == (200, b"", str(len(FILES["app.js"])))
    answer, body = get(server, "/none", "HEAD")
    assert (answer.status, body, answer.headers["Content-Length"]) == (404, b"", "11")
    for path in ("/app.js", "/none"):
        with socket.create_connection((LOOPBACK, server.server_port), timeout=10) as connection:
            connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            with connection.makefile("rb") as answer_bytes:
                sent = answer_bytes.read()
        assert sent.startswith(b"HTTP/1.1 ") and sent.endswith(b"\r\n\r\n"), "nothing follows the headers"


def test_server_answers_404_for_files_that_are_gone(server: PageServer, folder: Path) -> None:
    (folder / "x.bin").unlink()
    assert (get(server, "/x.bin")[0].status, get(server, "/x.bin")[1]) == (404, b"Gone.\n")
    assert (get(server, "/none")[0].status, get(server, "/none")[1]) == (404, b"Not found.\n")
    assert get(server, "/")[1] == FILES["index.html"]


def test_server_listens_on_the_loopback_address_by_default(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1" and server.url == f"http://127.0.0.1:{server.server_port}/"
    assert server.daemon_threads and server.request_queue_size >= 300, "a school class connects at once"


@pytest.mark.parametrize("host", ["a" * 64 + ".local", "x..y"])
def test_server_refuses_host_names_that_cannot_be_resolved(host: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot serve on .*`port`"):
        PageServer(folder, [], host)


def test_server_refuses_invalid_ports_and_certificates(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot serve on 127\.0\.0\.1, port 70000"):
        PageServer(folder, [], port=70_000)
    (folder / "bad.pem").write_bytes(b"no certificate")
    for name in ("bad.pem", "missing.pem"):
        with pytest.raises(UsageError, match=f"{name}: not a certificate with its key"):
            PageServer(folder, [], certificate=folder / name)


@pytest.mark.parametrize("host", ["pi.local/x", "localhost\n", "pi local", "127.0.0.1:80/"])
def test_hosts_with_invalid_characters_are_refused(host: str) -> None:
    with pytest.raises(UsageError, match="`host`"):
        check_host(host)


class Probe(socket.socket):
    """Socket that reports a fixed local address and sends nothing."""

    def connect(self, address: Any) -> None:
        if address[0] != "192.0.2.1":
            raise AssertionError("only the reserved address is used")

    def getsockname(self) -> Any:
        return "10.0.0.5", 4711

    def getpeername(self) -> Any:
        return "192.0.2.1", 9


def test_network_address_is_the_address_of_this_machine_in_the_local_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.exporting.serving.socket.socket", Probe)
    assert network_address() == "10.0.0.5"
    monkeypatch.setattr(Probe, "connect", lambda self, address: (_ for _ in ()).throw(OSError("unreachable")))
    with pytest.raises(UsageError, match="no address on a network"):
        network_address()


def test_stalled_tls_connection_does_not_block_others(folder: Path, tmp_path: Path) -> None:
    need_module("cryptography")
    certificate = certificate_for(LOOPBACK, tmp_path / "settings")
    trusting = ssl.create_default_context(cafile=str(certificate))
    with PageServer(folder, FILES, certificate=certificate) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with (
            socket.create_connection((LOOPBACK, server.server_port)),
            urllib.request.urlopen(f"{server.url}x.bin", context=trusting, timeout=5) as answer,
        ):
            assert answer.read() == FILES["x.bin"] and server.url.startswith("https://")
        server.shutdown()


def test_silent_connections_are_closed_after_half_a_minute() -> None:
    assert serving._Handler.timeout == 30
