"""Read-only server for the static files of a web page, with the HTTP headers that threads in the browser require.

The server is intended for testing a page on this computer or on a phone in the local network; a permanent page requires
a regular web server.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import re
import shutil
import socket
import ssl
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

from poets_edge.errors import UsageError

LOOPBACK = "127.0.0.1"
_BLOCK = 1 << 16
_HOST = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,252})|[0-9A-Fa-f:.]{2,45}(?:%[0-9A-Za-z]{1,15})?", re.ASCII)
"""Pattern that matches an IPv4 address, an IPv6 address or a host name."""

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tflite": "application/octet-stream",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}

_HEADERS = {
    # These headers enable shared memory, which threads require.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Cached files are revalidated on each request, so that a new model is used immediately.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


def check_host(host: str) -> str:
    """Return the host unchanged. Raises UsageError if it is neither an IP address nor an ASCII host name."""
    if not _HOST.fullmatch(host):
        raise UsageError(f"`host` {host!r} is neither an IP address nor a name of this computer, such as {LOOPBACK}.")
    return host


class PageServer(http.server.ThreadingHTTPServer):
    """HTTP server for the files of a web page, to be used in a `with` block. `shutdown` ends `serve_forever`."""

    daemon_threads = True
    request_queue_size = 1024  # maximum number of pending connections; the default of 5 is too small for a school class

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        host: str = LOOPBACK,
        port: int = 0,
        certificate: Path | None = None,
    ) -> None:
        """Bind the server to an address of this machine.

        Args:
            folder: folder that contains the page.
            names: paths of the files to serve, relative to the folder, with `/` as separator.
            host: address of this machine.
            port: port number; 0 selects a free port.
            certificate: PEM file with a private key and a certificate, for HTTPS; by default HTTP is used.

        Raises:
            UsageError: the address does not belong to this machine, the port is in use, or the certificate cannot be
                used.
        """
        check_host(host)
        self.files = {f"/{name}": folder / name for name in names}
        self._etags: dict[tuple[int, int, int], str] = {}
        context = None if certificate is None else _tls_context(certificate)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError, UnicodeError) as error:  # a label of a name may be too long
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"cannot serve on {host}, port {port}: {reason}. Choose another `port`; 0 selects a free one."
            ) from None
        if context is not None:
            # Each connection performs its TLS handshake in its own thread, so that a stalled one does not block others.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if certificate else 'http'}://{host}:{self.server_port}/"

    def etag(self, file: BinaryIO) -> str:
        """Return the entity tag of an open file: a digest of its content, which is cached until the file changes."""
        status = os.fstat(file.fileno())
        version = (status.st_ino, status.st_size, status.st_mtime_ns)
        if version not in self._etags:
            digest = hashlib.sha256()
            while block := file.read(_BLOCK):
                digest.update(block)
            file.seek(0)
            self._etags[version] = f'"{digest.hexdigest()[:32]}"'
        return self._etags[version]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore an error in a request: browsers may close a connection, for example to reject a certificate."""

    def server_bind(self) -> None:
        """Bind the socket without a reverse DNS lookup, which can take seconds."""
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
        """Discard log messages."""

    def _answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        path = "/index.html" if path == "/" else path
        # The path is looked up and not joined to the folder, so a request cannot read other files.
        file = self.server.files.get(path)
        if file is None:
            self._send_text(HTTPStatus.NOT_FOUND, b"Not found.\n", with_body)
            return
        headers = {**_HEADERS, "Content-Type": _TYPES.get(file.suffix, "application/octet-stream")}
        packed = self.server.files.get(f"{path}.gz")
        if packed is not None and "gzip" in self.headers.get("Accept-Encoding", ""):
            file = packed
            headers["Content-Encoding"] = "gzip"
        try:
            content = file.open("rb")
        except OSError:
            self._send_text(HTTPStatus.NOT_FOUND, b"Gone.\n", with_body)
            return
        with content:
            self._send_content(content, headers, with_body)

    def _send_content(self, content: BinaryIO, headers: dict[str, str], with_body: bool) -> None:
        headers["ETag"] = self.server.etag(content)
        if headers["ETag"] in self.headers.get("If-None-Match", ""):
            self._send_head(HTTPStatus.NOT_MODIFIED, headers)
            return
        headers["Content-Length"] = str(os.fstat(content.fileno()).st_size)
        self._send_head(HTTPStatus.OK, headers)
        if with_body:
            with contextlib.suppress(ConnectionError):
                shutil.copyfileobj(content, self.wfile, _BLOCK)

    def _send_text(self, status: HTTPStatus, body: bytes, with_body: bool) -> None:
        self._send_head(status, {"Content-Type": _TYPES[".txt"], "Content-Length": str(len(body))})
        if with_body:
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    def _send_head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _tls_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or error
        raise UsageError(
            f"{certificate}: not a certificate with its key ({reason}). Remove the file, and the next run"
            " creates a new one."
        ) from None
    return context


def network_address() -> str:
    """Return the IPv4 address of this machine in its network. Raises UsageError if there is no network connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A reserved address (RFC 5737); connecting a datagram socket sends nothing, it only selects the route.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            raise UsageError(
                "this computer has no address on a network. Name the address to serve on: `host`"
            ) from None
        return str(probe.getsockname()[0])
