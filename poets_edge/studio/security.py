"""Checks of every request (host, token and origin), and security headers of every response.

The checks are made in this order, before a route sees the request:

1. `Host` is an address of this server. In a DNS rebinding attack, a browser sends another host name.
2. `Sec-Fetch-Site`, which browsers send, does not indicate a page of another site or of another port.
3. The cookie contains the access token. The cookie is set when the address with the token is opened.
4. A POST request has the `Origin` of this server, and a header that a form on another site cannot send.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poets_edge.studio import messages

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self' blob:",
        "worker-src 'self'",
        "manifest-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
OWN_HEADER = "X-Poets-Edge"
"""Header that every POST request must have. Before a page from another origin can send it, the browser sends a
preflight request, which the server refuses."""
_BODIES = ("application/json", "application/octet-stream")
_FETCHED_HERE = ("same-origin", "none")


@dataclass(frozen=True)
class Access:
    """Token and addresses with which clients access a server.

    Attributes:
        token: secret in the address that the server prints.
        origins: origins of this server, such as "http://127.0.0.1:8000".
        port: port number. It is part of the cookie's name, because browsers send cookies to all ports of a host.
    """

    token: str
    origins: tuple[str, ...]
    port: int

    @property
    def cookie(self) -> str:
        """Name of the cookie that contains the token."""
        return f"poets_edge_{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """Accepted values of the `Host` header."""
        return frozenset(origin.partition("://")[2] for origin in self.origins)

    @property
    def entry(self) -> str:
        """Address that opens the web page, including the access token."""
        return f"{self.origins[0]}/?token={self.token}"

    @property
    def is_lan(self) -> bool:
        """Whether the server is reachable from other devices on the network; if so, it accepts only HTTPS."""
        return self.origins[0].startswith("https:")

    def is_token(self, given: str) -> bool:
        """Return whether a string equals the access token.

        The comparison takes constant time, to prevent timing attacks.
        """
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self.token.encode())


class Guard:
    """ASGI middleware that refuses unauthorized requests, and adds security headers to every response."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse an HTTP request, or pass it on to the application."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._entry(scope) or self._refusal(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _entry(self, scope: Scope) -> Response | None:
        """Return a redirect that sets the access cookie; None unless the request opens the address with the token."""
        headers = Headers(scope=scope)
        given = QueryParams(scope["query_string"]).get("token")
        if scope["path"] != "/" or scope["method"] != "GET" or given is None or not self._is_own_host(headers):
            return None
        if not self._access.is_token(given):
            return None
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            self._access.cookie,
            self._access.token,
            httponly=True,
            samesite="strict",
            secure=self._access.is_lan,
        )
        return answer

    def _refusal(self, scope: Scope) -> Response | None:
        headers, method = Headers(scope=scope), scope["method"]
        if not self._is_own_host(headers):
            return _refuse(headers, 421, messages.OTHER_HOST)
        if headers.get("sec-fetch-site", "none") not in _FETCHED_HERE and not _is_navigation(scope, headers):
            return _refuse(headers, 403, messages.OTHER_PAGE)
        if not self._has_cookie(headers):
            return _refuse(headers, 401, messages.NO_TOKEN)
        if method in ("GET", "HEAD"):
            return None
        if method != "POST":
            return _refuse(headers, 405, messages.OTHER_METHOD.format(method=method[:10]))
        if headers.get("origin") not in self._access.origins or headers.get(OWN_HEADER) != "1":
            return _refuse(headers, 403, messages.OTHER_ORIGIN)
        if headers.get("content-type", "").partition(";")[0].strip().lower() not in _BODIES:
            return _refuse(headers, 415, messages.OTHER_BODY.format(types=" or ".join(_BODIES)))
        return None

    def _is_own_host(self, headers: Headers) -> bool:
        return _only(headers.getlist("host")) in self._access.hosts

    def _has_cookie(self, headers: Headers) -> bool:
        # Not with http.cookies, which reads nothing if another program's cookie for this host has an unusual character.
        pairs = (part.strip().partition("=") for header in headers.getlist("cookie") for part in header.split(";"))
        return any(name == self._access.cookie and self._access.is_token(value) for name, _, value in pairs)


def _only(values: Iterable[str]) -> str:
    """Return the only value of a header; "" unless the header occurs exactly once in the request."""
    found = list(values)
    return found[0] if len(found) == 1 else ""


def _is_navigation(scope: Scope, headers: Headers) -> bool:
    """Return whether a request opens the start page in a browser tab, for example because the user followed a link."""
    return scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"


def _refuse(headers: Headers, status: int, reason: str) -> Response:
    """Return a response that states why a request is refused: plain text if the request accepts HTML, else JSON."""
    if "text/html" in headers.get("accept", ""):
        return PlainTextResponse(f"{reason}\n", status)
    return Response(json.dumps({"error": reason}), status, media_type="application/json")
