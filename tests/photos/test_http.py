"""Tests of the HTTP client: ranges, redirects, statuses and listings, with a local server."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from email.message import Message
from functools import partial
from typing import Any

import pytest

from poets_edge.core.credentials import split_user_info
from poets_edge.errors import DatasetError
from poets_edge.photos import http as client
from tests.photos.hostile_server import Request, Served, listing, reply, serving

CONTENT = bytes(range(100))


def ranged(request: Request) -> Iterable[bytes]:
    """Return the requested part of CONTENT, as a server with support for ranges does."""
    wanted = request.headers.get("range")
    if wanted is None:
        return reply(CONTENT)
    first, last = map(int, wanted.removeprefix("bytes=").split("-"))
    if first >= len(CONTENT):
        return reply(status="416 Range Not Satisfiable")
    body = CONTENT[first : last + 1]
    total = f"bytes {first}-{first + len(body) - 1}/{len(CONTENT)}"
    return reply(body, f"Content-Range: {total}", status="206 Partial Content")


def test_requested_part_of_a_file_on_a_server_is_returned() -> None:
    with serving(ranged) as served:
        address = f"{served.url}/a"
        assert client.read(address, most=100) == CONTENT
        assert client.read(address, 10, 15, most=100) == CONTENT[10:15]
        assert client.read(address, 95, 200, most=200) == CONTENT[95:]
        assert client.read(address, 100, 120, most=100) == b"" and client.read(address, 7, 7, most=100) == b""
        assert [request.headers.get("range") for request in served.requests] == [
            None, "bytes=10-14", "bytes=95-199", "bytes=100-119"
        ]  # fmt: skip
        with pytest.raises(OSError, match="larger than"):
            client.read(address, most=99)


@pytest.mark.parametrize(
    "answer",
    [
        reply(CONTENT[:5]),
        reply(CONTENT[:5], status="206 Partial Content"),
        reply(CONTENT[:5], "Content-Range: bytes 1-5/100", status="206 Partial Content"),
        reply(CONTENT[:5], "Content-Range: bytes 0-4/100"),
    ],
)
def test_responses_with_a_byte_range_other_than_the_requested_one_are_refused(answer: list[bytes]) -> None:
    with serving(lambda _: answer) as served, pytest.raises(DatasetError, match="does not give parts of a file"):
        client.read(f"{served.url}/a", 0, 5, most=100)


@pytest.mark.parametrize("length", [["Content-Length: 6"], ["Transfer-Encoding: chunked"]])
def test_responses_with_more_bytes_than_the_requested_range_are_refused(length: list[str]) -> None:
    """The excess would be taken for the next bytes of the archive."""
    headers = ["Content-Range: bytes 0-4/100", *length]
    body = CONTENT[:6] if "6" in length[0] else b"6\r\n" + CONTENT[:6] + b"\r\n0\r\n\r\n"
    answer = reply(body, *headers, status="206 Partial Content")
    with serving(lambda _: answer) as served, pytest.raises(OSError, match="larger than"):
        client.read(f"{served.url}/a", 0, 5, most=100)


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
def test_reading_a_missing_file_raises_file_not_found_error(status: str) -> None:
    with serving(lambda _: reply(b"page", status=status)) as served, pytest.raises(FileNotFoundError):
        client.read(f"{served.url}/a", most=100)


@pytest.mark.parametrize(
    "status", ["400 Bad", "401 Unauthorized", "405 No", "429 Many", "500 Error", "501 No", "503 Busy"]
)
def test_file_facts_are_empty_if_the_server_does_not_support_head_requests(status: str) -> None:
    with serving(lambda _: reply(status=status)) as served:
        if status[:3] in ("405", "501"):
            assert client.facts(f"{served.url}/a") == {}
        else:
            with pytest.raises(http.client.HTTPException, match=f"the server answers {status[:3]}"):
                client.facts(f"{served.url}/a")
    with serving(lambda _: reply(b"", 'ETag: "1"')) as served:
        assert client.facts(f"{served.url}/a")["ETag"] == '"1"' and served.requests[0].method == "HEAD"


@pytest.mark.parametrize(("redirects", "accepted"), [(5, True), (6, False)])
def test_reading_an_address_follows_up_to_five_redirects(redirects: int, accepted: bool) -> None:
    def site(request: Request) -> Iterable[bytes]:
        number = int(request.path[1:])
        return reply(b"end") if number == redirects else reply(b"", f"Location: {number + 1}", status="302 Found")

    with serving(site) as served:
        if accepted:
            assert client.read(f"{served.url}/0", most=100) == b"end"
        else:
            with pytest.raises(http.client.HTTPException, match="redirects more than 5 times"):
                client.read(f"{served.url}/0", most=100)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Responses to requests, by address: the body, or the address of a redirect."""
    found: dict[str, Any] = {}

    def ask(method: str, url: str, most: int, headers: dict[str, str], end: float) -> client.Response:
        said = Message()
        if isinstance(found[url], bytes):
            return client.Response(url, 200, said, found[url])
        said["Location"] = found[url]
        return client.Response(url, 307, said, b"")

    monkeypatch.setattr(client, "_ask", ask)
    yield found


