"""Web server with random faults in its responses. The number in the path of a request is the seed for these faults."""

from __future__ import annotations

import contextlib
import io
import itertools
import socketserver
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from random import Random
from urllib.parse import quote

from PIL import Image

from tools.fuzz import archives
from tools.fuzz.server import ROOT

_DRIP_SECONDS = 0.05
_NUMBERS = ("-1", "0", "5", "abc", "1e3", "9" * 30, "12000000000", " 7 ", "", "5, 6")
_STATUSES = (
    100,
    103,
    199,
    201,
    204,
    206,
    226,
    300,
    301,
    304,
    307,
    400,
    401,
    403,
    404,
    416,
    418,
    429,
    500,
    503,
    599,
    999,
)
_TARGETS = (
    "", "/", "//[", "https://", "http://example.org/", "file:///etc/passwd", "ftp://127.0.0.1/x", "javascript:1",
    "\x1b[2J", "http://127.0.0.1:1/", "?" * 5000,
)  # fmt: skip
_LINKS = (
    "../", "./", "/", "//host/1.png", "daisy/../../../etc/1.png", "%00.png", "%0a/1.png", "a%2f..%2fb/1.png",
    "\x1b[2J/1.png", "&#x2e;&#x2e;/1.png", "x" * 5000 + ".png", "[/1.png", "http://[::1/1.png", "\u2028/", "1.png?x#y",
    "again/",
)  # fmt: skip


@cache
def _photos() -> dict[str, bytes]:
    made = {}
    for label, blue in (("daisy", 30), ("roses", 220)):
        for index in range(2):
            file = io.BytesIO()
            Image.new("RGB", (40, 30), (40 + 90 * index, 200, blue)).save(file, "PNG")
            made[f"{label}/{index}.png"] = file.getvalue()
    return made


def _content(name: str, seed: int) -> bytes | None:
    """Return the content that a correct server sends for a path, or None if it has no content for the path."""
    photos = _photos()
    if name in photos:
        return photos[name]
    if name.endswith((".zip", ".tar")):
        if seed % 3 == 0:
            rng = Random(seed)
            return archives.make_archive(photos, rng)[1]
        file = io.BytesIO()
        if name.endswith(".zip"):
            with zipfile.ZipFile(file, "w") as zipped:
                for path, content in photos.items():
                    zipped.writestr(path, content)
        else:
            with tarfile.open(fileobj=file, mode="w") as tarred:
                for path, content in photos.items():
                    info = tarfile.TarInfo(path)
                    info.size = len(content)
                    tarred.addfile(info, io.BytesIO(content))
        return file.getvalue()
    folder = name.strip("/")
    if folder == "":
        return _page(["daisy/", "roses/"])
    names = [path.partition("/")[2] for path in photos if path.startswith(folder + "/")]
    return _page(names) if names else None


def _page(names: Iterable[str]) -> bytes:
    return "".join(f'<a href="{name}">{quote(name)}</a>\n' for name in names).encode("utf-8", "replace")


def _answer(method: str, path: str, headers: dict[str, str]) -> Iterator[bytes]:
    site, _, name = path.lstrip("/").partition("/")
    seed = int(site) if site.isdigit() else 0
    folder, _, name = name.partition("/")
    name = folder if folder.endswith((".zip", ".tar")) else name
    rng = Random(f"{seed} {method} {path} {headers.get('range')}")
    content = _content(name, seed)
    honest = Random(seed).random()  # faults of some sites occur at once, of others later
    if content is None:
        yield b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        return
    if rng.random() < honest:
        yield from _true(method, content, headers)
        return
    yield from _lie(method, name, content, headers, rng)


def _true(method: str, content: bytes, headers: dict[str, str]) -> Iterator[bytes]:
    status, body, more = "200 OK", content, ""
    wanted = headers.get("range", "").removeprefix("bytes=").split("-")
    if len(wanted) == 2 and all(part.isdigit() for part in wanted):
        first, last = int(wanted[0]), min(int(wanted[1]), len(content) - 1)
        status, body = "206 Partial Content", content[first : last + 1]
        more = f"Content-Range: bytes {first}-{last}/{len(content)}\r\n"
    length = len(content) if method == "HEAD" else len(body)
    yield f'HTTP/1.1 {status}\r\n{more}ETag: "{len(content)}"\r\nContent-Length: {length}\r\n\r\n'.encode()
    if method != "HEAD":
        yield body


