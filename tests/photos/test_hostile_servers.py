"""Tests of photos on untrusted servers: limits of size, time and depth, passwords, and unreliable timestamps."""

from __future__ import annotations

import base64
import email.utils
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from poets_edge.bench.benchmark import BenchmarkOptions
from poets_edge.bench.remote.benchmark import benchmark_on
from poets_edge.bench.remote.deploy import remove
from poets_edge.core.credentials import VARIABLE, authorization, split_user_info, without_user_info
from poets_edge.core.orphans import helper_environment
from poets_edge.demo.draw import draw_photo
from poets_edge.device.watch.mqtt_options import MqttOptions
from poets_edge.device.watch.sources import open_camera
from poets_edge.errors import DatasetError, PhotoError, PoetsEdgeError, RemoteError
from poets_edge.photos.address import Address, photo_path
from poets_edge.photos.contents import contents_at
from poets_edge.photos.folder import scan
from poets_edge.photos.open_photo import read_contents
from poets_edge.training.cluster_address import check_cluster
from poets_edge.training.hashed_photos import hash_photos
from tests.conftest import poets_edge
from tests.photos.archive_files import FEW
from tests.photos.hostile_server import Answer, Request, Served, listing, reply, serving

PHOTO = draw_photo("daisy", 0)
SECRET = "gar/ten:4@8"
LONGER = 64 << 20 | 1
"""Size in bytes of a response that exceeds the limit for responses without a Content-Length header."""


def photo_site(request: Request) -> Iterable[bytes]:
    """Return the response of a site with two class folders that contain one photo each."""
    pages = {"/": listing("daisy/", "roses/"), "/daisy/": listing("1.jpg"), "/roses/": listing("1.jpg")}
    if request.path in pages:
        return reply(pages[request.path])
    if request.path.endswith(".jpg"):
        return reply(b"" if request.method == "HEAD" else PHOTO, f"Content-Length: {len(PHOTO)}", 'ETag: "1"')
    return reply(status="404 Not Found")


def with_password(request: Request) -> Iterable[bytes]:
    """Return the response of `photo_site` if the request has the correct user name and password."""
    wanted = "Basic " + base64.b64encode(f"anna:{SECRET}".encode()).decode()
    if request.headers.get("authorization") != wanted:
        return reply(status="401 Unauthorized")
    return photo_site(request)


def zeros(*headers: str) -> Iterator[bytes]:
    """Yield an endless response of zeros."""
    yield "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()
    yield from itertools.repeat(bytes(1 << 20))


def given(served: Served) -> str:
    """Return the server's address with user name and password."""
    return served.url.replace("://", "://anna:gar%2Ften:4%408@")


def test_scan_sends_the_password_in_an_address_to_its_server() -> None:
    with serving(with_password) as served:
        found = scan(photo_path(given(served)))
        assert [read_contents(photo) for photo in found.photos] == [PHOTO, PHOTO]
        assert str(found.photos[0].path) == f"{served.url}/daisy/1.jpg"


