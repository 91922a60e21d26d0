"""Take the screenshots of docs/studio.md: `python -m tools.studio_screenshots`.

Output: `docs/images/studio-*.webp`, with synthetic photos. Requires Chromium and `poets-edge[studio,dev]`. The
screenshot of the network comparison shows several networks only if weights are installed (`KERAS_HOME`).
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from poets_edge.demo.draw import draw_photos
from tests.web.studio import OpenStudio, open_studio
from tests.web.video import write_video

_IMAGES = Path(__file__).resolve().parent.parent / "docs/images"
_PER_CLASS = 40
_JOB_MS = 1_200_000
_QUALITY = 82


def main() -> None:
    """Take all screenshots, and write them to docs/images."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch) / "flowers"
        draw_photos(folder, per_class=_PER_CLASS)
        _disarrange(folder)
        video = Path(scratch) / "camera.y4m"
        write_video(video, _frames(folder))
        camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={video}"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", *camera])
        with open_studio(browser, folder) as studio:
            studio.page.set_default_timeout(_JOB_MS)
            _photos(studio)
            _check(studio)
            _train(studio)
            _try(studio)
            _choose(studio)
            _take(studio)
        browser.close()


def _disarrange(folder: Path) -> None:
    """Change a folder of photos so that it has realistic problems: a small class, wrong labels, and a damaged photo."""
    for photo in sorted(folder.glob("tulips/*"))[12:]:
        photo.unlink()
    for number, photo in enumerate(sorted(folder.glob("roses/*"))[:3]):
        photo.rename(folder / "daisy" / f"garden-{number}.jpg")
    damaged = sorted(folder.glob("sunflowers/*"))[5]
    damaged.write_bytes(damaged.read_bytes()[:700])


def _frames(folder: Path) -> Iterator[Image.Image]:
    for photo in (sorted(folder.glob("roses/*"))[8], sorted(folder.glob("sunflowers/*"))[8]):
        with Image.open(photo) as opened:
            picture = opened.convert("RGB").resize((480, 480))
        frame = Image.new("RGB", (640, 480), "black")
        frame.paste(picture, (80, 0))
        yield from [frame] * 40


def _photos(studio: OpenStudio) -> None:
    page = studio.page
    page.wait_for_selector(".tile img")
    page.click("#tile-6")
    page.click("#tile-13", modifiers=["Shift"])
    page.wait_for_timeout(1500)
    _save(studio, "photos")
    page.keyboard.press("Escape")
    page.click("#record")
    page.fill(".record input", "roses")
    page.wait_for_selector("#hold:not(:disabled)")
    page.wait_for_timeout(1500)
    _save(studio, "record")
    page.keyboard.press("Escape")


def _check(studio: OpenStudio) -> None:
    studio.go("check")
    studio.page.click("text=Check photos")
    studio.page.wait_for_selector(".finding img")
    _save(studio, "check")


def _train(studio: OpenStudio) -> None:
    studio.go("train")
    studio.page.click("#train")
    studio.page.wait_for_selector(".plot")
    _save(studio, "train")
    studio.page.wait_for_selector(".result")
    studio.page.evaluate("document.querySelector('main').scrollTo(0, 210)")
    _save(studio, "result")


def _try(studio: OpenStudio) -> None:
    studio.go("try")
    studio.page.wait_for_selector(".trial[data-ready]")
    studio.page.click("#camera")
    studio.page.wait_for_selector(".verdict >> text=sunflowers")
    _save(studio, "try")


def _choose(studio: OpenStudio) -> None:
    studio.go("choose")
    studio.page.click("text=Compare networks")
    studio.page.wait_for_selector(".point.chosen")
    _save(studio, "choose")


def _take(studio: OpenStudio) -> None:
    studio.go("take")
    studio.page.wait_for_selector(".file")
    _save(studio, "take")


def _save(studio: OpenStudio, name: str) -> None:
    if studio.page.locator(".toast").count():
        studio.page.wait_for_selector(".toast", state="detached")
    studio.page.wait_for_timeout(500)
    with Image.open(io.BytesIO(studio.page.screenshot())) as picture:
        picture.convert("RGB").save(_IMAGES / f"studio-{name}.webp", quality=_QUALITY, method=6)


if __name__ == "__main__":
    main()
