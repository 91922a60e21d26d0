"""Tests of `poets-edge web`: the written folder, and the server. Tests of the page are in tests/web."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from poets_edge.errors import UsageError
from poets_edge.exporting.certificate import certificate_for
from poets_edge.exporting.serving import PageServer, _Handler, check_host
from poets_edge.exporting.web import PAGE, RUNTIME_ARCHIVE, write_page
from poets_edge.tflite.write_metadata import ModelInfo, with_files, with_metadata
from tests.conftest import ROOT, poets_edge
from tests.needs import missing
from tests.web.conftest import serving

_PROBE = ROOT / "poets_edge/tflite/probe.tflite"


def _tiny_classifier(path: Path, labels: int = 256) -> Path:
    """Write a tiny classifier with 256 classes, which is a single convolution; return its path."""
    card = ModelInfo("tiny", "for tests", tuple(f"label {number}" for number in range(labels)))
    path.write_bytes(with_files(with_metadata(_PROBE.read_bytes(), card), card, {}))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _tiny_classifier(tmp_path_factory.mktemp("model") / "tiny.tflite")


@pytest.fixture(scope="module")
def site(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "site"
    poets_edge("web", model, "--output", folder).ok()
    return folder


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[PageServer]:
    with serving(site) as running:
        yield running


def test_web_writes_a_folder_of_static_files(model: Path, site: Path) -> None:
    assert (site / "model.tflite").read_bytes() == model.read_bytes()
    for path in site.rglob("*.gz"):
        assert gzip.decompress(path.read_bytes()) == path.with_suffix("").read_bytes()
    assert {path.suffix for path in (site / "runtime").iterdir()} == {".js", ".wasm", ".gz"}
    kept = json.loads(re.match(rb"const SITE=(.*);", (site / "service-worker.js").read_bytes())[1])["files"]  # type: ignore[index]
    others = {"service-worker.js", ".poets-edge.json"}
    assert {
        path.relative_to(site).as_posix() for path in site.rglob("*") if path.suffix != ".gz" and path.is_file()
    } == (set(kept) | others)
    assert (
        "Apache License" in (site / "LICENSES.txt").read_text() and "MIT License" in (site / "LICENSES.txt").read_text()
    )


def test_web_page_files_except_the_service_worker_do_not_depend_on_the_model(model: Path, site: Path) -> None:
    for path in PAGE.iterdir():
        written = (site / path.name).read_bytes()
        assert written == path.read_bytes() or path.name == "service-worker.js"


def test_web_title_option_sets_the_title_of_the_page_and_of_the_app(model: Path, tmp_path: Path) -> None:
    title = "Rosen & <Nelken> \\1"
    poets_edge("web", model, "--output-dir", tmp_path / "site", "--title", title).ok()
    page = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert page.count("Rosen &amp; &lt;Nelken&gt; \\1") == 2 and "What is this?" not in page
    manifest = json.loads((tmp_path / "site/manifest.webmanifest").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["short_name"], manifest["display"]) == (title, title, "standalone")
    for bad in (" ", "two\nlines"):
        poets_edge("web", model, "--output-dir", tmp_path / "none", "--title", bad).failed("--title")
    assert not (tmp_path / "none").exists()


def test_web_command_prints_the_download_size_of_the_page(model: Path, tmp_path: Path) -> None:
    ran = poets_edge("web", model, cwd=tmp_path).ok()
    assert ran.stdout.startswith("site  8 x 8 float32, 256 labels. A first visit fetches 2.9 MB")
    found = json.loads(poets_edge("web", model, "--json", cwd=tmp_path).ok().stdout)  # again, over the first
    assert found["page_transfer"] < 3.5e6 and len(found["labels"]) == 256


@pytest.mark.skipif(os.name == "nt", reason="of POSIX signals")
@pytest.mark.parametrize("number", [1, 9])  # before the renames are noted; in the midst of them
def test_web_completes_a_page_that_a_killed_run_left_incomplete(
    number: int, model: Path, site: Path, tmp_path: Path
) -> None:
    from tools.crash.points import Point, environment

    line = [sys.executable, "-m", "poets_edge", "web", str(model), "--output", "begun"]
    killed = subprocess.run(
        line, cwd=tmp_path, env=environment(tmp_path, Point(tmp_path / "points", number)), start_new_session=True
    )
    assert killed.returncode == -signal.SIGKILL and any((tmp_path / "begun").iterdir())
    poets_edge("web", model, "--output", "begun", cwd=tmp_path).ok()
    left = {
        path.relative_to(tmp_path / "begun"): path.read_bytes()
        for path in (tmp_path / "begun").rglob("*.*")
        if path.is_file()
    }
    assert left == {path.relative_to(site): path.read_bytes() for path in site.rglob("*.*") if path.is_file()}


def test_web_never_overwrites_files_that_it_did_not_write(model: Path, site: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    poets_edge("web", model, "--output", tmp_path).failed(str(tmp_path), "it already contains something")
    assert (tmp_path / "index.html").read_text() == "mine"
    (site / "CNAME").write_text("example.org")
    poets_edge("web", model, "--output", site).ok()
    assert (site / "CNAME").read_text() == "example.org"


def test_web_refuses_unsupported_models(tmp_path: Path) -> None:
    unlabeled = tmp_path / "unlabeled.tflite"
    shutil.copy(_PROBE, unlabeled)
    wrong = _tiny_classifier(tmp_path / "wrong.tflite", labels=3)
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(wrong.read_bytes()[:300])
    for path, fragment in (
        (unlabeled, "8 x 8 x 4 values"),
        (wrong, "256 outputs"),
        (cut, "damaged"),
        (tmp_path / "no", "no"),
    ):
        poets_edge("web", path, "--output", tmp_path / "site").failed(path.name, fragment)
    assert not (tmp_path / "site").exists()


def _get(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_server_sends_the_headers_that_browsers_require_for_threads(server: PageServer, site: Path) -> None:
    status, headers, body = _get(server, "/")
    assert (status, body) == (200, (site / "index.html").read_bytes())
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Cache-Control"] == "no-cache"
    name = "/runtime/litert_wasm_internal.wasm"
    status, headers, body = _get(server, name, Accept_Encoding="gzip, br")
    assert (headers["Content-Type"], headers["Content-Encoding"]) == ("application/wasm", "gzip")
    assert len(body) < 3e6 and gzip.decompress(body) == (site / name[1:]).read_bytes()
    assert _get(server, name, Accept_Encoding="gzip", If_None_Match=headers["ETag"])[0] == 304
    status, headers, body = _get(server, "/app.js?x=1", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str((site / "app.js").stat().st_size))


@pytest.mark.parametrize(
    "path", ["/../model.tflite", "//etc/passwd", "/%2e%2e/x", "/runtime/", "/.git/config", "/x\\..\\y"]
)
def test_server_refuses_paths_outside_the_folder(server: PageServer, path: str) -> None:
    assert _get(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_server_refuses_methods_other_than_get(server: PageServer, method: str) -> None:
    assert _get(server, "/index.html", method)[0] == 501


def test_web_server_reports_a_port_in_use_in_one_line(server: PageServer, model: Path) -> None:
    ran = poets_edge("web", model, "--serve", "--port", str(server.server_port))
    ran.failed("cannot serve on 127.0.0.1", str(server.server_port), "--port")


def test_certificate_for_a_local_address_is_created_and_reused(site: Path, tmp_path: Path) -> None:
    certificate = certificate_for("127.0.0.1", tmp_path / "settings")
    if os.name == "posix":
        assert certificate.stat().st_mode & 0o077 == 0  # the key is in it
    assert certificate_for("127.0.0.1", tmp_path / "settings").read_bytes() == certificate.read_bytes()
    other = tmp_path / "settings/.web-127.0.0.1.pem.0123abcd.poets_edge.tmp"  # of one that was killed
    other.write_bytes(certificate.read_bytes()[:100])
    certificate.write_bytes(b"")
    certificate = certificate_for("127.0.0.1", tmp_path / "settings")
    assert [path.name for path in certificate.parent.iterdir()] == [certificate.name]
    assert certificate.stat().st_mode & 0o077 == 0
    trusting = ssl.create_default_context(cafile=str(certificate))
    with serving(site, certificate=certificate) as server:
        with urllib.request.urlopen(server.url, context=trusting, timeout=10) as response:
            assert response.status == 200
        with pytest.raises(urllib.error.URLError, match="mismatch"):
            urllib.request.urlopen(server.url.replace("127.0.0.1", "localhost"), context=trusting, timeout=10)


def test_certificate_with_a_damaged_or_exposed_key_is_replaced(tmp_path: Path) -> None:
    path = certificate_for("127.0.0.1", tmp_path)
    good = path.read_bytes()
    key, separator, rest = good.partition(b"-----END PRIVATE KEY-----")
    other = certificate_for("127.0.0.2", tmp_path).read_bytes()
    for content in (key[:-40] + separator + rest, rest, other.partition(separator)[0] + separator + rest):
        path.write_bytes(content)
        replaced = certificate_for("127.0.0.1", tmp_path).read_bytes()
        assert replaced != content
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    assert certificate_for("127.0.0.1", tmp_path).read_bytes() == replaced, "an undamaged one is used again"
    if os.name == "posix":
        path.chmod(0o644)
        assert certificate_for("127.0.0.1", tmp_path).read_bytes() != replaced
        assert path.stat().st_mode & 0o077 == 0


def test_server_serves_only_the_files_of_the_page(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    (tmp_path / "secret.txt").write_text("secret")
    page = write_page(model, folder)
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("secret")
    (folder / ".env").write_text("secret")
    if os.name == "posix":
        (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with PageServer(folder, page.files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert {_get(server, f"/{name}")[0] for name in page.files} == {200}
        for name in ("/.env", "/.git/config", "/link.txt", "/.git/", "/runtime", "/secret.txt"):
            assert _get(server, name)[0] == 404, name
        server.shutdown()


def test_server_closes_a_connection_that_sends_nothing(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _Handler.timeout == 30
    monkeypatch.setattr(_Handler, "timeout", 0.1)
    for sent in (b"", b"GET /app.js HTTP/1.1\r\nHost: x\r\n"):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
            connection.sendall(sent)
            assert connection.recv(1) == b""


def test_server_answers_many_clients_at_once(server: PageServer) -> None:
    clients, seconds = 300, 2.0
    start, barrier = [0.0], threading.Barrier(clients, action=lambda: start.__setitem__(0, time.monotonic()))

    def ask(number: int) -> tuple[int, float]:
        barrier.wait()
        return _get(server, "/app.js")[0], time.monotonic()

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(ask, range(clients)))
    assert {status for status, _ in answers} == {200}
    assert sorted(end for _, end in answers)[199] - start[0] < seconds


@pytest.mark.parametrize(
    "host", ["ex\xe4mple", "../../x", "a/b", "a\nb", "[::1]", " ", "", "a" * 254, "\udcff", "*", "https://x"]
)
def test_text_that_is_neither_an_address_nor_a_name_is_rejected_as_host(host: str) -> None:
    with pytest.raises(UsageError, match="`host`"):
        check_host(host)
    with pytest.raises(UsageError, match="`host`"):
        PageServer(Path(), [], host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0", "localhost", "pi-2.local", "192.168.0.20"])
def test_addresses_and_names_are_accepted_as_hosts(host: str) -> None:
    assert check_host(host) == host


def test_web_server_prints_its_address_and_qr_code_and_runs_until_it_is_stopped(model: Path) -> None:
    command = [
        sys.executable,
        "-u",
        "-m",
        "poets_edge",
        "web",
        str(model),
        "--phone",
        "--host",
        "127.0.0.2",
        "--port",
        "0",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.2:")
        code = [process.stdout.readline() for _ in range(8)]
        assert all("\u2580" in line or "\u2584" in line or "\u2588" in line for line in code[1:])
        with urllib.request.urlopen(url, timeout=10) as response:
            assert b"What is this?" in response.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert "--https" in process.stderr.read()


def test_packaged_pages_are_built_from_their_sources(tmp_path: Path) -> None:
    """The web pages in the package equal those that `make web` builds."""
    if shutil.which("npm") is None:
        missing("building the page needs npm")
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "web", copy / "web", ignore=shutil.ignore_patterns("node_modules", "build"))
    shutil.copy(ROOT / "LICENSE", copy)
    tokens = "poets_edge/reports/templates/tokens.css"
    (copy / tokens).parent.mkdir(parents=True)
    shutil.copy(ROOT / tokens, copy / tokens)
    for command in (
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        ["npm", "run", "check"],
        ["npm", "run", "build"],
    ):
        ran = subprocess.run(command, cwd=copy / "web", capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    for page in ("poets_edge/exporting/page", "poets_edge/studio/page"):
        built = {path.name: path.read_bytes() for path in (copy / page).iterdir()}
        assert built == {path.name: path.read_bytes() for path in (ROOT / page).iterdir()}, "run make web"
    with tarfile.open(RUNTIME_ARCHIVE) as archive:
        packed = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    assert packed == {path.name: path.read_bytes() for path in (copy / "web/build/runtime").iterdir()}, "run make web"