@pytest.mark.parametrize(
    ("start", "target", "accepted"),
    [
        ("https://a/x", "https://b/y", True),
        ("https://a/x", "http://localhost/y", False),
        ("http://localhost/x", "https://b/y", True),
        ("http://localhost/x", "http://127.0.0.1/y", True),
        ("http://localhost/x", "http://b/y", False),
        ("https://a/x", "https://b:99999/y", False),
        ("https://a/x", "", False),
    ],
)
def test_redirects_from_https_to_http_are_refused(
    answers: dict[str, Any], start: str, target: str, accepted: bool
) -> None:
    answers.update({target: b"end", start: target})
    if accepted:
        assert client.read(start, most=100) == b"end"
    else:
        with pytest.raises(http.client.HTTPException, match="redirects"):
            client.read(start, most=100)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://host/a", True),
        ("https://host:8443", True),
        ("http://localhost:80/a", True),
        ("http://[::1]/a", True),
        ("http://127.0.0.1/a", True),
        ("http://127.0.0.2/a", False),
        ("http://host/a", False),
        ("https:///a", False),
        ("https://host:x/a", False),
        ("ftp://localhost/a", False),
    ],
)
def test_only_https_and_addresses_of_this_machine_are_allowed(address: str, allowed: bool) -> None:
    assert client.is_allowed(address) is allowed


def test_folder_listing_returns_the_names_of_files_below_the_address() -> None:
    pages = {
        "/p/": listing("b/", "1.jpg", "./2.jpg", "3.jpg?size=2", "4.jpg#x", "b/", ".hidden/", ".5.jpg", "/p/6.jpg")
        + b"<A  class='x'\nHREF = '7%20x&amp;y.jpg'><a title='8.jpg'>",
        "/p/b/": listing("1.jpg", "../1.jpg", "/", "//"),
    }
    with serving(lambda request: reply(pages[request.path])) as served:
        assert client.listing(f"{served.url}/p") == [
            "1.jpg", "2.jpg", "3.jpg", "4.jpg", "6.jpg", "7%20x&y.jpg", "b/1.jpg"
        ]  # fmt: skip


def test_listing_skips_missing_subfolders_but_not_a_missing_folder() -> None:
    def site(request: Request) -> Iterable[bytes]:
        return reply(listing("gone/", "1.jpg")) if request.path == "/p/" else reply(status="404 Not Found")

    with serving(site) as served:
        assert client.listing(f"{served.url}/p") == ["1.jpg"]
        with pytest.raises(FileNotFoundError):
            client.listing(f"{served.url}/other")


@pytest.mark.parametrize(("depth", "accepted"), [(8, True), (9, False)])
def test_listing_is_limited_to_eight_levels_of_folders(depth: int, accepted: bool) -> None:
    def site(request: Request) -> Iterable[bytes]:
        return reply(listing("a/") if request.path.count("/") <= depth else listing("1.jpg"))

    with serving(site) as served:
        if accepted:
            assert client.listing(served.url) == ["a/" * depth + "1.jpg"]
        else:
            with pytest.raises(DatasetError, match="8 levels"):
                client.listing(served.url)


def persistent(bodies: list[bytes]) -> Callable[[Request], Iterable[bytes]]:
    return lambda request: reply(bodies.pop(0))


def test_path_and_query_are_percent_encoded() -> None:
    def sent(served: Served, path: str) -> str:
        client.read(f"{served.url}{path}", most=100)
        return served.requests[-1].path

    with serving(persistent([b"x"] * 3)) as served:
        assert sent(served, "") == "/" and sent(served, "/é a%20b&c/") == "/%C3%A9%20a%20b&c/"
        assert sent(served, "/a?b=c d") == "/a?b=c%20d"
        assert served.requests[-1].headers["accept-encoding"] == "identity"


