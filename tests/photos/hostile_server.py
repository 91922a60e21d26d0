"""Local web server that sends byte sequences defined by the test."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """HTTP request: method, path with query, and headers by lower-case name."""

    method: str
    path: str
    headers: dict[str, str]


Answer = Callable[[Request], Iterable[bytes]]


@dataclass
class Served:
    """Running server: its address, received requests, and number of sent bytes."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    sent: int = 0


def reply(body: bytes = b"", *headers: str, status: str = "200 OK") -> list[bytes]:
    """Return an HTTP response; its length is that of `body` unless `headers` contain `Content-Length`."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ["\r\n".join([*lines, "", ""]).encode("latin-1"), body]


def listing(*names: str) -> bytes:
    """Return an HTTP response with the HTML listing of a folder."""
    return "".join(f'<a href="{name}">{name}</a>\n' for name in names).encode()


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[Served]:
    """Context manager that serves a free loopback port and closes each connection after one response."""
    served = Served()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            first = self.rfile.readline().decode("latin-1").split()
            lines = iter(lambda: self.rfile.readline().strip().decode("latin-1"), "")
            pairs = (line.partition(":") for line in lines)
            if len(first) < 2:
                return
            request = Request(first[0], first[1], {name.lower(): value.strip() for name, _, value in pairs})
            served.requests.append(request)
            with contextlib.suppress(OSError):
                for part in answer(request):
                    self.wfile.write(part)
                    served.sent += len(part)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        served.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
