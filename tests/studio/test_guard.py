"""Tests of the checks of requests and of the headers of responses, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import Response

from poets_edge.studio.security import Access, Guard
from tests.studio.event_loop import run_coroutine

LOCAL = Access("s3cret", ("http://127.0.0.1:8000", "http://localhost:8000"), 8000)
LAN = Access("s3cret", ("https://192.168.1.2:8000",), 8000)
COOKIE = "poets_edge_8000=s3cret"
GET = {"host": "127.0.0.1:8000", "cookie": COOKIE}
POST = {**GET, "origin": "http://127.0.0.1:8000", "x-poets-edge": "1", "content-type": "application/json"}
REACHED = 299
"""HTTP status of all responses of the test's application, which shows that the guard has accepted a request."""


def ask(
    path: str = "/api/project", method: str = "GET", *, access: Access = LOCAL, query: str = "", **headers: str
) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of the response to a request."""
    return ask_with([(name.replace("_", "-"), value) for name, value in headers.items()], path, method, access, query)


def ask_with(
    headers: list[tuple[str, str]], path: str, method: str, access: Access = LOCAL, query: str = ""
) -> tuple[int, dict[str, str]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "path": path, "method": method, "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }  # fmt: skip
    run_coroutine(Guard(Response("reached", REACHED), access)(scope, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def changed(headers: dict[str, str], **changes: str | None) -> list[tuple[str, str]]:
    """Return headers with some values changed; a value of None removes a header."""
    found = {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return [(name, value) for name, value in found.items() if value is not None]


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (REACHED, {}),
        (REACHED, {"host": "localhost:8000"}),
        (421, {"host": "evil.example"}),
        (421, {"host": "127.0.0.1"}),
        (421, {"host": None}),
        (REACHED, {"sec_fetch_site": "same-origin"}),
        (REACHED, {"sec_fetch_site": "none"}),
        (403, {"sec_fetch_site": "cross-site"}),
        (403, {"sec_fetch_site": "same-site"}),
        (403, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}),
        (401, {"cookie": None}),
        (401, {"cookie": "poets_edge_8000=wrong"}),
        (401, {"cookie": "poets_edge_8001=s3cret"}),
        (REACHED, {"cookie": f"odd{{}}=1; {COOKIE}; b=2"}),
    ],
)
def test_guard_checks_every_get_request(status: int, changes: dict[str, str | None]) -> None:
    assert ask_with(changed(GET, **changes), "/api/project", "GET")[0] == status


def test_guard_refuses_two_host_headers() -> None:
    """Otherwise, a proxy might check one of the headers, and the server the other."""
    for hosts in (("127.0.0.1:8000", "evil.example"), ("evil.example", "127.0.0.1:8000")):
        assert ask_with([*(("host", host) for host in hosts), ("cookie", COOKIE)], "/api/project", "GET")[0] == 421


def test_guard_accepts_links_from_other_sites_only_to_the_page() -> None:
    followed = changed(GET, sec_fetch_site="cross-site", sec_fetch_mode="navigate")
    assert ask_with(followed, "/", "GET")[0] == REACHED
    assert ask_with(followed, "/api/model/int8.tflite", "GET")[0] == 403
    assert ask_with(changed(GET, sec_fetch_site="cross-site", sec_fetch_mode="no-cors"), "/", "GET")[0] == 403


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (REACHED, {}),
        (REACHED, {"content_type": "Application/JSON; charset=utf-8"}),
        (REACHED, {"content_type": "application/octet-stream"}),
        (403, {"origin": "http://evil.example"}),
        (403, {"origin": "null"}),
        (403, {"origin": None}),
        (403, {"x_poets_edge": None}),
        (403, {"x_poets_edge": "2"}),
        (415, {"content_type": "text/plain"}),
        (415, {"content_type": "application/x-www-form-urlencoded"}),
        (415, {"content_type": None}),
    ],
)
def test_guard_checks_every_post_request(status: int, changes: dict[str, str | None]) -> None:
    assert ask_with(changed(POST, **changes), "/api/undo", "POST")[0] == status


@pytest.mark.parametrize(("accept", "kind"), [("text/html,*/*;q=0.8", "text/plain"), ("*/*", "application/json")])
def test_guard_answers_page_requests_without_a_token_in_plain_text(accept: str, kind: str) -> None:
    """An address without the token is usually opened by a person, for example from a bookmark."""
    status, headers = ask("/", host="127.0.0.1:8000", accept=accept)
    assert status == 401 and headers["content-type"].startswith(kind)


@pytest.mark.parametrize(("method", "status"), [("HEAD", REACHED), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 405)])
def test_guard_allows_get_head_and_post_only(method: str, status: int) -> None:
    assert ask_with(list(POST.items()), "/api/project", method)[0] == status


@pytest.mark.parametrize(("access", "secure"), [(LOCAL, False), (LAN, True)])
def test_opening_the_address_with_the_token_sets_the_cookie(access: Access, secure: bool) -> None:
    host = access.origins[0].partition("://")[2]
    status, headers = ask("/", access=access, query="token=s3cret", host=host)
    parts = [part.strip().lower() for part in headers["set-cookie"].split(";")]
    assert (status, headers["location"], parts[0]) == (303, "/", COOKIE)
    assert {"httponly", "samesite=strict"} <= set(parts) and ("secure" in parts) is secure


@pytest.mark.parametrize(
    ("path", "method", "query", "host", "status"),
    [
        ("/", "GET", "token=wrong", "127.0.0.1:8000", 401),
        ("/", "GET", "token=s3cret", "evil.example", 421),
        ("/api/project", "GET", "token=s3cret", "127.0.0.1:8000", 401),
        ("/", "POST", "token=s3cret", "127.0.0.1:8000", 401),
    ],
)
def test_token_in_query_is_accepted_only_for_the_entry_address(
    path: str, method: str, query: str, host: str, status: int
) -> None:
    found, headers = ask(path, method, query=query, host=host)
    assert found == status and "set-cookie" not in headers


@pytest.mark.parametrize("headers", [GET, {"host": "evil.example"}])
def test_every_response_has_security_headers(headers: dict[str, str]) -> None:
    found = ask_with(list(headers.items()), "/api/project", "GET")[1]
    policy = found["content-security-policy"]
    for rule in (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ):
        assert rule in policy.split("; ")
    assert found["x-frame-options"] == "DENY" and found["x-content-type-options"] == "nosniff"
    assert found["cross-origin-opener-policy"] == "same-origin" and found["cache-control"] == "no-store"


def test_guard_refuses_web_socket_connections() -> None:
    reached: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    for kind in ("websocket", "lifespan"):
        run_coroutine(Guard(app, LOCAL)({"type": kind}, None, None))  # type: ignore[arg-type]
    assert reached == ["lifespan"]


def test_entry_address_contains_the_token() -> None:
    assert LOCAL.entry == "http://127.0.0.1:8000/?token=s3cret" and not LOCAL.is_lan and LAN.is_lan
    assert LOCAL.is_token("s3cret") and not LOCAL.is_token("s3creT") and not LOCAL.is_token("\udcff")
