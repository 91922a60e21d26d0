"""Studios in a browser: a running server, a page that is open on it, and scenes for the fake camera."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image, ImageDraw

from tests.studio.client import StudioClient, running
from tests.web.conftest import READY_MS

DESKTOP = (1280, 800)
SCENES = {"mug": "#c8402f", "spoon": "#2f6fc8"}
"""Classes that the fake camera shows in turn, by the colour of their object."""

_FRAME = (320, 240)
_FRAMES_PER_SCENE = 20


@dataclass
class OpenStudio:
    """A studio and a page that is open on it.

    Attributes:
        requests: addresses of all requests that the page has made.
        problems: messages of the console, and errors that no handler has taken.
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
        """Return the paths of the photos in the folder, without the studio's own files."""
        paths = (path.relative_to(self.folder).as_posix() for path in self.folder.glob("[!.]*/*"))
        return set(paths)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition holds, and return its value."""
        end = time.monotonic() + READY_MS / 1000
        while time.monotonic() < end:
            if value := condition():
                return value
            self.page.wait_for_timeout(30)
        raise AssertionError(what)

    def foreign_requests(self) -> list[str]:
        """Return the addresses of requests to other servers."""
        own = urlsplit(self.client.url).netloc
        return [url for url in self.requests if not url.startswith(("blob:", "data:")) and urlsplit(url).netloc != own]


@contextlib.contextmanager
def open_studio(browser: Any, folder: Path, *options: str, **settings: Any) -> Iterator[OpenStudio]:
    """Context manager that yields a studio of a folder, open in a new profile of a browser."""
    with running(folder, *options) as client, open_page(browser, client, **settings) as opened:
        yield opened


@contextlib.contextmanager
def open_page(browser: Any, client: StudioClient, **settings: Any) -> Iterator[OpenStudio]:
    """Context manager that yields a running studio, open in a new profile of a browser."""
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
        page.goto(client.url)
        page.wait_for_selector("main[data-ready]")
        yield opened
    finally:
        context.close()


def write_scenes(path: Path) -> None:
    """Write a Y4M video of two scenes in turn, two seconds each; no two frames of a scene are equal."""
    width, height = _FRAME
    with path.open("wb") as video:
        video.write(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode())
        for seed, colour in enumerate(SCENES.values()):
            for number in range(_FRAMES_PER_SCENE):
                video.write(b"FRAME\n" + _yuv(_scene(colour, np.random.default_rng([seed, number]))))


def _scene(colour: str, random: np.random.Generator) -> Image.Image:
    grain = random.integers(150, 235, (_FRAME[1] // 8, _FRAME[0] // 8, 1)).repeat(3, axis=2).astype(np.uint8)
    picture = Image.fromarray(grain).resize(_FRAME)
    left, top, side = (int(random.integers(low, high)) for low, high in ((60, 120), (20, 80), (90, 140)))
    ImageDraw.Draw(picture).ellipse((left, top, left + side, top + side), fill=colour)
    return picture


def _yuv(picture: Image.Image) -> bytes:
    luma, blue, red = picture.convert("YCbCr").split()
    halves = [plane.resize((picture.width // 2, picture.height // 2)) for plane in (blue, red)]
    return b"".join(plane.tobytes() for plane in (luma, *halves))