def test_connection_with_an_unread_body_is_not_used_for_the_next_request() -> None:
    """The body of an error page arrives after its headers, and looks like a response to the next request."""
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
    refused, sent = threading.Event(), threading.Event()

    def answer(server: socket.socket) -> None:
        first, _ = server.accept()
        with first:
            first.recv(4096)
            first.sendall(f"HTTP/1.1 404 Not Found\r\nContent-Length: {len(page)}\r\n\r\n".encode())
            refused.wait(20)
            with contextlib.suppress(ConnectionError):
                first.sendall(page)
            sent.set()
            second, _ = server.accept()
            with second:
                second.recv(4096)
                second.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(FileNotFoundError):
            client.read(f"{address}/a", most=100)
        refused.set()
        assert sent.wait(20) and client.read(f"{address}/b", most=100) == b"end"


def test_connection_that_is_lost_before_the_end_of_the_body_is_reported() -> None:
    lost = pytest.raises(ConnectionError, match="the connection was lost before the end")
    with serving(lambda _: reply(b"abc", "Content-Length: 10")) as served, lost:
        client.read(f"{served.url}/a", most=100)


def test_server_that_sends_less_than_16_kib_per_second_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit is extended by a second for every 16 KiB: not for single bytes, but for large blocks."""
    monkeypatch.setattr(client, "SECONDS", 0.15)

    def slowly(block: bytes, count: int) -> Iterator[bytes]:
        yield reply(b"", f"Content-Length: {len(block) * count}")[0]
        for _ in range(count):
            time.sleep(0.05)
            yield block

    with serving(lambda request: slowly(b"x", 8) if request.path == "/a" else slowly(bytes(1 << 14), 6)) as served:
        with pytest.raises(TimeoutError, match="the server is too slow"):
            client.read(f"{served.url}/a", most=1 << 20)
        assert len(client.read(f"{served.url}/b", most=1 << 20)) == 6 << 14


def test_connections_of_a_parent_process_are_not_used_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(1)
            super().setup()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1")
            self.end_headers()
            self.wfile.write(b"x")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a"
        counts = []
        for process in (1, 1, 2, 2):
            monkeypatch.setattr("poets_edge.photos.http.os.getpid", lambda process=process: process)
            assert client.read(address, most=10) == b"x"
            counts.append(len(connections))
        server.shutdown()
    assert counts == [1, 1, 2, 2]


def _constant(answer: Iterable[bytes], request: Request) -> Iterable[bytes]:
    return answer


def test_response_body_without_a_content_length_is_limited_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_UNANNOUNCED", 20)
    for count, stated, accepted in ((20, False, True), (21, False, False), (21, True, True)):
        length = f"Content-Length: {count}\r\n" if stated else ""
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\n{length}\r\n".encode()
        answer = partial(_constant, (head, bytes(count)))
        with serving(answer) as served:
            if accepted:
                assert client.read(f"{served.url}/a", most=100) == bytes(count)
            else:
                with pytest.raises(OSError, match="larger than"):
                    client.read(f"{served.url}/a", most=100)


def test_size_limit_of_a_folder_listing_includes_the_paths_of_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, names = "x" * 100 + "/", ("1.jpg", "2.jpg", "3.jpg")
    pages = {"/": listing(folder), f"/{folder}": listing(*names)}
    bytes_of_pages = sum(map(len, pages.values()))
    with serving(lambda request: reply(pages[request.path])) as served:
        monkeypatch.setattr(client, "_MOST_LISTED", bytes_of_pages + 3 * len(folder))
        assert client.listing(served.url) == [folder + name for name in names]
        monkeypatch.setattr(client, "_MOST_LISTED", bytes_of_pages + 3 * len(folder) - 1)
        with pytest.raises(DatasetError, match="of listings below it"):
            client.listing(served.url)


def test_password_is_sent_only_to_its_server_and_in_the_authorization_header() -> None:
    with serving(lambda _: reply(b"x")) as served, serving(lambda _: reply(b"x")) as other:
        clean = split_user_info(served.url.replace("//", "//ann:pass%20word@") + "/a")
        assert clean == f"{served.url}/a"
        assert client.read(clean, most=10) == client.read(f"{other.url}/a", most=10) == b"x"
    assert served.requests[0].headers["authorization"] == "Basic " + base64.b64encode(b"ann:pass word").decode()
    assert not {"authorization", "proxy-authorization"} & other.requests[0].headers.keys()
