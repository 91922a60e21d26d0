"""HTTP server of a folder of static files, with the headers that WebAssembly threads and the camera need.

It is meant for trying a page out, on this machine or from a phone on the same network. A public page belongs on a
web server.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import socket
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Any

from poets_edge.errors import UsageError

LOOPBACK = "127.0.0.1"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tflite": "application/octet-stream",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}

_HEADERS = {
    # These three give the page shared memory, which threads need.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Browsers revalidate the file at each visit, so a new model is seen at once.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


class PageServer(http.server.ThreadingHTTPServer):
    """HTTP server of the files that are in a folder at the start.

    Use it in a `with` block; `serve_forever` runs until `shutdown`.
    """

    daemon_threads = True

    def __init__(self, folder: Path, host: str = LOOPBACK, port: int = 0, certificate: Path | None = None) -> None:
        """Bind to an address of this machine.

        Args:
            port: 0 for any that is free.
            certificate: a PEM file with key and certificate, for HTTPS.

        Raises:
            UsageError: the address is not one of this machine's, or the port is in use.
        """
        self.files = {f"/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()}
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"cannot serve on {host}, port {port}: {reason}. Another `port`? 0 finds one.") from None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The TLS handshake is made by the thread of the connection: a client that stalls must not block the others.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if certificate else 'http'}://{host}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of single connections: browsers close them early and refuse certificates."""

    def server_bind(self) -> None:
        """Bind without the reverse DNS lookup of the base class, which can take seconds."""
        socket_server_bind = super(http.server.HTTPServer, self).server_bind
        socket_server_bind()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "poets-edge"
    sys_version = ""
    timeout = 30  # seconds

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def _answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        # A lookup, not a path operation: no request can leave the folder.
        file = self.server.files.get("/index.html" if path == "/" else path)
        if file is None:
            return self._send(HTTPStatus.NOT_FOUND, b"Not found.\n", {"Content-Type": _TYPES[".txt"]}, with_body)
        headers = {**_HEADERS, "Content-Type": _TYPES.get(file.suffix, "application/octet-stream")}
        packed = self.server.files.get(f"{path}.gz" if path != "/" else "/index.html.gz")
        if packed is not None and "gzip" in self.headers.get("Accept-Encoding", ""):
            file = packed
            headers["Content-Encoding"] = "gzip"
        try:
            body = file.read_bytes()
        except OSError:
            return self._send(HTTPStatus.NOT_FOUND, b"Gone.\n", {"Content-Type": _TYPES[".txt"]}, with_body)
        headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if headers["ETag"] in self.headers.get("If-None-Match", ""):
            return self._send(HTTPStatus.NOT_MODIFIED, b"", headers, with_body=False)
        return self._send(HTTPStatus.OK, body, headers, with_body)

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)


def network_address() -> str:
    """Return the IP address of this machine on the local network. Raises UsageError: there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A documentation address (RFC 5737); connecting a datagram socket only looks up the route.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            raise UsageError("this computer is on no network. Name its address: `host`") from None
        return str(probe.getsockname()[0])
