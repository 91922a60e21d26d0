"""Helpers for browser tests of the studio: a running server, and its page in a browser."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.needs import need_module
from tests.studio.client import StudioClient, running
from tests.web.conftest import READY_MS

DESKTOP = (1280, 800)


@dataclass
class OpenStudio:
    """A running studio, and its page in a browser.

    Attributes:
        requests: URLs of all requests that the page has made.
        problems: console messages and uncaught errors of the page.
    """

    client: StudioClient
    page: Any
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.client.folder

    def go(self, step: str) -> None:
        self.page.click(f"nav a[href='#{step}']")

    def files(self) -> set[str]:
        """Return the paths of all files in the project, except the studio's own files."""
        paths = (path.relative_to(self.folder).as_posix() for path in self.folder.glob("[!.]*/*"))
        return set(paths)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition is true, and return its value; `what` describes it in the error message."""
        end = time.monotonic() + READY_MS / 1000
        while time.monotonic() < end:
            if value := condition():
                return value
            self.page.wait_for_timeout(30)
        raise AssertionError(what)

    def foreign_requests(self) -> list[str]:
        """Return the URLs of the requests that the page has made to other servers."""
        own = urlsplit(self.client.url).netloc
        return [url for url in self.requests if not url.startswith(("blob:", "data:")) and urlsplit(url).netloc != own]


@contextlib.contextmanager
def open_studio(
    browser: Any, folder: Path, *options: str, environment: dict[str, str] | None = None, **settings: Any
) -> Iterator[OpenStudio]:
    """Context manager that starts a studio on a folder, and opens its page in a new browser context.

    Args:
        environment: additional environment variables of the studio.
        settings: settings of the browser context.
    """
    with running(folder, *options, environment=environment) as client, open_page(browser, client, **settings) as opened:
        yield opened


@contextlib.contextmanager
def open_page(browser: Any, client: StudioClient, *, url: str = "", **settings: Any) -> Iterator[OpenStudio]:
    """Context manager that opens the page of a running studio in a new browser context.

    Args:
        url: address to open; by default the address that the studio has printed.
        settings: settings of the browser context.
    """
    width, height = DESKTOP
    viewport = {"width": width, "height": height}
    context = browser.new_context(**{"viewport": viewport, "permissions": ["camera"], **settings})
    try:
        page = context.new_page()
        page.set_default_timeout(READY_MS)
        opened = OpenStudio(client, page)
        page.on("request", lambda request: opened.requests.append(request.url))
        page.on("pageerror", lambda error: opened.problems.append(str(error)))
        page.on("console", lambda line: opened.problems.append(line.text) if line.type == "error" else None)
        page.goto(url or client.url)
        page.wait_for_selector("main[data-ready]")
        yield opened
    finally:
        context.close()


def assert_accessible(page: Any) -> None:
    """Assert that axe finds no accessibility violations in the current state of the page."""
    results = need_module("axe_playwright_python.sync_playwright").Axe().run(page)
    faults = [
        (fault["id"], [node["html"][:200] for node in fault["nodes"]]) for fault in results.response["violations"]
    ]
    assert not faults, faults
