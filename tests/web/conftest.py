"""Fixtures for browser tests: Chromium, and a page with small models that can be trained on any machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poets_edge.exporting.serving import PageServer
from poets_edge.exporting.web import write_page
from tests.conftest import Trained, poets_edge
from tests.needs import missing, need_module
from tests.once import made_once
from tests.web.video import write_scenes

READY_MS = 60_000  # on a busy machine


@dataclass(frozen=True)
class Drawn:
    """Synthetic photos, and models trained on them with the embedded backbone."""

    photos: Path
    trained: Trained

    def model(self, quantization: str = "int8") -> Path:
        return self.trained.model(quantization)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Synthetic photos, and models trained on them without network access. Tests must not change the files."""

    def make(folder: Path) -> None:
        poets_edge("draw-photos", folder / "photos", "--per-class", "20").ok()
        embedded = ("--weights", "embedded", "--architecture", "mobilenet_0.25_128")
        poets_edge("train", "--image_dir", folder / "photos", *embedded, cwd=folder).ok()
        poets_edge("export", "--quantize", "float32", "--quantize", "int8", cwd=folder).ok()

    folder = made_once(tmp_path_factory, "drawn", make)
    return Drawn(folder / "photos", Trained(folder))


@pytest.fixture(scope="session")
def written(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the page with the int8 model. Tests must not change it, but can use a copy; see `copy_page`."""
    folder = tmp_path_factory.mktemp("page") / "site"
    write_page(drawn.model(), folder)
    return folder


def copy_page(written: Path, folder: Path) -> Path:
    """Copy a page as links to its files, which saves 36 MB. Files in the copy may be replaced but not modified."""
    return Path(shutil.copytree(written, folder, copy_function=os.link))


@contextlib.contextmanager
def serving(folder: Path, **options: Any) -> Iterator[PageServer]:
    """Serve a folder on the loopback address."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    with PageServer(folder, names, **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def server(written: Path) -> Iterator[PageServer]:
    with serving(written) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Chromium. Debian's package is installed if possible; otherwise the test is skipped."""
    if shutil.which("chromium") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = "apt-get -q update && apt-get -q install -y --no-install-recommends chromium fonts-liberation"
        subprocess.run(install, shell=True, capture_output=True, timeout=500)
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        missing("the page's tests need Chromium (apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    api = need_module("playwright.sync_api")
    with api.sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def video(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Video for the fake camera: a synthetic daisy, 640 x 480, as motion JPEG."""
    path = tmp_path_factory.mktemp("video") / "daisy.mjpeg"
    frame = Image.new("RGB", (640, 480), "black")
    with Image.open(daisy(drawn)) as photo:
        frame.paste(photo.convert("RGB").resize((480, 480)), (80, 0))
    single = path.with_suffix(".jpg")
    frame.save(single, quality=95)
    path.write_bytes(single.read_bytes() * 30)
    return path


def daisy(drawn: Drawn) -> Path:
    """Return the photo that the int8 model classifies as a daisy with the highest score."""
    from poets_edge.device.classifier import Classifier

    classifier = Classifier(drawn.model())
    photos = sorted((drawn.photos / "daisy").iterdir())
    return max(photos, key=lambda photo: classifier.scores(photo)[classifier.labels.index("daisy")])


def as_png(photos: list[Path], folder: Path) -> list[str]:
    """Write photos to a new folder as PNG, which every decoder decodes identically; return their paths on the page."""
    folder.mkdir()
    for number, photo in enumerate(photos):
        with Image.open(photo) as picture:
            picture.convert("RGB").save(folder / f"{number}.png", compress_level=1)
    return [f"{folder.name}/{number}.png" for number in range(len(photos))]


@pytest.fixture(scope="session")
def launch(playwright: Any, chromium: str) -> Iterator[Callable[..., Any]]:
    """Function that starts a browser with command-line arguments. The browser is closed when all tests have ended."""
    running: list[Any] = []

    def start(*arguments: str) -> Any:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        running.append(playwright.chromium.launch(executable_path=chromium, args=[*sandbox, *arguments]))
        return running[-1]

    yield start
    for browser in running:
        browser.close()


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Any], video: Path) -> Any:
    """A browser with a fake camera that shows a daisy; pages need permission to use it."""
    return launch("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={video}")


PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="session")
def camera_browser(launch: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A browser with a fake camera that shows two scenes in turn."""
    video = tmp_path_factory.mktemp("scenes") / "scenes.y4m"
    write_scenes(video)
    return launch("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={video}")


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Function that opens an address in a new profile, and waits until the page is ready to label photos."""
    contexts: list[Any] = []

    def visit(url: str, *, ready: bool = True, within: Any = None, **settings: Any) -> Any:
        context = (within or browser).new_context(**{"permissions": ["camera"], **settings})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(READY_MS)
        page.goto(url)
        if ready:
            page.wait_for_selector("body[data-mode=idle]")
        return page

    yield visit
    for context in contexts:
        context.close()