def test_train_does_not_write_the_password_to_files_or_output(tmp_path: Path) -> None:
    with serving(with_password) as served:
        for _ in range(2):
            ran = poets_edge("train", given(served), *FEW, cwd=tmp_path)
            poets_edge("export", "--image_dir", given(served), cwd=tmp_path)
            written = [path for path in tmp_path.rglob("*") if path.is_file()]
            texts = [ran.stdout.encode(), ran.stderr.encode(), *(path.read_bytes() for path in written)]
            assert not any(secret in text for text in texts for secret in (b"gar/ten", b"gar%2Ften", b"anna"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "https://anna:secret@127.0.0.1:9/photos"),
        ("train", "https://anna:secret@127.0.0.1:99999/photos"),
        ("train", "ftp://anna:secret@host/photos"),
        ("train", "http://anna:secret@host.invalid/photos.zip"),
        ("train", "s3://anna:secret@bucket/photos.zip"),
        ("train", "https://anna:secret@host/a", "https://anna:secret@host/b"),
        ("train", "photos", "--output_graph", "https://anna:secret@host/x.pb"),
        ("label", "model.tflite", "https://anna:secret@host/x.jpg"),
        ("evaluate", "https://anna:secret@host/model.tflite", "photos"),
        ("benchmark", "https://anna:secret@host/model.tflite"),
        ("evaluate", "model.tflite", "https://anna:a/secret@127.0.0.1:9/photos"),
        ("evaluate", "model.tflite", "https://anna:a?secret@127.0.0.1:9/photos"),
        ("evaluate", "model.tflite", "https://anna:a#secret@127.0.0.1:9/photos"),
        ("evaluate", "model.tflite", "https://anna:a\\secret@127.0.0.1:9/photos"),
        ("evaluate", "model.tflite", "https://anna:a secret@127.0.0.1:9/photos"),
        ("evaluate", "model.tflite", "HTTPS://anna:secret@127.0.0.1:9/photos"),
        ("label", "HTTPS://anna:secret@host/model.tflite", "photo.jpg"),
        ("inspect", "s3://anna:secret@host/model.tflite"),
        ("train", "photos", "--exclude", "gs://anna:secret@host/list.json"),
        ("train", "photos", "--weights", "https://anna:secret@host/weights.h5"),
        ("train", "photos", "--cluster", "tls://anna:secret@127.0.0.1:9"),
        ("train", "photos", "--cluster", "tcp://anna:secret@10.0.0.1:9"),
        ("watch", "model.tflite", "--camera", "rtsp://anna:secret@127.0.0.1:9/video"),
        ("watch", "model.tflite", "--source", "rtsp://anna:secret@127.0.0.1:9/video"),
        ("benchmark", "model.tflite", "--on", "ssh://anna:secret@host"),
        ("deploy", "model.tflite", "--on", "anna:secret@host"),
        ("train", "https:///anna:secret@host/photos"),
    ],
)
def test_error_messages_do_not_contain_the_password(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ran = poets_edge(*arguments, cwd=tmp_path)
    assert ran.status and "secret" not in ran.stdout + ran.stderr and "anna" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("host", ["anna:my secret@host", "anna:sec@ret secret@host", "anna:secret@host"])
@pytest.mark.parametrize("scheme", ["", "x://"])
def test_errors_about_hosts_do_not_contain_the_password(host: str, scheme: str, tmp_path: Path) -> None:
    refused: list[Callable[[str], object]] = [
        lambda host: remove(host),
        lambda host: benchmark_on(BenchmarkOptions(models=(tmp_path,)), [host, host]),
        lambda host: check_cluster(f"{host}:9", insecure=False),
        lambda host: MqttOptions(broker=host),
        lambda host: open_camera(f"rtsp://{host}/video"),
    ]
    for call in refused:
        with pytest.raises(PoetsEdgeError) as error:
            call(scheme + host)
        assert "secret" not in str(error.value) and "anna" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://anna:secret@host/a@2x/b", "https://host/a@2x/b"),
        ("https://host/a@2x", "https://host/a@2x"),
        ("https://host:8443/a@2x", "https://host:8443/a@2x"),
        ("https://[::1]:8443/a@2x", "https://[::1]:8443/a@2x"),
        ("https://anna:a/se@cret@host/x", "https://host/x"),
        ("no https:/anna:secret@host/x: ask anna@example.org", "no https:/host/x: ask anna@example.org"),
        ("C:/anna@home/x", "C:/anna@home/x"),
        ("a" * 100_000 + "@", "a" * 100_000 + "@"),
        ("https://" + ":" * 50_000 + "/ @", "https://" + ":" * 50_000 + "/ @"),
        ("ab:/x:y" * 10_000 + " @", "ab:/x:y" * 10_000 + " @"),
    ],
)
def test_only_user_names_and_passwords_are_removed_from_addresses(text: str, clean: str) -> None:
    start = time.monotonic()
    assert without_user_info(text) == clean
    assert time.monotonic() - start < 2


def test_password_with_a_backslash_is_sent_to_the_server() -> None:
    assert split_user_info("https://anna:a\\b@backslash.example/x") == "https://backslash.example/x"
    assert authorization("https://backslash.example/") == "Basic " + base64.b64encode(b"anna:a\\b").decode()


@pytest.mark.parametrize("address", ["s3://bucket::file:///etc", "gs://a::reference://b"])
def test_scan_refuses_chained_protocols(address: str) -> None:
    with pytest.raises(DatasetError, match="no kind of address"):
        scan(photo_path(address))


def test_total_length_of_names_in_a_folder_listing_is_limited() -> None:
    """Listed names begin with their folder, so links in folders with long names need more memory than the pages."""
    page = b"".join(b'<a href="%x">' % number for number in range(20_000))

    def answer(request: Request) -> Iterable[bytes]:
        depth = request.path.count("/") - 1
        return reply(listing("x" * 4000 + "/") if depth < 3 else page)

    with serving(answer) as served, pytest.raises(DatasetError, match="MB of listings"):
        scan(photo_path(served.url))


def test_redirection_to_another_server_omits_the_password() -> None:
    with serving(photo_site) as other:

        def redirecting(request: Request) -> Iterable[bytes]:
            return reply(b"", f"Location: {other.url}{request.path}", status="302 Found")

        with serving(redirecting) as served:
            assert len(scan(photo_path(given(served))).photos) == 2
            assert all("authorization" in request.headers for request in served.requests)
    assert other.requests and not any("authorization" in request.headers for request in other.requests)


