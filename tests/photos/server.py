"""Local web server for files, with configurable faults."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Files:
    """Files, faults and received requests of the server.

    Attributes:
        content: contents of the files, by URL path, such as `/photos.tgz`.
        break_after: number of bytes sent before the connection is closed, for each request in turn; None for all bytes.
        ignore_range: whether to answer every request with the whole file.
        range_shift: number of bytes by which the range in the answer begins before the requested one, for each request
            with a range in turn.
        announce: Content-Length to send instead of the correct one.
        statuses: HTTP status codes to send instead of a file, for each request in turn.
        etag: ETag header to send; "" for none.
        requests: (path, Range header) of each request so far.
        conditions: If-Range header of each request so far.
    """

    content: dict[str, bytes] = field(default_factory=dict)
    break_after: list[int | None] = field(default_factory=list)
    ignore_range: bool = False
    range_shift: list[int] = field(default_factory=list)
    announce: int | None = None
    statuses: list[int] = field(default_factory=list)
    etag: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    conditions: list[str | None] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serving(files: Files) -> Iterator[Files]:
    """Context manager that serves `files` on a free loopback port and sets `files.url`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            files.requests.append((self.path, wanted))
            files.conditions.append(self.headers.get("If-Range"))
            if files.statuses:
                self.send_error(files.statuses.pop(0))
                return
            if self.path not in files.content:
                self.send_error(404)
                return
            body = files.content[self.path]
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and not files.ignore_range else 0
            if start >= len(body) > 0:
                self.send_error(416)
                return
            if start and files.range_shift:
                start -= files.range_shift.pop(0)
            self.send_response(206 if start else 200)
            if files.etag:
                self.send_header("ETag", files.etag)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(files.announce or len(body) - start))
            self.end_headers()
            stop = files.break_after.pop(0) if files.break_after else None
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[start:] if stop is None else body[start : start + stop])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    files.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