def _lie(method: str, name: str, content: bytes, headers: dict[str, str], rng: Random) -> Iterator[bytes]:
    kind = rng.randrange(12)
    if kind == 0:
        yield f"HTTP/1.1 200 OK\r\nContent-Length: {rng.choice(_NUMBERS)}\r\n\r\n".encode() + content
    elif kind == 1:
        yield f"HTTP/1.1 {rng.choice(_STATUSES)} \x1b[2J\r\nLocation: {rng.choice(_TARGETS)}\r\n\r\n".encode() + content
    elif kind == 2:
        yield b"HTTP/1.1 302 Found\r\nLocation: again/\r\nContent-Length: 0\r\n\r\n"
    elif kind == 3:
        encoding = rng.choice(("gzip", "deflate", "br", "identity, gzip", "\xff"))
        yield f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n\r\n".encode("latin-1") + b"\x1f\x8b" + content
    elif kind == 4:
        yield rng.choice(
            (b"", b"\r\n", b"HTTP/9.9 200\r\n\r\n", rng.randbytes(2000), b"HTTP/1.1 abc\r\n\r\n", b"\0" * 70_000)
        )
    elif kind == 5:  # without an end
        start = rng.choice((b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        part = rng.choice(
            (bytes(1 << 18), b"X: y\r\n" * 9999, b"4000\r\n" + bytes(0x4000) + b"\r\n", _page(["1.png"] * 9999))
        )
        yield start
        yield from itertools.repeat(part)
    elif kind == 6:  # slow
        for byte in itertools.cycle(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + content):
            yield bytes([byte])
            time.sleep(_DRIP_SECONDS)
    elif kind == 7:
        chunk = rng.choice((b"zz", b"-5", b"ffffffffffffffff", b"5;" + b"x" * 70_000, b""))
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + b"\r\n" + content
    elif kind == 8:
        span = rng.choice(("bytes 5-9/3", "bytes */5", "x", f"bytes 0-{len(content)}/{1 << 70}", ""))
        yield f"HTTP/1.1 206 X\r\nContent-Range: {span}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
    elif kind == 9:
        date = rng.choice(("x", "Thu, 99 Foo 99999 99:99:99 GMT", "Thu, 01 Jan 1970 00:00:00 -9999", "\x1b[2J"))
        more = f"Last-Modified: {date}\r\nDate: {date}\r\nETag: {rng.choice(_LINKS)}"
        more += f"\r\nContent-Length: {rng.choice(_NUMBERS)}"
        yield f"HTTP/1.1 200 OK\r\n{more}\r\n\r\n".encode("utf-8", "replace") + content
    elif kind == 10:
        names = [rng.choice(_LINKS) for _ in range(rng.choice((1, 5, 3000)))]
        page = rng.choice((_page(names), b"<a " * 300_000, b"<a href='" * 100_000, rng.randbytes(5000)))
        yield b"HTTP/1.1 200 OK\r\n\r\n" + page
    else:
        cut = content[: rng.randrange(len(content) + 1)]
        yield f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode() + cut


class _Handler(socketserver.StreamRequestHandler):
    timeout = 30

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError, UnicodeError):
            first = self.rfile.readline(9999).decode("latin-1").split()
            lines = iter(lambda: self.rfile.readline(9999).strip().decode("latin-1"), "")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            for part in _answer(first[0], first[1].partition("?")[0], headers):
                self.wfile.write(part)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    block_on_close = False


@cache
def address() -> str:
    """Return the URL of the faulty web server, which is started by the first call.

    The server is a separate process, so that its memory is not attributed to the tested commands. It ends with this
    process.
    """
    command = [sys.executable, "-m", "tools.fuzz.web"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    return server.stdout.readline().strip()


def main() -> None:
    """Run the faulty web server until standard input is closed; print its URL first."""
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