def test_helper_process_receives_the_password_and_hides_it_from_its_child_processes() -> None:
    with serving(with_password) as served:
        Address(given(served))
        code = (
            "import os; from poets_edge.core.credentials import authorization;"
            f"print(authorization({served.url!r}), {VARIABLE!r} in os.environ)"
        )
        ended = subprocess.run(
            [sys.executable, "-c", code], env=helper_environment(), capture_output=True, text=True, check=True
        )
    assert ended.stdout.split() == ["Basic", base64.b64encode(f"anna:{SECRET}".encode()).decode(), "False"]


def test_folder_listing_ignores_links_that_lead_outside_its_address() -> None:
    page = listing("daisy/", "/other/x/1.jpg", "http://127.0.0.1:9/a/1.jpg", "../up/1.jpg", "daisy/../../x/1.jpg")
    pages = {"/photos/": page, "/photos/daisy/": listing("1.jpg", "1.jpg?size=2", "../roses/1.jpg", "//host/1.jpg")}

    def site(request: Request) -> Iterable[bytes]:
        return reply(pages[request.path]) if request.path in pages else reply(status="404 Not Found")

    with serving(site) as served:
        assert [photo.name for photo in scan(photo_path(f"{served.url}/photos")).photos] == ["daisy/1.jpg"]
        assert {request.path for request in served.requests} == set(pages)


ENDLESS: dict[str, tuple[Answer, str]] = {
    "without a length": (lambda _: zeros(), "larger than 67 MB"),
    "in chunks": (
        lambda _: itertools.chain(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
            itertools.repeat(b"100000\r\n" + bytes(1 << 20) + b"\r\n"),
        ),
        "larger than 67 MB",
    ),
    "of 12 GB": (lambda _: zeros("Content-Length: 12000000000"), "larger than 268 MB"),
    "longer than announced": (lambda _: zeros("Content-Length: 5"), ""),
    "headers": (
        lambda _: itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X: y\r\n" * 1000)),
        "more than 100 headers",
    ),
    "header line": (
        lambda _: itertools.chain([b"HTTP/1.1 200 OK\r\nX: "], itertools.repeat(b"y" * 1000)),
        "header line",
    ),
    "provisional answers": (lambda _: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), "more than was"),
    "in tiny chunks": (
        lambda _: itertools.chain(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"], itertools.repeat(b"1\r\na\r\n" * 1000)
        ),
        "more than was",
    ),
    "trailers": (
        lambda _: itertools.chain(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"], itertools.repeat(b"A: b\r\n" * 1000)
        ),
        "more than was",
    ),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_reading_from_a_server_stops_at_a_size_limit_if_the_response_never_ends(case: str) -> None:
    answer, told = ENDLESS[case]

    def photo(request: Request) -> Iterable[bytes]:
        return reply(b"", 'ETag: "1"', "Content-Length: 5") if request.method == "HEAD" else answer(request)

    with serving(photo) as served:
        path = photo_path(f"{served.url}/1.jpg")
        if told:
            with pytest.raises((PhotoError, RemoteError), match=told):
                contents_at(path)
        else:
            assert contents_at(path) == bytes(5)
        assert served.sent < (32 << 20 if case in ("in tiny chunks", "trailers") else 2 * LONGER)


def test_compressed_responses_are_rejected() -> None:
    import gzip

    bomb = gzip.compress(bytes(1 << 20))
    with (
        serving(lambda _: reply(bomb, "Content-Encoding: gzip")) as served,
        pytest.raises(RemoteError, match="compressed"),
    ):
        contents_at(photo_path(f"{served.url}/1.jpg"))


def test_incomplete_response_is_rejected() -> None:
    with (
        serving(lambda _: reply(PHOTO[:100], f"Content-Length: {len(PHOTO)}")) as served,
        pytest.raises(RemoteError, match="was lost"),
    ):
        contents_at(photo_path(f"{served.url}/1.jpg"))


def test_reading_from_a_slow_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poets_edge.photos.http.SECONDS", 0.5)

    def drip(_: Request) -> Iterator[bytes]:
        for byte in itertools.cycle(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000)):
            yield bytes([byte])
            time.sleep(0.05)

    start = time.monotonic()
    with serving(drip) as served, pytest.raises(RemoteError, match="too slow"):
        contents_at(photo_path(f"{served.url}/1.jpg"))
    assert time.monotonic() - start < 5


def test_listing_with_too_many_folders_is_rejected_before_any_of_them_is_read() -> None:
    page = listing(*(f"{number}/" for number in range(20_000)))
    with serving(lambda _: reply(page)) as served, pytest.raises(DatasetError, match="10,000 folders"):
        scan(photo_path(f"{served.url}/photos"))
    assert len(served.requests) == 1


