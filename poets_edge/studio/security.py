"""Checks of every request: host, token, origin; and the headers of every answer.

The checks are made in this order, before a route sees the request:

1. `Host` is an address of this server. DNS rebinding makes a browser send another name.
2. `Sec-Fetch-Site`, which browsers send, is not that of another site or of another port of this machine.
3. The cookie contains the token. It is set when the address with the token is opened.
4. A POST has the `Origin` of this server, and a header that a cross-site form cannot send.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
"""Header of every POST; a page of another origin cannot send it without a preflight request, which is refused."""
_BODIES = ("application/json", "application/octet-stream")
_FETCHED_HERE = ("same-origin", "none")


@dataclass(frozen=True)
class Access:
    """Who may use a server.

    Attributes:
        token: secret in the address that the server prints.
        origins: origins of this server, such as "http://127.0.0.1:8000".
        port: port number, which is part of the cookie's name: browsers send cookies to all ports of a host.
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
        """Address that opens the page, with the token."""
        return f"{self.origins[0]}/?token={self.token}"

    @property
    def is_lan(self) -> bool:
        """Whether other devices on the network reach the server; they do over HTTPS only."""
        return self.origins[0].startswith("https:")

    def is_token(self, given: str) -> bool:
        """Return whether a text is the token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self.token.encode())


class Guard:
    """ASGI middleware that refuses requests without access, and adds the headers of every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
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
        """Return a redirect that sets the cookie if the request is for the address with the token."""
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
            return _refuse(421, "this server answers to its own address only. Open the address that it printed.")
        if headers.get("sec-fetch-site", "none") not in _FETCHED_HERE and not _is_navigation(scope, headers):
            return _refuse(403, "requests of other pages are not answered.")
        if not self._has_cookie(headers):
            return _refuse(401, "open the address with the token that `poets-edge studio` printed.")
        if method in ("GET", "HEAD"):
            return None
        if method != "POST":
            return _refuse(405, f"{method[:10]} is not a method of this server.")
        if headers.get("origin") not in self._access.origins or headers.get(OWN_HEADER) != "1":
            return _refuse(403, "only the page of this server may change the project.")
        if headers.get("content-type", "").partition(";")[0].strip().lower() not in _BODIES:
            return _refuse(415, f"the body of a request is {' or '.join(_BODIES)}.")
        return None

    def _is_own_host(self, headers: Headers) -> bool:
        return _only(headers.getlist("host")) in self._access.hosts

    def _has_cookie(self, headers: Headers) -> bool:
        # Not with http.cookies, which reads nothing if another program's cookie for this host has an unusual character.
        pairs = (part.strip().partition("=") for header in headers.getlist("cookie") for part in header.split(";"))
        return any(name == self._access.cookie and self._access.is_token(value) for name, _, value in pairs)


def _only(values: Iterable[str]) -> str:
    """Return the only value of a header; "" if there is none or more than one."""
    found = list(values)
    return found[0] if len(found) == 1 else ""


def _is_navigation(scope: Scope, headers: Headers) -> bool:
    """Return whether a person has followed a link to the page, which shows it without its cookie."""
    return scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"


def _refuse(status: int, reason: str) -> Response:
    return Response(json.dumps({"error": f"Refused: {reason}"}), status, media_type="application/json")
