"""A web server on this machine whose answers a test writes byte by byte."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """A request: its method, its path with the query, and its headers by lower-case name."""

    method: str
    path: str
    headers: dict[str, str]


Answer = Callable[[Request], Iterable[bytes]]


@dataclass
class Served:
    """The server's address, the requests so far, and the bytes that it has sent."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    sent: int = 0


def reply(body: bytes = b"", *headers: str, status: str = "200 OK") -> list[bytes]:
    """Return an answer with a length, or with the `Content-Length` among `headers`."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ["\r\n".join([*lines, "", ""]).encode("latin-1"), body]


def listing(*names: str) -> bytes:
    """Return the page of a folder."""
    return "".join(f'<a href="{name}">{name}</a>\n' for name in names).encode()


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[Served]:
    """Answer requests on a free port of the loopback address; each connection is closed after one answer."""
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