@pytest.mark.parametrize("case", ["one page", "folder that links to itself", "ever new folders"])
def test_scan_rejects_endless_listings(case: str) -> None:
    numbers = itertools.count()

    def site(_: Request) -> Iterable[bytes]:
        if case == "one page":
            yield b"HTTP/1.1 200 OK\r\n\r\n"
            for number in numbers:
                yield listing(*(f"{number}-{inner}.jpg" for inner in range(10_000)))
        elif case == "folder that links to itself":
            yield from reply(listing("again/", "1.jpg"))
        else:
            yield from reply(listing(*(f"{next(numbers)}/" for _ in range(100))))

    with serving(site) as served, pytest.raises(PoetsEdgeError, match="listing") as raised:
        scan(photo_path(f"{served.url}/photos"))
    assert len(str(raised.value)) < 300 and served.sent < 2 * LONGER


def test_redirects_are_limited_to_https_and_localhost() -> None:
    targets = ["http://example.org/", "file:///etc/passwd", "ftp://127.0.0.1/", "https://", "//[", "/again"]
    for target in targets:
        with (
            serving(lambda _, target=target: reply(b"", f"Location: {target}", status="302 Found")) as served,  # type: ignore[misc]
            pytest.raises(RemoteError, match="redirects"),
        ):
            contents_at(photo_path(f"{served.url}/1.jpg"))


def test_error_messages_escape_control_characters_sent_by_the_server() -> None:
    with (
        serving(lambda _: [b"\x1b[2J\x1b[31m" * 2000 + b"\r\n\r\n"]) as served,
        pytest.raises(RemoteError) as raised,
    ):
        contents_at(photo_path(f"{served.url}/1.jpg"))
    assert "\x1b" not in str(raised.value) and len(str(raised.value)) < 400


def test_scan_rejects_an_archive_whose_declared_size_is_false() -> None:
    """The server declares 12 GB and sends an endless sequence of tar headers."""
    import io
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in range(4096):
            archive.addfile(tarfile.TarInfo(f"daisy/{number}.jpg"))
    block = file.getvalue()[: 4096 * 512]

    def site(request: Request) -> Iterable[bytes]:
        headers = ["Content-Length: 12000000000", 'ETag: "1"', "Accept-Ranges: bytes"]
        if request.method == "HEAD":
            return reply(b"", *headers)
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        body = bytearray((block * ((last - first) // len(block) + 2))[first % len(block) :][: last - first + 1])
        return reply(bytes(body), f"Content-Range: bytes {first}-{last}/12000000000", status="206 Partial Content")

    with serving(site) as served, pytest.raises(DatasetError, match="is in it twice"):
        scan(photo_path(f"{served.url}/photos.tar"))


class Stamped:
    """Server of one photo that sends Last-Modified in whole seconds and no ETag, like `python -m http.server`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, request: Request) -> Iterable[bytes]:
        if not request.path.endswith(".jpg"):
            return reply(listing("1.jpg") if request.path.endswith("daisy/") else listing("daisy/"))
        content, changed = self.path.read_bytes(), self.path.stat().st_mtime
        times = [f"{name}: {email.utils.formatdate(at, usegmt=True)}" for name, at in self.times(changed)]
        return reply(b"" if request.method == "HEAD" else content, f"Content-Length: {len(content)}", *times)

    def times(self, changed: float) -> list[tuple[str, float]]:
        return [("Last-Modified", changed), ("Date", time.time())]


def digest_of(folder: str, cache: Path) -> bytes:
    hashed = hash_photos(scan(photo_path(folder)).photos, cache)
    return bytes(hashed.digests[0].tobytes())


@pytest.mark.parametrize("skew", [0.0, -3600.0])
def test_photo_that_is_rewritten_within_one_second_is_detected_as_changed(tmp_path: Path, skew: float) -> None:
    photo, cache = tmp_path / "1.jpg", tmp_path / "bottlenecks"

    class Skewed(Stamped):
        """Server whose clock is behind that of the client."""

        def times(self, changed: float) -> list[tuple[str, float]]:
            return [(name, at + skew) for name, at in super().times(changed)]

    with serving(Skewed(photo)) as served:
        photo.write_bytes(b"first")
        before = photo.stat()
        first = digest_of(served.url, cache)
        photo.write_bytes(b"other")
        os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))  # the same second, as the server counts
        assert digest_of(served.url, cache) != first


def test_unchanged_photo_at_an_address_is_downloaded_only_once(tmp_path: Path) -> None:
    photo, cache = tmp_path / "1.jpg", tmp_path / "bottlenecks"
    photo.write_bytes(b"first")
    os.utime(photo, (1_000_000_000, 1_000_000_000))
    with serving(Stamped(photo)) as served:
        first = digest_of(served.url, cache)
        assert digest_of(served.url, cache) == first
        assert sum(request.method == "GET" and request.path.endswith(".jpg") for request in served.requests) == 1
