"""Tests of attacks on the studio through a browser, the network and the project folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.studio.client import StudioClient, running

READABLE = (
    "/api/project",
    "/api/photos",
    "/api/events",
    "/",
    "/photo/daisy/daisy-000.jpg",
    "/thumb/daisy/daisy-000.jpg",
)

GARBAGE = (
    b"\x00" * 1000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET http://attacker.example/api/photos HTTP/1.1\r\nHost: attacker.example\r\n\r\n",
    b"CONNECT attacker.example:443 HTTP/1.1\r\nHost: attacker.example\r\n\r\n",
)


@pytest.mark.parametrize("path", READABLE)
@pytest.mark.parametrize("cookie", [None, "poets_edge_1=x", "poets_edge=guess"])
def test_requests_without_the_token_are_refused(studio: StudioClient, path: str, cookie: str | None) -> None:
    studio.request("GET", path, headers={"Cookie": cookie}).refused(401)
    wrong = f"{studio.cookie[:-1]}{'A' if studio.cookie[-1] != 'A' else 'B'}"
    studio.request("GET", path, headers={"Cookie": wrong}).refused(401)


@pytest.mark.parametrize("other", ['settings={"dark": true}', "a=b c", "name=J\xf6rg", "flag", "{}=wrong", "a[b]=1"])
def test_cookies_of_other_programs_do_not_block_access(studio: StudioClient, other: str) -> None:
    """Browsers send a server the cookies of all servers on the same host, regardless of port."""
    other = other.format(studio.cookie.partition("=")[0]) if other.startswith("{}") else other
    studio.request("GET", "/api/photos", headers={"Cookie": f"{other}; {studio.cookie}; {other}"}).ok()
    studio.request("GET", "/api/photos", headers={"Cookie": other}).refused(401)


def test_entry_address_sets_a_cookie_that_scripts_and_other_sites_cannot_use(studio: StudioClient) -> None:
    entry = studio.request("GET", f"/?token={studio.token}", headers={"Cookie": None})
    assert (entry.status, entry.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in entry.headers["set-cookie"].split(";")}
    assert str(studio.port) in studio.cookie.partition("=")[0]
    studio.request("GET", "/?token=wrong", headers={"Cookie": None}).refused(401)
    studio.request("GET", f"/?token={quote('é')}", headers={"Cookie": None}).refused(401)
    studio.request("GET", f"/api/photos?token={studio.token}", headers={"Cookie": None}).refused(401)


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "0.0.0.0:{port}"]
)
def test_requests_with_other_host_names_are_refused(studio: StudioClient, host: str) -> None:
    """A host name that an attacker resolves to 127.0.0.1 (DNS rebinding) does not give access to the project."""
    name = host.format(port=studio.port)
    studio.request("GET", "/api/photos", headers={"Host": name}).refused(421)
    entry = studio.request("GET", f"/?token={studio.token}", headers={"Host": name})
    assert entry.status == 421


def test_localhost_is_accepted_as_host(studio: StudioClient) -> None:
    studio.request("GET", "/api/photos", headers={"Host": f"localhost:{studio.port}"}).ok()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": None},
        {"X-Poets-Edge": None},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_post_requests_from_other_pages_are_refused(studio: StudioClient, headers: dict[str, str | None]) -> None:
    before = studio.get("/api/project").ok()["version"]
    studio.request("POST", "/api/classes", b'{"add": "planted"}', headers).refused(403)
    assert studio.get("/api/project").ok()["version"] == before
    assert not (studio.folder / "planted").exists()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_requests_with_form_bodies_are_refused(studio: StudioClient, kind: str | None) -> None:
    studio.request("POST", "/api/classes", b'{"add": "planted"}', {"Content-Type": kind}).refused(415)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_requests_with_unsupported_http_methods_are_refused(studio: StudioClient, method: str) -> None:
    studio.request(method, "/api/classes").refused(405)


@pytest.mark.parametrize("path", READABLE)
def test_other_sites_cannot_read_anything_even_with_the_cookie(studio: StudioClient, path: str) -> None:
    """This includes server-sent events, and requests to upgrade a connection to a WebSocket."""
    foreign: dict[str, str | None] = {"Sec-Fetch-Site": "cross-site", "Origin": "https://attacker.example"}
    studio.request("GET", path, headers=foreign).refused(403)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    studio.request("GET", path, headers={**foreign, **upgrade}).refused(403)


def test_photos_cannot_be_embedded_in_other_pages(studio: StudioClient) -> None:
    path = "/photo/daisy/daisy-000.jpg"
    studio.request("GET", path, headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}).refused(403)
    assert studio.get(path).headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path", ["/", "/api/project", "/api/nothing", "/thumb/daisy/daisy-000.jpg", "/runtime/nothing"]
)
def test_every_response_has_a_strict_content_security_policy(studio: StudioClient, path: str) -> None:
    headers = studio.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'" and "unsafe-inline" not in str(policy)
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers and "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "name",
    [
        "../secret.jpg", "daisy/../../secret.jpg", "daisy/..%2f..%2fsecret.jpg", "daisy/..%252f..%252fsecret.jpg",
        "daisy/..%ef%bc%8f..%ef%bc%8fsecret.jpg", "daisy/..%c0%af..%c0%afsecret.jpg", "daisy/%E2%80%A6/secret.jpg",
        "%2e%2e/secret.jpg", "daisy/",
        "/etc/passwd", "daisy/%00.jpg", "daisy\\daisy-000.jpg", ".poets-edge/journal.jsonl", "daisy//daisy-000.jpg",
        "daisy/daisy-000.jpg/x", "C:%5csecret.jpg", "%ff%fe/x.jpg", "daisy/" + "a" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("route", ["thumb", "photo"])
def test_paths_in_requests_never_lead_outside_the_project(studio: StudioClient, route: str, name: str) -> None:
    (studio.folder.parent / "secret.jpg").write_bytes((studio.folder / "daisy/daisy-000.jpg").read_bytes())
    assert studio.get(f"/{route}/{name}").status in (404, 400)


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "%2e%2e%2fapp.py", ".", "..", "__init__.py"])
def test_server_sends_no_files_from_outside_the_web_page(studio: StudioClient, name: str) -> None:
    assert studio.get(f"/{name}").status in (200, 404)
    assert b"import" not in studio.get(f"/{name}").body
    assert studio.get(f"/runtime/{name}").status == 404


def test_links_to_files_outside_the_project_are_not_opened(flowers: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    photo = (flowers / "daisy/daisy-000.jpg").read_bytes()
    (outside / "private.jpg").write_bytes(photo)
    (flowers / "linked").symlink_to(outside)
    (flowers / "daisy/link.jpg").symlink_to(outside / "private.jpg")
    with running(flowers) as client:
        assert not [name for name in client.photos() if "link" in name]
        assert any("links" in note["text"] for note in client.get("/api/project").ok()["notes"])
        for kind in ("train", "audit", "grid"):
            assert "daisy/link.jpg, linked" in client.post("/api/jobs", {"kind": kind}).refused(409)
        for name in ("linked/private.jpg", "daisy/link.jpg"):
            client.get(f"/photo/{name}").refused(404)
            client.get(f"/thumb/{name}").refused(404)


def test_malicious_names_are_treated_as_data(flowers: Path) -> None:
    names = ["<img src=x onerror=alert(1)>", "a'b\"c", "рыжик", "𝔘nicode", "a&b=c#d?e%25"]
    photo = (flowers / "daisy/daisy-000.jpg").read_bytes()
    for name in names:
        (flowers / name).mkdir()
        (flowers / name / f"{name}.jpg").write_bytes(photo)
    (flowers / os.fsdecode(b"\xff\xfe")).mkdir()
    with running(flowers) as client:
        found = client.photos()
        assert all(f"{name}/{name}.jpg" in found for name in names)
        for name in names:
            assert client.get(f"/thumb/{quote(f'{name}/{name}.jpg')}").body[:3] == b"\xff\xd8\xff"
        answer = client.get("/api/project")
        assert answer.headers["content-type"] == "application/json" and answer.body.isascii()


def test_server_listens_on_the_loopback_interface_only(studio: StudioClient) -> None:
    assert studio.url.startswith("http://127.0.0.1:")
    rows = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    local = [row.split()[1] for row in rows if row.split()[3] == "0A"]
    assert [address for address in local if int(address.partition(":")[2], 16) == studio.port] == [
        f"0100007F:{studio.port:04X}"
    ]


def test_malformed_requests_are_answered_or_their_connection_is_closed(studio: StudioClient) -> None:
    for garbage in GARBAGE:
        with socket.create_connection((studio.host, studio.port), timeout=10) as connection:
            try:
                connection.sendall(garbage)
                answer = connection.recv(1 << 16)
            except ConnectionError:
                continue
            assert not answer or b" 4" in answer[:16], answer[:100]
    studio.get("/api/project").ok()
